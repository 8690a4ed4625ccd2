//! What stays of prompts that go on to an inference server on the guest's loopback, and of what that server says: it is
//! trusted with them, and its errors may quote them.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Client, post};
use crate::memory;
use crate::node::Node;
use crate::secrets::{Secrets, canary};

/// How it behaves, by the model that is asked for.
const MODELS: [&str; 5] = ["answers", "refuses", "fails", "breaks", "babbles"];

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_through_to_an_upstream_leaves_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    let models = MODELS
        .map(|id| format!("[[upstreams.models]]\nid = \"{id}\"\n"))
        .concat();
    let upstream = format!(
        "[[upstreams]]\nname = \"fake\"\nkind = \"openai\"\nurl = \"http://127.0.0.1:{port}\"\n{models}"
    );
    let node = Node::start_with(&upstream, None).await.unwrap();

    let mut secrets = Secrets::default();
    let (prompt, key) = (secrets.canary("passed on"), secrets.canary("key"));
    secrets.canary(SAID);
    let bearer = format!("authorization: Bearer {key}\r\n");
    for model in MODELS {
        for stream in [false, true] {
            let messages = json!([{"role": "user", "content": prompt}]);
            let body = json!({"model": model, "stream": stream, "messages": messages});
            let request = post("/v1/chat/completions", &bearer, &body.to_string());
            let answer = Client::connect(&node)
                .await
                .exchange(&request)
                .await
                .expect("an answer");
            let found = secrets.found_in(&answer.body);
            match model {
                "answers" => assert!(
                    found.iter().any(|found| found.contains(&canary(SAID))),
                    "{}",
                    answer.text()
                ),
                // What it sent until then was the client's.
                "breaks" if stream => assert!(answer.text().contains("\"error\""), "{}", answer.text()),
                _ => {
                    assert!(found.is_empty(), "{model}: {found:?} in {}", answer.text());
                    assert!(answer.text().contains("\"error\""), "{model}: {}", answer.text());
                }
            }
        }
    }
    // Left in the middle of a stream that would never end.
    let body = json!({"model": "answers", "stream": true, "max_tokens": ENDLESS, "messages": [{"role": "user", "content": prompt}]});
    let mut client = Client::connect(&node).await;
    client
        .send(&post("/v1/chat/completions", &bearer, &body.to_string()))
        .await;
    client.read_until(&canary(SAID)).await;
    drop(client);

    node.assert_nothing_got_out(&secrets);
    if memory::is_readable() {
        node.assert_nothing_stays(&secrets).await;
    }
    serving.abort();
}

/// Tokens that are asked for where the answer is not to end.
const ENDLESS: u32 = 4096;
/// Name of the canary that it answers.
const SAID: &str = "what the upstream says";

/// What it does once it has sent its bytes.
enum Then {
    /// Waits for the next request.
    Wait,
    /// Closes the connection.
    Close,
    /// Sends this over and over.
    Repeat(String),
}

async fn serve(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    while let Some((path, body)) = read(&mut stream).await {
        let (bytes, then) = if path == "/v1/models" {
            let listed = MODELS.map(|id| json!({"id": id}));
            (whole(200, &json!({"data": listed})), Then::Wait)
        } else {
            behave(&serde_json::from_slice(&body).unwrap())
        };
        let mut alive = stream.write_all(bytes.as_bytes()).await.is_ok();
        match then {
            Then::Wait => {}
            Then::Close => return,
            Then::Repeat(piece) => {
                while alive {
                    alive = stream.write_all(piece.as_bytes()).await.is_ok();
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            }
        }
    }
}

fn behave(asked: &Value) -> (String, Then) {
    let prompt = asked["messages"][0]["content"].as_str().unwrap();
    let is_stream = asked["stream"] == json!(true);
    let said = canary(SAID);
    let streamed = event(&json!({"index": 0, "delta": {"content": said}, "finish_reason": null}));
    match (asked["model"].as_str().unwrap(), is_stream) {
        ("refuses", _) => {
            let error = json!({"error": {"message": format!("bad prompt: {prompt}"), "code": prompt}});
            (whole(400, &error), Then::Wait)
        }
        ("fails", _) => (whole(500, &json!({"detail": prompt})), Then::Wait),
        ("babbles", _) => {
            let head = format!(
                "HTTP/1.1 200 {prompt}\r\nx-prompt: {prompt}\r\ncontent-length: {}",
                prompt.len()
            );
            (format!("{head}\r\n\r\n{prompt}"), Then::Wait)
        }
        ("breaks", false) => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n";
            (format!("{head}{{\"choices\": [\"{prompt}"), Then::Close)
        }
        ("breaks", true) => (format!("{STREAM}{streamed}"), Then::Close),
        (_, false) => {
            let message = json!({"role": "assistant", "content": said});
            let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
            let document =
                json!({"id": prompt, "object": "chat.completion", "choices": [choice], "usage": usage()});
            (whole(200, &document), Then::Wait)
        }
        (_, true) if asked["max_tokens"] == json!(ENDLESS) => (STREAM.to_owned(), Then::Repeat(streamed)),
        (_, true) => {
            let last = event(&json!({"index": 0, "delta": {}, "finish_reason": "stop"}));
            let usage = chunk(&format!(
                "data: {}\n\n",
                json!({"object": "chat.completion.chunk", "choices": [], "usage": usage()})
            ));
            (
                format!(
                    "{STREAM}{streamed}{last}{usage}{}0\r\n\r\n",
                    chunk("data: [DONE]\n\n")
                ),
                Then::Wait,
            )
        }
    }
}

const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn usage() -> Value {
    json!({"prompt_tokens": 20, "completion_tokens": 20, "total_tokens": 40})
}

fn event(choice: &Value) -> String {
    let document = json!({"id": "upstream", "object": "chat.completion.chunk", "choices": [choice]});
    chunk(&format!("data: {document}\n\n"))
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

fn whole(status: u16, document: &Value) -> String {
    let body = document.to_string();
    let len = body.len();
    format!("HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {len}\r\n\r\n{body}")
}

/// The next request's path and body.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut line = String::new();
    stream
        .read_line(&mut line)
        .await
        .ok()
        .filter(|count| *count > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        stream
            .read_line(&mut line)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((path, body))
}
