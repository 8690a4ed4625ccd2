//! The events of a response, from a chat's chunks.

use serde_json::{Value, json};
use zeroize::Zeroize;

use super::response::{Head, usage};
use crate::event::wipe;

/// What a streamed response may come to, in bytes of JSON. Its last event repeats all of it, and verifiers take events of up
/// to 256 KiB.
const MAX_OUTPUT: usize = 160 * 1024;
/// What an item takes beside its text.
const ITEM: usize = 320;

/// An event of a response's stream.
pub struct Event {
    /// Its type.
    pub name: &'static str,
    /// Its document, which names the type too.
    pub document: Value,
}

/// Makes a chat's chunks into events. Holds what the model wrote: neither Debug nor Display.
pub struct Stream {
    head: Head,
    /// Number of the next event.
    number: u64,
    /// Items that are finished.
    output: Vec<Value>,
    open: Option<Item>,
    /// What came out, in bytes of JSON.
    length: usize,
    limit: usize,
    /// Whether the items repeat log probabilities. Those of a stream don't: its deltas told them, and an event has a limit.
    keeps_logprobs: bool,
    /// `length` or `content_filter`, where the model was cut off.
    cut: Option<&'static str>,
    usage: Value,
    receipt: Option<Value>,
}

/// An item that grows. Each has one part.
struct Item {
    kind: Kind,
    id: String,
    text: String,
    logprobs: Vec<Value>,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Reasoning,
    Call { index: u64, id: String, name: String },
}

impl Stream {
    /// A stream that hasn't begun.
    pub fn new(head: Head) -> Self {
        Self {
            head,
            number: 0,
            output: Vec::new(),
            open: None,
            length: 0,
            limit: MAX_OUTPUT,
            keeps_logprobs: false,
            cut: None,
            usage: Value::Null,
            receipt: None,
        }
    }

    /// One for an answer that is whole already.
    pub(super) fn whole(head: Head) -> Self {
        let mut stream = Self::new(head);
        stream.limit = usize::MAX;
        stream.keeps_logprobs = true;
        stream
    }

    /// The events that open the stream.
    pub fn start(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for name in ["response.created", "response.in_progress"] {
            let response = self.head.response("in_progress", &[]);
            self.emit(&mut events, name, json!({"response": response}));
        }
        events
    }

    /// What a chunk brings. `None` where it is no chat's chunk, or the response gets too long.
    pub fn chunk(&mut self, mut chunk: Value) -> Option<Vec<Event>> {
        let mut events = Vec::new();
        if let Some(receipt) = chunk.get_mut("receipt") {
            self.receipt = Some(receipt.take());
        }
        let Some(choice) = chunk.get_mut("choices")?.as_array_mut()?.first_mut() else {
            return Some(events);
        };
        let logprobs = choice
            .get_mut("logprobs")
            .and_then(|logprobs| logprobs.get_mut("content"));
        let logprobs = match logprobs.map(Value::take) {
            Some(Value::Array(logprobs)) => logprobs,
            _ => Vec::new(),
        };
        let delta = &choice["delta"];
        for name in ["reasoning_content", "reasoning"] {
            if let Some(text) = delta[name].as_str() {
                self.add(&mut events, Kind::Reasoning, text, Vec::new())?;
                break;
            }
        }
        if let Some(text) = delta["content"].as_str() {
            self.add(&mut events, Kind::Text, text, logprobs)?;
        }
        if let Some(text) = delta["refusal"].as_str() {
            self.add(&mut events, Kind::Refusal, text, Vec::new())?;
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            self.add_call(&mut events, call)?;
        }
        match choice["finish_reason"].as_str() {
            Some("length") => self.cut = Some("max_output_tokens"),
            Some("content_filter") => self.cut = Some("content_filter"),
            _ => {}
        }
        wipe(&mut chunk);
        Some(events)
    }

    /// Notes what the chat took.
    pub fn usage(&mut self, chat: &Value) {
        self.usage = usage(chat);
    }

    /// The events that end a response that came to its end.
    pub fn end(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.open.is_none() && self.output.is_empty() {
            self.open(&mut events, Kind::Text);
        }
        let status = if self.cut.is_some() {
            "incomplete"
        } else {
            "completed"
        };
        self.close(&mut events, status);
        let mut response = self.head.response(status, &self.output);
        response["usage"] = self.usage.take();
        if let Some(receipt) = self.receipt.take() {
            response["receipt"] = receipt;
        }
        let name = match self.cut {
            Some(reason) => {
                response["incomplete_details"] = json!({"reason": reason});
                "response.incomplete"
            }
            None => "response.completed",
        };
        self.emit(&mut events, name, json!({"response": response}));
        events
    }

    /// The events that end a response that failed.
    pub fn fail(mut self, code: &str, message: &str) -> Vec<Event> {
        let mut events = Vec::new();
        self.emit(
            &mut events,
            "error",
            json!({"code": code, "message": message, "param": null}),
        );
        let mut response = self.head.response("failed", &self.output);
        response["error"] = json!({"code": code, "message": message});
        self.emit(&mut events, "response.failed", json!({"response": response}));
        events
    }

    fn add(&mut self, events: &mut Vec<Event>, kind: Kind, text: &str, logprobs: Vec<Value>) -> Option<()> {
        // Chats open with an empty text, whatever follows.
        if text.is_empty() && logprobs.is_empty() {
            return Some(());
        }
        if self.open.as_ref().is_none_or(|item| item.kind != kind) {
            self.close(events, "completed");
            self.open(events, kind);
        }
        self.grow(events, text, logprobs)
    }

    fn add_call(&mut self, events: &mut Vec<Event>, call: &Value) -> Option<()> {
        let wanted = call["index"].as_u64()?;
        let is_open =
            matches!(&self.open, Some(Item { kind: Kind::Call { index, .. }, .. }) if *index == wanted);
        if !is_open {
            self.close(events, "completed");
            let id = match call["id"].as_str() {
                Some(id) if !id.is_empty() => id.to_owned(),
                _ => format!("call_{}_{wanted}", self.head.id),
            };
            let name = call["function"]["name"].as_str()?.to_owned();
            self.length += id.len() + escaped_len(&name);
            let index = wanted;
            self.open(events, Kind::Call { index, id, name });
        }
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        if arguments.is_empty() {
            return (self.length <= self.limit).then_some(());
        }
        self.grow(events, arguments, Vec::new())
    }

    fn grow(&mut self, events: &mut Vec<Event>, text: &str, logprobs: Vec<Value>) -> Option<()> {
        self.length += escaped_len(text);
        if self.length > self.limit {
            return None;
        }
        let item = self.open.as_mut()?;
        push_wiping(&mut item.text, text);
        if self.keeps_logprobs {
            item.logprobs.extend_from_slice(&logprobs);
        }
        let mut delta = json!({"item_id": item.id, "output_index": self.output.len(), "delta": text});
        let name = match &item.kind {
            Kind::Text => {
                delta["logprobs"] = logprobs.into();
                "response.output_text.delta"
            }
            Kind::Refusal => "response.refusal.delta",
            Kind::Reasoning => "response.reasoning_text.delta",
            Kind::Call { .. } => "response.function_call_arguments.delta",
        };
        if item.has_part() {
            delta["content_index"] = 0.into();
        }
        self.emit(events, name, delta);
        Some(())
    }

    fn open(&mut self, events: &mut Vec<Event>, kind: Kind) {
        let index = self.output.len();
        let prefix = match kind {
            Kind::Text | Kind::Refusal => "msg",
            Kind::Reasoning => "rs",
            Kind::Call { .. } => "fc",
        };
        let item = Item {
            kind,
            id: format!("{prefix}_{}_{index}", self.head.id),
            text: String::new(),
            logprobs: Vec::new(),
        };
        let added = json!({"output_index": index, "item": item.document("in_progress", None)});
        let part =
            json!({"item_id": item.id, "output_index": index, "content_index": 0, "part": item.part()});
        let has_part = item.has_part();
        self.open = Some(item);
        self.length += ITEM;
        self.emit(events, "response.output_item.added", added);
        if has_part {
            self.emit(events, "response.content_part.added", part);
        }
    }

    fn close(&mut self, events: &mut Vec<Event>, status: &str) {
        let Some(item) = self.open.take() else { return };
        let index = self.output.len();
        let mut done = json!({"item_id": item.id, "output_index": index});
        let name = match &item.kind {
            Kind::Text => {
                done["text"] = item.text.as_str().into();
                done["logprobs"] = item.logprobs.clone().into();
                "response.output_text.done"
            }
            Kind::Refusal => {
                done["refusal"] = item.text.as_str().into();
                "response.refusal.done"
            }
            Kind::Reasoning => {
                done["text"] = item.text.as_str().into();
                "response.reasoning_text.done"
            }
            Kind::Call { name, .. } => {
                done["name"] = name.as_str().into();
                done["arguments"] = item.text.as_str().into();
                "response.function_call_arguments.done"
            }
        };
        if item.has_part() {
            done["content_index"] = 0.into();
        }
        self.emit(events, name, done);
        if item.has_part() {
            let part =
                json!({"item_id": item.id, "output_index": index, "content_index": 0, "part": item.part()});
            self.emit(events, "response.content_part.done", part);
        }
        let document = item.document(status, Some(item.part()));
        self.output.push(document.clone());
        self.emit(
            events,
            "response.output_item.done",
            json!({"output_index": index, "item": document}),
        );
    }

    fn emit(&mut self, events: &mut Vec<Event>, name: &'static str, mut document: Value) {
        document["type"] = name.into();
        document["sequence_number"] = self.number.into();
        self.number += 1;
        events.push(Event { name, document });
    }
}

impl Item {
    /// Calls have arguments instead.
    fn has_part(&self) -> bool {
        !matches!(self.kind, Kind::Call { .. })
    }

    fn part(&self) -> Value {
        let text = self.text.as_str();
        match self.kind {
            Kind::Refusal => json!({"type": "refusal", "refusal": text}),
            Kind::Reasoning => json!({"type": "reasoning_text", "text": text}),
            Kind::Text | Kind::Call { .. } => {
                json!({"type": "output_text", "text": text, "annotations": [], "logprobs": self.logprobs})
            }
        }
    }

    fn document(&self, status: &str, part: Option<Value>) -> Value {
        let content: Vec<Value> = part.into_iter().collect();
        match &self.kind {
            Kind::Text | Kind::Refusal => json!({
                "id": self.id, "type": "message", "status": status, "role": "assistant", "content": content,
            }),
            Kind::Reasoning => json!({
                "id": self.id, "type": "reasoning", "status": status, "summary": [], "content": content,
            }),
            Kind::Call { id, name, .. } => json!({
                "id": self.id, "type": "function_call", "status": status, "call_id": id, "name": name,
                "arguments": self.text,
            }),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.output.iter_mut().for_each(wipe);
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.text.zeroize();
        self.logprobs.iter_mut().for_each(wipe);
    }
}

/// Appends, and leaves no copy behind where the text grows.
fn push_wiping(text: &mut String, more: &str) {
    let needed = text.len() + more.len();
    if needed > text.capacity() {
        let mut grown = String::with_capacity(needed.max(2 * text.capacity()).max(256));
        grown.push_str(text);
        text.zeroize();
        *text = grown;
    }
    text.push_str(more);
}

/// Bytes that a text takes in JSON.
fn escaped_len(text: &str) -> usize {
    let byte = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(byte).sum()
}
