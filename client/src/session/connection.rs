//! TCP, attested TLS and HTTP/1.1: bytes to a peer whose evidence was read, but not appraised yet.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use jeju_attestation::hash::sha256;
use jeju_attestation::response::{RequestFields, challenge_channel, channel, header};
use jeju_attestation::structured_field::binary;
use jeju_attested_tls::{PeerEvidence, exporter, rejection};
use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use crate::error::Error;
use crate::node_url::NodeUrl;
use crate::relying_party::RelyingParty;

/// Status line and header fields together; attestation headers have at most 3.5 kB.
const MAX_HEAD_LEN: usize = 64 * 1024;

pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    task: Arc<EndOnDrop>,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) peer: Arc<PeerEvidence>,
    /// `Jeju-Channel` of this connection.
    pub(super) channel: [u8; 32],
    /// `channel` of claims that answer this connection's challenge.
    pub(super) challenge_channel: [u8; 32],
}

/// A request that was sent, and the response to it, of which nothing is verified.
pub(super) struct Exchange {
    pub(super) request: RequestFields,
    pub(super) head: http::response::Parts,
    pub(super) body: Incoming,
}

impl Connection {
    /// Connects, and exports what the challenge with `nonce` must answer.
    pub(super) async fn open(url: &NodeUrl, party: &RelyingParty, nonce: &[u8; 32]) -> Result<Self, Error> {
        let stream = TcpStream::connect(url.authority())
            .await
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|source| Error::Connect {
                authority: url.authority().to_owned(),
                source,
            })?;
        let stream = TlsConnector::from(party.tls())
            .connect(url.server_name(), stream)
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
        let peer = party.certificate_verifier().peer(&certificate)?;
        let export = |context: &[u8]| exporter(tls, context).map_err(|_| Error::Crypto("no TLS exporter"));
        let (channel, challenge_channel) = (channel(&export(&[])?), challenge_channel(&export(nonce)?));

        let (sender, connection) = Builder::new()
            .max_buf_size(MAX_HEAD_LEN)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Error::Http)?;
        // Its end reaches the sender and the body; there is nobody else to tell.
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            sender,
            host: HeaderValue::from_str(url.authority()).map_err(http::Error::from)?,
            task: Arc::new(EndOnDrop(task.abort_handle())),
            certificate,
            peer,
            channel,
            challenge_channel,
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Keeps the connection open for as long as it is held.
    pub(super) fn hold(&self) -> Arc<EndOnDrop> {
        self.task.clone()
    }

    pub(super) async fn exchange(
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
        let request = RequestFields {
            method: method.as_str().to_owned(),
            path: uri.path().to_owned(),
            query: format!("?{}", uri.query().unwrap_or_default()),
            body_sha256: sha256(&body),
            nonce: Some(nonce),
        };
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

/// Ends the connection's task with the last holder.
pub(super) struct EndOnDrop(AbortHandle);

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
