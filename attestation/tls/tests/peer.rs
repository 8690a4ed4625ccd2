//! Handshakes between two nodes, in memory: what each end learns of the other, and whom it refuses.

use std::sync::Arc;

use jeju_attestation::certificate::CertificateEvidence;
use jeju_attestation::claims::{Claims, ClaimsBuffer, Mode, Receipts, Role};
use jeju_attestation::response::challenge_channel;
use jeju_attestation::tee::Tee;
use jeju_attested_tls::{
    AttestedVerifier, CertificateFields, NodeKey, PEER_ALPN, RotatingCertificate, client_config, exporter,
    peer_client_config, peer_key, peer_name, peer_server_config, rejection, server_config,
};
use jeju_simulated::Silicon;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::{default_provider, sign};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, Error, HandshakeKind, ServerConfig, ServerConnection, SignatureScheme,
    version,
};

/// A certificate on simulated silicon, whose claims are changed before they are quoted.
fn certificate(key: &NodeKey, change: impl FnOnce(&mut Claims)) -> Arc<RotatingCertificate> {
    let mut evm = [7; 33];
    evm[0] = 2;
    let mut claims = Claims {
        pubkey_hash: key.spki_sha256(),
        mode: Mode::Epoch,
        role: Role::Server,
        resp: [1; 32],
        evm,
        keys: [2; 32],
        boot: [3; 16],
        epoch: 0,
        receipts: Receipts::default(),
        launch: [4; 32],
        agent: [5; 32],
        chain: (31337, [6; 20]),
        anchor: (1, [7; 32]),
        gpu: ([0; 32], 0),
        log: [0; 32],
        nonce: [0; 32],
        channel: [0; 32],
    };
    change(&mut claims);
    let claims = ClaimsBuffer::encode(claims).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let silicon = Silicon::open_or_create(&directory.path().join("silicon")).unwrap();
    let chip = silicon.chip([8; 32], [4; 32]);
    let evidence = CertificateEvidence {
        tee: Tee::Simulated,
        quote: chip.report(claims.report_data()).to_vec(),
        claims: claims.bytes().to_vec(),
    };
    let fields = CertificateFields {
        common_name: "node".to_owned(),
        // Neither name nor dates are right.
        names: &["elsewhere".to_owned()],
        not_before: 0,
        not_after: 1,
        evidence: &evidence,
    };
    Arc::new(RotatingCertificate::new(key, &fields).unwrap())
}

fn node() -> (NodeKey, Arc<RotatingCertificate>) {
    let key = NodeKey::generate().unwrap();
    let certificate = certificate(&key, |_| {});
    (key, certificate)
}

type Ends = (ClientConnection, ServerConnection);

/// Both ends once there is nothing more to say, or the first one's refusal.
fn handshake(client: ClientConfig, server: ServerConfig) -> Result<Ends, Error> {
    ends(&Arc::new(client), &Arc::new(server))
}

fn ends(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Result<Ends, Error> {
    let mut client = ClientConnection::new(client.clone(), peer_name())?;
    let mut server = ServerConnection::new(server.clone())?;
    while client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut &bytes[..]).unwrap();
        server.process_new_packets()?;
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut &bytes[..]).unwrap();
        client.process_new_packets()?;
    }
    Ok((client, server))
}

fn code(outcome: Result<Ends, Error>) -> String {
    match outcome {
        Ok(_) => "passed".to_owned(),
        Err(error) => rejection(&error).map_or_else(|| error.to_string(), |reason| reason.code().to_owned()),
    }
}

#[test]
fn each_end_learns_the_others_key_and_both_the_channel() {
    let ((one, of_one), (two, of_two)) = (node(), node());
    let client = Arc::new(peer_client_config(of_one).unwrap());
    let server = Arc::new(peer_server_config(of_two).unwrap());
    let (dialled, accepted) = ends(&client, &server).unwrap();
    assert_eq!(peer_key(&dialled).unwrap(), two.spki_sha256());
    assert_eq!(peer_key(&accepted).unwrap(), one.spki_sha256());
    assert_eq!(accepted.alpn_protocol(), Some(PEER_ALPN));
    assert_eq!(accepted.server_name(), None, "an address is no identity");
    let nonce = [9; 32];
    let channel = challenge_channel(&exporter(&dialled, &nonce).unwrap());
    assert_eq!(channel, challenge_channel(&exporter(&accepted, &nonce).unwrap()));
    // Another connection of the same two nodes, and another nonce.
    let (again, accepted_again) = ends(&client, &server).unwrap();
    assert_ne!(channel, challenge_channel(&exporter(&again, &nonce).unwrap()));
    assert_ne!(channel, challenge_channel(&exporter(&dialled, &[8; 32]).unwrap()));
    for kind in [again.handshake_kind(), accepted_again.handshake_kind()] {
        assert!(
            matches!(
                kind,
                Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
            ),
            "{kind:?}: a resumed session shows no certificate"
        );
    }
}

#[test]
fn a_certificate_must_name_its_own_key_and_the_serving_end() {
    let (_, good) = node();
    let key = NodeKey::generate().unwrap();
    type Change = fn(&mut Claims);
    let cases: [(Change, &str); 2] = [
        (
            |claims| claims.pubkey_hash = [1; 32],
            "certificate_key_not_in_claims",
        ),
        (|claims| claims.role = Role::Client, "role_mismatch"),
    ];
    for (change, expected) in cases {
        let bad = certificate(&key, change);
        let client = peer_client_config(bad.clone()).unwrap();
        assert_eq!(
            code(handshake(client, peer_server_config(good.clone()).unwrap())),
            expected
        );
        let server = peer_server_config(bad).unwrap();
        assert_eq!(
            code(handshake(peer_client_config(good.clone()).unwrap(), server)),
            expected
        );
    }
}

/// Shows a certificate with a key of its own.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// Both ends' outcomes with somebody who shows this chain and signs with a key of its own.
fn shown(chain: impl Fn(&KeyPair) -> Vec<CertificateDer<'static>>) -> [String; 2] {
    let (_, good) = node();
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let shows = || {
        Arc::new(Shows(Arc::new(CertifiedKey::new(
            chain(&pair),
            sign::any_ecdsa_type(&der).unwrap(),
        ))))
    };
    let mut client = peer_client_config(good.clone()).unwrap();
    client.client_auth_cert_resolver = shows();
    let mut server = peer_server_config(good.clone()).unwrap();
    server.cert_resolver = shows();
    [
        code(handshake(client, peer_server_config(good.clone()).unwrap())),
        code(handshake(peer_client_config(good).unwrap(), server)),
    ]
}

#[test]
fn the_key_of_a_certificate_must_be_held() {
    let (_, stolen) = node();
    let stolen = ends(
        &Arc::new(peer_client_config(stolen.clone()).unwrap()),
        &Arc::new(peer_server_config(stolen).unwrap()),
    );
    let stolen = stolen.unwrap().0.peer_certificates().unwrap()[0]
        .clone()
        .into_owned();
    for refused in shown(|_| vec![stolen.clone()]) {
        assert_eq!(refused, "invalid peer certificate: BadSignature");
    }
    for refused in shown(|_| vec![stolen.clone(), stolen.clone()]) {
        assert_eq!(
            refused, "certificate_key_not_in_claims",
            "nobody vouches for a node but its silicon"
        );
    }
    let bare = |pair: &KeyPair| {
        let params = CertificateParams::new(vec!["node".to_owned()]).unwrap();
        vec![params.self_signed(pair).unwrap().into()]
    };
    for refused in shown(bare) {
        assert_eq!(refused, "certificate_without_evidence");
    }
}

#[test]
fn clients_without_a_certificate_or_the_protocol_are_refused() {
    let (_, good) = node();
    let server = || peer_server_config(good.clone()).unwrap();
    let verifier = Arc::new(AttestedVerifier::new(Arc::new(
        jeju_attestation::evidence::Verifier::simulated(&[]),
    )));
    let client = || client_config(verifier.clone()).unwrap();
    assert_eq!(
        code(handshake(client(), server())),
        "peer doesn't support any known protocol"
    );
    let mut nameless = peer_client_config(good.clone()).unwrap();
    nameless.client_auth_cert_resolver = Arc::new(Nothing);
    assert_eq!(code(handshake(nameless, server())), "peer sent no certificates");
    // And the other way round: no peer talks to the port of users.
    let users = server_config(good.clone()).unwrap();
    assert_eq!(
        code(handshake(peer_client_config(good.clone()).unwrap(), users)),
        "peer doesn't support any known protocol"
    );
    let mut old = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    old.alpn_protocols = vec![PEER_ALPN.to_vec()];
    assert!(handshake(old, server()).is_err());
}

#[derive(Debug)]
struct Nothing;

impl ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn a_connection_of_another_kind_has_no_peer() {
    let (_, certificate) = node();
    let client = peer_client_config(certificate.clone()).unwrap();
    let before = ClientConnection::new(Arc::new(client), peer_name()).unwrap();
    assert!(peer_key(&before).is_err(), "no handshake yet");
    let mut client = peer_client_config(certificate.clone()).unwrap();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    let (client, server) = handshake(client, server_config(certificate).unwrap()).unwrap();
    assert!(peer_key(&client).is_err() && peer_key(&server).is_err());
}
