//! How fast a rental's SSH sessions may carry bytes: the bandwidth that was rented, in each direction, for all of a rental's
//! connections together.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant, sleep_until};

/// What may come at once after a pause, in time at the full rate.
const BURST: Duration = Duration::from_millis(250);
/// Bits of a Mbit/s, and nanoseconds of a second.
const MEGABIT: u64 = 1_000_000;
const NANOS: u64 = 1_000_000_000;

/// A rental's rate.
#[derive(Debug, Default)]
pub struct Pace {
    /// Mbit/s; zero: none was rented, and none is held.
    mbps: AtomicU32,
    /// From the container, and to it.
    out: Direction,
    into: Direction,
}

/// The moment at which all that was carried would have been carried at the rate.
#[derive(Debug, Default)]
struct Direction(Mutex<Option<Instant>>);

impl Pace {
    /// At this many Mbit/s; zero: as fast as it goes.
    pub fn new(mbps: u32) -> Self {
        let pace = Self::default();
        pace.set(mbps);
        pace
    }

    /// From now on at this rate.
    pub fn set(&self, mbps: u32) {
        self.mbps.store(mbps, Ordering::Relaxed);
    }

    /// Waits until so many bytes may go to the client.
    pub async fn to_client(&self, bytes: usize) {
        self.wait(&self.out, bytes).await;
    }

    /// Waits until so many bytes may go into the container.
    pub async fn to_container(&self, bytes: usize) {
        self.wait(&self.into, bytes).await;
    }

    async fn wait(&self, direction: &Direction, bytes: usize) {
        let mbps = self.mbps.load(Ordering::Relaxed);
        if mbps != 0 {
            let takes = u128::from(NANOS) * 8 * bytes as u128 / u128::from(u64::from(mbps) * MEGABIT);
            let takes = Duration::from_nanos(u64::try_from(takes).unwrap_or(u64::MAX));
            if let Some(until) = direction.take(takes) {
                sleep_until(until).await;
            }
        }
    }
}

impl Direction {
    /// Counts bytes that take so long. `None`: they may go at once.
    fn take(&self, takes: Duration) -> Option<Instant> {
        let now = Instant::now();
        let mut done = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = now.checked_sub(BURST).unwrap_or(now);
        let from = done.map_or(idle, |done| done.max(idle));
        let until = from + takes;
        *done = Some(until);
        (until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_go_at_the_rate_in_each_direction_whoever_carries_them() {
        let pace = Pace::new(8);
        let started = Instant::now();
        // A MB a second, a quarter of one at once.
        let carry = async || {
            for _ in 0..100 {
                pace.to_client(10_000).await;
            }
        };
        tokio::join!(carry(), carry());
        let seconds = started.elapsed().as_secs_f64();
        assert!((1.7..1.8).contains(&seconds), "{seconds}");
        let started = Instant::now();
        pace.to_container(250_000).await;
        assert_eq!(
            started.elapsed(),
            Duration::ZERO,
            "the other direction has its own"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_saves_up_no_more_than_a_moment() {
        let pace = Pace::new(8);
        pace.to_client(1_000_000).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let started = Instant::now();
        pace.to_client(1_250_000).await;
        assert_eq!(started.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nothing_waits_and_a_new_rate_holds_at_once() {
        let pace = Pace::new(0);
        let started = Instant::now();
        pace.to_client(usize::MAX).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        pace.set(u32::MAX);
        pace.to_client(1_000_000).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        pace.set(1);
        pace.to_client(1_000_000).await;
        assert!(started.elapsed() >= Duration::from_secs(7));
    }
}
