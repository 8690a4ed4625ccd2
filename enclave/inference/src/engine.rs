//! Runs many requests side by side on a few threads.
//!
//! Scheduling is round-robin in steps: one step is one token of an answer, or up to 32 tokens of a prompt.
//! So a request waits at most one step per other active request for each step of its own, however long the
//! others are. Each step runs on one thread; more threads run more requests at a time, not one faster.

mod schedule;
mod sequence;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use zeroize::Zeroizing;

use crate::kv_cache::KvCache;
use crate::model::Model;
use crate::private_text::PrivateText;
use crate::sampler::{InvalidSampling, Sampling};
use crate::template::Message;
use schedule::Schedule;
use sequence::Sequence;

/// Stop strings of a request at most.
pub const MAX_STOPS: usize = 16;

/// Length of a stop string at most, in bytes.
pub const MAX_STOP_BYTES: usize = 256;

/// Limits of an [`Engine`].
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Worker threads. Below the number of CPUs where others need to run too.
    pub threads: usize,
    /// Tokens of prompt and answer together, at most; capped at the model's context length.
    pub max_context: usize,
    /// Tokens of an answer when the request doesn't say.
    pub default_max_tokens: usize,
    /// Requests that run side by side, at most.
    pub max_active: usize,
    /// Requests that wait for their turn, at most.
    pub max_queue: usize,
    /// Memory for the key-value caches of all active requests, in bytes. A request waits until there is room
    /// for all the tokens that it may come to.
    pub kv_cache_bytes: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_context: 4096,
            default_max_tokens: 512,
            max_active: 8,
            max_queue: 64,
            kv_cache_bytes: 96 << 20,
        }
    }
}

/// Why an engine can't be started.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum EngineError {
    #[error("threads, max_context, default_max_tokens, max_active and max_queue must be at least 1")]
    ZeroLimit,
    #[error("a context of {max_context} tokens takes {needed} bytes of cache; {kv_cache_bytes} are allowed")]
    CacheTooSmall {
        max_context: usize,
        needed: usize,
        kv_cache_bytes: usize,
    },
    #[error("a thread could not be started")]
    Thread(#[source] io::Error),
}

/// What the model is given.
pub enum Prompt {
    /// A conversation, put into the model's chat template.
    Chat(Vec<Message>),
    /// Text to continue, as it is.
    Text(PrivateText),
    /// Tokens to continue, as they are.
    Tokens(Zeroizing<Vec<u32>>),
}

/// A request for one answer.
pub struct GenerateRequest {
    /// What the model is given.
    pub prompt: Prompt,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens of the answer at most; never more than the context has left after the prompt.
    pub max_tokens: Option<usize>,
    /// Strings that end the answer, and aren't part of it. At most [`MAX_STOPS`] of [`MAX_STOP_BYTES`].
    pub stop: Zeroizing<Vec<String>>,
}

/// Why a request wasn't accepted.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum SubmitError {
    #[error("{0} requests are waiting already")]
    QueueFull(usize),
    #[error("the engine is shutting down")]
    ShuttingDown,
    #[error("the prompt has {tokens} tokens; at most {limit} leave room for an answer")]
    PromptTooLong { tokens: usize, limit: usize },
    #[error("the prompt is empty")]
    EmptyPrompt,
    #[error("token {token} is outside the vocabulary of {vocabulary}")]
    TokenOutOfRange { token: u32, vocabulary: usize },
    #[error("the model has no chat template")]
    NoChatTemplate,
    #[error("max_tokens must be at least 1")]
    NoTokens,
    #[error("at most {MAX_STOPS} stop strings of 1 to {MAX_STOP_BYTES} bytes")]
    Stop,
    #[error(transparent)]
    Sampling(#[from] InvalidSampling),
}

/// What a request's sink is called with.
pub enum Event {
    /// More of the answer: whole characters, never empty.
    Text(PrivateText),
    /// The end. Nothing follows.
    Finished(Finish),
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish {
    /// Why.
    pub reason: FinishReason,
    /// What it took.
    pub usage: Usage,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, or a stop string was met.
    Stop,
    /// `max_tokens` or the context was reached.
    Length,
    /// The sink broke off, the [`Generation`] was dropped, or the engine shut down.
    Cancelled,
}

/// Tokens counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, with those of the template.
    pub prompt_tokens: usize,
    /// Tokens of the answer, without the control token that ends it.
    pub completion_tokens: usize,
}

/// What is called with each [`Event`], on a worker thread: it must not block. [`ControlFlow::Break`] cancels.
type Sink = Box<dyn FnMut(Event) -> ControlFlow<()> + Send>;

/// A request that was accepted. Dropping it cancels the request if it still runs.
#[must_use = "dropping it cancels the request"]
pub struct Generation {
    cancelled: Arc<AtomicBool>,
    prompt_tokens: usize,
}

impl Generation {
    /// Tokens of the prompt, with those of the template.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// A model and the threads that run it. Dropping it cancels what runs and waits for the threads.
pub struct Engine {
    model: Arc<Model>,
    config: EngineConfig,
    schedule: Arc<Schedule>,
    workers: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`EngineError`] for limits under which no request could run, and if the system gives no thread.
    pub fn new(model: Arc<Model>, mut config: EngineConfig) -> Result<Self, EngineError> {
        let EngineConfig {
            threads,
            default_max_tokens,
            max_active,
            max_queue,
            kv_cache_bytes,
            ..
        } = config;
        config.max_context = config.max_context.min(model.context_length());
        let max_context = config.max_context;
        if [threads, max_context, default_max_tokens, max_active, max_queue].contains(&0) {
            return Err(EngineError::ZeroLimit);
        }
        let needed = KvCache::bytes(&model.shape, max_context);
        if needed > kv_cache_bytes {
            return Err(EngineError::CacheTooSmall {
                max_context,
                needed,
                kv_cache_bytes,
            });
        }
        let schedule = Arc::new(Schedule::new(max_active, max_queue, kv_cache_bytes));
        let mut engine = Self {
            model,
            config,
            schedule,
            workers: Vec::new(),
        };
        for index in 0..threads {
            let (model, schedule) = (engine.model.clone(), engine.schedule.clone());
            let builder = Builder::new().name(format!("inference-{index}"));
            let worker = builder
                .spawn(move || schedule.work(&model))
                .map_err(EngineError::Thread)?;
            engine.workers.push(worker);
        }
        Ok(engine)
    }

    /// The model that answers.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Accepts a request. `sink` is called on a worker thread with each [`Event`], in order, the last of them
    /// [`Event::Finished`] (unless it breaks off first); it must not block. The prompt is tokenized here, on
    /// the caller's thread, in up to about a millisecond per KiB: bound the length of what you pass.
    ///
    /// # Errors
    /// [`SubmitError`]; `sink` is never called then.
    pub fn submit(
        &self,
        request: GenerateRequest,
        sink: impl FnMut(Event) -> ControlFlow<()> + Send + 'static,
    ) -> Result<Generation, SubmitError> {
        let GenerateRequest {
            prompt,
            sampling,
            max_tokens,
            stop,
        } = request;
        sampling.validate()?;
        let stop_lengths = 1..=MAX_STOP_BYTES;
        if stop.len() > MAX_STOPS || stop.iter().any(|stop| !stop_lengths.contains(&stop.len())) {
            return Err(SubmitError::Stop);
        }
        let max_tokens = max_tokens.unwrap_or(self.config.default_max_tokens);
        if max_tokens == 0 {
            return Err(SubmitError::NoTokens);
        }
        let prompt = self.tokenize(prompt)?;
        let limit = self.config.max_context - 1;
        if prompt.len() > limit {
            return Err(SubmitError::PromptTooLong {
                tokens: prompt.len(),
                limit,
            });
        }
        let max_tokens = max_tokens.min(self.config.max_context - prompt.len());

        let cancelled = Arc::new(AtomicBool::new(false));
        let generation = Generation {
            cancelled: cancelled.clone(),
            prompt_tokens: prompt.len(),
        };
        let cache_bytes = KvCache::bytes(&self.model.shape, prompt.len() + max_tokens);
        let sequence = Sequence::new(
            prompt,
            sampling,
            max_tokens,
            stop,
            cache_bytes,
            cancelled,
            Box::new(sink),
        );
        self.schedule.enqueue(sequence)?;
        Ok(generation)
    }

    fn tokenize(&self, prompt: Prompt) -> Result<Zeroizing<Vec<u32>>, SubmitError> {
        let tokenizer = self.model.tokenizer();
        let tokens = match prompt {
            Prompt::Chat(messages) => {
                let template = self.model.template().ok_or(SubmitError::NoChatTemplate)?;
                if messages.is_empty() {
                    return Err(SubmitError::EmptyPrompt);
                }
                template.render(&messages, tokenizer)
            }
            Prompt::Text(text) => tokenizer.encode(&text),
            Prompt::Tokens(tokens) => {
                let vocabulary = tokenizer.vocabulary_size();
                if let Some(&token) = tokens.iter().find(|token| **token as usize >= vocabulary) {
                    return Err(SubmitError::TokenOutOfRange { token, vocabulary });
                }
                tokens
            }
        };
        if tokens.is_empty() {
            return Err(SubmitError::EmptyPrompt);
        }
        Ok(tokens)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.schedule.close();
        for worker in self.workers.drain(..) {
            // A worker that panicked has nothing left to wait for.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests;
