//! Threads that run isolates: as many as there are processors at first, more while all of them are held up by workers that
//! don't come to an end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jeju_worker_protocol::{CallId, Event, Failure, Load, ToBroker, Usage, WorkerRef, code as codes};

use super::Writer;
use super::calls::{Job, Place, State};
use crate::isolate::Mail;
use crate::isolate::clock::CpuClock;

/// Threads at first, and while there is nothing to do.
pub(super) const THREADS: usize = 2;
/// Most threads.
const MAX_THREADS: usize = 16;
/// How long an isolate rests before it goes.
const REST: Duration = Duration::from_secs(60);
/// How often that is looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// Time between two looks at threads that are at work.
pub(super) const WATCH: Duration = Duration::from_millis(50);
/// The same while something is in line and a thread sleeps.
const WATCH_LINE: Duration = Duration::from_millis(2);
/// How long code may go on after its time on a CPU is over.
const OBEY: Duration = Duration::from_secs(1);
/// A thread's stack, in bytes: that of JavaScript, and as much again for natives, thrice in builds for tests.
const STACK: usize = 4 * crate::realm::STACK;

/// The threads and what they work on.
pub(super) struct Pool {
    pub(super) state: Mutex<State>,
    pub(super) work: Condvar,
    pub(super) writer: Arc<Writer>,
}

impl Pool {
    /// Starts the first threads.
    pub(super) fn new(writer: Arc<Writer>) -> Arc<Self> {
        let pool = Arc::new(Self {
            state: Mutex::default(),
            work: Condvar::new(),
            writer,
        });
        for _ in 0..THREADS {
            pool.add_thread(&mut pool.lock());
        }
        pool
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_thread(self: &Arc<Self>, state: &mut State) {
        let number = state.next_thread;
        let pool = Arc::clone(self);
        let thread = thread::Builder::new()
            .name(format!("worker-{number}"))
            .stack_size(STACK);
        // Where there can't be more, the others have to do.
        if thread.spawn(move || pool.run(number)).is_ok() {
            state.next_thread += 1;
            state.threads += 1;
        }
    }

    /// Tells threads to end. Those that are at work end later.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stops = true;
        for call in state.calls.values() {
            call.cancelled.store(true, Ordering::Relaxed);
        }
        drop(state);
        self.work.notify_all();
    }

    /// How long the pool may be left alone.
    pub(super) fn patience(&self) -> Option<Duration> {
        let state = self.lock();
        if !state.jobs.is_empty() && state.idle > 0 {
            Some(WATCH_LINE)
        } else if !state.calls.is_empty() || !state.busy.is_empty() || !state.jobs.is_empty() {
            Some(WATCH)
        } else {
            (state.resting() > 0).then_some(REST / 4)
        }
    }

    /// Wakes a thread where what came is worth one.
    pub(super) fn wake(&self) {
        if self.lock().wants_thread(Instant::now()) {
            self.work.notify_one();
        }
    }

    pub(super) fn load(&self, load: Box<Load>) {
        self.lock().jobs.push_back(Job::Load(load));
    }

    pub(super) fn unload(&self, worker: WorkerRef) {
        let gone = self.lock().unload(worker);
        for call in gone.iter().flat_map(|gone| &gone.queue) {
            self.refuse(*call, &Failure::new(codes::CRASHED, "the worker was unloaded"));
        }
    }

    pub(super) fn call(&self, id: CallId, worker: WorkerRef, event: Event) {
        let is_loaded = self.lock().call(id, worker, event);
        if !is_loaded {
            self.refuse(id, &Failure::new(codes::CRASHED, "no such worker is loaded"));
        }
    }

    pub(super) fn mail(&self, id: CallId, mail: Mail) {
        let mut state = self.lock();
        let Some(call) = state.calls.get_mut(&id) else {
            return;
        };
        call.mail.push(mail);
        state.ready(id);
    }

    pub(super) fn cancel(&self, id: CallId) {
        let mut state = self.lock();
        let Some(call) = state.calls.get(&id) else {
            return;
        };
        call.cancelled.store(true, Ordering::Relaxed);
        if matches!(call.place, Place::Queued) {
            state.leave(id);
            drop(state);
            let message = "nobody waits for the answer any more";
            self.refuse(id, &Failure::new(codes::CANCELLED, message));
            return;
        }
        state.ready(id);
    }

    pub(super) fn trim(&self) {
        let rest = self.lock().take_resting(Instant::now());
        drop(rest);
        // SAFETY: gives memory that is free back to the system; nothing else changes.
        unsafe {
            libc::malloc_trim(0);
        }
    }

    /// Looks after threads and isolates: more threads where all are held up, fewer isolates where they rest for long.
    ///
    /// # Errors
    /// A thread doesn't come back from a worker's code although its time is over. Its event was ended.
    pub(super) fn watch(self: &Arc<Self>) -> Result<(), ()> {
        let now = Instant::now();
        let mut state = self.lock();
        let overdue = state.busy.values().find(|busy| {
            let shown = busy.clock.and_then(CpuClock::read);
            shown.is_some_and(|shown| shown > busy.cpu_end.saturating_add(OBEY))
        });
        if let Some(call) = overdue.map(|busy| busy.call) {
            drop(state);
            self.writer.send(&ToBroker::Ends);
            if let Some(call) = call {
                let message = "the event doesn't end although its time on a CPU is over";
                self.refuse(call, &Failure::new(codes::CPU, message));
            }
            return Err(());
        }
        state.wake(now);
        let mut gone = Vec::new();
        let is_due = |swept| now.duration_since(swept) >= SWEEP;
        if state.resting() > 0 && state.swept.is_none_or(is_due) {
            state.swept = Some(now);
            if let Some(since) = now.checked_sub(REST) {
                gone = state.take_resting(since);
            }
        }
        if !state.jobs.is_empty() && state.idle > 0 {
            self.work.notify_one();
        }
        if !state.jobs.is_empty()
            && state.idle == 0
            && state.threads < MAX_THREADS
            // None is between two turns.
            && state.busy.len() == state.threads
            && state.busy.values().all(|busy| busy.holds_up(now))
        {
            self.add_thread(&mut state);
        }
        drop(state);
        drop(gone);
        Ok(())
    }

    /// Ends an event that never ran.
    pub(super) fn refuse(&self, call: CallId, failure: &Failure) {
        self.writer.send(&ToBroker::Done {
            call,
            usage: Usage::default(),
            failure: Some(failure.clone()),
        });
    }
}
