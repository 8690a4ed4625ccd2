//! Lines as `ls -l` shows them, which clients print as they are.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: i64 = 24 * 60 * 60;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The line of a file. Owners are numbers, times UTC.
pub(super) fn line(name: &OsStr, found: &Metadata) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs() as i64);
    let text = format!(
        "{} {:>4} {:<8} {:<8} {:>8} {} ",
        mode(found.mode()),
        found.nlink(),
        found.uid(),
        found.gid(),
        found.size(),
        date(found.mtime(), now),
    );
    let mut line = text.into_bytes();
    line.extend(name.as_bytes());
    line
}

fn mode(mode: u32) -> String {
    let kind = match mode & libc::S_IFMT {
        libc::S_IFDIR => 'd',
        libc::S_IFLNK => 'l',
        libc::S_IFCHR => 'c',
        libc::S_IFBLK => 'b',
        libc::S_IFIFO => 'p',
        libc::S_IFSOCK => 's',
        _ => '-',
    };
    let bit = |mask: u32, letter: char| if mode & mask != 0 { letter } else { '-' };
    let run = |run: u32, special: u32, both: char, alone: char| match (mode & run, mode & special) {
        (0, 0) => '-',
        (_, 0) => 'x',
        (0, _) => alone,
        _ => both,
    };
    [
        kind,
        bit(0o400, 'r'),
        bit(0o200, 'w'),
        run(0o100, 0o4000, 's', 'S'),
        bit(0o40, 'r'),
        bit(0o20, 'w'),
        run(0o10, 0o2000, 's', 'S'),
        bit(0o4, 'r'),
        bit(0o2, 'w'),
        run(0o1, 0o1000, 't', 'T'),
    ]
    .iter()
    .collect()
}

/// With the time of day for the last half year, else with the year.
fn date(time: i64, now: i64) -> String {
    let (year, month, day) = civil(time.div_euclid(DAY));
    let month = MONTHS[month as usize - 1];
    if time > now || now - time > 182 * DAY {
        return format!("{month} {day:>2}  {year:>4}");
    }
    let minutes = time.rem_euclid(DAY) / 60;
    format!("{month} {day:>2} {:02}:{:02}", minutes / 60, minutes % 60)
}

/// Year, month and day of a day since 1970, by the Gregorian calendar. In years that start on 1 March, leap days are last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_shown_as_ls_shows_them() {
        for (bits, text) in [
            (0o100644, "-rw-r--r--"),
            (0o041777, "drwxrwxrwt"),
            (0o104755, "-rwsr-xr-x"),
            (0o102640, "-rw-r-S---"),
            (0o120777, "lrwxrwxrwx"),
            (0o010000, "p---------"),
        ] {
            assert_eq!(mode(bits), text);
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        // By `date -u -d @N`.
        for (time, text) in [
            (0, "Jan  1  1970"),
            (951_782_400, "Feb 29  2000"),
            (4_107_542_399, "Feb 28  2100"),
            (4_107_542_400, "Mar  1  2100"),
            (-1, "Dec 31  1969"),
        ] {
            assert_eq!(date(time, i64::MAX / 2), text);
        }
        assert_eq!(date(1_700_000_000, 1_700_000_001), "Nov 14 22:13");
        assert_eq!(date(1_700_000_000, 1_699_999_999), "Nov 14  2023");
    }
}
