//! HTTP servers, with TLS and without.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A certificate for names, and a client that trusts it.
pub(super) struct Trust {
    pub(super) client: ClientConfig,
    pub(super) server: Arc<ServerConfig>,
    pub(super) certificate_pem: String,
    pub(super) key_pem: String,
}

impl Trust {
    pub(super) fn new(names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned());
        let certified = rcgen::generate_simple_self_signed(names.collect::<Vec<_>>()).unwrap();
        let certificate = certified.cert.der().clone();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            client,
            server: Arc::new(server),
            certificate_pem: certified.cert.pem(),
            key_pem: certified.signing_key.serialize_pem(),
        }
    }
}

/// A server, and how many connections it had.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) connections: Arc<AtomicUsize>,
}

impl Server {
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Serves with a closure that gets the request with its whole body.
    pub(super) async fn start<F>(tls: Option<&Trust>, answer: F) -> Self
    where
        F: Fn(Request<Bytes>) -> Response<Full<Bytes>> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, answer) = (connections.clone(), Arc::new(answer));
        let acceptor = tls.map(|trust| TlsAcceptor::from(trust.server.clone()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                tokio::spawn(async move {
                    match acceptor {
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, answer).await;
                            }
                        }
                        None => serve(stream, answer).await,
                    }
                });
            }
        });
        Self { address, connections }
    }
}

async fn serve<F>(stream: impl Io + 'static, answer: Arc<F>)
where
    F: Fn(Request<Bytes>) -> Response<Full<Bytes>> + Send + Sync + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(_) => Bytes::from_static(b"(broken off)"),
            };
            Ok::<_, Infallible>(answer(Request::from_parts(parts, body)))
        }
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Says what came.
pub(super) fn echo(request: Request<Bytes>) -> Response<Full<Bytes>> {
    let headers: Vec<Value> = request
        .headers()
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let said = json!({
        "method": request.method().as_str(),
        "target": request.uri().to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(request.body()),
    });
    Response::builder()
        .header("content-type", "application/json")
        .header("x-server", "echo")
        .body(Full::new(said.to_string().into()))
        .unwrap()
}

/// `/to/STATUS?URL` leads there; all else is echoed.
pub(super) fn redirecting(request: Request<Bytes>) -> Response<Full<Bytes>> {
    let status = request
        .uri()
        .path()
        .strip_prefix("/to/")
        .and_then(|status| status.parse().ok());
    let Some(status) = status else {
        return echo(request);
    };
    let response = Response::builder().status::<u16>(status);
    let location = request.uri().query().unwrap_or_default();
    response
        .header("location", location)
        .body(Full::default())
        .unwrap()
}

/// What an echo said.
pub(super) fn said(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// A field of what an echo said.
pub(super) fn field<'a>(said: &'a Value, name: &str) -> Option<&'a str> {
    let mut pairs = said["headers"].as_array().unwrap().iter();
    pairs
        .find(|pair| pair[0] == name)
        .and_then(|pair| pair[1].as_str())
}
