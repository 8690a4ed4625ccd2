//! Fetches of workers over the channel: what they ask for, bodies both ways, cancelling.

use jeju_worker_protocol::{BODY_WINDOW, BodyOf, Failure, Redirect, ToProcess, code};

use crate::bodies::start;
use crate::harness::{get, request};

const URL: &str = "https://worker.example/";

#[test]
fn a_fetch_asks_for_what_the_worker_said() {
    let source = "export default { async fetch() {
        const response = await fetch('https://api.example/x?y#z', { method: 'PUT', body: new URLSearchParams({ a: 'b c' }),
            headers: { 'X-Own': 'v' }, redirect: 'manual' });
        return Response.json([response.status, response.ok, response.url, response.headers.get('x-up'), await response.text(), response.type]);
    } }";
    let (mut process, worker) = start(source);
    let call = process.call(worker, get(URL));
    let (fetch, asked) = process.fetch(call);
    assert_eq!(
        (asked.method.as_str(), asked.url.as_str()),
        ("PUT", "https://api.example/x?y")
    );
    assert!(asked.has_body && asked.redirect == Redirect::Manual);
    let headers: Vec<_> = asked
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let expected = [
        "x-own: v",
        "content-type: application/x-www-form-urlencoded;charset=UTF-8",
        "accept: */*",
        "user-agent: Jeju-Workers",
    ];
    assert_eq!(headers, expected);
    process.answer(call, fetch, 404, &[("x-up", "u")], b"not here");
    process.until(call, |answer| answer.done.is_some());
    let answer = process.finish(call);
    assert_eq!(
        answer.outcome(),
        r#"200 [404,false,"https://upstream.example/","u","not here","default"]"#
    );
    assert_eq!(
        answer.sent.get(&fetch).map(Vec::as_slice),
        Some(b"a=b+c".as_slice())
    );
}

#[test]
fn an_answer_is_passed_on_piece_by_piece_without_a_stream() {
    let source = "export default { fetch: () => fetch('https://api.example/') }";
    let (mut process, worker) = start(source);
    let call = process.call(worker, get(URL));
    let (fetch, asked) = process.fetch(call);
    assert!(!asked.has_body);
    process.answer_head(call, fetch, 206, &[("content-type", "a/b")]);
    let of = BodyOf::Fetch(fetch);
    process.send(&ToProcess::Body {
        call,
        of,
        data: b"first".to_vec(),
    });
    let passed = process.until(call, |answer| answer.body == b"first");
    assert_eq!(
        (passed.status(), passed.header("content-type")),
        (206, Some("a/b"))
    );
    process.send(&ToProcess::Body {
        call,
        of,
        data: b" second".to_vec(),
    });
    process.body_end(call, of, None);
    assert_eq!(process.finish(call).outcome(), "206 first second");
}

#[test]
fn more_of_an_answer_is_asked_for_only_as_it_is_read() {
    let source = "export default { async fetch() {
        const response = await fetch('https://api.example/');
        await new Promise((resolve) => setTimeout(resolve, 10));
        return new Response(String((await response.bytes()).length));
    } }";
    let (mut process, worker) = start(source);
    let call = process.call(worker, get(URL));
    let (fetch, _) = process.fetch(call);
    process.answer(call, fetch, 200, &[], &vec![0; BODY_WINDOW as usize]);
    assert_eq!(process.finish(call).outcome(), format!("200 {BODY_WINDOW}"));
}

#[test]
fn failed_fetches_throw_with_their_code() {
    let source = "export default { async fetch(request) {
        if (request.url.endsWith('lets-go')) return fetch('https://api.example/');
        try { await fetch('https://api.example/'); } catch (error) { return Response.json([error.name, error.code, error.message]); }
    } }";
    let (mut process, worker) = start(source);
    for (path, expected) in [
        ("", r#"200 ["TypeError","fetch_not_allowed","not that one"]"#),
        ("lets-go", "fetch_not_allowed: TypeError: not that one"),
    ] {
        let call = process.call(worker, get(&format!("{URL}{path}")));
        let (fetch, _) = process.fetch(call);
        let failure = Failure::new(code::FETCH_REFUSED, "not that one");
        process.send(&ToProcess::FetchFailed { call, fetch, failure });
        assert_eq!(process.finish(call).outcome(), expected);
    }
}

#[test]
fn an_aborted_fetch_is_cancelled() {
    let source = "export default { async fetch(request) {
        const controller = new AbortController();
        setTimeout(() => controller.abort(), 5);
        const { signal } = controller;
        try {
            const response = await fetch('https://api.example/', { signal });
            await response.text();
        } catch (error) { return Response.json([error.name, signal.aborted]); }
    } }";
    let (mut process, worker) = start(source);
    for answers in [false, true] {
        let call = process.call(worker, get(URL));
        let (fetch, _) = process.fetch(call);
        if answers {
            process.answer_head(call, fetch, 200, &[]);
        }
        let answer = process.finish(call);
        assert_eq!(answer.outcome(), r#"200 ["AbortError",true]"#);
        assert_eq!(answer.cancelled, [fetch]);
    }
}

#[test]
fn a_body_that_is_not_wanted_is_cancelled() {
    let source = "export default { async fetch() {
        const response = await fetch('https://api.example/');
        await response.body.cancel();
        return new Response('enough');
    } }";
    let (mut process, worker) = start(source);
    let call = process.call(worker, get(URL));
    let (fetch, _) = process.fetch(call);
    process.answer_head(call, fetch, 200, &[]);
    let answer = process.finish(call);
    assert_eq!(
        (answer.outcome().as_str(), answer.cancelled),
        ("200 enough", vec![fetch])
    );
}

#[test]
fn a_fetch_s_body_is_streamed() {
    let source = "export default { async fetch() {
        const body = new ReadableStream({ async start(controller) {
            for (const text of ['a', 'b', 'c']) {
                await new Promise((resolve) => setTimeout(resolve, 1));
                controller.enqueue(new TextEncoder().encode(text));
            }
            controller.close();
        } });
        const response = await fetch('https://api.example/', { method: 'POST', body, duplex: 'half' });
        return new Response(await response.text());
    } }";
    let (mut process, worker) = start(source);
    let call = process.call(worker, get(URL));
    let (fetch, asked) = process.fetch(call);
    assert!(asked.has_body);
    process.until(call, |answer| {
        answer.sent.get(&fetch).is_some_and(|sent| sent == b"abc")
    });
    process.answer(call, fetch, 200, &[], b"taken");
    assert_eq!(process.finish(call).outcome(), "200 taken");
}

#[test]
fn a_fetch_s_body_that_breaks_fails_the_fetch() {
    let source = "export default { async fetch() {
        const body = new ReadableStream({ pull() { throw new RangeError('broken'); } });
        try { await fetch('https://api.example/', { method: 'POST', body }); } catch (error) { return new Response(String(error)); }
    } }";
    let (mut process, worker) = start(source);
    let call = process.call(worker, get(URL));
    assert_eq!(process.finish(call).outcome(), "200 RangeError: broken");
}

#[test]
fn an_answer_to_head_and_one_without_a_body_have_none() {
    let source = "export default { async fetch() {
        const response = await fetch('https://api.example/', { method: 'HEAD' });
        return Response.json([response.body, await response.text()]);
    } }";
    let (mut process, worker) = start(source);
    let call = process.call(worker, get(URL));
    let (fetch, _) = process.fetch(call);
    process.answer(call, fetch, 200, &[("content-length", "5")], b"");
    assert_eq!(process.finish(call).outcome(), r#"200 [null,""]"#);
}

#[test]
fn several_fetches_are_under_way_at_once() {
    let source = "export default { async fetch() {
        const all = await Promise.all([1, 2, 3].map((n) => fetch(`https://api.example/${n}`).then((r) => r.text())));
        return Response.json(all);
    } }";
    let (mut process, worker) = start(source);
    let call = process.call(worker, get(URL));
    let asked: Vec<_> = (0..3).map(|_| process.fetch(call)).collect();
    for (fetch, request) in asked.iter().rev() {
        process.answer(call, *fetch, 200, &[], request.url.as_bytes());
    }
    let expected = r#"200 ["https://api.example/1","https://api.example/2","https://api.example/3"]"#;
    assert_eq!(process.finish(call).outcome(), expected);
}

#[test]
fn a_signal_that_outlives_its_fetches_cancels_none_that_are_over() {
    let source = "const controller = new AbortController(); export default { async fetch(request) {
        if (request.url.endsWith('abort')) { controller.abort(); return new Response('aborted'); }
        return fetch('https://api.example/', { signal: controller.signal });
    } }";
    let (mut process, worker) = start(source);
    let call = process.call(worker, get(URL));
    let (fetch, _) = process.fetch(call);
    process.answer(call, fetch, 200, &[], b"x");
    assert_eq!(process.finish(call).outcome(), "200 x");
    let answer = process.get(worker, "/abort");
    assert_eq!(
        (answer.outcome().as_str(), answer.cancelled.len()),
        ("200 aborted", 0)
    );
}

#[test]
fn an_answer_is_changed_on_its_way_through() {
    let source = "export default { async fetch() {
        const response = await fetch('https://api.example/');
        const upper = new TransformStream({ transform: (text, controller) => controller.enqueue(text.toUpperCase()) });
        const body = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(upper).pipeThrough(new TextEncoderStream());
        const changed = new Response(body, response);
        changed.headers.set('x-own', '1');
        return changed;
    } }";
    let (mut process, worker) = start(source);
    let call = process.call(worker, get(URL));
    let (fetch, _) = process.fetch(call);
    process.answer(
        call,
        fetch,
        203,
        &[("x-up", "u")],
        "straße".repeat(30_000).as_bytes(),
    );
    let answer = process.finish(call);
    assert_eq!(
        (answer.status(), answer.header("x-up"), answer.header("x-own")),
        (203, Some("u"), Some("1"))
    );
    assert!(answer.whole && answer.text() == "STRASSE".repeat(30_000));
}

#[test]
fn a_request_is_sent_on_as_it_came() {
    let source = "export default { fetch: (request) => fetch(new Request('https://api.example/', request)) }";
    let (mut process, worker) = start(source);
    let call = process.call(worker, request("POST", URL, &[("x-a", "b")], None));
    let (fetch, asked) = process.fetch(call);
    assert_eq!(
        (asked.method.as_str(), asked.url.as_str()),
        ("POST", "https://api.example/")
    );
    assert!(asked.has_body && asked.headers.contains(&("x-a".to_owned(), "b".to_owned())));
    let of = BodyOf::Event;
    for piece in [&b"one"[..], b"two"] {
        process.send(&ToProcess::Body {
            call,
            of,
            data: piece.to_vec(),
        });
    }
    process.body_end(call, of, None);
    process.until(call, |answer| {
        answer.sent.get(&fetch).is_some_and(|sent| sent == b"onetwo")
    });
    process.answer(call, fetch, 200, &[], b"ok");
    assert_eq!(process.finish(call).outcome(), "200 ok");
}
