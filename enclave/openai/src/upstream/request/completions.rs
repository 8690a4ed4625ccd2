//! `/v1/completions`.

use jeju_attestation::launch::upstreams::Kind;
use serde_json::Value;

use crate::RequestError;

use super::body::{Body, is_token_ids};
use super::{Expected, MAX_INPUTS};

const MAX_LOGPROBS: u64 = 5;

pub(super) fn rewrite(body: &mut Body) -> Result<Expected, RequestError> {
    let prompts = inputs(body, "prompt")?;
    body.integer("max_tokens", 1, u64::from(u32::MAX))?;
    let choices = body.sampling()? * prompts;
    let logprobs = match body.kind {
        Kind::Ollama => {
            if body.fields.take("logprobs").is_some() {
                return Err(RequestError::unsupported("logprobs"));
            }
            None
        }
        _ => body.fields.integer("logprobs", 0..=MAX_LOGPROBS)?,
    };
    if let Some(top) = logprobs {
        body.put("logprobs", body.logprobs_of(top));
    }
    match body.kind {
        Kind::Vllm | Kind::Openai => body.boolean("echo").map(drop)?,
        Kind::LlamaCpp | Kind::Ollama => body.fields.off("echo")?,
    }
    match body.fields.integer("best_of", 1..=20)? {
        None | Some(1) => {}
        Some(_) => return Err(RequestError::unsupported("best_of")),
    }
    match (body.fields.take("suffix"), body.kind) {
        (None, _) => {}
        (Some(Value::String(suffix)), Kind::Ollama | Kind::Openai) => body.put("suffix", suffix),
        (Some(_), _) => return Err(RequestError::unsupported("suffix")),
    }
    body.fields.off("store")?;
    Ok(Expected {
        choices,
        logprobs: logprobs.map(|top| top as usize),
        base64: false,
    })
}

/// Passes texts or token ids on, and counts them.
pub(super) fn inputs(body: &mut Body, name: &str) -> Result<usize, RequestError> {
    let input = body
        .fields
        .take(name)
        .ok_or_else(|| RequestError::missing(name))?;
    let wanted = "a string, an array of strings, or an array of token ids or of such arrays";
    let count = match &input {
        Value::String(_) => 1,
        input if is_token_ids(input) => 1,
        Value::Array(inputs) if inputs.len() > MAX_INPUTS => {
            let message = format!("'{name}' may have up to {MAX_INPUTS} entries.");
            return Err(RequestError::invalid_value(message, name));
        }
        Value::Array(inputs)
            if !inputs.is_empty()
                && (inputs.iter().all(Value::is_string) || inputs.iter().all(is_token_ids)) =>
        {
            inputs.len()
        }
        _ => return Err(RequestError::wrong_type(name, wanted)),
    };
    let has_ids = input.as_array().is_some_and(|inputs| !inputs[0].is_string());
    if has_ids && body.kind == Kind::Ollama {
        return Err(RequestError::unsupported(name));
    }
    body.put(name, input);
    Ok(count)
}
