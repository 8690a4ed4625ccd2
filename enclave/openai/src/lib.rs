//! OpenAI's HTTP API as values: request bodies in, response documents out. No I/O, no clock, no randomness.
//!
//! A field that would change the answer and isn't supported is a clear 400; only fields without effect on it are ignored.
//! Messages of errors name fields and limits and never repeat what the user wrote.
//!
//! ```text
//! body -> Envelope -> chat | completions | embeddings -> Generation ... Answer -> chat | completions -> document -> event
//!                  -> responses -> chat fields ................... chat documents -> responses -> document -> event
//! ```

pub mod answer;
pub mod chat;
pub mod completions;
pub mod embeddings;
mod envelope;
mod error;
pub mod event;
pub mod fields;
mod generation;
mod head;
pub mod logprobs;
pub mod receipt;
pub mod responses;
pub mod upstream;

pub use envelope::Envelope;
pub use error::RequestError;
pub use generation::{Generation, Sampling};
pub use head::Head;
