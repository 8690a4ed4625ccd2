//! A host and its clients, for tests that run a node as processes.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod rpc;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::{Claims, ClaimsBuffer};
use jeju_attestation::evidence::Verifier;
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::response::{
    self, Headers, RequestFields, Session, VerifiedHead, WorkerVersion, verify_answer,
};
use jeju_attested_tls::{AttestedVerifier, client_config};
use jeju_shim_protocol::blob::{self, BlobRequest, ListRequest, Page};
use jeju_shim_protocol::line::ErrorCode;
use jeju_simulated::Silicon;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub const PATIENCE: Duration = Duration::from_secs(90);
pub const DOCUMENT: &str = r#"
version = 1
[node]
agent = "0x0101010101010101010101010101010101010101010101010101010101010101"
names = ["localhost"]
epoch_seconds = 600
[chain]
profile = "localnet"
id = 31337
registry = "0x0202020202020202020202020202020202020202"
rpc = ["http://127.0.0.1:8545"]
[egress]
allow = ["127.0.0.1:8545"]
"#;
/// Digest of the image that the silicon measures.
pub const IMAGE: [u8; 32] = [3; 32];
/// The one contract of the chain that says yes (ERC-1271).
pub const YES_CONTRACT: [u8; 20] = [0xAA; 20];

/// Blobs by their names.
pub type Kept = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A machine without a node: its directory of sockets, and its silicon.
pub struct Machine {
    directory: tempfile::TempDir,
    pub silicon: Silicon,
    /// Blobs that the host keeps, where it keeps any.
    pub blobs: Option<Kept>,
    /// Where egress leads, beside the chain: sockets by `host:port`.
    pub routes: BTreeMap<String, PathBuf>,
    /// Files of the models that the image holds.
    pub models: Vec<PathBuf>,
}

impl Machine {
    pub fn new() -> Machine {
        let directory = tempfile::tempdir().unwrap();
        let silicon = Silicon::open_or_create(&directory.path().join("silicon")).unwrap();
        Machine {
            directory,
            silicon,
            blobs: None,
            routes: BTreeMap::new(),
            models: Vec::new(),
        }
    }

    /// The socket of a port.
    pub fn socket(&self, port: u16) -> PathBuf {
        self.directory.path().join(format!("{port}.sock"))
    }

    /// Starts the host's side and the node.
    pub async fn start(self, document: String) -> Host {
        let bind = |port: u16| {
            let _ = std::fs::remove_file(self.socket(port));
            UnixListener::bind(self.socket(port)).unwrap()
        };
        let chip = self
            .silicon
            .chip(IMAGE, LaunchDocument::digest(document.as_bytes()));
        let mut tasks = vec![tokio::spawn(jeju_simulated::serve(chip, bind(5006)))];
        tasks.push(tokio::spawn(each(bind(5003), move |mut stream| {
            let answer = format!("OK {}\n{document}", document.len());
            async move {
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        })));
        tasks.push(tokio::spawn(each(bind(5004), |mut stream| async move {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })));
        let chain_lies = Arc::new(AtomicBool::new(false));
        let (lies, block) = (chain_lies.clone(), Arc::new(AtomicU64::new(100)));
        let routes = Arc::new(self.routes.clone());
        tasks.push(tokio::spawn(each(bind(5000), move |stream| {
            egress(stream, lies.clone(), block.clone(), routes.clone())
        })));
        if let Some(kept) = self.blobs.clone() {
            tasks.push(tokio::spawn(each(bind(5001), move |stream| {
                keep_blobs(stream, kept.clone())
            })));
        }
        let node = Command::new(env!("CARGO_BIN_EXE_jeju-enclave"))
            .args(["--platform", "simulated", "--transport"])
            .arg(format!("unix:{}", self.directory.path().display()))
            .args(self.models.iter().flat_map(|model| [Path::new("--model"), model]))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut host = Host {
            root: self.silicon.root_public(),
            machine: self,
            chain_lies,
            node,
            printed: Arc::default(),
            tasks,
        };
        host.wait_ready().await;
        host
    }
}

/// The host's side of a node, honest until told otherwise.
pub struct Host {
    pub machine: Machine,
    pub root: [u8; 65],
    pub chain_lies: Arc<AtomicBool>,
    pub node: Child,
    /// What the node wrote on its standard error.
    pub printed: Arc<Mutex<String>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Host {
    pub async fn start() -> Host {
        Host::with(DOCUMENT.to_owned()).await
    }

    pub async fn with(document: String) -> Host {
        Machine::new().start(document).await
    }

    /// Kills the node and leaves its machine.
    pub async fn kill(mut self) -> Machine {
        self.node.kill().await.unwrap();
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
        self.machine
    }

    async fn wait_ready(&mut self) {
        let mut lines = BufReader::new(self.node.stderr.take().unwrap()).lines();
        let printed = self.printed.clone();
        let note = move |line: &str| {
            let mut printed = printed.lock().unwrap();
            printed.push_str(line);
            printed.push('\n');
        };
        timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                note(&line);
                if line.contains("JEJU-READY") {
                    return;
                }
            }
            let printed = self.printed.lock().unwrap();
            panic!("the node ended before it was ready: {printed}");
        })
        .await
        .expect("ready in time");
        // Kept open: a node whose messages can't be written must not fall for that.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                note(&line);
            }
        });
    }

    pub async fn dial(&self) -> UnixStream {
        UnixStream::connect(self.machine.socket(4007)).await.unwrap()
    }

    pub async fn connect(&self) -> Client {
        Client::new(self.dial().await, &self.root).await.unwrap()
    }

    /// A client of the MPC service.
    pub async fn connect_mpc(&self) -> Client {
        let stream = UnixStream::connect(self.machine.socket(4010)).await.unwrap();
        Client::new(stream, &self.root).await.unwrap()
    }

    /// A client of the workers' service.
    pub async fn connect_workers(&self) -> Client {
        let stream = UnixStream::connect(self.machine.socket(4020)).await.unwrap();
        Client::new(stream, &self.root).await.unwrap()
    }

    /// Claims of the epoch that runs.
    pub async fn claims(&self) -> Claims {
        loop {
            // Refused where the epoch ends between handshake and answer.
            let answer = self
                .connect()
                .await
                .request("GET", "/.well-known/jeju/evidence", b"")
                .await;
            if let Ok((200, bundle)) = answer {
                let claims = Bundle::parse(&bundle).unwrap().claims;
                return ClaimsBuffer::parse(&claims).unwrap().claims().clone();
            }
        }
    }

    /// The point of every case: an honest client is served afterwards, by the same process.
    pub async fn still_serves(&mut self) {
        let answer = timeout(PATIENCE, async {
            self.connect().await.request("GET", "/health", b"").await
        });
        assert_eq!(answer.await.expect("in time").unwrap().0, 200);
        assert!(self.node.try_wait().unwrap().is_none(), "the node ended");
    }
}

async fn each<F: Future<Output = ()> + Send + 'static>(
    listener: UnixListener,
    serve: impl Fn(UnixStream) -> F + Send + 'static,
) {
    // Dropped with the listener, as a shim's connections end with it.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream));
        while connections.try_join_next().is_some() {}
    }
}

/// Egress with one JSON-RPC endpoint behind it, or with garbage; and with routes to other machines.
async fn egress(
    stream: UnixStream,
    lies: Arc<AtomicBool>,
    block: Arc<AtomicU64>,
    routes: Arc<BTreeMap<String, PathBuf>>,
) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let _ = stream.read_line(&mut line).await;
    let to = line.strip_prefix("CONNECT ").unwrap_or_default().trim_end();
    if let Some(socket) = routes.get(to) {
        return relay(stream, socket).await;
    }
    if line.starts_with("CONNECT-PUBLIC ") {
        // This host has no network.
        let _ = stream.write_all(&ErrorCode::Unreachable.encode()).await;
        return;
    }
    assert_eq!(line, "CONNECT 127.0.0.1:8545\n");
    if lies.load(Ordering::Relaxed) {
        let _ = stream.write_all(&[0xA5; 100_000]).await;
        return;
    }
    let _ = stream.write_all(b"OK\n").await;
    chain(stream, block).await;
}

async fn relay(mut stream: BufReader<UnixStream>, socket: &Path) {
    match UnixStream::connect(socket).await {
        Ok(mut other) => {
            let _ = stream.write_all(b"OK\n").await;
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
        }
        Err(_) => {
            let _ = stream.write_all(&ErrorCode::Unreachable.encode()).await;
        }
    }
}

async fn chain(stream: BufReader<UnixStream>, block: Arc<AtomicU64>) {
    let result = |request: &serde_json::Value| {
        // A block that is asked for by number is that one, and the chain grows with each other question.
        let asked = request["params"][0]
            .as_str()
            .and_then(|text| text.strip_prefix("0x"));
        let asked = asked.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let number = asked.unwrap_or_else(|| block.fetch_add(1, Ordering::Relaxed));
        match request["method"].as_str().unwrap() {
            "eth_chainId" => serde_json::json!("0x7a69"),
            "eth_call" => serde_json::json!(call(&request["params"][0])),
            // No end of validity.
            "eth_getStorageAt" => serde_json::json!(format!("0x{}", "00".repeat(32))),
            _ => serde_json::json!({
                "number": format!("{number:#x}"),
                "hash": format!("0x{}", hex::encode([number as u8; 32])),
                "timestamp": format!("{:#x}", now()),
            }),
        }
    };
    rpc::serve(stream, result).await;
}

/// One contract says yes to every signature; the registry knows nothing.
fn call(call: &serde_json::Value) -> String {
    let data = call["data"].as_str().unwrap();
    match (data.get(..10), call["to"] == HexBytes(YES_CONTRACT).to_string()) {
        (Some("0x1626ba7e"), true) => format!("0x1626ba7e{}", "00".repeat(28)),
        (Some("0x1626ba7e"), false) => "0x".to_owned(),
        _ => format!("0x{}", "00".repeat(96)),
    }
}

pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

async fn keep_blobs(mut stream: UnixStream, kept: Kept) {
    while let Ok(request) = blob::read_request(&mut stream).await {
        let answered = match request {
            BlobRequest::Get(name) => {
                let found = kept.lock().unwrap().get(&name.to_string()).cloned();
                let found = found.as_deref().ok_or(ErrorCode::NotFound);
                blob::write_found(&mut stream, found).await
            }
            BlobRequest::Put(name, len) => match blob::read_body(&mut stream, len).await {
                Ok(body) => {
                    kept.lock().unwrap().insert(name.to_string(), body);
                    blob::write_done(&mut stream, Ok(())).await
                }
                Err(error) => Err(error),
            },
            BlobRequest::Delete(name) => {
                kept.lock().unwrap().remove(&name.to_string());
                blob::write_done(&mut stream, Ok(())).await
            }
            BlobRequest::List(request) => {
                let page = page(&request, &kept.lock().unwrap());
                blob::write_found(&mut stream, Ok(&page)).await
            }
        };
        if answered.is_err() {
            return;
        }
    }
}

fn page(request: &ListRequest, kept: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let space = format!("{}/", request.space());
    let leaves = kept.keys().filter_map(|name| name.strip_prefix(&space));
    Page::select(request, leaves).encode()
}

/// A client that verifies certificate and signatures, over any stream.
pub struct Client {
    tls: Option<TlsStream<Box<dyn Io>>>,
    session: Session,
    pub verifier: Arc<AttestedVerifier>,
    pub root: [u8; 65],
    /// `Idempotency-Key` of its request.
    pub idempotency_key: Option<String>,
}

/// An answer whose signature holds.
pub struct Answered {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
    /// Whose answer it is, if a worker's.
    pub worker: Option<WorkerVersion>,
    /// How a stream ended.
    pub end: Option<String>,
}

pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

struct HeaderMap(http::HeaderMap);

impl Headers for HeaderMap {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }
}

impl Client {
    pub async fn new(
        stream: impl Io + 'static,
        root: &[u8; 65],
    ) -> Result<Client, Box<dyn std::error::Error>> {
        let verifier = Arc::new(AttestedVerifier::new(Arc::new(Verifier::simulated(&[HexBytes(
            *root,
        )]))));
        let connector = TlsConnector::from(Arc::new(client_config(verifier.clone())?));
        let stream: Box<dyn Io> = Box::new(stream);
        let tls = connector.connect("localhost".try_into()?, stream).await?;
        let peer = verifier.peer(&tls.get_ref().1.peer_certificates().unwrap()[0])?;
        let claims = peer.claims.claims();
        let channel = response::channel(&jeju_attested_tls::exporter(tls.get_ref().1, &[])?);
        let session = Session {
            key: claims.resp,
            tee: peer.certificate.evidence.tee,
            epoch: claims.epoch,
            channel: Some(channel),
        };
        Ok(Client {
            tls: Some(tls),
            session,
            verifier,
            root: *root,
            idempotency_key: None,
        })
    }

    pub async fn request(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<(u16, Bytes), Box<dyn std::error::Error>> {
        let answer = self.exchange(method, path, &[], body).await?;
        assert_eq!(answer.worker, None, "an answer of the node itself");
        Ok((answer.status, answer.body))
    }

    /// A request with further fields, answered by node or worker, whole or as a stream, and verified.
    pub async fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<Answered, Box<dyn std::error::Error>> {
        let stream = TokioIo::new(self.tls.take().unwrap());
        let (mut send, connection) = hyper::client::conn::http1::handshake(stream).await?;
        let task = tokio::spawn(connection);
        let nonce = [9; 32];
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("jeju-nonce", jeju_attestation::structured_field::binary(&nonce));
        if let Some(key) = &self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body)))?;
        let answer = send.send_request(request).await?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let fields = RequestFields {
            method: method.to_owned(),
            path: path.to_owned(),
            query: format!("?{query}"),
            body_sha256: sha256(body),
            nonce: Some(nonce),
        };
        let status = answer.status().as_u16();
        let (parts, answer) = answer.into_parts();
        let body = answer.collect().await?.to_bytes();
        task.abort();
        assert!(
            header_bytes(&parts.headers) <= 3584,
            "{} bytes of headers",
            header_bytes(&parts.headers)
        );
        let headers = HeaderMap(parts.headers);
        let verified = verify_answer(&fields, status, &headers, &self.session)?;
        let end = match verified.head {
            VerifiedHead::Body(digest) => {
                assert_eq!(digest, sha256(&body), "body digest");
                None
            }
            VerifiedHead::Stream { start } => {
                let mut stream = verified.stream(self.session.key, start);
                stream.push(&body)?;
                Some(stream.finish()?.name().to_owned())
            }
        };
        Ok(Answered {
            status,
            headers: headers.0,
            body,
            worker: verified.worker,
            end,
        })
    }

    /// The connection, for what [`Self::request`] doesn't do.
    pub fn into_stream(mut self) -> TlsStream<Box<dyn Io>> {
        self.tls.take().unwrap()
    }

    /// What the exporter of this end says for a nonce.
    pub fn challenge(&self, nonce: &[u8; 32]) -> [u8; 32] {
        let tls = self.tls.as_ref().unwrap();
        response::challenge_channel(&jeju_attested_tls::exporter(tls.get_ref().1, nonce).unwrap())
    }
}

fn header_bytes(headers: &http::HeaderMap) -> usize {
    let ours = headers
        .iter()
        .filter(|(name, _)| response::header::ALL.contains(&name.as_str()));
    ours.map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum()
}
