//! Cron schedules: five fields, in UTC.

use thiserror::Error;

const MINUTE_MS: u64 = 60_000;
const DAY_MINUTES: u64 = 24 * 60;
/// Longest schedule, in bytes.
pub const MAX_CRON: usize = 256;
/// The longest time without a 29 February, in days, is eight years, around a year that ends a century.
const MAX_GAP_DAYS: u64 = 8 * 366;
/// After this, in days since 1970 (the year 10000), nothing is due.
const LAST_DAY: u64 = 2_932_896;

/// Why text isn't a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CronError {
    /// Not five fields.
    #[error("a schedule has five fields (minute, hour, day of month, month, day of week), not {0}")]
    Fields(usize),
    /// A field that can't be read.
    #[error(
        "{field} {text:?} is none: *, numbers{names}, ranges and steps from {first} to {last}, with commas"
    )]
    Field {
        /// Which.
        field: &'static str,
        /// What it says.
        text: String,
        /// Whether it may have names.
        names: &'static str,
        /// The least value.
        first: u8,
        /// The greatest value.
        last: u8,
    },
    /// Fields that no date fits.
    #[error("no month of the schedule has such a day")]
    Never,
    /// Longer than [`MAX_CRON`].
    #[error("a schedule has at most {MAX_CRON} bytes")]
    TooLong,
}

impl CronError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        "cron_invalid"
    }
}

/// When a worker is woken.
///
/// As POSIX has it: where both the day of the month and the day of the week are restricted (written other than `*`), a
/// day that fits either is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    either: bool,
}

struct Field {
    name: &'static str,
    first: u8,
    /// Where `*` ends.
    last: u8,
    /// The greatest value.
    most: u8,
    /// Names of the values from the first on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field::new("minute", 0, 59, &[]),
    Field::new("hour", 0, 23, &[]),
    Field::new("day of month", 1, 31, &[]),
    Field::new(
        "month",
        1,
        12,
        &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    ),
    // Sunday is 0 and 7.
    Field {
        most: 7,
        ..Field::new(
            "day of week",
            0,
            6,
            &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        )
    },
];

impl Schedule {
    /// Reads a schedule: `minute hour day-of-month month day-of-week`, each `*`, numbers, ranges (`1-5`), steps (`*/15`,
    /// `1-9/2`, `5/20` for from 5 on) or lists of these; months and days of the week also by their first three letters.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        if text.len() > MAX_CRON {
            return Err(CronError::TooLong);
        }
        let fields: Vec<_> = text.split_ascii_whitespace().collect();
        let Ok(fields) = <[&str; 5]>::try_from(fields.as_slice()) else {
            return Err(CronError::Fields(fields.len()));
        };
        let mut sets = [0; 5];
        for ((set, text), field) in sets.iter_mut().zip(fields).zip(&FIELDS) {
            *set = field.parse(text).ok_or_else(|| field.error(text))?;
        }
        let [minutes, hours, days, months, weekdays] = sets;
        let schedule = Self {
            minutes,
            hours,
            days,
            months,
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either: fields[2] != "*" && fields[4] != "*",
        };
        // Its days come back after eight years at most, whatever the day of the week if there is no day of the month.
        match schedule.next_after(0) {
            Some(_) => Ok(schedule),
            None => Err(CronError::Never),
        }
    }

    /// Whether the minute that `ms` (milliseconds since 1970) lies in is one of the schedule.
    pub fn matches(&self, ms: u64) -> bool {
        let minute = ms / MINUTE_MS;
        let (day, minute) = (minute / DAY_MINUTES, minute % DAY_MINUTES);
        self.has_day(day) && has(self.hours, minute / 60) && has(self.minutes, minute % 60)
    }

    /// The start of the first minute of the schedule that starts after `ms`, both in milliseconds since 1970; none past
    /// the year 9999.
    pub fn next_after(&self, ms: u64) -> Option<u64> {
        let from = ms / MINUTE_MS + 1;
        let first = from / DAY_MINUTES;
        let last = LAST_DAY.min(first.checked_add(MAX_GAP_DAYS)?);
        let on = |day: u64| {
            let start = if day == first { from % DAY_MINUTES } else { 0 };
            let minute = self.minute_from(start)?;
            Some((day * DAY_MINUTES + minute) * MINUTE_MS)
        };
        (first..=last).filter(|day| self.has_day(*day)).find_map(on)
    }

    /// The first minute of a day, from `start` on.
    fn minute_from(&self, start: u64) -> Option<u64> {
        let hour = start / 60;
        if has(self.hours, hour)
            && let Some(minute) = from(self.minutes, start % 60)
        {
            return Some(hour * 60 + minute);
        }
        let hour = from(self.hours, hour + 1)?;
        Some(hour * 60 + from(self.minutes, 0)?)
    }

    fn has_day(&self, day: u64) -> bool {
        let (month, of_month) = month_and_day(day);
        // 1 January 1970 was a Thursday.
        let of_week = has(self.weekdays, (day + 4) % 7);
        let of_month = has(self.days, of_month);
        let fits = if self.either {
            of_month || of_week
        } else {
            of_month && of_week
        };
        fits && has(self.months, month)
    }
}

impl Field {
    const fn new(name: &'static str, first: u8, last: u8, names: &'static [&'static str]) -> Self {
        Self {
            name,
            first,
            last,
            most: last,
            names,
        }
    }

    fn error(&self, text: &str) -> CronError {
        CronError::Field {
            field: self.name,
            text: text.to_owned(),
            names: if self.names.is_empty() { "" } else { ", names" },
            first: self.first,
            last: self.most,
        }
    }

    /// A set of values, a bit each.
    fn parse(&self, text: &str) -> Option<u64> {
        text.split(',')
            .try_fold(0, |set, item| Some(set | self.item(item)?))
    }

    fn item(&self, item: &str) -> Option<u64> {
        let (values, step) = match item.split_once('/') {
            Some((values, step)) => (values, Some(number(step)?)),
            None => (item, None),
        };
        let (first, last) = match values.split_once('-') {
            _ if values == "*" => (self.first, self.last),
            Some((first, last)) => match (self.value(first)?, self.value(last)?) {
                // Until Sunday.
                (first, 0) if first > 0 && self.most == 7 => (first, 7),
                range => range,
            },
            None if step.is_some() => (self.value(values)?, self.last.max(self.value(values)?)),
            None => (self.value(values)?, self.value(values)?),
        };
        let step = step.unwrap_or(1);
        if first > last || step == 0 || step > self.most {
            return None;
        }
        Some(
            (first..=last)
                .step_by(step.into())
                .fold(0, |set, value| set | 1 << value),
        )
    }

    fn value(&self, text: &str) -> Option<u8> {
        let named = self.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let value = match named {
            Some(i) => self.first + i as u8,
            None => number(text)?,
        };
        (self.first..=self.most).contains(&value).then_some(value)
    }
}

/// One or two digits.
fn number(text: &str) -> Option<u8> {
    let fits = matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| fits)
}

fn has(set: u64, value: u64) -> bool {
    set & 1 << value != 0
}

/// The least value of the set that is at least `value`, which is below 64.
fn from(set: u64, value: u64) -> Option<u64> {
    let rest = set >> value;
    (rest != 0).then(|| value + u64::from(rest.trailing_zeros()))
}

/// Month and day of month, both from 1, of a day since 1970, in the calendar of Gregory.
fn month_and_day(day: u64) -> (u64, u64) {
    // Days since 1 March 0000, in eras of 400 years; months from March on.
    let day = (day + 719_468) % 146_097;
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-26 12:00 UTC, a Thursday.
    const NOON: u64 = 1_795_694_400_000;

    /// Minutes until it is due.
    fn wait(text: &str) -> u64 {
        let next = Schedule::parse(text).unwrap().next_after(NOON).unwrap();
        assert!(Schedule::parse(text).unwrap().matches(next + 59_999));
        (next - NOON) / MINUTE_MS
    }

    #[test]
    fn fields_say_when() {
        let day = DAY_MINUTES;
        for (text, minutes) in [
            ("* * * * *", 1),
            ("*/15 * * * *", 15),
            ("5/20 * * * *", 5),
            ("7,3-5 * * * *", 3),
            ("0 12 * * *", day),
            ("30 9 * * fri", day - 150),
            ("0 12 * * 7", 3 * day),
            ("0 12 * * 0", 3 * day),
            ("0 12 * * 5-7", day),
            ("0 12 * * sat-sun", 2 * day),
            ("0 12 1 dec *", 5 * day),
            ("0 12 1-31/10 * *", 5 * day),
            // Either, as both are restricted.
            ("0 12 28 * mon", 2 * day),
            ("0 12 31 11 mon", 4 * day),
            // 2028.
            ("0 12 29 FEB *", (35 + 365 + 31 + 29) * day),
        ] {
            assert_eq!(wait(text), minutes, "{text}");
        }
    }

    #[test]
    fn a_minute_is_due_once() {
        let schedule = Schedule::parse("* * * * *").unwrap();
        assert_eq!(schedule.next_after(NOON - 1), Some(NOON));
        assert_eq!(schedule.next_after(NOON), Some(NOON + MINUTE_MS));
        assert_eq!(schedule.next_after(NOON + 59_999), Some(NOON + MINUTE_MS));
        assert_eq!(schedule.next_after(u64::MAX), None);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 0 *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "*/60 * * * *",
            "1/ * * * *",
            ", * * * *",
            "1, * * * *",
            "+1 * * * *",
            "001 * * * *",
            "-1 * * * *",
            "1-2-3 * * * *",
            "1/2/3 * * * *",
            "mon * * * *",
            "* * * * monday",
            "* * L * *",
            "* * * * 5#1",
            "? * * * *",
            "** * * * *",
            "*-5 * * * *",
            "é * * * *",
        ] {
            let error = Schedule::parse(text).unwrap_err();
            assert!(matches!(error, CronError::Field { .. }), "{text}: {error}");
            assert_eq!(error.code(), "cron_invalid");
        }
        for (text, fields) in [("", 0), ("* * * *", 4), ("0 * * * * *", 6), ("@daily", 1)] {
            assert_eq!(Schedule::parse(text), Err(CronError::Fields(fields)));
        }
        for text in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
            assert_eq!(Schedule::parse(text), Err(CronError::Never));
        }
        let long = format!("{}* * * * *", " ".repeat(MAX_CRON));
        assert_eq!(Schedule::parse(&long), Err(CronError::TooLong));
    }
}
