//! `POST /v1/chat/completions`, as JSON and as a stream of events.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use jeju_attestation::response::EndReason;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::front::Node;
use crate::front::engine::{Event, Finish, Running};
use crate::front::error::ApiError;
use crate::front::exchange::Answer;
use crate::front::identity::random;
use crate::front::signing::Part;

use super::chat_request::ChatRequest;
use super::models::not_served;

/// Events between the engine and a slow client.
const PARTS: usize = 16;

pub(super) async fn complete(node: &Arc<Node>, body: Bytes) -> Result<Answer, ApiError> {
    let ChatRequest {
        model,
        generation,
        stream,
        include_usage,
    } = ChatRequest::parse(&body)?;
    drop(body);
    let head = Head::new(node, &model)?;
    let serving = node.clone();
    let start = move || {
        serving
            .engine
            .as_ref()
            .ok_or_else(not_served)?
            .generate(generation)
    };
    let running = spawn_blocking(start)
        .await
        .map_err(|_| ApiError::engine_failed())??;
    if stream {
        let (parts, answer) = mpsc::channel(PARTS);
        tokio::spawn(send_chunks(node.clone(), head, running, parts, include_usage));
        return Ok(Answer::Stream(answer));
    }
    whole(node, &head, running).await
}

/// What all documents of one answer share.
struct Head {
    id: String,
    created: u64,
    model: String,
    fingerprint: String,
}

impl Head {
    fn new(node: &Node, model: &str) -> Result<Self, ApiError> {
        let engine = node.engine.as_ref().ok_or_else(not_served)?;
        let served = engine
            .models()
            .iter()
            .find(|served| served.id == model)
            .ok_or_else(not_served)?;
        let id = random::<12>().map_err(|_| ApiError::engine_failed())?;
        Ok(Self {
            id: format!("chatcmpl-{}", hex::encode(id)),
            created: node.attester.current().anchor.now(),
            model: model.to_owned(),
            fingerprint: format!("fp_{}", hex::encode(&served.sha256.0[..6])),
        })
    }

    fn document(&self, object: &str, choices: Value, usage: Value) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
            "usage": usage,
        })
    }

    fn chunk(&self, delta: Value, finish: Option<&str>) -> String {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        self.document("chat.completion.chunk", json!([choice]), Value::Null)
            .to_string()
    }
}

async fn whole(node: &Node, head: &Head, mut running: Running) -> Result<Answer, ApiError> {
    let started = Instant::now();
    let mut text = zeroize::Zeroizing::new(String::new());
    while let Some(event) = running.events.recv().await {
        match event {
            Event::Text(more) => text.push_str(&more),
            Event::Finished {
                finish,
                prompt_tokens,
                completion_tokens,
            } => {
                node.metrics
                    .inference(started.elapsed(), prompt_tokens, completion_tokens);
                let message = json!({"role": "assistant", "content": *text, "refusal": null});
                let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(finish)});
                let usage = usage(prompt_tokens, completion_tokens);
                return Ok(Answer::json(&head.document(
                    "chat.completion",
                    json!([choice]),
                    usage,
                )));
            }
        }
    }
    Err(ApiError::engine_failed())
}

/// Ends without an end part when the engine fails: the signed end then says `error`.
async fn send_chunks(
    node: Arc<Node>,
    head: Head,
    mut running: Running,
    parts: mpsc::Sender<Part>,
    include_usage: bool,
) {
    let started = Instant::now();
    let first = head.chunk(json!({"role": "assistant", "content": ""}), None);
    if parts.send(Part::Event(first)).await.is_err() {
        return;
    }
    while let Some(event) = next(&mut running, &parts).await {
        match event {
            Event::Text(text) => {
                let chunk = head.chunk(json!({"content": &*text}), None);
                if parts.send(Part::Event(chunk)).await.is_err() {
                    return;
                }
            }
            Event::Finished {
                finish,
                prompt_tokens,
                completion_tokens,
            } => {
                node.metrics
                    .inference(started.elapsed(), prompt_tokens, completion_tokens);
                let mut last = vec![Part::Event(head.chunk(json!({}), Some(finish_reason(finish))))];
                if include_usage {
                    let usage = usage(prompt_tokens, completion_tokens);
                    let chunk = head.document("chat.completion.chunk", json!([]), usage);
                    last.push(Part::Event(chunk.to_string()));
                }
                last.push(Part::End(match finish {
                    Finish::Stop => EndReason::Stop,
                    Finish::Length => EndReason::Length,
                }));
                for part in last {
                    if parts.send(part).await.is_err() {
                        return;
                    }
                }
                return;
            }
        }
    }
}

/// The engine's next event, or none once the client is gone: dropping what runs then cancels it.
async fn next(running: &mut Running, parts: &mpsc::Sender<Part>) -> Option<Event> {
    tokio::select! {
        event = running.events.recv() => event,
        () = parts.closed() => None,
    }
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}

fn usage(prompt_tokens: u64, completion_tokens: u64) -> Value {
    json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    })
}
