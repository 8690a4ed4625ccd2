//! Workers and the events that are under way.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jeju_worker_protocol::{CallId, Event, Load, WorkerRef};

use crate::isolate::clock::CpuClock;
use crate::isolate::{Isolate, Mail, Worker};

/// How long a turn may hold up others before there is another thread for them: time of its own on a processor.
const HELD_UP: Duration = Duration::from_millis(20);
/// The same in everybody's time.
const STALLED: Duration = Duration::from_secs(1);
/// Time after which a thread at work isn't waited for.
const LATE: Duration = Duration::from_millis(1);
/// Work in line for which a thread is woken that could be left asleep.
const WORTH: Duration = Duration::from_micros(150);

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
    /// Waits for a thread; and for an isolate, if it has none yet.
    Ready(Option<Box<Isolate>>),
    /// On a thread.
    Runs,
    /// Waits for mail, or for a time.
    Waits(Box<Isolate>, Instant),
}

/// A worker that is loaded.
pub(super) struct Loaded {
    pub worker: Arc<Worker>,
    /// Isolates that rest, and since when: the one that rested last is at the end.
    pub rest: Vec<(Box<Isolate>, Instant)>,
    /// Events that may have an isolate.
    pub running: usize,
    /// Those of them that have none yet.
    pub bare: usize,
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
    /// What its clock showed when the turn began.
    pub cpu_since: Duration,
    /// What its clock has to show when the turn is over, at the latest.
    pub cpu_end: Duration,
}

impl Busy {
    /// Whether it holds up what comes after it: for a while by its own clock, so that a thread that only waits for a
    /// processor isn't taken for one at work, or for a long while by everybody's.
    pub(super) fn holds_up(&self, now: Instant) -> bool {
        let worked = self.clock.and_then(CpuClock::read);
        let worked = worked.map(|shown| shown.saturating_sub(self.cpu_since));
        worked.is_none_or(|worked| worked >= HELD_UP) || now.duration_since(self.since) >= STALLED
    }
}

/// All of it.
#[derive(Default)]
pub(super) struct State {
    pub workers: HashMap<WorkerRef, Loaded>,
    pub calls: HashMap<CallId, Call>,
    /// When each event that waits has to be looked at.
    times: BTreeSet<(Instant, CallId)>,
    pub jobs: VecDeque<Job>,
    /// How long turns took of late.
    pub mean: Duration,
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
        self.times.first().map(|(at, _)| *at)
    }

    /// Puts events that have waited long enough in line.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some((_, id)) = self.times.first().copied().filter(|(at, _)| *at <= now) {
            self.ready(id);
        }
    }

    /// An event waits for mail, or for a time.
    pub(super) fn waits(&mut self, id: CallId, isolate: Box<Isolate>, until: Instant) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.place = Place::Waits(isolate, until);
            self.times.insert((until, id));
        }
    }

    /// Puts an event that waits in line.
    pub(super) fn ready(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        call.place = match std::mem::replace(&mut call.place, Place::Runs) {
            Place::Waits(isolate, until) => {
                self.times.remove(&(until, id));
                Place::Ready(Some(isolate))
            }
            other => {
                call.place = other;
                return;
            }
        };
        self.jobs.push_back(Job::Turn(id));
    }

    /// A turn took so long.
    pub(super) fn took(&mut self, time: Duration) {
        self.mean = self.mean - self.mean / 8 + time / 8;
    }

    /// Whether what is in line is worth another thread: waking one costs some microseconds, and takes a processor from the
    /// front. It is where those at work are so for a while, or where what is in line is much, by its number and by how
    /// long turns took of late.
    pub(super) fn wants_thread(&self) -> bool {
        let is_late = |busy: &Busy| busy.since.elapsed() >= LATE;
        let loads = self.jobs.iter().any(|job| matches!(job, Job::Load(_)));
        !self.jobs.is_empty()
            && self.idle > 0
            && (self.busy.values().all(is_late) || loads || self.mean * self.jobs.len() as u32 >= WORTH)
    }

    /// Puts events of a worker in line as far as it may have isolates.
    pub(super) fn admit(&mut self, worker: WorkerRef, room: usize) {
        let Some(loaded) = self.workers.get_mut(&worker) else {
            return;
        };
        let most = usize::from(loaded.worker.max_concurrent.max(1));
        let mut room = room;
        while loaded.running < most {
            let rests = loaded.rest.len() > loaded.bare;
            if !rests && room == 0 {
                return;
            }
            let Some(id) = loaded.queue.pop_front() else {
                return;
            };
            let Some(call) = self.calls.get_mut(&id) else {
                continue;
            };
            room -= usize::from(!rests).min(room);
            call.place = Place::Ready(None);
            loaded.running += 1;
            loaded.bare += 1;
            self.jobs.push_back(Job::Turn(id));
        }
    }

    /// An isolate for an event that gets its thread: the one that rested last, as what it uses may still be in the
    /// processor's cache. None: it has to be made.
    pub(super) fn rested(&mut self, worker: &Arc<Worker>) -> Option<Box<Isolate>> {
        let loaded = self.workers.get_mut(&worker.reference);
        // It may have been loaded anew meanwhile.
        let loaded = loaded.filter(|loaded| Arc::ptr_eq(&loaded.worker, worker))?;
        loaded.bare = loaded.bare.saturating_sub(1);
        loaded.rest.pop().map(|(isolate, _)| isolate)
    }
}
