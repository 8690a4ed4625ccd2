//! What attestation costs: a handshake against a plain rustls one in the same run, and the signature on a response.
//!
//! `cargo bench -p jeju-attested-tls`; the promises stand in `docs/performance.md`.

use std::hint::black_box;
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use criterion::{Criterion, criterion_group, criterion_main};
use jeju_attestation::certificate::CertificateEvidence;
use jeju_attestation::claims::{Claims, ClaimsBuffer, Mode, Receipts, Role};
use jeju_attestation::evidence::Verifier;
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::response::{EvidenceReference, RequestFields, ResponseFields, render_quote};
use jeju_attestation::structured_field::binary;
use jeju_attestation::tee::Tee;
use jeju_attested_tls::{
    AttestedVerifier, CertificateFields, NodeKey, RotatingCertificate, client_config, server_config,
};
use jeju_simulated::Silicon;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

fn handshakes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake");
    let (client, server) = plain();
    group.bench_function("plain rustls", |bench| bench.iter(|| handshake(&client, &server)));
    let node = Node::new();
    let server = Arc::new(server_config(node.certificate.clone()).unwrap());
    let cached = Arc::new(client_config(node.verifier()).unwrap());
    handshake(&cached, &server);
    group.bench_function("attested, verdict cached", |bench| {
        bench.iter(|| handshake(&cached, &server))
    });
    group.bench_function("attested, first", |bench| {
        bench.iter_batched(
            || Arc::new(client_config(node.verifier()).unwrap()),
            |client| handshake(&client, &server),
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// All that a signed JSON response costs over an unsigned one: two digests, the signature, and nine header values.
fn response(criterion: &mut Criterion) {
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let request_body = vec![b'r'; 1024];
    let body = vec![b'a'; 2048];
    let (quote, claims) = (render_quote(&[1; 282], 282), binary(&[2; 560]));
    let mut group = criterion.benchmark_group("response");
    group.bench_function("signing and headers", |bench| {
        bench.iter(|| {
            let request = RequestFields {
                method: "POST".to_owned(),
                path: "/v1/chat/completions".to_owned(),
                query: "?".to_owned(),
                body_sha256: sha256(black_box(&request_body)),
                nonce: None,
            };
            let fields = ResponseFields {
                status: 200,
                content_type: "application/json".to_owned(),
                body_sha256: Some(sha256(black_box(&body))),
                request_sha256: request.body_sha256,
                nonce: [1; 32],
                channel: [2; 32],
                evidence: EvidenceReference {
                    digest: [3; 32],
                    epoch: 4,
                    tee: Tee::Simulated,
                },
                worker: None,
                created: 1_800_000_000,
                key: key.public_key().as_ref().try_into().unwrap(),
            };
            let signature = key
                .sign(&fields.signature_base(&request))
                .as_ref()
                .try_into()
                .unwrap();
            black_box((fields.headers(&signature), quote.clone(), claims.clone()))
        });
    });
    group.finish();
}

struct Node {
    certificate: Arc<RotatingCertificate>,
    root: [u8; 65],
}

impl Node {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let silicon = Silicon::open_or_create(&directory.path().join("silicon")).unwrap();
        let key = NodeKey::generate().unwrap();
        let mut evm = [7; 33];
        evm[0] = 2;
        let claims = ClaimsBuffer::encode(Claims {
            pubkey_hash: key.spki_sha256(),
            mode: Mode::Epoch,
            role: Role::Server,
            resp: [1; 32],
            evm,
            keys: [2; 32],
            boot: [3; 16],
            epoch: 1,
            receipts: Receipts::default(),
            launch: [4; 32],
            agent: [5; 32],
            chain: (31337, [6; 20]),
            anchor: (1, [7; 32]),
            gpu: ([0; 32], 0),
            log: [0; 32],
            nonce: [0; 32],
            channel: [0; 32],
        })
        .unwrap();
        let quote = silicon
            .chip([8; 32], [4; 32])
            .report(claims.report_data())
            .to_vec();
        let evidence = CertificateEvidence {
            tee: Tee::Simulated,
            quote,
            claims: claims.bytes().to_vec(),
        };
        let fields = CertificateFields {
            common_name: "bench.node.jeju".to_owned(),
            names: &["localhost".to_owned()],
            not_before: 1_600_000_000,
            not_after: 4_000_000_000,
            evidence: &evidence,
        };
        let certificate = Arc::new(RotatingCertificate::new(&key, &fields).unwrap());
        Self {
            certificate,
            root: silicon.root_public(),
        }
    }

    fn verifier(&self) -> Arc<AttestedVerifier> {
        Arc::new(AttestedVerifier::new(Arc::new(Verifier::simulated(&[HexBytes(
            self.root,
        )]))))
    }
}

/// The same cipher suites, key type and protocol version, with a certificate that is trusted as such.
fn plain() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let root = rcgen::CertifiedIssuer::self_signed(params, root_key).unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &root)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root.der().to_vec())).unwrap();
    let provider = Arc::new(default_provider());
    let mut client = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.resumption = Resumption::disabled();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.into()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    server.send_tls13_tickets = 0;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    (Arc::new(client), Arc::new(server))
}

/// One handshake in memory, both ends on this thread.
fn handshake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) {
    let mut client =
        ClientConnection::new(client.clone(), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut unread = bytes.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets().unwrap();
        }
    }
}

criterion_group!(benches, handshakes, response);
criterion_main!(benches);
