//! An upstream's answer as a client gets it: read into types that know the fields of OpenAI's API and no others, and
//! written anew under this node's id, model and time.
//!
//! Nothing that an upstream sends makes a document of more choices than were asked for, and a stream is complete only if
//! each of its choices has ended and its usage is known.

mod embeddings;
mod logprobs;
mod parts;
mod stream;
mod usage;
mod whole;

pub use stream::{Step, Stream};

use jeju_attestation::launch::upstreams::Endpoint;
use serde_json::Value;

use super::request::Expected;
use super::sse::TooLong;
use crate::Head;

/// An answer that isn't what was asked for. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's answer does not have the shape of one")]
pub struct Malformed;

impl From<TooLong> for Malformed {
    fn from(_: TooLong) -> Self {
        Malformed
    }
}

/// How the choices of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Each by itself, by a stop sequence, or with a call of a tool.
    Stop,
    /// One at least at the token limit.
    Length,
}

/// Makes a client's document of a whole answer.
///
/// # Errors
/// [`Malformed`].
pub fn whole(endpoint: Endpoint, head: &Head, expected: Expected, body: &[u8]) -> Result<Value, Malformed> {
    match endpoint {
        Endpoint::Chat => whole::chat(head, expected, body),
        Endpoint::Completions => whole::completion(head, expected, body),
        Endpoint::Embeddings => embeddings::document(head, expected, body),
    }
}

#[cfg(test)]
mod tests;
