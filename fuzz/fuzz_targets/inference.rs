//! The embedded engine on a tiny model: whatever is asked, alone or in company, it answers the same, and in the form that
//! was asked for.
#![no_main]

use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock, mpsc};

use jeju_inference::{
    Engine, EngineConfig, Event, Finish, FinishReason, GenerateRequest, Generation, Model, Prompt, Sampling,
};
use libfuzzer_sys::fuzz_target;

/// Written by make-seeds.py.
const MODEL: &[u8] = include_bytes!("../model.gguf");

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let model = Model::load(MODEL, MODEL.len() as u64).expect("a model");
    let config = EngineConfig {
        threads: 1,
        ..EngineConfig::default()
    };
    Engine::new(Arc::new(model), config).expect("an engine")
});

type Answer = (String, Vec<u32>, Finish);

fuzz_target!(|input: &[u8]| {
    let [flags, max_tokens, stop_length, seed, text @ ..] = input else {
        return;
    };
    let Ok(text) = std::str::from_utf8(&text[..text.len().min(200)]) else {
        return;
    };
    let tokenizer = ENGINE.model().tokenizer();
    let tokens = tokenizer.encode(text);
    let bytes: Vec<u8> = tokens
        .iter()
        .flat_map(|token| tokenizer.bytes(*token))
        .copied()
        .collect();
    assert_eq!(bytes, text.as_bytes(), "this vocabulary has every byte");

    if flags & 16 != 0 {
        let (sender, embedding) = mpsc::channel();
        let running = ENGINE.embed(Prompt::Text(text.into()), move |embedding| {
            drop(sender.send(embedding))
        });
        if let Ok(running) = running {
            let embedding = embedding.recv().expect("an end").expect("an embedding");
            assert_eq!(embedding.tokens, running.prompt_tokens());
            assert!(embedding.vector.iter().all(|value| value.is_finite()));
        }
        return;
    }
    let ask = |seed: u8| {
        let cut = (0..=usize::from(*stop_length).min(text.len()))
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        let request = GenerateRequest {
            prompt: Prompt::Text(text.into()),
            sampling: Sampling {
                temperature: f32::from(flags & 1),
                seed: seed.into(),
                logit_bias: vec![((seed.into()), f32::from(*max_tokens) - 100.0)],
                ..Sampling::default()
            },
            max_tokens: Some((*max_tokens).into()),
            stop: match flags & 8 {
                0 => Vec::new(),
                _ => vec![text[..cut].to_owned()],
            }
            .into(),
            logprobs: (flags & 4 != 0).then_some(usize::from(*stop_length)),
            json_object: flags & 2 != 0,
        };
        let (sender, events) = mpsc::channel();
        let sink = move |event| match sender.send(event) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        Some((ENGINE.submit(request, sink).ok()?, events))
    };
    let running = [ask(*seed), ask(seed.wrapping_add(1)), ask(*seed)];
    let [Some(first), other, Some(again)] = running else {
        return;
    };
    // The other one is broken off.
    drop(other);
    let answer = collect(first);
    assert!(answer == collect(again), "the company changed the answer");
    let (text, tokens, finish) = &answer;
    if flags & 4 != 0 && flags & 8 == 0 {
        assert_eq!(tokens.len(), finish.usage.completion_tokens);
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|token| tokenizer.bytes(*token))
            .copied()
            .collect();
        assert_eq!(&String::from_utf8_lossy(&bytes), text);
    }
    assert!(
        finish.reason != FinishReason::Cancelled && finish.usage.completion_tokens <= (*max_tokens).into()
    );
    if flags & 2 != 0 && finish.reason == FinishReason::Stop {
        let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert!(value.is_object());
    }
});

fn collect((_generation, events): (Generation, mpsc::Receiver<Event>)) -> Answer {
    let (mut text, mut tokens) = (String::new(), Vec::new());
    loop {
        match events.recv().expect("an end") {
            Event::Text(piece) => {
                text.push_str(&piece.text);
                tokens.extend(piece.tokens.iter().map(|token| token.token));
            }
            Event::Finished(finish) => return (text, tokens, finish),
        }
    }
}
