//! Which answers have a receipt, what it says, and the tree that the next quote carries.

use std::collections::BTreeMap;
use std::time::Duration;

use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::ClaimsBuffer;
use jeju_attestation::merkle::root_of;
use jeju_attestation::receipts::Leaf;
use jeju_wallet_auth::signature::text_digest;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::host::{DOCUMENT, Host, PATIENCE};
use crate::{
    Account, At, MODEL, Signature, Value, account, ask, bytes, chat, check, document, get, id, machine, read,
    receipt, services, sha256,
};

const KEYS: [u8; 20] = [6; 20];
const AT: At = At {
    chain_id: 31337,
    contract: Account(KEYS),
};

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_answer_has_a_receipt_of_its_exact_bytes() {
    let host = machine().start(DOCUMENT.to_owned() + &services(Some(KEYS))).await;
    let claims = host.claims().await;
    for (path, body) in [
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}),
        ),
        ("/v1/completions", json!({"prompt": "Hi", "max_tokens": 2})),
        ("/v1/embeddings", json!({"input": "Hi"})),
        ("/v1/responses", json!({"input": "Hi", "max_output_tokens": 2})),
    ] {
        let (answer, request) = ask(&host, path, body).await;
        assert_eq!(answer.status, 200, "{path}");
        let shown = receipt(&host, &id(&answer)).await;
        assert_eq!(
            (&shown["id"], &shown["inclusion"]),
            (&json!(id(&answer)), &Value::Null)
        );
        let receipt = check(&shown["receipt"], &AT, &claims, &request, &answer.body);
        let usage = &document(&answer)["usage"];
        let used = |name: &str, other: &str| usage[name].as_u64().or(usage[other].as_u64()).unwrap_or(0);
        assert_eq!(
            receipt.input_units,
            used("prompt_tokens", "input_tokens"),
            "{path}"
        );
        assert_eq!(
            receipt.output_units,
            used("completion_tokens", "output_tokens"),
            "{path}"
        );
        assert!(receipt.input_units > 0 && receipt.anchor_block > 0);
    }
    // A stream's receipt covers what its signed end covers, and is there before the end is.
    for (path, body) in [
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3, "stream": true}),
        ),
        (
            "/v1/responses",
            json!({"input": "Hi", "max_output_tokens": 2, "stream": true}),
        ),
    ] {
        let (answer, request) = ask(&host, path, body).await;
        let text = std::str::from_utf8(&answer.body).unwrap();
        let signed = &text[..text.find(": jeju-sig ").unwrap()];
        let mut events = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let event: Value = serde_json::from_str(events.next().unwrap()).unwrap();
        let id = event["id"].as_str().or(event["response"]["id"].as_str()).unwrap();
        let shown = receipt(&host, id).await;
        let receipt = check(&shown["receipt"], &AT, &claims, &request, signed.as_bytes());
        assert!(matches!(answer.end.as_deref(), Some("stop" | "length")));
        assert!(
            receipt.output_units > 0,
            "usage is known though it wasn't asked for"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_have_the_shape_that_clients_know() {
    let host = machine().start(DOCUMENT.to_owned() + &services(None)).await;
    let (answer, request) = chat(&host).await;
    let id = id(&answer);
    let path = format!("/v1/signature/{id}?model={MODEL}&signing_algo=ecdsa");
    let (status, document) = get(&host, &path).await;
    assert_eq!((status, &document["signing_algo"]), (200, &json!("ecdsa")));
    let text = document["text"].as_str().unwrap();
    let digests = [sha256(&request), sha256(&answer.body)].map(hex::encode);
    assert_eq!(text, digests.join(":"));
    let signature = Signature::parse(document["signature"].as_str().unwrap()).unwrap();
    let signer = signature.recover(&text_digest(text)).unwrap();
    assert_eq!(signer, account(&host.claims().await));
    assert_eq!(document["signing_address"], signer.to_string());
    // Without a contract to sign for there is no signature for one.
    let shown = &document["receipt"];
    assert!(shown["signature"].is_null() && shown["keys"].is_null(), "{shown}");
    assert_eq!(read(shown).0.response_digest, sha256(&answer.body));

    let (status, refused) = get(&host, &format!("/v1/signature/{id}?signing_algo=ed25519")).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (400, &json!("signing_algo_unsupported"))
    );
    for path in [
        "/v1/signature/",
        "/v1/signature/chatcmpl-0",
        "/v1/receipts/",
        "/v1/receipts/..%2f",
    ] {
        let (status, refused) = get(&host, path).await;
        assert_eq!(
            (status, &refused["error"]["code"]),
            (404, &json!("receipt_not_found")),
            "{path}"
        );
    }
    let post = host
        .connect()
        .await
        .request("POST", &format!("/v1/receipts/{id}"), b"")
        .await;
    assert_eq!(post.unwrap().0, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_quote_vouches_for_the_answers_of_an_epoch() {
    let document = DOCUMENT.replace("epoch_seconds = 600", "epoch_seconds = 30") + &services(Some(KEYS));
    let host = machine().start(document).await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(chat(&host).await);
    }
    let (refused, _) = ask(&host, "/v1/chat/completions", json!({"messages": []})).await;
    assert_eq!(refused.status, 400);
    let mut counts = BTreeMap::new();
    for (answer, _) in &answers {
        let shown = quoted(&host, &id(answer)).await;
        let inclusion = &shown["inclusion"];
        let (said, _) = read(&shown["receipt"]);
        let leaf = Leaf {
            id: &id(answer),
            request_id: &said.request_id,
            request_digest: &said.request_digest,
            response_digest: &said.response_digest,
            input_units: said.input_units,
            output_units: said.output_units,
            epoch: said.epoch,
        };
        let path: Vec<[u8; 32]> = inclusion["path"].as_array().unwrap().iter().map(bytes).collect();
        let number = |name: &str| inclusion[name].as_u64().unwrap();
        let root = root_of(&leaf.hash(), number("index"), number("count"), &path);
        let evidence = inclusion["evidence"].as_str().unwrap();
        let (status, bundle) = host.connect().await.request("GET", evidence, b"").await.unwrap();
        assert_eq!(
            (status, evidence.rsplit('/').next().unwrap()),
            (200, &hex::encode(Bundle::digest(&bundle))[..])
        );
        let bundle = Bundle::parse(&bundle).unwrap();
        let claims = ClaimsBuffer::parse(&bundle.claims).unwrap();
        let receipts = claims.claims().receipts;
        assert_eq!(Some(receipts.root), root);
        assert_eq!(u64::from(receipts.count), number("count"));
        assert_eq!(claims.claims().epoch, receipts.epoch + 1);
        assert_eq!(claims.claims().boot, said.boot);
        assert_eq!(receipts.root, bytes(&inclusion["root"]));
        counts.insert(number("epoch"), number("count"));
    }
    // On a slow machine they end in several epochs. The refused request is no leaf of any.
    assert_eq!(counts.values().sum::<u64>(), 3);
    let newest = *counts.keys().next_back().unwrap();
    assert!(u64::from(host.claims().await.receipts.epoch) >= newest);
}

/// The receipt, once a quote has it.
async fn quoted(host: &Host, id: &str) -> Value {
    let shown = timeout(PATIENCE, async {
        loop {
            let shown = receipt(host, id).await;
            if !shown["inclusion"].is_null() {
                return shown;
            }
            sleep(Duration::from_millis(500)).await;
        }
    });
    shown.await.expect("an epoch ends")
}
