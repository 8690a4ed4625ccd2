//! What is common to all policies by which nodes appraise other nodes. It follows from the launch document and from this
//! code, both measured; nothing that the host or the chain says adds to it.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::{DEVELOPMENT_PROFILE, LaunchDocument};
use serde_json::{Value, json};

const TEES: [&str; 3] = ["tdx", "sev-snp", "nitro"];

/// A policy document of the node with this launch document: hardware platforms with their rules, simulated silicon under
/// these roots on development chains, and the node's own registry. Who is accepted is to be added.
pub(crate) fn base(own: &LaunchDocument, simulated_roots: &[HexBytes<65>]) -> Value {
    let development = is_development(own);
    let mut policy = json!({
        "version": 1,
        "kind": if development { "development" } else { "production" },
        "tees": TEES,
        "require_channel": true,
        "registry": { "chain_id": own.chain.id, "address": own.chain.registry },
        "tdx": tdx(),
        "sev-snp": sev_snp(),
        "nitro": nitro(),
    });
    if development && !simulated_roots.is_empty() {
        policy["tees"] = TEES.into_iter().chain(["simulated"]).collect();
        policy["simulated"] = json!({ "roots": simulated_roots });
    }
    policy
}

/// Whether the chain is one for development, on which simulated silicon may answer.
pub(crate) fn is_development(document: &LaunchDocument) -> bool {
    document.chain.profile == DEVELOPMENT_PROFILE
}

/// `UpToDate` only, by collateral of Intel's newest recovery event that this code knows. Which machine it is, and so how it
/// is configured, is not for these rules to say.
fn tdx() -> Value {
    json!({
        "tcb": {
            "least_evaluation_data_number": 20,
            "dynamic_platform": true,
            "cached_keys": true,
            "smt_enabled": true,
        }
    })
}

/// Chips that sign with their own key, with committed firmware that checks memory for aliases (AMD-SB-3015). Microcode is
/// numbered by model and not by product, so that it has no floor here. No Milan: software alone gets at the seed of its
/// keys (arXiv:2605.12990), and with it at reports of any firmware. Revocation lists don't come with a node's bundle;
/// signers pin the chip beside these rules.
fn sev_snp() -> Value {
    let product = |snp: u8| {
        json!({
            "tcb": { "bootloader": 0, "tee": 0, "snp": snp, "microcode": 0 },
            "firmware": { "major": 1, "minor": 55, "build": 29 },
            "launch_mitigations": 0,
            "current_mitigations": 0,
        })
    };
    json!({
        "required": [],
        "abi": [0, 31],
        "guest_svn": 0,
        "no_id_block": true,
        "smt": true,
        "revocation_unknown": true,
        "products": { "genoa": product(22), "turin": product(1) },
    })
}

/// A document as young as its certificate lets it be: that it was made for this connection its nonce says, and the time
/// here is an interval.
fn nitro() -> Value {
    json!({ "max_age_seconds": 3 * 3600, "max_future_seconds": 300, "revocation_unknown": true })
}
