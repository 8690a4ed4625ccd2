//! What whole answers and chunks have in common.

use serde::{Deserialize, Serialize};

use super::{Ending, Malformed};

/// Most calls of tools in one answer.
const MAX_CALLS: usize = 128;
const MAX_NAME: usize = 256;

/// The one role that answers.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    Assistant,
}

/// Why a choice ended.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FinishReason {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

impl FinishReason {
    pub(super) fn ending(self) -> Ending {
        match self {
            FinishReason::Length => Ending::Length,
            FinishReason::Stop | FinishReason::ToolCalls | FinishReason::ContentFilter => Ending::Stop,
        }
    }
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum ToolKind {
    Function,
}

/// A call of a tool, whole.
#[derive(Deserialize, Serialize)]
pub(super) struct ToolCall {
    id: String,
    r#type: ToolKind,
    function: Function,
}

#[derive(Deserialize, Serialize)]
struct Function {
    name: String,
    arguments: String,
}

/// A part of a call.
#[derive(Deserialize, Serialize)]
pub(super) struct ToolCallDelta {
    index: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r#type: Option<ToolKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    function: Option<FunctionDelta>,
}

#[derive(Deserialize, Serialize)]
struct FunctionDelta {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arguments: Option<String>,
}

/// `None` for an empty list, which some programs send where OpenAI sends none.
pub(super) fn calls(calls: Option<Vec<ToolCall>>) -> Result<Option<Vec<ToolCall>>, Malformed> {
    let calls = calls.filter(|calls| !calls.is_empty());
    let fits = |call: &ToolCall| call.id.len() <= MAX_NAME && call.function.name.len() <= MAX_NAME;
    match &calls {
        Some(calls) if calls.len() > MAX_CALLS || !calls.iter().all(fits) => Err(Malformed),
        _ => Ok(()),
    }?;
    Ok(calls)
}

/// As [`calls`].
pub(super) fn call_deltas(
    calls: Option<Vec<ToolCallDelta>>,
) -> Result<Option<Vec<ToolCallDelta>>, Malformed> {
    let calls = calls.filter(|calls| !calls.is_empty());
    let short = |text: Option<&String>| text.is_none_or(|text| text.len() <= MAX_NAME);
    let fits = |call: &ToolCallDelta| {
        let name = call.function.as_ref().and_then(|function| function.name.as_ref());
        call.index < MAX_CALLS && short(call.id.as_ref()) && short(name)
    };
    match &calls {
        Some(calls) if calls.len() > MAX_CALLS || !calls.iter().all(fits) => Err(Malformed),
        _ => Ok(()),
    }?;
    Ok(calls)
}
