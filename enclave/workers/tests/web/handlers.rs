//! Handlers in both forms, on the engine.

use jeju_worker_protocol::{Form, Level, ToProcess, code};

use crate::harness::{Answer, Process, get, load, request, scheduled};

/// Runs a request through a worker of its own.
fn run(form: Form, source: &str, event: jeju_worker_protocol::Event) -> Answer {
    let mut process = Process::start();
    let mut wanted = load(&[("index.js", source)]);
    wanted.form = form;
    wanted.env = vec![("API_KEY".to_owned(), "secret123".to_owned())];
    let (worker, _) = process.load(wanted);
    process.run(worker, event)
}

fn post(body: &str) -> jeju_worker_protocol::Event {
    let headers = [("content-type", "application/json"), ("x-test", "a")];
    request(
        "POST",
        "https://worker.example/echo?q=1",
        &headers,
        Some(body.as_bytes()),
    )
}

const URL: &str = "https://worker.example/path";

#[test]
fn a_standard_handler_gets_a_request_and_gives_a_response() {
    let source = "export default { async fetch(request, env, ctx) {
        const body = await request.json();
        return Response.json({ body, method: request.method, url: request.url, type: request.headers.get('content-type'),
            env: env.API_KEY, ctx: typeof ctx.waitUntil, is: request instanceof Request, self: this.mark },
            { status: 201, headers: { 'x-a': 'b' } });
    }, mark: 7 }";
    for form in [Form::Detect, Form::Modules] {
        let answer = run(form, source, post(r#"{"a":1}"#));
        let text = r#"{"body":{"a":1},"method":"POST","url":"https://worker.example/echo?q=1","type":"application/json","env":"secret123","ctx":"function","is":true,"self":7}"#;
        assert_eq!(answer.outcome(), format!("201 {text}"));
        assert_eq!(answer.header("x-a"), Some("b"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[test]
fn the_first_readme_s_example_says_hello() {
    let source = "export default { async fetch(request) { return new Response('Hello from Jeju!'); } }";
    for form in [Form::Detect, Form::Modules, Form::Legacy] {
        assert_eq!(run(form, source, get(URL)).outcome(), "200 Hello from Jeju!");
    }
}

/// What the first nodes' tests of workers run, with what they expect.
const LEGACY: [(&str, &str, &str); 9] = [
    (
        "simple",
        "return { status: 200, headers: { 'Content-Type': 'text/plain' }, body: 'Hello, World!' };",
        "200 Hello, World!",
    ),
    (
        "echo",
        "return { status: 200, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ method: request.method,
            url: request.url, headers: request.headers, body: JSON.parse(request.body) }) };",
        r#"200 {"method":"POST","url":"https://worker.example/echo?q=1","headers":{"content-type":"application/json","x-test":"a"},"body":{"a":1}}"#,
    ),
    (
        "variables",
        "return { status: 200, headers: {}, body: JSON.stringify({ apiKey: env.API_KEY }) };",
        r#"200 {"apiKey":"secret123"}"#,
    ),
    ("error", "throw new Error('Intentional error');", "worker_exception: Intentional error"),
    (
        "headers by name",
        "return { status: 200, body: request.headers['x-test'] + Object.keys(request.headers).length };",
        "200 a2",
    ),
    ("status alone", "return { status: 204 };", "204 "),
    ("body back", "return { status: 200, headers: {}, body: request.body };", r#"200 {"a":1}"#),
    (
        "body in a document",
        "return { body: JSON.stringify({ body: request.body }) };",
        r#"200 {"body":"{\"a\":1}"}"#,
    ),
    ("object as body", "return { body: { b: [2] } };", r#"200 {"b":[2]}"#),
];

#[test]
fn plain_requests_and_answers_work_where_they_are_wanted_and_where_they_are_found() {
    for (name, body, expected) in LEGACY {
        let source = format!("export default {{ async fetch(request, env) {{ {body} }} }}");
        for form in [Form::Legacy, Form::Detect] {
            let answer = run(form, &source, post(r#"{"a":1}"#));
            assert_eq!(answer.outcome(), expected, "{name}, {form:?}");
        }
    }
}

#[test]
fn a_legacy_request_is_a_plain_object() {
    let source = "export default { fetch(request) {
        return { body: JSON.stringify([Object.keys(request), typeof request.body, Object.getPrototypeOf(request) === Object.prototype]) };
    } }";
    let answer = run(Form::Legacy, source, get(URL));
    assert_eq!(
        answer.outcome(),
        r#"200 [["method","url","headers","body","cf"],"string",true]"#
    );
}

#[test]
fn a_legacy_request_s_body_comes_whole_even_if_it_comes_in_pieces() {
    let source =
        "export default { fetch: (request) => ({ body: request.body.length + request.body.slice(-1) }) }";
    let mut process = Process::start();
    let mut wanted = load(&[("index.js", source)]);
    wanted.form = Form::Legacy;
    let (worker, _) = process.load(wanted);
    let call = process.call(worker, request("POST", URL, &[], None));
    let of = jeju_worker_protocol::BodyOf::Event;
    for piece in [
        vec![b'a'; 60_000],
        "é".as_bytes()[..1].to_vec(),
        "é".as_bytes()[1..].to_vec(),
    ] {
        process.send(&ToProcess::Body {
            call,
            of,
            data: piece,
        });
    }
    process.body_end(call, of, None);
    assert_eq!(process.finish(call).outcome(), "200 60001é");
}

#[test]
fn in_the_standard_form_headers_are_headers_alone() {
    let source = "export default { fetch(request) {
        return new Response(JSON.stringify([request.headers, Object.keys(request.headers), String(request.body)]));
    } }";
    assert_eq!(
        run(Form::Modules, source, post("x")).outcome(),
        r#"200 [{},[],"[object ReadableStream]"]"#
    );
}

#[test]
fn lines_of_the_console_and_reported_errors_are_the_event_s_log() {
    let source = "export default { fetch() {
        console.log('Log message'); console.info('Info', 1); console.warn('Warn message'); console.error('Error message'); console.debug({ a: 1 });
        reportError(new Error('told'));
        return { status: 200, body: 'ok' };
    } }";
    for form in [Form::Detect, Form::Legacy] {
        let answer = run(form, source, get(URL));
        let lines: Vec<_> = answer
            .logs
            .iter()
            .map(|line| (line.level, line.text.lines().next().unwrap()))
            .collect();
        let expected = [
            (Level::Log, "Log message"),
            (Level::Info, "Info 1"),
            (Level::Warn, "Warn message"),
            (Level::Error, "Error message"),
            (Level::Debug, "{ a: 1 }"),
            (Level::Error, "told"),
        ];
        assert_eq!(lines, expected);
    }
}

#[test]
fn a_handler_that_never_answers_and_one_that_is_late_have_their_codes() {
    let mut process = Process::start();
    for (source, expected, wall_ms) in [
        (
            "export default { fetch: () => new Promise(() => {}) }",
            code::HANGS,
            30_000,
        ),
        (
            "export default { fetch: () => new Promise((resolve) => setTimeout(resolve, 10_000)) }",
            code::TIMEOUT,
            1000,
        ),
    ] {
        let mut wanted = load(&[("index.js", source)]);
        wanted.limits.wall_ms = wall_ms;
        let (worker, _) = process.load(wanted);
        assert_eq!(process.get(worker, "/").code(), expected);
    }
}

#[test]
fn what_is_no_answer_has_its_own_code() {
    for output in [
        "undefined",
        "null",
        "7",
        "'text'",
        "{}",
        "{ hello: 1 }",
        "[]",
        "Response.error()",
        "{ status: 99 }",
        "{ status: 200, headers: { 'a b': 'c' } }",
        "{ status: 204, body: 'x' }",
        "new Request('https://a.b')",
    ] {
        for form in [Form::Modules, Form::Legacy, Form::Detect] {
            let answer = run(
                form,
                &format!("export default {{ fetch: () => ({output}) }}"),
                get(URL),
            );
            assert_eq!(answer.code(), code::BAD_RESPONSE, "{output}");
            assert!(answer.head.is_none());
        }
    }
    let used = "export default { async fetch() { const r = new Response('x'); await r.text(); return r; } }";
    assert_eq!(run(Form::Modules, used, get(URL)).code(), code::BAD_RESPONSE);
}

#[test]
fn a_worker_without_the_handler_says_so() {
    let mut process = Process::start();
    for source in [
        "export default {}",
        "export const fetch = 1",
        "export default null",
        "export default { fetch: 1 }",
    ] {
        let (worker, handlers) = process.load(load(&[("index.js", source)]));
        assert!(!handlers.fetch && !handlers.scheduled);
        assert_eq!(process.get(worker, "/").code(), code::NO_HANDLER);
        assert_eq!(
            process.run(worker, scheduled("* * * * *", 0)).code(),
            code::NO_HANDLER
        );
    }
}

#[test]
fn a_schedule_calls_its_handler() {
    let mut process = Process::start();
    let source = "let seen; export default {
        async scheduled(event, env, ctx) { ctx.waitUntil(Promise.resolve().then(() => { seen = [event.cron, event.scheduledTime, event.type]; })); },
        fetch: () => Response.json(seen) }";
    let (worker, handlers) = process.load(load(&[("index.js", source)]));
    assert!(handlers.fetch && handlers.scheduled && !handlers.legacy);
    let done = process.run(worker, scheduled("*/5 * * * *", 1_700_000_000_000));
    assert!(done.failure().is_none() && done.head.is_none());
    assert_eq!(
        process.get(worker, "/").outcome(),
        r#"200 ["*/5 * * * *",1700000000000,"scheduled"]"#
    );
}

#[test]
fn what_is_waited_for_ends_after_the_answer_and_its_errors_are_logged() {
    let source = "let late = 0; export default { fetch(request, env, ctx) {
        if (request.url.endsWith('late')) return new Response(String(late));
        ctx.waitUntil(new Promise((resolve) => setTimeout(() => { late++; ctx.waitUntil(Promise.reject(new Error('second'))); resolve(); }, 5)));
        ctx.waitUntil(Promise.reject(new RangeError('first')));
        return new Response('at once');
    } }";
    let mut process = Process::start();
    let worker = process.worker(source);
    let answer = process.get(worker, "/");
    assert_eq!(answer.outcome(), "200 at once");
    let lines: Vec<_> = answer
        .log()
        .iter()
        .map(|line| line.lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(lines, ["RangeError: first", "second"]);
    assert_eq!(process.get(worker, "/late").outcome(), "200 1");
}

#[test]
fn state_of_a_module_stays_and_what_is_left_of_an_event_does_not() {
    let source = "let count = 0, fired = 0; export default { fetch() {
        setTimeout(() => fired++, 1);
        return new Response([++count, fired].join());
    } }";
    let mut process = Process::start();
    let worker = process.worker(source);
    assert_eq!(process.get(worker, "/").outcome(), "200 1,0");
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(process.get(worker, "/").outcome(), "200 2,0");
}

#[test]
fn unhandled_rejections_go_to_the_worker_s_listener_or_to_the_log() {
    let source = "export default { async fetch(request) {
        const seen = [];
        if (request.url.endsWith('own')) globalThis.onunhandledrejection = (event) => { seen.push(event.reason); event.preventDefault(); };
        Promise.reject('lost');
        await new Promise((resolve) => setTimeout(resolve, 2));
        return Response.json(seen);
    } }";
    let mut process = Process::start();
    let worker = process.worker(source);
    let answer = process.get(worker, "/");
    assert_eq!(
        (answer.outcome().as_str(), answer.log()),
        ("200 []", vec!["lost"])
    );
    let answer = process.get(worker, "/own");
    assert_eq!(
        (answer.outcome().as_str(), answer.log().len()),
        (r#"200 ["lost"]"#, 0)
    );
}

#[test]
fn natives_of_the_engine_are_out_of_reach() {
    let source = "export default { fetch() {
        const names = Object.getOwnPropertyNames(globalThis).filter((name) => /host|web|need|deliver|dispatch/i.test(name));
        let caller = 'none';
        try { caller = String(Headers.caller); } catch (error) { caller = error.name; }
        return Response.json([names, typeof host, typeof web, caller, typeof require, typeof process]);
    } }";
    let answer = run(Form::Modules, source, get(URL));
    assert_eq!(
        answer.outcome(),
        r#"200 [["dispatchEvent"],"undefined","undefined","TypeError","undefined","undefined"]"#
    );
}

#[test]
fn changes_to_the_language_s_own_objects_stay_in_their_isolate() {
    let source = "
        Array.prototype.push = () => { throw new Error('push'); };
        Promise.prototype.then = function () { throw new Error('then'); };
        Object.prototype.status = 418;
        Map.prototype.get = () => undefined;
        export default { fetch: () => new Response('x') };";
    let mut process = Process::start();
    let (spoiled, _) = process.load(load(&[("index.js", source)]));
    let neighbour = process.worker("export default { fetch: () => new Response(String(({}).status)) }");
    let answer = process.get(spoiled, "/");
    assert!(answer.done.is_some(), "it ends in some way");
    assert_eq!(process.get(neighbour, "/").outcome(), "200 undefined");
}
