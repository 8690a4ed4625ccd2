//! TLS with a certificate that nobody trusts, and with one that the test's own root signed.

use std::io;

use futures_util::future::BoxFuture;
use jeju_chain::Io;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::TlsAcceptor;

use super::super::connect::{Connect, ConnectError};
use super::*;

/// Egress that leads to one TLS server, which gives one answer on each connection.
struct Egress {
    server: Arc<ServerConfig>,
}

async fn serve(mut stream: impl Io) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8(request).unwrap();
    assert!(
        request.contains("host: api.example") && request.contains("\"model\":\"theirs\""),
        "{request}"
    );
    assert!(
        !request.contains("authorization") && !request.contains("cache_salt"),
        "{request}"
    );
    let body = fake::answer().to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let _ = stream.read_buf(&mut Vec::new()).await;
}

impl Dial for Egress {
    fn dial<'a>(&'a self, authority: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        Box::pin(async move {
            if authority != "api.example:443" {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            let (here, there): (DuplexStream, DuplexStream) = tokio::io::duplex(1 << 16);
            let acceptor = TlsAcceptor::from(self.server.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(there).await {
                    serve(stream).await;
                }
            });
            Ok(Box::new(here) as Box<dyn Io>)
        })
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A server for a name, and a client that trusts what signed its certificate.
fn configs(name: &str) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

async fn connect(server: Arc<ServerConfig>, client: Arc<ClientConfig>, to: &str) -> Result<(), ConnectError> {
    let external = External::new(to.to_owned(), Arc::new(Egress { server }), client).unwrap();
    external.connect().await.map(drop)
}

#[tokio::test]
async fn only_a_certificate_for_the_name_that_the_web_trusts_will_do() {
    let (server, client) = configs("api.example");
    assert_eq!(
        connect(server.clone(), client.clone(), "api.example:443").await,
        Ok(())
    );
    let untrusted = Err(ConnectError::NotVerified("certificate_not_trusted".to_owned()));
    assert_eq!(
        connect(server, public_web_tls(), "api.example:443").await,
        untrusted
    );
    let (other, trusting) = configs("other.example");
    assert_eq!(connect(other, trusting, "api.example:443").await, untrusted);
}

#[tokio::test]
async fn a_server_out_there_answers_and_is_not_called_confidential() {
    let (server, client) = configs("api.example");
    let egress = Arc::new(Egress { server });
    let route = Route {
        connect: Box::new(External::new("api.example:443".to_owned(), egress, client).unwrap()),
        pool: Arc::new(Pool::new(keep(Confidentiality::External))),
        authority: HeaderValue::from_static("api.example:443"),
        patience: patience(Confidentiality::External),
    };
    let named = named(Kind::Openai, r#"{"url":"https://api.example"}"#);
    let upstream = Upstream::with(&named, Confidentiality::External, route).unwrap();
    upstream.models[0].health.set(None);
    let document = whole(&upstream).await.unwrap();
    assert_eq!(document["choices"][0]["message"]["content"], "Paris");
    let served = upstream.models().next().unwrap();
    assert!(!served.is_confidential());
    assert_eq!(served.confidentiality, Some(Confidentiality::External));
}

#[tokio::test]
async fn egress_decides_where_it_may_lead() {
    let (server, client) = configs("api.example");
    let refused = connect(server, client, "other.example:443").await;
    assert_eq!(refused, Err(ConnectError::Unreachable));
}
