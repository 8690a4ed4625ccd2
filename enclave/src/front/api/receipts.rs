//! `GET /v1/signature/{id}` and `GET /v1/receipts/{id}`: what the node's key says of an answer, to whoever knows its id.

use jeju_attestation::response::EvidenceReference;
use serde_json::{Value, json};

use super::get;
use crate::front::Node;
use crate::front::error::ApiError;
use crate::front::exchange::{Answer, Call};
use crate::front::receipts::{Inclusion, Signed};

/// Answers what stands under the two; `None` for any other path.
pub(super) fn route(node: &Node, call: &Call) -> Option<Result<Answer, ApiError>> {
    if let Some(id) = call.path.strip_prefix("/v1/signature/") {
        return Some(get(call).and_then(|()| signature(node, id, &call.query)));
    }
    let id = call.path.strip_prefix("/v1/receipts/")?;
    Some(get(call).and_then(|()| receipt(node, id)))
}

/// In NEAR's shape; the receipt beside it.
fn signature(node: &Node, id: &str, query: &str) -> Result<Answer, ApiError> {
    let algorithm = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("signing_algo="));
    if algorithm.is_some_and(|algorithm| algorithm != "ecdsa") {
        return Err(ApiError::invalid(
            "signing_algo_unsupported",
            "Answers are signed with signing_algo=ecdsa only.",
            Some("signing_algo"),
        ));
    }
    let signed = find(node, id)?;
    let (text, signature) = node.attester.receipts.text(&signed.receipt);
    Ok(Answer::json(&json!({
        "text": text,
        "signature": signature.to_string(),
        "signing_address": signed.signer.to_string(),
        "signing_algo": "ecdsa",
        "receipt": signed.json(),
    })))
}

/// The receipt, and its place in the quote of the next epoch once there is one.
fn receipt(node: &Node, id: &str) -> Result<Answer, ApiError> {
    let signed = find(node, id)?;
    let inclusion = node.attester.receipts.inclusion(id);
    Ok(Answer::json(&json!({
        "id": id,
        "receipt": signed.json(),
        "inclusion": inclusion.map(|inclusion| shown(node, &inclusion)),
    })))
}

fn find(node: &Node, id: &str) -> Result<Signed, ApiError> {
    node.attester.receipts.of_answer(id).ok_or_else(|| {
        ApiError::not_found(
            "receipt_not_found",
            "There is no answer with this id here that has ended and is still kept.",
        )
    })
}

fn shown(node: &Node, inclusion: &Inclusion) -> Value {
    let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let receipts = &inclusion.receipts;
    let evidence = EvidenceReference {
        digest: inclusion.bundle,
        epoch: receipts.epoch.saturating_add(1),
        tee: node.attester.current().reference.tee,
    };
    json!({
        "epoch": receipts.epoch,
        "count": receipts.count,
        "root": hex(&receipts.root),
        "index": inclusion.index,
        "path": inclusion.path.iter().map(|hash| hex(hash)).collect::<Vec<_>>(),
        "evidence": evidence.path(),
    })
}
