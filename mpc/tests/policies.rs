//! A policy that owners changed is in force wherever a quorum could be.

use std::time::Duration;

use jeju_mpc::member::Response;
use jeju_mpc::message::Message;
use jeju_mpc::network::{MemberIndex, Scheme};
use jeju_mpc::refusal::Refusal;

mod support;

use support::{Fate, Kind, Net, Request};

const LIAR: MemberIndex = MemberIndex(3);

fn with_key(threshold: u16, members: u16, scheme: Scheme) -> (Net, [u8; 33]) {
    let mut net = Net::new(threshold, members, 9);
    let answer = net.ask(1, 1, &Request::new(Kind::Keygen, 200).scheme(scheme));
    let public = net.public_key(&answer);
    (net, public)
}

#[test]
fn policies_need_so_many_members_that_no_quorum_is_without() {
    let mut net = Net::new(2, 4, 13);
    let policy = Request::new(Kind::Policy, 1);
    net.kill(MemberIndex(4));
    net.kill(MemberIndex(3));
    assert_eq!(net.ask(1, 1, &policy), Err(Refusal::TimedOut));
    net.boot(MemberIndex(3));
    net.run(Duration::from_secs(1));
    let mut policy = Request::new(Kind::Policy, 2);
    (policy.version, policy.issued) = (2, support::START + 100);
    let answer = net.ask(1, 2, &policy);
    assert!(
        matches!(answer, Ok(Response::PolicySet { version: 2, .. })),
        "{answer:?}"
    );
    // Again, and an older one at a member that has this one, also after a restart.
    assert_eq!(net.ask(1, 3, &policy), answer);
    net.kill(MemberIndex(2));
    net.boot(MemberIndex(2));
    let mut older = policy.clone();
    older.version = 1;
    assert_eq!(
        net.ask(2, 4, &older),
        Err(Refusal::PolicyVersion { given: 1, current: 2 })
    );
}

/// Members that were away, lost their disk, or didn't hear of a policy take it over before they sign.
#[test]
fn policies_reach_members_that_missed_them() {
    let (mut net, _) = with_key(2, 3, Scheme::Secp256k1);
    let sign = |nonce: u8, version: u32, net: &Net| {
        let mut request = Request::new(Kind::Sign, nonce);
        request.version = version;
        request.issued += net.now.as_secs();
        request
    };
    net.kill(MemberIndex(3));
    assert!(net.ask(1, 2, &Request::new(Kind::Policy, 2)).is_ok());
    let old = Err(Refusal::PolicyVersion { given: 0, current: 1 });
    // Away.
    net.boot(MemberIndex(3));
    net.run(Duration::from_secs(3));
    assert_eq!(net.ask(3, 3, &sign(3, 0, &net)), old);
    // Without its disk, and with only the one that was away to learn from.
    net.kill(MemberIndex(1));
    net.kill(MemberIndex(2));
    net.records.remove(&MemberIndex(2));
    net.boot(MemberIndex(2));
    net.run(Duration::from_secs(3));
    assert_eq!(net.ask(2, 4, &sign(4, 0, &net)), old);
    // Didn't hear of the next version.
    net.boot(MemberIndex(1));
    net.run(Duration::from_secs(5));
    net.filter = Some(Box::new(|_, to, message| match message {
        Message::PolicySet { .. } if to == LIAR => Fate::Drop,
        _ => Fate::Deliver,
    }));
    let mut policy = Request::new(Kind::Policy, 5);
    (policy.version, policy.issued) = (2, policy.issued + 100);
    assert!(net.ask(1, 5, &policy).is_ok());
    net.kill(MemberIndex(2));
    let answer = net.ask(1, 6, &sign(6, 2, &net));
    assert!(answer.is_ok(), "{answer:?}");
    // Nor did the coordinator: it learns from a signer, and refuses then.
    let mut policy = Request::new(Kind::Policy, 7);
    (policy.version, policy.issued) = (3, policy.issued + 100);
    net.boot(MemberIndex(2));
    net.run(Duration::from_secs(5));
    assert!(net.ask(1, 7, &policy).is_ok());
    let refused = net.ask(3, 8, &sign(8, 2, &net));
    assert_eq!(refused, Err(Refusal::PolicyVersion { given: 2, current: 3 }));
    net.run(Duration::from_secs(1));
    assert!(net.ask(3, 9, &sign(9, 3, &net)).is_ok());
}

/// Before it has heard from so many that they are a quorum with it, a member gives no share.
#[test]
fn nothing_is_signed_before_policies_are_known() {
    let (mut net, _) = with_key(2, 3, Scheme::Secp256k1);
    net.kill(MemberIndex(3));
    net.kill(MemberIndex(2));
    net.filter = Some(Box::new(|_, _, message| match message {
        Message::PolicyIndex { .. } => Fate::Drop,
        _ => Fate::Deliver,
    }));
    net.boot(MemberIndex(2));
    net.run(Duration::from_secs(1));
    let mut request = Request::new(Kind::Sign, 1);
    request.issued += 100;
    assert_eq!(net.ask(2, 2, &request), Err(Refusal::Busy));
    net.filter = None;
    net.run(Duration::from_secs(10));
    assert!(net.ask(2, 3, &request).is_ok());
}
