//! Tests of rotation: each decision, and whole lives with cuts and clocks that jump.

use super::super::password::Password;
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

const YEAR: i64 = 365 * 24 * 3600;

fn record(serial: u64, rotated_at: i64) -> Record {
    Record {
        username: user_name("shop", "web", serial),
        serial,
        password: Password::new("x".into()),
        rotated_at: Some(at(rotated_at)),
        request: None,
        previous: None,
    }
}

fn known<'a>(record: Option<&'a Record>, serials: &'a BTreeSet<u64>, second: i64) -> Known<'a> {
    Known {
        namespace: "shop",
        client: "web",
        record,
        last_user: None,
        serials,
        request: None,
        every: None,
        overlap: Duration::from_secs(100),
        written_ago: None,
        now: at(second),
    }
}

fn begun(step: Step) -> (String, Option<String>) {
    match step {
        Step::Begin { username, previous } => (username, previous),
        Step::Keep(kept) => panic!("no rotation: {kept:?}"),
    }
}

fn kept(step: Step) -> Kept {
    match step {
        Step::Keep(kept) => kept,
        Step::Begin { .. } => panic!("{step:?}"),
    }
}

#[test]
fn the_first_user_has_no_previous() {
    let none = BTreeSet::new();
    assert_eq!(begun(decide(&known(None, &none, 0))), ("shop.web.1".into(), None));
}

#[test]
fn nothing_due_is_nothing_to_do() {
    let (record, serials) = (record(1, 0), BTreeSet::from([1]));
    let kept = kept(decide(&known(Some(&record), &serials, YEAR)));
    assert_eq!(kept, Kept { rotated_at: at(0), previous: None, waiting: false, look_again: None });
}

#[test]
fn a_schedule_rotates_when_its_time_has_come() {
    let (record, serials) = (record(1, 0), BTreeSet::from([1]));
    let ask = |second| decide(&Known { every: Some(Duration::from_secs(1000)), ..known(Some(&record), &serials, second) });
    assert_eq!(kept(ask(999)).look_again, Some(at(1000)));
    assert_eq!(begun(ask(1000)), ("shop.web.2".into(), Some("shop.web.1".into())));
}

#[test]
fn a_request_rotates_once() {
    let (mut record, serials) = (record(1, 0), BTreeSet::from([1]));
    let ask =
        |record: &Record, request| matches!(decide(&Known { request, ..known(Some(record), &serials, 5) }), Step::Begin { .. });
    assert!(ask(&record, Some("now")));
    assert!(!ask(&record, Some("")), "an empty request is none");
    record.request = Some("now".into());
    assert!(!ask(&record, Some("now")));
    assert!(!ask(&record, None), "a request that was taken back is none");
    assert!(ask(&record, Some("again")));
    let long = "x".repeat(5000);
    record.request = request(Some(&long));
    assert!(!ask(&record, Some(&long)));
}

#[test]
fn the_user_before_lives_for_the_overlap_and_no_longer() {
    let (mut record, serials) = (record(2, 0), BTreeSet::from([1, 2]));
    record.previous = Some("shop.web.1".into());
    let ask = |second| kept(decide(&known(Some(&record), &serials, second)));
    assert_eq!(ask(99).previous, Some(("shop.web.1".into(), at(100))));
    assert_eq!(ask(99).look_again, Some(at(100)));
    assert_eq!(ask(100).previous, None);
}

#[test]
fn a_second_rotation_waits_for_the_overlap_of_the_first() {
    let (mut record, serials) = (record(2, 0), BTreeSet::from([1, 2]));
    record.previous = Some("shop.web.1".into());
    let ask = |second| decide(&Known { request: Some("now"), ..known(Some(&record), &serials, second) });
    let waiting = kept(ask(50));
    assert!(waiting.waiting && waiting.look_again == Some(at(100)));
    assert_eq!(begun(ask(100)), ("shop.web.3".into(), Some("shop.web.2".into())));
}

#[test]
fn i2_only_an_own_user_can_be_the_one_before() {
    let mut record = record(2, 0);
    for (previous, serials) in [("other.web.1", [1, 2]), ("guest", [1, 2]), ("shop.web.2", [1, 2]), ("shop.web.1", [2, 3])] {
        record.previous = Some(previous.into());
        assert_eq!(kept(decide(&known(Some(&record), &BTreeSet::from(serials), 5))).previous, None, "{previous}");
    }
}

#[test]
fn a_lost_secret_is_a_rotation_and_the_user_of_status_goes_on() {
    let serials = BTreeSet::from([3, 4]);
    let ask = |last_user| begun(decide(&Known { last_user, ..known(None, &serials, 5) }));
    assert_eq!(ask(Some("shop.web.4")), ("shop.web.5".into(), Some("shop.web.4".into())));
    // Whatever status says, only an own user that is there can go on.
    assert_eq!(ask(Some("guest")), ("shop.web.5".into(), None));
    assert_eq!(ask(Some("shop.web.9")), ("shop.web.10".into(), None));
    assert_eq!(ask(None), ("shop.web.5".into(), None));
}

#[test]
fn a_clock_set_back_neither_rotates_nor_stops_the_schedule() {
    let (mut record, serials) = (record(2, YEAR), BTreeSet::from([1, 2]));
    record.previous = Some("shop.web.1".into());
    let every = Some(Duration::from_secs(1000));
    let step = kept(decide(&Known { every, ..known(Some(&record), &serials, 0) }));
    assert_eq!(step.rotated_at, at(0), "the time is corrected");
    assert_eq!(step.previous, Some(("shop.web.1".into(), at(100))));
    // A moment's difference between two machines is no mistake.
    record.rotated_at = Some(at(60));
    assert_eq!(kept(decide(&known(Some(&record), &serials, 0))).rotated_at, at(60));
    // A time that is none is as good as one in the future.
    record.rotated_at = None;
    assert_eq!(kept(decide(&known(Some(&record), &serials, 7))).rotated_at, at(7));
}

#[test]
fn a_clock_set_forward_does_not_end_an_overlap_that_this_process_began() {
    let (mut record, serials) = (record(2, 0), BTreeSet::from([1, 2]));
    record.previous = Some("shop.web.1".into());
    let ask = |ago| {
        let written_ago = Some(Duration::from_secs(ago));
        kept(decide(&Known { written_ago, ..known(Some(&record), &serials, 10 * YEAR) })).previous
    };
    assert_eq!(ask(30), Some(("shop.web.1".into(), at(10 * YEAR + 70))));
    assert_eq!(ask(100), None);
}

#[test]
fn no_duration_overflows() {
    let (mut record, serials) = (record(2, 0), BTreeSet::from([1, 2]));
    record.previous = Some("shop.web.1".into());
    let step = decide(&Known {
        every: Some(Duration::MAX),
        overlap: Duration::MAX,
        written_ago: Some(Duration::ZERO),
        ..known(Some(&record), &serials, 5)
    });
    assert_eq!(kept(step).previous, Some(("shop.web.1".into(), Timestamp::MAX)));
}

/// A Client's life, in which each step may be cut off.
#[derive(Default)]
struct Life {
    serials: BTreeSet<u64>,
    record: Option<Record>,
    last_user: Option<String>,
    rotations: usize,
}

impl Life {
    /// One visit that is cut off after so many steps; says whether it came to its end with nothing left to do.
    fn visit(&mut self, every: Option<u64>, request: Option<&str>, now: i64, steps: usize) -> bool {
        let step = decide(&Known {
            every: every.map(Duration::from_secs),
            last_user: self.last_user.as_deref(),
            request,
            ..known(self.record.as_ref(), &self.serials, now)
        });
        match step {
            Step::Begin { username, previous } => {
                let serial = serial_of("shop", "web", &username).unwrap();
                assert!(!self.serials.contains(&serial), "a living user's password is never overwritten");
                if steps > 0 {
                    self.serials.insert(serial);
                }
                if steps > 1 {
                    self.rotations += 1;
                    let request = super::request(request);
                    self.record = Some(Record { request, previous, ..record(serial, now) });
                }
                if steps > 2 {
                    self.last_user = Some(username);
                }
                false
            }
            Step::Keep(Kept { rotated_at, previous, .. }) => {
                let record = self.record.as_mut().unwrap();
                record.rotated_at = Some(rotated_at);
                let alive = [Some(record.serial), previous.and_then(|(user, _)| serial_of("shop", "web", &user))];
                self.last_user = Some(record.username.clone());
                let before = self.serials.len();
                self.serials.retain(|serial| alive.contains(&Some(*serial)));
                assert!(self.serials.contains(&record.serial), "nobody is locked out: the Secret's user lives");
                before == self.serials.len()
            }
        }
    }
}

mod lives {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_rotation_cut_off_anywhere_converges(cuts in prop::collection::vec(0_usize..4, 0..12), second in 0_i64..1_000) {
            let mut life = Life::default();
            life.visit(None, None, 0, 3);
            for cut in cuts {
                life.visit(None, Some("now"), second, cut);
            }
            for _ in 0..3 {
                life.visit(None, Some("now"), second, 3);
            }
            prop_assert!(life.visit(None, Some("now"), second, 3));
            prop_assert_eq!(life.rotations, 2, "the first user and the one asked for");
            prop_assert!(life.serials.len() <= 2);
        }

        #[test]
        fn no_clock_makes_it_rotate_in_a_loop(jumps in prop::collection::vec(-20 * YEAR..20 * YEAR, 1..10)) {
            let mut life = Life::default();
            life.visit(Some(1_000), None, 0, 3);
            for second in &jumps {
                let before = life.rotations;
                for tick in 0..20 {
                    life.visit(Some(1_000), None, second + tick, 3);
                }
                prop_assert!(life.rotations <= before + 1, "one jump, one rotation at most");
            }
            // And after all that, the schedule goes on.
            let (before, last) = (life.rotations, jumps.last().unwrap() + 20);
            life.visit(Some(1_000), None, last + 1_001, 3);
            prop_assert_eq!(life.rotations, before + 1);
        }
    }
}
