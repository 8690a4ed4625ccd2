//! What of prompts and answers a node leaves behind when all goes as it should, and when requests are refused or left.

use serde_json::Value;
use tokio::time::timeout;

use crate::client::{Answer, Client, post, request};
use crate::memory;
use crate::node::{MODEL, Node, PATIENCE};
use crate::requests::{Case, refused, served};
use crate::secrets::Secrets;
use crate::tokens;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_prompts_and_answers_gets_out_or_stays() {
    let mut node = Node::start().await;
    let mut secrets = Secrets::default();
    secrets.canary("key");
    if memory::is_readable() {
        a_running_request_is_found(&node).await;
    }
    for case in served(&mut secrets) {
        let answer = ask(&node, &case).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}: {}", case.name, answer.text());
        remember(&mut secrets, &case.name, &answer);
    }
    for case in refused(&mut secrets) {
        if let Some(answer) = ask(&node, &case).await {
            assert!(answer.status >= 400, "{}: {}", case.name, answer.status);
            let found = secrets.found_in(answer.head.as_bytes());
            assert!(found.is_empty(), "{}: {found:?}", case.name);
            let found = secrets.found_in(&answer.body);
            assert!(found.is_empty(), "{}: {found:?}", case.name);
        }
    }
    left_in_the_middle(&node, &mut secrets).await;

    for path in [
        "/health",
        "/v1/metrics",
        "/v1/models",
        "/v1/hardware",
        "/v1/attestation/report",
    ] {
        let answer = Client::connect(&node)
            .await
            .exchange(&request("GET", path, "", ""))
            .await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{path}");
        assert!(secrets.found_in(&answer.body).is_empty(), "{path}");
    }
    node.assert_nothing_got_out(&secrets);
    assert_eq!(node.logged.bytes(), b"");
    if memory::is_readable() {
        node.assert_nothing_stays(&secrets).await;
    }
    assert!(node.is_running());
}

async fn ask(node: &Node, case: &Case) -> Option<Answer> {
    let answer = timeout(PATIENCE, Client::connect(node).await.exchange(&case.bytes)).await;
    answer.unwrap_or_else(|_| panic!("{}: no answer in time", case.name))
}

/// What the model has written, and the id that is in each of its documents, are secret from here on.
fn remember(secrets: &mut Secrets, name: &str, answer: &Answer) {
    let text = answer.text();
    let documents: Vec<Value> = match text.contains("data: ") {
        true => text
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
            .collect(),
        false => vec![answer.json()],
    };
    assert!(!documents.is_empty(), "{name}: {text}");
    for id in documents.iter().filter_map(|document| document["id"].as_str()) {
        secrets.text(&format!("{name}: the answer's id"), id);
    }
    for embedding in documents[0]["data"].as_array().into_iter().flatten() {
        match embedding["embedding"].as_str() {
            Some(base64) => secrets.text(&format!("{name}: the vector"), base64),
            None => {
                let numbers = embedding["embedding"].as_array().expect("numbers");
                let numbers: Vec<f32> = numbers
                    .iter()
                    .map(|number| number.as_f64().unwrap() as f32)
                    .collect();
                secrets.numbers(&format!("{name}: the vector"), &numbers);
            }
        }
    }
    let answer = written(&documents);
    if !documents[0]["data"].is_array() {
        assert!(
            answer.len() >= 24,
            "{name}: {answer:?} can't be told from the model's words"
        );
        secrets.text(&format!("{name}: the answer"), &answer);
        secrets.tokens(&format!("{name}: the answer"), &tokens::of_text(&answer));
    }
}

/// The text of an answer's first choice, whichever its form.
fn written(documents: &[Value]) -> String {
    let pieces = documents.iter().flat_map(|document| {
        let is_first = |choice: &&Value| choice["index"] == 0;
        let choice = document["choices"]
            .as_array()
            .and_then(|choices| choices.iter().find(is_first));
        let choice = choice.unwrap_or(&Value::Null);
        let delta = (document["type"] == "response.output_text.delta").then_some(&document["delta"]);
        [
            &choice["message"]["content"],
            &choice["delta"]["content"],
            &choice["text"],
            &document["output"][0]["content"][0]["text"],
            delta.unwrap_or(&Value::Null),
        ]
    });
    pieces.filter_map(Value::as_str).collect()
}

/// Without this, finding nothing would show nothing.
async fn a_running_request_is_found(node: &Node) {
    let mut secrets = Secrets::default();
    let prompt = secrets.canary("running");
    secrets.tokens("tokens", &tokens::of_text(&prompt));
    let mut client = Client::connect(node).await;
    client.send(&stream_of(&prompt, 1000)).await;
    client.read_until("\"content\"").await;
    let found = node.in_memory(&secrets);
    for form in ["as text", "as tokens"] {
        assert!(
            found
                .iter()
                .any(|found| found.starts_with("front") && found.contains(form)),
            "{form}: {found:?}"
        );
    }
    drop(client);
    node.assert_nothing_stays(&secrets).await;
}

/// Clients that leave: before their request is complete, and before its answer is.
async fn left_in_the_middle(node: &Node, secrets: &mut Secrets) {
    let prompt = secrets.canary("left");
    let whole = stream_of(&prompt, 1000);
    let mut client = Client::connect(node).await;
    client.send(&whole[..whole.len() - 1]).await;
    drop(client);
    for _ in 0..3 {
        let mut client = Client::connect(node).await;
        client.send(&whole).await;
        client.read_until("\"content\"").await;
        drop(client);
    }
}

/// A request whose answer takes a while.
pub fn stream_of(prompt: &str, tokens: usize) -> Vec<u8> {
    let body = serde_json::json!({
        "model": MODEL, "stream": true, "max_tokens": tokens, "temperature": 2, "seed": 1,
        "messages": [{"role": "user", "content": format!("Write a very long story about {prompt}.")}],
    });
    post("/v1/chat/completions", "", &body.to_string())
}
