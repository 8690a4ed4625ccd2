//! One check of one endpoint.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::index::Endpoint;

/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Longest head of an answer, in bytes. A node's has its quote.
const MAX_HEAD: usize = 32 * 1024;

/// Asks endpoints how they are.
pub struct Probe {
    connector: TlsConnector,
    patience: Duration,
}

/// What a node that is ready answers, as far as it is read.
#[derive(Deserialize)]
struct Answer {
    status: String,
}

impl Probe {
    /// Each check has `patience`.
    pub fn new(patience: Duration) -> Self {
        let config = ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(Arc::new(aws_lc_rs::default_provider()))))
            .with_no_client_auth();
        Self {
            connector: TlsConnector::from(Arc::new(config)),
            patience,
        }
    }

    /// Whether `endpoint` answers at one of its `addresses`, within the time of one check.
    pub async fn check(&self, endpoint: &Endpoint, addresses: &[IpAddr]) -> bool {
        let check = async {
            for address in addresses {
                if let Ok(stream) = TcpStream::connect((*address, endpoint.port)).await {
                    return self.ask(stream, endpoint).await.unwrap_or(false);
                }
            }
            false
        };
        timeout(self.patience, check).await.unwrap_or(false)
    }

    async fn ask(&self, stream: TcpStream, endpoint: &Endpoint) -> io::Result<bool> {
        let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
        let tls = self.connector.connect(name, stream).await?;
        let mut client = http1::Builder::new();
        client.max_buf_size(MAX_HEAD);
        let (mut sender, connection) = client
            .handshake(TokioIo::new(tls))
            .await
            .map_err(io::Error::other)?;
        let host = match endpoint.host.contains(':') {
            true => format!("[{}]:{}", endpoint.host, endpoint.port),
            false => format!("{}:{}", endpoint.host, endpoint.port),
        };
        let request = Request::get("/health")
            .header(HOST, host)
            .header(USER_AGENT, concat!("jeju-gateway/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(io::Error::other)?;
            if response.status() != StatusCode::OK {
                return Ok(false);
            }
            let body = Limited::new(response.into_body(), MAX_ANSWER);
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            let answer = serde_json::from_slice::<Answer>(&body);
            Ok(answer.is_ok_and(|answer| answer.status == "ok"))
        };
        tokio::pin!(connection);
        tokio::select! {
            answer = exchange => answer,
            // An end of the connection ends the exchange, too; what it had read already may still be an answer.
            _ = &mut connection => Ok(false),
        }
    }
}

/// Takes every certificate: nodes' are self-signed, and only evidence says whose they are. That the other end has the key
/// is checked all the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
