//! Who runs next.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::batch::{Share, Workspace};
use super::sequence::{Progress, Sequence};
use super::{EngineConfig, FinishReason, SubmitError};
use crate::forward::ROWS;
use crate::model::Model;

/// The queues that submitters and workers share.
pub(super) struct Schedule {
    threads: usize,
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
    /// Started, and not in a step right now; whose turn comes next is first.
    ready: VecDeque<Sequence>,
    /// Started, in a step or not.
    active: usize,
    /// Cache memory promised to those.
    cache_bytes: usize,
    closing: bool,
}

enum Work {
    Step(Vec<Share>),
    /// Cancelled before it was started.
    Discard(Sequence),
}

impl Schedule {
    pub(super) fn new(config: &EngineConfig) -> Self {
        Self {
            threads: config.threads,
            max_active: config.max_active,
            max_queue: config.max_queue,
            kv_cache_bytes: config.kv_cache_bytes,
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
        let mut workspace = Workspace::new(model);
        while let Some(work) = self.next(&mut workspace) {
            let mut batch = match work {
                Work::Discard(sequence) => {
                    sequence.finish(FinishReason::Cancelled);
                    continue;
                }
                Work::Step(batch) => batch,
            };
            let progress = workspace.step(model, &mut batch);
            if progress
                .iter()
                .any(|progress| matches!(progress, Progress::Finished(_)))
            {
                workspace.wipe();
            }
            let mut unfinished = Vec::with_capacity(batch.len());
            for ((sequence, _), progress) in batch.into_iter().zip(progress) {
                match progress {
                    Progress::Continue => unfinished.push(sequence),
                    Progress::Finished(reason) => {
                        let cache_bytes = sequence.cache_bytes;
                        sequence.finish(reason);
                        self.release(cache_bytes);
                    }
                }
            }
            self.put_back(unfinished);
        }
    }

    /// Waits for something to do; None when closing and nothing is left.
    fn next(&self, workspace: &mut Workspace) -> Option<Work> {
        let mut queues = self.lock();
        let mut wiped = false;
        loop {
            if let Some(work) = self.pick(&mut queues) {
                if !queues.ready.is_empty() {
                    // Enough for another worker too.
                    self.changed.notify_one();
                }
                return Some(work);
            }
            if queues.closing && queues.active == 0 {
                return None;
            }
            if !wiped {
                // Idle: the requests that this worker took part in may end on another one.
                drop(queues);
                workspace.wipe();
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
        }
        let mut batch = self.batch(queues);
        if closing {
            batch.iter_mut().for_each(|(sequence, _)| sequence.cancel());
        }
        (!batch.is_empty()).then_some(Work::Step(batch))
    }

    /// Takes those whose turn comes next: an equal part of all for each worker, and no more than there are rows.
    fn batch(&self, queues: &mut Queues) -> Vec<Share> {
        let limit = queues.active.div_ceil(self.threads);
        let mut batch = Vec::new();
        let mut rows = ROWS;
        while batch.len() < limit
            && rows > 0
            && let Some(mut sequence) = queues.ready.pop_front()
        {
            let share = sequence.take_rows(rows);
            rows -= share;
            batch.push((sequence, share));
        }
        batch
    }

    /// Puts requests at the end of the queue, or first where the rows of the pass cut their turn short.
    fn put_back(&self, sequences: Vec<Sequence>) {
        if sequences.is_empty() {
            return;
        }
        let mut queues = self.lock();
        for mut sequence in sequences {
            match sequence.ends_turn() {
                true => queues.ready.push_back(sequence),
                false => queues.ready.push_front(sequence),
            }
        }
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
