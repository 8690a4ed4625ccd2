//! A node that passes prompts on to servers on its own loopback: the node as processes with its sandbox, the servers as
//! tasks of the test on real ports.
#![cfg(feature = "sim")]

#[path = "../host/mod.rs"]
mod host;
mod server;

use std::time::Duration;

use bytes::Bytes;
use host::{DOCUMENT, Host, PATIENCE};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use server::Server;

/// A node with a server at each of these ports.
async fn node(ports: &[(&str, u16)]) -> Host {
    let upstreams: String = ports
        .iter()
        .map(|(name, port)| {
            format!(
                "[[upstreams]]\nname = \"{name}\"\nkind = \"vllm\"\nurl = \"http://127.0.0.1:{port}\"\n\
                 [[upstreams.models]]\nid = \"{name}-model\"\nname = \"theirs\"\nendpoints = [\"chat\", \"completions\", \"embeddings\"]\n"
            )
        })
        .collect();
    Host::with(format!("{DOCUMENT}[services]\ninference = true\n{upstreams}")).await
}

/// A port that nobody listens at.
async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

async fn post(host: &Host, path: &str, body: &Value) -> (u16, Value) {
    let mut client = host.connect().await;
    let body = body.to_string();
    let answer = client.request("POST", path, body.as_bytes());
    let (status, body) = timeout(PATIENCE, answer).await.expect("in time").unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

/// A stream's text, to its end.
async fn stream(host: &Host, path: &str, body: &Value) -> String {
    let connection = TokioIo::new(host.connect().await.into_stream());
    let (mut send, connection) = hyper::client::conn::http1::handshake(connection).await.unwrap();
    let task = tokio::spawn(connection);
    let request = Request::post(path)
        .header("host", "localhost")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let answer = send.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let text = timeout(PATIENCE, answer.into_body().collect())
        .await
        .expect("in time");
    task.abort();
    String::from_utf8(text.unwrap().to_bytes().to_vec()).unwrap()
}

fn chat(model: &str, says: &str, stream: bool) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": says}], "stream": stream,
        "stream_options": if stream { json!({"include_usage": true, "include_obfuscation": false}) } else { Value::Null }})
}

fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let documents = data.filter(|data| *data != "[DONE]");
    documents
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn said(events: &[Value]) -> String {
    let pieces = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    pieces.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_on_loopback_answer_through_the_node() {
    let server = Server::start().await;
    let host = node(&[("here", server.port()), ("away", free_port().await)]).await;

    let mut client = host.connect().await;
    let (_, models) = client.request("GET", "/v1/models", b"").await.unwrap();
    let models: Value = serde_json::from_slice(&models).unwrap();
    for (index, status, reason) in [
        (0, "available", Value::Null),
        (1, "unavailable", json!("unreachable")),
    ] {
        let model = &models["data"][index];
        assert_eq!(
            (&model["status"], &model["reason"]),
            (&json!(status), &reason),
            "{model}"
        );
        assert_eq!(
            (&model["confidential"], &model["confidentiality"]),
            (&json!(true), &json!("loopback"))
        );
        assert_eq!(model["engine"], "vllm");
    }

    let (status, answer) = post(
        &host,
        "/v1/chat/completions",
        &chat("here-model", "one two", false),
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["choices"][0]["message"]["content"], "one two");
    assert_eq!(
        (&answer["model"], &answer["usage"]["total_tokens"]),
        (&json!("here-model"), &json!(5))
    );
    assert!(answer.get("timings").is_none());

    let text = stream(
        &host,
        "/v1/chat/completions",
        &chat("here-model", "one two three", true),
    )
    .await;
    let events = events(&text);
    assert_eq!(said(&events), "one two three");
    assert_eq!(
        events.iter().filter(|event| event["usage"].is_object()).count(),
        1
    );
    assert!(
        text.ends_with("data: [DONE]\n\n") && text.contains("end=\"stop\""),
        "{text}"
    );

    let request = json!({"model": "here-model", "input": "one two"});
    let (status, answer) = post(&host, "/v1/responses", &request).await;
    assert_eq!(
        (status, &answer["status"]),
        (200, &json!("completed")),
        "{answer}"
    );
    assert_eq!(answer["output"][0]["content"][0]["text"], "one two");
    let request = json!({"model": "here-model", "input": ["a", "b"], "encoding_format": "base64"});
    let (status, answer) = post(&host, "/v1/embeddings", &request).await;
    assert_eq!(
        (status, &answer["data"][1]["embedding"]),
        (200, &json!("AACAPwAAAEA=")),
        "{answer}"
    );
    let request = json!({"model": "here-model", "prompt": "one two"});
    let (status, answer) = post(&host, "/v1/completions", &request).await;
    assert_eq!(
        (status, &answer["choices"][0]["text"]),
        (200, &json!("one two")),
        "{answer}"
    );

    let (status, answer) = post(&host, "/v1/chat/completions", &chat("away-model", "x", false)).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (503, &json!("upstream_unavailable"))
    );
    let mut templated = chat("here-model", "x", false);
    templated["chat_template"] = json!("{{ messages }}");
    let (status, answer) = post(&host, "/v1/chat/completions", &templated).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (400, &json!("unsupported_parameter"))
    );

    // Each tenant has a salt of its own, and what clients send isn't it.
    let salts = server.salts();
    assert!(
        salts.len() >= 4 && salts.iter().all(|salt| salt.len() == 43),
        "{salts:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_ends_every_stream_with_an_error_and_is_found_again() {
    const STREAMS: usize = 8;
    let server = Server::start().await;
    let port = server.port();
    let mut host = node(&[("here", port)]).await;
    let body = chat("here-model", "forever", true);
    let streams = async {
        let streams = (0..STREAMS).map(|_| stream(&host, "/v1/chat/completions", &body));
        futures_util::future::join_all(streams).await
    };
    let dies = async {
        timeout(PATIENCE, server.streaming(STREAMS))
            .await
            .expect("all have begun");
        server.stop().await;
    };
    let (streams, ()) = tokio::join!(streams, dies);
    for text in &streams {
        let events = events(text);
        assert!(said(&events).starts_with("forever"), "{text}");
        assert_eq!(
            events.last().unwrap()["error"]["code"],
            "upstream_failed",
            "{text}"
        );
        assert!(
            text.contains("end=\"error\"") && text.ends_with("data: [DONE]\n\n"),
            "{text}"
        );
    }
    let (status, answer) = post(&host, "/v1/chat/completions", &chat("here-model", "x", false)).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (503, &json!("upstream_unavailable"))
    );
    let _server = Server::at(port).await;
    timeout(PATIENCE, async {
        while post(&host, "/v1/chat/completions", &chat("here-model", "x", false))
            .await
            .0
            != 200
        {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("found again");
    host.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_stops_the_work_there() {
    let server = Server::start().await;
    let host = node(&[("here", server.port())]).await;
    let (streaming, waiting) = (
        chat("here-model", "forever", true),
        chat("here-model", "never", false),
    );
    for body in [&streaming, &waiting] {
        let connection = TokioIo::new(host.connect().await.into_stream());
        let (mut send, connection) = hyper::client::conn::http1::handshake(connection).await.unwrap();
        let task = tokio::spawn(connection);
        let request = Request::post("/v1/chat/completions").header("host", "localhost");
        let request = request.body(Full::new(Bytes::from(body.to_string()))).unwrap();
        let answer = tokio::spawn(async move { drop(send.send_request(request).await.map(|_| ())) });
        timeout(PATIENCE, server.busy(1))
            .await
            .expect("it works for the client");
        task.abort();
        answer.abort();
        timeout(PATIENCE, server.busy(0)).await.expect("it stops");
    }
}
