//! Serverless workers: who deployed what, and what happens to a request on 4020.
//!
//! An owner's signed request → [`api`] → [`change`] (one change at a time: checked, stored, then seen by all) →
//! [`super::storage`]. A request to a worker → [`api`] → [`directory`] (which worker) → [`invoke`] (its events become an answer, log
//! lines and numbers) → the owner's process. [`cron`] wakes workers by the chain's clock.
//!
//! Code, variables and secrets are read when a worker is loaded and not kept here: what isn't running costs a short record.

mod api;
mod change;
pub(super) mod code;
mod cron;
mod directory;
mod failure;
mod fields;
mod invoke;
mod logs;
mod metrics;
pub(super) mod outbound;
pub(super) mod processes;
mod secrets;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::error::Unspecified;
use jeju_attestation::launch::workers::Workers as Config;
use jeju_session::hpke::KeyPair;
use jeju_store::SealingKey;
use jeju_worker_broker::BoxFuture;
use jeju_worker_protocol::api::CronRun;
use jeju_worker_protocol::{Failure, Load};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::blobs::Blobs;
use crate::newest::NewestTime;

use super::storage::{Layout, Storage};

use self::directory::Directory;
use self::logs::LogStore;
use self::metrics::MetricsStore;
use self::processes::Processes;
use self::worker::Worker;

pub(super) use self::api::route;

/// Workers' stores, of which code, variables and secrets are read when they are needed.
const LAYOUT: Layout = Layout {
    name: "workers",
    is_short: |name| name.as_str().starts_with("w-") || name.as_str() == "cron",
};

/// Answers longer than a piece, of up to 10 MiB each, that are kept at a time.
const ANSWERS: usize = 48;

/// What requests about workers can reach.
pub(super) struct Workers {
    config: Config,
    directory: Mutex<Directory>,
    storage: Storage<Effect>,
    /// Held while something changes.
    changing: tokio::sync::Mutex<()>,
    logs: LogStore,
    metrics: MetricsStore,
    /// The last scheduled run of each worker.
    runs: Mutex<HashMap<String, CronRun>>,
    /// The instant up to which schedules were looked at, in milliseconds since 1970.
    fired: Mutex<Option<u64>>,
    followers: Arc<Mutex<HashMap<[u8; 20], usize>>>,
    processes: Arc<Processes>,
    code: Arc<dyn CodeSource>,
    hpke: Arc<KeyPair>,
    time: Clock,
    /// What the clock said last, and when.
    told: Mutex<Option<(u64, Instant)>>,
    /// Places of long answers.
    answers: Arc<Semaphore>,
    /// The number that whatever is loaded next has.
    revision: AtomicU32,
}

/// What a change means to the directory.
#[derive(Clone)]
enum Effect {
    Put(Box<Worker>),
    Remove(String),
    Nothing,
}

/// Reads what a worker is loaded with.
pub(super) type LoadWorker = Box<dyn Fn() -> BoxFuture<'static, Result<Load, Failure>> + Send + Sync>;

/// Gets code from elsewhere.
pub(super) trait CodeSource: Send + Sync {
    /// The text at a URL, fetched for an owner; what it is worth is for the caller to see.
    fn fetch<'a>(&'a self, owner: &'a [u8; 20], url: &'a str) -> BoxFuture<'a, Result<String, Failure>>;

    /// What the registry says of a worker.
    fn registered<'a>(&'a self, id: &'a [u8; 32]) -> BoxFuture<'a, Result<Registered, Failure>>;
}

/// What the registry says of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registered {
    pub(super) owner: [u8; 20],
    /// Of its current version.
    pub(super) code_hash: [u8; 32],
    /// Where that version lies, where the owner said so.
    pub(super) code_url: Option<String>,
}

/// What tells the time.
pub(super) enum Clock {
    /// The newest block, and what was counted since.
    Chain(NewestTime),
    /// A test, in milliseconds since 1970.
    #[cfg(test)]
    Set(Arc<std::sync::atomic::AtomicU64>),
}

/// What workers are run with.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) blobs: Blobs,
    pub(super) sealing: Option<SealingKey>,
    pub(super) processes: Arc<Processes>,
    pub(super) code: Arc<dyn CodeSource>,
    pub(super) hpke: Arc<KeyPair>,
    pub(super) time: Clock,
}

impl Workers {
    /// Reads what is deployed.
    ///
    /// # Errors
    /// Where there are no random numbers.
    pub(super) async fn open(parts: Parts) -> Result<Arc<Self>, Unspecified> {
        let mut found: Vec<Worker> = Vec::new();
        let mut fired = None;
        let storage = Storage::open(LAYOUT, parts.blobs, parts.sealing, |_, record| {
            match record.name.as_str() {
                "cron" => fired = worker::decode::<u64>(&record.value),
                _ => found.extend(worker::decode::<Worker>(&record.value)),
            }
        })
        .await
        .map_err(|_| Unspecified)?;
        found.sort_by_key(|worker| (worker.created, worker.key));
        let revision = found.iter().map(|worker| worker.revision).max().unwrap_or(0) + 1;
        let mut directory = Directory::default();
        for worker in found {
            // A host may bring an older state of some owners back: what was there first stays.
            if directory.get(&worker.id).is_none() {
                directory.put(worker);
            }
        }
        Ok(Arc::new(Self {
            config: parts.config,
            directory: Mutex::new(directory),
            storage,
            changing: tokio::sync::Mutex::default(),
            logs: LogStore::default(),
            metrics: MetricsStore::default(),
            runs: Mutex::default(),
            fired: Mutex::new(fired),
            followers: Arc::default(),
            processes: parts.processes,
            revision: AtomicU32::new(revision),
            code: parts.code,
            hpke: parts.hpke,
            time: parts.time,
            told: Mutex::default(),
            answers: Arc::new(Semaphore::new(ANSWERS)),
        }))
    }

    /// Begins to wake workers by their schedules.
    pub(super) fn keep_schedules(self: &Arc<Self>) {
        tokio::spawn(cron::run(Arc::downgrade(self)));
    }

    fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another number for everything that a process loads, also for what is never stored.
    fn next_revision(&self) -> u32 {
        self.revision.fetch_add(1, Relaxed)
    }

    /// Milliseconds since 1970, at least; `None` where no block could be read yet.
    async fn now(&self) -> Option<u64> {
        let now = match &self.time {
            Clock::Chain(time) => time.now().await?.saturating_mul(1000),
            #[cfg(test)]
            Clock::Set(ms) => ms.load(Relaxed),
        };
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Instant::now()));
        Some(now)
    }

    /// The same, without waiting for the chain: what was read last, and what was counted since. 0 before the first reading.
    fn about_now(&self) -> u64 {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.map_or(0, |(ms, at)| ms.saturating_add(at.elapsed().as_millis() as u64))
    }

    fn apply(&self, effect: Effect) {
        match effect {
            Effect::Put(worker) => self.directory().put(*worker),
            Effect::Remove(id) => {
                self.directory().remove(&id);
                self.logs.remove(&id);
                self.metrics.remove(&id);
                let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
                runs.remove(&id);
            }
            Effect::Nothing => {}
        }
    }
}
