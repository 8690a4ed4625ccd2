//! A host's port 5002 that answers as it is told to, and else as an honest shim with one container.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use jeju_attestation::launch::rentals::Network;
use jeju_enclave::rentals::backend::{ContainerSpec, Progress, Resources};
use jeju_enclave::rentals::docker::DockerBackend;
use jeju_shim_protocol::transport::GuestTransport;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

pub const AGENT: [u8; 32] = [0xA1; 32];
pub const RENTAL: [u8; 32] = [0x22; 32];
/// The engine's ids of image, container and exec.
pub const IMAGE_ID: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
pub const ID: &str = "3333333333333333333333333333333333333333333333333333333333333333";

/// What goes to the guest.
#[derive(Debug, Clone)]
pub enum Answer {
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// These bytes, and others for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// These bytes, and then nothing.
    Silence(Vec<u8>),
}

/// An answer with a document.
pub fn document(status: u16, body: &Value) -> Answer {
    let body = body.to_string();
    let length = body.len();
    Answer::Bytes(
        format!(
            "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes(),
    )
}

/// A failure of the engine.
pub fn failure(status: u16, message: &str) -> Answer {
    document(status, &json!({"code": "docker_engine", "message": message}))
}

/// An exec's connection with these bytes on it.
pub fn upgraded(bytes: &[u8]) -> Answer {
    let head = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    Answer::Bytes([&head[..], bytes].concat())
}

/// A frame of an output.
pub fn frame(output: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&[output, 0, 0, 0], &length[..], payload].concat()
}

type Lie = Box<dyn Fn(&str) -> Option<Answer> + Send + Sync>;

/// What an engine knows.
#[derive(Default)]
struct Engine {
    created: Option<Value>,
    started: bool,
    network: bool,
}

pub struct Host {
    directory: tempfile::TempDir,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Host {
    /// `lie` sees each request's method and path with query, behind the version; what it answers, goes out.
    pub fn new(lie: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("5002.sock")).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (lie, engine): (Arc<Lie>, _) = (Arc::new(Box::new(lie)), Arc::new(Mutex::new(Engine::default())));
        let log = seen.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, lie.clone(), engine.clone(), log.clone()));
            }
        });
        Self { directory, seen }
    }

    pub fn honest() -> Self {
        Self::new(|_| None)
    }

    pub fn backend(&self) -> DockerBackend {
        let transport = GuestTransport::Unix(self.directory.path().into());
        DockerBackend::new(transport, AGENT, Bytes::from_static(b"\x7fELF"))
    }

    /// The calls until now, with names left out.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

pub fn name() -> String {
    format!("jeju-{}", hex::encode(RENTAL))
}

pub fn spec() -> ContainerSpec {
    ContainerSpec {
        rental: RENTAL,
        image: "busybox:1".to_owned(),
        script: Some(Bytes::from_static(b"#!/bin/sh\n")),
        resources: Resources {
            cpu_cores: 2,
            memory_gib: 1,
            storage_gb: 10,
            bandwidth_mbps: 100,
        },
        network: Network::Open,
        address: "ssh.example:2222".to_owned(),
    }
}

/// What a tenant was told.
pub fn progress() -> (Progress, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let lines = told.clone();
    (Box::new(move |line| lines.lock().unwrap().push(line)), told)
}

async fn serve(
    mut stream: UnixStream,
    lie: Arc<Lie>,
    engine: Arc<Mutex<Engine>>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let Some((head, body)) = read(&mut stream).await else {
        return;
    };
    let line = head.lines().next().unwrap();
    let call = line
        .strip_suffix(" HTTP/1.1")
        .unwrap()
        .replacen(" /v1.41/", " ", 1);
    seen.lock()
        .unwrap()
        .push(call.replace(&name(), "NAME").replace(ID, "ID"));
    let answer = lie(&call).unwrap_or_else(|| engine.lock().unwrap().answer(&call, &body));
    match answer {
        Answer::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Answer::Endless(first, rest) => {
            let _ = stream.write_all(&first).await;
            while stream.write_all(&rest).await.is_ok() {}
        }
        Answer::Silence(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    }
}

async fn read(stream: &mut UnixStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    let mut body = bytes.split_off(end + 4);
    while body.len() < length.unwrap_or(0) {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, body))
}

impl Engine {
    fn answer(&mut self, call: &str, body: &[u8]) -> Answer {
        let name = name();
        let missing = failure(404, "no such container");
        let call = call.replace(&name, "NAME");
        match call.as_str() {
            "GET info" => document(200, &json!({"Driver": "vfs", "NCPU": 2})),
            "GET images/busybox:1/json" => document(200, &image()),
            "POST networks/create" => {
                self.network = true;
                document(201, &json!({"Id": ID}))
            }
            "DELETE networks/NAME" => match std::mem::take(&mut self.network) {
                true => document(204, &json!(null)),
                false => failure(404, "no such network"),
            },
            "POST containers/create?name=NAME" => {
                self.created = Some(serde_json::from_slice(body).unwrap());
                document(201, &json!({"Id": ID, "Warnings": []}))
            }
            "DELETE containers/NAME?force=1&v=1" => {
                self.started = false;
                match self.created.take() {
                    Some(_) => Answer::Bytes(b"HTTP/1.1 204 x\r\n\r\n".to_vec()),
                    None => missing,
                }
            }
            "POST containers/NAME/start" if self.created.is_some() => {
                self.started = true;
                Answer::Bytes(b"HTTP/1.1 204 x\r\n\r\n".to_vec())
            }
            "POST containers/NAME/stop?t=10" if self.created.is_some() => {
                Answer::Bytes(b"HTTP/1.1 304 x\r\n\r\n".to_vec())
            }
            "PUT containers/NAME/archive?path=/" if self.created.is_some() => document(200, &json!(null)),
            "GET containers/NAME/json" | "GET containers/NAME/json?size=1" => match self.container() {
                Some(container) => document(200, &container),
                None => missing,
            },
            "GET containers/NAME/stats?stream=0&one-shot=1" => document(200, &json!({})),
            "POST containers/NAME/exec" => document(201, &json!({"Id": ID})),
            call if call.starts_with("GET containers/json?all=1&filters=") => document(200, &json!([])),
            call if call.starts_with("POST exec/") => upgraded(&frame(1, b"\0")),
            call if call.starts_with("GET exec/") => {
                document(200, &json!({"ID": ID, "Running": false, "ExitCode": 0}))
            }
            _ => missing,
        }
    }

    fn container(&self) -> Option<Value> {
        let created = self.created.as_ref()?;
        let status = if self.started { "running" } else { "created" };
        let limits = &created["HostConfig"];
        Some(json!({
            "Id": ID, "Name": format!("/{}", name()), "Image": IMAGE_ID, "SizeRw": 5,
            "State": {"Status": status, "Running": self.started},
            "Config": {"Image": created["Image"], "Labels": created["Labels"]},
            "HostConfig": {"Memory": limits["Memory"], "NanoCpus": limits["NanoCpus"],
                "PidsLimit": limits["PidsLimit"], "NetworkMode": limits["NetworkMode"],
                "StorageOpt": limits["StorageOpt"]},
        }))
    }
}

pub fn image() -> Value {
    json!({"Id": IMAGE_ID, "Os": "linux", "Architecture": "amd64", "RepoDigests": [],
        "Config": {"Entrypoint": ["/bin/run"], "Cmd": ["it"], "Volumes": {"/data": {}}}})
}
