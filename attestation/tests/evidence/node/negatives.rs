//! Nodes that are wrong in one point, each refused for it whatever else is right.

use jeju_attestation::tee::Tee;

use super::synthetic::{Node, World};
use super::{wrong_claims, wrong_evidence, wrong_policies};
use crate::cases::{self, Negative};

/// All codes that evidence of a node and its appraisal can give, beside those that a platform's own tables reach.
const CODES: [&str; 44] = [
    "agent_not_accepted",
    "anchor_unchecked",
    "anchor_unknown",
    "bundle_invalid",
    "chain_profile_not_accepted",
    "channel_binding_required",
    "channel_mismatch",
    "claims_invalid",
    "egress_not_accepted",
    "endorsement_invalid",
    "event_log_mismatch",
    "event_log_missing",
    "event_log_without_registers",
    "evidence_stale",
    "gpu_count_mismatch",
    "gpu_evidence_mismatch",
    "gpus_not_accepted",
    "key_list_invalid",
    "key_list_mismatch",
    "launch_binding_mismatch",
    "launch_claim_mismatch",
    "launch_digest_mismatch",
    "launch_document_invalid",
    "launch_not_bound",
    "log_sink_not_accepted",
    "measurement_below_floor",
    "measurement_pending",
    "measurement_revoked",
    "measurement_unknown",
    "model_not_accepted",
    "mpc_network_not_accepted",
    "no_anchor",
    "nonce_mismatch",
    "platform_not_accepted",
    "policy_invalid",
    "quote_invalid",
    "registry_mismatch",
    "rental_isolation_not_accepted",
    "report_data_mismatch",
    "role_mismatch",
    "root_not_trusted",
    "rules_missing",
    "upstream_not_accepted",
    "worker_reach_not_accepted",
];

/// The rest of them.
const MORE: [&str; 6] = [
    "gpu_evidence_malformed",
    "registry_missing",
    "service_not_accepted",
    "tee_not_accepted",
    "test_roots",
    // One of each part of a node: CPUs of three vendors, GPU, log.
    "gpu_cc_off",
];

/// Cases under one set of roots.
pub struct Cases<'a> {
    world: &'a World,
    rows: Vec<Negative>,
}

impl Cases<'_> {
    /// A TDX node with two GPUs and a log.
    pub fn tdx(&mut self, name: &'static str, expected: &'static str, change: fn(&mut Node<'_>)) {
        self.on(Tee::Tdx, name, expected, change);
    }

    pub fn on(&mut self, tee: Tee, name: &'static str, expected: &'static str, change: fn(&mut Node<'_>)) {
        let mut node = self.world.node(tee);
        change(&mut node);
        let found = node.verdict().err().map(|rejection| rejection.code());
        // A verifier that has seen this machine pass refuses for the same reason.
        if let Ok(verifier) = node.verifier() {
            let _ = self.world.node(tee).verdict_of(&verifier);
            let warm = node.verdict_of(&verifier).err().map(|rejection| rejection.code());
            assert_eq!(warm, found, "{name}, after the right node");
        }
        self.rows.push(Negative {
            name,
            expected,
            found,
        });
    }
}

#[test]
fn a_node_is_refused_for_any_one_of_its_parts() {
    let world = World::new();
    let mut cases = Cases {
        world: &world,
        rows: Vec::new(),
    };
    wrong_evidence::cpu(&mut cases);
    wrong_evidence::gpus(&mut cases);
    wrong_evidence::log(&mut cases);
    wrong_claims::bindings(&mut cases);
    wrong_claims::launch(&mut cases);
    wrong_claims::freshness(&mut cases);
    wrong_policies::add(&mut cases);
    cases::check(&cases.rows, &[&CODES[..], &MORE].concat(), 165);
}
