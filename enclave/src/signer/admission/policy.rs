//! Appraisal policy of a member towards the others. It follows from the launch document and from this code, both
//! measured; nothing that the host, the front or the chain says adds to it.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::{DEVELOPMENT_PROFILE, LaunchDocument};
use jeju_attestation::policy::{LaunchRules, Policy, PolicyError};
use serde_json::{Value, json};

/// The services that a member may offer beside signing: none, but on a development chain.
const SERVICES: [&str; 1] = ["mpc"];
const DEVELOPMENT_SERVICES: [&str; 2] = ["inference", "mpc"];

/// Builds the policy of the node with this launch document, which names a network.
///
/// # Errors
/// When the document can't be a policy, as where it names the development profile for a public chain.
pub fn of(own: &LaunchDocument) -> Result<Policy, PolicyError> {
    let mpc = own.mpc.as_ref().ok_or(PolicyError::Nothing("network (mpc)"))?;
    let development = is_development(own);
    let agents: Vec<_> = mpc.members.iter().map(|member| member.agent).collect();
    let mut policy = json!({
        "version": 1,
        "kind": if development { "development" } else { "production" },
        "tees": ["tdx", "sev-snp", "nitro"],
        "agents": agents,
        "measurements": mpc.measurements,
        "require_channel": true,
        "registry": { "chain_id": own.chain.id, "address": own.chain.registry },
        "launch": { "chain_profiles": [own.chain.profile], "mpc_networks": [HexBytes(mpc.genesis())] },
        "tdx": tdx(),
        "sev-snp": sev_snp(),
        "nitro": nitro(),
    });
    if development && !mpc.simulated_roots.is_empty() {
        policy["tees"] = json!(["tdx", "sev-snp", "nitro", "simulated"]);
        policy["simulated"] = json!({ "roots": mpc.simulated_roots });
    }
    Policy::parse(&policy.to_string(), development)
}

/// The rules on one peer's launch document. Addresses are no identity, so that it may reach its own network's members and
/// its own chain's endpoints, wherever they are; anything else that it may do must be allowed here.
pub(super) fn launch_rules(own: &LaunchDocument, of: &LaunchRules, peer: &LaunchDocument) -> LaunchRules {
    let mut rules = of.clone();
    if is_development(own) {
        rules.services = DEVELOPMENT_SERVICES.map(str::to_owned).into();
        rules.egress.clone_from(&peer.egress.allow);
        rules.models = peer.models.iter().map(|model| model.sha256).collect();
        rules.log_sink = true;
        return rules;
    }
    rules.services = SERVICES.map(str::to_owned).into();
    let members = peer.mpc.iter().flat_map(|mpc| &mpc.members);
    rules.egress = members.map(|member| member.address.clone()).collect();
    let endpoints = peer.chain.rpc.iter();
    rules
        .egress
        .extend(endpoints.filter_map(|url| jeju_attestation::launch::url_authority(url)));
    rules
}

/// Whether the chain is one for development, on which simulated silicon may sign.
pub(super) fn is_development(document: &LaunchDocument) -> bool {
    document.chain.profile == DEVELOPMENT_PROFILE
}

/// `UpToDate` only, by collateral of Intel's newest recovery event that this code knows. Which machine it is, and so how it
/// is configured, the network's first configuration says.
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
/// keys (arXiv:2605.12990), and with it at reports of any firmware. Revocation lists don't come with a peer's bundle; a
/// chip is named by the first configuration.
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

#[cfg(test)]
mod tests {
    use jeju_attestation::policy::Kind;
    use jeju_attestation::tee::Tee;

    use super::super::tests::{document, public_document};
    use super::*;

    #[test]
    fn simulated_silicon_signs_on_development_chains_alone() {
        let development = of(&document(1)).unwrap();
        assert_eq!(development.kind, Kind::Development);
        assert_eq!(development.simulated_roots().len(), 3);
        let mut no_roots = document(1);
        no_roots.mpc.as_mut().unwrap().simulated_roots.clear();
        assert!(!of(&no_roots).unwrap().tees.contains(&Tee::Simulated));
        let production = of(&public_document(1)).unwrap();
        assert_eq!(production.kind, Kind::Production);
        assert_eq!(production.tees, [Tee::Tdx, Tee::SevSnp, Tee::Nitro]);
        assert!(production.simulated_roots().is_empty() && production.require_channel);
        assert!(!production.trust_anchors().unwrap().are_test_roots());
    }

    #[test]
    fn a_public_chain_is_not_developed_on() {
        let mut document = document(1);
        document.chain.id = 1;
        assert_eq!(of(&document), Err(PolicyError::DevelopmentChain(1)));
        document.mpc = None;
        assert!(matches!(of(&document), Err(PolicyError::Nothing(_))));
    }

    #[test]
    fn a_peer_may_reach_its_network_and_its_chain() {
        let own = public_document(1);
        let mut peer = public_document(2);
        let rules = |peer: &LaunchDocument| launch_rules(&own, &of(&own).unwrap().launch, peer);
        let allowed = rules(&peer);
        assert_eq!(allowed.services, ["mpc"]);
        assert!(
            peer.egress
                .allow
                .iter()
                .all(|entry| allowed.egress.contains(entry))
        );
        assert!(allowed.models.is_empty() && !allowed.log_sink && !allowed.not_settable);
        peer.egress.allow.push("elsewhere.example:443".to_owned());
        assert!(!rules(&peer).egress.contains(&"elsewhere.example:443".to_owned()));
    }
}
