//! Checks of providers: real TLS to nodes that answer, and to ends that do what they like.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jeju_chain::{Block, ProviderRecord};
use jeju_gateway::health::{Health, Pace, Probe, Rounds};
use jeju_gateway::index::{Index, Provider, Snapshot};
use jeju_gateway::names::{Names, Resolver, Service};
use jeju_gateway::passthrough::Directory;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const WELL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 25\r\n\r\n{\"status\":\"ok\",\"more\": 1}";

/// A node that answers each request so, behind a certificate that nobody signed.
async fn node(answer: Vec<u8>) -> SocketAddr {
    let made = rcgen::generate_simple_self_signed(["someone.else".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            tokio::spawn(async move {
                let mut tls = acceptor.accept(stream).await?;
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    tls.read_buf(&mut request).await?;
                }
                assert!(request.starts_with(b"GET /health HTTP/1.1\r\n"));
                tls.write_all(&answer).await?;
                // Keeps the connection, as nodes do.
                tls.read_u8().await
            });
        }
    });
    address
}

/// An end that takes connections and says this.
async fn other(says: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(says).await;
            kept.push(stream);
        }
    });
    address
}

fn provider(number: u8, registered_at: u64, endpoint: String) -> Arc<Provider> {
    let record = ProviderRecord {
        account: [number; 20],
        name: (&b"p"[..]).into(),
        endpoint: endpoint.as_bytes().into(),
        attestation_hash: [0; 32],
        stake: 1,
        registered_at,
        agent: [0; 32],
        active: true,
    };
    Arc::new(Provider::new(record, Vec::new()))
}

fn index(providers: Vec<Arc<Provider>>) -> Arc<Index> {
    let block = Block {
        number: 1,
        hash: [1; 32],
        timestamp: 1,
    };
    let index = Arc::new(Index::default());
    index.replace(Snapshot::new(block, providers));
    index
}

fn rounds(index: &Arc<Index>, private: bool) -> (Rounds, Arc<Health>) {
    let health = Arc::new(Health::default());
    let pace = Pace {
        interval: Duration::from_secs(30),
        at_once: 8,
    };
    let probe = Probe::new(Duration::from_secs(10));
    let resolver = Arc::new(Resolver::new(private));
    (
        Rounds::new(index.clone(), health.clone(), resolver, probe, pace),
        health,
    )
}

#[tokio::test]
async fn a_node_that_answers_is_healthy_and_nobody_else() {
    let endless = [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        &b"1\r\na\r\n".repeat(100_000)[..],
    ]
    .concat();
    let ends = [
        node(WELL.into()).await,
        node(WELL.replace("ok", "no").into()).await,
        node(WELL.replace("200", "503").into()).await,
        node(WELL.replace("{", "[").into()).await,
        node(endless).await,
        node(Vec::new()).await,
        other(b"").await,
        other(b"HTTP/1.1 200 OK\r\n\r\n").await,
    ];
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let endpoints = ends.into_iter().chain([closed]).enumerate();
    let mut providers: Vec<_> = endpoints
        // Nine endpoints of one host are too many; on this machine each has an address of its own.
        .map(|(number, address)| provider(number as u8, 1, format!("https://127.0.0.1:{}", address.port())))
        .take(8)
        .collect();
    providers.push(provider(9, 1, format!("https://localhost:{}", closed.port())));
    let index = index(providers);
    let (mut rounds, health) = rounds(&index, true);
    rounds.once().await;
    assert_eq!(health.counts(), (9, 1));
    let reading = health.of(&[0; 20]).unwrap();
    assert!(reading.healthy && reading.checked_at > 1_700_000_000 && reading.latency_ms < 10_000);
    // Who goes is forgotten.
    index.replace(Snapshot::new(index.now().block().unwrap(), Vec::new()));
    rounds.once().await;
    assert_eq!(health.counts(), (0, 0));
}

#[tokio::test]
async fn nobody_makes_a_gateway_knock_at_its_own_network_or_all_over_one_host() {
    let well = node(WELL.into()).await;
    let url = |port: u16| format!("https://127.0.0.1:{port}");
    let at_home = index(vec![provider(1, 1, url(well.port()))]);
    let (mut guarded, health) = rounds(&at_home, false);
    guarded.once().await;
    assert!(!health.of(&[1; 20]).unwrap().healthy);
    // Of one host the eight endpoints that are the oldest are checked; whoever shares one of them is, too.
    let mut providers: Vec<_> = (1..=20)
        .map(|number| provider(number, 100 - u64::from(number), url(u16::from(number))))
        .collect();
    providers.push(provider(30, 1, url(well.port())));
    providers.push(provider(31, 200, url(well.port())));
    let (mut rounds, health) = rounds(&index(providers), true);
    rounds.once().await;
    assert_eq!(health.counts(), (9, 2));
    assert!(health.of(&[20; 20]).is_some() && health.of(&[1; 20]).is_none());
}

#[tokio::test]
async fn a_name_leads_to_who_is_well_and_then_to_who_had_it_first() {
    let (well, ill) = (node(WELL.into()).await, other(b"no").await);
    let url = |port: u16| format!("https://127.0.0.1:{port}");
    // Somebody with a smaller account registered the same host later.
    let index = index(vec![
        provider(1, 9, url(ill.port())),
        provider(2, 5, url(well.port())),
        provider(3, 7, url(1)),
    ]);
    let (mut rounds, health) = rounds(&index, true);
    let names = Names::new(
        index,
        health.clone(),
        Arc::new(Resolver::new(true)),
        Service::Node,
        Vec::new(),
    );
    let ports = async |names: &Names| -> Vec<u16> {
        names
            .find("127.0.0.1")
            .await
            .iter()
            .map(SocketAddr::port)
            .collect()
    };
    assert_eq!(ports(&names).await, [well.port(), 1, ill.port()]);
    rounds.once().await;
    assert_eq!(ports(&names).await, [well.port(), 1, ill.port()]);
    let reading = health.of(&[2; 20]).unwrap();
    health.note(
        &[[2; 20]],
        jeju_gateway::health::Reading {
            healthy: false,
            ..reading
        },
    );
    health.note(&[[1; 20]], reading);
    assert_eq!(ports(&names).await, [ill.port(), well.port(), 1]);
}
