//! A connection to a node or, past it, to an upstream. A node's certificate is verified, and so are each response's head
//! and each stream's end; that its evidence is acceptable is for others to test (e2e/run.py).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use jeju_attestation::claims::ClaimsBuffer;
use jeju_attestation::evidence::Verifier;
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::response::{
    self, EndReason, Headers, RequestFields, Session, StreamVerifier, VerifiedHead, header, verify_head,
};
use jeju_attestation::structured_field::{binary, parse_binary};
use jeju_attested_tls::{AttestedVerifier, client_config, exporter};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub const CHAT: &str = "/v1/chat/completions";

/// Where to connect to.
pub enum Target {
    /// An upstream's HTTP.
    Plain(String),
    /// A node's attested TLS.
    Node(String, TlsConnector, Arc<AttestedVerifier>),
}

impl Target {
    /// `authority` is `host:port`; with the root of simulated silicon it is a node.
    pub fn new(authority: &str, root: Option<HexBytes<65>>) -> anyhow::Result<Self> {
        let Some(root) = root else {
            return Ok(Target::Plain(authority.to_owned()));
        };
        let verifier = Arc::new(AttestedVerifier::new(Arc::new(Verifier::simulated(&[root]))));
        let connector = TlsConnector::from(Arc::new(client_config(verifier.clone())?));
        Ok(Target::Node(authority.to_owned(), connector, verifier))
    }

    pub async fn connect(&self) -> anyhow::Result<Connection> {
        let (Target::Plain(authority) | Target::Node(authority, ..)) = self;
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        let Target::Node(_, connector, verifier) = self else {
            return Ok(Connection {
                sender: sender(stream).await?,
                session: None,
            });
        };
        let stream = connector.connect("localhost".try_into()?, stream).await?;
        let tls = stream.get_ref().1;
        let certificate = tls.peer_certificates().and_then(|chain| chain.first());
        let peer = verifier.peer(certificate.context("no certificate")?)?;
        let claims = peer.claims.claims();
        let session = Session {
            key: claims.resp,
            tee: peer.certificate.evidence.tee,
            epoch: claims.epoch,
            channel: Some(response::channel(&exporter(tls, &[])?)),
        };
        Ok(Connection {
            sender: sender(stream).await?,
            session: Some(session),
        })
    }
}

async fn sender(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Its end reaches the sender and the body.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Of a node.
    session: Option<Session>,
}

/// What comes of a request.
pub enum Response {
    Stream(Box<Events>),
    /// Too much to do; after how long to ask again.
    Busy(Duration),
}

impl Connection {
    pub async fn chat(&mut self, body: Bytes) -> anyhow::Result<Response> {
        let mut nonce = [0; 32];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| anyhow::anyhow!("no random numbers"))?;
        let fields = RequestFields {
            method: "POST".to_owned(),
            path: CHAT.to_owned(),
            query: "?".to_owned(),
            body_sha256: sha256(&body),
            nonce: Some(nonce),
        };
        let request = Request::post(CHAT)
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .header(header::NONCE, binary(&nonce))
            .body(Full::new(body))?;
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let headers = HeaderView(&head.headers);
        let verified = match &mut self.session {
            None => None,
            Some(session) => {
                follow_epoch(session, &headers)?;
                Some(verify_head(&fields, head.status.as_u16(), &headers, session)?)
            }
        };
        match (head.status.as_u16(), verified) {
            (200, Some(VerifiedHead::Stream { start })) => {
                let key = self.session.as_ref().context("a node")?.key;
                let events = Events::new(body, Some(StreamVerifier::new(key, start)));
                Ok(Response::Stream(Box::new(events)))
            }
            (200, None) => Ok(Response::Stream(Box::new(Events::new(body, None)))),
            (429 | 503, _) => {
                let after = headers
                    .get(RETRY_AFTER.as_str())
                    .and_then(|text| text.parse().ok());
                body.collect().await?;
                Ok(Response::Busy(Duration::from_secs(after.unwrap_or(1))))
            }
            (status, _) => {
                let body = body.collect().await?.to_bytes();
                bail!("{status}: {}", String::from_utf8_lossy(&body))
            }
        }
    }
}

/// Claims of another epoch bring another key.
fn follow_epoch(session: &mut Session, headers: &HeaderView) -> anyhow::Result<()> {
    let text = headers.get(header::CLAIMS).context("no claims")?;
    let buffer = ClaimsBuffer::parse(&parse_binary(text).context("claims are no bytes")?)?;
    (session.key, session.epoch) = (buffer.claims().resp, buffer.claims().epoch);
    Ok(())
}

/// A stream's events, as they come.
pub struct Events {
    body: Incoming,
    verifier: Option<StreamVerifier>,
    /// Where nobody verifies, and so nobody cuts into events.
    pending: Vec<u8>,
}

impl Events {
    fn new(body: Incoming, verifier: Option<StreamVerifier>) -> Self {
        Self {
            body,
            verifier,
            pending: Vec::new(),
        }
    }

    /// Whole events that arrived together; `None` at the end.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        while let Some(frame) = self.body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            let events = match &mut self.verifier {
                Some(verifier) => verifier.push(&data)?,
                None => {
                    self.pending.extend_from_slice(&data);
                    let whole = self.pending.windows(2).rposition(|pair| pair == b"\n\n");
                    let rest = self.pending.split_off(whole.map_or(0, |at| at + 2));
                    std::mem::replace(&mut self.pending, rest)
                }
            };
            if !events.is_empty() {
                return Ok(Some(events));
            }
        }
        Ok(None)
    }

    /// How a node's stream ended; its signature is good then.
    pub fn end(self) -> anyhow::Result<Option<EndReason>> {
        Ok(self.verifier.map(StreamVerifier::finish).transpose()?)
    }
}

struct HeaderView<'a>(&'a http::HeaderMap);

impl Headers for HeaderView<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }
}
