//! The Docker port, as a guest sees it, in front of engines that record, lie and break off, and of a real one.

mod answers;
mod real;
mod refusals;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use jeju_shim_protocol::docker::{
    ContainerName, ContainerSpec, Emitted, ExecId, ExecSpec, Labels, Network, NetworkSpec, Request, answer,
    archive,
};
use serde_json::json;

use super::*;

const NAME: ContainerName = ContainerName::from_id([0xab; 32]);
const AGENT: [u8; 32] = [0xcd; 32];

fn spec(image: &str, command: &[&str]) -> ContainerSpec {
    ContainerSpec {
        name: NAME,
        agent: AGENT,
        image: image.parse().unwrap(),
        command: command.iter().map(|argument| (*argument).to_owned()).collect(),
        labels: Labels::new(),
        memory: 64 << 20,
        nano_cpus: 500_000_000,
        pids: 64,
        network: Network::Own,
        storage: None,
        memory_paths: Vec::new(),
    }
}

/// Sends what a request emits, and gives the status and the whole body.
async fn call(rig: &Rig, request: &Request, archive: Option<Vec<u8>>) -> (StatusCode, Bytes) {
    let (_, response) = begin(rig, request, archive).await;
    let status = response.status();
    let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
    (status, body)
}

/// Like [`call`], with the answer as it comes; and a connection that lives as long as the first item.
async fn begin(
    rig: &Rig,
    request: &Request,
    archive: Option<Vec<u8>>,
) -> (
    hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    http::Response<hyper::body::Incoming>,
) {
    let Emitted {
        method,
        target,
        content_type,
        body,
    } = request.emit();
    let mut anew = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", "docker");
    if let Some(content_type) = content_type {
        anew = anew.header("content-type", content_type);
    }
    if matches!(request, Request::StartExec { .. }) {
        anew = anew.header("connection", "Upgrade").header("upgrade", "tcp");
    }
    let body = body.or(archive).unwrap_or_default();
    let guest = TokioIo::new(rig.dial(Port::Docker).await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(guest).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let response = soon(sender.send_request(anew.body(Full::new(body.into())).unwrap()))
        .await
        .unwrap();
    (sender, response)
}

fn code(body: &[u8]) -> String {
    answer::read::<answer::Failure>(body).unwrap().code
}

/// An engine that writes down what it gets and answers each connection with the next of its answers, then closes.
struct FakeEngine {
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl FakeEngine {
    fn start(dir: &Path, answers: Vec<Vec<u8>>) -> Self {
        let listener = UnixListener::bind(dir.join("engine.sock")).unwrap();
        let seen: Arc<Mutex<Vec<String>>> = Default::default();
        let noted = seen.clone();
        let task = tokio::spawn(async move {
            let mut answers = answers.into_iter();
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read_request(&mut stream).await;
                noted.lock().unwrap().push(request);
                let _ = stream.write_all(&answers.next().unwrap_or_default()).await;
            }
        });
        Self { seen, task }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Head and body of a request with a `content-length` or none.
async fn read_request(stream: &mut UnixStream) -> String {
    let mut seen = Vec::new();
    let mut chunk = vec![0; 65536];
    loop {
        let count = stream.read(&mut chunk).await.unwrap_or(0);
        seen.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            body.len() >= length.unwrap_or(0)
        });
        if whole || count == 0 {
            return text;
        }
    }
}

fn ok(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn with_engine(answers: Vec<Vec<u8>>) -> (Rig, FakeEngine) {
    let rig = Rig::new(|config| config.docker = Some(config.launch.with_file_name("engine.sock"))).await;
    let engine = FakeEngine::start(rig.dir.path(), answers);
    (rig, engine)
}
