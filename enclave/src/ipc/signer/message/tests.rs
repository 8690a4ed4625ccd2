use jeju_shim_protocol::blob::MAX_PAGE;
use jeju_store::MAX_BLOB;

use super::super::MAX_CODE;
use super::*;

fn to_signer() -> Vec<ToSigner> {
    let evidence = PeerEvidence {
        role: PeerRole::Client,
        channel: [3; 32],
        bundle: b"{}".to_vec(),
        measurement: MeasurementStatus::Unreadable,
    };
    let answer = |reply| ToSigner::BlobAnswer { id: 9, reply };
    let names = |more| BlobReply::Names {
        leaves: vec!["a".into(), "b-1".into()],
        more,
    };
    vec![
        ToSigner::Time { lower: 1, upper: 2 },
        ToSigner::PeerOpened { connection: 7 },
        ToSigner::PeerEvidence {
            connection: 7,
            evidence,
        },
        ToSigner::PeerBytes {
            connection: 7,
            bytes: vec![1, 2, 3],
        },
        ToSigner::PeerClosed { connection: 7 },
        ToSigner::Request {
            ticket: 8,
            bytes: b"{}".to_vec(),
        },
        ToSigner::ContractAnswer {
            query: 1,
            valid: true,
        },
        answer(Some(BlobReply::Blob(vec![1]))),
        answer(Some(BlobReply::Missing)),
        answer(Some(BlobReply::Done)),
        answer(Some(names(false))),
        answer(Some(names(true))),
        answer(None),
        ToSigner::StatusQuery { ticket: 4 },
        ToSigner::ConfigurationsQuery {
            ticket: 4,
            from: None,
        },
        ToSigner::ConfigurationsQuery {
            ticket: 4,
            from: Some(7),
        },
    ]
}

fn from_signer() -> Vec<FromSigner> {
    let blob = |op| FromSigner::Blob { id: 1, op };
    let list = |after: Option<&str>| BlobOp::List {
        space: "signer".into(),
        after: after.map(str::to_owned),
    };
    vec![
        FromSigner::Keys {
            identity: [2; 33],
            channel: [3; 32],
        },
        FromSigner::Nonce {
            connection: 1,
            nonce: [4; 32],
        },
        FromSigner::Admitted {
            connection: 1,
            member: 3,
        },
        FromSigner::NotAdmitted {
            connection: 1,
            code: "mpc_peer_unknown".into(),
        },
        FromSigner::PeerSend {
            connection: 1,
            bytes: vec![9; 40],
        },
        FromSigner::Answer {
            ticket: 1,
            document: b"{}".to_vec(),
        },
        FromSigner::AskContract {
            query: 1,
            account: [1; 20],
            digest: [2; 32],
            signature: vec![5; 65],
        },
        blob(BlobOp::Get { name: "s/a".into() }),
        blob(BlobOp::Put {
            name: "s/a".into(),
            blob: vec![1, 2],
        }),
        blob(list(None)),
        blob(list(Some("a"))),
        blob(BlobOp::Delete { name: "s/a".into() }),
        FromSigner::Status {
            ticket: 1,
            document: vec![],
        },
    ]
}

fn frame((kind, body): (u8, Vec<u8>)) -> Frame {
    Frame { kind, body }
}

#[test]
fn messages_round_trip() {
    for message in to_signer() {
        assert_eq!(ToSigner::parse(&frame(message.encode())), Some(message));
    }
    for message in from_signer() {
        assert_eq!(FromSigner::parse(&frame(message.encode())), Some(message));
    }
}

/// Cut or lengthened, a message is none, or another one that is encoded in just these bytes.
#[test]
fn no_message_has_two_spellings() {
    let spellings = |frame: &Frame| {
        if let Some(message) = ToSigner::parse(frame) {
            assert_eq!(message.encode(), (frame.kind, frame.body.clone()));
        }
        if let Some(message) = FromSigner::parse(frame) {
            assert_eq!(message.encode(), (frame.kind, frame.body.clone()));
        }
    };
    let frames = to_signer().into_iter().map(|m| m.encode());
    for frame in frames
        .chain(from_signer().into_iter().map(|m| m.encode()))
        .map(frame)
    {
        for length in 0..frame.body.len() {
            let body = frame.body[..length].to_vec();
            spellings(&Frame {
                kind: frame.kind,
                body,
            });
        }
        let body = [&frame.body[..], &[0]].concat();
        spellings(&Frame {
            kind: frame.kind,
            body,
        });
        for at in 0..frame.body.len() {
            let mut body = frame.body.clone();
            body[at] ^= 0xFF;
            spellings(&Frame {
                kind: frame.kind,
                body,
            });
        }
    }
}

#[test]
fn the_directions_do_not_mix() {
    for message in to_signer() {
        assert_eq!(FromSigner::parse(&frame(message.encode())), None);
    }
    for message in from_signer() {
        assert_eq!(ToSigner::parse(&frame(message.encode())), None);
    }
}

#[test]
fn what_is_too_long_or_not_of_the_form_is_refused() {
    let to = |message: ToSigner| ToSigner::parse(&frame(message.encode()));
    let from = |message: FromSigner| FromSigner::parse(&frame(message.encode()));
    assert_eq!(to(ToSigner::Time { lower: 2, upper: 1 }), None);
    let bytes = vec![0; MAX_REQUEST + 1];
    assert_eq!(to(ToSigner::Request { ticket: 1, bytes }), None);
    let bytes = vec![0; MAX_PEER_BYTES + 1];
    assert_eq!(to(ToSigner::PeerBytes { connection: 1, bytes }), None);
    let leaves = vec!["a".into(); MAX_PAGE + 1];
    let reply = Some(BlobReply::Names { leaves, more: true });
    assert_eq!(to(ToSigner::BlobAnswer { id: 1, reply }), None);
    let reply = Some(BlobReply::Blob(vec![0; MAX_BLOB + 1]));
    assert_eq!(to(ToSigner::BlobAnswer { id: 1, reply }), None);
    for name in [
        "",
        "a",
        "../a",
        "s/A",
        "a/b/c",
        "a/\0",
        "/a",
        "a/",
        &format!("s/{}", "a".repeat(97)),
    ] {
        let op = BlobOp::Get { name: name.into() };
        assert_eq!(from(FromSigner::Blob { id: 1, op }), None, "{name:?}");
    }
    for space in ["", "a/b", "."] {
        let space = space.to_owned();
        let op = BlobOp::List { space, after: None };
        assert_eq!(from(FromSigner::Blob { id: 1, op }), None);
    }
    for code in ["", "Code", "a b", &"a".repeat(MAX_CODE + 1)] {
        let code = code.to_owned();
        assert_eq!(from(FromSigner::NotAdmitted { connection: 1, code }), None);
    }
    assert_eq!(
        ToSigner::parse(&Frame {
            kind: 7,
            body: [0, 0, 0, 0, 0, 0, 0, 0, 2].into()
        }),
        None
    );
    assert_eq!(
        ToSigner::parse(&Frame {
            kind: 0,
            body: vec![]
        }),
        None
    );
    assert_eq!(
        FromSigner::parse(&Frame {
            kind: 0x8A,
            body: vec![]
        }),
        None
    );
}
