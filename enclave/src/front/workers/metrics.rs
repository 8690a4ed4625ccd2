//! What workers did since the node started. Percentiles are exact, over the last [`WINDOW`] requests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jeju_worker_protocol::Usage;
use jeju_worker_protocol::api::Metrics as MetricsNumbers;

/// Requests over which percentiles are taken.
const WINDOW: usize = 1024;

/// Numbers of all workers that did something.
#[derive(Default)]
pub(super) struct MetricsStore(Mutex<HashMap<String, Counters>>);

#[derive(Default)]
struct Counters {
    requests: u64,
    errors: u64,
    scheduled: u64,
    scheduled_errors: u64,
    cold: u64,
    events: u64,
    wall_us: u64,
    cpu_us: u64,
    memory: u64,
    last: Option<u64>,
    /// Microseconds of the last requests; grows up to [`WINDOW`], then the oldest is overwritten.
    durations: Vec<u32>,
}

/// What an event was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Scheduled,
}

impl MetricsStore {
    /// Counts an event that began at `time`, in milliseconds since 1970.
    pub(super) fn record(&self, worker: &str, kind: Kind, time: u64, usage: &Usage, failed: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = all.entry(worker.to_owned()).or_default();
        counters.events += 1;
        counters.cold += u64::from(usage.cold);
        counters.wall_us = counters.wall_us.saturating_add(usage.wall_us);
        counters.cpu_us = counters.cpu_us.saturating_add(usage.cpu_us);
        counters.memory = counters.memory.saturating_add(usage.memory);
        match kind {
            Kind::Scheduled => {
                counters.scheduled += 1;
                counters.scheduled_errors += u64::from(failed);
            }
            Kind::Request => {
                let place = (counters.requests % WINDOW as u64) as usize;
                let duration = u32::try_from(usage.wall_us).unwrap_or(u32::MAX);
                match counters.durations.get_mut(place) {
                    Some(oldest) => *oldest = duration,
                    None => counters.durations.push(duration),
                }
                counters.requests += 1;
                counters.errors += u64::from(failed);
                counters.last = Some(time);
            }
        }
    }

    pub(super) fn read(&self, worker: &str) -> MetricsNumbers {
        let worker_id = worker.to_owned();
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(counters) = all.get(worker) else {
            return MetricsNumbers {
                worker_id,
                ..MetricsNumbers::default()
            };
        };
        let mut durations = counters.durations.clone();
        durations.sort_unstable();
        let mean = |sum: u64, unit: f64| round(sum as f64 / counters.events.max(1) as f64 / unit);
        MetricsNumbers {
            worker_id,
            total_requests: counters.requests,
            total_errors: counters.errors,
            avg_duration_ms: mean(counters.wall_us, 1e3),
            p50_duration_ms: percentile(&durations, 50),
            p99_duration_ms: percentile(&durations, 99),
            avg_memory_mb: mean(counters.memory, f64::from(1 << 20)),
            avg_cpu_ms: mean(counters.cpu_us, 1e3),
            last_invoked: counters.last,
            cold_starts: counters.cold,
            scheduled_runs: counters.scheduled,
            scheduled_errors: counters.scheduled_errors,
        }
    }

    /// Forgets a worker's.
    pub(super) fn remove(&self, worker: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(worker);
    }
}

/// The smallest duration that `percent` of all don't exceed, in milliseconds.
fn percentile(sorted: &[u32], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    let found = rank.checked_sub(1).and_then(|place| sorted.get(place));
    round(found.map_or(0.0, |us| f64::from(*us) / 1e3))
}

/// To a thousandth.
pub(super) fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(wall_us: u64) -> Usage {
        Usage {
            wall_us,
            cpu_us: wall_us / 2,
            memory: 3 << 20,
            cold: wall_us == 1000,
        }
    }

    #[test]
    fn percentiles_are_those_of_the_last_requests() {
        let metrics = MetricsStore::default();
        assert_eq!(metrics.read("a").p99_duration_ms, 0.0);
        for i in 1..=100 {
            metrics.record("a", Kind::Request, i, &usage(i * 1000), i % 10 == 0);
        }
        metrics.record("a", Kind::Scheduled, 7, &usage(1_000_000), true);
        let read = metrics.read("a");
        assert_eq!((read.p50_duration_ms, read.p99_duration_ms), (50.0, 99.0));
        assert_eq!((read.total_requests, read.total_errors), (100, 10));
        assert_eq!((read.scheduled_runs, read.scheduled_errors), (1, 1));
        assert_eq!((read.last_invoked, read.cold_starts), (Some(100), 1));
        assert_eq!(read.avg_memory_mb, 3.0);
        assert_eq!(read.avg_duration_ms, 59.901);
        assert_eq!(metrics.read("b").total_requests, 0);
        // All of the window is newer now.
        for i in 0..WINDOW as u64 {
            metrics.record("a", Kind::Request, i, &usage(7000), false);
        }
        assert_eq!(metrics.read("a").p99_duration_ms, 7.0);
        metrics.remove("a");
        assert_eq!(metrics.read("a").total_requests, 0);
    }

    #[test]
    fn one_request_is_all_percentiles() {
        assert_eq!(percentile(&[7000], 50), 7.0);
        assert_eq!(percentile(&[7000], 99), 7.0);
        assert_eq!(percentile(&[], 99), 0.0);
        assert_eq!(percentile(&[1000, 2000, 3000], 50), 2.0);
    }
}
