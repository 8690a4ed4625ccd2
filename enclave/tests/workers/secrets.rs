use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::bundle::Bundle;
use jeju_attestation::keys::KeyList;
use jeju_session::hpke;
use jeju_worker_protocol::api::{hex, secret_aad, secret_info};
use serde_json::{Value, json};

use super::host::Host;
use super::owner::{Owner, anybody, text};
use super::{deploy_with, node};

/// The node's key, as evidence has it.
pub async fn key(host: &Host) -> [u8; 32] {
    let bundle = anybody(host, "GET", "/.well-known/jeju/evidence", "").await.body;
    KeyList::parse(&Bundle::parse(&bundle).unwrap().keys)
        .unwrap()
        .hpke
}

pub fn seal(key: &[u8; 32], owner: &Owner, worker: &str, name: &str, value: &str) -> Value {
    let aad = secret_aad(&owner.address(), worker, name);
    let sealed = hpke::seal(key, secret_info(), &aad, value.as_bytes()).unwrap();
    json!({"encapsulated": hex(&sealed.encapsulated), "ciphertext": STANDARD.encode(sealed.ciphertext)})
}

pub const SHOWS: &str = "export default { fetch: (request, env) => new Response(String(env.TOKEN)) };";

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_the_workers_and_never_read_back() {
    let host = node().await;
    let owner = Owner::new(1);
    let id = deploy_with(
        &host,
        &owner,
        json!({"name": "a", "code": SHOWS, "env": {"TOKEN": "variable"}}),
    )
    .await;
    let (path, direct) = (format!("/api/v1/workers/{id}"), format!("/workers/{id}"));
    assert_eq!(text(&anybody(&host, "GET", &direct, "").await), "variable");
    let key = key(&host).await;
    let secret = format!("{path}/secrets/TOKEN");
    let (status, answer) = owner
        .ask(
            &host,
            "PUT",
            &secret,
            &seal(&key, &owner, &id, "TOKEN", "canary-1"),
        )
        .await;
    assert_eq!((status, answer), (200, json!({"success": true})));
    assert_eq!(
        text(&anybody(&host, "GET", &direct, "").await),
        "canary-1",
        "it hides the variable"
    );
    owner
        .ask(
            &host,
            "PUT",
            &secret,
            &seal(&key, &owner, &id, "TOKEN", "canary-2"),
        )
        .await;
    assert_eq!(text(&anybody(&host, "GET", &direct, "").await), "canary-2");
    let (_, secrets) = owner.get(&host, &format!("{path}/secrets")).await;
    assert_eq!(secrets["secrets"][0]["name"], "TOKEN");
    for read in [&path, &format!("{path}/secrets"), &format!("{path}/versions")] {
        let (_, answer) = owner.get(&host, read).await;
        assert!(!answer.to_string().contains("canary"), "{read}: {answer}");
    }
    // A new version has it too.
    owner.ask(&host, "PUT", &path, &json!({"env": {}})).await;
    assert_eq!(text(&anybody(&host, "GET", &direct, "").await), "canary-2");
    owner.ask(&host, "DELETE", &secret, &Value::Null).await;
    assert_eq!(text(&anybody(&host, "GET", &direct, "").await), "undefined");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_sealed_for_something_else_is_refused() {
    let host = node().await;
    let (owner, other) = (Owner::new(1), Owner::new(2));
    let id = deploy_with(&host, &owner, json!({"name": "a", "code": SHOWS})).await;
    let key = key(&host).await;
    let path = |name: &str| format!("/api/v1/workers/{id}/secrets/{name}");
    let long = "x".repeat(jeju_worker_protocol::api::MAX_VALUE + 1);
    for (name, sealed, code) in [
        ("A", seal(&key, &owner, &id, "B", "v"), "secret_not_readable"),
        (
            "A",
            seal(&key, &owner, "worker-b", "A", "v"),
            "secret_not_readable",
        ),
        ("A", seal(&key, &other, &id, "A", "v"), "secret_not_readable"),
        (
            "A",
            seal(
                &hpke::KeyPair::generate().unwrap().public(),
                &owner,
                &id,
                "A",
                "v",
            ),
            "secret_not_readable",
        ),
        ("A", seal(&key, &owner, &id, "A", &long), "secret_invalid"),
        ("A-B", seal(&key, &owner, &id, "A-B", "v"), "secret_invalid"),
        (
            "A",
            json!({"encapsulated": "0x12", "ciphertext": ""}),
            "secret_invalid",
        ),
        (
            "A",
            json!({"encapsulated": hex(&[1; 32]), "ciphertext": "*"}),
            "secret_invalid",
        ),
        ("A", json!({"value": "in the clear"}), "body_invalid"),
    ] {
        let (status, answer) = owner.ask(&host, "PUT", &path(name), &sealed).await;
        assert_eq!((status, &answer["code"]), (400, &json!(code)), "{name} {answer}");
    }
    let (status, _) = other
        .ask(&host, "PUT", &path("A"), &seal(&key, &other, &id, "A", "v"))
        .await;
    assert_eq!(status, 404, "somebody else's worker");
    for n in 0..jeju_worker_protocol::api::MAX_SECRETS {
        let name = format!("S{n}");
        let (status, _) = owner
            .ask(&host, "PUT", &path(&name), &seal(&key, &owner, &id, &name, "v"))
            .await;
        assert_eq!(status, 200);
    }
    let (_, answer) = owner
        .ask(&host, "PUT", &path("MORE"), &seal(&key, &owner, &id, "MORE", "v"))
        .await;
    assert_eq!(answer["code"], "secret_invalid");
}
