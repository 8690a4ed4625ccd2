//! The receipt of an embedded model's answer: all that is needed to compute the answer again.
//!
//! It stands under [`KEY`] at the top level of a whole document, or of a stream's last chunk that has one, and so is
//! covered by the response's signature. Digests are SHA-256, lower-case hex. A seed is a decimal string, since JSON's
//! numbers end at 2^53 for many readers.

mod form;
#[cfg(test)]
mod tests;

use jeju_inference::{Finish, FinishReason, PrivateText, Sampling};
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// Where a document has its receipt.
pub const KEY: &str = "receipt";
/// Version of the form.
pub const VERSION: u64 = 1;
/// Most prompts, and most choices, of one receipt.
pub const MAX_RUNS: usize = 512;

/// What one request made the engine compute. Holds stop sequences, which the user wrote: neither Debug nor Display.
#[derive(Clone)]
pub struct Receipt {
    /// Which engine: `jeju_inference::ENGINE_VERSION`.
    pub engine: String,
    /// SHA-256 of the model's file.
    pub model_sha256: [u8; 32],
    /// The prompts, in the request's order.
    pub prompts: Vec<PromptDigest>,
    /// What all choices share.
    pub parameters: Parameters,
    /// The choices, by index.
    pub choices: Vec<Choice>,
}

/// What the model was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptDigest {
    /// Over the token ids, each as four bytes, least significant first.
    pub sha256: [u8; 32],
    /// How many tokens.
    pub tokens: usize,
    /// Most tokens of an answer to it: what was asked for, the default, or what the context has left.
    pub max_tokens: usize,
}

/// How tokens were chosen, defaults filled in.
#[derive(Clone)]
pub struct Parameters {
    /// As the engine was given it; `seed` is the first choice's.
    pub sampling: Sampling,
    /// Strings that end the answer.
    pub stop: Vec<PrivateText>,
    /// Whether only a JSON object could come out.
    pub json_object: bool,
}

/// One run of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Index in the answer.
    pub index: usize,
    /// Index in [`Receipt::prompts`].
    pub prompt: usize,
    /// Start of its random sequence.
    pub seed: u64,
    /// Why it ended. What was cancelled has no receipt.
    pub finish_reason: FinishReason,
    /// Tokens of the answer, without the control token that ends it.
    pub completion_tokens: usize,
    /// Over the generated text's UTF-8 bytes; an echoed prompt is not part of it.
    pub output_sha256: [u8; 32],
}

/// Why a document shows no receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReceiptError {
    /// There is none.
    #[error("the answer has no receipt")]
    Missing,
    /// One of another version.
    #[error("the receipt is of another version than {VERSION}")]
    Version,
    /// One that doesn't say what it must, or says more.
    #[error("the receipt is malformed")]
    Malformed,
}

impl Receipt {
    /// The JSON form.
    pub fn json(&self) -> Value {
        form::write(self)
    }

    /// Reads the receipt of a document.
    ///
    /// # Errors
    /// [`ReceiptError`] where there is none, or none that could be recomputed.
    pub fn of(document: &Value) -> Result<Self, ReceiptError> {
        let value = document.get(KEY).ok_or(ReceiptError::Missing)?;
        form::read(value)
    }
}

impl PromptDigest {
    /// Of a prompt's tokens, with what an answer to it may have.
    pub fn of(tokens: &[u32], max_tokens: usize) -> Self {
        let mut hash = Sha256::new();
        for token in tokens {
            hash.update(token.to_le_bytes());
        }
        Self {
            sha256: hash.finalize().into(),
            tokens: tokens.len(),
            max_tokens,
        }
    }
}

/// A choice while it is generated.
pub struct Run {
    index: usize,
    prompt: usize,
    seed: u64,
    output: Sha256,
}

impl Run {
    /// Of a choice that starts now.
    pub fn new(index: usize, prompt: usize, seed: u64) -> Self {
        Self {
            index,
            prompt,
            seed,
            output: Sha256::new(),
        }
    }

    /// Takes the next piece of generated text.
    pub fn push(&mut self, text: &str) {
        self.output.update(text);
    }

    /// The choice as it ended.
    pub fn finish(self, finish: Finish) -> Choice {
        Choice {
            index: self.index,
            prompt: self.prompt,
            seed: self.seed,
            finish_reason: finish.reason,
            completion_tokens: finish.usage.completion_tokens,
            output_sha256: self.output.finalize().into(),
        }
    }
}

impl Choice {
    /// `stop` or `length`, as documents have it.
    pub fn reason(&self) -> &'static str {
        form::name(self.finish_reason)
    }
}

impl Parameters {
    /// The stop sequences as the engine takes them.
    pub fn stops(&self) -> Zeroizing<Vec<String>> {
        Zeroizing::new(self.stop.iter().map(|stop| stop.to_string()).collect())
    }
}
