//! One step of several requests, in one pass through the weights.

use std::ops::Range;

use zeroize::Zeroize;

use super::FinishReason;
use super::sequence::{Progress, Sequence, Task};
use crate::forward::Scratch;
use crate::model::Model;
use crate::stack::wipe_stack;

/// A request and the rows of the pass that it may use.
pub(super) type Share = (Sequence, usize);

/// Buffers of one worker. They hold values derived from prompts between steps; [`Self::wipe`] clears them.
pub(super) struct Workspace {
    scratch: Scratch,
    candidates: Vec<(f32, u32)>,
}

impl Workspace {
    pub(super) fn new(model: &Model) -> Self {
        Self {
            scratch: Scratch::new(model),
            candidates: Vec::new(),
        }
    }

    /// Overwrites everything that was computed from a prompt.
    pub(super) fn wipe(&mut self) {
        self.scratch.wipe();
        self.candidates.zeroize();
        wipe_stack();
    }

    /// Moves each request on, in the order given; returns what that led to, in the same order. At least one row
    /// each, and at most [`crate::forward::ROWS`] together.
    pub(super) fn step(&mut self, model: &Model, batch: &mut [Share]) -> Vec<Progress> {
        let mut progress: Vec<Progress> = Vec::with_capacity(batch.len());
        let mut parts = Vec::with_capacity(batch.len());
        let mut rows = Vec::with_capacity(batch.len());
        let mut first = 0;
        for (sequence, share) in batch.iter_mut() {
            if sequence.is_cancelled() {
                progress.push(Progress::Finished(FinishReason::Cancelled));
                rows.push(first..first);
                continue;
            }
            progress.push(Progress::Continue);
            let part = sequence.part(model, *share);
            rows.push(first..first + part.tokens.len());
            first += part.tokens.len();
            parts.push(part);
        }
        if !parts.is_empty() {
            model.forward(&mut parts, &mut self.scratch);
            drop(parts);
            self.embed(model, batch, &rows, &mut progress);
            self.choose(model, batch, &rows, &mut progress);
        }
        progress
    }

    fn embed(
        &mut self,
        model: &Model,
        batch: &mut [Share],
        rows: &[Range<usize>],
        progress: &mut [Progress],
    ) {
        for (((sequence, _), rows), progress) in batch.iter_mut().zip(rows).zip(progress) {
            if !matches!(sequence.task, Task::Embed(..)) || rows.is_empty() {
                continue;
            }
            for state in model.states(rows.clone(), &mut self.scratch) {
                sequence.embed(state);
            }
            if sequence.rest_of_prompt() == 0 {
                *progress = Progress::Finished(FinishReason::Stop);
            }
        }
    }

    /// Lets those choose a token whose prompt has been processed whole.
    fn choose(
        &mut self,
        model: &Model,
        batch: &mut [Share],
        rows: &[Range<usize>],
        progress: &mut [Progress],
    ) {
        let chooses = |sequence: &Sequence, rows: &Range<usize>| {
            !rows.is_empty() && sequence.rest_of_prompt() == 0 && matches!(sequence.task, Task::Answer(_))
        };
        let last: Vec<usize> = batch
            .iter()
            .zip(rows)
            .filter(|((sequence, _), rows)| chooses(sequence, rows))
            .map(|(_, rows)| rows.end - 1)
            .collect();
        if last.is_empty() {
            return;
        }
        let mut logits = model.logits(&last, &mut self.scratch);
        for (((sequence, _), rows), progress) in batch.iter_mut().zip(rows).zip(progress) {
            if chooses(sequence, rows)
                && let Some(logits) = logits.next()
            {
                *progress = sequence.choose(model, logits, &mut self.candidates);
            }
        }
    }
}
