//! Workers and the events that are under way.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jeju_worker_protocol::{CallId, Event, Load, WorkerRef};

use crate::isolate::clock::CpuClock;
use crate::isolate::{Isolate, Mail, Worker};

/// Most isolates, at work and at rest.
const MAX_ISOLATES: usize = 256;
/// Most isolates at rest.
const MAX_REST: usize = 64;
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
    /// Whether it is among those that wait because there are too many isolates.
    short: bool,
}

impl Loaded {
    fn new(worker: Arc<Worker>) -> Self {
        Self {
            worker,
            rest: Vec::new(),
            running: 0,
            bare: 0,
            queue: VecDeque::new(),
            short: false,
        }
    }

    /// Whether an event of it may have an isolate, if there is one.
    fn wants_isolate(&self) -> bool {
        self.running < usize::from(self.worker.max_concurrent.max(1)) && !self.queue.is_empty()
    }
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
    workers: HashMap<WorkerRef, Loaded>,
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
    /// When isolates that rest were last looked at.
    pub swept: Option<Instant>,
    /// Events of all workers that may have an isolate.
    running: usize,
    /// Isolates of all workers that rest.
    resting: usize,
    /// Workers with events for which there are too many isolates, in the order in which they get one: each change looks at
    /// these and at its own worker, never at all that are loaded.
    short: VecDeque<WorkerRef>,
}

impl State {
    /// Isolates that rest.
    pub(super) fn resting(&self) -> usize {
        self.resting
    }

    /// A worker is loaded; its first isolate rests. What there is no room for is handed back.
    pub(super) fn load(
        &mut self,
        worker: Arc<Worker>,
        isolate: Option<Box<Isolate>>,
    ) -> Option<Box<Isolate>> {
        let reference = worker.reference;
        self.workers.insert(reference, Loaded::new(worker));
        self.rests(reference, isolate?)
    }

    /// Forgets a worker, and its events that wait for an isolate.
    pub(super) fn unload(&mut self, worker: WorkerRef) -> Option<Loaded> {
        let gone = self.workers.remove(&worker)?;
        for id in &gone.queue {
            self.calls.remove(id);
        }
        if gone.short {
            self.short.retain(|short| *short != worker);
        }
        self.resting -= gone.rest.len();
        self.admit_short();
        Some(gone)
    }

    /// Takes isolates that have rested since a time, which comes with each.
    pub(super) fn take_resting(&mut self, since: Instant) -> Vec<(Box<Isolate>, Instant)> {
        let mut taken = Vec::new();
        for loaded in self.workers.values_mut() {
            let fresh = loaded.rest.iter().position(|(_, rests)| *rests > since);
            taken.extend(loaded.rest.drain(..fresh.unwrap_or(loaded.rest.len())));
        }
        self.resting -= taken.len();
        self.admit_short();
        taken
    }

    fn rests(&mut self, worker: WorkerRef, isolate: Box<Isolate>) -> Option<Box<Isolate>> {
        match self.workers.get_mut(&worker) {
            Some(loaded) if self.resting < MAX_REST => {
                loaded.rest.push((isolate, Instant::now()));
                self.resting += 1;
                None
            }
            _ => Some(isolate),
        }
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
    pub(super) fn wants_thread(&self, now: Instant) -> bool {
        let is_late = |busy: &Busy| now.duration_since(busy.since) >= LATE;
        let loads = self.jobs.iter().any(|job| matches!(job, Job::Load(_)));
        !self.jobs.is_empty()
            && self.idle > 0
            && (self.busy.values().all(is_late) || loads || self.mean * self.jobs.len() as u32 >= WORTH)
    }

    /// An event came for a worker. Whether it is loaded.
    pub(super) fn call(&mut self, id: CallId, worker: WorkerRef, event: Event) -> bool {
        let Some(loaded) = self.workers.get_mut(&worker) else {
            return false;
        };
        loaded.queue.push_back(id);
        let call = Call {
            worker: Arc::clone(&loaded.worker),
            event: Some(event),
            started: Instant::now(),
            cancelled: Arc::default(),
            mail: Vec::new(),
            place: Place::Queued,
        };
        self.calls.insert(id, call);
        self.admit(worker);
        true
    }

    /// Nobody waits any more for an event that waits for an isolate.
    pub(super) fn leave(&mut self, id: CallId) {
        if let Some(call) = self.calls.remove(&id)
            && let Some(loaded) = self.workers.get_mut(&call.worker.reference)
        {
            loaded.queue.retain(|queued| *queued != id);
        }
    }

    /// An event is over, and its isolate rests, or goes: it is handed back then.
    pub(super) fn over(
        &mut self,
        id: CallId,
        worker: &Arc<Worker>,
        isolate: Option<Box<Isolate>>,
    ) -> Option<Box<Isolate>> {
        self.calls.remove(&id);
        self.running = self.running.saturating_sub(1);
        let reference = worker.reference;
        let loaded = self.workers.get_mut(&reference);
        // It may have been loaded anew meanwhile.
        let gone = match loaded.filter(|loaded| Arc::ptr_eq(&loaded.worker, worker)) {
            Some(loaded) => {
                loaded.running = loaded.running.saturating_sub(1);
                isolate.and_then(|isolate| self.rests(reference, isolate))
            }
            None => isolate,
        };
        // Those that wait for longer come first.
        self.admit_short();
        self.admit(reference);
        gone
    }

    /// Puts events of a worker in line as far as it may have isolates.
    fn admit(&mut self, worker: WorkerRef) {
        while self.admit_one(worker) {}
    }

    /// Workers that wait because there are too many isolates take turns, one event each.
    fn admit_short(&mut self) {
        while self.has_room()
            && let Some(worker) = self.short.pop_front()
        {
            if let Some(loaded) = self.workers.get_mut(&worker) {
                loaded.short = false;
            }
            self.admit_one(worker);
            self.wait_for_room(worker);
        }
    }

    /// Puts an event of a worker in line, if it may have an isolate. Whether it may.
    fn admit_one(&mut self, worker: WorkerRef) -> bool {
        let has_room = self.has_room();
        let Some(loaded) = self
            .workers
            .get_mut(&worker)
            .filter(|loaded| loaded.wants_isolate())
        else {
            return false;
        };
        if loaded.rest.len() <= loaded.bare && !has_room {
            self.wait_for_room(worker);
            return false;
        }
        let Some(id) = loaded.queue.pop_front() else {
            return false;
        };
        if let Some(call) = self.calls.get_mut(&id) {
            call.place = Place::Ready(None);
            loaded.running += 1;
            loaded.bare += 1;
            self.running += 1;
            self.jobs.push_back(Job::Turn(id));
        }
        true
    }

    fn wait_for_room(&mut self, worker: WorkerRef) {
        let loaded = self.workers.get_mut(&worker);
        if let Some(loaded) = loaded.filter(|loaded| !loaded.short && loaded.wants_isolate()) {
            loaded.short = true;
            self.short.push_back(worker);
        }
    }

    fn has_room(&self) -> bool {
        self.running + self.resting < MAX_ISOLATES
    }

    /// An isolate for an event that gets its thread: the one that rested last, as what it uses may still be in the
    /// processor's cache. None: it has to be made.
    pub(super) fn rested(&mut self, worker: &Arc<Worker>) -> Option<Box<Isolate>> {
        let loaded = self.workers.get_mut(&worker.reference);
        // It may have been loaded anew meanwhile.
        let loaded = loaded.filter(|loaded| Arc::ptr_eq(&loaded.worker, worker))?;
        loaded.bare = loaded.bare.saturating_sub(1);
        let (isolate, _) = loaded.rest.pop()?;
        self.resting -= 1;
        Some(isolate)
    }
}

#[cfg(test)]
mod tests;
