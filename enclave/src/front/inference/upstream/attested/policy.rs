//! Appraisal policy of a node towards another node that it passes prompts to. It follows from the launch document and from
//! this code, both measured, so that whoever verified this node knows what it accepts.
//!
//! The other node must be of the named agent and of one of the named measurements, which the registry must have in force
//! besides: the list is the provider's own, and alone could name anything. It may offer inference and nothing else, reach
//! its chain and the guest's loopback and nothing else, and pass prompts on to nobody outside its own machine: who reads
//! them stands in the launch document that this node's users read, and not in one that they never see.

use jeju_attestation::launch::upstreams::{Attested, Confidentiality, Upstream};
use jeju_attestation::launch::{LaunchDocument, url_authority};
use jeju_attestation::policy::{LaunchRules, Policy, PolicyError};
use serde_json::json;

use crate::node_policy::{self, is_development};

/// The service that is asked of it.
const SERVICE: &str = "inference";

/// The policy of the node with this launch document, towards this other one.
///
/// # Errors
/// When the documents can't be a policy, as where they name the development profile for a public chain.
pub(super) fn of(own: &LaunchDocument, other: &Attested) -> Result<Policy, PolicyError> {
    let development = is_development(own);
    let mut policy = node_policy::base(own, &other.simulated_roots);
    policy["agents"] = json!([other.agent]);
    policy["measurements"] = json!(other.measurements);
    policy["launch"] = json!({
        "chain_profiles": [own.chain.profile],
        "services": [SERVICE],
        "upstreams": [Confidentiality::Loopback],
        // Operational lines, in which no prompt can be; but what isn't needed isn't there.
        "log_sink": development,
    });
    Policy::parse(&policy.to_string(), development)
}

/// The rules on one launch document. It may reach its own chain, wherever that is. Where it could send prompts besides is
/// refused as such, and not for its address.
pub(super) fn launch_rules(of: &LaunchRules, other: &LaunchDocument) -> LaunchRules {
    let upstreams = other.upstreams.iter().filter_map(Upstream::authority);
    let chain = other.chain.rpc.iter().filter_map(|url| url_authority(url));
    LaunchRules {
        egress: chain.chain(upstreams).collect(),
        // What it serves is compared model by model.
        models: other.models.iter().map(|model| model.sha256).collect(),
        ..of.clone()
    }
}

/// Whether the other node serves what it is to be asked for, and the weights that this node's users are told of.
///
/// # Errors
/// A stable code.
pub(super) fn check_models(wanted: &Upstream, other: &LaunchDocument) -> Result<(), &'static str> {
    for model in &wanted.models {
        let name = model.upstream_name();
        let embedded = other.models.iter().find(|found| found.id == name);
        let mut passed_on = other.upstreams.iter().flat_map(|upstream| &upstream.models);
        let weights = match (embedded, passed_on.find(|found| found.id == name)) {
            (Some(found), _) => Some(found.sha256),
            (None, Some(found)) => found.weights,
            (None, None) => return Err("upstream_model_not_served"),
        };
        if model.weights.is_some() && model.weights != weights {
            return Err("upstream_model_mismatch");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jeju_attestation::policy::Kind;
    use jeju_attestation::tee::Tee;

    use super::super::tests::{OTHER, document, public_document};
    use super::*;

    fn other(more: &str) -> LaunchDocument {
        LaunchDocument::parse(format!("{OTHER}{more}").as_bytes()).unwrap()
    }

    #[test]
    fn simulated_silicon_answers_on_development_chains_alone() {
        let own = document("");
        let attested = own.upstreams[0].attested.clone().unwrap();
        let policy = of(&own, &attested).unwrap();
        assert_eq!(
            (policy.kind, policy.simulated_roots().len()),
            (Kind::Development, 1)
        );
        assert_eq!(policy.agents, [attested.agent]);
        assert_eq!(policy.measurements, attested.measurements);
        let none = Attested {
            simulated_roots: Vec::new(),
            ..attested
        };
        assert!(!of(&own, &none).unwrap().tees.contains(&Tee::Simulated));

        let own = public_document();
        let policy = of(&own, own.upstreams[0].attested.as_ref().unwrap()).unwrap();
        assert_eq!(policy.kind, Kind::Production);
        assert_eq!(policy.tees, [Tee::Tdx, Tee::SevSnp, Tee::Nitro]);
        assert!(policy.require_channel && !policy.launch.log_sink && !policy.launch.not_settable);
        assert!(!policy.trust_anchors().unwrap().are_test_roots());
    }

    #[test]
    fn another_node_may_reach_its_chain_and_no_other_place() {
        let own = document("");
        let policy = of(&own, own.upstreams[0].attested.as_ref().unwrap()).unwrap();
        let mut found = other("");
        assert_eq!(launch_rules(&policy.launch, &found).egress, ["127.0.0.1:8545"]);
        found.egress.allow.push("elsewhere.example:443".to_owned());
        assert_eq!(launch_rules(&policy.launch, &found).egress, ["127.0.0.1:8545"]);
        assert_eq!(policy.launch.services, ["inference"]);
        assert_eq!(policy.launch.upstreams, [Confidentiality::Loopback]);
        assert!(policy.launch.rentals.is_empty() && policy.launch.mpc_networks.is_empty());
    }

    #[test]
    fn models_are_the_ones_that_users_are_told_of() {
        let weights = |weights: &str| document(&format!("weights = \"0x{}\"\n", weights.repeat(32)));
        let check = |own: &LaunchDocument, other: &LaunchDocument| check_models(&own.upstreams[0], other);
        let (served, mut passed_on) = (other(""), other(""));
        assert_eq!(check(&document(""), &served), Ok(()));
        assert_eq!(check(&weights("07"), &served), Ok(()));
        assert_eq!(check(&weights("08"), &served), Err("upstream_model_mismatch"));

        passed_on.models.clear();
        assert_eq!(check(&document(""), &passed_on), Err("upstream_model_not_served"));
        let mut behind = document("").upstreams.remove(0);
        behind.models[0].id = "tiny".to_owned();
        passed_on.upstreams.push(behind);
        assert_eq!(check(&document(""), &passed_on), Ok(()));
        // Stated here, and not there.
        assert_eq!(check(&weights("07"), &passed_on), Err("upstream_model_mismatch"));
        passed_on.upstreams[0].models[0].weights = Some(served.models[0].sha256);
        assert_eq!(check(&weights("07"), &passed_on), Ok(()));
    }
}
