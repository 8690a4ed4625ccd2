//! One request on its way from prompt to answer.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroizing;

use super::{Event, Finish, FinishReason, Sink, Usage};
use crate::answer::Answer;
use crate::forward::{PREFILL_TOKENS, Scratch};
use crate::kv_cache::KvCache;
use crate::model::Model;
use crate::private_text::PrivateText;
use crate::sampler::{Sampler, Sampling};

/// What a step led to.
pub(super) enum Progress {
    /// There is more to do.
    Continue,
    /// The answer has ended.
    Finished(FinishReason),
}

/// All that belongs to one request. What it knows of prompt and answer is wiped when it is dropped.
pub(super) struct Sequence {
    prompt: Zeroizing<Vec<u32>>,
    /// Made at the first step, so that a waiting request holds no cache.
    cache: Option<KvCache>,
    /// The token chosen last, which isn't in the cache yet.
    latest: Option<u32>,
    sampler: Sampler,
    answer: Answer,
    generated: usize,
    max_tokens: usize,
    /// What the cache takes when full.
    pub(super) cache_bytes: usize,
    cancelled: Arc<AtomicBool>,
    /// None after it broke off: it isn't called again.
    sink: Option<Sink>,
}

impl Sequence {
    pub(super) fn new(
        prompt: Zeroizing<Vec<u32>>,
        sampling: Sampling,
        max_tokens: usize,
        stop: Zeroizing<Vec<String>>,
        cache_bytes: usize,
        cancelled: Arc<AtomicBool>,
        sink: Sink,
    ) -> Self {
        Self {
            sampler: Sampler::new(sampling, &prompt, max_tokens),
            prompt,
            cache: None,
            latest: None,
            answer: Answer::new(stop),
            generated: 0,
            max_tokens,
            cache_bytes,
            cancelled,
            sink: Some(sink),
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.sink.is_none() || self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn cancel(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Processes up to 32 tokens of the prompt, or the latest token of the answer; chooses the next token
    /// when the prompt has been processed whole.
    pub(super) fn step(&mut self, model: &Model, scratch: &mut Scratch) -> Progress {
        let capacity = self.prompt.len() + self.max_tokens;
        let cache = self
            .cache
            .get_or_insert_with(|| KvCache::new(&model.shape, capacity));
        let processed = match self.latest {
            Some(latest) => {
                model.forward(&[latest], cache, scratch);
                1
            }
            None => {
                let start = cache.length();
                let end = self.prompt.len().min(start + PREFILL_TOKENS);
                model.forward(&self.prompt[start..end], cache, scratch);
                if end < self.prompt.len() {
                    return Progress::Continue;
                }
                end - start
            }
        };
        let token = self.sampler.sample(model.logits(processed, scratch));
        if model.tokenizer().is_control(token) {
            let rest = self.answer.finish();
            self.send_text(rest);
            return Progress::Finished(FinishReason::Stop);
        }
        self.generated += 1;
        self.latest = Some(token);
        let text = self.answer.push(model.tokenizer().bytes(token));
        self.send_text(text);
        if self.answer.stopped() {
            return Progress::Finished(FinishReason::Stop);
        }
        if self.generated == self.max_tokens {
            let rest = self.answer.finish();
            self.send_text(rest);
            return Progress::Finished(FinishReason::Length);
        }
        Progress::Continue
    }

    /// Tells the sink how the answer ended, and wipes the rest.
    pub(super) fn finish(mut self, reason: FinishReason) {
        let usage = Usage {
            prompt_tokens: self.prompt.len(),
            completion_tokens: self.generated,
        };
        let sink = self.sink.take();
        drop(self);
        if let Some(mut sink) = sink {
            // Nothing is left that could be broken off.
            let _ = sink(Event::Finished(Finish { reason, usage }));
        }
    }

    fn send_text(&mut self, text: PrivateText) {
        if text.is_empty() {
            return;
        }
        if let Some(sink) = &mut self.sink
            && sink(Event::Text(text)) == ControlFlow::Break(())
        {
            self.sink = None;
        }
    }
}
