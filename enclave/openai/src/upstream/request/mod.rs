//! A client's request as an upstream gets it: every field is known here, checked, and put into a new body.
//!
//! What would change the answer and isn't known is a 400. What says only how an upstream is to work (its caches, queues
//! and slots) is dropped: [`DROPPED`]. An address that an upstream would fetch is a 400: the prompt would leave with it.

mod body;
mod chat;
mod completions;
mod embeddings;
mod messages;
mod tools;

use jeju_attestation::launch::upstreams::{Endpoint, Kind};
use zeroize::Zeroizing;

use crate::fields::Fields;
use crate::{RequestError, event};

use body::Body;

/// Most texts of a request for completions, and of one for embeddings.
pub const MAX_INPUTS: usize = 2048;

/// Without effect on the answer: where an upstream keeps what, in which order it works, and what it calls a request.
/// This node decides on them, or nobody does.
pub const DROPPED: [&str; 8] = [
    "cache_prompt",
    "cache_salt",
    "ec_transfer_params",
    "id_slot",
    "kv_transfer_params",
    "priority",
    "request_id",
    "session_id",
];

/// Whom a request goes to, and how.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Which program answers.
    pub kind: Kind,
    /// At which URL.
    pub endpoint: Endpoint,
    /// The model's name there.
    pub model: &'a str,
    /// Whether chunks are wanted.
    pub stream: bool,
    /// Whose cached prompts it may meet: requests with another salt share none.
    pub cache_salt: &'a str,
}

/// A request for an upstream. Holds what the user wrote: neither Debug nor Display.
pub struct Rewritten {
    /// JSON; wiped when dropped.
    pub body: Zeroizing<Vec<u8>>,
    /// What the answer must be.
    pub expected: Expected,
}

/// What the answer to a request must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Choices, or embeddings.
    pub choices: usize,
    /// Whether log probabilities were asked for, and of how many other tokens.
    pub logprobs: Option<usize>,
    /// Whether embeddings are wanted as base64 of little-endian 32-bit floats.
    pub base64: bool,
}

/// Rewrites what an [`crate::Envelope`] left of a body.
///
/// # Errors
/// [`RequestError`] for the first field that can't be passed on.
pub fn rewrite(target: Target, mut fields: Fields) -> Result<Rewritten, RequestError> {
    for name in DROPPED {
        fields.take(name);
    }
    let mut body = Body::new(target.kind, fields);
    body.put("model", target.model);
    let expected = match target.endpoint {
        Endpoint::Chat => chat::rewrite(&mut body)?,
        Endpoint::Completions => completions::rewrite(&mut body)?,
        Endpoint::Embeddings => embeddings::rewrite(&mut body)?,
    };
    if target.endpoint != Endpoint::Embeddings {
        body.put("stream", target.stream);
        if target.stream {
            body.put("stream_options", serde_json::json!({"include_usage": true}));
        }
        match target.kind {
            Kind::Vllm => body.put("cache_salt", target.cache_salt),
            // It keeps one cache for all; what another tenant asked must not show in the time that this answer takes.
            Kind::LlamaCpp => body.put("cache_prompt", false),
            Kind::Ollama | Kind::Openai => {}
        }
    }
    Ok(Rewritten {
        body: event::json(body.finish()?),
        expected,
    })
}

#[cfg(test)]
mod tests;
