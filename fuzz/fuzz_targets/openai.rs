//! OpenAI's documents: requests of users, and what upstreams send. The first byte chooses.
#![no_main]

use jeju_attestation::launch::upstreams::{Endpoint, Kind};
use jeju_openai::upstream::answer::{self, Step, Stream};
use jeju_openai::upstream::refusal;
use jeju_openai::upstream::request::{DROPPED, Expected, Target, rewrite};
use jeju_openai::upstream::sse::{Events, TooLong};
use jeju_openai::{Envelope, Head, chat, completions, embeddings, responses};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const KINDS: [Kind; 4] = [Kind::Vllm, Kind::LlamaCpp, Kind::Ollama, Kind::Openai];
const ENDPOINTS: [Endpoint; 3] = [Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings];
const SALT: &str = "salt-of-the-nodes-own";
const MODEL: &str = "model-of-the-upstream";

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    let variant = usize::from(choice / 5);
    let (kind, endpoint) = (KINDS[variant % 4], ENDPOINTS[variant / 4 % 3]);
    match choice % 5 {
        0 => events(variant, bytes),
        1 => request(kind, endpoint, bytes),
        2 => whole(endpoint, bytes),
        3 => stream(endpoint, bytes),
        _ => embedded(bytes),
    }
});

/// However a stream is cut, its events are the same.
fn events(piece: usize, bytes: &[u8]) {
    let at_once = read(bytes, bytes.len().max(1));
    let in_pieces = read(bytes, piece.max(1));
    assert_eq!(at_once, in_pieces);
}

fn read(bytes: &[u8], piece: usize) -> Option<Vec<Vec<u8>>> {
    let mut events = Events::default();
    let mut found = Vec::new();
    for bytes in bytes.chunks(piece) {
        let pushed = events.push(bytes, |data| {
            found.push(data.to_vec());
            Ok::<(), TooLong>(())
        });
        pushed.ok()?;
    }
    Some(found)
}

/// What is passed on holds what this node decides, nothing that it drops, and no address.
fn request(kind: Kind, endpoint: Endpoint, bytes: &[u8]) {
    let Ok(envelope) = Envelope::parse(bytes) else {
        return;
    };
    let target = Target {
        kind,
        endpoint,
        model: MODEL,
        stream: envelope.stream,
        cache_salt: SALT,
    };
    let Ok(rewritten) = rewrite(target, envelope.fields) else {
        return;
    };
    let Ok(Value::Object(body)) = serde_json::from_slice(&rewritten.body) else {
        panic!("no JSON object");
    };
    assert_eq!(body["model"], MODEL);
    for name in DROPPED {
        match (name, body.get(name)) {
            (_, None) => {}
            ("cache_salt", Some(salt)) => assert_eq!(salt, SALT),
            ("cache_prompt", Some(on)) => assert_eq!(on, false),
            (name, Some(_)) => panic!("{name} was passed on"),
        }
    }
    for message in body
        .get("messages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        for part in message["content"].as_array().into_iter().flatten() {
            match part["type"].as_str() {
                Some("text" | "refusal" | "input_audio") => {}
                Some("image_url") => {
                    let url = part["image_url"]["url"].as_str().expect("a text");
                    assert!(url.starts_with("data:image/"));
                }
                _ => panic!("a part of another kind"),
            }
        }
    }
    assert!(rewritten.expected.choices >= 1);
}

fn head() -> Head {
    Head {
        id: "ours".to_owned(),
        model: "ours".to_owned(),
        created: 1,
        fingerprint: None,
    }
}

fn expected(choices: usize) -> Expected {
    Expected {
        choices,
        logprobs: Some(2),
        base64: false,
    }
}

fn whole(endpoint: Endpoint, bytes: &[u8]) {
    if let Ok(document) = answer::whole(endpoint, &head(), expected(1), bytes) {
        assert_eq!(document["model"], "ours");
        only_ours(&document);
    }
    let _ = refusal::judge(400, bytes);
}

/// Lines are events.
fn stream(endpoint: Endpoint, bytes: &[u8]) {
    let mut stream = Stream::new(endpoint, head(), expected(2));
    let mut done = false;
    for data in bytes.split(|byte| *byte == b'\n') {
        match stream.event(data) {
            Ok(Step::Chunk(chunk)) => only_ours(&chunk.document()),
            Ok(Step::Done(usage, _)) => {
                assert!(!std::mem::replace(&mut done, true) && usage["usage"].is_object());
            }
            Ok(Step::Nothing) => {}
            Err(_) => return,
        }
        assert!(!done || data == b"[DONE]");
    }
}

fn only_ours(document: &Value) {
    let names = [
        "id",
        "object",
        "created",
        "model",
        "system_fingerprint",
        "choices",
        "usage",
        "data",
    ];
    let document = document.as_object().expect("an object");
    assert!(document.keys().all(|name| names.contains(&name.as_str())));
}

fn embedded(bytes: &[u8]) {
    let parsed = || Envelope::parse(bytes).ok().map(|envelope| envelope.fields);
    let (Some(a), Some(b), Some(c), Some(d)) = (parsed(), parsed(), parsed(), parsed()) else {
        return;
    };
    let _ = chat::parse(a);
    let _ = completions::parse(b);
    let _ = embeddings::parse(c);
    let _ = responses::parse(d);
}
