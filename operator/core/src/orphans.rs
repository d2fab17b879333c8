//! Virtual hosts whose namespace is gone: how long they are kept.
//!
//! When a virtual host became an orphan is written at the broker, as one of its tags. Status would not do: whoever may
//! write a status could have messages deleted early.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::topology::foundation::{ORPHAN_TAG, owner_tag};

/// A virtual host as the broker lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name: that of its namespace.
    pub name: String,
    /// Its tags.
    pub tags: BTreeSet<String>,
}

/// What to do with a virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its namespace is gone: note since when.
    Mark,
    /// It waits for its namespace to come back, since then.
    Keep(Timestamp),
    /// Its time is over.
    Delete,
    /// Its namespace is there again: the note goes.
    Restore,
}

/// Decides for each virtual host of a Broker; those with nothing to do are left out.
///
/// `namespaces` must be complete: what is missing there is taken for gone. `retention` is in milliseconds.
pub fn decide(
    hosts: &[Listed],
    broker_uid: &str,
    namespaces: &BTreeSet<String>,
    retention: u64,
    now: Timestamp,
) -> Vec<(String, Step)> {
    let owner = owner_tag(broker_uid);
    let step = |Listed { name, tags }: &Listed| {
        // Whatever is not ours is not looked at (invariant I2).
        if !tags.contains(&owner) {
            return None;
        }
        let since = since(tags);
        let step = match (namespaces.contains(name), since) {
            (true, None) => return None,
            (true, Some(_)) => Step::Restore,
            (false, None) => Step::Mark,
            // A clock that was put back makes it wait longer, never shorter.
            (false, Some(since)) if is_over(since, retention, now) => Step::Delete,
            (false, Some(since)) => Step::Keep(since),
        };
        Some((name.clone(), step))
    };
    hosts.iter().filter_map(step).collect()
}

/// The tag that notes since when.
pub fn mark(now: Timestamp) -> String {
    format!("{ORPHAN_TAG}{}", now.as_second())
}

/// Of several marks, such as those of two leaders, the latest counts: it is the safe one.
fn since(tags: &BTreeSet<String>) -> Option<Timestamp> {
    let seconds = tags.iter().filter_map(|tag| tag.strip_prefix(ORPHAN_TAG)?.parse::<i64>().ok()).max()?;
    Timestamp::from_second(seconds).ok()
}

fn is_over(since: Timestamp, retention: u64, now: Timestamp) -> bool {
    let age = now.as_millisecond().saturating_sub(since.as_millisecond());
    u64::try_from(age).is_ok_and(|age| age >= retention)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn host(name: &str, tags: &[&str]) -> Listed {
        Listed { name: name.into(), tags: tags.iter().map(|tag| (*tag).to_owned()).collect() }
    }

    fn ask(tags: &[&str], there: bool, now: Timestamp) -> Option<Step> {
        let namespaces = there.then(|| "shop".to_owned()).into_iter().collect();
        decide(&[host("shop", tags)], "u1", &namespaces, HOUR, now).pop().map(|(_, step)| step)
    }

    #[test]
    fn an_orphan_is_marked_kept_and_deleted_in_time() {
        let ours = "entente-broker-u1";
        let marked = mark(at(0));
        assert_eq!(ask(&[ours], true, at(0)), None);
        assert_eq!(ask(&[ours], false, at(0)), Some(Step::Mark));
        assert_eq!(ask(&[ours, &marked], false, at(3_599)), Some(Step::Keep(at(0))));
        assert_eq!(ask(&[ours, &marked], false, at(3_600)), Some(Step::Delete));
        assert_eq!(ask(&[ours, &marked], true, at(9_999)), Some(Step::Restore));
    }

    #[test]
    fn i2_virtual_hosts_of_others_are_left_alone() {
        assert_eq!(ask(&["entente-broker-u2", &mark(at(0))], false, at(9_999_999)), None);
        assert_eq!(ask(&[], false, at(0)), None);
    }

    #[test]
    fn i1_a_clock_that_jumps_back_and_a_second_mark_delete_nothing_early() {
        let ours = "entente-broker-u1";
        assert_eq!(ask(&[ours, &mark(at(0))], false, at(-9_999_999)), Some(Step::Keep(at(0))));
        assert_eq!(ask(&[ours, &mark(at(0)), &mark(at(3_000))], false, at(4_000)), Some(Step::Keep(at(3_000))));
        assert_eq!(ask(&[ours, "entente-orphan-since-soon"], false, at(0)), Some(Step::Mark));
    }
}
