//! Keys and signatures of whole networks.

use std::time::Duration;

use jeju_mpc::member::Response;
use jeju_mpc::message::Level;
use jeju_mpc::network::{MemberIndex, Scheme};
use jeju_mpc::refusal::Refusal;

mod support;

use support::{Kind, Net, Request, verifies};

fn keygen(net: &mut Net, ticket: u64, scheme: Scheme) -> [u8; 33] {
    let request = Request::new(Kind::Keygen, 100 + ticket as u8).scheme(scheme);
    let answer = net.ask(1, ticket, &request);
    net.public_key(&answer)
}

#[test]
fn keys_are_made_and_sign() {
    for (threshold, members) in [(2, 3), (3, 5), (2, 2), (7, 10)] {
        for scheme in Scheme::ALL {
            let mut net = Net::new(threshold, members, 1);
            let public = keygen(&mut net, 1, scheme);
            for member in 1..=members {
                let mut request = Request::new(Kind::Sign, member as u8).scheme(scheme);
                request.message = [member as u8; 32];
                let answer = net.ask(member, 10 + u64::from(member), &request);
                let Ok(Response::Signature {
                    key,
                    signature,
                    signers,
                    culprits,
                }) = answer
                else {
                    panic!("{answer:?}");
                };
                assert_eq!(key.public_key, public);
                assert_eq!(signers.len(), usize::from(threshold));
                assert!(culprits.is_empty());
                assert!(verifies(scheme, &public, &request.message, &signature));
                assert!(!verifies(scheme, &public, &[0xEE; 32], &signature));
            }
            assert!(net.blamed().is_empty());
            for member in net.members.values() {
                assert_eq!(member.keys()[0].level, Level::Complete);
            }
        }
    }
}

#[test]
fn a_network_of_one_signs_alone() {
    for scheme in Scheme::ALL {
        let mut net = Net::new(1, 1, 1);
        let public = keygen(&mut net, 1, scheme);
        let request = Request::new(Kind::Sign, 1).scheme(scheme);
        let Ok(Response::Signature { signature, .. }) = net.ask(1, 2, &request) else {
            panic!("no signature");
        };
        assert!(verifies(scheme, &public, &request.message, &signature));
        net.kill(MemberIndex(1));
        net.boot(MemberIndex(1));
        assert_eq!(keygen(&mut net, 3, scheme), public);
    }
}

#[test]
fn users_have_keys_of_their_own_and_dedicated_ones_too() {
    let mut net = Net::new(2, 3, 2);
    let one = keygen(&mut net, 1, Scheme::Secp256k1);
    let mut other = Request::new(Kind::Keygen, 2);
    other.key = [0x33; 32];
    let answer = net.ask(2, 2, &other);
    let second = net.public_key(&answer);
    other.dedicated = true;
    other.nonce = [3; 32];
    let answer = net.ask(3, 3, &other);
    let third = net.public_key(&answer);
    assert!(one != second && second != third && one != third);
    let mut sign = Request::new(Kind::Sign, 4);
    (sign.key, sign.dedicated) = ([0x33; 32], true);
    let Ok(Response::Signature { signature, .. }) = net.ask(1, 4, &sign) else {
        panic!("no signature");
    };
    assert!(verifies(Scheme::Secp256k1, &third, &sign.message, &signature));
}

#[test]
fn nothing_is_known_before_key_generation() {
    let mut net = Net::new(2, 3, 3);
    net.run(Duration::from_secs(1));
    assert_eq!(
        net.ask(1, 1, &Request::new(Kind::Sign, 1)),
        Err(Refusal::KeyUnknown)
    );
    assert_eq!(
        net.ask(1, 2, &Request::new(Kind::Refresh, 2)),
        Err(Refusal::KeyUnknown)
    );
    net.kill(MemberIndex(3));
    assert_eq!(
        net.ask(1, 3, &Request::new(Kind::Keygen, 3)),
        Err(Refusal::NoQuorum {
            reachable: 2,
            needed: 3
        })
    );
}

#[test]
fn all_members_asked_at_once_make_one_key() {
    for seed in 0..20 {
        let mut net = Net::new(3, 5, seed);
        for member in 1..=5 {
            net.request(
                member,
                u64::from(member),
                &Request::new(Kind::Keygen, member as u8),
            );
        }
        net.run(Duration::from_secs(21));
        let keys: Vec<_> = (1..=5)
            .map(|ticket| net.public_key(&net.answer(ticket).expect("an answer").clone()))
            .collect();
        assert!(keys.iter().all(|key| *key == keys[0]), "seed {seed}");
    }
}

#[test]
fn restarted_members_sign_with_what_they_kept() {
    let mut net = Net::new(2, 3, 4);
    let public = keygen(&mut net, 1, Scheme::Secp256k1);
    for member in 1..=3 {
        net.kill(MemberIndex(member));
        net.boot(MemberIndex(member));
    }
    net.run(Duration::from_secs(2));
    let mut request = Request::new(Kind::Sign, 1);
    request.issued += 10;
    let answer = net.ask(2, 2, &request);
    assert_eq!(net.public_key(&answer), public);
}

#[test]
fn requests_from_before_the_boot_are_refused() {
    let mut net = Net::new(2, 3, 4);
    keygen(&mut net, 1, Scheme::Secp256k1);
    net.run(Duration::from_secs(30));
    let request = Request::new(Kind::Sign, 1);
    for member in 2..=3 {
        net.kill(MemberIndex(member));
        net.boot(MemberIndex(member));
    }
    net.run(Duration::from_secs(2));
    assert_eq!(net.ask(2, 2, &request), Err(Refusal::IssuedAt(request.issued)));
    // The coordinator was there all the time, but the other two decide for themselves.
    assert_eq!(net.ask(1, 3, &request), Err(Refusal::IssuedAt(request.issued)));
}

#[test]
fn a_share_that_was_lost_comes_back() {
    for scheme in Scheme::ALL {
        let mut net = Net::new(3, 5, 5);
        let public = keygen(&mut net, 1, scheme);
        for member in [2, 4] {
            net.kill(MemberIndex(member));
            net.records.clear();
            net.boot(MemberIndex(member));
            net.run(Duration::from_secs(5));
            assert_eq!(net.members[&MemberIndex(member)].keys()[0].level, Level::Complete);
        }
        // Only with the two that were repaired is there a quorum.
        net.kill(MemberIndex(1));
        net.kill(MemberIndex(5));
        let mut request = Request::new(Kind::Sign, 1).scheme(scheme);
        request.issued += 100;
        let Ok(Response::Signature { signature, .. }) = net.ask(4, 2, &request) else {
            panic!("no signature");
        };
        assert!(verifies(scheme, &public, &request.message, &signature));
    }
}

#[test]
fn shares_are_refreshed_and_old_ones_are_gone() {
    for scheme in Scheme::ALL {
        let mut net = Net::new(2, 3, 6);
        let public = keygen(&mut net, 1, scheme);
        let before = net.records.clone();
        let refresh = Request::new(Kind::Refresh, 1).scheme(scheme);
        let answer = net.ask(2, 2, &refresh);
        assert_eq!(net.public_key(&answer), public);
        assert_eq!(net.ask(2, 3, &refresh), answer);
        net.run(Duration::from_secs(5));
        for member in net.members.values() {
            assert_eq!(
                (member.keys()[0].generation, member.keys()[0].level),
                (1, Level::Complete)
            );
        }
        let request = Request::new(Kind::Sign, 2).scheme(scheme);
        let Ok(Response::Signature { key, signature, .. }) = net.ask(3, 4, &request) else {
            panic!("no signature");
        };
        assert_eq!(key.generation, 1);
        assert!(verifies(scheme, &public, &request.message, &signature));
        // A member whose disk was set back is behind, and gets its new share by repair, where that is possible at all:
        // of three members with two to sign, the other two can.
        net.kill(MemberIndex(1));
        net.records
            .insert(MemberIndex(1), before[&MemberIndex(1)].clone());
        net.boot(MemberIndex(1));
        net.run(Duration::from_secs(5));
        assert_eq!(net.members[&MemberIndex(1)].keys()[0].generation, 1);
    }
}
