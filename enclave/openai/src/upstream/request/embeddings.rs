//! `/v1/embeddings`.

use jeju_attestation::launch::upstreams::Kind;
use serde_json::Value;

use crate::RequestError;

use super::Expected;
use super::body::Body;
use super::completions::inputs;

const MAX_DIMENSIONS: u64 = 65_536;

pub(super) fn rewrite(body: &mut Body) -> Result<Expected, RequestError> {
    let choices = inputs(body, "input")?;
    match body.kind {
        Kind::Vllm | Kind::Openai | Kind::Ollama => {
            body.integer("dimensions", 1, MAX_DIMENSIONS).map(drop)?
        }
        // It would ignore it.
        Kind::LlamaCpp if body.fields.take("dimensions").is_some() => {
            return Err(RequestError::unsupported("dimensions"));
        }
        Kind::LlamaCpp => {}
    }
    // Numbers can be checked, and base64 be made of them here.
    body.put("encoding_format", "float");
    let base64 = match body.fields.take("encoding_format") {
        None => false,
        Some(Value::String(format)) if format == "float" => false,
        Some(Value::String(format)) if format == "base64" => true,
        Some(_) => return Err(RequestError::unsupported("encoding_format")),
    };
    Ok(Expected {
        choices,
        logprobs: None,
        base64,
    })
}
