//! Bodies in both directions, with credit.

use jeju_worker_protocol::{BODY_WINDOW, BodyOf, Failure, ToProcess};

use crate::harness::{Process, get, load, request};

#[test]
fn a_request_body_comes_in_pieces() {
    let mut process = Process::start();
    let worker = process.worker(
        "export default { async fetch(request) {
            let len = 0, sum = 0;
            for await (const piece of request.body) { len += piece.length; for (const b of piece) sum += b; }
            return new Response(len + ' ' + sum); } };",
    );
    let call = process.call(worker, request("POST", "https://w.example/", &[], None));
    for piece in 0..3u8 {
        let data = vec![piece + 1; 50_000];
        process.send(&ToProcess::Body {
            call,
            of: BodyOf::Event,
            data,
        });
    }
    process.body_end(call, BodyOf::Event, None);
    assert_eq!(process.finish(call).outcome(), "200 150000 300000");
}

#[test]
fn a_request_body_that_breaks_off_is_an_error_of_its_reader() {
    let mut process = Process::start();
    let worker = process.worker(
        "export default { async fetch(request) {
            try { return new Response(await request.text()); } catch (error) { return new Response('broke: ' + error.message); } } };",
    );
    let call = process.call(worker, request("POST", "https://w.example/", &[], None));
    process.send(&ToProcess::Body {
        call,
        of: BodyOf::Event,
        data: b"half".to_vec(),
    });
    let failure = Failure::new("request_incomplete", "the client went away");
    process.body_end(call, BodyOf::Event, Some(failure));
    assert_eq!(process.finish(call).outcome(), "200 broke: the client went away");
}

#[test]
fn a_request_body_is_bounded() {
    let mut process = Process::start();
    let mut code = load(&[(
        "index.js",
        "export default { async fetch(request) { return new Response(String((await request.arrayBuffer()).byteLength)); } };",
    )]);
    code.limits.request_body = 1000;
    let worker = process.load(code).0;
    for (len, outcome) in [(1000, "200 1000"), (1001, "worker_request_too_large")] {
        let call = process.call(worker, request("POST", "https://w.example/", &[], None));
        process.send(&ToProcess::Body {
            call,
            of: BodyOf::Event,
            data: vec![0; len],
        });
        process.body_end(call, BodyOf::Event, None);
        assert!(process.finish(call).outcome().starts_with(outcome), "{len}");
    }
}

#[test]
fn answers_are_whole_or_in_pieces() {
    let mut process = Process::start();
    let worker = process.worker(
        "export default { fetch(request) {
            const path = new URL(request.url).pathname;
            if (path === '/long') return new Response(new Uint8Array(1_000_000).fill(7));
            let n = 0;
            return new Response(new ReadableStream({
              async pull(c) { await 0; if ((n += 1) > 40) c.close(); else c.enqueue(new Uint8Array(50_000).fill(n)); } })); } };",
    );
    let long = process.get(worker, "/long");
    assert!(long.body.len() == 1_000_000 && long.body.iter().all(|b| *b == 7) && long.whole);
    assert_eq!(long.code(), "");
    let streamed = process.get(worker, "/stream");
    assert_eq!(
        (streamed.body.len(), streamed.body[1_999_999], streamed.whole),
        (2_000_000, 40, true)
    );
}

#[test]
fn an_answer_waits_for_its_reader() {
    let mut process = Process::start();
    let worker = process.worker(
        "let sent = 0; export default { fetch(request) {
            return new Response(new ReadableStream({ pull(c) { sent += 1; c.enqueue(new Uint8Array(10_000)); } })); } };",
    );
    let call = process.call(worker, get("https://w.example/"));
    // Nothing is acknowledged: no more than the window comes.
    let mut len = 0;
    process.without_credit(call, BODY_WINDOW as usize / 2, |data| {
        len += data.len();
    });
    assert!(
        len <= BODY_WINDOW as usize && len >= BODY_WINDOW as usize / 2,
        "{len}"
    );
    process.send(&ToProcess::Cancel(call));
    assert_eq!(process.finish(call).code(), "worker_cancelled");
}

#[test]
fn an_answer_that_fails_midway_is_not_whole() {
    let mut process = Process::start();
    let worker = process.worker(
        "let n = 0; export default { fetch: () => new Response(new ReadableStream({
            pull(c) { if (n++) throw new Error('midway'); c.enqueue(new Uint8Array(10)); } })) };",
    );
    let answer = process.get(worker, "/");
    assert_eq!((answer.body.len(), answer.whole), (10, false));
    assert!(answer.body_failure.unwrap().message.contains("midway"));
}

#[test]
fn a_fetch_is_answered() {
    let mut process = Process::start();
    let worker = process.worker(
        "export default { async fetch(request) {
            const answer = await fetch('https://api.example/a?b', { method: 'PUT', headers: { x: 'y' }, body: 'sent' });
            return new Response([answer.status, answer.headers.get('z'), await answer.text()].join()); } };",
    );
    let call = process.call(worker, get("https://w.example/"));
    let (fetch, request) = process.fetch(call);
    assert_eq!(
        (fetch, request.method.as_str(), request.url.as_str()),
        (1, "PUT", "https://api.example/a?b")
    );
    assert!(request.headers.contains(&("x".into(), "y".into())) && request.has_body);
    process.answer(call, fetch, 418, &[("z", "w")], &[b'q'; 100_000]);
    let answer = process.finish(call);
    assert_eq!(answer.sent[&1], b"sent");
    assert_eq!(answer.text(), format!("418,w,{}", "q".repeat(100_000)));
    // Numbers start anew for each event.
    let call = process.call(worker, get("https://w.example/"));
    assert_eq!(process.fetch(call).0, 1);
    process.answer(call, 1, 200, &[], b"again");
    assert_eq!(process.finish(call).text(), "200,,again");
}

#[test]
fn a_fetch_that_fails_says_why() {
    let mut process = Process::start();
    let worker = process.worker(
        "export default { async fetch(request) {
            if (request.url.endsWith('/through')) return fetch('https://a.example/');
            try { await fetch('https://a.example/'); } catch (error) { return new Response(error.name + ' ' + error.message); } } };",
    );
    for (path, outcome) in [
        ("/", "200 TypeError not allowed"),
        ("/through", "fetch_not_allowed: TypeError: not allowed"),
    ] {
        let call = process.call(worker, get(&format!("https://w.example{path}")));
        let fetch = process.fetch(call).0;
        let failure = Failure::new("fetch_not_allowed", "not allowed");
        process.send(&ToProcess::FetchFailed { call, fetch, failure });
        assert_eq!(process.finish(call).outcome(), outcome);
    }
}
