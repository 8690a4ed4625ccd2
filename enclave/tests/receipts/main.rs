//! Receipts of a node that runs as processes: what it says of its answers, what its next quote says of them, and what the
//! contracts make of that on a real chain.
#![cfg(feature = "sim")]

#[path = "../host/mod.rs"]
#[allow(unused, reason = "each test uses a part of it")]
mod host;

#[path = "../../../contracts/tests/attested_keys/mod.rs"]
mod chain;

mod answers;
mod contracts;

use std::path::{Path, PathBuf};
use std::process::Command;

use host::{Answered, Host, Machine};
use jeju_attestation::claims::Claims;
use jeju_attestation::hash::sha256;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{At, Receipt};
use jeju_wallet_auth::signature::Signature;
use serde_json::{Value, json};
use sha3::{Digest, Keccak256};

const MODEL: &str = "smollm2-135m-instruct";
const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
const SERVICES: &str = "[services]\ninference = true\n";

/// The model of the image, from `JEJU_MODEL`, else from `target/models`, where it is fetched to if missing.
fn model_file() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let default = || repository.join(format!("target/models/{MODEL}-q4_1.gguf"));
    let model = std::env::var_os("JEJU_MODEL").map_or_else(default, PathBuf::from);
    let fetched = Command::new(repository.join("bench/inference/fetch-model.sh"))
        .arg(&model)
        .status()
        .unwrap();
    assert!(fetched.success(), "the model can't be fetched");
    model
}

fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.models.push(model_file());
    machine
}

/// The parts of a launch document that serve the model and sign receipts for a contract.
fn services(keys: Option<[u8; 20]>) -> String {
    let models = format!("[[models]]\nid = \"{MODEL}\"\nsha256 = \"0x{SHA256}\"\n");
    let receipts = keys.map(|keys| format!("[receipts]\nkeys = \"0x{}\"\n", hex::encode(keys)));
    format!("{SERVICES}{models}{}", receipts.unwrap_or_default())
}

/// A verified answer to a request for the model, and the request's body.
async fn ask(host: &Host, path: &str, mut body: Value) -> (Answered, Vec<u8>) {
    body["model"] = MODEL.into();
    let body = body.to_string().into_bytes();
    let mut client = host.connect().await;
    let answer = client.exchange("POST", path, &[], &body).await.unwrap();
    (answer, body)
}

async fn chat(host: &Host) -> (Answered, Vec<u8>) {
    let messages = json!([{"role": "user", "content": "Hi"}]);
    ask(
        host,
        "/v1/chat/completions",
        json!({"messages": messages, "max_tokens": 3}),
    )
    .await
}

async fn get(host: &Host, path: &str) -> (u16, Value) {
    let (status, body) = host.connect().await.request("GET", path, b"").await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn receipt(host: &Host, id: &str) -> Value {
    let (status, document) = get(host, &format!("/v1/receipts/{id}")).await;
    assert_eq!(status, 200, "{document}");
    document
}

fn document(answer: &Answered) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn id(answer: &Answered) -> String {
    document(answer)["id"].as_str().unwrap().to_owned()
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    let digits = value.as_str().unwrap().strip_prefix("0x").unwrap();
    hex::decode(digits).unwrap().try_into().unwrap()
}

/// The receipt as the API shows it, and its signature.
fn read(shown: &Value) -> (Receipt, Option<Signature>) {
    let number = |name: &str| shown[name].as_u64().unwrap();
    let receipt = Receipt {
        agent: bytes(&shown["agentId"]),
        boot: bytes(&shown["boot"]),
        request_id: bytes(&shown["requestId"]),
        request_digest: bytes(&shown["requestDigest"]),
        response_digest: bytes(&shown["responseDigest"]),
        input_units: number("inputUnits"),
        output_units: number("outputUnits"),
        epoch: number("epoch"),
        anchor_block: number("anchorBlock"),
    };
    let signature = shown["signature"].as_str();
    (receipt, signature.map(|text| Signature::parse(text).unwrap()))
}

/// The account of the key in the claims, by this test's own arithmetic.
fn account(claims: &Claims) -> Account {
    let key = k256::PublicKey::from_sec1_bytes(&claims.evm).unwrap();
    let point = k256::elliptic_curve::sec1::ToSec1Point::to_sec1_point(&key, false);
    let hash = Keccak256::digest(&point.as_bytes()[1..]);
    Account(hash[12..].try_into().unwrap())
}

/// That a receipt is of this exchange, by the key of these claims.
fn check(shown: &Value, at: &At, claims: &Claims, request: &[u8], response: &[u8]) -> Receipt {
    let (receipt, signature) = read(shown);
    assert_eq!(receipt.request_digest, sha256(request));
    assert_eq!(receipt.response_digest, sha256(response));
    assert_eq!((receipt.agent, receipt.boot), (claims.agent, claims.boot));
    let signer = signature.unwrap().recover(&receipt.digest(at)).unwrap();
    assert_eq!(signer, account(claims));
    assert_eq!(shown["signer"], signer.to_string());
    receipt
}
