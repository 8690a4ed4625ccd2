//! Measures the engine over its channel: cold start, memory of isolates that rest, and requests per second on a CPU.

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::time::{Duration, Instant};

use harness::{Process, get, load};
use jeju_worker_protocol::ToProcess;

const HELLO: &str = "export default { fetch() { return new Response('Hello from Jeju!'); } };";

fn main() {
    let mut process = Process::start();
    let worker = process.worker(HELLO);
    for _ in 0..3 {
        println!(
            "a hello worker: {} KiB",
            process.get(worker, "/").usage().memory / 1024
        );
    }
    cold(&mut process, worker);
    warm(&mut process, worker, 1);
    warm(&mut process, worker, 32);
    memory();
}

/// A request that has to have an isolate made for it.
fn cold(process: &mut Process, worker: u32) {
    let mut whole = Vec::new();
    let mut inside = Vec::new();
    for _ in 0..500 {
        process.send(&ToProcess::Trim);
        let start = Instant::now();
        let answer = process.get(worker, "/");
        whole.push(start.elapsed());
        assert!(answer.usage().cold);
        inside.push(Duration::from_micros(answer.usage().cpu_us));
    }
    for (name, mut times) in [
        ("cold start, wall", whole),
        ("cold start, CPU of the event", inside),
    ] {
        times.sort();
        println!(
            "{name}: p50 {:?}, p99 {:?}",
            times[times.len() / 2],
            times[times.len() * 99 / 100]
        );
    }
}

/// Requests, several at a time.
fn warm(process: &mut Process, worker: u32, at_a_time: usize) {
    const REQUESTS: usize = 20_000;
    let own = thread_cpu();
    let all = process_cpu();
    let start = Instant::now();
    let mut calls: std::collections::VecDeque<_> = Default::default();
    let mut inside = Duration::ZERO;
    for _ in 0..REQUESTS {
        calls.push_back(process.call(worker, get("https://worker.example/")));
        if calls.len() == at_a_time {
            let call = calls.pop_front().expect("one");
            let answer = process.finish(call);
            assert_eq!(answer.status(), 200);
            inside += Duration::from_micros(answer.usage().cpu_us);
        }
    }
    for call in calls {
        process.finish(call);
    }
    let wall = start.elapsed();
    let cpu = (process_cpu() - all).saturating_sub(thread_cpu() - own);
    println!(
        "{at_a_time} at a time: {:.0} requests/s, {:.1} us of CPU each in the process, {:.1} us of it in turns",
        REQUESTS as f64 / wall.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / REQUESTS as f64,
        inside.as_secs_f64() * 1e6 / REQUESTS as f64,
    );
}

/// Isolates that rest.
fn memory() {
    const ISOLATES: usize = 60;
    let mut process = Process::start();
    let mut code = load(&[(
        "index.js",
        "export default { async fetch() { await new Promise((go) => setTimeout(go, 300)); return new Response('Hello from Jeju!'); } };",
    )]);
    code.max_concurrent = ISOLATES as u16;
    let worker = process.load(code).0;
    let before = resident();
    let calls: Vec<_> = (0..ISOLATES)
        .map(|_| process.call(worker, get("https://worker.example/")))
        .collect();
    let mut heap = 0;
    for call in calls {
        heap = process.finish(call).usage().memory;
    }
    let each = resident().saturating_sub(before) / ISOLATES;
    println!(
        "an isolate that rests: {} KiB resident, {} KiB of it the engine's heap",
        each / 1024,
        heap / 1024
    );
}

fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("statm");
    pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok())
        .expect("pages")
        * 4096
}

fn thread_cpu() -> Duration {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn process_cpu() -> Duration {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(which: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time is written to a place of its size.
    unsafe { libc::clock_gettime(which, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
