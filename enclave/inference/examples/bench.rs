//! The embedded engine's side of `bench/inference/compare.py`: one thread, timed in CPU time.
//!
//! `bench MODEL [KERNEL]` reads commands from standard input, one a line, and answers each with one line:
//!
//! - `prefill IDS`: CPU seconds to process a prompt and get the logits that follow it.
//! - `decode COUNT IDS`: CPU seconds for that many greedy tokens after the prompt, without the prompt.
//! - `batch STREAMS COUNT IDS`: CPU seconds of the engine for that many greedy tokens in each of that many streams
//!   side by side, without their prompts.
//! - `resident`: bytes of memory now, and at most so far.

use std::io::{BufRead, Write, stdin, stdout};
use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};

use jeju_inference::{
    Engine, EngineConfig, Event, GenerateRequest, Kernel, Model, Prompt, Sampling, Session,
};

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
    let model = Arc::new(model);
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
            ["batch", streams, count, ids] => {
                let config = EngineConfig {
                    threads: 1,
                    kv_cache_bytes: 1 << 30,
                    ..EngineConfig::default()
                };
                let engine = Engine::new(model.clone(), config).expect("an engine");
                let streams = streams.parse().expect("a number of streams");
                let count: usize = count.parse().expect("a count");
                // The thread has started, and that of an engine before is gone, when it has answered once.
                answer_all(&engine, 1, 1, &parse(ids));
                let prompts = answer_all(&engine, streams, 1, &parse(ids));
                println!(
                    "{}",
                    answer_all(&engine, streams, count + 1, &parse(ids)) - prompts
                );
            }
            ["resident"] => println!("{} {}", status_bytes("VmRSS:"), status_bytes("VmHWM:")),
            _ => panic!("unknown command {line:?}"),
        }
        stdout().flush().expect("standard output");
    }
}

/// CPU seconds of the engine's thread for answers of `count` tokens, one to each of `streams` unlike prompts.
fn answer_all(engine: &Engine, streams: usize, count: usize, ids: &[u32]) -> f64 {
    let tokenizer = engine.model().tokenizer();
    // Nothing may end an answer early.
    let controls = (0..tokenizer.vocabulary_size() as u32).filter(|token| tokenizer.is_control(*token));
    let sampling = Sampling {
        repeat_penalty: 1.0,
        logit_bias: controls.map(|token| (token, -100.0)).collect(),
        ..Sampling::default()
    };
    let (sender, ends) = mpsc::channel();
    let before = worker_cpu_seconds();
    let running: Vec<_> = (0..streams)
        .map(|stream| {
            let mut prompt = ids.to_vec();
            prompt.rotate_left(stream % ids.len());
            let request = GenerateRequest {
                prompt: Prompt::Tokens(prompt.into()),
                sampling: sampling.clone(),
                max_tokens: Some(count),
                stop: Vec::new().into(),
                logprobs: None,
                json_object: false,
            };
            let sender = sender.clone();
            let sink = move |event| {
                if let Event::Finished(finish) = event {
                    sender.send(finish.usage.completion_tokens).expect("a listener");
                }
                ControlFlow::Continue(())
            };
            engine.submit(request, sink).expect("room")
        })
        .collect();
    for _ in &running {
        assert_eq!(ends.recv().expect("an end"), count);
    }
    worker_cpu_seconds() - before
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
    schedstat_seconds("/proc/thread-self")
}

/// CPU time of the engine's only thread; 0 before it has started.
fn worker_cpu_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let mut threads = tasks.filter_map(|task| task.ok()?.path().to_str().map(str::to_owned));
    let is_worker = |thread: &String| {
        std::fs::read_to_string(format!("{thread}/comm")).is_ok_and(|name| name.trim() == "inference-0")
    };
    threads
        .find(is_worker)
        .map_or(0.0, |thread| schedstat_seconds(&thread))
}

fn schedstat_seconds(thread: &str) -> f64 {
    let text = std::fs::read_to_string(format!("{thread}/schedstat")).expect("Linux");
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
