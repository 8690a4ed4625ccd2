//! Answers that a worker made.

use super::*;

fn worker() -> WorkerVersion {
    WorkerVersion {
        id: "worker-hello-world-8f0d818f".to_owned(),
        version: 2,
        code_hash: [8; 32],
    }
}

fn made_by_a_worker(body: Option<&[u8]>) -> ResponseFields {
    ResponseFields {
        worker: Some(worker()),
        ..fields(body)
    }
}

fn answer(map: &Map) -> Result<VerifiedAnswer, Rejection> {
    verify_answer(&request(), 200, map, &session())
}

#[test]
fn golden_signature_base_of_a_worker() {
    let base = made_by_a_worker(Some(b"answer")).signature_base(&request());
    assert_eq!(
        String::from_utf8(base).unwrap(),
        include_str!("../../../tests/vectors/signature-base-worker.txt").trim_end()
    );
}

#[test]
fn an_answer_names_the_code_that_made_it() {
    let whole = answer(&headers(&made_by_a_worker(Some(b"answer")))).unwrap();
    assert_eq!(whole.head, VerifiedHead::Body(sha256(b"answer")));
    assert_eq!(whole.worker, Some(worker()));
    let stream = answer(&headers(&made_by_a_worker(None))).unwrap();
    assert!(matches!(stream.head, VerifiedHead::Stream { .. }));
    assert_eq!(stream.worker, Some(worker()));
    assert_eq!(answer(&headers(&fields(Some(b"answer")))).unwrap().worker, None);
}

#[test]
fn a_workers_answer_is_none_of_the_nodes() {
    for body in [Some(&b"answer"[..]), None] {
        let map = headers(&made_by_a_worker(body));
        assert_eq!(
            verify_head(&request(), 200, &map, &session()),
            Err(Rejection::WorkerAnswer(worker().id))
        );
    }
}

#[test]
fn nobody_else_says_which_worker_it_was() {
    let set = |from: &str, to: &str| {
        let mut map = headers(&made_by_a_worker(Some(b"answer")));
        let value = map.0.iter_mut().find(|(name, _)| name == header::WORKER).unwrap();
        assert!(value.1.contains(from));
        value.1 = value.1.replacen(from, to, 1);
        answer(&map)
    };
    for (from, to) in [("hello", "other"), ("v=2", "v=3"), ("0808", "0809")] {
        assert_eq!(set(from, to), Err(Rejection::Signature), "{from}");
    }
    assert_eq!(
        set("v=2", "v=02"),
        Err(Rejection::HeaderMalformed(header::WORKER))
    );
    // Cut out, put in, or there twice: what is covered isn't the message's to say.
    let malformed = Err(Rejection::HeaderMalformed(header::SIGNATURE_INPUT));
    let mut without = headers(&made_by_a_worker(Some(b"answer")));
    without.0.retain(|(name, _)| name != header::WORKER);
    assert_eq!(answer(&without), malformed);
    let mut with = headers(&fields(Some(b"answer")));
    with.0.push((header::WORKER.to_owned(), worker().render()));
    assert_eq!(answer(&with), malformed);
    let mut twice = headers(&made_by_a_worker(Some(b"answer")));
    twice.0.push((header::WORKER.to_owned(), worker().render()));
    assert_eq!(answer(&twice), malformed);
    // With the tag changed too, the signature is that of another base.
    let mut as_nodes = without;
    let input = as_nodes
        .0
        .iter_mut()
        .find(|(name, _)| name == header::SIGNATURE_INPUT);
    let input = &mut input.unwrap().1;
    *input = input
        .replace("jeju-worker-v1", "jeju-resp-v1")
        .replace("\"jeju-worker\" ", "");
    assert_eq!(answer(&as_nodes), Err(Rejection::Signature));
}

fn run_worker(stream: &[u8], step: usize) -> Result<(Vec<u8>, EndReason), Rejection> {
    let map = headers(&made_by_a_worker(None));
    let mut verifier = answer(&map).unwrap().stream(public(), [9; 32]);
    let mut passed = Vec::new();
    for chunk in stream.chunks(step) {
        passed.extend(verifier.push(chunk)?);
    }
    Ok((passed, verifier.finish()?))
}

fn with_end(body: &str) -> Vec<u8> {
    format!("{body}{}", stream_end(body)).into_bytes()
}

#[test]
fn a_workers_stream_ends_with_the_signed_line_whatever_it_holds() {
    for body in [
        "",
        "\n",
        "data: 1\n\n",
        "data: 1\r\n\r\nevent: x\r\rdata: 2\r\n",
        "data: [DONE]\n\ndata: more\n\n",
        ": jeju-si\n: jeju-sign \n:\n: \n",
        "x: jeju-sig v=1\n",
    ] {
        let stream = with_end(body);
        for step in [1, 2, 3, 7, 4096] {
            let whole = run_worker(&stream, step);
            assert_eq!(whole, Ok((stream.clone(), EndReason::Stop)), "{body:?} by {step}");
        }
    }
    // Nothing is held back that can't be the end.
    let mut verifier = StreamVerifier::of_worker(public(), [9; 32]);
    assert_eq!(verifier.push(b"data: a\n: jeju").unwrap(), b"data: a\n");
    assert_eq!(verifier.push(b"!").unwrap(), b": jeju!");
    let long = vec![b'x'; 2 * MAX_EVENT_LEN];
    assert_eq!(verifier.push(&long).unwrap(), long);
}

#[test]
fn cut_and_forged_streams_of_a_worker_are_refused() {
    let body = "data: 1\n\n";
    let end = stream_end(body);
    let refused = |stream: String| run_worker(stream.as_bytes(), 5).unwrap_err();
    assert_eq!(refused(body.to_owned()), Rejection::StreamUnsigned);
    assert_eq!(
        refused(format!("{body}data: [DONE]\n\n")),
        Rejection::StreamUnsigned
    );
    assert_eq!(
        refused(format!("{body}{}", end.trim_end())),
        Rejection::StreamUnsigned
    );
    for more in ["x", "\n", ":", ": jeju-sig ", "data: [DONE]\n\n", &end] {
        let stream = format!("{body}{end}{more}");
        assert_eq!(refused(stream.clone()), Rejection::StreamTrailing, "{more:?}");
        assert_eq!(
            run_worker(stream.as_bytes(), 4096),
            Err(Rejection::StreamTrailing),
            "{more:?}"
        );
    }
    assert_eq!(refused(format!("data: 2\n\n{end}")), Rejection::StreamDigest);
    assert_eq!(
        refused(format!("{body}{}", end.replace("\"stop\"", "\"error\""))),
        Rejection::StreamSignature
    );
    // A worker that writes the line itself.
    assert_eq!(
        refused(format!("{body}: jeju-sig mine\n\n{end}")),
        Rejection::StreamEndMalformed
    );
    assert_eq!(
        refused(format!("{body}: jeju-sig {}", "x".repeat(1000))),
        Rejection::StreamEndMalformed
    );
}
