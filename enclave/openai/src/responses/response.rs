//! The response object.

use serde_json::{Map, Value, json};

use super::stream::Stream;

/// What all documents of one response share. Holds what the user wrote: neither Debug nor Display.
pub struct Head {
    /// 24 characters or so that no other answer has: ids of the response and its items are made of it.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Name of the model in the API.
    pub model: String,
    /// Parameters that are repeated, as [`super::Request`] has them.
    pub echo: Map<String, Value>,
}

impl Head {
    /// A response in a state, with what came out so far.
    pub(super) fn response(&self, status: &str, output: &[Value]) -> Value {
        let mut response = json!({
            "id": format!("resp_{}", self.id),
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": false,
            "error": null,
            "incomplete_details": null,
            "instructions": null,
            "max_output_tokens": null,
            "max_tool_calls": null,
            "metadata": {},
            "model": self.model,
            "output": output,
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null},
            "service_tier": "default",
            "store": false,
            "temperature": null,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_logprobs": 0,
            "top_p": null,
            "truncation": "disabled",
            "usage": null,
        });
        for (name, value) in &self.echo {
            response[name] = value.clone();
        }
        response
    }
}

/// The response that a whole chat completion makes. `None` where it isn't one.
pub fn whole(head: Head, mut chat: Value) -> Option<Value> {
    let mut choice = chat.get_mut("choices")?.get_mut(0)?.take();
    let message = choice.get_mut("message")?.as_object_mut()?;
    if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
        for (index, call) in calls.iter_mut().enumerate() {
            call.as_object_mut()?.insert("index".to_owned(), index.into());
        }
    }
    let delta = choice["message"].take();
    choice["delta"] = delta;
    let mut stream = Stream::whole(head);
    stream.chunk(json!({"choices": [choice]}))?;
    if let Some(receipt) = chat.get_mut("receipt") {
        stream.chunk(json!({"choices": [], "receipt": receipt.take()}))?;
    }
    stream.usage(&chat["usage"]);
    stream
        .end()
        .pop()
        .map(|mut last| last.document["response"].take())
}

/// `usage` under a response's names.
pub(super) fn usage(chat: &Value) -> Value {
    let tokens = |value: &Value| value.as_u64().unwrap_or(0);
    json!({
        "input_tokens": tokens(&chat["prompt_tokens"]),
        "input_tokens_details": {"cached_tokens": tokens(&chat["prompt_tokens_details"]["cached_tokens"])},
        "output_tokens": tokens(&chat["completion_tokens"]),
        "output_tokens_details": {
            "reasoning_tokens": tokens(&chat["completion_tokens_details"]["reasoning_tokens"]),
        },
        "total_tokens": tokens(&chat["total_tokens"]),
    })
}
