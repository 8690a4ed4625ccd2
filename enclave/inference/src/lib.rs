//! Embedded inference: runs a small Llama-architecture model from one GGUF file, on any x86-64 CPU, with the
//! same bits everywhere.
//!
//! The whole file (weights, tokenizer, chat template) is one hash to measure, and the crate depends on no
//! other code that computes: an answer can be recomputed from model hash, prompt, [`Sampling`] and seed.
//!
//! ```text
//! GGUF bytes -> gguf::Header -> Model { Tokenizer, ChatTemplate, weights }
//! GenerateRequest -> Engine -> prompt tokens -> batched passes (kernels) -> Sampler -> text -> Event
//! ```
//!
//! Prompts and answers are wiped from memory when a request ends, and the types that hold them can't be
//! printed. No sequence ever sees another's cache.

mod answer;
mod engine;
mod float;
mod forward;
pub mod gguf;
mod json;
mod kernels;
mod kv_cache;
mod logprobs;
mod model;
mod private_text;
mod sampler;
mod session;
mod stack;
mod template;
#[cfg(test)]
mod test_model;
mod tokenizer;

pub use engine::{
    ENGINE_VERSION, Embedding, Engine, EngineConfig, EngineError, Event, Finish, FinishReason,
    GenerateRequest, Generation, MAX_STOP_BYTES, MAX_STOPS, MAX_TOP_LOGPROBS, Piece, Prompt, SubmitError,
    TokenLogprob, Usage,
};
pub use kernels::Kernel;
pub use model::{LoadError, Model};
pub use private_text::PrivateText;
pub use sampler::{InvalidSampling, MAX_LOGIT_BIASES, Sampling};
pub use session::{FeedError, Session};
pub use stack::wipe_stack;
pub use template::{ChatTemplate, DEFAULT_SYSTEM_TEXT, Message, Role, UnknownTemplate};
pub use tokenizer::{Tokenizer, TokenizerError};
