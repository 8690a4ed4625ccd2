//! How much of the front's time one process may take with messages that come without a pause: bodies of long answers, and
//! lines of logs. The front is everybody's, and reads for one owner at others' expense.

use std::time::Duration;

use tokio::time::Instant;

/// Of the time in which one process is read from without a pause, this is left to others for each part that is taken.
const REST: u32 = 31;
/// Rest that may be owed: what comes in a burst, such as one long answer, is taken as fast as it comes.
const BURST: Duration = Duration::from_millis(250);
/// Longest rest at a time: a read may have taken so long because the machine has too much to do.
const LONGEST: Duration = Duration::from_millis(50);

/// What is owed by one process.
pub(crate) struct Pace {
    owed: Duration,
    since: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            owed: Duration::ZERO,
            since: now,
        }
    }

    /// Counts a read of much, which took so long. How long nothing is to be read then.
    pub(crate) fn rest_after(&mut self, now: Instant, took: Duration) -> Option<Duration> {
        let rested = now.saturating_duration_since(self.since);
        self.owed = self
            .owed
            .saturating_sub(rested)
            .saturating_add(took.saturating_mul(REST));
        self.since = now;
        let rest = self.owed.saturating_sub(BURST).min(LONGEST);
        (!rest.is_zero()).then(|| {
            self.owed = self.owed.min(BURST + LONGEST);
            rest
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Duration = Duration::from_micros(25);

    /// Reads for a while without a pause but those that are asked for; how long it read.
    fn read_for(pace: &mut Pace, now: &mut Instant, time: Duration) -> Duration {
        let (end, mut read) = (*now + time, Duration::ZERO);
        while *now < end {
            *now += READ;
            read += READ;
            *now += pace.rest_after(*now, READ).unwrap_or_default();
        }
        read
    }

    #[test]
    fn a_burst_is_read_at_once() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        // 16 MiB in reads of 64 KiB.
        for _ in 0..256 {
            now += READ;
            assert_eq!(pace.rest_after(now, READ), None);
        }
    }

    #[test]
    fn a_flood_takes_its_part_of_the_time_and_no_more() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        read_for(&mut pace, &mut now, Duration::from_secs(1));
        let ten = Duration::from_secs(10);
        let share = read_for(&mut pace, &mut now, ten).as_secs_f64() / ten.as_secs_f64();
        assert!((0.03..0.04).contains(&share), "{share}");
        // Who was quiet for a moment has a burst again.
        now += Duration::from_secs(1);
        assert_eq!(pace.rest_after(now, READ), None);
    }

    #[test]
    fn one_read_that_took_for_ever_does_not_close_the_channel() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        assert_eq!(pace.rest_after(now, Duration::MAX / 8), Some(LONGEST));
        let next = pace.rest_after(now + LONGEST, READ).unwrap_or_default();
        assert!(next <= LONGEST);
        let later = now + LONGEST + BURST + LONGEST;
        assert_eq!(pace.rest_after(later, READ), None);
    }
}
