//! `/v1/chat/completions`.

use jeju_attestation::launch::upstreams::Kind;
use serde_json::Value;

use crate::RequestError;

use super::body::Body;
use super::{Expected, messages, tools};

const EFFORTS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];
const MAX_TOP_LOGPROBS: u64 = 20;

pub(super) fn rewrite(body: &mut Body) -> Result<Expected, RequestError> {
    let messages = match body.fields.take("messages") {
        Some(Value::Array(messages)) => messages::rewrite(body.kind, messages)?,
        Some(_) => return Err(RequestError::wrong_type("messages", "an array")),
        None => return Err(RequestError::missing("messages")),
    };
    body.put("messages", messages);
    max_tokens(body)?;
    let choices = body.sampling()?;
    let logprobs = logprobs(body)?;
    tools::rewrite(body)?;
    response_format(body)?;
    body.word("reasoning_effort", &EFFORTS)?;
    if body.kind == Kind::Openai {
        body.word("verbosity", &["low", "medium", "high"])?;
    }
    body.fields.off("store")?;
    match body.fields.take("modalities") {
        None => {}
        Some(modalities) if modalities == serde_json::json!(["text"]) => {}
        Some(_) => return Err(RequestError::unsupported("modalities")),
    }
    Ok(Expected {
        choices,
        logprobs,
        base64: false,
    })
}

/// Two names of one limit, of which some programs know only the older.
fn max_tokens(body: &mut Body) -> Result<(), RequestError> {
    let limits = 1..=u64::from(u32::MAX);
    let older = body.fields.integer("max_tokens", limits.clone())?;
    let newer = body.fields.integer("max_completion_tokens", limits)?;
    match (newer, older, body.kind) {
        (Some(limit), _, Kind::Openai | Kind::Vllm) => body.put("max_completion_tokens", limit),
        (Some(limit), ..) | (None, Some(limit), _) => body.put("max_tokens", limit),
        (None, None, _) => {}
    }
    Ok(())
}

fn logprobs(body: &mut Body) -> Result<Option<usize>, RequestError> {
    if body.kind == Kind::Ollama {
        body.fields.off("logprobs")?;
        body.fields.integer("top_logprobs", 0..=0)?;
        return Ok(None);
    }
    let asked = body.boolean("logprobs")?.unwrap_or(false);
    let top = body
        .fields
        .integer("top_logprobs", 0..=MAX_TOP_LOGPROBS)?
        .unwrap_or(0);
    if !asked && top > 0 {
        let message = "'top_logprobs' is only allowed when 'logprobs' is true.";
        return Err(RequestError::invalid_value(message, "top_logprobs"));
    }
    if asked {
        body.put("top_logprobs", body.logprobs_of(top));
    }
    Ok(asked.then_some(top as usize))
}

fn response_format(body: &mut Body) -> Result<(), RequestError> {
    const NAME: &str = "response_format";
    let Some(mut format) = body.fields.take(NAME) else {
        return Ok(());
    };
    let kind = match format.get_mut("type").map(Value::take) {
        Some(Value::String(kind)) => kind,
        _ => return Err(RequestError::wrong_type("response_format.type", "a string")),
    };
    let rewritten = match kind.as_str() {
        "text" | "json_object" => serde_json::json!({"type": kind}),
        "json_schema" => {
            let schema = tools::schema(format.get_mut("json_schema").map(Value::take))?;
            serde_json::json!({"type": kind, "json_schema": schema})
        }
        _ => return Err(RequestError::unsupported("response_format.type")),
    };
    body.put(NAME, rewritten);
    Ok(())
}
