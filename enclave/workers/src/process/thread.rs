//! What a thread of the pool does: turns of isolates, one after the other.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use jeju_worker_protocol::{CallId, Event, Failure, Handlers, Load, ToBroker};

use super::calls::{Busy, Job, Place, State};
use super::held;
use super::pool::{Pool, THREADS};
use crate::isolate::clock::{CpuClock, thread_cpu};
use crate::isolate::code::Code;
use crate::isolate::{Isolate, Mail, Turn, Worker};

/// How long a thread above the usual number waits for something to do.
const SPARE: Duration = Duration::from_secs(2);
/// Time on a CPU for compiling a bundle: one of the longest takes a fraction of it.
const COMPILE: Duration = Duration::from_secs(20);

/// Something to do.
enum Work {
    Load(Box<Load>),
    Turn(Box<Step>),
}

/// A turn of an event.
struct Step {
    id: CallId,
    worker: Arc<Worker>,
    /// None: it has to be made.
    isolate: Option<Box<Isolate>>,
    /// None: the isolate has it.
    event: Option<Event>,
    started: Instant,
    cancelled: Arc<AtomicBool>,
    mail: Vec<Mail>,
    /// What the thread's clock shows.
    cpu: Duration,
}

impl Pool {
    /// Does what there is to do, until the process ends or the thread isn't needed.
    pub(super) fn run(self: Arc<Self>, number: usize) {
        let clock = CpuClock::of_this_thread();
        while let Some(work) = self.next(number, clock) {
            match work {
                Work::Load(load) => {
                    held::release();
                    self.run_load(*load);
                }
                Work::Turn(step) => self.run_turn(*step),
            }
        }
    }

    /// Waits for something to do.
    fn next(&self, number: usize, clock: Option<CpuClock>) -> Option<Work> {
        let mut state = self.lock();
        let mut now = Instant::now();
        if let Some(busy) = state.busy.remove(&number) {
            state.took(now.duration_since(busy.since));
        }
        let mut holds = true;
        loop {
            state.wake(now);
            if state.stops {
                state.threads -= 1;
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                let cpu = thread_cpu();
                if let Some(work) = take(&mut state, job, cpu) {
                    state.busy.insert(number, busy(&work, now, clock, cpu));
                    // Mail of others may have come in line meanwhile.
                    if state.wants_thread(now) {
                        self.work.notify_one();
                    }
                    return Some(work);
                }
                continue;
            }
            if holds {
                // Something may come in line while it is written.
                holds = false;
                drop(state);
                held::release();
                state = self.lock();
                now = Instant::now();
                continue;
            }
            let spare = state.threads > THREADS;
            let next = state.next_time().map(|at| at.saturating_duration_since(now));
            let patience = next
                .unwrap_or(Duration::MAX)
                .min(if spare { SPARE } else { Duration::MAX });
            state.idle += 1;
            let waited = match patience {
                Duration::MAX => (
                    self.work.wait(state).unwrap_or_else(|error| error.into_inner()),
                    false,
                ),
                patience => {
                    let waited = self.work.wait_timeout(state, patience);
                    let (state, timeout) = waited.unwrap_or_else(|error| error.into_inner());
                    (state, timeout.timed_out())
                }
            };
            state = waited.0;
            state.idle -= 1;
            now = Instant::now();
            if spare && waited.1 && state.jobs.is_empty() && patience == SPARE {
                state.threads -= 1;
                return None;
            }
        }
    }

    fn run_load(&self, load: Load) {
        let reference = load.worker;
        let answer = match make(load) {
            Ok((worker, isolate, handlers)) => {
                // What was there goes first, with its events.
                self.unload(reference);
                let gone = self.lock().load(worker, isolate);
                drop(gone);
                ToBroker::Loaded {
                    worker: reference,
                    handlers,
                }
            }
            Err(failure) => ToBroker::LoadFailed {
                worker: reference,
                failure,
            },
        };
        self.writer.send(&answer);
    }

    fn run_turn(&self, step: Step) {
        let Step {
            id,
            worker,
            isolate,
            event,
            started,
            cancelled,
            mail,
            cpu,
        } = step;
        let mut isolate = match isolate.map_or_else(|| Isolate::new(&worker).map(Box::new), Ok) {
            Ok(isolate) => isolate,
            Err(failure) => {
                self.lock().over(id, &worker, None);
                self.refuse(id, &failure);
                return;
            }
        };
        if let Some(event) = event {
            isolate.take(id, event, started, Arc::clone(&self.writer), cancelled);
        }
        match isolate.turn(mail, cpu) {
            Turn::Waits(until) => {
                let until = until.map_or(isolate.wall_end(), |until| until.min(isolate.wall_end()));
                let mut state = self.lock();
                let call = state.calls.get(&id);
                let again = call.is_some_and(|call| !call.mail.is_empty() || call.is_cancelled());
                state.waits(id, isolate, until);
                if again {
                    state.ready(id);
                }
            }
            Turn::Over(failure) => {
                let (keep, last) = isolate.finish(failure);
                let gone = self.lock().over(id, &worker, keep.then_some(isolate));
                held::hold(&self.writer, &last);
                if gone.is_some() {
                    // An isolate takes a while to go.
                    held::release();
                }
                drop(gone);
            }
        }
    }
}

/// Takes what a job needs. None: it is done already.
fn take(state: &mut State, job: Job, cpu: Duration) -> Option<Work> {
    let id = match job {
        Job::Load(load) => return Some(Work::Load(load)),
        Job::Turn(id) => id,
    };
    let call = state.calls.get_mut(&id)?;
    let isolate = match std::mem::replace(&mut call.place, Place::Runs) {
        Place::Ready(isolate) => isolate,
        other => {
            call.place = other;
            return None;
        }
    };
    let mut step = Box::new(Step {
        id,
        worker: Arc::clone(&call.worker),
        isolate,
        event: call.event.take(),
        started: call.started,
        cancelled: Arc::clone(&call.cancelled),
        mail: std::mem::take(&mut call.mail),
        cpu,
    });
    if step.isolate.is_none() {
        step.isolate = state.rested(&step.worker);
    }
    Some(Work::Turn(step))
}

fn busy(work: &Work, since: Instant, clock: Option<CpuClock>, cpu: Duration) -> Busy {
    let (call, limit) = match work {
        Work::Load(load) => (None, COMPILE + Duration::from_millis(load.limits.cpu_ms.into())),
        Work::Turn(step) => {
            let whole = Duration::from_millis(step.worker.limits.cpu_ms.into());
            let left = step
                .isolate
                .as_ref()
                .filter(|_| step.event.is_none())
                .map(|isolate| isolate.cpu_left());
            (Some(step.id), left.unwrap_or(whole))
        }
    };
    Busy {
        call,
        since,
        clock,
        cpu_since: cpu,
        cpu_end: cpu.saturating_add(limit),
    }
}

/// A worker, an isolate of it, if it may be used, and what the main module exports.
type Made = (Arc<Worker>, Option<Box<Isolate>>, Handlers);

/// Compiles a worker and runs its modules once.
fn make(load: Load) -> Result<Made, Failure> {
    let worker = Arc::new(Worker {
        reference: load.worker,
        code: Arc::new(Code::new(&load.bundle)?),
        env: load.env,
        limits: load.limits,
        form: load.form,
        max_concurrent: load.max_concurrent,
    });
    let mut isolate = Box::new(Isolate::new(&worker)?);
    let failure = loop {
        match isolate.turn(Vec::new(), thread_cpu()) {
            Turn::Over(failure) => break failure,
            Turn::Waits(until) => {
                let until = until.map_or(isolate.wall_end(), |until| until.min(isolate.wall_end()));
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
            }
        }
    };
    let handlers = isolate.handlers();
    match failure {
        Some(failure) => Err(failure),
        None => {
            let (keep, _) = isolate.finish(None);
            Ok((worker, keep.then_some(isolate), handlers))
        }
    }
}
