//! Streamed answers of chat and of completions: one chunk for each of the upstream's, none dropped and none merged.

use jeju_attestation::launch::upstreams::Endpoint;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::logprobs::{AnyTextLogprobs, ChatLogprobs, TextLogprobs};
use super::parts::{FinishReason, Role, ToolCallDelta, call_deltas};
use super::usage::Usage;
use super::whole::asked;
use super::{Ending, Expected, Malformed};
use crate::Head;
use crate::event::Open;

const DONE: &[u8] = b"[DONE]";

/// A stream under way. Holds what the model wrote only while a chunk is made.
pub struct Stream {
    endpoint: Endpoint,
    head: Head,
    expected: Expected,
    /// By choice: how it ended, once it has.
    ended: Vec<Option<Ending>>,
    /// By choice: characters of its text, for offsets.
    written: Vec<u64>,
    usage: Option<Usage>,
    done: bool,
}

/// What comes of an event.
pub enum Step {
    /// A chunk for the client.
    Chunk(Open),
    /// The last chunk, with usage and without choices, and how the answer ended. No event may follow.
    Done(Value, Ending),
    /// Nothing that the client should see by itself.
    Nothing,
}

#[derive(Deserialize)]
struct Document<C> {
    object: String,
    choices: Vec<C>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize, Serialize)]
struct ChatChoice {
    index: usize,
    delta: Delta,
    #[serde(default)]
    logprobs: Option<ChatLogprobs>,
    #[serde(default)]
    finish_reason: Option<FinishReason>,
}

#[derive(Deserialize, Serialize)]
struct Delta {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    /// What newer programs call the same.
    #[serde(default, skip_serializing)]
    reasoning: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Vec<ToolCallDelta>>,
}

#[derive(Deserialize)]
struct TextChoice {
    index: usize,
    text: String,
    #[serde(default)]
    logprobs: Option<AnyTextLogprobs>,
    #[serde(default)]
    finish_reason: Option<FinishReason>,
}

#[derive(Serialize)]
struct OwnTextChoice {
    index: usize,
    text: String,
    logprobs: Option<TextLogprobs>,
    finish_reason: Option<FinishReason>,
}

impl Stream {
    /// A stream from its start. There are none of embeddings.
    pub fn new(endpoint: Endpoint, head: Head, expected: Expected) -> Self {
        Self {
            endpoint,
            head,
            expected,
            ended: vec![None; expected.choices],
            written: vec![0; expected.choices],
            usage: None,
            done: false,
        }
    }

    /// Takes the data of the next event.
    ///
    /// # Errors
    /// [`Malformed`], also for any event after the end, and for an end before all choices have ended.
    pub fn event(&mut self, data: &[u8]) -> Result<Step, Malformed> {
        match (self.done, data == DONE, self.endpoint) {
            (true, ..) | (_, _, Endpoint::Embeddings) => Err(Malformed),
            (false, true, _) => self.end(),
            (false, false, Endpoint::Chat) => self.chat(data),
            (false, false, Endpoint::Completions) => self.completion(data),
        }
    }

    fn end(&mut self) -> Result<Step, Malformed> {
        let usage = self.usage.ok_or(Malformed)?;
        let mut ending = Ending::Stop;
        for ended in &self.ended {
            if ended.ok_or(Malformed)? == Ending::Length {
                ending = Ending::Length;
            }
        }
        self.done = true;
        let last = self.head.document(self.object(), json!([]), usage.document());
        Ok(Step::Done(last, ending))
    }

    fn object(&self) -> &'static str {
        match self.endpoint {
            Endpoint::Chat => "chat.completion.chunk",
            _ => "text_completion",
        }
    }

    fn chat(&mut self, data: &[u8]) -> Result<Step, Malformed> {
        let mut choices: Vec<ChatChoice> = self.read(data)?;
        for choice in &mut choices {
            self.goes_on(choice.index, choice.finish_reason)?;
            choice.logprobs = asked(self.expected, choice.logprobs.take());
            let delta = &mut choice.delta;
            let reasoning = delta.reasoning.take();
            delta.reasoning_content = delta.reasoning_content.take().or(reasoning);
            delta.tool_calls = call_deltas(delta.tool_calls.take())?;
        }
        Ok(self.chunk(&choices))
    }

    fn completion(&mut self, data: &[u8]) -> Result<Step, Malformed> {
        let choices: Vec<TextChoice> = self.read(data)?;
        let mut own = Vec::with_capacity(choices.len());
        for choice in choices {
            self.goes_on(choice.index, choice.finish_reason)?;
            let written = &mut self.written[choice.index];
            let start = *written;
            *written += choice.text.chars().count() as u64;
            let logprobs = self.expected.logprobs.zip(choice.logprobs);
            own.push(OwnTextChoice {
                index: choice.index,
                text: choice.text,
                logprobs: logprobs.map(|(top, logprobs)| logprobs.into_text(start, top)),
                finish_reason: choice.finish_reason,
            });
        }
        Ok(self.chunk(&own))
    }

    fn read<'a, C: Deserialize<'a>>(&mut self, data: &'a [u8]) -> Result<Vec<C>, Malformed> {
        let document: Document<C> = serde_json::from_slice(data).map_err(|_| Malformed)?;
        if document.object != self.object() {
            return Err(Malformed);
        }
        // The last one counts: some programs count along in every chunk.
        self.usage = document.usage.or(self.usage);
        Ok(document.choices)
    }

    /// Judges a chunk's part of a choice: an answer is one text, which ends once.
    fn goes_on(&mut self, index: usize, finish: Option<FinishReason>) -> Result<(), Malformed> {
        let ended = self.ended.get_mut(index).ok_or(Malformed)?;
        if ended.is_some() {
            return Err(Malformed);
        }
        *ended = finish.map(FinishReason::ending);
        Ok(())
    }

    fn chunk<C: Serialize>(&self, choices: &[C]) -> Step {
        match choices {
            [] => Step::Nothing,
            _ => Step::Chunk(self.head.chunk(self.object(), choices)),
        }
    }
}
