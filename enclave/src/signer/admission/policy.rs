//! Appraisal policy of a member towards the others. It follows from the launch document and from this code, both
//! measured; nothing that the host, the front or the chain says adds to it.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::policy::{LaunchRules, Policy, PolicyError};
use serde_json::json;

use crate::node_policy::{self, is_development};

/// The services that a member may offer beside signing: none, but on a development chain.
const SERVICES: [&str; 1] = ["mpc"];
const DEVELOPMENT_SERVICES: [&str; 2] = ["inference", "mpc"];

/// Builds the policy of the node with this launch document, which names a network.
///
/// # Errors
/// When the document can't be a policy, as where it names the development profile for a public chain.
pub fn of(own: &LaunchDocument) -> Result<Policy, PolicyError> {
    let mpc = own.mpc.as_ref().ok_or(PolicyError::Nothing("network (mpc)"))?;
    let agents: Vec<_> = mpc.members.iter().map(|member| member.agent).collect();
    let mut policy = node_policy::base(own, &mpc.simulated_roots);
    policy["agents"] = json!(agents);
    policy["measurements"] = json!(mpc.measurements);
    policy["launch"] = json!({
        "chain_profiles": [own.chain.profile],
        "mpc_networks": [HexBytes(mpc.genesis())],
    });
    Policy::parse(&policy.to_string(), is_development(own))
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
