//! A node behind a host that reorders, truncates, stalls, floods and answers garbage: it never falls, never says
//! anything in the clear, and serves the next honest client.
#![cfg(feature = "sim")]

mod host;

use std::sync::atomic::Ordering;
use std::time::Duration;

use host::{Client, DOCUMENT, Host, Io, PATIENCE};
use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::{ClaimsBuffer, Mode};
use jeju_attestation::evidence::{NodeEvidence, Verifier};
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

const CANARY: &str = "canary-prompt-that-no-host-may-see";

#[tokio::test(flavor = "multi_thread")]
async fn every_status_is_signed() {
    let host = Host::start().await;
    let chat = "/v1/chat/completions";
    let big = vec![b' '; 2 << 20];
    let cases: [(&str, &str, &[u8], u16, &str); 13] = [
        ("GET", "/health", b"", 200, ""),
        ("GET", "/v1/models", b"", 200, ""),
        ("GET", "/v1/hardware", b"", 200, ""),
        ("GET", "/.well-known/agent-card.json", b"", 200, ""),
        ("GET", "/v1/metrics", b"", 200, ""),
        ("GET", "/v1/attestation/report?nonce=abc", b"", 200, ""),
        ("GET", "/.well-known/jeju/launch", b"", 200, ""),
        ("GET", "/nothing", b"", 404, "unknown_url"),
        ("DELETE", "/health", b"", 405, "method_not_allowed"),
        ("POST", chat, b"{", 400, "invalid_json"),
        (
            "POST",
            chat,
            br#"{"model":"x","messages":[{"role":"user","content":"hi"}]}"#,
            404,
            "model_not_found",
        ),
        ("POST", chat, &big, 413, "request_too_large"),
        ("POST", "/.well-known/jeju/attest", b"short", 400, "invalid_nonce"),
    ];
    for (method, path, body, status, code) in cases {
        let (answered, answer) = host.connect().await.request(method, path, body).await.unwrap();
        assert_eq!(answered, status, "{method} {path}");
        if !code.is_empty() {
            let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(answer["error"]["code"], code, "{method} {path}");
        }
    }
    let head = host
        .connect()
        .await
        .request("HEAD", "/health", b"")
        .await
        .unwrap();
    assert_eq!((head.0, head.1.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_quote_is_bound_to_nonce_and_connection() {
    let host = Host::start().await;
    let mut client = host.connect().await;
    let nonce = [7; 32];
    let channel = client.challenge(&nonce);
    let (status, body) = client
        .request("POST", "/.well-known/jeju/attest", &nonce)
        .await
        .unwrap();
    assert_eq!(status, 200);
    let bundle = Bundle::parse(&body).unwrap();
    let verifier = Verifier::simulated(&[HexBytes(client.root)]);
    let genuine = verifier.verify(&NodeEvidence::of(&bundle), 0).unwrap();
    let claims = genuine.claims.claims();
    assert_eq!(
        (claims.mode, claims.nonce, claims.channel),
        (Mode::FreshChannel, nonce, channel)
    );
    assert_eq!(sha256(&bundle.launch), claims.launch);
    assert_eq!(sha256(&bundle.keys), claims.keys);
    // The same bundle is served under its digest; an epoch's too.
    let by_digest = format!(
        "/.well-known/jeju/evidence/{}",
        hex::encode(Bundle::digest(&body))
    );
    assert_eq!(
        host.connect()
            .await
            .request("GET", &by_digest, b"")
            .await
            .unwrap()
            .1,
        body
    );
    let (_, epoch) = host
        .connect()
        .await
        .request("GET", "/.well-known/jeju/evidence", b"")
        .await
        .unwrap();
    let epoch = ClaimsBuffer::parse(&Bundle::parse(&epoch).unwrap().claims).unwrap();
    assert_eq!(
        (epoch.claims().mode, epoch.claims().boot),
        (Mode::Epoch, claims.boot)
    );
    let absent = format!("/.well-known/jeju/evidence/{}", "00".repeat(32));
    assert_eq!(
        host.connect().await.request("GET", &absent, b"").await.unwrap().0,
        404
    );
    let zeros = host
        .connect()
        .await
        .request("POST", "/.well-known/jeju/attest", &[0; 32])
        .await
        .unwrap();
    assert_eq!(zeros.0, 400);
    assert!(client.verifier.peer(&vec![0u8; 10].into()).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_quotes_have_a_budget() {
    let host = Host::start().await;
    let mut answers = Vec::new();
    for i in 1..=40u8 {
        let (status, _) = host
            .connect()
            .await
            .request("POST", "/.well-known/jeju/attest", &[i; 32])
            .await
            .unwrap();
        answers.push(status);
    }
    assert_eq!(answers[..8], [200; 8]);
    assert!(answers.contains(&429), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mangled_streams_end_themselves_only() {
    let mut host = Host::start().await;
    for mangle in [
        Mangle::FlipByte(700),
        Mangle::Truncate(900),
        Mangle::Truncate(20),
        Mangle::Swap(64),
        Mangle::Insert(300),
    ] {
        let (near, far) = duplex(1 << 16);
        let node = host.dial().await;
        let relay = tokio::spawn(mangle.relay(far, node));
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{CANARY}"}}]}}"#);
        let root = host.root;
        let outcome = timeout(PATIENCE, async {
            let mut client = Client::new(near, &root).await?;
            client
                .request("POST", "/v1/chat/completions", body.as_bytes())
                .await
        });
        assert!(
            outcome.await.expect("no hang").is_err(),
            "{mangle:?} went unnoticed"
        );
        let seen = relay.await.unwrap();
        assert!(!contains(&seen, CANARY.as_bytes()), "{mangle:?} saw the prompt");
        host.still_serves().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_relay_sees_no_plaintext() {
    let host = Host::start().await;
    let (near, far) = duplex(1 << 16);
    let relay = tokio::spawn(Mangle::Nothing.relay(far, host.dial().await));
    let mut client = Client::new(near, &host.root).await.unwrap();
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{CANARY}"}}]}}"#);
    let (status, answer) = client
        .request("POST", "/v1/chat/completions", body.as_bytes())
        .await
        .unwrap();
    assert_eq!(status, 404);
    assert!(
        !contains(&answer, CANARY.as_bytes()),
        "an error repeats what the user wrote"
    );
    drop(client);
    let seen = relay.await.unwrap();
    assert!(seen.len() > 2000);
    assert!(!contains(&seen, CANARY.as_bytes()) && !contains(&seen, b"/v1/chat"));
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_floods_and_stalls_cost_their_own_connection() {
    let mut host = Host::start().await;
    for garbage in [
        vec![0; 100_000],
        vec![0xFF; 100_000],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x16, 3, 1, 0xFF, 0xFF],
    ] {
        let mut stream = host.dial().await;
        let _ = stream.write_all(&garbage).await;
        // Whatever comes back is a TLS alert at most.
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await;
        assert!(answer.len() < 64, "{} bytes to garbage", answer.len());
    }
    // Half of the places taken by clients who never speak, and a third part who hang up at once.
    let mut stalled = Vec::new();
    for _ in 0..120 {
        stalled.push(host.dial().await);
        drop(host.dial().await);
    }
    host.still_serves().await;
    drop(stalled);
    host.still_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_chain_makes_the_node_stale_and_no_more() {
    let mut host = Host::with(DOCUMENT.replace("epoch_seconds = 600", "epoch_seconds = 30")).await;
    let first = host.claims().await;
    host.chain_lies.store(true, Ordering::Relaxed);
    let next = timeout(PATIENCE, async {
        loop {
            let claims = host.claims().await;
            if claims.epoch != first.epoch {
                return claims;
            }
            sleep(Duration::from_secs(1)).await;
        }
    });
    let next = next.await.expect("a new epoch, whatever the chain says");
    // The old block stays, by whose age verifiers judge; all else goes on.
    assert_eq!((next.anchor, next.boot), (first.anchor, first.boot));
    assert_ne!(next.resp, first.resp);
    host.still_serves().await;
}

/// What a relay does with the bytes from the client.
#[derive(Debug, Clone, Copy)]
enum Mangle {
    Nothing,
    /// Changes the byte at this offset.
    FlipByte(usize),
    /// Cuts after so many bytes, and stalls.
    Truncate(usize),
    /// From this offset on, swaps neighbouring runs of bytes.
    Swap(usize),
    /// Adds a byte at this offset.
    Insert(usize),
}

impl Mangle {
    /// Relays until both ends are done; returns all bytes that it saw.
    async fn relay(self, client: impl Io + 'static, node: UnixStream) -> Vec<u8> {
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let (mut from_node, mut to_node) = node.into_split();
        let back = tokio::spawn(async move {
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = from_node.read(&mut buffer).await {
                seen.extend_from_slice(&buffer[..read]);
                if to_client.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
            let _ = to_client.shutdown().await;
            seen
        });
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            let from = seen.len();
            seen.extend_from_slice(&buffer[..read]);
            let mut sent = buffer[..read].to_vec();
            let inside = |at: usize| (from..from + read).contains(&at).then(|| at - from);
            match self {
                Mangle::FlipByte(at) => inside(at).into_iter().for_each(|at| sent[at] ^= 0x10),
                Mangle::Insert(at) => inside(at).into_iter().for_each(|at| sent.insert(at, 0)),
                Mangle::Swap(at) if from + read > at + 32 => {
                    let half = read / 2;
                    sent.rotate_left(half.max(1));
                }
                Mangle::Truncate(at) if from + read > at => {
                    let _ = to_node.write_all(&sent[..at.saturating_sub(from)]).await;
                    break;
                }
                _ => {}
            }
            if to_node.write_all(&sent).await.is_err() {
                break;
            }
        }
        drop(to_node);
        seen.extend(back.await.unwrap());
        seen
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
