//! One request on its way from prompt to result.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::{Zeroize, Zeroizing};

use super::{Embedding, Event, Finish, FinishReason, Generation, Piece, Sink, Usage};
use crate::answer::Answer;
use crate::forward::{Part, ROWS};
use crate::json::Json;
use crate::kv_cache::KvCache;
use crate::logprobs::Distribution;
use crate::model::Model;
use crate::sampler::{Sampler, Sampling};

/// What a step led to.
#[derive(Clone, Copy)]
pub(super) enum Progress {
    /// There is more to do.
    Continue,
    /// The request has ended.
    Finished(FinishReason),
}

/// All that belongs to one request. What it knows of prompt and answer is wiped when it is dropped.
pub(super) struct Sequence {
    prompt: Arc<Zeroizing<Vec<u32>>>,
    /// Made at the first step, so that a waiting request holds no cache.
    cache: Option<KvCache>,
    /// Tokens that there is room for.
    capacity: usize,
    /// Rows used in this turn. A turn is one token of an answer, or [`ROWS`] of a prompt.
    turn: usize,
    pub(super) task: Task,
    /// What the cache takes when full.
    pub(super) cache_bytes: usize,
    cancelled: Arc<AtomicBool>,
}

/// What is made of the prompt.
pub(super) enum Task {
    Answer(Box<Answering>),
    Embed(Embedding, Option<EmbeddingSink>),
}

/// What is called with an embedding, or None if there is none.
type EmbeddingSink = Box<dyn FnOnce(Option<Embedding>) + Send>;

/// An answer that is being written. Boxed: moving it about would leave copies of what it holds.
pub(super) struct Answering {
    /// The token chosen last, which isn't in the cache yet.
    latest: Option<u32>,
    sampler: Sampler,
    answer: Answer,
    json: Option<Json>,
    logprobs: Option<usize>,
    generated: usize,
    max_tokens: usize,
    /// None after it broke off: it isn't called again.
    sink: Option<Sink>,
}

impl Task {
    pub(super) fn answer(
        generation: &Generation,
        sampling: Sampling,
        stop: Zeroizing<Vec<String>>,
        logprobs: Option<usize>,
        json_object: bool,
        sink: Sink,
    ) -> Self {
        Self::Answer(Box::new(Answering {
            latest: None,
            sampler: Sampler::new(sampling, generation.prompt(), generation.max_tokens()),
            answer: Answer::new(stop),
            json: json_object.then(Json::default),
            logprobs,
            generated: 0,
            max_tokens: generation.max_tokens(),
            sink: Some(sink),
        }))
    }

    pub(super) fn embed(model: &Model, sink: EmbeddingSink) -> Self {
        let embedding = Embedding {
            vector: Zeroizing::new(vec![0.0; model.embedding_length()]),
            tokens: 0,
        };
        Self::Embed(embedding, Some(sink))
    }
}

impl Sequence {
    pub(super) fn new(model: &Model, generation: &Generation, task: Task) -> Self {
        let capacity = generation.prompt().len() + generation.max_tokens();
        Self {
            prompt: generation.prompt.clone(),
            cache: None,
            capacity,
            turn: 0,
            task,
            cache_bytes: KvCache::bytes(&model.shape, capacity),
            cancelled: generation.cancelled.clone(),
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        let broke_off = matches!(&self.task, Task::Answer(answering) if answering.sink.is_none());
        broke_off || self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn cancel(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The rows of the next step, of `available` ones: what is left of the turn, or one for a token of the answer.
    pub(super) fn take_rows(&mut self, available: usize) -> usize {
        let rows = self.rest_of_prompt().max(1).min(ROWS - self.turn).min(available);
        self.turn += rows;
        rows
    }

    /// After a step: whether others come next. Else there were too few rows for a whole turn.
    pub(super) fn ends_turn(&mut self) -> bool {
        let ends = self.rest_of_prompt() == 0 || self.turn >= ROWS;
        if ends {
            self.turn = 0;
        }
        ends
    }

    /// Tokens of the prompt that haven't been processed.
    pub(super) fn rest_of_prompt(&self) -> usize {
        self.prompt.len() - self.processed().min(self.prompt.len())
    }

    fn processed(&self) -> usize {
        self.cache.as_ref().map_or(0, KvCache::length)
    }

    /// What goes into a pass, in at most `rows` rows.
    pub(super) fn part(&mut self, model: &Model, rows: usize) -> Part<'_> {
        let start = self.processed();
        let capacity = self.capacity;
        let cache = self
            .cache
            .get_or_insert_with(|| KvCache::new(&model.shape, capacity));
        let tokens = match &self.task {
            Task::Answer(answering) if let Some(latest) = &answering.latest => std::slice::from_ref(latest),
            _ => &self.prompt[start..self.prompt.len().min(start + rows)],
        };
        Part { tokens, cache }
    }

    /// Chooses the next token of an answer by the logits of the latest one, and sends what can be sent.
    pub(super) fn choose(
        &mut self,
        model: &Model,
        logits: &mut [f32],
        candidates: &mut Vec<(f32, u32)>,
    ) -> Progress {
        match &mut self.task {
            Task::Answer(answering) => answering.choose(model, logits, candidates),
            Task::Embed(..) => Progress::Continue,
        }
    }

    /// Adds the last hidden state of a token of the prompt to an embedding.
    pub(super) fn embed(&mut self, state: &[f32]) {
        if let Task::Embed(embedding, _) = &mut self.task {
            embedding.tokens += 1;
            let sums = embedding.vector.iter_mut();
            sums.zip(state).for_each(|(sum, value)| *sum += value);
        }
    }

    /// Tells the sink how the request ended, and wipes the rest.
    pub(super) fn finish(mut self, reason: FinishReason) {
        let prompt_tokens = self.prompt.len();
        // The cache is wiped before the requester hears that it is over.
        self.cache = None;
        drop(self.prompt);
        match self.task {
            Task::Answer(mut answering) => {
                answering.latest.zeroize();
                let completion_tokens = answering.generated;
                let sink = answering.sink.take();
                drop(answering);
                if let Some(mut sink) = sink {
                    let usage = Usage {
                        prompt_tokens,
                        completion_tokens,
                    };
                    // Nothing is left that could be broken off.
                    let _ = sink(Event::Finished(Finish { reason, usage }));
                }
            }
            Task::Embed(mut embedding, sink) => {
                scale_to_one(&mut embedding.vector);
                if let Some(sink) = sink {
                    sink((reason != FinishReason::Cancelled).then_some(embedding));
                }
            }
        }
    }
}

impl Answering {
    fn choose(&mut self, model: &Model, logits: &mut [f32], candidates: &mut Vec<(f32, u32)>) -> Progress {
        let tokenizer = model.tokenizer();
        let distribution = self.logprobs.map(|count| (Distribution::new(logits), count));
        self.sampler.adjust(logits);
        if let Some(json) = &self.json {
            json.mask(tokenizer, logits);
        }
        let Some(token) = self.sampler.choose(logits, candidates) else {
            // The vocabulary has nothing with which the JSON could go on.
            return self.end(FinishReason::Length);
        };
        if tokenizer.is_control(token) {
            return self.end(FinishReason::Stop);
        }
        self.latest = Some(token);
        self.generated += 1;
        let bytes = tokenizer.bytes(token);
        let described = distribution.map(|(distribution, count)| distribution.describe(token, count));
        let piece = self.answer.push(bytes, described);
        self.send(piece);
        let whole = self.json.as_mut().is_some_and(|json| json.push(bytes));
        if self.answer.stopped() || whole {
            self.end(FinishReason::Stop)
        } else if self.generated == self.max_tokens {
            self.end(FinishReason::Length)
        } else {
            Progress::Continue
        }
    }

    /// Sends what was held back.
    fn end(&mut self, reason: FinishReason) -> Progress {
        let rest = self.answer.finish();
        self.send(rest);
        Progress::Finished(reason)
    }

    fn send(&mut self, piece: Piece) {
        if piece.text.is_empty() && piece.tokens.is_empty() {
            return;
        }
        if let Some(sink) = &mut self.sink
            && sink(Event::Text(piece)) == ControlFlow::Break(())
        {
            self.sink = None;
        }
    }
}

/// A mean and a sum point the same way.
fn scale_to_one(vector: &mut [f32]) {
    let square: f64 = vector
        .iter()
        .map(|value| f64::from(*value) * f64::from(*value))
        .sum();
    if square > 0.0 {
        let scale = 1.0 / square.sqrt();
        vector
            .iter_mut()
            .for_each(|value| *value = (f64::from(*value) * scale) as f32);
    }
}
