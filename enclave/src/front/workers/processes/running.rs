//! One owner's process: the code that it has, and whose turn it is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use jeju_worker_broker::{Loaded, Process};
use jeju_worker_protocol::{Failure, Limits, Load};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::{Processes, QUEUE_WAIT, WorkerKey, overloaded};
use crate::ipc::spawner::ProcessId;

/// Most events of an owner at a time.
const OWNER_TURNS: usize = 64;
/// Events of one worker that wait for their turn, for each that runs.
const WAITING_PER_TURN: usize = 16;
/// Most versions of workers whose code a process has.
const MAX_VERSIONS: usize = 64;

/// An owner's process.
pub(super) struct Running {
    owner: [u8; 20],
    id: ProcessId,
    process: Process,
    turns: Arc<Semaphore>,
    versions: Mutex<HashMap<WorkerKey, Arc<Loading>>>,
    started: Instant,
    use_: Mutex<Use>,
}

/// Whether a process is in use.
struct Use {
    leases: usize,
    /// When the last lease ended.
    since: Instant,
}

/// One version of a worker, from the moment when somebody asked for it.
struct Loading {
    version: OnceCell<Arc<Version>>,
    last_used: Mutex<Instant>,
}

/// One version of a worker, which the process has taken.
pub(super) struct Version {
    pub(super) loaded: Loaded,
    pub(super) limits: Limits,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// An event's turns among those of its worker and of its owner.
pub(super) type Turns = [OwnedSemaphorePermit; 2];

/// Keeps a process from being idle.
pub(super) struct Lease {
    running: Arc<Running>,
    processes: Weak<Processes>,
}

impl Running {
    pub(super) fn new(owner: [u8; 20], id: ProcessId, process: Process) -> Self {
        let since = Instant::now();
        Self {
            owner,
            id,
            process,
            turns: Arc::new(Semaphore::new(OWNER_TURNS)),
            versions: Mutex::default(),
            started: since,
            use_: Mutex::new(Use { leases: 0, since }),
        }
    }

    pub(super) fn owner(&self) -> &[u8; 20] {
        &self.owner
    }

    pub(super) fn id(&self) -> ProcessId {
        self.id
    }

    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Since when nothing runs; `None` while something does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let in_use = self.in_use();
        (in_use.leases == 0).then_some(in_use.since)
    }

    /// A version, which is loaded where it isn't, and with `turns` those of one event.
    ///
    /// # Errors
    /// What `load` or the process says; too many events wait, or one waited for too long.
    pub(super) async fn ready<L, F>(
        &self,
        who: &WorkerKey,
        load: &L,
        turns: bool,
    ) -> Result<(Arc<Version>, Option<Turns>), Failure>
    where
        L: Fn() -> F + Send + Sync,
        F: Future<Output = Result<Load, Failure>> + Send,
    {
        let version = self.version(who, load).await?;
        let turns = match turns {
            true => Some([version.turn().await?, turn_of(&self.turns).await?]),
            false => None,
        };
        Ok((version, turns))
    }

    /// Of several who ask at a time one loads it.
    async fn version<L, F>(&self, who: &WorkerKey, load: &L) -> Result<Arc<Version>, Failure>
    where
        L: Fn() -> F + Send + Sync,
        F: Future<Output = Result<Load, Failure>> + Send,
    {
        let loading = self.loading(who);
        let version = loading.version.get_or_try_init(|| async {
            let load = load().await?;
            let (limits, turns) = (load.limits.clone(), usize::from(load.max_concurrent.max(1)));
            let loaded = self.process.load(load).await?;
            self.drop_others(who);
            Ok(Arc::new(Version {
                loaded,
                limits,
                turns: Arc::new(Semaphore::new(turns)),
                waiting: AtomicUsize::new(0),
                most_waiting: turns * WAITING_PER_TURN,
            }))
        });
        version.await.cloned()
    }

    fn loading(&self, who: &WorkerKey) -> Arc<Loading> {
        let mut versions = self.versions();
        let loading = versions.entry(who.clone()).or_insert_with(|| {
            Arc::new(Loading {
                version: OnceCell::new(),
                last_used: Mutex::new(Instant::now()),
            })
        });
        *loading.last_used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        loading.clone()
    }

    /// Takes back code that is in nobody's use: of other versions of the same worker, and of what was used least where
    /// there is too much.
    fn drop_others(&self, who: &WorkerKey) {
        let mut versions = self.versions();
        let mut unused: Vec<(WorkerKey, Instant)> = versions
            .iter()
            .filter(|(key, loading)| *key != who && loading.is_unused())
            .map(|(key, loading)| {
                let used = *loading.last_used.lock().unwrap_or_else(PoisonError::into_inner);
                (key.clone(), used)
            })
            .collect();
        unused.sort_by_key(|(key, used)| (key.id != who.id, *used));
        for (key, _) in unused {
            if key.id != who.id && versions.len() <= MAX_VERSIONS {
                break;
            }
            if let Some(version) = versions.remove(&key).and_then(|gone| gone.version.get().cloned()) {
                self.process.unload(version.loaded.worker);
            }
        }
    }

    fn versions(&self) -> MutexGuard<'_, HashMap<WorkerKey, Arc<Loading>>> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_use(&self) -> MutexGuard<'_, Use> {
        self.use_.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loading {
    /// Nobody loads it, waits for it or runs it.
    fn is_unused(self: &Arc<Self>) -> bool {
        let version = self.version.get();
        Arc::strong_count(self) == 1 && version.is_none_or(|version| Arc::strong_count(version) == 1)
    }
}

impl Version {
    /// A turn of the worker.
    ///
    /// # Errors
    /// Too many wait, or it took too long.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(turn) = self.turns.clone().try_acquire_owned() {
            return Ok(turn);
        }
        let _waiting = Waiting::new(&self.waiting, self.most_waiting)?;
        turn_of(&self.turns).await
    }
}

async fn turn_of(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    match timeout(QUEUE_WAIT, turns.clone().acquire_owned()).await {
        Ok(Ok(turn)) => Ok(turn),
        Ok(Err(_)) | Err(_) => Err(overloaded()),
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize, most: usize) -> Result<Self, Failure> {
        let waiting = Self(count);
        match count.fetch_add(1, Ordering::Relaxed) < most {
            true => Ok(waiting),
            false => Err(overloaded()),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lease {
    /// Must be called while no one else can take the process for an idle one.
    pub(super) fn new(running: Arc<Running>, processes: Weak<Processes>) -> Self {
        running.in_use().leases += 1;
        Self { running, processes }
    }

    pub(super) fn running(&self) -> &Arc<Running> {
        &self.running
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let is_idle = {
            let mut in_use = self.running.in_use();
            in_use.leases -= 1;
            in_use.since = Instant::now();
            in_use.leases == 0
        };
        if is_idle && let Some(processes) = self.processes.upgrade() {
            processes.rest(&self.running);
        }
    }
}
