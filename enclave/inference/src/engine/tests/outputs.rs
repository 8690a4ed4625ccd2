//! What else than text comes out: probabilities, JSON, embeddings.

use super::*;
use crate::Session;

/// Text, all tokens and the end.
fn with_tokens(engine: &Engine, request: GenerateRequest) -> (String, Vec<TokenLogprob>, Finish) {
    let (_generation, events) = submit(engine, request);
    let (mut text, mut tokens) = (String::new(), Vec::new());
    loop {
        match events.recv_timeout(PATIENCE).expect("an event in time") {
            Event::Text(piece) => {
                assert!(!piece.text.is_empty() || !piece.tokens.is_empty());
                text.push_str(&piece.text);
                tokens.extend(piece.tokens);
            }
            Event::Finished(finish) => return (text, tokens, finish),
        }
    }
}

#[test]
fn each_token_comes_with_the_models_own_log_probability() {
    let engine = engine(config());
    let mut asked = request("hello world", 12);
    asked.sampling.repeat_penalty = 1.3;
    asked.sampling.logit_bias = vec![(90, 3.0), (0, -100.0), (1, -100.0), (2, -100.0)];
    asked.logprobs = Some(20);
    let (generation, _) = submit(&engine, request("hello world", 12));
    let mut session = Session::new(engine.model(), 64);
    let mut logits = session.feed(generation.prompt()).unwrap().to_vec();
    let (text, tokens, finish) = with_tokens(&engine, asked);
    assert_eq!(tokens.len(), finish.usage.completion_tokens);
    for token in &tokens {
        let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        let logprob = |id: u32| f64::from(logits[id as usize]) - sum.ln();
        assert!((f64::from(token.logprob) - logprob(token.token)).abs() < 1e-5);
        assert_eq!(token.top.len(), 20);
        assert!(token.top.is_sorted_by(|a, b| a.1 >= b.1));
        for (id, value) in &token.top {
            assert!((f64::from(*value) - logprob(*id)).abs() < 1e-5);
        }
        logits = session.feed(&[token.token]).unwrap().to_vec();
    }
    let tokenizer = engine.model().tokenizer();
    let bytes = tokens.iter().flat_map(|token| tokenizer.bytes(token.token));
    let bytes: Vec<u8> = bytes.copied().collect();
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

#[test]
fn asking_for_log_probabilities_changes_no_answer_and_nobody_else_gets_any() {
    let engine = engine(config());
    let (text, tokens, _) = with_tokens(&engine, request("hello", 30));
    assert!(tokens.is_empty());
    let mut asked = request("hello", 30);
    asked.logprobs = Some(0);
    let (same, tokens, finish) = with_tokens(&engine, asked);
    assert_eq!((same, tokens.len()), (text, finish.usage.completion_tokens));
    assert!(tokens.iter().all(|token| token.top.is_empty()));
}

#[test]
fn bias_forces_and_bans_tokens() {
    let engine = engine(config());
    let mut forced = request("hello", 5);
    forced.sampling = Sampling {
        logit_bias: vec![(100, 100.0)],
        repeat_penalty: 1.0,
        ..Sampling::default()
    };
    forced.logprobs = Some(0);
    let (_, tokens, _) = with_tokens(&engine, forced);
    assert!(tokens.iter().all(|token| token.token == 100) && tokens.len() == 5);

    let mut banned = request("hello", 40);
    banned.sampling.logit_bias = (0..250).map(|token| (token, -100.0)).collect();
    banned.logprobs = Some(0);
    let (_, tokens, _) = with_tokens(&engine, banned);
    assert!(tokens.iter().all(|token| token.token >= 250) && tokens.len() == 40);
}

#[test]
fn an_answer_in_json_that_stops_is_an_object() {
    let engine = engine(EngineConfig {
        threads: 2,
        ..config()
    });
    let ask = |seed| {
        let mut request = request("hello", if seed % 2 == 0 { 200 } else { 5 });
        request.json_object = true;
        request.sampling.seed = seed;
        // Quotes, colons and closing brackets come more often, so that some objects end.
        let closing = "\"}]:".chars().map(|letter| {
            let tokens = engine.model().tokenizer().encode(letter.encode_utf8(&mut [0; 4]));
            (tokens[0], 4.0)
        });
        request.sampling.logit_bias = closing.collect();
        submit(&engine, request)
    };
    let running: Vec<_> = (0..150).map(ask).collect();
    let (mut whole, mut cut) = (0, 0);
    for (_generation, events) in &running {
        let (text, finish) = collect(events);
        match finish.reason {
            FinishReason::Stop => {
                let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                assert!(value.is_object(), "{text}");
                whole += 1;
            }
            FinishReason::Length => {
                assert!(text.starts_with('{'));
                assert!(matches!(finish.usage.completion_tokens, 5 | 200));
                cut += 1;
            }
            FinishReason::Cancelled => panic!("nobody cancelled"),
        }
    }
    assert!(whole >= 20 && cut >= 20, "{whole} whole, {cut} cut");
}

fn embed(engine: &Engine, text: &str) -> (Generation, Receiver<Option<Embedding>>) {
    let (sender, receiver) = channel();
    let generation = engine
        .embed(Prompt::Text(text.into()), move |embedding| {
            let _ = sender.send(embedding);
        })
        .unwrap();
    (generation, receiver)
}

#[test]
fn an_embedding_has_length_one_and_is_the_same_in_any_company() {
    let engine = engine(config());
    let texts: Vec<String> = (1..9).map(|words| "hello world ".repeat(words * 4)).collect();
    let received = |receiver: &Receiver<Option<Embedding>>| {
        let embedding = receiver.recv_timeout(PATIENCE).expect("in time");
        embedding.expect("an embedding")
    };
    let alone: Vec<Embedding> = texts
        .iter()
        .map(|text| received(&embed(&engine, text).1))
        .collect();
    let (_blocking, release, _blocked) = block(&engine);
    let running: Vec<_> = texts.iter().map(|text| embed(&engine, text)).collect();
    drop(release);
    for ((generation, receiver), alone) in running.iter().zip(&alone) {
        let embedding = received(receiver);
        let bits = |vector: &[f32]| vector.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert!(bits(&embedding.vector) == bits(&alone.vector));
        assert_eq!(embedding.vector.len(), engine.model().embedding_length());
        assert_eq!(embedding.tokens, generation.prompt_tokens());
        assert_eq!(generation.max_tokens(), 0);
        let square: f32 = embedding.vector.iter().map(|value| value * value).sum();
        assert!((square - 1.0).abs() < 1e-5);
    }
    assert!(alone[0].vector != alone[1].vector);
}

#[test]
fn a_prompt_to_embed_may_fill_the_context_and_can_be_cancelled() {
    let engine = engine(config());
    let (generation, receiver) = embed(&engine, &"x ".repeat(128));
    assert_eq!(generation.prompt_tokens(), 256);
    assert!(receiver.recv_timeout(PATIENCE).expect("in time").is_some());
    let long = Prompt::Text("x ".repeat(129).as_str().into());
    let error = engine.embed(long, |_| panic!("the sink of a refused prompt was called"));
    assert!(matches!(
        error,
        Err(SubmitError::PromptTooLong { limit: 256, .. })
    ));

    let (_blocking, release, _blocked) = block(&engine);
    let (generation, receiver) = embed(&engine, "hello");
    drop(generation);
    drop(release);
    assert!(receiver.recv_timeout(PATIENCE).expect("in time").is_none());
}
