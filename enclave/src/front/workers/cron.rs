//! Wakes workers by their schedules.
//!
//! The clock is the chain's: the newest block's time, and what this machine counted since. Each minute that a schedule names
//! runs once. Before anything runs, the store learns up to which minute schedules were looked at: a node that is cut off may
//! leave a run out, and never runs one twice. Of the minutes that passed while nobody looked (the node was off, or the chain
//! couldn't be read), the newest within [`MISSED`] runs, once.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use jeju_store::{Change, RecordName};
use jeju_worker_protocol::{Schedule, ScheduledEvent};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::change::Refusal;
use super::processes::{ALL_OVERLOADED, OVERLOADED};
use super::worker::{Worker, encode};
use super::{Effect, Workers};

/// How often schedules are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long ago a missed minute may be, in milliseconds.
const MISSED: u64 = 60 * 60 * 1000;
const MINUTE: u64 = 60 * 1000;
/// Scheduled runs at a time.
const RUNS: usize = 64;
/// How often a run is tried again that finds no place, and how long after.
const TRIES: u32 = 15;
const AGAIN: Duration = Duration::from_secs(2);
/// Whose store has the record.
const RECORD: &str = "cron";
const SHARD: usize = 0;

/// Goes on for as long as there are workers.
pub(super) async fn run(workers: Weak<Workers>) {
    let places = Arc::new(Semaphore::new(RUNS));
    while let Some(workers) = workers.upgrade() {
        if let Some(now) = workers.now().await {
            workers.wake_due(now, &places).await;
        }
        drop(workers);
        sleep(LOOK).await;
    }
}

impl Workers {
    /// Starts what is due at `now`, in milliseconds since 1970. What runs.
    pub(super) async fn wake_due(self: &Arc<Self>, now: u64, places: &Arc<Semaphore>) -> Vec<JoinHandle<()>> {
        let last = *self.fired.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now - now % MINUTE;
        if last.is_some_and(|last| last >= minute) {
            return Vec::new();
        }
        let due: Vec<_> = {
            let directory = self.directory();
            let running = directory.scheduled().filter(|(worker, _)| !worker.paused);
            let due = running.filter_map(|(worker, schedule)| {
                let after = last.unwrap_or(worker.cron_since).max(worker.cron_since);
                Some((worker.clone(), newest_due(schedule, after, now)?))
            });
            due.collect()
        };
        if !due.is_empty() && self.remember(minute).await.is_err() {
            // Nothing runs that could run twice. It is looked at again soon.
            return Vec::new();
        }
        *self.fired.lock().unwrap_or_else(PoisonError::into_inner) = Some(minute);
        let runs = due.into_iter().map(|(worker, scheduled_time)| {
            let (workers, places) = (self.clone(), places.clone());
            tokio::spawn(async move {
                let Ok(_place) = places.acquire_owned().await else {
                    return;
                };
                workers.run_scheduled(worker, scheduled_time).await;
            })
        });
        runs.collect()
    }

    async fn remember(&self, minute: u64) -> Result<(), Refusal> {
        let _changing = self.changing.lock().await;
        if let Some(effect) = self.storage.settle(SHARD).await? {
            self.apply(effect);
        }
        let change = Change::Put {
            name: RecordName::new(RECORD).expect("letters"),
            value: encode(&minute)?,
        };
        self.storage.commit(SHARD, vec![change], Effect::Nothing).await?;
        Ok(())
    }

    /// Runs a worker's `scheduled`, and tries again where there is no place for it.
    async fn run_scheduled(self: &Arc<Self>, worker: Arc<Worker>, scheduled_time_ms: u64) {
        let cron = worker.cron.clone().unwrap_or_default();
        for _ in 0..TRIES {
            let event = ScheduledEvent {
                cron: cron.clone(),
                scheduled_time_ms,
            };
            let execution = self.invoke_scheduled(&worker, event, false).await;
            let overloaded = [OVERLOADED, ALL_OVERLOADED];
            match execution.code.as_deref() {
                Some(code) if overloaded.contains(&code) => sleep(AGAIN).await,
                _ => return,
            }
        }
    }
}

/// The newest minute that a schedule names, after `after` and not after `now`.
fn newest_due(schedule: Schedule, after: u64, now: u64) -> Option<u64> {
    let after = after.max(now.saturating_sub(MISSED));
    let minutes = (after / MINUTE + 1)..=(now / MINUTE);
    minutes
        .rev()
        .map(|minute| minute * MINUTE)
        .find(|ms| schedule.matches(*ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01T00:00Z, a Thursday.
    const START: u64 = 1_767_225_600_000;

    fn due(cron: &str, after_minutes: u64, now_minutes: u64) -> Option<u64> {
        let schedule = Schedule::parse(cron).unwrap();
        let newest = newest_due(
            schedule,
            START + after_minutes * MINUTE,
            START + now_minutes * MINUTE + 30_000,
        );
        newest.map(|ms| {
            assert_eq!(ms % MINUTE, 0);
            (ms - START) / MINUTE
        })
    }

    #[test]
    fn a_minute_is_due_once() {
        assert_eq!(due("* * * * *", 4, 5), Some(5));
        assert_eq!(due("* * * * *", 5, 5), None);
        assert_eq!(due("*/15 * * * *", 14, 15), Some(15));
        assert_eq!(due("*/15 * * * *", 15, 16), None);
    }

    #[test]
    fn of_missed_minutes_the_newest_within_an_hour_runs() {
        assert_eq!(due("*/15 * * * *", 0, 50), Some(45));
        assert_eq!(due("* * * * *", 0, 5000), Some(5000));
        assert_eq!(due("0 0 * * *", 1, 24 * 60 + 59), Some(24 * 60));
        assert_eq!(due("0 0 * * *", 1, 25 * 60 + 1), None, "more than an hour ago");
    }
}
