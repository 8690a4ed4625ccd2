//! A client that sends any bytes it likes. Signatures are others' business: here only what stays behind counts.

use std::sync::Arc;

use jeju_attestation::evidence::Verifier;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attested_tls::{AttestedVerifier, client_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::node::Node;
use crate::recorder::Recorder;

/// An open connection.
pub struct Client(TlsStream<Recorder<UnixStream>>);

/// What came back.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub async fn connect(node: &Node) -> Client {
        Client::try_connect(node).await.expect("a connection")
    }

    /// `None`: the node takes no more.
    pub async fn try_connect(node: &Node) -> Option<Client> {
        let trusted = Verifier::simulated(&[HexBytes(node.root)]);
        let verifier = Arc::new(AttestedVerifier::new(Arc::new(trusted)));
        let connector = TlsConnector::from(Arc::new(client_config(verifier).unwrap()));
        let stream = UnixStream::connect(node.socket(4007)).await.ok()?;
        let stream = Recorder::new(stream, node.seen.clone());
        let connected = connector.connect("localhost".try_into().unwrap(), stream).await;
        connected.ok().map(Client)
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // A node that has answered already may have stopped reading.
        let _ = self.0.write_all(bytes).await;
        let _ = self.0.flush().await;
    }

    /// Reads until these bytes have come.
    pub async fn read_until(&mut self, wanted: &str) -> String {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(wanted) {
            let mut more = [0; 4096];
            let count = self.0.read(&mut more).await.unwrap();
            assert_ne!(count, 0, "the end, before {wanted:?}: {}", read.escape_ascii());
            read.extend(&more[..count]);
        }
        String::from_utf8_lossy(&read).into_owned()
    }

    /// Sends a request and reads the answer, which must be the connection's last. `None`: there was none.
    pub async fn exchange(mut self, request: &[u8]) -> Option<Answer> {
        self.send(request).await;
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes).await;
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let body = bytes[end + 4..].to_vec();
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        Some(Answer {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head,
            body: if chunked { unchunk(&body) } else { body },
        })
    }
}

fn unchunk(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunks.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&chunks[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let Some(chunk) = chunks.get(end + 2..end + 2 + size) else {
            break;
        };
        body.extend(chunk);
        chunks = chunks.get(end + size + 4..).unwrap_or_default();
    }
    body
}

/// A request with a body, the last of its connection.
pub fn post(path: &str, more_headers: &str, body: &str) -> Vec<u8> {
    request("POST", path, more_headers, body)
}

pub fn request(method: &str, path: &str, more_headers: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {len}\r\n{more_headers}\r\n{body}"
    )
    .into_bytes()
}
