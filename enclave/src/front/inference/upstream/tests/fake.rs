//! A server of scripts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::super::connect::{Connect, ConnectError, Connection, Session, speak_http};
use super::*;

/// What a connection does; its number counts from 0.
pub(super) type Script = Arc<dyn Fn(usize, Wire) -> BoxFuture<'static, ()> + Send + Sync>;

/// Makes a script.
pub(super) fn script<F>(act: impl Fn(usize, Wire) -> F + Send + Sync + 'static) -> Script
where
    F: Future<Output = ()> + Send + 'static,
{
    Arc::new(move |number, wire| Box::pin(act(number, wire)))
}

/// Connects to scripts.
#[derive(Clone)]
pub(super) struct Fake {
    script: Script,
    opened: Arc<AtomicUsize>,
    /// What connecting answers instead, where it is told to.
    pub(super) refuses: Arc<Mutex<Option<ConnectError>>>,
    pub(super) session: Option<Arc<dyn Fn() -> Box<dyn Session> + Send + Sync>>,
}

impl Fake {
    pub(super) fn new(script: Script) -> Self {
        Self {
            script,
            opened: Arc::default(),
            refuses: Arc::default(),
            session: None,
        }
    }

    /// Connections so far, those that were refused too.
    pub(super) fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    pub(super) fn refuse(&self, error: Option<ConnectError>) {
        *self.refuses.lock().unwrap() = error;
    }
}

impl Connect for Fake {
    fn connect(&self) -> BoxFuture<'_, Result<Connection, ConnectError>> {
        Box::pin(async {
            let number = self.opened.fetch_add(1, Ordering::SeqCst);
            if let Some(error) = self.refuses.lock().unwrap().clone() {
                return Err(error);
            }
            let (here, there) = tokio::io::duplex(1 << 16);
            tokio::spawn((self.script)(number, Wire(there)));
            let (sender, work) = speak_http(here).await?;
            Ok(Connection {
                sender,
                work,
                session: self.session.as_ref().map(|session| session()),
            })
        })
    }
}

/// The server's end of a connection.
pub(super) struct Wire(pub(super) DuplexStream);

impl Wire {
    /// Head and body of the next request; none where the client closes.
    pub(super) async fn request(&mut self) -> Option<(String, Value)> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if self.0.read(&mut byte).await.ok()? == 0 {
                return None;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let len = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |len| len.parse().unwrap());
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).await.ok()?;
        Some((head, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    pub(super) async fn respond(&mut self, status: &str, headers: &str, body: &str) {
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        self.send(head + body).await;
    }

    /// 200 with JSON.
    pub(super) async fn json(&mut self, document: &Value) {
        let headers = "content-type: application/json\r\n";
        self.respond("200 OK", headers, &document.to_string()).await;
    }

    /// The head of a stream.
    pub(super) async fn events(&mut self) {
        self.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
    }

    /// A piece of a chunked body.
    pub(super) async fn piece(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.send(chunk).await;
    }

    pub(super) async fn event(&mut self, document: &Value) {
        self.piece(format!("data: {document}\n\n")).await;
    }

    /// The end of a stream that was right so far.
    pub(super) async fn done(&mut self) {
        self.event(&last("stop")).await;
        self.piece("data: [DONE]\n\n").await;
        self.send("0\r\n\r\n").await;
    }

    /// Waits until the client closes.
    pub(super) async fn closed(&mut self) {
        let mut buffer = [0; 1024];
        while self.0.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    }
}

pub(super) fn answer() -> Value {
    json!({"id": "theirs", "object": "chat.completion", "created": 1, "model": "theirs",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
}

pub(super) fn token(text: &str) -> Value {
    json!({"id": "theirs", "object": "chat.completion.chunk", "created": 1, "model": "theirs",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
}

pub(super) fn last(finish: &str) -> Value {
    json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
}
