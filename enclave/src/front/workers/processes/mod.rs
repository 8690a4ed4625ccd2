//! A process for each owner whose workers run: started when the first event comes, ended when none came for a while, or
//! when another owner needs its place, or at once when it doesn't keep to the protocol.
//!
//! An event waits for its turn three times: for the process where there are as many as there may be, for the worker's
//! code to be taken, and for one of the turns that worker and owner have. Each of these is bounded and goes by order of
//! arrival.
//!
//! | module | what it holds |
//! |---|---|
//! | `owners` | who has a process, who is idle, who may start one |
//! | `running` | one process: its code, and turns |

mod owners;
mod running;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jeju_worker_broker::{Body, Call, CallContext, Outbound, Process};
use jeju_worker_protocol::{Event, Failure, Handlers, Load, code};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use self::owners::Owners;
use self::running::{Lease, Running, Turns, Version};
use crate::ipc::spawner::Spawner;

/// Too much is asked of one owner's workers: wait and ask again.
pub(in crate::front) const OVERLOADED: &str = "worker_overloaded";
/// Too many owners' workers are asked for.
pub(in crate::front) const ALL_OVERLOADED: &str = "workers_overloaded";

/// How long an event waits for its turn.
const QUEUE_WAIT: Duration = Duration::from_secs(30);
/// How long an owner waits for a process: a little longer than an event of another takes, whose process has to go.
const PROCESS_WAIT: Duration = Duration::from_secs(45);
/// How long a process is kept from owners who wait for one, if events follow each other in it.
const TENURE: Duration = Duration::from_secs(10);
/// How long a process is kept without an event.
const IDLE: Duration = Duration::from_secs(60);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often PID 1 is asked again where it isn't done yet with processes that were ended.
const START_TRIES: u32 = 40;
const START_AGAIN: Duration = Duration::from_millis(50);
/// Processes that an event is tried with, where each ends before the event has begun.
const TRIES: u32 = 3;

/// All owners' processes.
pub(in crate::front) struct Processes {
    owners: Owners,
    spawner: Spawner,
    outbound: Arc<dyn Outbound>,
    /// One for each process that there may be.
    places: Arc<Semaphore>,
}

/// One version of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::front) struct WorkerKey {
    /// The owner's account.
    pub(in crate::front) owner: [u8; 20],
    /// The worker's id.
    pub(in crate::front) id: String,
    /// A number that is another one for anything that is loaded anew.
    pub(in crate::front) version: u32,
}

impl Processes {
    /// At most `most` processes at a time. Must be called inside a tokio runtime.
    pub(in crate::front) fn new(spawner: Spawner, most: u16, outbound: Arc<dyn Outbound>) -> Arc<Self> {
        let processes = Arc::new(Self {
            owners: Owners::default(),
            spawner,
            outbound,
            places: Arc::new(Semaphore::new(most.into())),
        });
        let weak = Arc::downgrade(&processes);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(processes) = weak.upgrade() else {
                    return;
                };
                for idle in processes.owners.take_idle(Instant::now(), IDLE) {
                    processes.end(&idle);
                }
                processes.make_room();
            }
        });
        processes
    }

    /// Runs an event. `load` reads the code, where the owner's process doesn't have it.
    ///
    /// # Errors
    /// [`OVERLOADED`], [`ALL_OVERLOADED`], what `load` says, what the process says of the code, or
    /// [`code::CRASHED`](jeju_worker_protocol::code::CRASHED).
    pub(in crate::front) async fn call<L, F>(
        self: &Arc<Self>,
        who: &WorkerKey,
        load: L,
        event: Event,
        body: Option<Body>,
    ) -> Result<Call, Failure>
    where
        L: Fn() -> F + Send + Sync,
        F: Future<Output = Result<Load, Failure>> + Send,
    {
        let _waits = self.owners.wait(&who.owner)?;
        let (lease, version, turns) = self.ready(who, &load, true).await?;
        let context = Arc::new(CallContext {
            owner: who.owner,
            worker: who.id.clone(),
            version: who.version,
        });
        let process = lease.running().process();
        let call = process.call(context, version.loaded.worker, event, body, &version.limits);
        call.hold(Box::new((turns, version, lease)));
        Ok(call)
    }

    /// Has the owner's process take the code, and says what it can do.
    ///
    /// # Errors
    /// As [`Processes::call`].
    pub(in crate::front) async fn check<L, F>(
        self: &Arc<Self>,
        who: &WorkerKey,
        load: L,
    ) -> Result<Handlers, Failure>
    where
        L: Fn() -> F + Send + Sync,
        F: Future<Output = Result<Load, Failure>> + Send,
    {
        let _waits = self.owners.wait(&who.owner)?;
        let (_lease, version, _) = self.ready(who, &load, false).await?;
        Ok(version.loaded.handlers)
    }

    /// How many owners have a process.
    #[cfg(test)]
    pub(in crate::front) fn count(&self) -> usize {
        self.owners.running()
    }

    /// A process that has the code, and with `turns` the event's turns in it. Where it ends before that is so, nothing has
    /// begun that could be lost: the next one has it.
    async fn ready<L, F>(
        self: &Arc<Self>,
        who: &WorkerKey,
        load: &L,
        turns: bool,
    ) -> Result<(Lease, Arc<Version>, Option<Turns>), Failure>
    where
        L: Fn() -> F + Send + Sync,
        F: Future<Output = Result<Load, Failure>> + Send,
    {
        let mut tries = 1;
        loop {
            let lease = timeout(PROCESS_WAIT, self.lease(&who.owner)).await;
            let lease = lease.map_err(|_| all_overloaded())??;
            let ready = lease.running().ready(who, load, turns).await;
            if tries == TRIES || lease.running().process().takes_events() {
                return ready.map(|(version, turns)| (lease, version, turns));
            }
            tries += 1;
        }
    }

    /// The owner's process, which is started where there is none.
    async fn lease(self: &Arc<Self>, owner: &[u8; 20]) -> Result<Lease, Failure> {
        if let Some(lease) = self.owners.lease(self, owner) {
            return Ok(lease);
        }
        let starting = self.owners.starting(owner);
        let _one_at_a_time = starting.lock().await;
        if let Some(lease) = self.owners.lease(self, owner) {
            return Ok(lease);
        }
        let place = self.place().await?;
        self.owners.may_start(owner, Instant::now())?;
        let spawned = self.spawn().await?;
        let (process, work) = Process::start(spawned.channel, self.outbound.clone());
        let running = Arc::new(Running::new(*owner, spawned.process, process));
        let lease = self.owners.put(self, running.clone());
        let processes = Arc::downgrade(self);
        tokio::spawn(async move {
            work.await;
            if let Some(processes) = processes.upgrade() {
                processes.end(&running);
            }
            drop(place);
        });
        Ok(lease)
    }

    /// A place for a process; of an idle one where there is no other.
    async fn place(self: &Arc<Self>) -> Result<tokio::sync::OwnedSemaphorePermit, Failure> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = self.owners.wait_for_place()?;
        self.make_room();
        let place = self.places.clone().acquire_owned().await;
        place.map_err(|_| all_overloaded())
    }

    /// Where somebody waits for a place, ends the process that is idle for the longest time, or lets none begin anything
    /// in the one that has been there for the longest time.
    fn make_room(&self) {
        if let Some(idle) = self.owners.take_for_waiting(Instant::now(), TENURE) {
            self.end(&idle);
        }
    }

    /// The last event of a process is over.
    fn rest(&self, running: &Arc<Running>) {
        match self.owners.is_leaving(running) {
            true => self.end(running),
            false => self.make_room(),
        }
    }

    async fn spawn(&self) -> Result<crate::ipc::spawner::Spawned, Failure> {
        for _ in 0..START_TRIES {
            if let Ok(spawned) = self.spawner.start().await {
                return Ok(spawned);
            }
            tokio::time::sleep(START_AGAIN).await;
        }
        Err(all_overloaded())
    }

    fn end(&self, running: &Arc<Running>) {
        self.owners.remove(running);
        running.process().stop();
        self.spawner.kill(running.id());
    }
}

fn overloaded() -> Failure {
    Failure::new(OVERLOADED, "too many events wait for this worker")
}

fn all_overloaded() -> Failure {
    Failure::new(ALL_OVERLOADED, "too many events wait for workers")
}

/// What is said of a worker whose process ends again and again.
fn crashes() -> Failure {
    Failure::new(
        code::CRASHED,
        "the process that runs this owner's workers ended too often; wait a little",
    )
}
