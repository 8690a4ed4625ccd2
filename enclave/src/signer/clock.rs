//! The time as the signer has it: the interval that the front tells, carried on by this machine's own counter, and never
//! turned back.

use std::time::Instant;

use jeju_mpc::time::Interval;

/// What the front told last.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    told: Interval,
    at: Instant,
}

impl Clock {
    /// Starts with what the front says at `now`.
    pub fn new(told: Interval, now: Instant) -> Clock {
        Clock { told, at: now }
    }

    /// What the front says later. The lower end never goes back: a front that lies can't make an expired request young
    /// again. The upper end may, since it grows with the counter until the front has read a newer block.
    pub fn tell(&mut self, told: Interval, now: Instant) {
        let lower = self.now(now).lower.max(told.lower);
        let upper = told.upper.max(lower);
        *self = Clock::new(Interval { lower, upper }, now);
    }

    /// The interval in which the present lies.
    pub fn now(&self, now: Instant) -> Interval {
        let elapsed = now.saturating_duration_since(self.at).as_secs();
        Interval {
            lower: self.told.lower.saturating_add(elapsed),
            upper: self.told.upper.saturating_add(elapsed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_goes_on_and_never_back() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let interval = |lower, upper| Interval { lower, upper };
        let mut clock = Clock::new(interval(100, 120), start);
        assert_eq!(clock.now(at(5)), interval(105, 125));
        clock.tell(interval(50, 60), at(10));
        assert_eq!(clock.now(at(10)), interval(110, 110));
        clock.tell(interval(200, 230), at(10));
        assert_eq!(clock.now(at(11)), interval(201, 231));
        clock.tell(interval(u64::MAX, u64::MAX), at(12));
        assert_eq!(clock.now(at(90)), interval(u64::MAX, u64::MAX));
        assert_eq!(
            clock.now(start),
            interval(u64::MAX, u64::MAX),
            "a counter that stands"
        );
    }
}
