//! What can be asked of an engine, and why it may refuse.

use zeroize::Zeroizing;

use crate::model::Model;
use crate::private_text::PrivateText;
use crate::sampler::{InvalidSampling, Sampling};
use crate::template::Message;

/// Stop strings of a request at most.
pub const MAX_STOPS: usize = 16;

/// Length of a stop string at most, in bytes.
pub const MAX_STOP_BYTES: usize = 256;

/// Most probable tokens that can be asked for beside each chosen one.
pub const MAX_TOP_LOGPROBS: usize = 20;

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
    /// `Some(k)`: each token comes with its log probability and the `k` most probable ones, at most
    /// [`MAX_TOP_LOGPROBS`].
    pub logprobs: Option<usize>,
    /// Only a JSON object can come out. An answer that ends with [`super::FinishReason::Stop`] is a whole
    /// one; with [`super::FinishReason::Length`] it may be cut. Not together with stop strings.
    pub json_object: bool,
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
    #[error("a JSON object can't be cut by stop strings")]
    StopInJson,
    #[error("at most {MAX_TOP_LOGPROBS} of the most probable tokens")]
    Logprobs,
    #[error(transparent)]
    Sampling(#[from] InvalidSampling),
}

impl GenerateRequest {
    /// Checks all but the prompt.
    pub(super) fn validate(&self, model: &Model) -> Result<(), SubmitError> {
        self.sampling.validate()?;
        let biased = self.sampling.logit_bias.iter().map(|(token, _)| *token);
        tokens_exist(model, biased)?;
        let stop_lengths = 1..=MAX_STOP_BYTES;
        if self.stop.len() > MAX_STOPS || self.stop.iter().any(|stop| !stop_lengths.contains(&stop.len())) {
            return Err(SubmitError::Stop);
        }
        if self.json_object && !self.stop.is_empty() {
            return Err(SubmitError::StopInJson);
        }
        if self.logprobs.is_some_and(|count| count > MAX_TOP_LOGPROBS) {
            return Err(SubmitError::Logprobs);
        }
        if self.max_tokens == Some(0) {
            return Err(SubmitError::NoTokens);
        }
        Ok(())
    }
}

impl Prompt {
    /// The tokens of the prompt: at least one, and `limit` at most.
    pub(super) fn tokenize(self, model: &Model, limit: usize) -> Result<Zeroizing<Vec<u32>>, SubmitError> {
        let tokenizer = model.tokenizer();
        let tokens = match self {
            Self::Chat(messages) => {
                let template = model.template().ok_or(SubmitError::NoChatTemplate)?;
                if messages.is_empty() {
                    return Err(SubmitError::EmptyPrompt);
                }
                template.render(&messages, tokenizer)
            }
            Self::Text(text) => tokenizer.encode(&text),
            Self::Tokens(tokens) => {
                tokens_exist(model, tokens.iter().copied())?;
                tokens
            }
        };
        match tokens.len() {
            0 => Err(SubmitError::EmptyPrompt),
            length if length > limit => Err(SubmitError::PromptTooLong {
                tokens: length,
                limit,
            }),
            _ => Ok(tokens),
        }
    }
}

fn tokens_exist(model: &Model, mut tokens: impl Iterator<Item = u32>) -> Result<(), SubmitError> {
    let vocabulary = model.vocabulary_size();
    match tokens.find(|token| *token as usize >= vocabulary) {
        Some(token) => Err(SubmitError::TokenOutOfRange { token, vocabulary }),
        None => Ok(()),
    }
}
