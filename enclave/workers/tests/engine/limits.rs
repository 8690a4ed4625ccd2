//! Each limit: it holds with its code, the worker's next event is answered, and another worker goes on meanwhile.

use std::time::{Duration, Instant};

use jeju_worker_protocol::{Limits, ToProcess};

use crate::harness::{Answer, Process, get, load};

/// Runs a script in the handler until a limit stops it. Meanwhile a neighbour answers, and afterwards the worker does.
fn hit(limits: Limits, script: &str) -> Answer {
    let mut process = Process::start();
    let source = format!(
        "export default {{ async fetch(request) {{
            if (new URL(request.url).pathname === '/well') return new Response('well');
            {script}
            return new Response('came through'); }} }};"
    );
    let mut code = load(&[("index.js", &source)]);
    code.limits = limits;
    let worker = process.load(code).0;
    let neighbour = process.worker("export default { fetch: () => new Response('neighbour') };");
    let call = process.call(worker, get("https://w.example/hit"));
    for _ in 0..3 {
        assert_eq!(process.get(neighbour, "/").outcome(), "200 neighbour", "{script}");
    }
    let answer = process.finish(call);
    assert_eq!(process.get(worker, "/well").outcome(), "200 well", "{script}");
    assert_eq!(process.get(neighbour, "/").outcome(), "200 neighbour", "{script}");
    assert!(process.end().is_ok());
    answer
}

/// More time than any of it takes on a loaded machine, where time isn't what ends it.
fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits {
        cpu_ms: 20_000,
        wall_ms: 60_000,
        memory: 16 << 20,
        ..Limits::default()
    };
    change(&mut limits);
    limits
}

#[test]
fn time_on_a_cpu_ends() {
    let scripts = [
        "for (;;);",
        "while (true) { try { for (;;); } catch {} finally { continue; } }",
        "const f = async () => { for (;;) await 0; }; await f();",
        "for (;;) Promise.reject(0);",
        "/^(a+)+$/.test('a'.repeat(40) + 'b');",
        "for (const _ of (function* () { for (;;) yield 1; })());",
        "await new Promise(() => { const tick = () => queueMicrotask(tick); tick(); });",
        "const m = new Map(); for (let i = 0; ; i++) m.set(i % 10, i);",
        "JSON.stringify({ toJSON() { for (;;); } });",
        "[1, 2].sort(() => { for (;;); });",
        "new Proxy({}, { get() { for (;;); } }).x;",
        "let s = 'x'; for (;;) s = s.replace(/x/, () => 'x');",
    ];
    for script in scripts {
        let answer = hit(limits(|limits| limits.cpu_ms = 200), script);
        assert_eq!(
            answer.code(),
            "worker_cpu_limit",
            "{script}: {}",
            answer.outcome()
        );
        let cpu = answer.usage().cpu_us;
        assert!((190_000..800_000).contains(&cpu), "{script}: {cpu} us");
    }
}

#[test]
fn time_on_a_cpu_is_counted_over_all_of_an_event() {
    let script = "for (;;) { const end = Date.now() + 5; while (Date.now() < end); await new Promise((go) => setTimeout(go, 1)); }";
    let little = limits(|limits| limits.cpu_ms = 200);
    assert_eq!(hit(little, script).code(), "worker_cpu_limit");
}

#[test]
fn time_ends() {
    let scripts = [
        "await new Promise((go) => setTimeout(go, 60_000));",
        "await fetch('https://never.example/');",
        "await new Promise((go) => { setInterval(() => {}, 10); });",
        "for (;;) await new Promise((go) => setTimeout(go, 1));",
    ];
    let ends = |script| {
        let start = Instant::now();
        let short = limits(|limits| limits.wall_ms = 3000);
        let answer = hit(short, script);
        assert_eq!(answer.code(), "worker_timeout", "{script}");
        assert!(answer.failure().unwrap().message.contains("timeout"));
        assert!(start.elapsed() < Duration::from_secs(30));
    };
    std::thread::scope(|scope| {
        for script in scripts {
            scope.spawn(move || ends(script));
        }
    });
}

#[test]
fn what_nothing_can_wake_ends_at_once() {
    let scripts = [
        "await new Promise(() => {});",
        "return new Response(new ReadableStream({ pull() { return new Promise(() => {}); } }));",
        "await Promise.race([]);",
    ];
    for script in scripts {
        let start = Instant::now();
        let answer = hit(limits(|_| {}), script);
        assert_eq!(
            answer.code(),
            "worker_never_answers",
            "{script}: {}",
            answer.outcome()
        );
        assert!(start.elapsed() < Duration::from_secs(30), "{script}");
    }
}

#[test]
fn memory_ends() {
    let scripts = [
        "const a = []; for (;;) a.push(new Array(1000).fill(0));",
        "const a = []; for (;;) a.push(new ArrayBuffer(1 << 20));",
        "const a = []; for (let i = 0; ; i++) a.push(('x' + i).repeat(10_000));",
        "const a = []; for (;;) { try { a.push(new Uint8Array(1 << 20)); } catch {} }",
        "new Uint8Array(1 << 30);",
        "'x'.repeat(1 << 28);",
        "let s = 'x'; for (;;) s += s;",
        "const m = new Map(); for (let i = 0; ; i++) m.set({}, i);",
        "const ps = []; for (;;) ps.push(new Promise(() => {}));",
        "const go = () => Promise.resolve().then(go); await go();",
        "const o = {}; for (let i = 0; ; i++) o['k' + i] = i;",
        "let f = () => 0; for (;;) { const g = f; f = () => g; }",
    ];
    for script in scripts {
        // The engine has a bound of its own for one string.
        let answer = hit(limits(|_| {}), script);
        let code = answer.code().to_owned();
        let own = script.contains("s += s") && code == "worker_exception";
        assert!(
            code == "worker_memory_limit" || own,
            "{script}: {}",
            answer.outcome()
        );
        assert!(answer.usage().memory <= 17 << 20, "{script}");
    }
}

#[test]
fn recursion_ends_with_an_exception() {
    let scripts = [
        "const f = () => f() + 1; f();",
        "const o = { get a() { return this.a; } }; o.a;",
        "const o = { toString() { return `${o}`; } }; String(o);",
        "let a = []; for (let i = 0; i < 100_000; i++) a = [a]; JSON.stringify(a);",
        "JSON.parse('['.repeat(100_000));",
        "new RegExp('('.repeat(50_000) + ')'.repeat(50_000));",
        "const p = new Proxy({}, {}); Object.setPrototypeOf(p, Object.create(p)); p.x;",
        "class A { static { new A(); } constructor() { return new this.constructor(); } }",
        "structuredClone((() => { let a = []; for (let i = 0; i < 100_000; i++) a = [a]; return a; })());",
    ];
    for script in scripts {
        let answer = hit(limits(|limits| limits.cpu_ms = 5000), script);
        assert_eq!(
            answer.code(),
            "worker_exception",
            "{script}: {}",
            answer.outcome()
        );
    }
}

#[test]
fn timers_are_counted() {
    let few = limits(|limits| limits.timers = 10);
    let answer = hit(few.clone(), "for (;;) setTimeout(() => {}, 1000);");
    assert_eq!(answer.code(), "worker_timer_limit", "{}", answer.outcome());
    let answer = hit(
        few,
        "for (let i = 0; i < 100; i++) clearTimeout(setTimeout(() => {}, 1));",
    );
    assert_eq!(answer.outcome(), "200 came through");
}

#[test]
fn outgoing_requests_are_counted() {
    let few = limits(|limits| limits.subrequests = 3);
    let script = "await Promise.all([1, 2, 3, 4].map((i) => fetch('https://a.example/' + i)));";
    let answer = hit(few, script);
    assert_eq!(answer.code(), "worker_subrequest_limit", "{}", answer.outcome());
    assert_eq!(answer.fetches.len(), 3);
}

#[test]
fn log_lines_are_counted_and_cut() {
    let few = limits(|limits| (limits.log_lines, limits.log_line, limits.cpu_ms) = (3, 10, 200));
    let answer = hit(
        few,
        "for (let i = 0; i < 100_000; i++) console.log('grüße und ' + 'x'.repeat(i));",
    );
    assert_eq!(answer.code(), "worker_cpu_limit", "{}", answer.outcome());
    assert_eq!(answer.logs.len(), 4);
    assert!(answer.logs[..3].iter().all(|line| line.text.len() <= 10));
    assert!(answer.logs[3].text.contains("3 lines"));
}

#[test]
fn answers_are_bounded() {
    let short = || limits(|limits| limits.response_body = 100_000);
    let exact = hit(short(), "return new Response('x'.repeat(100_000));");
    assert_eq!((exact.code(), exact.body.len(), exact.whole), ("", 100_000, true));
    let scripts = [
        "return new Response('x'.repeat(100_001));",
        "return new Response(new Uint8Array(1 << 20));",
        "return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(30_000)); } }));",
    ];
    for script in scripts {
        let answer = hit(short(), script);
        assert_eq!(
            answer.code(),
            "worker_response_too_large",
            "{script}: {}",
            answer.outcome()
        );
        assert!(answer.body.len() <= 100_000);
    }
    let events = "let n = 0; return new Response(new ReadableStream({ pull(c) {
        if ((n += 1) > 10) c.close(); else c.enqueue(new Uint8Array(30_000)); } }),
        { headers: { 'content-type': 'text/event-stream' } });";
    let answer = hit(short(), events);
    assert_eq!((answer.code(), answer.body.len()), ("", 300_000));
}

#[test]
fn limits_hold_while_modules_are_loaded() {
    let mut process = Process::start();
    for (script, code) in [
        ("for (;;);", "worker_cpu_limit"),
        (
            "const a = []; for (;;) a.push(new Uint8Array(1 << 20));",
            "worker_memory_limit",
        ),
        (
            "await new Promise((go) => setTimeout(go, 60_000));",
            "worker_timeout",
        ),
        ("const f = () => f(); f();", "worker_module_failed"),
    ] {
        let mut code_of = load(&[("index.js", script)]);
        code_of.limits = limits(|limits| match code {
            "worker_cpu_limit" => limits.cpu_ms = 200,
            "worker_timeout" => limits.wall_ms = 300,
            _ => {}
        });
        let failure = process.try_load(code_of).err().unwrap();
        assert_eq!(failure.code, code, "{script}: {}", failure.message);
    }
}

#[test]
fn workers_that_never_end_hold_up_nobody() {
    let mut process = Process::start();
    let hog = process.worker("export default { fetch() { for (;;); } };");
    let neighbour = process.worker("export default { fetch: () => new Response('neighbour') };");
    let calls: Vec<_> = (0..6)
        .map(|_| process.call(hog, get("https://w.example/")))
        .collect();
    for _ in 0..10 {
        let answer = process.get(neighbour, "/");
        assert_eq!(answer.outcome(), "200 neighbour");
    }
    for call in &calls {
        process.send(&ToProcess::Cancel(*call));
    }
    for call in calls {
        assert_eq!(process.finish(call).code(), "worker_cancelled");
    }
}
