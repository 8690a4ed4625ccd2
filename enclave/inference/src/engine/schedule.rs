//! Who runs next.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::sequence::{Progress, Sequence};
use super::{FinishReason, SubmitError};
use crate::forward::Scratch;
use crate::model::Model;

/// The queues that submitters and workers share.
pub(super) struct Schedule {
    max_active: usize,
    max_queue: usize,
    kv_cache_bytes: usize,
    queues: Mutex<Queues>,
    /// Signalled when there may be work, or none ever again.
    changed: Condvar,
}

#[derive(Default)]
struct Queues {
    /// Accepted, not started; in order of arrival.
    waiting: VecDeque<Sequence>,
    /// Started, and not in a step right now; whoever waits longest is first.
    ready: VecDeque<Sequence>,
    /// Started, in a step or not.
    active: usize,
    /// Cache memory promised to those.
    cache_bytes: usize,
    closing: bool,
}

enum Work {
    Step(Sequence),
    /// Cancelled before it was started.
    Discard(Sequence),
}

impl Schedule {
    pub(super) fn new(max_active: usize, max_queue: usize, kv_cache_bytes: usize) -> Self {
        Self {
            max_active,
            max_queue,
            kv_cache_bytes,
            queues: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Puts a request at the end of the queue.
    pub(super) fn enqueue(&self, sequence: Sequence) -> Result<(), SubmitError> {
        let mut queues = self.lock();
        if queues.closing {
            return Err(SubmitError::ShuttingDown);
        }
        if queues.waiting.len() >= self.max_queue {
            return Err(SubmitError::QueueFull(self.max_queue));
        }
        queues.waiting.push_back(sequence);
        self.changed.notify_one();
        Ok(())
    }

    /// Makes the workers cancel everything and return.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Runs steps until [`Self::close`]. What each worker thread does.
    pub(super) fn work(&self, model: &Model) {
        let mut scratch = Scratch::new(model);
        while let Some(work) = self.next(&mut scratch) {
            let mut sequence = match work {
                Work::Discard(sequence) => {
                    sequence.finish(FinishReason::Cancelled);
                    continue;
                }
                Work::Step(sequence) => sequence,
            };
            let progress = match sequence.is_cancelled() {
                true => Progress::Finished(FinishReason::Cancelled),
                false => sequence.step(model, &mut scratch),
            };
            match progress {
                Progress::Continue => self.put_back(sequence),
                Progress::Finished(reason) => {
                    scratch.wipe();
                    let cache_bytes = sequence.cache_bytes;
                    sequence.finish(reason);
                    self.release(cache_bytes);
                }
            }
        }
    }

    /// Waits for something to do; None when closing and nothing is left.
    fn next(&self, scratch: &mut Scratch) -> Option<Work> {
        let mut queues = self.lock();
        let mut wiped = false;
        loop {
            if let Some(work) = self.pick(&mut queues) {
                return Some(work);
            }
            if queues.closing && queues.active == 0 {
                return None;
            }
            if !wiped {
                // Idle: the requests that this worker took part in may end on another one.
                drop(queues);
                scratch.wipe();
                wiped = true;
                queues = self.lock();
                continue;
            }
            queues = self.changed.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn pick(&self, queues: &mut Queues) -> Option<Work> {
        let closing = queues.closing;
        let given_up = queues
            .waiting
            .iter()
            .position(|sequence| closing || sequence.is_cancelled());
        if let Some(sequence) = given_up.and_then(|index| queues.waiting.remove(index)) {
            return Some(Work::Discard(sequence));
        }
        // Strictly in order of arrival, so that a large request can't be overtaken for ever.
        while let Some(first) = queues.waiting.front()
            && queues.active < self.max_active
            && first.cache_bytes <= self.kv_cache_bytes - queues.cache_bytes
            && let Some(sequence) = queues.waiting.pop_front()
        {
            queues.active += 1;
            queues.cache_bytes += sequence.cache_bytes;
            queues.ready.push_back(sequence);
            self.changed.notify_one();
        }
        let mut sequence = queues.ready.pop_front()?;
        if closing {
            sequence.cancel();
        }
        Some(Work::Step(sequence))
    }

    fn put_back(&self, sequence: Sequence) {
        self.lock().ready.push_back(sequence);
        self.changed.notify_one();
    }

    fn release(&self, cache_bytes: usize) {
        let mut queues = self.lock();
        queues.active -= 1;
        queues.cache_bytes -= cache_bytes;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // The queues are consistent at each point where a panic could be.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
