//! The reader against a real node (anvil), against nodes that lie, and against servers that don't behave.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jeju_chain::{
    ChainReader, Dial, Endpoint, Finality, Io, ReadError, ReaderConfig, RpcClient, RpcError, Status, TcpDial,
    platform, public_web_tls,
};
use jeju_contracts::localnet::{Anvil, AnvilOptions};
use jeju_contracts::registry::Proposal;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::server::{http_ok, read_request, serve};

mod server;

const ID: [u8; 32] = [0x11; 32];
const RELEASE: [u8; 32] = [0x22; 32];

// ---------------------------------------------------------------------------------------------- a real node

fn anvil() -> Anvil {
    Anvil::spawn(&AnvilOptions {
        port: 0,
        block_time: None,
    })
    .unwrap()
}

fn proposal() -> Proposal {
    let platform = platform::SIMULATED;
    Proposal {
        id: ID,
        release_digest: RELEASE,
        version: 3,
        platform,
        custody: 1,
        flags: 5,
    }
}

#[tokio::test]
async fn reads_a_measurements_life_from_anvil() {
    let anvil = anvil();
    let reader = anvil.reader();
    assert_eq!(reader.chain_id().await.unwrap(), 31337);

    let registry = anvil.deploy_registry().await.unwrap();
    anvil.finalize().await.unwrap();
    let unknown = reader.measurement(&registry, &ID).await.unwrap();
    assert_eq!((unknown.status(), unknown.policy.epoch), (Status::Unknown, 0));

    anvil.admit(registry, &proposal()).await.unwrap();
    let start = Instant::now();
    let active = reader.measurement(&registry, &ID).await.unwrap();
    println!("measurement by RPC: {:?}", start.elapsed());
    let record = active.record.unwrap();
    assert_eq!(active.status(), Status::Active);
    assert_eq!(
        (record.version, record.platform, record.custody, record.flags),
        (3, 255, 1, 5)
    );
    assert_eq!(
        (record.revoked_at, record.rebuild_count, record.release_digest),
        (0, 0, RELEASE)
    );
    assert!(record.is_active_at(active.head.block.timestamp) && !record.is_active_at(record.valid_from - 1));

    anvil.revoke(registry, ID).await.unwrap();
    let revoked = reader.measurement(&registry, &ID).await.unwrap();
    let record = revoked.record.unwrap();
    assert_eq!(
        revoked.status(),
        Status::Revoked {
            at: record.revoked_at
        }
    );
    assert!(record.is_active_at(record.valid_from) || record.valid_from == record.revoked_at);
    assert!(!record.is_active_at(record.revoked_at));
    assert_eq!(reader.policy_epoch(&registry).await.unwrap(), 2);

    // A head that was read before still answers for its own block.
    let before = reader.measurement_at(active.head, &registry, &ID).await.unwrap();
    assert_eq!(before, active);
}

#[tokio::test]
async fn reads_blocks_and_their_finality_from_anvil() {
    let anvil = anvil();
    let reader = anvil.reader();
    anvil.mine(10).await.unwrap();
    let head = reader.finalized_block().await.unwrap();
    assert_eq!((head.finality, head.block.number), (Finality::Finalized, 8));
    assert_eq!(reader.block_by_number(8).await.unwrap(), head.block);
    assert_eq!(reader.block_by_hash(&head.block.hash).await.unwrap(), head.block);
    let newest = reader.block_by_number(10).await.unwrap();
    assert!(newest.timestamp >= head.block.timestamp);
    assert!(matches!(
        reader.block_by_number(11).await,
        Err(ReadError::BlockNotFound)
    ));
    assert!(matches!(
        reader.block_by_hash(&[9; 32]).await,
        Err(ReadError::BlockNotFound)
    ));
    anvil.mine(1).await.unwrap();
    assert_eq!(reader.finalized_block().await.unwrap().block.number, 9);
}

#[tokio::test]
async fn an_address_without_a_contract_is_no_unknown_measurement() {
    let anvil = anvil();
    let error = anvil.reader().measurement(&[0x77; 20], &ID).await.unwrap_err();
    assert_eq!(error.code(), "rpc-no-contract");
}

#[tokio::test]
async fn the_newest_block_tells_the_time() {
    let anvil = anvil();
    let reader = anvil.reader();
    anvil.mine(3).await.unwrap();
    let newest = reader.block_by_number(3).await.unwrap();
    assert_eq!(reader.newest_timestamp().await.unwrap(), newest.timestamp);
    assert!(newest.timestamp >= reader.finalized_block().await.unwrap().block.timestamp);
}

/// `lookup(bytes32)` of the registry, by hand.
#[tokio::test]
async fn contracts_answer_calls_at_the_finalised_block() {
    let anvil = anvil();
    let reader = anvil.reader();
    let registry = anvil.deploy_registry().await.unwrap();
    let data = [&jeju_chain::LOOKUP_SELECTOR[..], &ID].concat();
    assert_eq!(
        reader.call(&registry, &data).await.unwrap(),
        None,
        "not final yet"
    );
    anvil.finalize().await.unwrap();
    let answer = reader.call(&registry, &data).await.unwrap().unwrap();
    assert_eq!(answer.len(), 96);
    assert!(answer[..64].iter().all(|byte| *byte == 0));
    assert_eq!(
        reader.call(&registry, &[1, 2, 3, 4]).await.unwrap(),
        None,
        "reverts"
    );
    assert_eq!(
        reader.call(&[0x77; 20], &data).await.unwrap(),
        None,
        "no contract"
    );
}

#[tokio::test]
async fn a_head_that_left_the_chain_gives_no_answer() {
    let anvil = anvil();
    let reader = anvil.reader();
    let registry = anvil.deploy_registry().await.unwrap();
    let snapshot: Value = anvil.rpc().call("evm_snapshot", json!([])).await.unwrap();
    anvil.admit(registry, &proposal()).await.unwrap();
    let active = reader.measurement(&registry, &ID).await.unwrap();
    assert_eq!(active.status(), Status::Active);

    let reverted: bool = anvil.rpc().call("evm_revert", json!([snapshot])).await.unwrap();
    assert!(reverted);
    anvil.mine(12).await.unwrap();
    assert!(reader.measurement_at(active.head, &registry, &ID).await.is_err());
    assert_eq!(
        reader.measurement(&registry, &ID).await.unwrap().status(),
        Status::Unknown
    );
}

/// What interval mining gives is what `make run` shows: `finalized` follows by itself.
#[tokio::test]
async fn finality_moves_with_interval_mining() {
    let anvil = Anvil::spawn(&AnvilOptions {
        port: 0,
        block_time: Some(1),
    })
    .unwrap();
    let reader = anvil.reader();
    for _ in 0..600 {
        if reader.finalized_block().await.unwrap().block.number >= 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing became final in a minute");
}

// ---------------------------------------------------------------------------------------------- nodes that lie

/// What a made-up node says.
#[derive(Clone)]
struct Lie {
    chain: u64,
    /// Number of its finalised block, or `None` if it doesn't know the tag.
    finalized: Option<u64>,
    /// First byte of its block hashes.
    fork: u8,
    call: String,
}

impl Default for Lie {
    fn default() -> Self {
        Self {
            chain: 1,
            finalized: Some(10),
            fork: 0,
            call: words(2),
        }
    }
}

/// Three words of an active record of version 3 under a floor of 0, with this stage.
fn words(stage: u8) -> String {
    let mut data = [0u8; 96];
    data[5] = stage;
    data[9] = 1;
    data[15] = 3;
    data[31] = 1;
    data[32] = 0x22;
    data[95] = 7;
    format!("0x{}", hex::encode(data))
}

impl Lie {
    fn answer(&self, method: &str, params: &Value) -> Value {
        let block = |number: u64| {
            let hash = format!("0x{:02x}{number:062x}", self.fork);
            json!({ "number": format!("{number:#x}"), "hash": hash, "timestamp": format!("{:#x}", 1000 + number) })
        };
        let result = match (method, params[0].as_str()) {
            ("eth_chainId", _) => json!(format!("{:#x}", self.chain)),
            ("eth_getBlockByNumber", Some("finalized")) => match self.finalized {
                Some(number) => block(number),
                None => return json!({ "error": { "code": -32602, "message": "unknown tag" } }),
            },
            ("eth_getBlockByNumber", Some("latest")) => block(self.finalized.unwrap_or(20)),
            ("eth_getBlockByNumber", Some(number)) => {
                let number = u64::from_str_radix(number.trim_start_matches("0x"), 16).unwrap();
                if number > self.finalized.unwrap_or(20) + 5 {
                    Value::Null
                } else {
                    block(number)
                }
            }
            ("eth_call", _) => json!(self.call),
            ("eth_getStorageAt", _) => json!(format!("0x{}", "00".repeat(32))),
            other => panic!("unexpected call {other:?}"),
        };
        json!({ "result": result })
    }

    async fn serve(self) -> String {
        serve(move |mut stream, request| {
            let lie = self.clone();
            async move {
                let mut answer = lie.answer(request["method"].as_str().unwrap(), &request["params"]);
                answer["jsonrpc"] = "2.0".into();
                answer["id"] = request["id"].clone();
                let _ = stream.write_all(&http_ok(&answer.to_string())).await;
            }
        })
        .await
    }
}

async fn reader(lies: &[Lie], quorum: usize, localnet: bool) -> ChainReader {
    let mut endpoints = Vec::new();
    for lie in lies {
        endpoints.push(lie.clone().serve().await);
    }
    let config = ReaderConfig {
        plaintext: true,
        localnet,
        ..ReaderConfig::new(endpoints, quorum)
    };
    ChainReader::new(config, Arc::new(TcpDial)).unwrap()
}

#[tokio::test]
async fn a_minority_of_liars_changes_nothing() {
    let honest = Lie::default();
    let liar = Lie {
        chain: 5,
        finalized: Some(9999),
        fork: 0xee,
        call: words(1),
    };
    let reader = reader(&[liar, honest.clone(), honest], 2, false).await;
    assert_eq!(reader.chain_id().await.unwrap(), 1);
    let reading = reader.measurement(&[1; 20], &ID).await.unwrap();
    assert_eq!((reading.status(), reading.policy.epoch), (Status::Active, 7));
    assert_eq!(reading.head.block.number, 10);
}

#[tokio::test]
async fn disagreement_is_its_own_error_with_counts() {
    let chain = |chain| Lie {
        chain,
        ..Lie::default()
    };
    let three = reader(&[chain(1), chain(2), chain(3)], 2, false).await;
    let error = three.chain_id().await.unwrap_err();
    assert_eq!(error.code(), "chain-disagreement");
    assert!(matches!(
        error,
        ReadError::Disagreement {
            needed: 2,
            agreeing: 1,
            answers: 3
        }
    ));

    let call = |stage| Lie {
        call: words(stage),
        ..Lie::default()
    };
    let two = reader(&[call(1), call(2)], 2, false).await;
    let error = two.measurement(&[1; 20], &ID).await.unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Disagreement {
                needed: 2,
                agreeing: 1,
                answers: 2
            }
        ),
        "{error}"
    );

    let fork = |fork| Lie {
        fork,
        ..Lie::default()
    };
    let forked = reader(&[fork(1), fork(2)], 2, false).await;
    assert_eq!(
        forked.finalized_block().await.unwrap_err().code(),
        "chain-disagreement"
    );
}

#[tokio::test]
async fn the_finalised_block_is_one_that_a_quorum_has_passed() {
    let at = |number| Lie {
        finalized: Some(number),
        ..Lie::default()
    };
    let reader = reader(&[at(10), at(14), at(12)], 2, false).await;
    // Two are a quorum: whoever is late isn't waited for, and then it is the lower one of theirs.
    let mut number = 0;
    for _ in 0..5 {
        let head = reader.finalized_block().await.unwrap();
        number = head.block.number;
        assert!(matches!(number, 10 | 12) && head.finality == Finality::Finalized);
        if number == 12 {
            break;
        }
    }
    assert_eq!(number, 12);
}

#[tokio::test]
async fn latest_stands_in_on_a_local_chain_only_and_says_so() {
    let old = Lie {
        finalized: None,
        ..Lie::default()
    };
    let local = reader(std::slice::from_ref(&old), 1, true)
        .await
        .finalized_block()
        .await
        .unwrap();
    assert_eq!((local.finality, local.block.number), (Finality::LocalLatest, 20));
    let public = reader(&[old], 1, false)
        .await
        .finalized_block()
        .await
        .unwrap_err();
    assert_eq!(public.code(), "rpc-node-error");
}

#[tokio::test]
async fn impossible_answers_are_refused() {
    for call in [
        words(4),
        words(0),
        "0x".into(),
        "0x00".into(),
        format!("{}00", words(2)),
        "2".into(),
    ] {
        let reader = reader(
            &[Lie {
                call: call.clone(),
                ..Lie::default()
            }],
            1,
            false,
        )
        .await;
        let error = reader.measurement(&[1; 20], &ID).await.unwrap_err();
        let expected = if call == "0x" {
            "rpc-no-contract"
        } else {
            "rpc-malformed"
        };
        assert_eq!(error.code(), expected, "{call}");
    }
}

#[tokio::test]
async fn dead_endpoints_are_counted_and_a_quorum_without_them_works() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let alive = Lie::default().serve().await;
    let also = Lie::default().serve().await;
    let config = |endpoints: Vec<String>, quorum| ReaderConfig {
        plaintext: true,
        ..ReaderConfig::new(endpoints, quorum)
    };
    let dead = format!("http://{closed}");
    let enough = ChainReader::new(
        config(vec![dead.clone(), alive.clone(), also], 2),
        Arc::new(TcpDial),
    )
    .unwrap();
    assert_eq!(
        enough.measurement(&[1; 20], &ID).await.unwrap().status(),
        Status::Active
    );
    let short = ChainReader::new(config(vec![dead, alive], 2), Arc::new(TcpDial)).unwrap();
    let error = short.measurement(&[1; 20], &ID).await.unwrap_err();
    assert_eq!(error.code(), "chain-unavailable");
    assert!(matches!(
        error,
        ReadError::Unavailable {
            needed: 2,
            answers: 1,
            endpoints: 2,
            ..
        }
    ));
}

#[tokio::test]
async fn a_hanging_endpoint_costs_a_second_and_not_the_time_limit() {
    let hanging = serve(|stream, _| async move {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let endpoints = vec![
        hanging,
        Lie::default().serve().await,
        Lie::default().serve().await,
    ];
    let config = ReaderConfig {
        plaintext: true,
        timeout: Duration::from_secs(60),
        ..ReaderConfig::new(endpoints, 2)
    };
    let reader = ChainReader::new(config, Arc::new(TcpDial)).unwrap();
    let start = Instant::now();
    assert_eq!(
        reader.measurement(&[1; 20], &ID).await.unwrap().status(),
        Status::Active
    );
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

// ---------------------------------------------------------------------------------------------- bad servers

async fn call(endpoint: &str, dial: Arc<dyn Dial>, limit: Duration) -> RpcError {
    let endpoint = Endpoint::parse(endpoint).unwrap();
    let client = RpcClient::new(endpoint, dial, public_web_tls(), limit);
    client.call::<String>("eth_chainId", json!([])).await.unwrap_err()
}

#[tokio::test]
async fn garbage_is_refused() {
    let bodies = [
        ("hello", "rpc-http"),
        ("", "rpc-http"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "rpc-http"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "rpc-http",
        ),
        ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", "rpc-status"),
        (
            "HTTP/1.1 302 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            "rpc-status",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull",
            "rpc-not-json-rpc",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\u{1}\u{2}\u{3}",
            "rpc-not-json-rpc",
        ),
    ];
    for (raw, expected) in bodies {
        let server = serve(move |mut stream, _| async move {
            let _ = stream.write_all(raw.as_bytes()).await;
        })
        .await;
        let error = call(&server, Arc::new(TcpDial), Duration::from_secs(60)).await;
        assert_eq!(error.code(), expected, "{raw:?}: {error}");
    }
}

#[tokio::test]
async fn an_answer_to_another_request_is_refused() {
    let server = serve(|mut stream, request| async move {
        let id = request["id"].as_u64().unwrap() + 1;
        let answer = json!({ "jsonrpc": "2.0", "id": id, "result": "0x1" }).to_string();
        let _ = stream.write_all(&http_ok(&answer)).await;
    })
    .await;
    let error = call(&server, Arc::new(TcpDial), Duration::from_secs(60)).await;
    assert_eq!(error.code(), "rpc-wrong-id");
}

#[tokio::test]
async fn endless_heads_and_bodies_are_cut() {
    for (head, piece, expected) in [
        (
            "HTTP/1.1 200 OK\r\n",
            "x-header: 0123456789abcdef\r\n",
            "rpc-http",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "10\r\n0123456789abcdef\r\n",
            "rpc-too-large",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n",
            "0123456789abcdef",
            "rpc-too-large",
        ),
        ("HTTP/1.1 200 OK\r\n\r\n", "0123456789abcdef", "rpc-too-large"),
    ] {
        let server = serve(move |mut stream, _| async move {
            let flood = piece.repeat(1024);
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(flood.as_bytes()).await.is_ok() {}
        })
        .await;
        let error = call(&server, Arc::new(TcpDial), Duration::from_secs(20)).await;
        assert_eq!(error.code(), expected, "{head:?}: {error}");
    }
}

#[tokio::test]
async fn slow_servers_and_slow_dials_run_out_of_time() {
    let silent = serve(|stream, _| async move {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let dripping = serve(|mut stream, _| async move {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            .await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let limit = Duration::from_millis(200);
    for (server, dial) in [
        (silent.as_str(), Arc::new(TcpDial) as Arc<dyn Dial>),
        (&dripping, Arc::new(TcpDial)),
        ("http://never.invalid", Arc::new(NeverDial)),
        ("https://never.invalid", Arc::new(SilentDial)),
    ] {
        let start = Instant::now();
        let error = call(server, dial, limit).await;
        assert_eq!(error.code(), "rpc-timeout", "{server}: {error}");
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}

/// The guest has no resolver: the authority must reach the egress stream as text.
#[tokio::test]
async fn the_authority_reaches_the_dial_as_text() {
    struct Recording(std::sync::Mutex<Vec<String>>);
    impl Dial for Recording {
        fn dial<'a>(&'a self, authority: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
            self.0.lock().unwrap().push(authority.to_owned());
            Box::pin(async { Err(io::Error::from(io::ErrorKind::PermissionDenied)) })
        }
    }
    let dial = Arc::new(Recording(Default::default()));
    let error = call(
        "https://node.invalid/v2/key",
        dial.clone(),
        Duration::from_secs(1),
    )
    .await;
    assert_eq!(error.code(), "rpc-dial");
    assert!(!error.to_string().contains("key"));
    assert_eq!(*dial.0.lock().unwrap(), ["node.invalid:443"]);
}

#[tokio::test]
async fn tls_is_verified() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![made.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let request = read_request(&mut stream).await;
                let answer = json!({ "jsonrpc": "2.0", "id": request["id"], "result": "0x1" });
                let _ = stream.write_all(&http_ok(&answer.to_string())).await;
                let _ = stream.shutdown().await;
            });
        }
    });

    let url = format!("https://localhost:{port}");
    let unknown = call(&url, Arc::new(TcpDial), Duration::from_secs(60)).await;
    assert_eq!(unknown.code(), "rpc-tls");

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = Some(Arc::new(config));
    let reader = |url: String| {
        let config = ReaderConfig {
            tls: tls.clone(),
            ..ReaderConfig::new(vec![url], 1)
        };
        ChainReader::new(config, Arc::new(TcpDial)).unwrap()
    };
    assert_eq!(reader(url).chain_id().await.unwrap(), 1);
    let misnamed = reader(format!("https://127.0.0.1:{port}"))
        .chain_id()
        .await
        .unwrap_err();
    assert_eq!(misnamed.code(), "rpc-tls");
}

struct NeverDial;

impl Dial for NeverDial {
    fn dial<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        Box::pin(std::future::pending())
    }
}

/// Connects, and never answers the TLS handshake.
struct SilentDial;

impl Dial for SilentDial {
    fn dial<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        Box::pin(async {
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            tokio::spawn(async move {
                let _theirs = theirs;
                std::future::pending::<()>().await;
            });
            Ok(Box::new(ours) as Box<dyn Io>)
        })
    }
}
