//! Signatures of the first clients.

use serde_json::{Value, json};

use crate::chain::{PROVIDER, USER};
use crate::host::{DOCUMENT, Host, now};
use crate::setting::{Headers, STRANGER, STRICT, Setting, Terms, account, chat, price, value, wei};

const UUID: &str = "11111111-2222-4333-8444-555555555555";

fn with(headers: &[(String, String)], name: &str, to: &str) -> Headers {
    let mut changed = headers.to_vec();
    changed.iter_mut().find(|(known, _)| known == name).unwrap().1 = to.to_owned();
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_clients_are_known_by_their_signatures() {
    let terms = Terms {
        required: false,
        ..STRICT
    };
    let setting = Setting::new(terms).await;
    let path = "/v1/chat/completions";
    let ask = async |headers: &[(String, String)]| {
        let answer = setting.ask("POST", path, headers, &chat(json!({}))).await;
        (answer.status, value(&answer))
    };
    let ms = now() * 1000;
    let good = setting.legacy(USER, UUID, ms);
    let (status, answer) = ask(&good).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(wei(&answer["payment"]["cost"]), price(&answer["usage"]));
    let others = setting.legacy(STRANGER, "other", ms)[3].1.clone();
    let refused: [(Headers, &str, Option<&str>); 6] = [
        (good.clone(), "wallet_nonce_used", None),
        (
            setting.legacy(USER, "old", ms - 400_000),
            "wallet_timestamp_expired",
            Some("Timestamp expired"),
        ),
        (
            with(&setting.legacy(USER, "a", ms), "x-jeju-signature", &others),
            "wallet_signature_mismatch",
            Some("Invalid signature"),
        ),
        (
            with(&setting.legacy(USER, "b", ms), "x-jeju-signature", "0x00"),
            "wallet_signature_invalid",
            Some("Invalid signature"),
        ),
        (
            with(&setting.legacy(USER, "c", ms), "x-jeju-nonce", "d"),
            "wallet_signature_mismatch",
            None,
        ),
        (
            setting.legacy(USER, "e", ms)[..3].to_vec(),
            "wallet_headers_malformed",
            Some("Missing auth headers"),
        ),
    ];
    for (headers, code, message) in refused {
        let (status, answer) = ask(&headers).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (401, &json!(code)),
            "{answer}"
        );
        if let Some(message) = message {
            assert_eq!(answer["error"]["message"], message);
        }
    }
    // The account of the launch document is what clients know the provider by.
    let (_, health) = setting.get(USER, "/health").await;
    assert_eq!(health["provider"], account(PROVIDER).to_string());
    let (_, models) = setting.get(USER, "/v1/models").await;
    assert_eq!(models["data"][0]["owned_by"], account(PROVIDER).to_string());
    // And the provider may sign so, too.
    let headers = setting.legacy(PROVIDER, "p", ms);
    let listed = setting.ask("GET", "/v1/payments/vouchers", &headers, b"").await;
    assert_eq!(listed.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_no_provider_can_be_signed_nothing() {
    let host = Host::with(format!("{DOCUMENT}[services]\ninference = false\n")).await;
    let headers = [
        "x-jeju-address",
        "x-jeju-nonce",
        "x-jeju-timestamp",
        "x-jeju-signature",
    ];
    let values = [
        account(USER).to_string(),
        UUID.to_owned(),
        (now() * 1000).to_string(),
        format!("0x{}", "11".repeat(65)),
    ];
    let headers: Vec<_> = headers
        .iter()
        .map(|name| (*name).to_owned())
        .zip(values)
        .collect();
    let mut client = host.connect().await;
    let body = chat(json!({}));
    let answer = client
        .exchange("POST", "/v1/chat/completions", &headers, &body)
        .await
        .unwrap();
    let answered: Value = value(&answer);
    assert_eq!(
        (answer.status, &answered["error"]["code"]),
        (401, &json!("wallet_provider_unknown"))
    );
    // Nor has it payments.
    let mut client = host.connect().await;
    let answer = client
        .exchange("GET", "/v1/payments/session", &headers, b"")
        .await
        .unwrap();
    assert_eq!(value(&answer)["error"]["code"], "unknown_url");
}
