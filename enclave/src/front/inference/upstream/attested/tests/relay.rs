//! Somebody in between: who passes bytes on is a wire; who wants to read them must hold the key that the quote names.

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

/// Shows a certificate that isn't its own.
#[derive(Debug)]
struct Copied(Arc<CertifiedKey>);

impl ResolvesServerCert for Copied {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl Copied {
    fn of(certificate: CertificateDer<'static>) -> Self {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
        let own = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let own = own.to_pkcs8v1().unwrap().as_ref().to_vec();
        let own = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own));
        let key = default_provider().key_provider.load_private_key(own).unwrap();
        Copied(Arc::new(CertifiedKey::new(vec![certificate], key)))
    }
}

async fn certificate(node: &Node) -> CertificateDer<'static> {
    let verifier = Verifier::simulated(&[HexBytes(node.root)]);
    let certificates = Arc::new(AttestedVerifier::new(Arc::new(verifier)));
    let config = jeju_attested_tls::client_config(certificates).unwrap();
    let stream = TcpStream::connect(("127.0.0.1", node.port)).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let tls = connector.connect("127.0.0.1".try_into().unwrap(), stream).await;
    let tls = tls.unwrap();
    tls.get_ref().1.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

#[tokio::test]
async fn a_copied_certificate_is_no_way_in_between() {
    let node = Node::start(Trick::Honest).await;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Copied::of(certificate(&node).await)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = Wanted {
        port: listener.local_addr().unwrap().port(),
        ..Wanted::of(&node)
    };
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        assert!(acceptor.accept(stream).await.is_err(), "it got in between");
    });
    assert_eq!(
        refused(&between, &node, Chain::default()).await,
        "tls_peer_refused"
    );
}

#[tokio::test]
async fn who_passes_bytes_on_is_a_wire() {
    let node = Node::start(Trick::Honest).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = Wanted {
        port: listener.local_addr().unwrap().port(),
        ..Wanted::of(&node)
    };
    let port = node.port;
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
    assert!(through.connect(Chain::default()).await.is_ok());
}
