//! What comes of a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::private_text::PrivateText;

/// What a request's sink is called with.
pub enum Event {
    /// More of the answer.
    Text(Piece),
    /// The end. Nothing follows.
    Finished(Finish),
}

/// A piece of an answer: whole characters, and the tokens that they end with it.
pub struct Piece {
    /// Empty only if `tokens` isn't.
    pub text: PrivateText,
    /// The tokens whose bytes have now all been sent; empty unless asked for. Over all pieces these are the
    /// tokens of the answer's text, in order: those that only belong to a stop string are left out.
    pub tokens: Vec<TokenLogprob>,
}

/// How probable a token of an answer was. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct TokenLogprob {
    /// The token; [`crate::Tokenizer::bytes`] are its bytes.
    pub token: u32,
    /// Natural logarithm of its probability in the model's own distribution: before bias, penalties and
    /// temperature. Never above 0.
    pub logprob: f32,
    /// The most probable tokens and theirs, in descending order; of equal ones the lowest id is first.
    pub top: Vec<(u32, f32)>,
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
    /// The model ended it, a stop string was met, or the JSON object is whole.
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

/// A text as a point: near others of like meaning, as far as the model tells them apart.
pub struct Embedding {
    /// Mean of the tokens' last hidden states after the output norm, scaled to length 1 (all zeros if the
    /// mean is). [`crate::Model::embedding_length`] values.
    pub vector: Zeroizing<Vec<f32>>,
    /// Tokens of the prompt.
    pub tokens: usize,
}

/// A request that was accepted. Dropping it cancels the request if it still runs.
#[must_use = "dropping it cancels the request"]
pub struct Generation {
    pub(super) cancelled: Arc<AtomicBool>,
    pub(super) prompt: Arc<Zeroizing<Vec<u32>>>,
    pub(super) max_tokens: usize,
}

impl Generation {
    /// The tokens that the model is given, with those of the template.
    pub fn prompt(&self) -> &[u32] {
        &self.prompt
    }

    /// Number of tokens of the prompt, with those of the template.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt.len()
    }

    /// Tokens that the answer can have at most: what was asked for, the default, or what the context has
    /// left. 0 for an embedding.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}
