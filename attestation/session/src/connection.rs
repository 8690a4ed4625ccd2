//! Attested TLS and HTTP/1.1 on any stream: bytes to a peer whose evidence was read, but not appraised yet.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use jeju_attestation::appraisal::Challenge;
use jeju_attestation::hash::sha256;
use jeju_attestation::response::{RequestFields, challenge_channel, channel, header};
use jeju_attestation::structured_field::binary;
use jeju_attested_tls::{AttestedVerifier, PeerEvidence, exporter, rejection};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use crate::error::Error;
use crate::random_nonce;

/// Status line and header fields together; attestation headers have at most 3.5 kB.
const MAX_HEAD_LEN: usize = 64 * 1024;

/// Sends requests on one connection.
pub type Sender = SendRequest<Full<Bytes>>;

/// Who is to be at the other end, and what its handshake is checked by.
pub struct Target<'a> {
    /// `host:port`, for `Host`.
    pub authority: &'a str,
    /// The name that the certificate must carry.
    pub server_name: ServerName<'static>,
    /// Verifies certificates.
    pub certificates: &'a AttestedVerifier,
    /// TLS with that verifier.
    pub tls: Arc<ClientConfig>,
}

/// A connection with whoever holds the key of a node's certificate.
pub struct Connection {
    sender: Sender,
    host: HeaderValue,
    task: Arc<EndOnDrop>,
    certificate: CertificateDer<'static>,
    pub(crate) peer: Arc<PeerEvidence>,
    channel: [u8; 32],
    pub(crate) challenge: Challenge,
}

/// A request that was sent, and the response to it, of which nothing is verified.
pub struct Exchange {
    /// What the response must answer.
    pub request: RequestFields,
    /// Status and headers.
    pub head: http::response::Parts,
    /// The body.
    pub body: Incoming,
}

impl Connection {
    /// Does the handshake on a stream, and exports what the answer to a challenge must name.
    ///
    /// # Errors
    /// What is wrong with the peer, or with the connection.
    pub async fn open(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        target: &Target<'_>,
    ) -> Result<Self, Error> {
        let nonce = random_nonce()?;
        let stream = TlsConnector::from(target.tls.clone())
            .connect(target.server_name.clone(), stream)
            .await
            .map_err(handshake_error)?;
        let tls = stream.get_ref().1;
        check_full(tls.handshake_kind())?;
        let certificate = tls
            .peer_certificates()
            .and_then(|chain| chain.first())
            .ok_or(Error::Resumed)?
            .clone()
            .into_owned();
        let peer = target.certificates.peer(&certificate)?;
        let export = |context: &[u8]| exporter(tls, context).map_err(|_| Error::Crypto("no TLS exporter"));
        let channel = channel(&export(&[])?);
        let challenge = Challenge {
            nonce,
            channel: Some(challenge_channel(&export(&nonce)?)),
        };

        let (sender, connection) = Builder::new()
            .max_buf_size(MAX_HEAD_LEN)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Error::Http)?;
        // Its end reaches the sender and the body; there is nobody else to tell.
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            sender,
            host: HeaderValue::from_str(target.authority).map_err(http::Error::from)?,
            task: Arc::new(EndOnDrop(task.abort_handle())),
            certificate,
            peer,
            channel,
            challenge,
        })
    }

    /// The node's certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// When the certificate ends, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.peer.certificate.not_after
    }

    /// `Jeju-Channel` of this connection.
    pub fn channel(&self) -> [u8; 32] {
        self.channel
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Keeps the connection open for as long as it is held.
    pub fn hold(&self) -> Arc<EndOnDrop> {
        self.task.clone()
    }

    /// For who sends requests on its own, and holds the connection meanwhile.
    pub fn into_sender(self) -> (Sender, Arc<EndOnDrop>) {
        (self.sender, self.task)
    }

    /// Sends a request with this nonce. `Host` and `Jeju-Nonce` are set here.
    ///
    /// # Errors
    /// [`Error::SessionOver`] if nothing was sent.
    pub async fn exchange(
        &mut self,
        method: Method,
        path_and_query: &str,
        mut headers: HeaderMap,
        body: Bytes,
        nonce: [u8; 32],
    ) -> Result<Exchange, Error> {
        let uri: Uri = path_and_query.parse().map_err(http::Error::from)?;
        headers.insert(HOST, self.host.clone());
        headers.insert(
            header::NONCE,
            HeaderValue::from_str(&binary(&nonce)).map_err(http::Error::from)?,
        );
        let request = request_fields(&method, &uri, &body, nonce);
        let mut message = Request::builder().method(method).uri(uri).body(Full::new(body))?;
        *message.headers_mut() = headers;
        self.sender.ready().await.map_err(|_| Error::SessionOver)?;
        let response = match self.sender.try_send_request(message).await {
            Ok(response) => response,
            // Handed back whole: not a byte of it was written.
            Err(error) if error.message().is_some() => return Err(Error::SessionOver),
            Err(error) => return Err(Error::Http(error.into_error())),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::UnexpectedUpgrade);
        }
        let (head, body) = Response::into_parts(response);
        Ok(Exchange { request, head, body })
    }
}

/// A request as its response must name it.
pub fn request_fields(method: &Method, uri: &Uri, body: &[u8], nonce: [u8; 32]) -> RequestFields {
    RequestFields {
        method: method.as_str().to_owned(),
        path: uri.path().to_owned(),
        query: format!("?{}", uri.query().unwrap_or_default()),
        body_sha256: sha256(body),
        nonce: Some(nonce),
    }
}

/// Ends the connection's task with the last holder.
pub struct EndOnDrop(AbortHandle);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A resumed handshake shows no certificate. None is ever offered, so only a broken or forged peer gets here.
fn check_full(kind: Option<HandshakeKind>) -> Result<(), Error> {
    match kind {
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) => Ok(()),
        Some(HandshakeKind::Resumed) | None => Err(Error::Resumed),
    }
}

fn handshake_error(error: io::Error) -> Error {
    let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    else {
        return Error::Handshake(error);
    };
    match (rejection(tls), tls) {
        (Some(rejection), _) => Error::Rejected(rejection.clone()),
        (None, rustls::Error::InvalidCertificate(_) | rustls::Error::PeerMisbehaved(_)) => {
            Error::TlsPeer(tls.clone())
        }
        (None, _) => Error::Handshake(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_handshakes_pass() {
        assert!(check_full(Some(HandshakeKind::Full)).is_ok());
        assert!(check_full(Some(HandshakeKind::FullWithHelloRetryRequest)).is_ok());
        for kind in [None, Some(HandshakeKind::Resumed)] {
            assert_eq!(check_full(kind).unwrap_err().code(), "session_resumed");
        }
    }
}
