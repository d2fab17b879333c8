//! Cron expressions: the latest moment that one names.
//!
//! An expression is a set of bits for each field, so that looking back over some days costs a few operations a day: each tick asks. The crates
//! there are look ahead, for years if they must; most bring a second kind of time, and those that do not lose what falls into a
//! skipped hour.
//!
//! Five fields: minute, hour, day of the month, month, day of the week (0 or 7 is Sunday). Each is `*`, a number, a range, or a list of
//! them; `*` and ranges may have a step. Months and days of the week may be written as `JAN` and `MON`. Where both days are named, either
//! is enough, as in every cron.

use jiff::civil::{Date, DateTime};

/// As the CRD has it.
const LONGEST: usize = 128;

/// When something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both kinds of days are named: one of them is enough.
    either_day: bool,
}

/// One of the five.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    /// Names of the numbers, from the least on.
    words: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", least: 0, most: 59, words: &[] };
const HOUR: Field = Field { name: "hour", least: 0, most: 23, words: &[] };
const DAY: Field = Field { name: "day of the month", least: 1, most: 31, words: &[] };
const MONTH: Field = Field {
    name: "month",
    least: 1,
    most: 12,
    words: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
const WEEKDAY: Field =
    Field { name: "day of the week", least: 0, most: 7, words: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] };

impl Cron {
    /// Reads an expression. Fails with what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} bytes"));
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = *fields.as_slice() else {
            return Err(format!(
                "{text:?} has {} fields and needs five: minute, hour, day of the month, month, day of the week, such as \"0 8 * * MON-FRI\"",
                fields.len()
            ));
        };
        let either_day = !days.starts_with('*') && !weekdays.starts_with('*');
        let in_week = WEEKDAY.set(weekdays)?;
        let cron = Self {
            minutes: MINUTE.set(minutes)?,
            hours: HOUR.set(hours)?,
            days: DAY.set(days)?,
            months: MONTH.set(months)?,
            // 7 is Sunday, too.
            weekdays: (in_week | (in_week >> 7)) & 0x7f,
            either_day,
        };
        if !cron.comes() {
            return Err(format!("{text:?} never comes: none of its months has such a day"));
        }
        Ok(cron)
    }

    /// The latest minute it names that is not after `until`, and on no earlier day than so many before.
    pub fn latest(&self, until: DateTime, days: u8) -> Option<DateTime> {
        let mut date = until.date();
        let mut time = self.latest_of_day(until.hour(), until.minute());
        for _ in 0..=days {
            if let Some((hour, minute)) = time
                && self.names(date)
            {
                return Some(date.at(hour, minute, 0, 0));
            }
            date = date.yesterday().ok()?;
            time = self.latest_of_day(23, 59);
        }
        None
    }

    fn latest_of_day(&self, hour: i8, minute: i8) -> Option<(i8, i8)> {
        let below = |bit: i8| (1_u64 << bit.unsigned_abs()) - 1;
        if has(self.hours, hour)
            && let Some(minute) = highest(self.minutes & below(minute + 1))
        {
            return Some((hour, minute));
        }
        Some((highest(self.hours & below(hour))?, highest(self.minutes)?))
    }

    fn names(&self, date: Date) -> bool {
        let (day, weekday) = (has(self.days, date.day()), has(self.weekdays, date.weekday().to_sunday_zero_offset()));
        has(self.months, date.month()) && if self.either_day { day || weekday } else { day && weekday }
    }

    /// Whether there is such a day in any year.
    fn comes(&self) -> bool {
        let shortest = [(2, 29), (4, 30), (6, 30), (9, 30), (11, 30)];
        let length = |month: i8| shortest.iter().find(|(short, _)| *short == month).map_or(31_u32, |(_, days)| *days);
        let first = self.days.trailing_zeros();
        self.either_day || (1..=12).any(|month| has(self.months, month) && first <= length(month))
    }
}

fn has(bits: u64, bit: i8) -> bool {
    (bits >> bit.unsigned_abs()) & 1 == 1
}

fn highest(bits: u64) -> Option<i8> {
    i8::try_from(bits.checked_ilog2()?).ok()
}

impl Field {
    /// The numbers of a list, as bits.
    fn set(&self, text: &str) -> Result<u64, String> {
        text.split(',').try_fold(0, |bits, part| Ok(bits | self.part(part)?))
    }

    fn part(&self, part: &str) -> Result<u64, String> {
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => (range, Some(step)),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.least, self.most),
            Some((first, last)) => (self.number(first)?, self.number(last)?),
            None if step.is_some() => {
                return Err(format!("{part:?} has a step and no range; write {range}-{}/… or */…", self.most));
            }
            None => (self.number(range)?, self.number(range)?),
        };
        if first > last {
            let Self { least, most, .. } = self;
            return Err(format!("{range:?} runs backwards; name two ranges: {first}-{most},{least}-{last}"));
        }
        let step = match step {
            None => 1,
            Some(step) => step
                .parse::<u8>()
                .ok()
                .filter(|step| *step >= 1)
                .ok_or_else(|| format!("the step of {part:?} is not a number from 1 to 255"))?,
        };
        Ok((first..=last).step_by(usize::from(step)).fold(0, |bits, number| bits | (1 << number)))
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let digits = text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u32>().ok().filter(|_| digits);
        let number = number.or_else(|| {
            let at = self.words.iter().position(|word| word.eq_ignore_ascii_case(text))?;
            Some(self.least + u32::try_from(at).ok()?)
        });
        let known = number.filter(|number| (self.least..=self.most).contains(number));
        known.ok_or_else(|| format!("{text:?} is no {}: {} to {}", self.name, self.least, self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latest(cron: &str, until: &str) -> Option<String> {
        let until = until.parse().unwrap();
        Cron::parse(cron).unwrap().latest(until, 8).map(|at| at.strftime("%a %m-%d %H:%M").to_string())
    }

    #[test]
    fn the_latest_is_found_and_no_later_one() {
        // A Friday.
        let until = "2026-11-27T08:29:59";
        for (cron, expected) in [
            ("* * * * *", Some("Fri 11-27 08:29")),
            ("30 8 * * *", Some("Thu 11-26 08:30")),
            ("0 8 * * *", Some("Fri 11-27 08:00")),
            ("0 9 * * *", Some("Thu 11-26 09:00")),
            ("*/15 * * * *", Some("Fri 11-27 08:15")),
            ("45-59/5 6-7 * * *", Some("Fri 11-27 07:55")),
            ("0 8 * * MON-THU", Some("Thu 11-26 08:00")),
            ("0 8 * * 6,sun", Some("Sun 11-22 08:00")),
            ("0 8 * * 7", Some("Sun 11-22 08:00")),
            ("0 8 * * 5-7", Some("Fri 11-27 08:00")),
            ("0 0 25 * *", Some("Wed 11-25 00:00")),
            ("0 0 1 * *", None),
            ("0 0 * DEC *", None),
            // Either of the days is enough, unless one of them is any.
            ("0 0 25 * TUE", Some("Wed 11-25 00:00")),
            ("0 0 */25 * TUE", None),
            ("0 0 1 11 *", None),
        ] {
            assert_eq!(latest(cron, until).as_deref(), expected, "{cron}");
        }
        assert_eq!(latest("0 0 29 2 *", "2028-03-01T12:00:00").as_deref(), Some("Tue 02-29 00:00"));
        assert_eq!(latest("59 23 * * *", "2026-01-01T00:00:00").as_deref(), Some("Wed 12-31 23:59"));
    }

    #[test]
    fn it_looks_back_no_further_than_it_is_told() {
        let until = "2026-11-27T08:29:59".parse().unwrap();
        let monday = Cron::parse("0 0 * * MON").unwrap();
        assert_eq!(monday.latest(until, 3), None);
        assert!(monday.latest(until, 4).is_some());
        // There is no day before the first, a Monday.
        assert_eq!(Cron::parse("0 0 * * SUN").unwrap().latest(DateTime::MIN, 8), None);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (cron, word) in [
            ("", "0 fields"),
            ("0 8 * *", "4 fields"),
            ("0 0 8 * * *", "6 fields"),
            ("@daily", "1 fields"),
            ("60 * * * *", "\"60\" is no minute: 0 to 59"),
            ("0 24 * * *", "is no hour"),
            ("0 8 0 * *", "day of the month: 1 to 31"),
            ("0 8 * 13 *", "month"),
            ("0 8 * * FUN", "day of the week"),
            ("0 8 * * 8", "day of the week"),
            ("+1 8 * * *", "minute"),
            ("-1 8 * * *", "minute"),
            ("1, 8 * * *", "\"\" is no minute"),
            ("5/10 * * * *", "no range"),
            ("*/0 * * * *", "step"),
            ("*/x * * * *", "step"),
            ("0 22-4 * * *", "22-23,0-4"),
            ("0 0 31 2,4 *", "never comes"),
            ("0 0 30 2 *", "never comes"),
        ] {
            let told = Cron::parse(cron).unwrap_err();
            assert!(told.contains(word), "{cron}: {told}");
        }
        assert!(Cron::parse(&"0,".repeat(80)).is_err());
        // There are no such days every year, but there are.
        assert!(Cron::parse("0 0 29 2 *").is_ok() && Cron::parse("0 0 31 2 MON").is_ok());
    }
}
