//! Runs many requests side by side on a few threads: continuous batching.
//!
//! A worker takes the requests whose turn it is and moves them all on in one pass through the weights, which has a
//! fixed number of rows: an answer uses one for its next token, a prompt up to all of them. Then they go to the end
//! of the queue. So a request waits for each turn of its own until all others had one, however long they are. No row
//! of a pass depends on another: the company that a request happens to have can't change its answer.

mod batch;
mod config;
mod event;
mod request;
mod schedule;
mod sequence;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{Builder, JoinHandle};

use crate::kv_cache::KvCache;
use crate::model::Model;
pub use config::{EngineConfig, EngineError};
pub use event::{Embedding, Event, Finish, FinishReason, Generation, Piece, TokenLogprob, Usage};
pub use request::{GenerateRequest, MAX_STOP_BYTES, MAX_STOPS, MAX_TOP_LOGPROBS, Prompt, SubmitError};
use schedule::Schedule;
use sequence::{Sequence, Task};

/// The rules by which answers come out of a model file, a prompt and [`crate::Sampling`]. Changes whenever an
/// answer could be another one, so that a receipt names what recomputes it.
pub const ENGINE_VERSION: &str = "jeju-inference/1";

/// What is called with each [`Event`], on a worker thread: it must not block. [`ControlFlow::Break`] cancels.
type Sink = Box<dyn FnMut(Event) -> ControlFlow<()> + Send>;

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
        let schedule = Arc::new(Schedule::new(&config));
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
        request.validate(&self.model)?;
        let GenerateRequest {
            prompt,
            sampling,
            max_tokens,
            stop,
            logprobs,
            json_object,
        } = request;
        let max_context = self.config.max_context;
        let prompt = Arc::new(prompt.tokenize(&self.model, max_context - 1)?);
        let asked = max_tokens.unwrap_or(self.config.default_max_tokens);
        let generation = Generation {
            cancelled: Arc::new(AtomicBool::new(false)),
            max_tokens: asked.min(max_context - prompt.len()),
            prompt,
        };
        let task = Task::answer(&generation, sampling, stop, logprobs, json_object, Box::new(sink));
        self.enqueue(generation, task)
    }

    /// Accepts a prompt to embed. `sink` is called once on a worker thread, and must not block: with None if the
    /// request was cancelled. The prompt may fill the whole context.
    ///
    /// # Errors
    /// [`SubmitError`]; `sink` is never called then.
    pub fn embed(
        &self,
        prompt: Prompt,
        sink: impl FnOnce(Option<Embedding>) + Send + 'static,
    ) -> Result<Generation, SubmitError> {
        let generation = Generation {
            cancelled: Arc::new(AtomicBool::new(false)),
            prompt: Arc::new(prompt.tokenize(&self.model, self.config.max_context)?),
            max_tokens: 0,
        };
        let task = Task::embed(&self.model, Box::new(sink));
        self.enqueue(generation, task)
    }

    fn enqueue(&self, generation: Generation, task: Task) -> Result<Generation, SubmitError> {
        let sequence = Sequence::new(&self.model, &generation, task);
        self.schedule.enqueue(sequence)?;
        Ok(generation)
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
