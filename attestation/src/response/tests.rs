use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::*;

mod worker;

struct Map(Vec<(String, String)>);

impl Headers for Map {
    fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(key, _)| key == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[42; 32]).unwrap()
}

fn public() -> [u8; 32] {
    key().public_key().as_ref().try_into().unwrap()
}

fn sign(message: &[u8]) -> [u8; 64] {
    key().sign(message).as_ref().try_into().unwrap()
}

fn request() -> RequestFields {
    RequestFields {
        method: "POST".into(),
        path: "/v1/chat/completions".into(),
        query: "?".into(),
        body_sha256: sha256(b"prompt"),
        nonce: Some([5; 32]),
    }
}

fn fields(body: Option<&[u8]>) -> ResponseFields {
    ResponseFields {
        status: 200,
        content_type: "application/json".into(),
        body_sha256: body.map(sha256),
        request_sha256: sha256(b"prompt"),
        nonce: [5; 32],
        channel: [6; 32],
        evidence: EvidenceReference {
            digest: [7; 32],
            epoch: 3,
            tee: Tee::Simulated,
        },
        worker: None,
        created: 1_800_000_000,
        key: public(),
    }
}

fn session() -> Session {
    Session {
        key: public(),
        tee: Tee::Simulated,
        epoch: 3,
        channel: Some([6; 32]),
    }
}

fn headers(fields: &ResponseFields) -> Map {
    let signature = sign(&fields.signature_base(&request()));
    let mut map: Vec<_> = fields
        .headers(&signature)
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect();
    map.push(("content-type".into(), fields.content_type.clone()));
    Map(map)
}

/// The base as RFC 9421 §2.5 builds it, written out by hand.
#[test]
fn golden_signature_base() {
    let base = String::from_utf8(fields(Some(b"answer")).signature_base(&request())).unwrap();
    assert_eq!(
        base,
        include_str!("../../tests/vectors/signature-base.txt").trim_end()
    );
}

#[test]
fn a_signed_response_verifies() {
    let head = verify_head(&request(), 200, &headers(&fields(Some(b"answer"))), &session());
    assert_eq!(head, Ok(VerifiedHead::Body(sha256(b"answer"))));
    let no_tls_end_here = Session {
        channel: None,
        ..session()
    };
    assert!(
        verify_head(
            &request(),
            200,
            &headers(&fields(Some(b"answer"))),
            &no_tls_end_here
        )
        .is_ok()
    );
}

#[test]
fn each_changed_part_is_refused() {
    let good = fields(Some(b"answer"));
    let verify = |map: Map| verify_head(&request(), 200, &map, &session());
    let set = |name: &str, value: &str| {
        let mut map = headers(&good);
        map.0.iter_mut().find(|(key, _)| key == name).unwrap().1 = value.to_owned();
        verify(map)
    };
    assert_eq!(
        verify(Map(vec![])),
        Err(Rejection::HeaderMissing(header::SIGNATURE_INPUT))
    );
    for name in [
        "jeju-request-digest",
        "jeju-nonce",
        "jeju-channel",
        "jeju-evidence",
        "signature",
        "content-type",
    ] {
        let mut map = headers(&good);
        map.0.retain(|(key, _)| key != name);
        assert!(matches!(verify(map), Err(Rejection::HeaderMissing(_))), "{name}");
    }
    assert_eq!(set("content-type", "text/html"), Err(Rejection::Signature));
    assert_eq!(
        set("content-digest", &digest(&[1; 32])),
        Err(Rejection::Signature)
    );
    assert_eq!(set("jeju-channel", &binary(&[1; 32])), Err(Rejection::Signature));
    assert_eq!(
        set("signature", &format!("jeju={}", binary(&[1; 64]))),
        Err(Rejection::Signature)
    );
    assert_eq!(
        set("signature", "jeju=:AA==:"),
        Err(Rejection::HeaderMalformed("signature"))
    );
    assert_eq!(
        set("jeju-nonce", ":AA==:"),
        Err(Rejection::HeaderMalformed("jeju-nonce"))
    );
    assert_eq!(
        set("jeju-evidence", "sha-256=:AA==:"),
        Err(Rejection::HeaderMalformed("jeju-evidence"))
    );
    assert_eq!(
        verify_head(&request(), 201, &headers(&good), &session()),
        Err(Rejection::Signature)
    );
}

#[test]
fn covered_components_are_not_the_messages_to_choose() {
    let good = fields(Some(b"answer"));
    let mut map = headers(&good);
    let input = map
        .0
        .iter_mut()
        .find(|(key, _)| key == header::SIGNATURE_INPUT)
        .unwrap();
    input.1 = input.1.replace("\"content-digest\" ", "");
    assert_eq!(
        verify_head(&request(), 200, &map, &session()),
        Err(Rejection::HeaderMalformed(header::SIGNATURE_INPUT))
    );
    // A response whose digest was cut out together with its coverage is taken for a stream, and then has no end.
    let mut map = headers(&good);
    map.0.retain(|(key, _)| key != header::CONTENT_DIGEST);
    assert!(verify_head(&request(), 200, &map, &session()).is_err());
}

#[test]
fn responses_for_others_are_refused() {
    let good = headers(&fields(Some(b"answer")));
    let with =
        |request: RequestFields, session: Session| verify_head(&request, 200, &good, &session).unwrap_err();
    assert_eq!(
        with(
            RequestFields {
                path: "/v1/models".into(),
                ..request()
            },
            session()
        ),
        Rejection::Signature
    );
    assert_eq!(
        with(
            RequestFields {
                body_sha256: [1; 32],
                ..request()
            },
            session()
        ),
        Rejection::OtherRequest("body")
    );
    assert_eq!(
        with(
            RequestFields {
                nonce: Some([1; 32]),
                ..request()
            },
            session()
        ),
        Rejection::OtherRequest("nonce")
    );
    assert_eq!(
        with(
            request(),
            Session {
                channel: Some([1; 32]),
                ..session()
            }
        ),
        Rejection::OtherChannel
    );
    assert_eq!(
        with(
            request(),
            Session {
                key: [1; 32],
                ..session()
            }
        ),
        Rejection::OtherKey
    );
    assert_eq!(
        with(
            request(),
            Session {
                epoch: 4,
                ..session()
            }
        ),
        Rejection::HeaderMalformed("jeju-evidence")
    );
}

const EVENTS: &str = "data: {\"choices\":[]}\n\n: ka\n\ndata: {\"x\":1}\n\n";

fn stream_end(body: &str) -> String {
    let end = StreamEnd {
        body_sha256: sha256(body.as_bytes()),
        len: body.len() as u64,
        start: [9; 32],
        reason: EndReason::Stop,
    };
    end.render(&sign(&end.signature_base()))
}

fn run(stream: &str, step: usize) -> Result<(String, EndReason), Rejection> {
    let mut verifier = StreamVerifier::new(public(), [9; 32]);
    let mut passed = Vec::new();
    for chunk in stream.as_bytes().chunks(step) {
        passed.extend(verifier.push(chunk)?);
    }
    Ok((String::from_utf8(passed).unwrap(), verifier.finish()?))
}

#[test]
fn a_whole_stream_passes_unchanged_in_any_chunks() {
    let stream = format!("{EVENTS}{}data: [DONE]\n\n", stream_end(EVENTS));
    for step in [1, 2, 3, 7, 4096] {
        assert_eq!(
            run(&stream, step),
            Ok((stream.clone(), EndReason::Stop)),
            "step {step}"
        );
    }
}

#[test]
fn cut_and_forged_streams_are_refused() {
    let end = stream_end(EVENTS);
    assert_eq!(
        run(&format!("{EVENTS}data: [DONE]\n\n"), 10),
        Err(Rejection::StreamUnsigned)
    );
    assert_eq!(
        run(&format!("{EVENTS}data:[DONE]\n\n"), 10),
        Err(Rejection::StreamUnsigned)
    );
    assert_eq!(
        run(&format!("{EVENTS}id: 1\ndata: [DONE]\n\n"), 10),
        Err(Rejection::StreamUnsigned)
    );
    assert_eq!(
        run(&format!("{EVENTS}id: 1\rdata: [DONE]\n\n"), 10),
        Err(Rejection::StreamUnsigned)
    );
    assert_eq!(run(EVENTS, 10), Err(Rejection::StreamUnsigned));
    assert_eq!(run(&format!("{EVENTS}{end}"), 10), Err(Rejection::StreamUnsigned));
    assert_eq!(
        run(&format!("{EVENTS}{end}data: [DONE]\n\ndata: more\n\n"), 10),
        Err(Rejection::StreamTrailing)
    );
    assert_eq!(
        run(&format!("{EVENTS}{end}data: [DONE]\n\nx"), 10),
        Err(Rejection::StreamTrailing)
    );
    assert_eq!(
        run(&format!("{EVENTS}{end}data: x\n\ndata: [DONE]\n\n"), 10),
        Err(Rejection::StreamTrailing)
    );
    assert_eq!(
        run(&format!("{EVENTS}data: y\n\n{end}"), 10),
        Err(Rejection::StreamDigest)
    );
    assert_eq!(
        run(&format!("{}{end}", EVENTS.replace("x", "y")), 10),
        Err(Rejection::StreamDigest)
    );
    assert_eq!(
        run(&format!("{EVENTS}{}", end.replace("\"stop\"", "\"length\"")), 10),
        Err(Rejection::StreamSignature)
    );
    assert_eq!(
        run(&format!("{EVENTS}{}", end.replace("v=1", "v=2")), 10),
        Err(Rejection::StreamEndMalformed)
    );
    assert_eq!(
        run(&format!("{EVENTS}: jeju-sig \n\n"), 10),
        Err(Rejection::StreamEndMalformed)
    );
    let endless = "x".repeat(MAX_EVENT_LEN + 1);
    assert_eq!(
        run(&endless, 4096),
        Err(Rejection::StreamEventTooLong(MAX_EVENT_LEN))
    );
}

#[test]
fn an_end_for_another_start_is_refused() {
    let end = StreamEnd {
        body_sha256: sha256(EVENTS.as_bytes()),
        len: EVENTS.len() as u64,
        start: [8; 32],
        reason: EndReason::Stop,
    };
    let line = end.render(&sign(&end.signature_base()));
    assert_eq!(run(&format!("{EVENTS}{line}"), 10), Err(Rejection::StreamDigest));
}

#[test]
fn quote_header_round_trip() {
    assert_eq!(
        parse_quote(&render_quote(&[1, 2, 3], 99)),
        Some((vec![1, 2, 3], 99))
    );
    for bad in ["", ":AQI=:", ":AQI=:;full=x", ":AQI=:;full=3;more=1"] {
        assert_eq!(parse_quote(bad), None, "{bad}");
    }
}
