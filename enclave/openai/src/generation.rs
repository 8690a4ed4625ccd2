//! What an engine is asked for, whichever endpoint it came through.

use jeju_inference::{PrivateText, Prompt};

use crate::RequestError;
use crate::fields::Fields;

/// What to generate. Holds what the user wrote: neither Debug nor Display.
pub struct Generation {
    /// What is continued, each by itself. More than one only through `/v1/completions`.
    pub prompts: Vec<Prompt>,
    /// Answers to each prompt, 1 to 4. Over all prompts, each answer has the seed of the one before it plus one.
    pub n: usize,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// Whether each token's log probability is told, and those of how many others.
    pub logprobs: Option<usize>,
    /// Whether only a JSON object can come out.
    pub json_object: bool,
    /// Whether the prompt's text stands before the answer's.
    pub echo: bool,
}

/// How to choose tokens; what is absent is the model's default.
#[derive(Default)]
pub struct Sampling {
    /// In [0, 2].
    pub temperature: Option<f32>,
    /// In [0, 1].
    pub top_p: Option<f32>,
    /// Start of the random sequence.
    pub seed: Option<u64>,
    /// In [-2, 2].
    pub frequency_penalty: Option<f32>,
    /// In [-2, 2].
    pub presence_penalty: Option<f32>,
    /// In [0.5, 2].
    pub repetition_penalty: Option<f32>,
    /// Tokens and what is added to their logits, in [-100, 100]; at most 1024, in ascending order of the tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// Tokens of the answer, at most.
    pub max_tokens: Option<usize>,
    /// Strings that end the answer.
    pub stop: Vec<PrivateText>,
}

impl Sampling {
    /// What the engine is given for it: the model's defaults for what is absent, and this seed. A `top_p` of 0 asks for the
    /// most probable token alone, which the engine calls temperature 0.
    pub fn engine(&self, seed: u64) -> jeju_inference::Sampling {
        let default = jeju_inference::Sampling::default();
        let (temperature, top_p) = match self.top_p {
            Some(0.0) => (Some(0.0), None),
            top_p => (self.temperature, top_p),
        };
        jeju_inference::Sampling {
            temperature: temperature.unwrap_or(default.temperature),
            top_p: top_p.unwrap_or(default.top_p),
            seed,
            repeat_penalty: self.repetition_penalty.unwrap_or(default.repeat_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(default.frequency_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(default.presence_penalty),
            logit_bias: self.logit_bias.clone(),
        }
    }

    /// Reads what the endpoints have in common.
    ///
    /// # Errors
    /// [`RequestError`] for the first field that is wrong.
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, RequestError> {
        Ok(Self {
            temperature: fields.number("temperature", 0.0, 2.0)?,
            top_p: fields.number("top_p", 0.0, 1.0)?,
            seed: fields.seed()?,
            frequency_penalty: fields.number("frequency_penalty", -2.0, 2.0)?,
            presence_penalty: fields.number("presence_penalty", -2.0, 2.0)?,
            repetition_penalty: fields.number("repetition_penalty", 0.5, 2.0)?,
            logit_bias: fields.logit_bias()?,
            max_tokens: fields
                .integer("max_tokens", 1..=u64::from(u32::MAX))?
                .map(|tokens| tokens as usize),
            stop: fields.stop()?,
        })
    }
}
