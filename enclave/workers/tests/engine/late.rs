//! Work that goes on behind the answer: `waitUntil`.

use std::time::Duration;

use jeju_worker_protocol::{Limits, ToProcess};

use crate::harness::{Answer, Process, get, load, scheduled};

/// A worker that answers at once and goes on with a script, under limits.
fn answers(process: &mut Process, limits: Limits, script: &str) -> u32 {
    let source = format!(
        "let events = 0;
         const sleep = (ms) => new Promise((go) => setTimeout(go, ms));
         export default {{ fetch(request, env, ctx) {{
            events += 1;
            if (request.url.endsWith('/late')) ctx.waitUntil((async () => {{ await sleep(1); {script} }})());
            return new Response(`answer ${{events}}`); }} }};"
    );
    let mut code = load(&[("index.js", &source)]);
    code.limits = limits;
    code.max_concurrent = 1;
    process.load(code).0
}

/// Runs such an event to its end: the answer is whole before that.
fn late(process: &mut Process, worker: u32) -> Answer {
    let call = process.call(worker, get("https://w.example/late"));
    let answer = process.until(call, |answer| answer.head.is_some());
    assert!(answer.whole && answer.done.is_none(), "the answer doesn't wait");
    process.finish(call)
}

/// What becomes of an event whose late work is a script.
fn after(limits: Limits, script: &str) -> Answer {
    let mut process = Process::start();
    let worker = answers(&mut process, limits, script);
    let answer = late(&mut process, worker);
    assert_eq!(
        (answer.status(), answer.text().as_str()),
        (200, "answer 1"),
        "{script}"
    );
    // What failed takes its isolate with it, and the next event has an answer.
    let next = process.get(worker, "/");
    let expected = if next.usage().cold {
        "200 answer 1"
    } else {
        "200 answer 2"
    };
    assert_eq!(next.outcome(), expected, "{script}");
    assert_eq!(next.usage().cold, !answer.code().is_empty(), "{script}");
    assert!(process.end().is_ok());
    answer
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits {
        cpu_ms: 20_000,
        wall_ms: 40_000,
        memory: 16 << 20,
        ..Limits::default()
    };
    change(&mut limits);
    limits
}

#[test]
fn it_is_finished_and_its_lines_come() {
    let script =
        "console.log('one'); await sleep(5); console.warn('two'); await sleep(5); console.log('last');";
    let answer = after(limits(|_| {}), script);
    assert_eq!(answer.code(), "");
    assert_eq!(answer.log(), ["one", "two", "last"]);
    assert!(answer.usage().wall_us >= 11_000, "{}", answer.usage().wall_us);
}

#[test]
fn it_counts_as_the_events_time_on_a_cpu() {
    let script = "let n = 0; for (let i = 0; i < 3_000_000; i++) n += i; console.log('done');";
    let answer = after(limits(|_| {}), script);
    assert_eq!((answer.code(), answer.log().as_slice()), ("", &["done"][..]));
    let without = after(limits(|_| {}), "");
    assert!(answer.usage().cpu_us > without.usage().cpu_us);
}

#[test]
fn it_ends_with_the_events_time_on_a_cpu() {
    let short = || limits(|limits| limits.cpu_ms = 200);
    for script in [
        "console.log('before'); for (;;);",
        "console.log('before'); for (;;) await 0;",
        "console.log('before'); for (;;) { const end = Date.now() + 5; while (Date.now() < end); await sleep(1); }",
    ] {
        let answer = after(short(), script);
        assert_eq!(answer.code(), "worker_cpu_limit", "{script}");
        assert_eq!(answer.log(), ["before"], "{script}");
        assert!(
            answer.usage().cpu_us >= 190_000,
            "{script}: {} us",
            answer.usage().cpu_us
        );
    }
}

#[test]
fn it_ends_with_the_events_time() {
    let scripts = [
        "console.log('before'); await sleep(60_000);",
        "console.log('before'); for (;;) await sleep(5);",
        "console.log('before'); await fetch('https://never.example/');",
    ];
    let ends = |script| {
        let answer = after(limits(|limits| limits.wall_ms = 3000), script);
        assert_eq!(answer.code(), "worker_timeout", "{script}");
        assert_eq!(answer.log(), ["before"], "{script}");
        assert!(
            answer.usage().wall_us >= 3_000_000,
            "{script}: {} us",
            answer.usage().wall_us
        );
    };
    std::thread::scope(|scope| {
        for script in scripts {
            scope.spawn(move || ends(script));
        }
    });
}

#[test]
fn other_limits_hold_for_it() {
    let memory = after(
        limits(|_| {}),
        "const a = []; for (;;) a.push(new Array(1000).fill(0));",
    );
    assert_eq!(memory.code(), "worker_memory_limit");
    let few = || limits(|limits| (limits.log_lines, limits.timers, limits.subrequests) = (2, 5, 1));
    let lines = after(few(), "for (let i = 0; i < 10; i++) console.log(i);");
    assert_eq!((lines.code(), lines.logs.len()), ("", 3));
    // What is thrown at the limit is the late work's own, and the isolate isn't used again.
    for script in [
        "for (;;) setTimeout(() => {}, 1000);",
        "await Promise.all([1, 2].map((i) => fetch('https://a.example/' + i)));",
    ] {
        let mut process = Process::start();
        let worker = answers(&mut process, few(), script);
        let answer = late(&mut process, worker);
        assert_eq!(answer.text(), "answer 1");
        assert!(
            answer.log().iter().any(|line| line.contains("an event may")),
            "{script}: {:?}",
            answer.log()
        );
        assert!(process.get(worker, "/").usage().cold, "{script}");
    }
}

#[test]
fn what_nothing_can_settle_ends_at_once() {
    let answer = after(
        limits(|_| {}),
        "console.log('before'); await new Promise(() => {});",
    );
    assert_eq!(
        (answer.code(), answer.log().as_slice()),
        ("worker_never_answers", &["before"][..])
    );
}

#[test]
fn what_it_throws_is_a_line_and_the_answer_stands() {
    let answer = after(limits(|_| {}), "throw new Error('too late');");
    assert_eq!(answer.code(), "");
    assert!(answer.log()[0].contains("too late"), "{:?}", answer.log());
}

#[test]
fn late_work_may_have_more_done() {
    let mut process = Process::start();
    let source = "const sleep = (ms) => new Promise((go) => setTimeout(go, ms));
        export default {
            fetch(request, env, ctx) {
                const work = async (left) => {
                    await sleep(2);
                    console.log('left', left);
                    if (left > 0) ctx.waitUntil(work(left - 1));
                };
                if (request.url.endsWith('/timer')) setTimeout(() => ctx.waitUntil(work(2)), 2);
                ctx.waitUntil(request.url.endsWith('/timer') ? sleep(5) : work(3));
                return new Response('ok');
            },
            scheduled(event, env, ctx) {
                event.waitUntil(sleep(2).then(() => console.log('of the event')));
                ctx.waitUntil(sleep(4).then(() => console.log('of the context')));
            },
        };";
    let worker = process.worker(source);
    let answer = process.get(worker, "/");
    assert_eq!(answer.outcome(), "200 ok");
    assert_eq!(answer.log(), ["left 3", "left 2", "left 1", "left 0"]);
    assert_eq!(
        process.get(worker, "/timer").log(),
        ["left 2", "left 1", "left 0"]
    );
    let ran = process.run(worker, scheduled("* * * * *", 0));
    assert_eq!(
        (ran.code(), ran.log().as_slice()),
        ("", &["of the event", "of the context"][..])
    );
}

#[test]
fn its_fetches_are_made_and_answered() {
    let mut process = Process::start();
    let worker = answers(
        &mut process,
        limits(|_| {}),
        "const answer = await fetch('https://a.example/', { method: 'POST', body: 'sent' }); console.log(answer.status, await answer.text());",
    );
    let call = process.call(worker, get("https://w.example/late"));
    assert!(
        process
            .until(call, |answer| answer.head.is_some())
            .fetches
            .is_empty()
    );
    let (fetch, request) = process.fetch(call);
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", "https://a.example/")
    );
    process.answer(call, fetch, 202, &[], b"got it");
    let answer = process.finish(call);
    assert_eq!(
        (answer.code(), answer.log().as_slice()),
        ("", &["202 got it"][..])
    );
    assert_eq!(answer.sent[&fetch], b"sent");
}

#[test]
fn it_goes_on_behind_a_body_in_pieces() {
    let mut process = Process::start();
    let worker = process.worker(
        "const sleep = (ms) => new Promise((go) => setTimeout(go, ms));
         export default { fetch(request, env, ctx) {
            let n = 0;
            const body = new ReadableStream({ async pull(c) { await sleep(1); if (n++ < 3) c.enqueue(new Uint8Array([64 + n])); else c.close(); } });
            ctx.waitUntil(sleep(60).then(() => console.log('after the body')));
            return new Response(body); } };",
    );
    let call = process.call(worker, get("https://w.example/"));
    let answer = process.until(call, |answer| answer.whole);
    assert_eq!((answer.text().as_str(), answer.done.is_none()), ("ABC", true));
    assert_eq!(process.finish(call).log(), ["after the body"]);
}

#[test]
fn the_next_event_of_the_isolate_waits_for_it() {
    let mut process = Process::start();
    let worker = answers(&mut process, limits(|_| {}), "await sleep(30); events += 100;");
    let first = process.call(worker, get("https://w.example/late"));
    process.until(first, |answer| answer.head.is_some());
    let second = process.call(worker, get("https://w.example/"));
    assert_eq!(process.finish(first).text(), "answer 1");
    assert_eq!(process.finish(second).text(), "answer 102");
}

#[test]
fn it_ends_when_nobody_wants_it() {
    let mut process = Process::start();
    for script in ["await sleep(60_000);", "for (;;);", "for (;;) await sleep(1);"] {
        let worker = answers(&mut process, limits(|_| {}), script);
        let call = process.call(worker, get("https://w.example/late"));
        process.until(call, |answer| answer.head.is_some());
        // Long enough that most are in the middle of it; none has to be.
        std::thread::sleep(Duration::from_millis(20));
        process.send(&ToProcess::Cancel(call));
        let answer = process.finish(call);
        assert_eq!(
            (answer.text().as_str(), answer.code()),
            ("answer 1", "worker_cancelled"),
            "{script}"
        );
    }
}

#[test]
fn an_answer_does_not_wait_for_what_runs_behind_it_in_the_same_turn() {
    let mut process = Process::start();
    let scripts = [
        // A timer that is due before the turn is over.
        "ctx.waitUntil(new Promise((go) => setTimeout(go, 1)).then(() => { for (;;); }));
         for (const start = Date.now(); Date.now() - start < 20;);",
        // No timer at all.
        "ctx.waitUntil((async () => { for (let jobs = 0; jobs < 100; jobs++) await 0; for (;;); })());",
    ];
    for script in scripts {
        let source = format!(
            "export default {{ fetch(request, env, ctx) {{ {script} return new Response('answer'); }} }};"
        );
        let mut code = load(&[("index.js", &source)]);
        code.limits = limits(|_| {});
        let worker = process.load(code).0;
        let call = process.call(worker, get("https://w.example/"));
        process.until(call, |answer| answer.head.is_some());
        process.send(&ToProcess::Cancel(call));
        let answer = process.finish(call);
        // Not at its limit: an answer that waits comes only then.
        assert_eq!(
            (answer.text().as_str(), answer.code()),
            ("answer", "worker_cancelled"),
            "{script}"
        );
    }
}

#[test]
fn ends_of_events_do_not_wait_for_what_runs_behind_them() {
    let mut process = Process::start();
    let hog = {
        let mut code = load(&[("index.js", "export default { fetch() { for (;;); } };")]);
        code.limits = limits(|_| {});
        process.load(code).0
    };
    let quick = process.worker("export default { fetch: () => new Response('quick') };");
    // In line together: a thread that has ended a quick one goes on with one that doesn't end.
    let calls: Vec<_> = (0..4)
        .map(|_| {
            (
                process.call(quick, get("https://w.example/")),
                process.call(hog, get("https://w.example/")),
            )
        })
        .collect();
    for (quick, _) in &calls {
        assert_eq!(process.finish(*quick).outcome(), "200 quick");
    }
    for (_, hog) in &calls {
        process.send(&ToProcess::Cancel(*hog));
    }
    for (_, hog) in calls {
        // Not at its limit: that it was would have let the quick ones go.
        assert_eq!(process.finish(hog).code(), "worker_cancelled");
    }
}
