//! Nodes on hardware: evidence in the real formats, whose certificate material comes with the bundle only.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::policy::{Kind, Policy};
use jeju_attestation::tee::Tee;
use jeju_attestation::verdict::Verdict;
use jeju_client::error::Error;
use jeju_client::relying_party::RelyingParty;
use jeju_client::session::{Limits, Session};

use crate::node::{Node, Trick};
use crate::silicon::Silicon;

type Make = fn(&[u8; 32]) -> Silicon;

const ALL: [(Tee, Make); 3] = [
    (Tee::Tdx, Silicon::tdx),
    (Tee::SevSnp, Silicon::snp),
    (Tee::Nitro, Silicon::nitro),
];

async fn connect(node: &Node, policy: Policy, collateral: Endorsements) -> Result<Session, Error> {
    let party = Arc::new(RelyingParty::with_endorsements(policy, collateral)?);
    Session::connect(&node.url().parse().unwrap(), party, Limits::default()).await
}

/// The code of a refusal before which nothing was sent.
async fn refused(node: &Node, policy: Policy, collateral: Endorsements) -> &'static str {
    let error = connect(node, policy, collateral)
        .await
        .err()
        .expect("must be refused");
    assert!(
        node.requests().is_empty(),
        "something was sent to a node that was refused"
    );
    error.code()
}

async fn post(session: &mut Session) -> Result<(), Error> {
    let body = Bytes::from_static(b"prompt");
    let sent = session.request(Method::POST, "/v1/chat/completions", HeaderMap::new(), body);
    sent.await.map(|_| ())
}

#[tokio::test]
async fn a_node_on_each_platform_is_verified_and_answers() {
    for (tee, make) in ALL {
        let node = Node::start_on_hardware(Trick::Honest, make).await;
        let mut session = connect(&node, node.hardware_policy(), node.collateral())
            .await
            .unwrap();
        let Verdict {
            tee: found,
            channel_bound,
            platform,
            cpu,
            ..
        } = session.verdict().clone();
        assert_eq!((found, channel_bound, cpu.kind), (tee, true, tee.name()));
        assert!(platform.is_some());
        post(&mut session).await.unwrap();
        // The next epoch's quote comes in headers, without its certificate material.
        node.rotate();
        post(&mut session).await.unwrap();
        assert_eq!(node.requests().len(), 2);

        let mut pinned = node.hardware_policy();
        pinned.platforms = vec![platform.unwrap()];
        assert!(connect(&node, pinned.clone(), node.collateral()).await.is_ok());
        pinned.platforms[0].0[0] ^= 1;
        let error = connect(&node, pinned, node.collateral()).await.err().unwrap();
        assert_eq!(error.code(), "platform_not_accepted");
    }
}

#[tokio::test]
async fn without_collateral_nothing_is_known_of_a_tcb() {
    let node = Node::start_on_hardware(Trick::Honest, Silicon::tdx).await;
    let found = refused(&node, node.hardware_policy(), Endorsements::default()).await;
    assert!(
        found.starts_with("dcap_") && found.ends_with("_missing"),
        "{found}"
    );
}

#[tokio::test]
async fn a_node_may_bring_its_collateral() {
    let node = Node::start_on_hardware(Trick::Honest, Silicon::tdx_with_collateral).await;
    let mut session = connect(&node, node.hardware_policy(), Endorsements::default())
        .await
        .unwrap();
    node.rotate();
    post(&mut session).await.unwrap();
    // The relying party's own counts beside it.
    assert!(
        connect(&node, node.hardware_policy(), node.collateral())
            .await
            .is_ok()
    );
    let mut later = node.hardware_policy();
    later.tdx.as_mut().unwrap().tcb.least_evaluation_data_number = 21;
    let error = connect(&node, later, Endorsements::default())
        .await
        .err()
        .unwrap();
    assert_eq!(error.code(), "dcap_evaluation_data_number");

    let garbage = Node::start_on_hardware(Trick::Honest, Silicon::tdx_with_garbage).await;
    let found = refused(&garbage, garbage.hardware_policy(), garbage.collateral()).await;
    assert_eq!(found, "endorsement_invalid");
}

#[tokio::test]
async fn tricks_are_refused_on_every_platform() {
    for (tee, make) in ALL {
        for (trick, code) in [
            (Trick::CertificateKey, "certificate_key_not_in_claims"),
            (Trick::OtherNode, "claims_of_another_node"),
            (Trick::ReportData, "report_data_mismatch"),
            (Trick::OtherNonce, "nonce_mismatch"),
            (Trick::OtherConnection, "channel_mismatch"),
            (Trick::UnsignedChallenge, "response_unsigned"),
        ] {
            let node = Node::start_on_hardware(trick, make).await;
            let found = refused(&node, node.hardware_policy(), node.collateral()).await;
            assert_eq!(found, code, "{tee} {trick:?}");
        }
        let node = Node::start_on_hardware(Trick::Honest, make).await;
        let mut session = connect(&node, node.hardware_policy(), node.collateral())
            .await
            .unwrap();
        node.trick(Trick::ForeignEpoch);
        assert_eq!(
            post(&mut session).await.unwrap_err().code(),
            "claims_of_another_node",
            "{tee}"
        );
    }
}

#[tokio::test]
async fn a_policy_without_rules_roots_or_measurement_refuses() {
    for (tee, make) in ALL {
        let node = Node::start_on_hardware(Trick::Honest, make).await;
        let with = async |change: fn(&mut Policy)| {
            let mut policy = node.hardware_policy();
            change(&mut policy);
            refused(&node, policy, node.collateral()).await
        };
        let no_rules = with(|policy| (policy.tdx, policy.sev_snp, policy.nitro) = (None, None, None)).await;
        assert_eq!(no_rules, "rules_missing", "{tee}");
        assert_eq!(
            with(|policy| policy.tees = vec![Tee::Simulated]).await,
            "tee_not_accepted",
            "{tee}"
        );
        let unknown = with(|policy| policy.measurements[0].0[0] ^= 1).await;
        assert_eq!(unknown, "measurement_unknown", "{tee}");
        // The vendors' own roots, whatever else the policy says.
        let vendors = with(|policy| policy.test_roots = None).await;
        let untrusted = match tee {
            Tee::Tdx => "x509_untrusted_root",
            Tee::SevSnp => "snp_ark_unknown",
            _ => "nitro_root_not_pinned",
        };
        assert_eq!(vendors, untrusted, "{tee}");
        let production = with(|policy| policy.kind = Kind::Production).await;
        assert_eq!(
            production, untrusted,
            "{tee}: a production policy has no test roots"
        );
    }
}
