//! What the MPC service says of itself, with the names that existing clients read.

use jeju_attestation::hex_bytes::HexBytes;
use serde_json::{Value, json};

use crate::front::Node;
use crate::front::error::ApiError;
use crate::front::exchange::Answer;
use crate::front::mpc::Mpc;
use crate::signer::outcome::{Configurations, Status};

use super::node_id;

/// Requests at which `load` is 1.
const FULL_LOAD: f64 = 64.0;

pub(super) async fn health(node: &Node, mpc: &Mpc) -> Result<Answer, ApiError> {
    let status = ask(mpc).await;
    Ok(Answer::json(&json!({
        "status": "ok",
        "nodeId": node_id(mpc),
        "networkId": mpc.network.network,
        "healthy": status.as_ref().is_some_and(is_healthy),
        "rollback": status.as_ref().map(|status| status.rollback),
        "attestation": attestation(node),
        "timestamp": now_millis(node),
    })))
}

pub(super) async fn status(node: &Node, mpc: &Mpc) -> Result<Answer, ApiError> {
    let status = ask(mpc).await.ok_or_else(ApiError::signer_gone)?;
    Ok(Answer::json(&json!({
        "nodeId": node_id(mpc),
        "endpoint": mpc.node().address,
        "networkId": mpc.network.network,
        "healthy": is_healthy(&status),
        "activeSessions": status.active_sessions,
        "storedKeys": status.stored_keys,
        "lastHeartbeat": now_millis(node),
        "attestationValid": true,
        "attestation": attestation(node),
        "genesis": status.genesis,
        "shareIndex": status.member,
        "threshold": status.threshold,
        "totalShares": status.members,
        "walletFactory": mpc.network.wallet_factory,
        "admitted": status.admitted,
        "peers": mpc.peers.states(),
        "storage": status.storage,
        "rollback": status.rollback,
        "rollbacksDetected": status.counters.rolled_back,
        "custody": if status.members == 1 { "single" } else { "threshold" },
        "time": {"lower": status.time_lower, "upper": status.time_upper},
        "audit": {"count": status.audit_count, "head": status.audit_head},
    })))
}

/// The configuration in force, what stands behind it or behind those since the number that is asked for, and what it takes
/// to propose the next.
pub(super) async fn configuration(mpc: &Mpc, query: &str) -> Result<Answer, ApiError> {
    let from = first_number(query)?;
    let document = mpc.signer.configurations(from).await;
    let known: Configurations = document
        .ok()
        .and_then(|document| serde_json::from_slice(&document).ok())
        .ok_or_else(ApiError::signer_gone)?;
    Ok(Answer::json(&json!({
        "genesis": HexBytes(mpc.network.genesis()),
        "governance": mpc.network.governance,
        "threshold": mpc.network.threshold,
        "number": known.number,
        "digest": known.digest,
        "rootKey": known.root_key,
        "approves": known.approves,
        "places": known.places,
        "configurations": known.later,
    })))
}

/// `from=N`, a decimal number from 1 on.
fn first_number(query: &str) -> Result<Option<u32>, ApiError> {
    let Some(given) = query.split('&').find_map(|pair| pair.strip_prefix("from=")) else {
        return Ok(None);
    };
    let digits = given.bytes().all(|byte| byte.is_ascii_digit());
    match given.parse() {
        Ok(number) if digits && number > 0 => Ok(Some(number)),
        _ => Err(ApiError::invalid(
            "mpc_request_malformed",
            "from is the number of a configuration after the first, which has 0.",
            Some("from"),
        )),
    }
}

pub(super) async fn heartbeat(node: &Node, mpc: &Mpc) -> Result<Answer, ApiError> {
    let status = ask(mpc).await.ok_or_else(ApiError::signer_gone)?;
    let boot = HexBytes(node.attester.identity().boot);
    Ok(Answer::json(&json!({
        "id": format!("{boot}-{}", now_millis(node)),
        "type": "HEARTBEAT",
        "timestamp": now_millis(node),
        "nodeId": node_id(mpc),
        "load": (status.active_sessions as f64 / FULL_LOAD).min(1.0),
        "activeSessions": status.active_sessions,
        "attestation": attestation(node),
    })))
}

/// For Prometheus.
pub(super) async fn metrics(mpc: &Mpc) -> Result<Answer, ApiError> {
    let document = mpc.metrics.document(ask(mpc).await.as_ref());
    Ok(Answer::bytes(
        "text/plain; version=0.0.4; charset=utf-8",
        document.into(),
    ))
}

async fn ask(mpc: &Mpc) -> Option<Status> {
    serde_json::from_slice(&mpc.signer.status().await.ok()?).ok()
}

/// Whether so many members can be reached as must sign.
fn is_healthy(status: &Status) -> bool {
    status.admitted.len() + 1 >= usize::from(status.threshold)
}

/// `quote` is the digest by which the evidence is served; the evidence itself is under `evidence`.
fn attestation(node: &Node) -> Value {
    let epoch = node.attester.current();
    json!({
        "quote": HexBytes(epoch.quoted.digest),
        "timestamp": epoch.anchor.block.timestamp.saturating_mul(1000),
        "evidence": epoch.reference.path(),
        "format": epoch.quoted.evidence.tee.name(),
    })
}

fn now_millis(node: &Node) -> u64 {
    node.attester.current().anchor.now().saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_asked_for_by_number() {
        for (query, expected) in [
            ("", None),
            ("a=1", None),
            ("from=1", Some(1)),
            ("x&from=12", Some(12)),
        ] {
            assert_eq!(first_number(query).unwrap(), expected, "{query}");
        }
        for wrong in [
            "from=",
            "from=0",
            "from=+1",
            "from=-1",
            "from=1x",
            "from=4294967296",
        ] {
            let refused = first_number(wrong).unwrap_err();
            assert_eq!(
                (refused.code, refused.status.as_u16()),
                ("mpc_request_malformed", 400),
                "{wrong}"
            );
        }
    }
}
