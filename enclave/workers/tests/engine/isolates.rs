//! What events share, and what they don't.

use std::time::Duration;

use jeju_worker_protocol::ToProcess;

use crate::harness::{Process, get, load};

/// How long some wait for an isolate.
const WAIT: Duration = Duration::from_millis(50);

const COUNTS: &str = "let count = 0; export default { async fetch(request) {
    const own = ++count;
    if (request.url.endsWith('/gate')) await fetch('https://gate.example/');
    return new Response(String(own)); } };";

#[test]
fn an_isolate_is_used_for_one_event_after_the_other() {
    let mut process = Process::start();
    let worker = process.worker(COUNTS);
    let texts: Vec<_> = (0..4).map(|_| process.get(worker, "/").text()).collect();
    assert_eq!(texts, ["1", "2", "3", "4"]);
}

#[test]
fn events_at_the_same_time_have_isolates_of_their_own() {
    let mut process = Process::start();
    let mut code = load(&[("index.js", COUNTS)]);
    code.max_concurrent = 2;
    let worker = process.load(code).0;
    let calls: Vec<_> = (0..4)
        .map(|_| process.call(worker, get("https://w.example/gate")))
        .collect();
    let first: Vec<_> = calls[..2]
        .iter()
        .map(|call| (*call, process.fetch(*call).0))
        .collect();
    // Messages come in their order: the other two wait by now.
    let neighbour = process.worker(COUNTS);
    assert_eq!(process.get(neighbour, "/").text(), "1");
    std::thread::sleep(WAIT);
    for (call, fetch) in first {
        process.answer(call, fetch, 200, &[], b"");
    }
    // Both are in an isolate before the first may end: it would take the other one too.
    let second: Vec<_> = calls[2..]
        .iter()
        .map(|call| (*call, process.fetch(*call).0))
        .collect();
    for (call, fetch) in second {
        process.answer(call, fetch, 200, &[], b"");
    }
    let answers: Vec<_> = calls.into_iter().map(|call| process.finish(call)).collect();
    let mut texts: Vec<_> = answers.iter().map(|answer| answer.text()).collect();
    texts.sort();
    // Two isolates, each with two events.
    assert_eq!(texts, ["1", "1", "2", "2"]);
    for waited in &answers[2..] {
        assert!(waited.usage().wall_us >= WAIT.as_micros() as u64);
    }
}

#[test]
fn workers_share_nothing() {
    let mut process = Process::start();
    let source = |name: &str| {
        format!(
            "globalThis.mine = (globalThis.mine ?? '') + '{name}'; Array.prototype.flat = () => ['{name}'];
             export default {{ fetch: () => new Response(globalThis.mine + [].flat()) }};"
        )
    };
    let (one, two) = (process.worker(&source("a")), process.worker(&source("b")));
    assert_eq!(process.get(one, "/").text(), "aa");
    assert_eq!(process.get(two, "/").text(), "bb");
    assert_eq!(process.get(one, "/").text(), "aa");
}

#[test]
fn what_an_event_left_behind_does_not_reach_the_next() {
    let mut process = Process::start();
    let worker = process.worker(
        "let ticks = 0; export default { async fetch(request) {
            if (request.url.endsWith('/start')) {
              setInterval(() => { ticks += 1; }, 1);
              fetch('https://late.example/').then(() => { ticks += 100; }, () => { ticks += 100; });
              return new Response('started');
            }
            await new Promise((go) => setTimeout(go, 20));
            return new Response(String(ticks)); } };",
    );
    assert_eq!(process.get(worker, "/start").text(), "started");
    assert_eq!(process.get(worker, "/").text(), "0");
}

#[test]
fn a_cancelled_event_ends_at_once_wherever_it_is() {
    let mut process = Process::start();
    let mut code = load(&[(
        "index.js",
        "let fresh = true; export default { async fetch(request) {
            const path = new URL(request.url).pathname;
            if (path === '/loop') for (;;);
            if (path === '/wait') await new Promise((go) => setTimeout(go, 20_000));
            if (path === '/fetch') await fetch('https://slow.example/');
            const was = fresh; fresh = false;
            return new Response(String(was)); } };",
    )]);
    code.max_concurrent = 1;
    let worker = process.load(code).0;
    for path in ["/loop", "/wait", "/fetch"] {
        let call = process.call(worker, get(&format!("https://w.example{path}")));
        let queued = process.call(worker, get("https://w.example/"));
        std::thread::sleep(std::time::Duration::from_millis(30));
        process.send(&ToProcess::Cancel(queued));
        assert_eq!(process.finish(queued).code(), "worker_cancelled");
        process.send(&ToProcess::Cancel(call));
        assert_eq!(process.finish(call).code(), "worker_cancelled", "{path}");
        // Another isolate: nothing of the cancelled event goes on.
        assert_eq!(process.get(worker, "/").text(), "true", "{path}");
    }
}

#[test]
fn isolates_that_rest_go_when_memory_is_wanted() {
    let mut process = Process::start();
    let worker = process.worker(COUNTS);
    assert_eq!(process.get(worker, "/").text(), "1");
    process.send(&ToProcess::Trim);
    let answer = process.get(worker, "/");
    assert_eq!((answer.text().as_str(), answer.usage().cold), ("1", true));
}

#[test]
fn what_an_event_leaves_behind_takes_no_memory_of_the_next() {
    let mut process = Process::start();
    let mut code = load(&[(
        "index.js",
        "export default { async fetch(request) {
            const big = 'x'.repeat(100_000) + request.url;
            setTimeout(() => big, 60_000);
            setInterval(() => big, 60_000);
            fetch('https://never.example/').then(() => big);
            fetch('https://slow.example/', { method: 'POST', duplex: 'half', body: new ReadableStream({ pull: () => new Promise(() => big) }) });
            return new Response('ok'); } };",
    )]);
    code.max_concurrent = 1;
    let worker = process.load(code).0;
    let mut used = Vec::new();
    for at in 0..80 {
        let answer = process.get(worker, &format!("/{at}"));
        assert_eq!(answer.outcome(), "200 ok");
        assert!(!answer.usage().cold || at == 0, "the isolate is kept");
        used.push(answer.usage().memory);
    }
    // The strings of all events would be 8 MB; garbage in cycles may wait for a while.
    assert!(used[79] < used[0] + 4_000_000, "{used:?}");
}

#[test]
fn timers_of_an_event_that_is_over_do_not_reach_the_next() {
    let mut process = Process::start();
    let mut code = load(&[(
        "index.js",
        "let fired = 0, last; export default { async fetch(request) {
            clearTimeout(last);
            last = setInterval(() => { fired += 1; }, 1);
            if (request.url.endsWith('/wait')) await new Promise((go) => setTimeout(go, 50));
            clearTimeout(last);
            setTimeout(() => { fired += 1000; }, 1);
            setInterval(() => { fired += 1000; }, 1);
            return new Response(String(fired)); } };",
    )]);
    code.max_concurrent = 1;
    let worker = process.load(code).0;
    assert_eq!(process.get(worker, "/").text(), "0");
    let fired: u32 = process.get(worker, "/wait").text().parse().expect("a number");
    assert!(fired > 0 && fired < 1000, "{fired}");
    let again: u32 = process.get(worker, "/wait").text().parse().expect("a number");
    assert!(again > fired && again < 1000, "{again}");
}
