use super::*;
use crate::network::MAX_MEMBERS;
use crate::wire::WireError;

fn samples() -> Vec<Message> {
    let mark = Mark {
        level: Level::Active,
        generation: 3,
        session: [1; 32],
    };
    let commitments = Commitments {
        hiding: [2; 33],
        binding: [3; 33],
    };
    let signed = |statement| Signed {
        sender: MemberIndex(2),
        statement,
        signature: [9; 65],
    };
    let round1 = || {
        Box::new(signed(Statement::Round1 {
            session: [4; 32],
            package: vec![1, 2, 3],
        }))
    };
    let round2 = Box::new(signed(Statement::Round2 {
        session: [4; 32],
        to: MemberIndex(3),
        share: Secret::new([0xA5; 32]),
    }));
    let evidence = Evidence {
        scheme: Scheme::Taproot,
        root: RootId([5; 32]),
        generation: 1,
        session: [6; 32],
        digest: [7; 32],
        signature: vec![8; 64],
    };
    vec![
        Message::StatusQuery { nonce: [1; 16] },
        Message::Status {
            nonce: [0; 16],
            all: true,
            roots: vec![Standing {
                root: RootId([5; 32]),
                scheme: Scheme::Secp256k1,
                marks: vec![mark],
            }],
        },
        Message::Evidence(evidence.clone()),
        Message::Start(Start {
            kind: CeremonyKind::Refresh,
            scheme: Scheme::Taproot,
            root: RootId([5; 32]),
            generation: 2,
            attempt: 1,
            seed: [3; 32],
            session: [4; 32],
            request: b"{}".to_vec(),
        }),
        Message::Decline {
            session: [4; 32],
            reason: Decline::View,
        },
        Message::Decline {
            session: [4; 32],
            reason: Decline::Refused(Refusal::TooOften { seconds: 9 }),
        },
        Message::Decline {
            session: [4; 32],
            reason: Decline::Refused(Refusal::StateOld),
        },
        Message::Signed(*round1()),
        Message::Signed(signed(Statement::Echo {
            session: [4; 32],
            digest: [5; 32],
        })),
        Message::Signed(*round2.clone()),
        Message::Signed(signed(Statement::Commit {
            session: [4; 32],
            digest: [5; 32],
            commitments,
        })),
        Message::Round1Set {
            session: [4; 32],
            set: vec![*round1()],
        },
        Message::TestShare {
            session: [4; 32],
            commits: [5; 32],
            share: [1; 32],
        },
        Message::Abort {
            session: [4; 32],
            proof: None,
        },
        Message::Abort {
            session: [4; 32],
            proof: Some(Proof::Equivocation(round1(), round1())),
        },
        Message::Abort {
            session: [4; 32],
            proof: Some(Proof::BadPackage(round1())),
        },
        Message::Abort {
            session: [4; 32],
            proof: Some(Proof::BadShare {
                round1: round1(),
                round2,
            }),
        },
        Message::SignInit {
            exchange: [1; 16],
            root: RootId([5; 32]),
            sharing: [6; 32],
            request: vec![7; 100],
        },
        Message::SignCommit {
            exchange: [1; 16],
            commitments,
        },
        Message::SignPackage {
            exchange: [1; 16],
            message: [2; 32],
            commitments: vec![(MemberIndex(1), commitments), (MemberIndex(3), commitments)],
        },
        Message::SignShare {
            exchange: [1; 16],
            share: [2; 32],
        },
        Message::SignNo {
            exchange: [1; 16],
            refusal: Refusal::PolicyVersion { given: 1, current: 2 },
        },
        Message::SignDone {
            exchange: [1; 16],
            signature: vec![1; 65],
        },
        Message::RepairQuery {
            exchange: [1; 16],
            root: RootId([5; 32]),
            sharing: [6; 32],
        },
        Message::RepairOffer {
            exchange: [1; 16],
            evidence,
            level: Level::Complete,
            package: vec![3; 100],
        },
        Message::RepairBegin {
            exchange: [1; 16],
            root: RootId([5; 32]),
            sharing: [6; 32],
            helpers: vec![MemberIndex(1), MemberIndex(2)],
        },
        Message::RepairDelta {
            exchange: [1; 16],
            lost: MemberIndex(3),
            delta: Secret::new([0xA5; 32]),
        },
        Message::RepairSigma {
            exchange: [1; 16],
            sigma: Secret::new([0xA5; 32]),
        },
        Message::PolicySet {
            exchange: [1; 16],
            request: vec![1],
        },
        Message::PolicyKept { exchange: [1; 16] },
        Message::PolicyNo {
            exchange: [1; 16],
            refusal: Refusal::Misbehaved(vec![MemberIndex(4)]),
        },
        Message::PolicyIndexQuery {
            after: KeyId([1; 32]),
        },
        Message::PolicyIndex {
            after: KeyId([1; 32]),
            entries: vec![(KeyId([2; 32]), 7), (KeyId([3; 32]), 1)],
            more: true,
        },
        Message::PolicyFetch { key: KeyId([1; 32]) },
        Message::PolicyShown { document: vec![1, 2] },
        Message::MarkQuery,
        Message::MarkShown { mark: None },
        Message::MarkShown { mark: Some([8; 72]) },
        Message::MarkTell { mark: [9; 72] },
        Message::ConfigurationQuery { number: 0 },
        Message::ConfigurationAt { number: 7 },
        Message::ConfigurationShown {
            proposal: b"{}".to_vec(),
            approval: [3; 65],
        },
    ]
}

#[test]
fn every_message_comes_back() {
    for message in samples() {
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
}

/// Also that a cut or longer message is refused, and that what is accepted is the one encoding of what it says.
#[test]
fn damaged_messages_are_refused_or_mean_themselves() {
    for message in samples() {
        let bytes = message.encode();
        for end in 0..bytes.len() {
            assert!(
                Message::decode(&bytes[..end]).is_err(),
                "{message:?} cut at {end}"
            );
        }
        let mut long = bytes.to_vec();
        long.push(0);
        assert_eq!(Message::decode(&long), Err(WireError::Trailing));
        for at in 0..bytes.len().min(200) {
            for bit in [0x01, 0x80] {
                let mut damaged = bytes.to_vec();
                damaged[at] ^= bit;
                if let Ok(read) = Message::decode(&damaged) {
                    assert!(
                        matches!(read, Message::SignNo { .. } | Message::PolicyNo { .. })
                            || *read.encode() == damaged
                    );
                }
            }
        }
    }
}

#[test]
fn the_longest_status_fits() {
    let mark = |level| Mark {
        level,
        generation: u32::MAX,
        session: [1; 32],
    };
    let standing = Standing {
        root: RootId([5; 32]),
        scheme: Scheme::Secp256k1,
        marks: [Level::Pending, Level::Active, Level::Confirmed]
            .map(mark)
            .to_vec(),
    };
    let status = Message::Status {
        nonce: [1; 16],
        all: true,
        roots: vec![standing; MAX_ROOTS],
    };
    assert_eq!(Message::decode(&status.encode()), Ok(status));
}

#[test]
fn limits_and_order() {
    let commitments = Commitments {
        hiding: [2; 33],
        binding: [3; 33],
    };
    for members in [[2, 1], [1, 1]] {
        let package = Message::SignPackage {
            exchange: [0; 16],
            message: [0; 32],
            commitments: members.map(|member| (MemberIndex(member), commitments)).to_vec(),
        };
        assert_eq!(
            Message::decode(&package.encode()),
            Err(WireError::Value("order of members"))
        );
    }
    for member in [0, MAX_MEMBERS + 1] {
        let delta = Message::RepairDelta {
            exchange: [0; 16],
            lost: MemberIndex(member),
            delta: Secret::new([0; 32]),
        };
        assert_eq!(Message::decode(&delta.encode()), Err(WireError::Value("member")));
    }
    let long = Message::PolicySet {
        exchange: [0; 16],
        request: vec![0; MAX_REQUEST + 1],
    };
    assert_eq!(
        Message::decode(&long.encode()),
        Err(WireError::TooLong("request"))
    );
    assert_eq!(
        Message::decode(&vec![0; crate::member::MAX_MESSAGE + 1]),
        Err(WireError::TooLong("message"))
    );
}

#[test]
fn secrets_are_not_printed() {
    for message in samples() {
        let text = format!("{message:?}");
        assert!(!text.contains("165, 165") && !text.contains("a5a5"), "{text}");
    }
}
