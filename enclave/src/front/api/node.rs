//! What the node says of itself, in the shapes that existing clients read.

use jeju_attestation::tee::Tee;
use serde_json::{Value, json};

use crate::front::Node;
use crate::front::error::ApiError;
use crate::front::exchange::Answer;

use super::attestation::tee_status;

pub(super) fn health(node: &Node) -> Result<Answer, ApiError> {
    let models: Vec<&str> = node.inference.models().map(|model| model.id.as_str()).collect();
    Ok(Answer::json(&json!({
        "status": "ok",
        "provider": provider(node),
        "models": models,
        "warmth": node.metrics.warmth(),
        "uptime": node.metrics.uptime_millis(),
        "nodeType": "cpu",
        "tee": tee(node),
    })))
}

/// The account that earns, where there is one; else the agent's id.
pub(super) fn provider(node: &Node) -> String {
    match &node.payments {
        Some(payments) => payments.provider().to_string(),
        None => format!("0x{}", hex::encode(node.launch.node.agent.0)),
    }
}

pub(super) fn metrics(node: &Node) -> Result<Answer, ApiError> {
    let mut document = node.metrics.document();
    if let Some(payments) = &node.payments {
        document["payments"] = payments.document();
    }
    Ok(Answer::json(&document))
}

pub(super) fn hardware(node: &Node) -> Result<Answer, ApiError> {
    Ok(Answer::json(&hardware_document(node)))
}

/// What would identify the host is null: it is the host's to say, and nobody's to believe.
pub(super) fn hardware_document(node: &Node) -> Value {
    let mut tee = tee(node);
    tee["attestationUrl"] = "/.well-known/jeju/evidence".into();
    json!({
        "platform": "linux",
        "arch": "x64",
        "cpus": std::thread::available_parallelism().map_or(1, usize::from),
        "memory": memory_bytes(),
        "gpuType": null,
        "gpuVram": null,
        "cudaVersion": null,
        "mlxVersion": null,
        "hostname": null,
        "macAddress": null,
        "cpuModel": null,
        "teeCapable": true,
        "containerRuntime": null,
        "nodeType": "cpu",
        "teeInfo": tee,
    })
}

fn tee(node: &Node) -> Value {
    let tee = node.attester.current().quoted.evidence.tee;
    let simulated = tee == Tee::Simulated;
    json!({
        "status": tee_status(tee),
        "isReal": !simulated,
        "provider": tee.name(),
        "warning": simulated.then_some("Simulated silicon: for development only."),
    })
}

fn memory_bytes() -> u64 {
    // SAFETY: sysconf reads no memory of ours.
    let (pages, size) = unsafe {
        (
            libc::sysconf(libc::_SC_PHYS_PAGES),
            libc::sysconf(libc::_SC_PAGESIZE),
        )
    };
    u64::try_from(pages)
        .unwrap_or(0)
        .saturating_mul(u64::try_from(size).unwrap_or(0))
}
