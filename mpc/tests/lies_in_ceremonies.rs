//! Members that lie while keys are made, refreshed or repaired.

use std::time::Duration;

use jeju_mpc::identity::IdentityKey;
use jeju_mpc::member::Event;
use jeju_mpc::message::{Message, Proof, Secret, Signed, Statement};
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

/// The liar's statements are signed again by a key that the others know as its own.
fn lying_ceremony(
    kind: Kind,
    lie: impl Fn(&IdentityKey, MemberIndex, &Statement, &mut rand_chacha::ChaCha20Rng) -> Option<Statement>
    + 'static,
) -> Net {
    let mut net = Net::new(2, 3, 11);
    if kind == Kind::Refresh {
        assert!(net.ask(1, 1, &Request::new(Kind::Keygen, 200)).is_ok());
    }
    let twin = net.reboot_with(LIAR, 1);
    net.run(Duration::from_secs(3));
    let genesis = net.network.genesis;
    let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(5);
    net.filter = Some(Box::new(move |from, to, message| match message {
        Message::Signed(signed) if from == LIAR => match lie(&twin, to, &signed.statement, &mut rng) {
            Some(statement) => Fate::Replace(vec![Message::Signed(Signed::new(
                &twin, &genesis, LIAR, statement, &mut rng,
            ))]),
            None => Fate::Deliver,
        },
        _ => Fate::Deliver,
    }));
    let mut request = Request::new(kind, 1);
    request.issued += 100;
    let answer = net.ask(1, 2, &request);
    assert_eq!(answer, Err(Refusal::Misbehaved(vec![LIAR])));
    net.run(Duration::from_secs(10));
    assert_eq!(net.blamed(), [LIAR]);
    for member in net.members.values() {
        assert!(member.keys().iter().all(|key| key.generation == 0));
    }
    net
}

#[test]
fn two_first_packages_are_named() {
    for kind in [Kind::Keygen, Kind::Refresh] {
        // To member 2 goes another good package.
        let name = frost_secp256k1::Identifier::try_from(LIAR.0).unwrap();
        let (_, other) = match kind {
            Kind::Keygen => frost_secp256k1::keys::dkg::part1(name, 3, 2, rand_core::OsRng).unwrap(),
            _ => frost_core::keys::refresh::refresh_dkg_part1(name, 3, 2, rand_core::OsRng).unwrap(),
        };
        let other = other.serialize().unwrap();
        let net = lying_ceremony(kind, move |_, to, statement, _| match statement {
            Statement::Round1 { session, .. } if to == MemberIndex(2) => Some(Statement::Round1 {
                session: *session,
                package: other.clone(),
            }),
            _ => None,
        });
        let both_know = [1, 2].iter().all(|member| {
            net.events.iter().any(|(by, event)| {
                *by == MemberIndex(*member)
                    && matches!(
                        event,
                        Event::Blamed {
                            member: LIAR,
                            fault: "signed two different statements"
                        }
                    )
            })
        });
        assert!(both_know);
    }
}

fn other_package(package: &[u8]) -> Vec<u8> {
    let mut other = package.to_vec();
    let last = other.len() - 1;
    other[last] ^= 1;
    other
}

#[test]
fn a_bad_first_package_is_named() {
    let net = lying_ceremony(Kind::Keygen, |_, _, statement, _| match statement {
        Statement::Round1 { session, package } => Some(Statement::Round1 {
            session: *session,
            package: other_package(package),
        }),
        _ => None,
    });
    assert!(net.events.iter().any(|(_, event)| matches!(
        event,
        Event::Blamed {
            fault: "bad package in the first round",
            ..
        }
    )));
}

#[test]
fn a_bad_second_share_is_named_to_all() {
    for kind in [Kind::Keygen, Kind::Refresh] {
        let net = lying_ceremony(kind, |_, to, statement, _| match statement {
            Statement::Round2 { session, .. } if to == MemberIndex(2) => Some(Statement::Round2 {
                session: *session,
                to,
                share: Secret::new([1; 32]),
            }),
            _ => None,
        });
        // Member 1 got a good share, and knows by the proof.
        assert!(net.events.iter().any(|(by, event)| *by == MemberIndex(1)
            && matches!(
                event,
                Event::Blamed {
                    fault: "bad share in the second round",
                    ..
                }
            )));
    }
}

#[test]
fn a_commit_to_another_key_is_named() {
    lying_ceremony(Kind::Keygen, |_, _, statement, _| match statement {
        Statement::Commit {
            session, commitments, ..
        } => Some(Statement::Commit {
            session: *session,
            digest: [1; 32],
            commitments: *commitments,
        }),
        _ => None,
    });
}

#[test]
fn a_false_echo_is_named() {
    lying_ceremony(Kind::Keygen, |_, _, statement, _| match statement {
        Statement::Echo { session, .. } => Some(Statement::Echo {
            session: *session,
            digest: [1; 32],
        }),
        _ => None,
    });
}

/// Other commitments to member 2 than to member 1: neither of these two is taken for the liar.
#[test]
fn two_commits_are_named() {
    for kind in [Kind::Keygen, Kind::Refresh] {
        let point = secp256k1::PublicKey::from_secret_key(
            &secp256k1::Secp256k1::new(),
            &secp256k1::SecretKey::from_byte_array([3; 32]).unwrap(),
        );
        let net = lying_ceremony(kind, move |_, to, statement, _| match statement {
            Statement::Commit {
                session,
                digest,
                commitments,
            } if to == MemberIndex(2) => {
                let mut commitments = *commitments;
                commitments.hiding = point.serialize();
                Some(Statement::Commit {
                    session: *session,
                    digest: *digest,
                    commitments,
                })
            }
            _ => None,
        });
        assert!(net.events.iter().any(|(by, event)| *by == MemberIndex(1)
            && matches!(
                event,
                Event::Blamed {
                    fault: "signed two different statements",
                    ..
                }
            )));
    }
}

/// A liar that shows that all have their shares harms nobody; one that doesn't is named.
#[test]
fn a_bad_test_share_is_named() {
    for silent in [false, true] {
        let mut net = Net::new(2, 3, 14);
        net.filter = Some(Box::new(move |from, _, message| match message {
            Message::TestShare { session, commits, .. } if from == LIAR => {
                Fate::Replace(vec![Message::TestShare {
                    session: *session,
                    commits: *commits,
                    share: [1; 32],
                }])
            }
            Message::Evidence(_) if from == LIAR && silent => Fate::Drop,
            _ => Fate::Deliver,
        }));
        net.request(1, 1, &Request::new(Kind::Keygen, 1));
        net.run(Duration::from_secs(30));
        match silent {
            true => assert_eq!(net.blamed(), [LIAR]),
            false => {
                assert!(net.answer(1).unwrap().is_ok() && net.blamed().iter().all(|named| *named == LIAR))
            }
        }
    }
}

#[test]
fn false_proofs_blame_nobody() {
    let mut net = Net::new(2, 3, 12);
    let twin = net.reboot_with(LIAR, 1);
    net.run(Duration::from_secs(1));
    let genesis = net.network.genesis;
    let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(5);
    net.filter = Some(Box::new(move |from, _, message| match message {
        Message::Signed(signed) if from == LIAR && matches!(signed.statement, Statement::Echo { .. }) => {
            let session = *signed.statement.session();
            let forged = |statement, rng: &mut rand_chacha::ChaCha20Rng| {
                let mut forged = Signed::new(&twin, &genesis, LIAR, statement, rng);
                forged.sender = MemberIndex(1);
                Box::new(forged)
            };
            let round1 = |package: Vec<u8>| Statement::Round1 { session, package };
            let proofs = [
                Proof::Equivocation(
                    forged(round1(vec![1]), &mut rng),
                    forged(round1(vec![2]), &mut rng),
                ),
                Proof::BadPackage(forged(round1(vec![1]), &mut rng)),
            ];
            Fate::Replace(
                proofs
                    .into_iter()
                    .map(|proof| Message::Abort {
                        session,
                        proof: Some(proof),
                    })
                    .collect(),
            )
        }
        _ => Fate::Deliver,
    }));
    assert_eq!(
        net.ask(1, 2, &Request::new(Kind::Keygen, 1)),
        Err(Refusal::TimedOut)
    );
    assert!(net.blamed().is_empty());
}

#[test]
fn a_wrong_share_in_a_repair_is_noticed_and_others_help() {
    let (mut net, public) = with_key(2, 4, Scheme::Secp256k1);
    net.filter = Some(Box::new(|from, _, message| match message {
        Message::RepairSigma { exchange, .. } if from == LIAR => Fate::Replace(vec![Message::RepairSigma {
            exchange: *exchange,
            sigma: Secret::new([1; 32]),
        }]),
        Message::RepairDelta { exchange, lost, .. } if from == MemberIndex(2) => {
            Fate::Replace(vec![Message::RepairDelta {
                exchange: *exchange,
                lost: *lost,
                delta: Secret::new([1; 32]),
            }])
        }
        _ => Fate::Deliver,
    }));
    net.kill(MemberIndex(4));
    net.records.remove(&MemberIndex(4));
    net.boot(MemberIndex(4));
    net.run(Duration::from_secs(15));
    // With two of three helpers lying in every try but none, nothing wrong is taken over.
    assert!(net.members[&MemberIndex(4)].keys().is_empty());
    net.filter = Some(Box::new(|from, _, message| match message {
        Message::RepairSigma { .. } if from == LIAR => Fate::Drop,
        _ => Fate::Deliver,
    }));
    net.run(Duration::from_secs(60));
    assert_eq!(net.members[&MemberIndex(4)].keys()[0].public_key, root_key(&net));
    let _ = public;
}

fn root_key(net: &Net) -> [u8; 33] {
    net.members[&MemberIndex(1)].keys()[0].public_key
}
