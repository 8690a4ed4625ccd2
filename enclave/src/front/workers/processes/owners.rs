//! Who has a process, who is idle, and who may start one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jeju_worker_protocol::Failure;
use tokio::time::Instant;

use super::running::{Lease, Running};
use super::{Processes, all_overloaded, crashes, overloaded};

/// Most events of an owner that wait for anything.
const MAX_WAITING: usize = 512;
/// Most owners that wait for a process.
const MAX_WAITING_OWNERS: usize = 512;
/// Most starts of an owner's process in [`STARTS_IN`].
const MAX_STARTS: usize = 12;
const STARTS_IN: Duration = Duration::from_secs(10);

/// All owners that have a process, wait, or had one a moment ago.
#[derive(Default)]
pub(super) struct Owners {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    owners: HashMap<[u8; 20], Owner>,
    waiting_for_place: usize,
    /// Processes that go when their last event is over.
    leaving: Vec<Arc<Running>>,
}

#[derive(Default)]
struct Owner {
    running: Option<Arc<Running>>,
    starting: Arc<tokio::sync::Mutex<()>>,
    /// When its last processes were started.
    starts: VecDeque<Instant>,
    waiting: usize,
}

/// An event that waits.
pub(super) struct Pending<'a> {
    owners: &'a Owners,
    owner: [u8; 20],
}

/// An owner that waits for a process.
pub(super) struct WaitingForPlace<'a>(&'a Owners);

impl Owners {
    /// Counts an event that waits.
    ///
    /// # Errors
    /// Too many wait.
    pub(super) fn wait(&self, owner: &[u8; 20]) -> Result<Pending<'_>, Failure> {
        let mut table = self.table();
        let entry = table.owners.entry(*owner).or_default();
        if entry.waiting >= MAX_WAITING {
            return Err(overloaded());
        }
        entry.waiting += 1;
        Ok(Pending {
            owners: self,
            owner: *owner,
        })
    }

    /// Counts an owner that waits for a process.
    ///
    /// # Errors
    /// Too many wait.
    pub(super) fn wait_for_place(&self) -> Result<WaitingForPlace<'_>, Failure> {
        let mut table = self.table();
        if table.waiting_for_place >= MAX_WAITING_OWNERS {
            return Err(all_overloaded());
        }
        table.waiting_for_place += 1;
        Ok(WaitingForPlace(self))
    }

    /// The owner's process, where there is one that takes events. It isn't idle as long as the lease is held.
    ///
    /// One that takes none any more may finish what it has, until that is so of the owner's next one too.
    pub(super) fn lease(&self, processes: &Arc<Processes>, owner: &[u8; 20]) -> Option<Lease> {
        let mut table = self.table();
        let Table { owners, leaving, .. } = &mut *table;
        let running = &mut owners.get_mut(owner)?.running;
        if let Some(useless) = running.take_if(|running| !running.process().takes_events()) {
            let earlier = leaving.extract_if(.., |running| {
                running.owner() == owner && !running.process().takes_events()
            });
            let earlier: Vec<_> = earlier.collect();
            leaving.push(useless);
            drop(table);
            earlier.iter().for_each(|running| processes.end(running));
            return None;
        }
        Some(Lease::new(running.clone()?, Arc::downgrade(processes)))
    }

    /// Held by whoever starts the owner's process.
    pub(super) fn starting(&self, owner: &[u8; 20]) -> Arc<tokio::sync::Mutex<()>> {
        self.table().owners.entry(*owner).or_default().starting.clone()
    }

    /// Counts a start.
    ///
    /// # Errors
    /// There were too many in a short time: the process ends again and again.
    pub(super) fn may_start(&self, owner: &[u8; 20], now: Instant) -> Result<(), Failure> {
        let mut table = self.table();
        let entry = table.owners.entry(*owner).or_default();
        entry.forget_starts(now);
        if entry.starts.len() >= MAX_STARTS {
            return Err(crashes());
        }
        entry.starts.push_back(now);
        Ok(())
    }

    /// A new process.
    pub(super) fn put(&self, processes: &Arc<Processes>, running: Arc<Running>) -> Lease {
        let mut table = self.table();
        let owner = *running.owner();
        table.owners.entry(owner).or_default().running = Some(running.clone());
        Lease::new(running, Arc::downgrade(processes))
    }

    /// A process that is no more.
    pub(super) fn remove(&self, gone: &Arc<Running>) {
        let mut table = self.table();
        if let Some(owner) = table.owners.get_mut(gone.owner())
            && owner
                .running
                .as_ref()
                .is_some_and(|running| Arc::ptr_eq(running, gone))
        {
            owner.running = None;
        }
        table.leaving.retain(|running| !Arc::ptr_eq(running, gone));
    }

    /// Whether a process is to go when its last event is over.
    pub(super) fn is_leaving(&self, running: &Arc<Running>) -> bool {
        self.table()
            .leaving
            .iter()
            .any(|leaving| Arc::ptr_eq(leaving, running))
    }

    #[cfg(test)]
    pub(super) fn running(&self) -> usize {
        let table = self.table();
        table
            .owners
            .values()
            .filter(|owner| owner.running.is_some())
            .count()
    }

    /// Takes out processes that were idle for a time, or are to go and have nothing to do any more, and forgets owners of whom nothing is left to be known.
    pub(super) fn take_idle(&self, now: Instant, idle: Duration) -> Vec<Arc<Running>> {
        let mut table = self.table();
        let is_busy = |running: &Arc<Running>| running.idle_since().is_none();
        let mut taken: Vec<_> = table
            .leaving
            .extract_if(.., |running| !is_busy(running))
            .collect();
        table.owners.retain(|_, owner| {
            let since = owner.running.as_ref().and_then(|running| running.idle_since());
            if since.is_some_and(|since| now.duration_since(since) >= idle) {
                taken.extend(owner.running.take());
            }
            owner.forget_starts(now);
            let is_starting = Arc::strong_count(&owner.starting) > 1;
            owner.running.is_some() || owner.waiting > 0 || is_starting || !owner.starts.is_empty()
        });
        taken
    }

    /// Takes out the process that is idle for the longest time, if somebody waits for its place. Where none is, the one
    /// that was started first, if that is some time ago, gets no more events: owners take turns.
    pub(super) fn take_for_waiting(&self, now: Instant, tenure: Duration) -> Option<Arc<Running>> {
        let mut table = self.table();
        let Table {
            owners,
            waiting_for_place,
            leaving,
        } = &mut *table;
        if *waiting_for_place <= leaving.len() {
            return None;
        }
        let idle = owners.values_mut().filter_map(|owner| {
            let since = owner.running.as_ref()?.idle_since()?;
            Some((since, owner))
        });
        if let Some((_, owner)) = idle.min_by_key(|(since, _)| *since) {
            return owner.running.take();
        }
        let busy = owners.values_mut().filter_map(|owner| {
            let started = owner.running.as_ref()?.started();
            (now.duration_since(started) >= tenure).then_some((started, owner))
        });
        if let Some((_, owner)) = busy.min_by_key(|(started, _)| *started) {
            leaving.extend(owner.running.take());
        }
        None
    }

    /// Whether somebody waits for a process.
    #[cfg(test)]
    pub(super) fn is_waited_for(&self) -> bool {
        self.table().waiting_for_place > 0
    }

    /// How many events of an owner wait.
    #[cfg(test)]
    pub(super) fn waiting(&self, owner: &[u8; 20]) -> usize {
        self.table().owners.get(owner).map_or(0, |owner| owner.waiting)
    }

    /// Whether an owner has a process that does nothing.
    #[cfg(test)]
    pub(super) fn is_idle(&self, owner: &[u8; 20]) -> bool {
        let table = self.table();
        let running = table.owners.get(owner).and_then(|owner| owner.running.as_ref());
        running.is_some_and(|running| running.idle_since().is_some())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner {
    fn forget_starts(&mut self, now: Instant) {
        while self
            .starts
            .front()
            .is_some_and(|start| now.duration_since(*start) >= STARTS_IN)
        {
            self.starts.pop_front();
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(owner) = self.owners.table().owners.get_mut(&self.owner) {
            owner.waiting -= 1;
        }
    }
}

impl Drop for WaitingForPlace<'_> {
    fn drop(&mut self) {
        self.0.table().waiting_for_place -= 1;
    }
}
