//! A body under work: fields are taken from the client's, checked, and put into the upstream's.

use jeju_attestation::launch::upstreams::Kind;
use serde_json::{Map, Value};

use crate::RequestError;
use crate::fields::Fields;

const MAX_STOP_TOKENS: usize = 64;

pub(super) struct Body {
    pub(super) kind: Kind,
    pub(super) fields: Fields,
    out: Map<String, Value>,
}

impl Body {
    pub(super) fn new(kind: Kind, fields: Fields) -> Self {
        Self {
            kind,
            fields,
            out: Map::new(),
        }
    }

    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.out.insert(name.to_owned(), value.into());
    }

    /// The upstream's body.
    ///
    /// # Errors
    /// When a field is left that nobody took and that isn't without effect.
    pub(super) fn finish(self) -> Result<Value, RequestError> {
        self.fields.nothing_else()?;
        Ok(Value::Object(self.out))
    }

    /// Passes a field on as it was written, if `check` takes it.
    fn pass<T>(
        &mut self,
        name: &str,
        check: impl FnOnce(&mut Fields) -> Result<T, RequestError>,
    ) -> Result<T, RequestError> {
        let written = self.fields.0.get(name).filter(|value| !value.is_null()).cloned();
        let checked = check(&mut self.fields)?;
        if let Some(written) = written {
            self.put(name, written);
        }
        Ok(checked)
    }

    pub(super) fn number(&mut self, name: &str, least: f64, most: f64) -> Result<(), RequestError> {
        self.pass(name, |fields| fields.number(name, least, most))
            .map(drop)
    }

    pub(super) fn integer(&mut self, name: &str, least: u64, most: u64) -> Result<Option<u64>, RequestError> {
        self.pass(name, |fields| fields.integer(name, least..=most))
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, RequestError> {
        self.pass(name, |fields| fields.boolean(name))
    }

    /// One of a few words.
    pub(super) fn word(&mut self, name: &str, words: &[&str]) -> Result<(), RequestError> {
        self.pass(name, |fields| match fields.take(name) {
            None => Ok(()),
            Some(Value::String(word)) if words.contains(&word.as_str()) => Ok(()),
            Some(Value::String(_)) => {
                let message = format!("'{name}' must be one of: {}.", words.join(", "));
                Err(RequestError::invalid_value(message, name))
            }
            Some(_) => Err(RequestError::wrong_type(name, "a string")),
        })
    }

    /// What says how tokens are chosen, wherever text is generated. Answers how many choices are asked for.
    pub(super) fn sampling(&mut self) -> Result<usize, RequestError> {
        self.number("temperature", 0.0, 2.0)?;
        self.number("top_p", 0.0, 1.0)?;
        self.number("frequency_penalty", -2.0, 2.0)?;
        self.number("presence_penalty", -2.0, 2.0)?;
        self.pass("seed", |fields| fields.seed())?;
        self.pass("stop", |fields| fields.stop())?;
        // Ollama ignores both without a word. What is left over is refused.
        if self.kind != Kind::Ollama {
            self.pass("logit_bias", |fields| fields.logit_bias())?;
        }
        let choices = match self.kind {
            Kind::Ollama => self.fields.answers()?,
            _ => self.pass("n", |fields| fields.answers())?,
        };
        self.own_sampling()?;
        match (self.kind, choices) {
            (Kind::Ollama, 2..) => Err(RequestError::unsupported("n")),
            _ => Ok(choices),
        }
    }

    /// What a program has beyond OpenAI's fields.
    fn own_sampling(&mut self) -> Result<(), RequestError> {
        match self.kind {
            Kind::Vllm => {
                self.number("repetition_penalty", 0.01, 10.0)?;
                self.number("min_p", 0.0, 1.0)?;
                self.number("top_k", -1.0, f64::from(u32::MAX))?;
                self.integer("min_tokens", 0, u64::from(u32::MAX))?;
                self.boolean("ignore_eos")?;
                self.boolean("skip_special_tokens")?;
                self.token_ids("stop_token_ids", MAX_STOP_TOKENS)
            }
            Kind::LlamaCpp => {
                // One thing with two names: vLLM's and this node's own is the first.
                if let Some(penalty) = self.fields.take("repetition_penalty") {
                    self.fields
                        .0
                        .entry("repeat_penalty")
                        .and_modify(|value| {
                            if value.is_null() {
                                *value = penalty.clone();
                            }
                        })
                        .or_insert(penalty);
                }
                self.number("repeat_penalty", 0.01, 10.0)?;
                self.number("min_p", 0.0, 1.0)?;
                self.number("typical_p", 0.0, 1.0)?;
                self.integer("top_k", 0, u64::from(u32::MAX))?;
                self.integer("repeat_last_n", 0, u64::from(u32::MAX))?;
                self.boolean("ignore_eos").map(drop)
            }
            Kind::Openai => self.number("repetition_penalty", 0.5, 2.0),
            Kind::Ollama => Ok(()),
        }
    }

    /// How many other tokens' log probabilities the program must be asked for, where so many are wanted.
    pub(super) fn logprobs_of(&self, top: u64) -> u64 {
        match self.kind {
            // It takes 0 for none at all. What is too much is cut from the answer.
            Kind::LlamaCpp => top.max(1),
            Kind::Vllm | Kind::Ollama | Kind::Openai => top,
        }
    }

    fn token_ids(&mut self, name: &str, most: usize) -> Result<(), RequestError> {
        self.pass(name, |fields| match fields.take(name) {
            None => Ok(()),
            Some(ids) if is_token_ids(&ids) && ids.as_array().is_some_and(|ids| ids.len() <= most) => Ok(()),
            Some(_) => Err(RequestError::wrong_type(
                name,
                &format!("an array of up to {most} token ids"),
            )),
        })
    }
}

/// Whether it is an array of token ids, and not empty.
pub(super) fn is_token_ids(value: &Value) -> bool {
    let is_id = |value: &Value| value.as_u64().is_some_and(|id| u32::try_from(id).is_ok());
    value
        .as_array()
        .is_some_and(|ids| !ids.is_empty() && ids.iter().all(is_id))
}
