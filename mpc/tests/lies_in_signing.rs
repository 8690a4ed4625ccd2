//! Signers and coordinators that lie, repeat themselves, or are silent.

use std::time::Duration;

use jeju_mpc::identity::IdentityKey;
use jeju_mpc::member::{Event, Input, Response};
use jeju_mpc::message::Message;
use jeju_mpc::network::{MemberIndex, Scheme};
use jeju_mpc::refusal::Refusal;

mod support;

use support::{Fate, Kind, Net, Request, verifies};

const LIAR: MemberIndex = MemberIndex(3);

fn with_key(threshold: u16, members: u16, scheme: Scheme) -> (Net, [u8; 33]) {
    let mut net = Net::new(threshold, members, 9);
    let answer = net.ask(1, 1, &Request::new(Kind::Keygen, 200).scheme(scheme));
    let public = net.public_key(&answer);
    (net, public)
}

fn shares_given(net: &Net) -> usize {
    net.events
        .iter()
        .filter(|(_, event)| matches!(event, Event::ShareGiven { .. }))
        .count()
}

/// A member whose identity key the test knows: the real one is replaced in the eyes of the others.
fn take_over(net: &mut Net, liar: MemberIndex) -> IdentityKey {
    let key = IdentityKey::generate(&mut net.rng);
    let identity = key.public().to_bytes();
    net.members.remove(&liar);
    let others: Vec<_> = net.members.keys().copied().collect();
    for other in others {
        net.put(other, Input::Left { member: liar });
        net.put(
            other,
            Input::Admitted {
                member: liar,
                identity,
            },
        );
    }
    key
}

#[test]
fn a_bad_signature_share_is_named_and_others_sign() {
    for scheme in Scheme::ALL {
        let (mut net, public) = with_key(3, 5, scheme);
        net.filter = Some(Box::new(|from, _, message| match message {
            Message::SignShare { exchange, share } if from == LIAR => {
                let mut share = *share;
                share[31] ^= 1;
                Fate::Replace(vec![Message::SignShare {
                    exchange: *exchange,
                    share,
                }])
            }
            _ => Fate::Deliver,
        }));
        let mut named = false;
        for nonce in 0..10 {
            let mut request = Request::new(Kind::Sign, nonce).scheme(scheme);
            request.message = [nonce; 32];
            let Ok(Response::Signature {
                signature,
                signers,
                culprits,
                ..
            }) = net.ask(1, 10 + u64::from(nonce), &request)
            else {
                panic!("no signature");
            };
            assert!(verifies(scheme, &public, &request.message, &signature));
            assert!(!signers.contains(&LIAR));
            named |= culprits == [LIAR];
        }
        assert!(named);
        assert_eq!(net.blamed(), [LIAR]);
    }
}

#[test]
fn commitments_that_are_no_points_are_named() {
    let (mut net, _) = with_key(2, 3, Scheme::Secp256k1);
    net.filter = Some(Box::new(|from, _, message| match message {
        Message::SignCommit {
            exchange,
            commitments,
        } if from == LIAR => {
            let mut commitments = *commitments;
            commitments.binding = [0xFF; 33];
            Fate::Replace(vec![Message::SignCommit {
                exchange: *exchange,
                commitments,
            }])
        }
        _ => Fate::Deliver,
    }));
    for nonce in 0..6 {
        assert!(
            net.ask(1, 10 + u64::from(nonce), &Request::new(Kind::Sign, nonce))
                .is_ok()
        );
    }
    assert_eq!(net.blamed(), [LIAR]);
}

#[test]
fn with_too_many_liars_the_client_is_told_who_they_are() {
    let (mut net, _) = with_key(3, 3, Scheme::Secp256k1);
    net.filter = Some(Box::new(|from, _, message| match message {
        Message::SignShare { exchange, .. } if from == LIAR => Fate::Replace(vec![Message::SignShare {
            exchange: *exchange,
            share: [0xFF; 32],
        }]),
        _ => Fate::Deliver,
    }));
    assert_eq!(
        net.ask(1, 2, &Request::new(Kind::Sign, 1)),
        Err(Refusal::Misbehaved(vec![LIAR]))
    );
}

#[test]
fn silent_signers_are_replaced() {
    let (mut net, _) = with_key(3, 5, Scheme::Secp256k1);
    net.filter = Some(Box::new(|from, _, message| match message {
        Message::SignCommit { .. } if from == LIAR => Fate::Drop,
        Message::SignShare { .. } if from == MemberIndex(4) => Fate::Drop,
        _ => Fate::Deliver,
    }));
    for nonce in 0..6 {
        let answer = net.ask(1, 10 + u64::from(nonce), &Request::new(Kind::Sign, nonce));
        assert!(answer.is_ok(), "{answer:?}");
    }
    assert!(net.blamed().is_empty());
}

#[test]
fn a_finished_request_is_answered_again_here_and_refused_elsewhere() {
    let (mut net, _) = with_key(2, 3, Scheme::Secp256k1);
    let request = Request::new(Kind::Sign, 1);
    let first = net.ask(1, 2, &request);
    let given = shares_given(&net);
    assert_eq!(net.ask(1, 3, &request), first);
    assert_eq!(shares_given(&net), given);
    let Ok(Response::Signature { signers, .. }) = first else {
        panic!("no signature");
    };
    let other = signers.iter().find(|signer| **signer != MemberIndex(1)).unwrap();
    assert_eq!(net.ask(other.0, 4, &request), Err(Refusal::Replayed));
    assert_eq!(shares_given(&net), given);
    // Another request with its nonce.
    let mut second = request.clone();
    second.message = [0x55; 32];
    assert_eq!(net.ask(1, 5, &second), Err(Refusal::NonceUsed));
    assert_eq!(net.ask(other.0, 6, &second), Err(Refusal::NonceUsed));
    // When it has expired it is refused for that.
    net.run(Duration::from_secs(700));
    assert!(matches!(net.ask(1, 7, &request), Err(Refusal::Expired { .. })));
}

#[test]
fn the_same_request_twice_at_once_is_signed_once() {
    let (mut net, _) = with_key(2, 3, Scheme::Secp256k1);
    let request = Request::new(Kind::Sign, 1);
    net.request(1, 2, &request);
    net.request(1, 3, &request);
    let mut other = request.clone();
    other.message = [0x55; 32];
    net.request(1, 4, &other);
    net.run(Duration::from_secs(1));
    assert!(net.answer(2).unwrap().is_ok());
    assert_eq!(net.answer(2), net.answer(3));
    assert_eq!(net.answer(4), Some(&Err(Refusal::NonceUsed)));
    assert_eq!(shares_given(&net), 2);
}

/// A lie that a request was finished keeps nobody from signing it.
#[test]
fn a_false_end_is_not_believed() {
    let (mut net, public) = with_key(2, 2, Scheme::Secp256k1);
    net.filter = Some(Box::new(|from, _, message| match message {
        // The coordinator throws the share away and says that there is a signature.
        Message::SignShare { .. } if from == MemberIndex(2) => Fate::Drop,
        Message::SignPackage { exchange, .. } if from == MemberIndex(1) => Fate::Replace(vec![
            message.clone(),
            Message::SignDone {
                exchange: *exchange,
                signature: vec![2; 65],
            },
        ]),
        _ => Fate::Deliver,
    }));
    let request = Request::new(Kind::Sign, 1);
    net.request(1, 2, &request);
    net.run(Duration::from_millis(500));
    net.filter = None;
    let Ok(Response::Signature { signature, .. }) = net.ask(2, 3, &request) else {
        panic!("no signature");
    };
    assert!(verifies(Scheme::Secp256k1, &public, &request.message, &signature));
}

/// A request that failed at once and is asked again has its whole time.
#[test]
fn a_second_try_has_its_own_time() {
    let (mut net, _) = with_key(2, 3, Scheme::Secp256k1);
    net.kill(MemberIndex(2));
    net.kill(MemberIndex(3));
    let request = Request::new(Kind::Sign, 1);
    let no_quorum = Refusal::NoQuorum {
        reachable: 1,
        needed: 2,
    };
    assert_eq!(net.ask(1, 2, &request), Err(no_quorum));
    net.run(Duration::from_secs(19));
    net.boot(MemberIndex(2));
    net.run(Duration::from_millis(100));
    let mut request = request;
    request.issued += 50;
    net.filter = Some(Box::new(|_, _, message| match message {
        Message::SignCommit { .. } => Fate::Drop,
        _ => Fate::Deliver,
    }));
    net.request(1, 3, &request);
    net.run(Duration::from_secs(3));
    net.filter = None;
    net.run(Duration::from_secs(3));
    assert!(net.answer(3).is_some_and(|answer| answer.is_ok()));
}

#[test]
fn a_request_is_tried_sixteen_times_at_most() {
    let (mut net, _) = with_key(2, 2, Scheme::Secp256k1);
    net.filter = Some(Box::new(|from, _, message| match message {
        Message::SignShare { .. } if from == MemberIndex(2) => Fate::Drop,
        _ => Fate::Deliver,
    }));
    let request = Request::new(Kind::Sign, 1);
    let answers: Vec<_> = (0..4).map(|ticket| net.ask(1, 10 + ticket, &request)).collect();
    assert_eq!(answers[0], Err(Refusal::TimedOut));
    assert_eq!(answers[3], Err(Refusal::Replayed));
    assert_eq!(
        net.events
            .iter()
            .filter(|(by, event)| *by == MemberIndex(2) && matches!(event, Event::ShareGiven { .. }))
            .count(),
        16
    );
}

/// What a hostile coordinator may try with commitments that it got.
#[test]
fn nonces_serve_one_package_for_one_message() {
    let (mut net, _) = with_key(2, 3, Scheme::Secp256k1);
    let _key = take_over(&mut net, LIAR);
    net.run(Duration::from_secs(1));
    let info = &net.members[&MemberIndex(1)].keys()[0];
    let root = info.root;
    let request = Request::new(Kind::Sign, 1);
    let sharing = sharing_of(&mut net, MemberIndex(1));
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let sink = seen.clone();
    net.filter = Some(Box::new(move |_, to, message| {
        if to == LIAR {
            sink.borrow_mut().push(message.clone());
            return Fate::Drop;
        }
        Fate::Deliver
    }));
    let init = |exchange: u8, request: &Request| Message::SignInit {
        exchange: [exchange; 16],
        root,
        sharing,
        request: request.bytes(),
    };
    let ask = |net: &mut Net, message: Message| -> Vec<Message> {
        seen.borrow_mut().clear();
        net.inject(LIAR, MemberIndex(1), &message);
        net.run(Duration::ZERO);
        seen.borrow().clone()
    };
    let commitments = |answer: &[Message]| match answer {
        [Message::SignCommit { commitments, .. }] => *commitments,
        other => panic!("{other:?}"),
    };
    let package = |exchange: u8, message: [u8; 32], signers: Vec<_>| Message::SignPackage {
        exchange: [exchange; 16],
        message,
        commitments: signers,
    };
    let refused = |answer: Vec<Message>| matches!(answer.as_slice(), [Message::SignNo { .. }]);

    // The liar's own commitments are any two points.
    let first = commitments(&ask(&mut net, init(1, &request)));
    let both = |mine| vec![(MemberIndex(1), mine), (LIAR, first)];
    // The same start again gives the same commitments, not new ones.
    assert_eq!(commitments(&ask(&mut net, init(1, &request))), first);
    let answer = ask(&mut net, package(1, request.message, both(first)));
    assert!(
        matches!(answer.as_slice(), [Message::SignShare { .. }]),
        "{answer:?}"
    );
    // A second package, the same or another one, gets nothing; nor does a new start of that attempt.
    assert!(ask(&mut net, package(1, request.message, both(first))).is_empty());
    assert!(ask(&mut net, package(1, [9; 32], both(first))).is_empty());
    assert!(ask(&mut net, init(1, &request)).is_empty());

    // Another message than the request's; then the nonces are gone.
    let mine = commitments(&ask(&mut net, init(2, &request)));
    assert!(refused(ask(&mut net, package(2, [9; 32], both(mine)))));
    assert!(ask(&mut net, package(2, request.message, both(mine))).is_empty());
    // Other commitments than this signer's.
    commitments(&ask(&mut net, init(3, &request)));
    assert!(refused(ask(&mut net, package(3, request.message, both(first)))));
    // Too few signers, too many, one that isn't of the network.
    for (exchange, signers) in [
        (4, vec![]),
        (5, vec![(MemberIndex(2), first), (LIAR, first)]),
        (6, vec![(MemberIndex(9), first)]),
    ] {
        let mine = commitments(&ask(&mut net, init(exchange, &request)));
        let signers = [vec![(MemberIndex(1), mine)], signers].concat();
        assert!(refused(ask(
            &mut net,
            package(exchange, request.message, signers)
        )));
    }
    // Requests that the authority refuses, for another key, another sharing, or that aren't to sign.
    assert!(refused(ask(&mut net, init(7, &Request::new(Kind::Refused, 7)))));
    assert!(refused(ask(&mut net, init(8, &Request::new(Kind::Keygen, 8)))));
    assert!(refused(ask(
        &mut net,
        init(9, &Request::new(Kind::Sign, 9).scheme(Scheme::Taproot))
    )));
    let answer = ask(
        &mut net,
        Message::SignInit {
            exchange: [10; 16],
            root,
            sharing: [0; 32],
            request: Request::new(Kind::Sign, 10).bytes(),
        },
    );
    assert!(
        matches!(answer.as_slice(), [Message::Status { .. }, Message::SignNo { refusal, .. }] if *refusal == Refusal::ShareMissing)
    );
    let mut expired = Request::new(Kind::Sign, 11);
    expired.expires = support::START;
    assert!(refused(ask(&mut net, init(11, &expired))));
    let codes: Vec<_> = net
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Refused { code, from, .. } => {
                assert_eq!(*from, Some(LIAR));
                Some(*code)
            }
            _ => None,
        })
        .collect();
    let malformed = "mpc_request_malformed";
    let of_packages = [malformed; 5];
    let of_requests = [
        "mpc_not_allowed",
        malformed,
        malformed,
        "mpc_share_missing",
        "mpc_request_expired",
    ];
    assert_eq!(codes, [of_packages, of_requests].concat());
}

fn sharing_of(net: &mut Net, member: MemberIndex) -> [u8; 32] {
    let found = std::rc::Rc::new(std::cell::RefCell::new(None));
    let sink = found.clone();
    net.filter = Some(Box::new(move |from, _, message| {
        if let Message::Status { roots, .. } = message {
            if from == member {
                *sink.borrow_mut() = roots[0].marks.last().map(|mark| mark.session);
            }
            return Fate::Drop;
        }
        Fate::Deliver
    }));
    let asks = net
        .members
        .keys()
        .copied()
        .find(|other| *other != member)
        .unwrap();
    net.inject(asks, member, &Message::StatusQuery { nonce: [1; 16] });
    net.run(Duration::ZERO);
    net.filter = None;
    let session = *found.borrow();
    session.unwrap()
}

#[test]
fn members_without_a_fitting_answer_of_the_contract_refuse() {
    let (mut net, _) = with_key(2, 3, Scheme::Secp256k1);
    let mut request = Request::new(Kind::Sign, 1);
    request.contract = true;
    net.contract = false;
    assert_eq!(net.ask(1, 2, &request), Err(Refusal::Signature));
    assert_eq!(shares_given(&net), 0);
    net.contract = true;
    assert!(net.ask(1, 3, &request).is_ok());
}

#[test]
fn rubbish_is_ignored() {
    let (mut net, _) = with_key(2, 3, Scheme::Secp256k1);
    let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(77);
    for _ in 0..20_000 {
        let mut bytes = vec![0; 1 + rand_core::RngCore::next_u32(&mut rng) as usize % 200];
        rand_core::RngCore::fill_bytes(&mut rng, &mut bytes);
        bytes[0] %= 24;
        net.put(
            MemberIndex(1),
            Input::Message {
                from: LIAR,
                bytes: &bytes,
            },
        );
        net.put(
            MemberIndex(1),
            Input::Message {
                from: MemberIndex(9),
                bytes: &bytes,
            },
        );
        net.put(
            MemberIndex(1),
            Input::Message {
                from: MemberIndex(1),
                bytes: &bytes,
            },
        );
        net.put(
            MemberIndex(1),
            Input::Timer(rand_core::RngCore::next_u64(&mut rng)),
        );
    }
    net.run(Duration::from_secs(5));
    assert!(net.ask(1, 2, &Request::new(Kind::Sign, 1)).is_ok());
    assert!(net.blamed().is_empty());
}
