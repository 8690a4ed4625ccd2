//! Upstreams that do everything wrong, in memory and with a clock of the tests' own.

mod external;
mod fake;
mod health;
mod hostile;
mod pooled;
mod sessions;
mod streams;

use futures_util::StreamExt;
use jeju_attestation::launch::upstreams;
use jeju_openai::Envelope;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::front::inference::{Chunk, Tenant};

use fake::{Fake, Script};

const SECRET: &str = "zanzibar-secret";

/// As the launch document has it.
fn named(kind: Kind, more: &str) -> upstreams::Upstream {
    let mut named = json!({
        "name": "fake", "kind": kind, "url": "http://127.0.0.1:8000",
        "models": [{"id": "ours", "name": "theirs", "endpoints": ["chat", "completions", "embeddings"]}],
    });
    let more: Value = serde_json::from_str(more).unwrap();
    for (name, value) in more.as_object().unwrap() {
        named[name] = value.clone();
    }
    serde_json::from_value(named).unwrap()
}

/// An upstream whose connections do as the script says, and which is known to be there.
fn upstream(kind: Kind, more: &str, keep: Duration, script: Script) -> (Arc<Upstream>, Fake) {
    let fake = Fake::new(script);
    let route = Route {
        connect: Box::new(fake.clone()),
        pool: Arc::new(Pool::new(keep)),
        authority: HeaderValue::from_static("127.0.0.1:8000"),
        patience: Duration::from_secs(5),
    };
    let upstream = Upstream::with(&named(kind, more), Confidentiality::Loopback, route).unwrap();
    upstream.models.iter().for_each(|model| model.health.set(None));
    (Arc::new(upstream), fake)
}

fn vllm(script: Script) -> Arc<Upstream> {
    upstream(Kind::Vllm, "{}", Duration::ZERO, script).0
}

fn ask(body: &str) -> Ask {
    let envelope = Envelope::parse(body.as_bytes()).unwrap();
    Ask {
        endpoint: Endpoint::Chat,
        model: envelope.model,
        stream: envelope.stream,
        fields: envelope.fields,
        tenant: Tenant::Key([1; 32]),
        created: 5,
    }
}

fn chat(stream: bool) -> Ask {
    ask(&format!(
        r#"{{"model":"ours","messages":[{{"role":"user","content":"{SECRET}"}}],"stream":{stream}}}"#
    ))
}

async fn whole(upstream: &Upstream) -> Result<Value, ApiError> {
    match upstream.answer(chat(false)).await? {
        Output::Whole(document) => Ok(document),
        Output::Stream(_) => panic!("a stream"),
    }
}

/// Status and code of a refusal, whose text holds nothing of prompt or answer.
async fn refusal(upstream: &Upstream, stream: bool) -> (u16, &'static str) {
    let error = match upstream.answer(chat(stream)).await {
        Err(error) => error,
        Ok(_) => panic!("an answer"),
    };
    assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    (error.status.as_u16(), error.code)
}

/// The chunks of a stream, with what they end in.
struct Streamed {
    events: Vec<Value>,
    usage: Option<Value>,
    end: Option<EndReason>,
}

use jeju_attestation::response::EndReason;

async fn streamed(upstream: &Upstream) -> Result<Streamed, ApiError> {
    let Output::Stream(mut chunks) = upstream.answer(chat(true)).await? else {
        panic!("no stream")
    };
    let mut streamed = Streamed {
        events: Vec::new(),
        usage: None,
        end: None,
    };
    while let Some(chunk) = chunks.next().await {
        assert!(streamed.end.is_none(), "a chunk after the end");
        match chunk {
            Chunk::Event(document) => streamed.events.push(document),
            Chunk::Written(event) => streamed.events.push(event.document()),
            Chunk::Usage(document) => assert!(streamed.usage.replace(document).is_none()),
            Chunk::End(reason) => {
                assert!(streamed.usage.is_some(), "usage comes first");
                streamed.end = Some(reason);
            }
        }
    }
    Ok(streamed)
}
