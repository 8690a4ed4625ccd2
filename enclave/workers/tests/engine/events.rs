//! Events, their answers, and what goes wrong in handlers.

use jeju_worker_protocol::Level;

use crate::harness::{Process, get, load, request, scheduled};

#[test]
fn a_worker_answers() {
    let mut process = Process::start();
    let source = "export default { fetch() { return new Response('Hello from Jeju!'); } };";
    let (worker, handlers) = process.load(load(&[("index.js", source)]));
    assert!(handlers.fetch && !handlers.scheduled && !handlers.legacy);
    let answer = process.get(worker, "/");
    assert_eq!(answer.outcome(), "200 Hello from Jeju!");
    assert!(answer.whole);
    assert_eq!(answer.header("content-type"), Some("text/plain;charset=UTF-8"));
    assert!(answer.usage().wall_us > 0 && answer.usage().cpu_us > 0 && answer.usage().memory > 10_000);
    assert!(process.end().is_ok());
}

#[test]
fn a_handler_sees_the_request_and_its_variables() {
    let mut process = Process::start();
    let source = "export default { async fetch(request, env, ctx) {
        return Response.json({ method: request.method, url: request.url, x: request.headers.get('x'),
            body: await request.text(), env, wait: typeof ctx.waitUntil }, { status: 201, headers: { 'x-a': 'b' } }); } };";
    let mut code = load(&[("index.js", source)]);
    code.env = vec![("NAME".into(), "värde".into()), ("__proto__".into(), "p".into())];
    let worker = process.load(code).0;
    let event = request(
        "POST",
        "https://h.example/p?q=1",
        &[("x", "1")],
        Some("grüße".as_bytes()),
    );
    let answer = process.run(worker, event);
    assert_eq!((answer.status(), answer.header("x-a")), (201, Some("b")));
    assert_eq!(
        answer.text(),
        r#"{"method":"POST","url":"https://h.example/p?q=1","x":"1","body":"grüße","env":{"NAME":"värde","__proto__":"p"},"wait":"function"}"#
    );
}

#[test]
fn a_cron_trigger_runs_scheduled() {
    let mut process = Process::start();
    let source = "export default { async scheduled(event, env, ctx) {
        ctx.waitUntil(Promise.resolve().then(() => console.log(event.cron, event.scheduledTime))); } };";
    let (worker, handlers) = process.load(load(&[("index.js", source)]));
    assert!(!handlers.fetch && handlers.scheduled);
    let answer = process.run(worker, scheduled("*/5 * * * *", 1_700_000_000_000));
    assert_eq!((answer.code(), answer.status()), ("", 0));
    assert_eq!(process.get(worker, "/").code(), "worker_no_handler");
}

#[test]
fn what_a_handler_throws_comes_back_with_lines_of_the_source() {
    let mut process = Process::start();
    let source = "const no = () => {\n  throw new TypeError('no luck');\n};\nexport default {\n  fetch(request) {\n    const path = new URL(request.url).pathname;\n    if (path === '/sync') no();\n    if (path === '/text') throw 'text';\n    if (path === '/null') throw null;\n    if (path === '/late') return Promise.resolve().then(no);\n    if (path === '/dom') throw new DOMException('gone', 'AbortError');\n    if (path === '/getter') throw { get message() { throw 1; }, get stack() { throw 2; } };\n  },\n};";
    let worker = process.worker(source);
    let mut run = |path: &str| process.get(worker, path);
    let answer = run("/sync");
    assert_eq!(answer.outcome(), "worker_exception: TypeError: no luck");
    let stack = answer
        .failure()
        .and_then(|failure| failure.stack.clone())
        .unwrap();
    let lines: Vec<_> = stack.lines().map(str::trim).collect();
    assert!(lines[0].starts_with("at no (index.js:2:"), "{stack}");
    assert!(lines[1].starts_with("at fetch (index.js:7:"), "{stack}");
    assert_eq!(lines.len(), 2, "{stack}");
    assert_eq!(run("/text").outcome(), "worker_exception: text");
    assert_eq!(run("/null").outcome(), "worker_exception: null");
    assert_eq!(run("/late").outcome(), "worker_exception: TypeError: no luck");
    assert_eq!(run("/dom").outcome(), "worker_exception: AbortError: gone");
    assert_eq!(run("/getter").code(), "worker_exception");
    assert_eq!(run("/none").code(), "worker_bad_response");
}

#[test]
fn errors_that_nobody_catches_are_logged() {
    let mut process = Process::start();
    let worker = process.worker(
        "export default { async fetch(request) {
            Promise.reject(new Error('stray'));
            Promise.reject(new Error('handled later')).catch(() => {});
            setTimeout(() => { throw new Error('in a timer'); }, 0);
            await new Promise((done) => setTimeout(done, 5));
            return new Response('ok'); } };",
    );
    let answer = process.get(worker, "/");
    assert_eq!(answer.outcome(), "200 ok");
    assert!(answer.logs.iter().all(|line| line.level == Level::Error));
    let log = answer.log();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(
        log[0].contains("stray") && log[0].contains("index.js:2"),
        "{log:?}"
    );
    assert!(log[1].contains("in a timer"), "{log:?}");
}

#[test]
fn what_a_handler_hands_to_wait_until_runs_after_the_answer() {
    let mut process = Process::start();
    let worker = process.worker(
        "let done = 0;
         export default { fetch(request, env, ctx) {
            ctx.waitUntil(new Promise((go) => setTimeout(() => { done += 1; go(); }, 20)));
            return new Response(String(done)); } };",
    );
    let call = process.call(worker, get("https://w.example/"));
    assert!(process.until(call, |answer| answer.head.is_some()).done.is_none());
    assert_eq!(process.finish(call).text(), "0");
    assert_eq!(process.get(worker, "/").text(), "1");
}

#[test]
fn both_forms_of_handlers_are_served() {
    let mut process = Process::start();
    let source = "export default { async fetch(request, env) {
        return { status: 202, headers: { 'x-b': 'c' }, body: JSON.stringify({ m: request.method, h: request.headers['x'], b: request.body }) }; } };";
    let mut code = load(&[("index.js", source)]);
    code.form = jeju_worker_protocol::Form::Legacy;
    let (worker, handlers) = process.load(code);
    assert!(handlers.legacy);
    let event = || request("POST", "https://h.example/", &[("x", "1")], Some(b"text"));
    let answer = process.run(worker, event());
    assert_eq!((answer.status(), answer.header("x-b")), (202, Some("c")));
    assert_eq!(answer.text(), r#"{"m":"POST","h":"1","b":"text"}"#);
}
