//! Tests of what is taken from ConfigMaps.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn map(name: &str, data: &[(&str, usize)]) -> ConfigMap {
    let data = data.iter().map(|(key, length)| ((*key).to_owned(), "x".repeat(*length))).collect();
    let mut map = ConfigMap { data: Some(data), ..ConfigMap::default() };
    map.metadata.name = Some(name.to_owned());
    map
}

fn place(name: &str, key: &str) -> Place {
    (name.to_owned(), key.to_owned())
}

fn message(sha256: &str) -> MessageSchema {
    let reference = json!({"name": "schemas", "key": "v1.json"});
    serde_json::from_value(json!({"operation": "placed", "format": "JsonSchema", "configMapRef": reference, "sha256": sha256}))
        .unwrap()
}

#[test]
fn a_schema_is_a_text_under_its_key_in_either_part() {
    let map = json!({"data": {"a": "x", "b": "plain"}, "binaryData": {"b": "eQ==", "c": "eQ==", "d": "/w=="}});
    let mut gathering = Gathering::of(["a", "b", "c", "d", "e"].map(|key| place("m", key)));
    assert_eq!(gathering.names(), ["m"]);
    gathering.take("m", serde_json::from_value(map).unwrap());
    let kept = gathering.end();
    let got = |key: &str| kept[&place("m", key)].as_deref().map_err(|missing| *missing);
    assert_eq!((got("a"), got("b"), got("c")), (Ok("x"), Ok("plain"), Ok("y")));
    assert_eq!((got("d"), got("e")), (Err(Missing::Absent), Err(Missing::Absent)));
}

#[test]
fn absent_and_unread_are_two_things() {
    let mut gathering = Gathering::of([place("a", "k"), place("b", "k"), place("c", "k")]);
    gathering.take("a", None);
    gathering.unread("b");
    let expected = [("a", Missing::Absent), ("b", Missing::Unread), ("c", Missing::Unread)];
    assert_eq!(gathering.end(), expected.map(|(name, missing)| (place(name, "k"), Err(missing))).into());
}

#[test]
fn one_schema_is_bounded() {
    let mut gathering = Gathering::of([place("m", "fits"), place("m", "long")]);
    gathering.take("m", Some(map("m", &[("fits", MAX_BYTES), ("long", MAX_BYTES + 1)])));
    let kept = gathering.end();
    assert_eq!(kept[&place("m", "long")], Err(Missing::TooLong));
    assert_eq!(kept[&place("m", "fits")].as_ref().map(String::len), Ok(MAX_BYTES));
}

#[test]
fn all_schemas_of_a_contract_are_bounded() {
    let keys = ["a", "b", "c"];
    let names: Vec<String> = (0..MOST_MAPS).map(|number| format!("m{number:02}")).collect();
    let mut gathering = Gathering::of(names.iter().flat_map(|name| keys.map(|key| place(name, key))));
    let mut read = 0;
    for name in gathering.names() {
        if gathering.is_full() {
            break;
        }
        read += 1;
        gathering.take(&name, Some(map(&name, &keys.map(|key| (key, MAX_BYTES)))));
    }
    let kept = gathering.end();
    let held: usize = kept.values().flatten().map(String::len).sum();
    assert_eq!(held, MOST_BYTES);
    assert_eq!(read, MOST_BYTES / MAX_BYTES / keys.len() + 1, "the rest is not even read");
    assert_eq!(kept.len(), keys.len() * MOST_MAPS);
    assert!(kept.values().all(|found| found.is_ok() || *found == Err(Missing::TooMuch)));
}

#[test]
fn config_maps_are_counted() {
    let gathering = Gathering::of((0..=MOST_MAPS).map(|number| place(&format!("m{number:02}"), "k")));
    assert_eq!(gathering.names().len(), MOST_MAPS);
    assert_eq!(gathering.end()[&place("m64", "k")], Err(Missing::TooMany));
}

#[test]
fn each_answer_says_what_to_do_and_absent_looks_like_another_text() {
    let with = |found: Option<Result<&str, Missing>>| {
        let kept: Kept = found.into_iter().map(|found| (place("schemas", "v1.json"), found.map(str::to_owned))).collect();
        text(&message(&sha256("{}")), &kept).map(str::to_owned)
    };
    assert_eq!(with(Some(Ok("{}"))).as_deref(), Ok("{}"));
    assert_eq!(with(Some(Ok("{} "))), with(Some(Err(Missing::Absent))));
    assert_eq!(with(None), with(Some(Err(Missing::Unread))));
    for (missing, words) in [
        (Missing::Absent, "has no key v1.json with that sha256"),
        (Missing::Unread, "ConfigMap schemas could not be read"),
        (Missing::TooLong, "longer than 256 KiB"),
        (Missing::TooMuch, "exceed 16 MiB"),
        (Missing::TooMany, "more than 64 ConfigMaps"),
    ] {
        let told = with(Some(Err(missing))).unwrap_err();
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn a_digest_follows_every_text_and_every_lack() {
    let kept = |found: Result<&str, Missing>| Kept::from([(place("m", "k"), found.map(str::to_owned))]);
    let all = [kept(Ok("a")), kept(Ok("b")), kept(Err(Missing::Absent)), kept(Err(Missing::Unread)), Kept::new()];
    let digests: BTreeSet<String> = all.iter().map(digest).collect();
    assert_eq!(digests.len(), all.len());
    assert_eq!(digest(&all[0]), digest(&kept(Ok("a"))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever is in the ConfigMaps, no more is held than may be, and every place has an answer.
    #[test]
    fn no_more_is_held_than_may_be(lengths in proptest::collection::vec(0..2 * MAX_BYTES, 0..80)) {
        let names: Vec<String> = (0..lengths.len()).map(|number| format!("m{number:02}")).collect();
        let mut gathering = Gathering::of(names.iter().map(|name| place(name, "k")));
        for (name, length) in names.iter().zip(&lengths) {
            gathering.take(name, Some(map(name, &[("k", *length)])));
        }
        let kept = gathering.end();
        prop_assert_eq!(kept.len(), lengths.len());
        prop_assert!(kept.values().flatten().map(String::len).sum::<usize>() <= MOST_BYTES);
        prop_assert!(kept.values().flatten().all(|text| text.len() <= MAX_BYTES));
    }
}
