//! The contract itself, on a real local chain, decides whether a node is accepted.

use std::sync::Arc;

use jeju_attestation::policy::Policy;
use jeju_client::error::Error;
use jeju_client::relying_party::RelyingParty;
use jeju_client::session::{Limits, Session};
use jeju_contracts::localnet::{Anvil, AnvilOptions};
use jeju_contracts::registry::Proposal;

use crate::node::{Chained, Node, Trick};

async fn verify(node: &Node, anvil: &Anvil) -> Result<Session, Error> {
    let policy = Policy::parse(&node.policy_with_rpc(&anvil.url()), true).unwrap();
    let party = Arc::new(RelyingParty::new(policy)?);
    Session::connect(&node.url().parse().unwrap(), party, Limits::default()).await
}

fn code(session: Result<Session, Error>) -> &'static str {
    session.err().expect("must be refused").code()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_measurement_lives_and_ends_on_chain() {
    let options = AnvilOptions {
        port: 0,
        block_time: None,
    };
    let anvil = tokio::task::spawn_blocking(move || Anvil::spawn(&options))
        .await
        .unwrap()
        .expect("anvil starts (npm ci in contracts/)");
    let registry = anvil.deploy_registry().await.unwrap();
    anvil.finalize().await.unwrap();
    let block = anvil.reader().finalized_block().await.unwrap().block;
    let chained = Chained {
        registry,
        anchor: (block.number, block.hash),
    };
    let node = Node::start_with(Trick::Honest, "127.0.0.1", chained).await;

    assert_eq!(code(verify(&node, &anvil).await), "measurement_unknown");
    let id = Node::measurement().0;
    let proposal = Proposal {
        id,
        release_digest: [7; 32],
        version: 1,
        platform: jeju_chain::platform::SIMULATED,
        custody: 0,
        flags: 0,
    };
    anvil.admit(registry, &proposal).await.unwrap();
    let session = verify(&node, &anvil).await.unwrap();
    assert!(session.verdict().age_seconds.unwrap() < 120);
    anvil.revoke(registry, id).await.unwrap();
    assert_eq!(code(verify(&node, &anvil).await), "measurement_revoked");

    let elsewhere = Chained {
        anchor: (block.number, [1; 32]),
        ..chained
    };
    let other = Node::start_with(Trick::Honest, "127.0.0.1", elsewhere).await;
    assert_eq!(code(verify(&other, &anvil).await), "measurement_revoked");
    let wrong = Node::start_with(
        Trick::Honest,
        "127.0.0.1",
        Chained {
            registry: [9; 20],
            ..chained
        },
    )
    .await;
    assert_eq!(
        code(verify(&wrong, &anvil).await),
        "chain_unreadable",
        "no contract there"
    );
    assert!(node.requests().is_empty());
}
