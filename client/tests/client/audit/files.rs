//! A file that was changed after it was saved, by somebody who has no key.

use jeju_attestation::response::EndReason;
use serde_json::{Value, json};

use super::computed::Computed;
use super::notary::Notary;
use super::{MODEL, MODEL_ID, audit, audit_file, refused};

const CHAT: &str = "/v1/chat/completions";

async fn exchanges() -> (Notary, Value, Value) {
    let notary = Notary::new().await;
    let request =
        json!({"model": MODEL_ID, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3});
    let computed = Computed::of(CHAT, request.to_string().as_bytes());
    let whole = notary.whole(CHAT, &request, &computed.whole());
    let stream = notary.stream(CHAT, &request, &computed.events(), EndReason::Length);
    (notary, whole, stream)
}

/// With what a change of the text at `pointer` gives.
fn changed(exchange: &Value, pointer: &str, change: impl FnOnce(&str) -> String) -> Vec<u8> {
    let mut exchange = exchange.clone();
    let text = exchange.pointer_mut(pointer).unwrap();
    let after = change(text.as_str().unwrap());
    assert_ne!(text.as_str(), Some(after.as_str()), "{pointer} is as it was");
    *text = after.into();
    exchange.to_string().into_bytes()
}

#[tokio::test]
async fn every_changed_byte_is_found() {
    let (notary, whole, stream) = exchanges().await;
    let body = "/response/body";
    let longer = |text: &str| text.replacen("\"content\":\"", "\"content\":\"No. ", 1);
    refused(&changed(&whole, body, longer), 3, "response_body_changed");
    refused(&changed(&stream, body, longer), 3, "stream_changed");
    // Cut after the first event, and before the signed end.
    let first = |text: &str| text[..text.find("\n\n").unwrap() + 2].to_owned();
    refused(&changed(&stream, body, first), 3, "stream_unsigned");
    let no_end = |text: &str| text[..text.find(": jeju-sig").unwrap()].to_owned();
    refused(&changed(&stream, body, no_end), 3, "stream_unsigned");
    let without_first = |text: &str| text[text.find("\n\n").unwrap() + 2..].to_owned();
    refused(&changed(&stream, body, without_first), 3, "stream_changed");
    let more = |text: &str| text.to_owned() + "data: {}\n\n";
    refused(&changed(&stream, body, more), 3, "stream_trailing_bytes");

    for exchange in [&whole, &stream] {
        let other_prompt = |text: &str| text.replace("Hi", "Ho");
        refused(
            &changed(exchange, "/request/body", other_prompt),
            3,
            "response_for_another_request",
        );
        let other_path = |text: &str| text.replace("chat/", "");
        refused(
            &changed(exchange, "/request/path", other_path),
            3,
            "response_signature_invalid",
        );
        let other_nonce = |_: &str| format!(":{}=:", "A".repeat(43));
        refused(
            &changed(exchange, "/response/headers/jeju-nonce", other_nonce),
            3,
            "response_signature_invalid",
        );
        let other_key = |text: &str| {
            text.replacen("keyid=\"", "keyid=\"00", 1)
                .replacen("\";alg", "", 0)
        };
        refused(
            &changed(exchange, "/response/headers/signature-input", other_key),
            3,
            "response_header_malformed",
        );
        let other_evidence = |_: &str| notary.other_bundle();
        refused(
            &changed(exchange, "/evidence", other_evidence),
            3,
            "bundle_digest_mismatch",
        );
        let mut unsigned = exchange.clone();
        unsigned["response"]["headers"]
            .as_object_mut()
            .unwrap()
            .remove("signature");
        refused(unsigned.to_string().as_bytes(), 3, "response_unsigned");
        let mut status = exchange.clone();
        status["response"]["status"] = 201.into();
        refused(status.to_string().as_bytes(), 3, "response_signature_invalid");
    }
}

#[tokio::test]
async fn what_is_no_exchange_is_refused() {
    let (_notary, whole, _) = exchanges().await;
    for other in ["", "{}", "[]", "{\"format\":\"tag:jeju,2026:exchange/1\"}"] {
        refused(other.as_bytes(), 1, "exchange_malformed");
    }
    refused(
        &changed(&whole, "/format", |_| "tag:jeju,2026:exchange/2".into()),
        1,
        "exchange_malformed",
    );
    let mut more = whole.clone();
    more["more"] = 1.into();
    refused(more.to_string().as_bytes(), 1, "exchange_malformed");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchange.json");
    let absent = audit_file(&path, &MODEL, &[]);
    assert_eq!(absent.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&absent.stderr).contains("file_unreadable"));
    std::fs::write(&path, whole.to_string()).unwrap();
    let other_model = folder.path().join("model.gguf");
    std::fs::write(&other_model, "GGUF").unwrap();
    let output = audit_file(&path, &other_model, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("model_differs"));
    let output = audit_file(&path, &folder.path().join("none.gguf"), &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("file_unreadable"));
    assert_eq!(
        audit(whole.to_string().as_bytes(), &["--at", "yesterday"])
            .status
            .code(),
        Some(1)
    );
}
