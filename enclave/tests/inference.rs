//! Inference of the embedded model through a node that runs as processes: what it answers, to whom, and how many at a time.
#![cfg(feature = "sim")]

mod host;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use host::{DOCUMENT, Host, Machine, PATIENCE, YES_CONTRACT, now};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

const MODEL: &str = "smollm2-135m-instruct";
const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// The model of the image, from `JEJU_MODEL`, else from `target/models`, where it is fetched to if missing.
fn model_file() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let default = || repository.join(format!("target/models/{MODEL}-q4_1.gguf"));
    let model = std::env::var_os("JEJU_MODEL").map_or_else(default, PathBuf::from);
    let fetched = Command::new(repository.join("bench/inference/fetch-model.sh"))
        .arg(&model)
        .status()
        .unwrap();
    assert!(fetched.success(), "the model can't be fetched");
    model
}

async fn node() -> Host {
    let mut machine = Machine::new();
    machine.models.push(model_file());
    let models =
        format!("[services]\ninference = true\n[[models]]\nid = \"{MODEL}\"\nsha256 = \"0x{SHA256}\"\n");
    machine.start(DOCUMENT.to_owned() + &models).await
}

/// An answer under way; dropping it closes the connection.
struct Under {
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    connection: tokio::task::JoinHandle<()>,
}

impl Drop for Under {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Posts a request for the model on a connection of its own.
async fn post(host: &Host, path: &str, headers: &[(&str, String)], mut body: Value) -> Under {
    body["model"] = MODEL.into();
    let stream = TokioIo::new(host.connect().await.into_stream());
    let (mut send, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    let connection = tokio::spawn(async move { drop(connection.await) });
    let mut request = Request::post(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_string()))).unwrap();
    let (parts, body) = send.send_request(request).await.unwrap().into_parts();
    Under {
        status: parts.status,
        headers: parts.headers,
        body,
        connection,
    }
}

async fn answered(host: &Host, path: &str, headers: &[(&str, String)], body: Value) -> (u16, Value) {
    let mut answer = post(host, path, headers, body).await;
    let mut bytes = Vec::new();
    while let Some(frame) = answer.body.frame().await {
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    (answer.status.as_u16(), serde_json::from_slice(&bytes).unwrap())
}

fn chat(more: Value) -> Value {
    let mut body =
        json!({"messages": [{"role": "user", "content": "Tell me a long story."}], "max_tokens": 4});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

fn bearer(key: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {key}"))]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_answers() {
    let host = node().await;
    let (status, answer) = answered(
        &host,
        "/v1/chat/completions",
        &[],
        chat(json!({"n": 2, "seed": 7})),
    )
    .await;
    assert_eq!(
        (status, answer["choices"].as_array().unwrap().len()),
        (200, 2),
        "{answer}"
    );
    assert_eq!(answer["receipt"]["choices"][1]["seed"], "8");
    let (status, answer) = answered(
        &host,
        "/v1/completions",
        &[],
        json!({"prompt": [[504, 2988]], "max_tokens": 2}),
    )
    .await;
    assert_eq!(
        (status, &answer["usage"]["prompt_tokens"]),
        (200, &json!(2)),
        "{answer}"
    );
    let (status, answer) = answered(&host, "/v1/embeddings", &[], json!({"input": ["a", "b"]})).await;
    assert_eq!(
        (status, answer["data"][1]["embedding"].as_array().unwrap().len()),
        (200, 576)
    );
    let (status, answer) = answered(
        &host,
        "/v1/responses",
        &[],
        json!({"input": "hi", "max_output_tokens": 2}),
    )
    .await;
    assert_eq!(
        (status, &answer["status"]),
        (200, &json!("incomplete")),
        "{answer}"
    );
    // Errors have the names of the endpoint that was called.
    let (status, answer) = answered(
        &host,
        "/v1/responses",
        &[],
        json!({"input": "hi", "max_output_tokens": 0}),
    )
    .await;
    assert_eq!(
        (status, &answer["error"]["param"]),
        (400, &json!("max_output_tokens")),
        "{answer}"
    );
    let (status, answer) = answered(
        &host,
        "/v1/embeddings",
        &[],
        json!({"input": "a", "stream": true}),
    )
    .await;
    assert_eq!(
        (status, &answer["error"]["param"]),
        (400, &json!("stream")),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_who_takes_all_its_places_is_refused_and_leaves_them_when_it_goes() {
    let host = node().await;
    let long =
        || chat(json!({"stream": true, "n": 4, "max_tokens": 400, "logit_bias": {"2": -100, "0": -100}}));
    let mut held = Vec::new();
    for _ in 0..16 {
        let mut answer = post(&host, "/v1/chat/completions", &bearer("a"), long()).await;
        assert_eq!(answer.status, 200);
        answer.body.frame().await.unwrap().unwrap();
        held.push(answer);
    }
    let refused = post(&host, "/v1/chat/completions", &bearer("a"), chat(json!({}))).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.headers["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    let (_, refused) = answered(&host, "/v1/chat/completions", &bearer("a"), chat(json!({}))).await;
    assert_eq!(refused["error"]["code"], "tenant_overloaded");
    // Another tenant isn't in the way of it. A bad request is one for it, too.
    let (status, _) = answered(&host, "/v1/chat/completions", &bearer("b"), chat(json!({"n": 9}))).await;
    assert_eq!(status, 400);
    drop(held);
    timeout(PATIENCE, async {
        while answered(&host, "/v1/chat/completions", &bearer("a"), chat(json!({"n": 4})))
            .await
            .0
            == 429
        {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("clients that left leave their places");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_is_its_accounts_and_counts_once() {
    let host = node().await;
    let signed = |account: [u8; 20], nonce: u8| {
        vec![
            ("x-jeju-address", format!("0x{}", hex::encode(account))),
            ("x-jeju-nonce", format!("0x{}", hex::encode([nonce; 32]))),
            ("x-jeju-expiry", (now() + 60).to_string()),
            ("x-jeju-signature", "0x0102".to_owned()),
        ]
    };
    let ask = |headers: Vec<(&'static str, String)>| {
        let host = &host;
        async move {
            let (status, answer) = answered(host, "/v1/chat/completions", &headers, chat(json!({}))).await;
            (
                status,
                answer["error"]["code"].as_str().unwrap_or_default().to_owned(),
            )
        }
    };
    // The contract of this chain says yes to any signature.
    assert_eq!(ask(signed(YES_CONTRACT, 1)).await, (200, String::new()));
    assert_eq!(ask(signed(YES_CONTRACT, 1)).await.0, 401, "a nonce counts once");
    assert_eq!(
        ask(signed([0xBB; 20], 2)).await,
        (401, "wallet_signature_invalid".to_owned())
    );
    assert_eq!(
        ask(signed(YES_CONTRACT, 3)
            .split_off(1)
            .into_iter()
            .chain([("x-jeju-address", "0x".to_owned())])
            .collect())
        .await,
        (400, "wallet_headers_malformed".to_owned())
    );
}
