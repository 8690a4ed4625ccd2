//! The embedded engine's side of `bench/inference/compare.py`: one thread, one sequence, timed in CPU time.
//!
//! `bench MODEL [KERNEL]` reads commands from standard input, one a line, and answers each with one line:
//!
//! - `prefill IDS`: CPU seconds to process a prompt and get the logits that follow it.
//! - `decode COUNT IDS`: CPU seconds for that many greedy tokens after the prompt, without the prompt.
//! - `resident`: bytes of memory now, and at most so far.

use std::io::{BufRead, Write, stdin, stdout};

use jeju_inference::{Kernel, Model, Session};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("usage: bench MODEL [KERNEL]");
    let mut model = Model::open(&path).expect("a model file");
    if let Some(name) = arguments.next() {
        let kernel = Kernel::available()
            .into_iter()
            .find(|kernel| kernel.name() == name);
        model = model.with_kernel(kernel.expect("a kernel that this CPU has"));
    }
    for line in stdin().lock().lines() {
        let line = line.expect("text on standard input");
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["prefill", ids] => {
                let mut session = Session::new(&model, 4096);
                let before = cpu_seconds();
                session.feed(&parse(ids)).expect("a prompt");
                println!("{}", cpu_seconds() - before);
            }
            ["decode", count, ids] => {
                let mut session = Session::new(&model, 4096);
                let mut token = most_probable(session.feed(&parse(ids)).expect("a prompt"));
                let before = cpu_seconds();
                for _ in 0..count.parse().expect("a count") {
                    token = most_probable(session.feed(&[token]).expect("room"));
                }
                println!("{}", cpu_seconds() - before);
            }
            ["resident"] => println!("{} {}", status_bytes("VmRSS:"), status_bytes("VmHWM:")),
            _ => panic!("unknown command {line:?}"),
        }
        stdout().flush().expect("standard output");
    }
}

fn parse(ids: &str) -> Vec<u32> {
    ids.split(',').map(|id| id.parse().expect("a token id")).collect()
}

fn most_probable(logits: &[f32]) -> u32 {
    let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
    best.expect("a vocabulary") as u32
}

/// CPU time of this thread.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds: f64 = text
        .split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .expect("a number");
    nanoseconds / 1e9
}

fn status_bytes(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .expect("the key");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .expect("a number")
        * 1024
}
