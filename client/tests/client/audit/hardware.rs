//! Evidence of hardware in a saved exchange: the bundle that the answer names is whole, and is judged without a node.

use std::sync::Arc;

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::policy::Policy;
use jeju_client::audit::Exchange;
use jeju_client::chat::{self, Prompt};
use jeju_client::node_url::NodeUrl;
use jeju_client::relying_party::RelyingParty;
use jeju_client::session::{Limits, Session};

use super::verdict;
use crate::node::{Node, Trick};
use crate::silicon::Silicon;

type Make = fn(&[u8; 32]) -> Silicon;

#[tokio::test]
async fn evidence_is_judged_from_the_file() {
    let all: [(Make, &str); 2] = [
        (Silicon::tdx_with_collateral, "x509_untrusted_root"),
        (Silicon::nitro, "nitro_root_not_pinned"),
    ];
    for (make, untrusted) in all {
        let node = Node::start_on_hardware(Trick::Honest, make).await;
        let exchange = exchange(&node).await;
        let folder = tempfile::tempdir().unwrap();
        let judged = |policy: &Policy, more: &[&str]| {
            let path = folder.path().join("policy.toml");
            std::fs::write(&path, toml::to_string(policy).unwrap()).unwrap();
            let arguments = [&["--policy", path.to_str().unwrap(), "--development"], more].concat();
            let (exit, verdict) = verdict(&exchange, &arguments);
            (exit, verdict["code"].as_str().unwrap().to_owned())
        };
        let policy = node.hardware_policy();
        // Accepted: that this node's answers are no real ones is only found after that.
        assert_eq!(judged(&policy, &[]), (3, "answer_malformed".to_owned()));
        let later = judged(&policy, &["--at", "2090-01-01T00:00:00Z"]);
        assert_eq!(later.1, "x509_expired");
        let vendors = Policy {
            test_roots: None,
            ..policy.clone()
        };
        assert_eq!(judged(&vendors, &[]), (3, untrusted.to_owned()));
        let mut other = policy;
        other.measurements[0].0[0] ^= 1;
        assert_eq!(judged(&other, &[]), (2, "measurement_unknown".to_owned()));
    }
}

/// An answer that the node gave, saved.
async fn exchange(node: &Node) -> Vec<u8> {
    let party = RelyingParty::with_endorsements(node.hardware_policy(), Endorsements::default()).unwrap();
    let url: NodeUrl = node.url().parse().unwrap();
    let mut session = Session::connect(&url, Arc::new(party), Limits::default())
        .await
        .unwrap();
    let prompt = Prompt {
        text: "hi".into(),
        model: Some("tiny".into()),
        max_tokens: None,
        stream: false,
    };
    let asked = chat::ask_recorded(&mut session, &prompt, &mut Vec::new()).await;
    let (_, recorded) = asked.unwrap();
    let saved = Exchange::complete(&mut session, &url, recorded).await;
    saved.unwrap_or_else(|error| panic!("{error}")).encode()
}

#[tokio::test]
async fn evidence_that_is_gone_is_told() {
    let node = Node::start_on_hardware(Trick::Honest, Silicon::nitro).await;
    let party = RelyingParty::with_endorsements(node.hardware_policy(), Endorsements::default()).unwrap();
    let url: NodeUrl = node.url().parse().unwrap();
    let mut session = Session::connect(&url, Arc::new(party), Limits::default())
        .await
        .unwrap();
    let prompt = Prompt {
        text: "hi".into(),
        model: Some("tiny".into()),
        max_tokens: None,
        stream: true,
    };
    let asked = chat::ask_recorded(&mut session, &prompt, &mut Vec::new()).await;
    let (_, recorded) = asked.unwrap();
    // The node of these tests keeps the bundle of one epoch only.
    node.rotate();
    let error = Exchange::complete(&mut session, &url, recorded)
        .await
        .err()
        .unwrap();
    assert_eq!(
        (error.code(), error.class().exit_code()),
        ("evidence_not_served", 5)
    );
}
