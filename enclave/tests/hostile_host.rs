//! A node behind a host that reorders, truncates, stalls, floods and answers garbage: it never falls, never says
//! anything in the clear, and serves the next honest client.
#![cfg(feature = "sim")]

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::{Claims, ClaimsBuffer, Mode};
use jeju_attestation::evidence::{NodeEvidence, Verifier};
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::response::{self, Headers, RequestFields, Session, VerifiedHead, verify_head};
use jeju_attested_tls::{AttestedVerifier, client_config};
use jeju_simulated::Silicon;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, duplex};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const PATIENCE: Duration = Duration::from_secs(90);
const CANARY: &str = "canary-prompt-that-no-host-may-see";
const DOCUMENT: &str = r#"
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

/// The host's side of a node, honest until told otherwise.
struct Host {
    directory: tempfile::TempDir,
    root: [u8; 65],
    chain_lies: Arc<AtomicBool>,
    node: Child,
}

impl Host {
    async fn start() -> Host {
        Host::with(DOCUMENT.to_owned()).await
    }

    async fn with(document: String) -> Host {
        let directory = tempfile::tempdir().unwrap();
        let bind = |port: u16| UnixListener::bind(directory.path().join(format!("{port}.sock"))).unwrap();
        let silicon = Silicon::open_or_create(&directory.path().join("silicon")).unwrap();
        let chip = silicon.chip([3; 32], LaunchDocument::digest(document.as_bytes()));
        tokio::spawn(jeju_simulated::serve(chip, bind(5006)));
        tokio::spawn(each(bind(5003), move |mut stream| {
            let answer = format!("OK {}\n{document}", document.len());
            async move {
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }));
        tokio::spawn(each(bind(5004), |mut stream| async move {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }));
        let chain_lies = Arc::new(AtomicBool::new(false));
        let (lies, block) = (chain_lies.clone(), Arc::new(AtomicU64::new(100)));
        tokio::spawn(each(bind(5000), move |stream| {
            chain(stream, lies.clone(), block.clone())
        }));
        let node = Command::new(env!("CARGO_BIN_EXE_jeju-enclave"))
            .args(["--platform", "simulated", "--transport"])
            .arg(format!("unix:{}", directory.path().display()))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut host = Host {
            directory,
            root: silicon.root_public(),
            chain_lies,
            node,
        };
        host.wait_ready().await;
        host
    }

    async fn wait_ready(&mut self) {
        let mut lines = BufReader::new(self.node.stderr.take().unwrap()).lines();
        timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains("JEJU-READY") {
                    return;
                }
            }
            panic!("the node ended before it was ready");
        })
        .await
        .expect("ready in time");
        // Kept open: a node whose messages can't be written must not fall for that.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    }

    async fn dial(&self) -> UnixStream {
        dial(self.directory.path()).await
    }

    async fn connect(&self) -> Client {
        Client::new(self.dial().await, &self.root).await.unwrap()
    }

    /// Claims of the epoch that runs.
    async fn claims(&self) -> Claims {
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
    async fn still_serves(&mut self) {
        let answer = timeout(PATIENCE, async {
            self.connect().await.request("GET", "/health", b"").await
        });
        assert_eq!(answer.await.expect("in time").unwrap().0, 200);
        assert!(self.node.try_wait().unwrap().is_none(), "the node ended");
    }
}

async fn dial(directory: &Path) -> UnixStream {
    UnixStream::connect(directory.join("4007.sock")).await.unwrap()
}

async fn each<F: Future<Output = ()> + Send + 'static>(
    listener: UnixListener,
    serve: impl Fn(UnixStream) -> F + Send + 'static,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream));
    }
}

/// Egress with one JSON-RPC endpoint behind it, or with garbage.
async fn chain(stream: UnixStream, lies: Arc<AtomicBool>, block: Arc<AtomicU64>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let _ = stream.read_line(&mut line).await;
    assert_eq!(line, "CONNECT 127.0.0.1:8545\n");
    if lies.load(Ordering::Relaxed) {
        let _ = stream.write_all(&[0xA5; 100_000]).await;
        return;
    }
    let _ = stream.write_all(b"OK\n").await;
    let mut length = 0;
    loop {
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line != "\r\n" {
            continue;
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let request: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let number = block.fetch_add(1, Ordering::Relaxed);
        let result = match request["method"].as_str().unwrap() {
            "eth_chainId" => serde_json::json!("0x7a69"),
            _ => serde_json::json!({
                "number": format!("{number:#x}"),
                "hash": format!("0x{}", hex::encode([number as u8; 32])),
                "timestamp": format!("{now:#x}"),
            }),
        };
        let answer = serde_json::json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        let _ = stream.write_all(format!("{head}{answer}").as_bytes()).await;
    }
}

/// A client that verifies certificate and signatures, over any stream.
struct Client {
    tls: Option<TlsStream<Box<dyn Io>>>,
    session: Session,
    verifier: Arc<AttestedVerifier>,
    root: [u8; 65],
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
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
    async fn new(stream: impl Io + 'static, root: &[u8; 65]) -> Result<Client, Box<dyn std::error::Error>> {
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
        })
    }

    async fn request(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<(u16, Bytes), Box<dyn std::error::Error>> {
        let stream = TokioIo::new(self.tls.take().unwrap());
        let (mut send, connection) = hyper::client::conn::http1::handshake(stream).await?;
        let task = tokio::spawn(connection);
        let nonce = [9; 32];
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("jeju-nonce", jeju_attestation::structured_field::binary(&nonce))
            .body(Full::new(Bytes::copy_from_slice(body)))?;
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
        match verify_head(&fields, status, &HeaderMap(parts.headers), &self.session)? {
            VerifiedHead::Body(digest) => assert_eq!(digest, sha256(&body), "body digest"),
            VerifiedHead::Stream { .. } => panic!("not a stream"),
        }
        Ok((status, body))
    }

    /// What the exporter of this end says for a nonce.
    fn challenge(&self, nonce: &[u8; 32]) -> [u8; 32] {
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

#[tokio::test(flavor = "multi_thread")]
async fn every_status_is_signed() {
    let host = Host::start().await;
    let chat = "/v1/chat/completions";
    let big = vec![b' '; 2 << 20];
    let cases: [(&str, &str, &[u8], u16, &str); 12] = [
        ("GET", "/health", b"", 200, ""),
        ("GET", "/v1/models", b"", 200, ""),
        ("GET", "/v1/hardware", b"", 200, ""),
        ("GET", "/v1/metrics", b"", 200, ""),
        ("GET", "/v1/attestation/report?nonce=abc", b"", 200, ""),
        ("GET", "/.well-known/jeju/launch", b"", 200, ""),
        ("GET", "/nothing", b"", 404, "unknown_url"),
        ("DELETE", "/health", b"", 405, "method_not_allowed"),
        ("POST", chat, b"{", 400, "invalid_json"),
        (
            "POST",
            chat,
            br#"{"model":"x","messages":[{"role":"user","content":"hi"}]}"#,
            404,
            "model_not_found",
        ),
        ("POST", chat, &big, 413, "request_too_large"),
        ("POST", "/.well-known/jeju/attest", b"short", 400, "invalid_nonce"),
    ];
    for (method, path, body, status, code) in cases {
        let (answered, answer) = host.connect().await.request(method, path, body).await.unwrap();
        assert_eq!(answered, status, "{method} {path}");
        if !code.is_empty() {
            let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(answer["error"]["code"], code, "{method} {path}");
        }
    }
    let head = host
        .connect()
        .await
        .request("HEAD", "/health", b"")
        .await
        .unwrap();
    assert_eq!((head.0, head.1.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_quote_is_bound_to_nonce_and_connection() {
    let host = Host::start().await;
    let mut client = host.connect().await;
    let nonce = [7; 32];
    let channel = client.challenge(&nonce);
    let (status, body) = client
        .request("POST", "/.well-known/jeju/attest", &nonce)
        .await
        .unwrap();
    assert_eq!(status, 200);
    let bundle = Bundle::parse(&body).unwrap();
    let verifier = Verifier::simulated(&[HexBytes(client.root)]);
    let genuine = verifier.verify(&NodeEvidence::of(&bundle), 0).unwrap();
    let claims = genuine.claims.claims();
    assert_eq!(
        (claims.mode, claims.nonce, claims.channel),
        (Mode::FreshChannel, nonce, channel)
    );
    assert_eq!(sha256(&bundle.launch), claims.launch);
    assert_eq!(sha256(&bundle.keys), claims.keys);
    // The same bundle is served under its digest; an epoch's too.
    let by_digest = format!(
        "/.well-known/jeju/evidence/{}",
        hex::encode(Bundle::digest(&body))
    );
    assert_eq!(
        host.connect()
            .await
            .request("GET", &by_digest, b"")
            .await
            .unwrap()
            .1,
        body
    );
    let (_, epoch) = host
        .connect()
        .await
        .request("GET", "/.well-known/jeju/evidence", b"")
        .await
        .unwrap();
    let epoch = ClaimsBuffer::parse(&Bundle::parse(&epoch).unwrap().claims).unwrap();
    assert_eq!(
        (epoch.claims().mode, epoch.claims().boot),
        (Mode::Epoch, claims.boot)
    );
    let absent = format!("/.well-known/jeju/evidence/{}", "00".repeat(32));
    assert_eq!(
        host.connect().await.request("GET", &absent, b"").await.unwrap().0,
        404
    );
    let zeros = host
        .connect()
        .await
        .request("POST", "/.well-known/jeju/attest", &[0; 32])
        .await
        .unwrap();
    assert_eq!(zeros.0, 400);
    assert!(client.verifier.peer(&vec![0u8; 10].into()).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_quotes_have_a_budget() {
    let host = Host::start().await;
    let mut answers = Vec::new();
    for i in 1..=40u8 {
        let (status, _) = host
            .connect()
            .await
            .request("POST", "/.well-known/jeju/attest", &[i; 32])
            .await
            .unwrap();
        answers.push(status);
    }
    assert_eq!(answers[..8], [200; 8]);
    assert!(answers.contains(&429), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mangled_streams_end_themselves_only() {
    let mut host = Host::start().await;
    for mangle in [
        Mangle::FlipByte(700),
        Mangle::Truncate(900),
        Mangle::Truncate(20),
        Mangle::Swap(64),
        Mangle::Insert(300),
    ] {
        let (near, far) = duplex(1 << 16);
        let node = host.dial().await;
        let relay = tokio::spawn(mangle.relay(far, node));
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{CANARY}"}}]}}"#);
        let root = host.root;
        let outcome = timeout(PATIENCE, async {
            let mut client = Client::new(near, &root).await?;
            client
                .request("POST", "/v1/chat/completions", body.as_bytes())
                .await
        });
        assert!(
            outcome.await.expect("no hang").is_err(),
            "{mangle:?} went unnoticed"
        );
        let seen = relay.await.unwrap();
        assert!(!contains(&seen, CANARY.as_bytes()), "{mangle:?} saw the prompt");
        host.still_serves().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_relay_sees_no_plaintext() {
    let host = Host::start().await;
    let (near, far) = duplex(1 << 16);
    let relay = tokio::spawn(Mangle::Nothing.relay(far, host.dial().await));
    let mut client = Client::new(near, &host.root).await.unwrap();
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{CANARY}"}}]}}"#);
    let (status, answer) = client
        .request("POST", "/v1/chat/completions", body.as_bytes())
        .await
        .unwrap();
    assert_eq!(status, 404);
    assert!(
        !contains(&answer, CANARY.as_bytes()),
        "an error repeats what the user wrote"
    );
    drop(client);
    let seen = relay.await.unwrap();
    assert!(seen.len() > 2000);
    assert!(!contains(&seen, CANARY.as_bytes()) && !contains(&seen, b"/v1/chat"));
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_floods_and_stalls_cost_their_own_connection() {
    let mut host = Host::start().await;
    for garbage in [
        vec![0; 100_000],
        vec![0xFF; 100_000],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x16, 3, 1, 0xFF, 0xFF],
    ] {
        let mut stream = host.dial().await;
        let _ = stream.write_all(&garbage).await;
        // Whatever comes back is a TLS alert at most.
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await;
        assert!(answer.len() < 64, "{} bytes to garbage", answer.len());
    }
    // Half of the places taken by clients who never speak, and a third part who hang up at once.
    let mut stalled = Vec::new();
    for _ in 0..120 {
        stalled.push(host.dial().await);
        drop(host.dial().await);
    }
    host.still_serves().await;
    drop(stalled);
    host.still_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_chain_makes_the_node_stale_and_no_more() {
    let mut host = Host::with(DOCUMENT.replace("epoch_seconds = 600", "epoch_seconds = 30")).await;
    let first = host.claims().await;
    host.chain_lies.store(true, Ordering::Relaxed);
    let next = timeout(PATIENCE, async {
        loop {
            let claims = host.claims().await;
            if claims.epoch != first.epoch {
                return claims;
            }
            sleep(Duration::from_secs(1)).await;
        }
    });
    let next = next.await.expect("a new epoch, whatever the chain says");
    // The old block stays, by whose age verifiers judge; all else goes on.
    assert_eq!((next.anchor, next.boot), (first.anchor, first.boot));
    assert_ne!(next.resp, first.resp);
    host.still_serves().await;
}

/// What a relay does with the bytes from the client.
#[derive(Debug, Clone, Copy)]
enum Mangle {
    Nothing,
    /// Changes the byte at this offset.
    FlipByte(usize),
    /// Cuts after so many bytes, and stalls.
    Truncate(usize),
    /// From this offset on, swaps neighbouring runs of bytes.
    Swap(usize),
    /// Adds a byte at this offset.
    Insert(usize),
}

impl Mangle {
    /// Relays until both ends are done; returns all bytes that it saw.
    async fn relay(self, client: impl Io + 'static, node: UnixStream) -> Vec<u8> {
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let (mut from_node, mut to_node) = node.into_split();
        let back = tokio::spawn(async move {
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = from_node.read(&mut buffer).await {
                seen.extend_from_slice(&buffer[..read]);
                if to_client.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
            let _ = to_client.shutdown().await;
            seen
        });
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            let from = seen.len();
            seen.extend_from_slice(&buffer[..read]);
            let mut sent = buffer[..read].to_vec();
            let inside = |at: usize| (from..from + read).contains(&at).then(|| at - from);
            match self {
                Mangle::FlipByte(at) => inside(at).into_iter().for_each(|at| sent[at] ^= 0x10),
                Mangle::Insert(at) => inside(at).into_iter().for_each(|at| sent.insert(at, 0)),
                Mangle::Swap(at) if from + read > at + 32 => {
                    let half = read / 2;
                    sent.rotate_left(half.max(1));
                }
                Mangle::Truncate(at) if from + read > at => {
                    let _ = to_node.write_all(&sent[..at.saturating_sub(from)]).await;
                    break;
                }
                _ => {}
            }
            if to_node.write_all(&sent).await.is_err() {
                break;
            }
        }
        drop(to_node);
        seen.extend(back.await.unwrap());
        seen
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
