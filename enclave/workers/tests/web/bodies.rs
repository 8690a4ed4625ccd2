//! Bodies of events over the channel: pieces, pressure, what breaks off.

use jeju_worker_protocol::{BodyOf, Failure, ToProcess, code};

use crate::harness::{Process, get, request};

const URL: &str = "https://worker.example/";

/// A process with a worker.
pub fn start(source: &str) -> (Process, u32) {
    let mut process = Process::start();
    let worker = process.worker(source);
    (process, worker)
}

#[test]
fn a_long_answer_comes_whole() {
    let source = "export default { fetch: () => new Response('é'.repeat(700_000)) }";
    let (mut process, worker) = start(source);
    let answer = process.get(worker, "/");
    assert_eq!(
        (answer.status(), answer.text().len(), answer.whole),
        (200, 1_400_000, true)
    );
}

#[test]
fn a_streamed_answer_comes_as_fast_as_it_is_taken() {
    let source = "export default { fetch() {
        let pulled = 0;
        return new Response(new ReadableStream({ pull(controller) {
            if (pulled++ === 100) return controller.close();
            controller.enqueue(new Uint8Array(10_000).fill(97));
        } }));
    } }";
    let (mut process, worker) = start(source);
    let answer = process.get(worker, "/");
    assert_eq!((answer.body.len(), answer.whole), (1_000_000, true));
}

#[test]
fn a_streamed_answer_that_breaks_is_cut_with_its_reason() {
    let source = "export default { fetch() {
        let pulled = 0;
        return new Response(new ReadableStream({ pull(controller) {
            if (pulled++ === 2) throw new RangeError('no more');
            controller.enqueue(new TextEncoder().encode('x'));
        } }), { headers: { 'content-type': 'text/event-stream' } });
    } }";
    let (mut process, worker) = start(source);
    let answer = process.get(worker, "/");
    assert_eq!(
        (answer.text().as_str(), answer.whole, answer.code()),
        ("xx", false, code::EXCEPTION)
    );
    assert_eq!(
        answer
            .body_failure
            .as_ref()
            .map(|failure| failure.message.as_str()),
        Some("no more")
    );
}

#[test]
fn chunks_of_an_answer_that_are_no_bytes_are_refused() {
    let source = "export default { fetch() {
        return new Response(new ReadableStream({ start(c) { c.enqueue('text'); c.close(); } }));
    } }";
    let (mut process, worker) = start(source);
    let answer = process.get(worker, "/");
    assert!(!answer.whole);
    assert_eq!(answer.code(), code::EXCEPTION);
}

#[test]
fn a_request_s_body_is_read_in_each_way_while_it_comes() {
    let source = "export default { async fetch(request) {
        const kind = new URL(request.url).pathname.slice(1);
        if (kind === 'stream') {
            let text = '';
            for await (const piece of request.body.pipeThrough(new TextDecoderStream())) text += piece;
            return new Response(text);
        }
        if (kind === 'pass') return new Response(request.body);
        if (kind === 'clone') {
            const copy = request.clone();
            return new Response(await copy.text() + await request.text());
        }
        const value = await request[kind]();
        return new Response(value instanceof Blob || typeof value === 'string' ? value : new Uint8Array(value));
    } }";
    let (mut process, worker) = start(source);
    for (kind, expected) in [
        ("text", "one två"),
        ("bytes", "one två"),
        ("arrayBuffer", "one två"),
        ("blob", "one två"),
        ("stream", "one två"),
        ("pass", "one två"),
        ("clone", "one tvåone två"),
    ] {
        let call = process.call(worker, request("POST", &format!("{URL}{kind}"), &[], None));
        let of = BodyOf::Event;
        for piece in ["one ", "två"] {
            process.send(&ToProcess::Body {
                call,
                of,
                data: piece.as_bytes().to_vec(),
            });
        }
        process.body_end(call, of, None);
        assert_eq!(
            process.finish(call).outcome(),
            format!("200 {expected}"),
            "{kind}"
        );
    }
}

#[test]
fn a_request_s_body_that_breaks_off_throws() {
    let source = "export default { async fetch(request) {
        try { await request.text(); } catch (error) { return Response.json([error.name, error.code, error.message]); }
    } }";
    let (mut process, worker) = start(source);
    let call = process.call(worker, request("POST", URL, &[], None));
    let of = BodyOf::Event;
    process.send(&ToProcess::Body {
        call,
        of,
        data: b"half".to_vec(),
    });
    process.body_end(call, of, Some(Failure::new(code::FETCH_FAILED, "gone")));
    assert_eq!(
        process.finish(call).outcome(),
        r#"200 ["TypeError","fetch_failed","gone"]"#
    );
}

#[test]
fn events_are_streamed_while_the_worker_writes_them() {
    let source = "export default { fetch(request, env, ctx) {
        const { readable, writable } = new TransformStream();
        const writer = writable.getWriter();
        const encoder = new TextEncoder();
        ctx.waitUntil((async () => {
            for (let i = 0; i < 3; i++) {
                await writer.write(encoder.encode(`data: ${i}\\n\\n`));
                await new Promise((resolve) => setTimeout(resolve, 2));
            }
            await writer.close();
        })());
        return new Response(readable, { headers: { 'content-type': 'text/event-stream' } });
    } }";
    let (mut process, worker) = start(source);
    let call = process.call(worker, get(URL));
    let early = process.until(call, |answer| !answer.body.is_empty());
    assert!(early.done.is_none() && early.header("content-type") == Some("text/event-stream"));
    assert_eq!(
        process.finish(call).outcome(),
        "200 data: 0\n\ndata: 1\n\ndata: 2\n\n"
    );
}
