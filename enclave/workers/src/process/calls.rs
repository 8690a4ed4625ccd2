//! Workers and the events that are under way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jeju_worker_protocol::{CallId, Event, Load, WorkerRef};

use crate::isolate::clock::CpuClock;
use crate::isolate::{Isolate, Mail, Worker};

/// An event that is under way.
pub(super) struct Call {
    pub worker: Arc<Worker>,
    pub event: Option<Event>,
    pub started: Instant,
    pub cancelled: Arc<AtomicBool>,
    pub mail: Vec<Mail>,
    pub place: Place,
}

impl Call {
    /// Whether nobody wants the answer any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// Where an event is.
pub(super) enum Place {
    /// Waits for an isolate of its worker.
    Queued,
    /// Waits for a thread.
    Ready(Option<Isolate>),
    /// On a thread.
    Runs,
    /// Waits for mail, or for a time.
    Waits(Isolate, Instant),
}

/// A worker that is loaded.
pub(super) struct Loaded {
    pub worker: Arc<Worker>,
    /// Isolates that rest, and since when: the one that rested last is at the end.
    pub rest: Vec<(Isolate, Instant)>,
    /// Events that have an isolate.
    pub running: usize,
    /// Events that wait for one.
    pub queue: VecDeque<CallId>,
}

/// What a thread may do next.
pub(super) enum Job {
    Load(Box<Load>),
    Turn(CallId),
}

/// A thread at work.
pub(super) struct Busy {
    /// None: it loads a worker.
    pub call: Option<CallId>,
    pub since: Instant,
    pub clock: Option<CpuClock>,
    /// What its clock has to show when the turn is over, at the latest.
    pub cpu_end: Duration,
}

/// All of it.
#[derive(Default)]
pub(super) struct State {
    pub workers: HashMap<WorkerRef, Loaded>,
    pub calls: HashMap<CallId, Call>,
    pub jobs: VecDeque<Job>,
    pub threads: usize,
    pub idle: usize,
    pub busy: HashMap<usize, Busy>,
    pub next_thread: usize,
    pub stops: bool,
}

impl State {
    /// Isolates that rest.
    pub(super) fn resting(&self) -> usize {
        self.workers.values().map(|loaded| loaded.rest.len()).sum()
    }

    /// When the next event has to be looked at, whether or not mail comes.
    pub(super) fn next_time(&self) -> Option<Instant> {
        let times = self.calls.values().filter_map(|call| match &call.place {
            Place::Waits(_, until) => Some(*until),
            _ => None,
        });
        times.min()
    }

    /// Puts events that have waited long enough in line.
    pub(super) fn wake(&mut self, now: Instant) {
        let is_due = |call: &Call| matches!(&call.place, Place::Waits(_, until) if *until <= now);
        let due: Vec<_> = self
            .calls
            .iter()
            .filter(|(_, call)| is_due(call))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.ready(id);
        }
    }

    /// Puts an event that waits in line.
    pub(super) fn ready(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        call.place = match std::mem::replace(&mut call.place, Place::Runs) {
            Place::Waits(isolate, _) => Place::Ready(Some(isolate)),
            other => {
                call.place = other;
                return;
            }
        };
        self.jobs.push_back(Job::Turn(id));
    }

    /// Gives events of a worker isolates as far as it may have them.
    pub(super) fn admit(&mut self, worker: WorkerRef, room: usize) {
        let Some(loaded) = self.workers.get_mut(&worker) else {
            return;
        };
        let most = usize::from(loaded.worker.max_concurrent.max(1));
        let mut room = room;
        while loaded.running < most {
            if loaded.rest.is_empty() && room == 0 {
                return;
            }
            let Some(id) = loaded.queue.pop_front() else {
                return;
            };
            let Some(call) = self.calls.get_mut(&id) else {
                continue;
            };
            let isolate = loaded.rest.pop().map(|(isolate, _)| isolate);
            room -= usize::from(isolate.is_none()).min(room);
            call.place = Place::Ready(isolate);
            loaded.running += 1;
            self.jobs.push_back(Job::Turn(id));
        }
    }
}
