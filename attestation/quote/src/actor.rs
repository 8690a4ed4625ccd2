//! The single quoting actor: one thread owns the device, and everybody else sends it claims.
//!
//! Platforms make one quote at a time and hosts throttle them, so requests queue here: with a bound on their number
//! and on each caller's wait, epoch quotes before those that a client asked for, and one quote for all who ask for
//! the same claims.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jeju_attestation::claims::{ClaimsBuffer, Mode};
use jeju_attestation::tee::Tee;
use tokio::sync::watch;

use crate::device::{Device, Evidence, QuoteError, Quoter};

/// Bounds of a [`QuotingActor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Quotes that may wait, beside the one in the making; counted apart for epoch quotes and for others.
    pub queue: usize,
    /// Longest wait of a caller for its quote, queueing included.
    pub wait: Duration,
}

impl Default for Limits {
    /// 16 quotes, 30 seconds: a TDX quote takes a second or more.
    fn default() -> Self {
        Self {
            queue: 16,
            wait: Duration::from_secs(30),
        }
    }
}

/// Handle of the quoting thread; clones share it. The thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct QuotingActor {
    handle: Arc<Handle>,
    limits: Limits,
    tee: Tee,
}

type Outcome = Result<Arc<Evidence>, QuoteError>;
type Waiter = watch::Receiver<Option<Outcome>>;

impl QuotingActor {
    /// Starts the thread that owns `device` from now on.
    ///
    /// # Errors
    /// [`QuoteError::Device`] if no thread can be started.
    pub fn spawn(device: Device, limits: Limits) -> Result<Self, QuoteError> {
        Self::spawn_quoter(device, limits)
    }

    fn spawn_quoter(quoter: impl Quoter + Send + 'static, limits: Limits) -> Result<Self, QuoteError> {
        let tee = quoter.tee();
        let shared = Arc::new(Shared::default());
        let stop = StopOnDrop(shared.clone());
        std::thread::Builder::new()
            .name("quote".into())
            .spawn(move || {
                let StopOnDrop(shared) = &stop;
                while let Some(job) = shared.next_job() {
                    let outcome = quoter.quote(&job.report_data).map(Arc::new);
                    shared.finish(job, outcome);
                }
            })
            .map_err(|error| QuoteError::device("start the quoting thread", error))?;
        Ok(Self {
            handle: Arc::new(Handle(shared)),
            limits,
            tee,
        })
    }

    /// The platform.
    pub fn tee(&self) -> Tee {
        self.tee
    }

    /// Evidence over `claims`: REPORT_DATA is SHA-256 of their exact bytes, then 32 zero bytes.
    ///
    /// # Errors
    /// [`QuoteError::QueueFull`] at once, [`QuoteError::Timeout`] after [`Limits::wait`], [`QuoteError::Stopped`] when
    /// the thread is gone, else what the device said.
    pub async fn quote(&self, claims: &ClaimsBuffer) -> Result<Arc<Evidence>, QuoteError> {
        let lane = if claims.claims().mode == Mode::Epoch {
            Lane::Epoch
        } else {
            Lane::Asked
        };
        let mut waiter = self
            .handle
            .0
            .enqueue(claims.report_data(), lane, self.limits.queue)?;
        match tokio::time::timeout(self.limits.wait, waiter.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => outcome.clone().expect("waited until it is some"),
            Ok(Err(_)) => Err(QuoteError::Stopped),
            Err(_) => Err(QuoteError::Timeout(self.limits.wait)),
        }
    }
}

impl fmt::Debug for QuotingActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotingActor")
            .field("tee", &self.tee)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What clones of the actor share: dropping the last one lets the thread end.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Held by the thread, so that nobody waits for it after it ended, not even by a panic.
struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[derive(Clone, Copy)]
enum Lane {
    Epoch = 0,
    Asked = 1,
}

struct Job {
    report_data: [u8; 64],
    result: watch::Sender<Option<Outcome>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    lanes: [VecDeque<Job>; 2],
    /// By REPORT_DATA: quotes that wait or are in the making.
    in_flight: HashMap<[u8; 64], Waiter>,
    stopped: bool,
}

impl Shared {
    fn enqueue(&self, report_data: [u8; 64], lane: Lane, capacity: usize) -> Result<Waiter, QuoteError> {
        let mut state = self.state();
        if state.stopped {
            return Err(QuoteError::Stopped);
        }
        if let Some(waiter) = state.in_flight.get(&report_data) {
            return Ok(waiter.clone());
        }
        let waiting = state.lanes[lane as usize].len();
        if waiting >= capacity {
            return Err(QuoteError::QueueFull(waiting));
        }
        let (result, waiter) = watch::channel(None);
        state.lanes[lane as usize].push_back(Job { report_data, result });
        state.in_flight.insert(report_data, waiter.clone());
        self.work.notify_one();
        Ok(waiter)
    }

    /// The next job that somebody still waits for; `None` when the actor is to end.
    fn next_job(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return None;
            }
            let job = state.lanes.iter_mut().find_map(VecDeque::pop_front);
            match job {
                // The last receiver is the one in the map: every caller gave up, so the device needn't be troubled.
                Some(job) if job.result.receiver_count() <= 1 => {
                    state.in_flight.remove(&job.report_data);
                }
                Some(job) => return Some(job),
                None => state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn finish(&self, job: Job, outcome: Outcome) {
        self.state().in_flight.remove(&job.report_data);
        job.result.send_replace(Some(outcome));
    }

    fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        // Dropping the senders wakes the waiters.
        state.lanes.iter_mut().for_each(VecDeque::clear);
        state.in_flight.clear();
        drop(state);
        self.work.notify_one();
    }

    /// No code panics while it holds the lock, so a poisoned state is a whole one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
