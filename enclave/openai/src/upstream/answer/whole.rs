//! Whole answers of chat and of completions.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::logprobs::{AnyTextLogprobs, ChatLogprobs, TextLogprobs};
use super::parts::{FinishReason, Role, ToolCall, calls};
use super::usage::Usage;
use super::{Expected, Malformed};
use crate::Head;

#[derive(Deserialize)]
struct Document<C> {
    object: String,
    choices: Vec<C>,
    usage: Usage,
}

#[derive(Deserialize, Serialize)]
struct ChatChoice {
    index: usize,
    message: Message,
    #[serde(default)]
    logprobs: Option<ChatLogprobs>,
    finish_reason: FinishReason,
}

#[derive(Deserialize, Serialize)]
struct Message {
    role: Role,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    /// What newer programs call the same.
    #[serde(default, skip_serializing)]
    reasoning: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Deserialize)]
struct TextChoice {
    index: usize,
    text: String,
    #[serde(default)]
    logprobs: Option<AnyTextLogprobs>,
    finish_reason: FinishReason,
}

#[derive(Serialize)]
struct OwnTextChoice {
    index: usize,
    text: String,
    logprobs: Option<TextLogprobs>,
    finish_reason: FinishReason,
}

pub(super) fn chat(head: &Head, expected: Expected, body: &[u8]) -> Result<Value, Malformed> {
    let mut document: Document<ChatChoice> = read(body, "chat.completion")?;
    document.choices.sort_by_key(|choice| choice.index);
    all_there(
        document.choices.iter().map(|choice| choice.index),
        expected.choices,
    )?;
    for choice in &mut document.choices {
        choice.logprobs = asked(expected, choice.logprobs.take());
        let message = &mut choice.message;
        let reasoning = message.reasoning.take();
        message.reasoning_content = message.reasoning_content.take().or(reasoning);
        message.tool_calls = calls(message.tool_calls.take())?;
    }
    let choices = serde_json::to_value(&document.choices).map_err(|_| Malformed)?;
    Ok(head.document("chat.completion", choices, document.usage.document()))
}

pub(super) fn completion(head: &Head, expected: Expected, body: &[u8]) -> Result<Value, Malformed> {
    let mut document: Document<TextChoice> = read(body, "text_completion")?;
    document.choices.sort_by_key(|choice| choice.index);
    all_there(
        document.choices.iter().map(|choice| choice.index),
        expected.choices,
    )?;
    let choices = document.choices.into_iter().map(|choice| OwnTextChoice {
        index: choice.index,
        text: choice.text,
        logprobs: expected
            .logprobs
            .zip(choice.logprobs)
            .map(|(top, logprobs)| logprobs.into_text(0, top)),
        finish_reason: choice.finish_reason,
    });
    let choices = serde_json::to_value(choices.collect::<Vec<_>>()).map_err(|_| Malformed)?;
    Ok(head.document("text_completion", choices, document.usage.document()))
}

fn read<'a, C: Deserialize<'a>>(body: &'a [u8], object: &str) -> Result<Document<C>, Malformed> {
    let document: Document<C> = serde_json::from_slice(body).map_err(|_| Malformed)?;
    match document.object == object {
        true => Ok(document),
        false => Err(Malformed),
    }
}

/// Whether the sorted indices are all from 0 on, each once.
pub(super) fn all_there(indices: impl Iterator<Item = usize>, wanted: usize) -> Result<(), Malformed> {
    match indices.eq(0..wanted) {
        true => Ok(()),
        false => Err(Malformed),
    }
}

/// Log probabilities, where they were asked for.
pub(super) fn asked(expected: Expected, logprobs: Option<ChatLogprobs>) -> Option<ChatLogprobs> {
    let (top, logprobs) = expected.logprobs.zip(logprobs)?;
    Some(logprobs.cut(top))
}
