//! One node, which signs alone: its whole API, and who gets nothing from it.

use std::sync::Arc;
use std::time::Duration;

use jeju_attestation::bundle::Bundle;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::keys::KeyList;
use jeju_mpc::authority::build::{Draft, authorization};
use jeju_mpc::authority::document::Address;
use jeju_mpc::authority::number::Uint256;
use jeju_mpc::authority::payload::Payload;
use jeju_mpc::authority::request::{Asked, Form};
use jeju_mpc::network::Network;
use jeju_wallet_auth::account::Account;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::fixture::{
    User, after_boot, assert_signed, bytes, call, document, key_of, message, owner, post, start,
};
use crate::host::{PATIENCE, YES_CONTRACT, now};

#[tokio::test(flavor = "multi_thread")]
async fn one_signer_makes_a_key_and_signs() {
    let (hosts, network) = start(1, 1, false).await;
    let [host] = &hosts[..] else { panic!() };

    let (status, health) = call(host, "GET", "/health", b"").await;
    assert_eq!(
        (status, &health["status"], &health["healthy"]),
        (200, &json!("ok"), &json!(true))
    );
    assert_eq!(
        (&health["nodeId"], &health["networkId"]),
        (&json!("mpc-node-1"), &json!("jeju-localnet"))
    );
    assert_eq!(bytes(&health["attestation"]["quote"]).len(), 32);

    let user = User::new(&network, 1);
    let (status, made) = post(host, "/mpc/keygen", &user.keygen(1)).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(made["success"], true);
    assert_eq!(bytes(&made["publicKey"]).len(), 33);
    assert_eq!(bytes(&made["walletAddress"]).len(), 20);
    assert_eq!(
        (&made["shareIndex"], &made["threshold"], &made["totalShares"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(bytes(&made["keyId"]), user.draft(Asked::Keygen {}, 1).key_id().0);
    // Asked again, it is the same key.
    let (_, again) = post(host, "/mpc/keygen", &user.keygen(2)).await;
    assert_eq!(again["publicKey"], made["publicKey"]);

    let (status, signed) = post(host, "/mpc/sign", &user.message("hello", 3)).await;
    assert_eq!(status, 200, "{signed}");
    assert_eq!(signed["publicKey"], made["publicKey"]);
    assert_signed(&signed);
    let draft = user.draft(message("hello"), 9);
    assert_eq!(bytes(&signed["messageHash"]), draft.message().unwrap());

    let other = User::new(&network, 2);
    let (_, others) = post(host, "/mpc/keygen", &other.keygen(1)).await;
    assert_ne!(others["publicKey"], made["publicKey"]);
    assert_eq!(
        others["rootId"], made["rootId"],
        "both follow from one generated key"
    );

    let (_, status) = call(host, "GET", "/mpc/status", b"").await;
    assert_eq!(
        (&status["storage"], &status["custody"]),
        (&json!("volatile"), &json!("single"))
    );
    assert!(status["audit"]["count"].as_u64().unwrap() > 0);
    let (_, beat) = call(host, "GET", "/mpc/heartbeat", b"").await;
    assert_eq!(
        (&beat["type"], &beat["nodeId"]),
        (&json!("HEARTBEAT"), &json!("mpc-node-1"))
    );

    let mut client = host.connect_mpc().await;
    let (_, metrics) = client.request("GET", "/v1/metrics", b"").await.unwrap();
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    for line in [
        "jeju_mpc_requests_total{operation=\"keygen\"} 3",
        "jeju_mpc_requests_total{operation=\"sign\"} 1",
        "jeju_mpc_request_seconds_count{operation=\"sign\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    let id = made["keyId"].as_str().unwrap();
    assert!(!metrics.contains(&id[2..]), "a key's name is a label");

    // The signer's keys are in what every quote vouches for.
    let mut client = host.connect_mpc().await;
    let (_, bundle) = client
        .request("GET", "/.well-known/jeju/evidence", b"")
        .await
        .unwrap();
    assert!(
        KeyList::parse(&Bundle::parse(&bundle).unwrap().keys)
            .unwrap()
            .mpc
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_nobody_may_make_are_refused() {
    let (mut hosts, network) = start(1, 1, false).await;
    let host = &hosts[0];
    let user = User::new(&network, 1);
    assert_eq!(post(host, "/mpc/keygen", &user.keygen(1)).await.0, 200);

    let stranger = owner(9);
    let theft = user.draft(message("steal"), 2);
    let by_stranger = theft.body(&[theft.authorize(&stranger)]).unwrap();
    let other_signature = authorization(
        user.wallet.account(),
        stranger.sign(&theft.digest()).0.to_vec(),
        Form::Eip712,
    );
    let forged = theft.body(&[other_signature]).unwrap();
    let late = Draft::new(&network, user.key.clone(), message("late"), now() - 700, [3; 32]).unwrap();
    let early = Draft::new(
        &network,
        user.key.clone(),
        message("early"),
        now() + 3600,
        [3; 32],
    )
    .unwrap();
    let elsewhere = Network {
        genesis: [5; 32],
        ..network.clone()
    };
    let elsewhere = User::new(&elsewhere, 1).message("hello", 4);
    let raw = user.draft(
        Asked::Sign {
            payload: Payload::Raw {
                hash: HexBytes([1; 32]),
            },
            policy_version: 0,
        },
        5,
    );
    let call = user.draft(
        Asked::Sign {
            payload: Payload::Execute {
                chain_id: 31337,
                wallet: Address(Account([1; 20])),
                to: Address(Account([2; 20])),
                value: Uint256::default(),
                data: serde_json::from_value(json!("0x")).unwrap(),
                nonce: 0,
                deadline: now() + 60,
            },
            policy_version: 0,
        },
        6,
    );
    let old_policy = user.draft(
        Asked::Sign {
            payload: Payload::Message { message: "x".into() },
            policy_version: 3,
        },
        7,
    );
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("/mpc/sign", by_stranger, 403, "mpc_not_allowed"),
        ("/mpc/sign", forged, 401, "mpc_signature_invalid"),
        ("/mpc/sign", user.signed(&late), 400, "mpc_request_expired"),
        ("/mpc/sign", user.signed(&early), 400, "mpc_request_time"),
        ("/mpc/sign", elsewhere, 400, "mpc_other_network"),
        ("/mpc/sign", user.signed(&raw), 403, "mpc_policy_refuses"),
        ("/mpc/sign", user.signed(&call), 403, "mpc_policy_refuses"),
        ("/mpc/sign", user.signed(&old_policy), 409, "mpc_policy_version"),
        // The right request at the wrong place.
        ("/mpc/sign", user.keygen(8), 400, "mpc_request_malformed"),
        ("/mpc/keygen", user.message("x", 8), 400, "mpc_request_malformed"),
        // What clients of the old API send.
        (
            "/mpc/keygen",
            br#"{"userId":"did:x:1","authProof":{"type":"wallet","timestamp":1}}"#.to_vec(),
            401,
            "mpc_request_unsigned",
        ),
        (
            "/mpc/sign",
            br#"{"userId":"did:x:1","messageHash":"0x00","signatureType":"message"}"#.to_vec(),
            401,
            "mpc_request_unsigned",
        ),
        ("/mpc/sign", b"{}".to_vec(), 401, "mpc_request_unsigned"),
        // Hostile bodies.
        ("/mpc/sign", vec![], 400, "mpc_request_malformed"),
        ("/mpc/sign", b"[]".to_vec(), 400, "mpc_request_malformed"),
        ("/mpc/sign", vec![0xFF; 100], 400, "mpc_request_malformed"),
        ("/mpc/sign", vec![b'['; 20_000], 400, "mpc_request_malformed"),
        ("/mpc/sign", vec![b' '; 40_000], 413, "request_too_large"),
        (
            "/mpc/sign",
            br#"{"request":{},"authorization":{}}"#.to_vec(),
            400,
            "mpc_request_malformed",
        ),
        ("/mpc/nothing", vec![], 404, "unknown_url"),
        ("/v1/models", vec![], 404, "unknown_url"),
        ("/health", vec![], 405, "method_not_allowed"),
    ];
    for (path, body, status, code) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let (answered, answer) = post(host, path, &body).await;
        assert_eq!(
            (answered, &answer["code"]),
            (status, &json!(code)),
            "{path} {shown}"
        );
        assert!(answer["error"].is_string(), "{answer}");
        assert!(answer.get("signature").is_none());
    }
    // A key that nobody made.
    let nobody = User::new(&network, 7);
    let (_, made) = post(host, "/mpc/keygen", &nobody.keygen(1)).await;
    assert_eq!(made["success"], true);
    hosts[0].still_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_works_once() {
    let (hosts, network) = start(1, 1, false).await;
    let host = &hosts[0];
    let user = User::new(&network, 1);
    assert_eq!(post(host, "/mpc/keygen", &user.keygen(1)).await.0, 200);
    let body = user.message("once", 2);
    let first = post(host, "/mpc/sign", &body).await;
    assert_eq!(first.0, 200);
    // The member that answered remembers its answer; it signs no second time.
    assert_eq!(post(host, "/mpc/sign", &body).await, first);
    let (status, answer) = post(host, "/mpc/sign", &user.message("twice", 2)).await;
    assert_eq!((status, &answer["code"]), (409, &json!("mpc_nonce_used")));

    // Who lost the answer gets it again by the key under which it was asked.
    let keyed = async |key: &str, body: &[u8]| {
        let mut client = host.connect_mpc().await;
        client.idempotency_key = Some(key.to_owned());
        client.request("POST", "/mpc/sign", body).await.unwrap()
    };
    let body = user.message("again", 3);
    let first = keyed("retry-1", &body).await;
    assert_eq!(first.0, 200);
    assert_eq!(keyed("retry-1", &body).await, first);
    let (status, answer) = keyed("retry-1", &user.message("other", 4)).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, &answer["code"]), (409, &json!("idempotency_key_reused")));
    assert_eq!(keyed("a b", &user.message("other", 4)).await.0, 400);
    assert_eq!(keyed("retry-2", &user.message("other", 4)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn contracts_are_asked() {
    let (hosts, network) = start(1, 1, false).await;
    let no_contract = [0xBB; 20];
    for (at, (account, named, status, code)) in [
        (YES_CONTRACT, true, 200, Value::Null),
        (YES_CONTRACT, false, 401, json!("mpc_signature_invalid")),
        (no_contract, true, 401, json!("mpc_signature_invalid")),
    ]
    .into_iter()
    .enumerate()
    {
        let account = Account(account);
        let mut key = key_of(account, at as u8);
        key.contracts = if named { vec![Address(account)] } else { vec![] };
        let draft = Draft::new(&network, key, Asked::Keygen {}, now(), [1; 32]).unwrap();
        let says_so = authorization(account, vec![1, 2, 3], Form::Erc1271);
        let body = draft.body(&[says_so]).unwrap();
        let (answered, answer) = post(&hosts[0], "/mpc/keygen", &body).await;
        assert_eq!((answered, &answer["code"]), (status, &code), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_key_outlives_its_boot() {
    let (mut hosts, network) = start(1, 1, true).await;
    let user = User::new(&network, 1);
    let (_, made) = post(&hosts[0], "/mpc/keygen", &user.keygen(1)).await;
    let (_, status) = call(&hosts[0], "GET", "/mpc/status", b"").await;
    assert_eq!(
        (&status["storage"], &status["rollback"]),
        (&json!("sealed"), &json!("unprotected"))
    );
    // The audit log is stored a moment later.
    sleep(Duration::from_secs(12)).await;
    let machine = hosts.remove(0).kill().await;
    let kept = machine.blobs.as_ref().unwrap().lock().unwrap().len();
    assert!(kept >= 3, "{kept} blobs");
    let document = document(&[&machine], 1, 0);
    let host = machine.start(document).await;
    after_boot().await;
    let (_, after) = call(&host, "GET", "/mpc/status", b"").await;
    assert!(after["audit"]["count"].as_u64() >= status["audit"]["count"].as_u64());
    let (status, signed) = post(&host, "/mpc/sign", &user.message("hello", 2)).await;
    assert_eq!(status, 200, "{signed}");
    assert_eq!(signed["publicKey"], made["publicKey"]);
    assert_signed(&signed);
}

/// What speaks the peers' protocol without a certificate, or speaks nothing at all, gets nothing.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_no_peers() {
    let (mut hosts, _) = start(1, 1, false).await;
    let socket = hosts[0].machine.socket(4010);
    let verifier = hosts[0].connect().await.verifier;
    let mut config = jeju_attested_tls::client_config(verifier).unwrap();
    config.alpn_protocols = vec![jeju_attested_tls::PEER_ALPN.to_vec()];
    let stream = UnixStream::connect(&socket).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    // TLS 1.3: the client learns of it with its first read.
    if let Ok(mut tls) = connector.connect("localhost".try_into().unwrap(), stream).await {
        let _ = tls.write_all(&[0, 0, 0, 1, 5]).await;
        let mut answer = Vec::new();
        let ended = timeout(PATIENCE, tls.read_to_end(&mut answer))
            .await
            .expect("in time");
        assert!(ended.is_err() && answer.is_empty(), "{answer:?}");
    }
    for garbage in [
        &[0; 1000][..],
        &[0x16, 3, 1, 0xFF, 0xFF],
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        let _ = stream.write_all(garbage).await;
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await;
        assert!(answer.len() < 64, "{} bytes to garbage", answer.len());
    }
    assert_eq!(call(&hosts[0], "GET", "/health", b"").await.0, 200);
    hosts[0].still_serves().await;
}
