//! Keygen, sign, refresh, policy: signed requests, which the signer decides, and its answers in the shapes that existing
//! clients read.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use jeju_attestation::hash::tagged_sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::authority::frost_wallet;
use jeju_mpc::authority::request::{Asked, MAX_REQUEST, Signed};
use jeju_mpc::configuration::Proposal;
use jeju_mpc::network::Scheme;
use jeju_mpc::refusal::Refusal;
use serde_json::{Value, json};

use crate::front::Node;
use crate::front::error::ApiError;
use crate::front::exchange::{Answer, Call};
use crate::front::mpc::{Idempotency, KeyReused, Mpc, Operation};
use crate::ipc::signer::SignerFailure;
use crate::signer::outcome::{Key, Outcome};

use super::super::attestation::checksummed;

/// Serves one signed request.
pub(super) async fn serve(
    node: &Arc<Node>,
    mpc: &Mpc,
    operation: Operation,
    call: Call,
) -> Result<Answer, ApiError> {
    let outcome = match check(operation, &call.body) {
        Ok(()) => answer(node, mpc, operation, call).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(body) => Ok(Answer::bytes("application/json", body)),
        Err(error) => {
            mpc.metrics.refused(error.code);
            Err(error)
        }
    }
}

async fn answer(node: &Arc<Node>, mpc: &Mpc, operation: Operation, call: Call) -> Result<Bytes, ApiError> {
    let Some(key) = call.idempotency_key else {
        return ask(node.clone(), operation, call.body).await;
    };
    if !Idempotency::is_key(&key) {
        return Err(ApiError::invalid(
            "idempotency_key_invalid",
            "The Idempotency-Key must be 1 to 128 visible ASCII characters.",
            None,
        ));
    }
    let request = tagged_sha256(
        "jeju-mpc-idempotency-v1",
        &[operation.name().as_bytes(), &call.body],
    );
    let answered = mpc.answers.answer(&key, request, || {
        // A task of its own: whoever loses the connection comes back for the answer, which can't be made twice.
        let asking = tokio::spawn(ask(node.clone(), operation, call.body));
        async move {
            asking
                .await
                .unwrap_or_else(|_| Err(signer_failed(SignerFailure::Closed)))
        }
    });
    answered.await.map_err(|error| match error {
        Ok(error) => error,
        Err(KeyReused) => ApiError::new(
            StatusCode::CONFLICT,
            "idempotency_key_reused",
            "The Idempotency-Key was used for another request.",
        ),
    })
}

/// What must be right before the signer is asked at all, which reads the request again and judges it. This tells clients
/// of the old unsigned API what to send, and keeps garbage from the signer.
fn check(operation: Operation, body: &[u8]) -> Result<(), ApiError> {
    if body.len() > MAX_REQUEST {
        return Err(ApiError::body_too_large(MAX_REQUEST));
    }
    if operation == Operation::Configure {
        return Proposal::parse(body)
            .map(|_| ())
            .map_err(|refused| refusal_of(&refused));
    }
    let signed = match Signed::parse(body) {
        Ok(signed) => signed,
        Err(refused) => return Err(unsigned(operation, body).unwrap_or_else(|| refusal_of(&refused))),
    };
    let asked = match &signed.request.action {
        Asked::Keygen { .. } => Operation::Keygen,
        Asked::Sign { .. } => Operation::Sign,
        Asked::Refresh { .. } => Operation::Refresh,
        Asked::Policy { .. } => Operation::Policy,
    };
    if asked != operation {
        return Err(ApiError::invalid(
            "mpc_request_malformed",
            format!("The request is for /mpc/{}.", asked.name()),
            Some("request.action"),
        ));
    }
    Ok(())
}

/// A request as the old API had them, or one that nobody signed.
fn unsigned(operation: Operation, body: &[u8]) -> Option<ApiError> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let document = document.as_object()?;
    if document.contains_key("request") && document.contains_key("authorization") {
        return None;
    }
    let name = operation.name();
    Some(ApiError::new(
        StatusCode::UNAUTHORIZED,
        "mpc_request_unsigned",
        format!(
            "Requests are signed by the wallet that owns the key: send {{\"request\": …, \"authorization\": \
             {{\"account\", \"signature\", \"form\"}}}} to /mpc/{name}. userId, authProof, messageHash and \
             signatureType authorise nothing. `jeju mpc {name}` makes such requests."
        ),
    ))
}

async fn ask(node: Arc<Node>, operation: Operation, body: Bytes) -> Result<Bytes, ApiError> {
    let mpc = node
        .mpc
        .as_ref()
        .ok_or_else(|| signer_failed(SignerFailure::Closed))?;
    let _active = mpc.metrics.active();
    let started = Instant::now();
    let document = mpc.signer.request(body.to_vec()).await.map_err(signer_failed)?;
    let outcome: Outcome =
        serde_json::from_slice(&document).map_err(|_| signer_failed(SignerFailure::Closed))?;
    let answer = shape(mpc, &body, outcome)?;
    mpc.metrics.done(operation, started.elapsed());
    Ok(answer.to_string().into())
}

fn signer_failed(failure: SignerFailure) -> ApiError {
    let unavailable = |code, message: &str| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
    match failure {
        SignerFailure::Busy => busy(),
        SignerFailure::TooLong => ApiError::body_too_large(MAX_REQUEST),
        SignerFailure::TimedOut => {
            unavailable("mpc_timed_out", "The signer did not answer in time.").with_retry_after(5)
        }
        SignerFailure::Closed => unavailable("mpc_signer_gone", "The signer is gone."),
    }
}

fn busy() -> ApiError {
    let message = "Too many requests wait for the signer.";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "mpc_busy", message).with_retry_after(1)
}

fn shape(mpc: &Mpc, request: &[u8], outcome: Outcome) -> Result<Value, ApiError> {
    Ok(match outcome {
        Outcome::Key { key } | Outcome::Refreshed { key } => key_document(mpc, &key),
        Outcome::Signature {
            key,
            signature,
            signers,
            culprits,
        } => {
            let mut document = key_document(mpc, &key);
            document["signature"] = format!("0x{signature}").into();
            document["signers"] = signers.into();
            document["culprits"] = culprits.into();
            document["messageHash"] = json!(message_hash(request));
            document
        }
        Outcome::PolicySet { key_id, version } => json!({
            "success": true,
            "keyId": key_id,
            "policyVersion": version,
        }),
        Outcome::Configured { number, digest } => json!({
            "success": true,
            "number": number,
            "digest": digest,
        }),
        Outcome::Refused {
            code,
            message,
            culprits,
        } => return Err(refusal(&code, message, culprits)),
    })
}

/// Address of the key's wallet contract, made or not. Only keys of the scheme that contracts check have one.
fn wallet_address(mpc: &Mpc, key: &Key) -> Option<String> {
    let factory = mpc.network.wallet_factory?;
    if key.scheme != Scheme::Secp256k1.name() {
        return None;
    }
    Some(checksummed(&frost_wallet::wallet_address(
        factory.0,
        &key.public_key.0,
    )))
}

fn key_document(mpc: &Mpc, key: &Key) -> Value {
    json!({
        "success": true,
        "publicKey": key.public_key,
        "walletAddress": wallet_address(mpc, key),
        "scheme": key.scheme,
        "keyId": key.key_id,
        "rootId": key.root,
        "shareIndex": mpc.me,
        "threshold": mpc.network.threshold,
        "totalShares": mpc.network.members.len(),
        "generation": key.generation,
    })
}

/// What the key signed, as this request asked for it.
fn message_hash(request: &[u8]) -> Option<HexBytes<32>> {
    let signed = Signed::parse(request).ok()?;
    let payload = signed.request.read().ok()?.payload?;
    Some(HexBytes(payload.message))
}

fn refusal_of(refused: &Refusal) -> ApiError {
    refusal(refused.code(), refused.to_string(), Vec::new())
}

/// Status of each refusal's code.
fn refusal(code: &str, message: String, culprits: Vec<u16>) -> ApiError {
    let (status, code, retry_after) = match code {
        "mpc_request_malformed" => (400, "mpc_request_malformed", None),
        "mpc_other_network" => (400, "mpc_other_network", None),
        "mpc_request_expired" => (400, "mpc_request_expired", None),
        "mpc_request_time" => (400, "mpc_request_time", None),
        "mpc_request_too_long_lived" => (400, "mpc_request_too_long_lived", None),
        "mpc_signature_invalid" => (401, "mpc_signature_invalid", None),
        "mpc_not_allowed" => (403, "mpc_not_allowed", None),
        "mpc_policy_refuses" => (403, "mpc_policy_refuses", None),
        "mpc_key_unknown" => (404, "mpc_key_unknown", None),
        "mpc_request_replayed" => (409, "mpc_request_replayed", None),
        "mpc_nonce_used" => (409, "mpc_nonce_used", None),
        "mpc_owners_missing" => (403, "mpc_owners_missing", None),
        "mpc_policy_chain" => (409, "mpc_policy_chain", None),
        "mpc_payload_unsupported" => (422, "mpc_payload_unsupported", None),
        "mpc_policy_version" => (409, "mpc_policy_version", None),
        "mpc_scheme_unknown" => (422, "mpc_scheme_unknown", None),
        "mpc_busy" => (429, "mpc_busy", Some(1)),
        "mpc_no_quorum" => (503, "mpc_no_quorum", Some(5)),
        "mpc_timed_out" => (503, "mpc_timed_out", Some(5)),
        "mpc_member_misbehaved" => (503, "mpc_member_misbehaved", Some(1)),
        "mpc_share_missing" => (503, "mpc_share_missing", Some(5)),
        "mpc_storage_failed" => (503, "mpc_storage_failed", None),
        "mpc_state_old" => (503, "mpc_state_old", Some(5)),
        "mpc_too_often" => (429, "mpc_too_often", Some(30)),
        "mpc_no_place" => (503, "mpc_no_place", None),
        "mpc_configuration_closed" => (403, "mpc_configuration_closed", None),
        "mpc_configuration_governance" => (401, "mpc_configuration_governance", None),
        "mpc_configuration_number" => (409, "mpc_configuration_number", None),
        "mpc_configuration_previous" => (409, "mpc_configuration_previous", None),
        "mpc_configuration_voted" => (409, "mpc_configuration_voted", None),
        "mpc_configuration_shape" => (422, "mpc_configuration_shape", None),
        "mpc_configuration_place" => (422, "mpc_configuration_place", None),
        "mpc_configuration_changes" => (422, "mpc_configuration_changes", None),
        "mpc_configuration_root_key" => (422, "mpc_configuration_root_key", None),
        "mpc_configuration_approval" => (503, "mpc_configuration_approval", Some(5)),
        "mpc_members_refuse" => (503, "mpc_members_refuse", Some(3)),
        _ => (500, "mpc_failed", None),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut error = ApiError::new(status, code, message);
    error.retry_after = retry_after;
    if !culprits.is_empty() {
        error.more.push(("culprits", culprits.into()));
    }
    error
}
