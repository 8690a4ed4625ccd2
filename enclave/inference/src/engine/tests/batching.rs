//! What shares a pass, and that nobody can tell.

use std::sync::mpsc::Sender;

use super::*;
use crate::forward::{Part, ROWS, Scratch};
use crate::kernels::Kernel;
use crate::model::Model;

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|logit| logit.to_bits()).collect()
}

/// Token `index` of sequence `number`.
fn token(number: usize, index: usize) -> u32 {
    (3 + (number * 31 + index * 17) % 250) as u32
}

/// Feeds each sequence its tokens in steps of these lengths, all sequences together in a pass, and returns the bits of
/// their logits after each step.
fn logits_of(model: &Model, numbers: &[usize], steps: &[Vec<usize>]) -> Vec<Vec<Vec<u32>>> {
    let mut scratch = Scratch::new(model);
    let mut caches: Vec<KvCache> = numbers.iter().map(|_| KvCache::new(&model.shape, 128)).collect();
    let mut seen = vec![Vec::new(); numbers.len()];
    for lengths in steps {
        let tokens: Vec<Vec<u32>> = numbers
            .iter()
            .zip(&caches)
            .map(|(number, cache)| {
                let next = cache.length()..cache.length() + lengths[*number];
                next.map(|index| token(*number, index)).collect()
            })
            .collect();
        let mut parts: Vec<Part<'_>> = tokens
            .iter()
            .zip(&mut caches)
            .map(|(tokens, cache)| Part { tokens, cache })
            .collect();
        model.forward(&mut parts, &mut scratch);
        let mut end = 0;
        let last: Vec<usize> = tokens
            .iter()
            .map(|tokens| {
                end += tokens.len();
                end - 1
            })
            .collect();
        for (logits, seen) in model.logits(&last, &mut scratch).zip(&mut seen) {
            seen.push(bits(logits));
        }
    }
    seen
}

#[test]
fn logits_are_the_same_bits_alone_and_in_batches_of_every_size_on_every_kernel() {
    for kernel in Kernel::available() {
        let model = test_model::load(5).with_kernel(kernel);
        // Prompts of unlike lengths first, then single tokens.
        let prompt = |number: usize| 1 + (number * 5) % 2;
        let steps = [
            (0..16).map(prompt).collect(),
            vec![1; 16],
            vec![2; 16],
            vec![1; 16],
        ];
        let alone: Vec<_> = (0..16)
            .map(|number| logits_of(&model, &[number], &steps).remove(0))
            .collect();
        for size in 2..=16 {
            let numbers: Vec<usize> = (16 - size..16).collect();
            let together = logits_of(&model, &numbers, &steps);
            assert!(together == alone[16 - size..], "{} of {size}", kernel.name());
        }
    }
}

#[test]
fn a_long_prompt_in_the_same_pass_changes_nothing() {
    for kernel in Kernel::available() {
        let model = test_model::load(6).with_kernel(kernel);
        let steps = [vec![3, 25, 4], vec![1, 30, 1], vec![1, 11, 1]];
        let alone: Vec<_> = (0..3)
            .map(|number| logits_of(&model, &[number], &steps).remove(0))
            .collect();
        assert!(
            logits_of(&model, &[0, 1, 2], &steps) == alone,
            "{}",
            kernel.name()
        );
        assert!(steps[1].iter().sum::<usize>() == ROWS);
    }
}

#[test]
fn answers_are_the_same_alone_and_in_batches_of_every_size() {
    let ask = |number: usize| {
        let mut request = request(&"hello ".repeat(1 + number % 5), 20);
        request.sampling.seed = number as u64;
        request.logprobs = Some(2);
        request
    };
    let alone: Vec<_> = {
        let engine = engine(config());
        (0..16).map(|number| run(&engine, ask(number))).collect()
    };
    for size in 2..=16 {
        let engine = engine(config());
        // While the only worker is held, all of them gather.
        let (blocking, release, _blocked) = block(&engine);
        let running: Vec<_> = (0..size).map(|number| submit(&engine, ask(number))).collect();
        drop(blocking);
        drop(release);
        for ((_generation, events), expected) in running.iter().zip(&alone) {
            assert_eq!(&collect(events), expected, "in a batch of {size}");
        }
    }
}

/// A stream that tells its name for each token.
fn stream(engine: &Engine, order: &Sender<Option<usize>>, name: usize, tokens: usize) -> Generation {
    let order = order.clone();
    let mut request = request(&"hello ".repeat(1 + name % 40), tokens);
    request.sampling.seed = name as u64;
    request.logprobs = Some(0);
    // Nothing may end it early, and each token is a whole character, so that it is sent at once.
    let tokenizer = engine.model().tokenizer();
    let unwanted = (0..engine.model().vocabulary_size() as u32)
        .filter(|token| tokenizer.is_control(*token) || !tokenizer.bytes(*token).is_ascii());
    request.sampling.logit_bias = unwanted.map(|token| (token, -100.0)).collect();
    let sink = move |event| {
        match event {
            Event::Text(piece) => piece.tokens.iter().for_each(|_| {
                let _ = order.send(Some(name));
            }),
            Event::Finished(finish) => {
                assert_eq!(finish.usage.completion_tokens, tokens);
                let _ = order.send(None);
            }
        }
        ControlFlow::Continue(())
    };
    engine.submit(request, sink).unwrap()
}

/// In tokens of all streams together, from one token of a stream to its next, and to its first: a measure that no
/// clock can disturb.
#[test]
fn each_of_200_streams_moves_on_within_four_times_the_mean_gap() {
    const STREAMS: usize = 200;
    const TOKENS: usize = 32;
    // One worker: a second one could be kept from its core in the middle of a step, as long as the system likes.
    let engine = engine(EngineConfig {
        max_queue: STREAMS,
        kv_cache_bytes: 64 << 20,
        ..config()
    });
    let (order, seen) = channel();
    // While the worker is held, all of them gather.
    let blocking = block(&engine);
    let running: Vec<_> = (0..STREAMS)
        .map(|name| stream(&engine, &order, name, TOKENS))
        .collect();
    drop(blocking);
    let mut latest = [0; STREAMS];
    let (mut ended, mut count) = (0, 0);
    let mut gaps: Vec<usize> = Vec::new();
    while ended < STREAMS {
        let Some(name) = seen.recv_timeout(PATIENCE).expect("progress") else {
            ended += 1;
            continue;
        };
        count += 1;
        gaps.push(count - std::mem::replace(&mut latest[name], count));
    }
    assert_eq!(count, STREAMS * TOKENS);
    let mean = gaps.iter().sum::<usize>() / gaps.len();
    let longest = gaps.iter().max().copied().unwrap_or(0);
    assert!(longest <= 4 * mean, "{longest} against a mean of {mean}");
    drop(running);
}

#[test]
fn an_answer_gets_its_turns_between_many_long_prompts() {
    let engine = engine(EngineConfig {
        kv_cache_bytes: 64 << 20,
        ..config()
    });
    let (order, seen) = channel();
    let (_blocking, release, _blocked) = block(&engine);
    let _prompts: Vec<_> = (0..100)
        .map(|_| record(&engine, &order, "prompt", request(&"x ".repeat(100), 1)))
        .collect();
    let _answer = record(&engine, &order, "answer", request("hello", 6));
    drop(release);
    // A prompt takes seven turns.
    loop {
        match seen.recv_timeout(PATIENCE).expect("progress").as_str() {
            "answer." => break,
            "prompt." => panic!("a prompt of seven turns was faster than an answer of six"),
            _ => {}
        }
    }
}
