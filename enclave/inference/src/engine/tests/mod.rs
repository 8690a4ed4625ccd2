mod batching;
mod outputs;

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use zeroize::Zeroizing;

use super::*;
use crate::sampler::Sampling;
use crate::template::{Message, Role};
use crate::test_model;

const PATIENCE: Duration = Duration::from_secs(60);

fn config() -> EngineConfig {
    EngineConfig {
        threads: 1,
        max_context: 256,
        kv_cache_bytes: 1 << 20,
        ..EngineConfig::default()
    }
}

fn engine(config: EngineConfig) -> Engine {
    Engine::new(Arc::new(test_model::load(9)), config).unwrap()
}

fn request(text: &str, max_tokens: usize) -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Text(text.into()),
        sampling: Sampling {
            temperature: 1.0,
            top_p: 1.0,
            seed: 5,
            ..Sampling::default()
        },
        max_tokens: Some(max_tokens),
        stop: Zeroizing::default(),
        logprobs: None,
        json_object: false,
    }
}

fn submit(engine: &Engine, request: GenerateRequest) -> (Generation, Receiver<Event>) {
    let (sender, receiver) = channel();
    let generation = engine
        .submit(request, move |event| match sender.send(event) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })
        .unwrap();
    (generation, receiver)
}

fn collect(events: &Receiver<Event>) -> (String, Finish) {
    let mut text = String::new();
    loop {
        match events.recv_timeout(PATIENCE).expect("an event in time") {
            Event::Text(piece) => text.push_str(&piece.text),
            Event::Finished(finish) => return (text, finish),
        }
    }
}

fn run(engine: &Engine, request: GenerateRequest) -> (String, Finish) {
    let (_generation, events) = submit(engine, request);
    collect(&events)
}

#[test]
fn a_request_gives_the_same_alone_and_among_others() {
    let prompts: Vec<String> = (0..6).map(|i| "hello world ".repeat(1 + i * 2)).collect();
    let alone: Vec<_> = {
        let engine = engine(config());
        prompts
            .iter()
            .map(|prompt| run(&engine, request(prompt, 40)))
            .collect()
    };
    for threads in [1, 3] {
        let engine = engine(EngineConfig { threads, ..config() });
        let running: Vec<_> = prompts
            .iter()
            .map(|prompt| submit(&engine, request(prompt, 40)))
            .collect();
        for ((_generation, events), expected) in running.iter().zip(&alone) {
            assert_eq!(&collect(events), expected);
        }
    }
    assert!(alone.iter().any(|(text, _)| text != &alone[0].0));
}

#[test]
fn the_seed_decides_and_usage_counts() {
    let engine = engine(config());
    let with_seed = |seed| {
        let mut request = request("hello", 30);
        request.sampling.seed = seed;
        run(&engine, request)
    };
    assert_eq!(with_seed(1), with_seed(1));
    assert_ne!(with_seed(1).0, with_seed(2).0);
    let (_, finish) = with_seed(1);
    assert_eq!(finish.usage.prompt_tokens, 1);
    match finish.reason {
        FinishReason::Length => assert_eq!(finish.usage.completion_tokens, 30),
        FinishReason::Stop => assert!(finish.usage.completion_tokens < 30),
        FinishReason::Cancelled => panic!("nobody cancelled"),
    }
}

#[test]
fn chat_prompts_go_through_the_template() {
    let engine = engine(config());
    let message = |role, content: &str| Message {
        role,
        content: content.into(),
    };
    let mut chat = request("", 1);
    chat.prompt = Prompt::Chat(vec![message(Role::User, "hello")]);
    let (without, _events) = submit(&engine, chat);
    let mut chat = request("", 1);
    let system = message(Role::System, crate::DEFAULT_SYSTEM_TEXT);
    chat.prompt = Prompt::Chat(vec![system, message(Role::User, "hello")]);
    let (with, _events) = submit(&engine, chat);
    assert_eq!(without.prompt_tokens(), with.prompt_tokens());
}

#[test]
fn stop_strings_end_an_answer() {
    let engine = engine(config());
    let (text, _) = run(&engine, request("hello", 60));
    let stop: String = text.chars().skip(5).take(2).collect();
    let mut stopping = request("hello", 60);
    stopping.stop.push(stop.clone());
    let (stopped, finish) = run(&engine, stopping);
    assert_eq!(finish.reason, FinishReason::Stop);
    assert_eq!(stopped, text[..text.find(&stop).unwrap()]);
}

#[test]
fn invalid_requests_are_refused() {
    let engine = engine(config());
    let refused = |change: &dyn Fn(&mut GenerateRequest)| {
        let mut request = request("hello", 5);
        change(&mut request);
        let result = engine.submit(request, |_| panic!("the sink of a refused request was called"));
        result.err().expect("a refusal")
    };
    let long = "x ".repeat(400);
    let error = refused(&|request| request.prompt = Prompt::Text(long.as_str().into()));
    assert!(matches!(
        error,
        SubmitError::PromptTooLong {
            tokens: 800,
            limit: 255
        }
    ));
    assert!(matches!(
        refused(&|r| r.prompt = Prompt::Text("".into())),
        SubmitError::EmptyPrompt
    ));
    assert!(matches!(
        refused(&|r| r.prompt = Prompt::Chat(vec![])),
        SubmitError::EmptyPrompt
    ));
    let outside = |r: &mut GenerateRequest| r.prompt = Prompt::Tokens(Zeroizing::new(vec![70_000]));
    assert!(matches!(
        refused(&outside),
        SubmitError::TokenOutOfRange { token: 70_000, .. }
    ));
    assert!(matches!(
        refused(&|r| r.max_tokens = Some(0)),
        SubmitError::NoTokens
    ));
    assert!(matches!(
        refused(&|r| r.sampling.top_p = 2.0),
        SubmitError::Sampling(_)
    ));
    assert!(matches!(
        refused(&|r| r.sampling.logit_bias.push((70_000, 1.0))),
        SubmitError::TokenOutOfRange { token: 70_000, .. }
    ));
    assert!(matches!(
        refused(&|r| r.logprobs = Some(MAX_TOP_LOGPROBS + 1)),
        SubmitError::Logprobs
    ));
    let json_with_stop = |r: &mut GenerateRequest| {
        r.json_object = true;
        r.stop.push("}".to_owned());
    };
    assert!(matches!(refused(&json_with_stop), SubmitError::StopInJson));
    assert!(matches!(
        refused(&|r| r.stop.push(String::new())),
        SubmitError::Stop
    ));
    assert!(matches!(
        refused(&|r| r.stop.push("x".repeat(MAX_STOP_BYTES + 1))),
        SubmitError::Stop
    ));
    assert!(matches!(
        refused(&|r| r.stop.extend(vec!["x".to_owned(); MAX_STOPS + 1])),
        SubmitError::Stop
    ));
}

#[test]
fn unusable_limits_are_refused() {
    let model = Arc::new(test_model::load(1));
    let start = |config| Engine::new(model.clone(), config).err().expect("a refusal");
    assert!(matches!(
        start(EngineConfig {
            threads: 0,
            ..config()
        }),
        EngineError::ZeroLimit
    ));
    let small = EngineConfig {
        kv_cache_bytes: 1000,
        ..config()
    };
    assert!(matches!(
        start(small),
        EngineError::CacheTooSmall { max_context: 256, .. }
    ));
}

/// A request whose sink blocks its worker until the returned sender is dropped or used.
fn block(engine: &Engine) -> (Generation, std::sync::mpsc::Sender<()>, Receiver<Event>) {
    let (release, gate) = channel::<()>();
    let (sender, events) = channel();
    let generation = engine
        .submit(request("hello hello", 200), move |event| {
            let _ = sender.send(event);
            let _ = gate.recv_timeout(PATIENCE);
            ControlFlow::Continue(())
        })
        .unwrap();
    // The first event tells that the worker is inside the sink.
    events.recv_timeout(PATIENCE).expect("a first event");
    (generation, release, events)
}

#[test]
fn a_full_queue_refuses_and_cancelled_requests_leave_it() {
    let engine = engine(EngineConfig {
        max_active: 1,
        max_queue: 2,
        ..config()
    });
    let (blocking, release, _blocked) = block(&engine);
    let (first, first_events) = submit(&engine, request("a", 5));
    let (second, second_events) = submit(&engine, request("b", 5));
    let third = engine.submit(request("c", 5), |_| ControlFlow::Continue(()));
    assert!(matches!(third, Err(SubmitError::QueueFull(2))));
    drop(first);
    drop(blocking);
    drop(release);
    let (text, finish) = collect(&first_events);
    assert_eq!((text.as_str(), finish.reason), ("", FinishReason::Cancelled));
    assert_ne!(collect(&second_events).1.reason, FinishReason::Cancelled);
    drop(second);
}

#[test]
fn dropping_a_generation_or_breaking_off_cancels() {
    let engine = engine(config());
    let (generation, release, events) = block(&engine);
    drop(generation);
    drop(release);
    assert_eq!(collect(&events).1.reason, FinishReason::Cancelled);

    let (sender, calls) = channel();
    let _generation = engine
        .submit(request("hello", 200), move |_| {
            let _ = sender.send(());
            ControlFlow::Break(())
        })
        .unwrap();
    calls.recv_timeout(PATIENCE).expect("a first call");
    // The sink is dropped, not called again.
    assert!(calls.recv_timeout(PATIENCE).is_err());
}

#[test]
fn shutting_down_cancels_everything() {
    let engine = engine(EngineConfig {
        max_active: 1,
        threads: 2,
        ..config()
    });
    let (_blocking, release, events) = block(&engine);
    let (_waiting, waiting_events) = submit(&engine, request("a", 5));
    let closing = std::thread::spawn(move || drop(engine));
    // By the thread that has nothing to do, once it is told to end.
    assert_eq!(collect(&waiting_events).1.reason, FinishReason::Cancelled);
    drop(release);
    assert_eq!(collect(&events).1.reason, FinishReason::Cancelled);
    closing.join().unwrap();
}

/// Who made progress, in order: a name for each text, and the name with a full stop for each end.
fn record(
    engine: &Engine,
    order: &std::sync::mpsc::Sender<String>,
    name: &'static str,
    request: GenerateRequest,
) -> Generation {
    let order = order.clone();
    let sink = move |event| {
        let mark = if matches!(event, Event::Finished(_)) {
            "."
        } else {
            ""
        };
        let _ = order.send(format!("{name}{mark}"));
        ControlFlow::Continue(())
    };
    engine.submit(request, sink).unwrap()
}

#[test]
fn a_new_request_waits_one_step_per_other_request() {
    let engine = engine(config());
    let (order, seen) = channel();
    let (_blocking, release, _blocked) = block(&engine);
    let _long = record(&engine, &order, "long prompt", request(&"x ".repeat(100), 1));
    let _answer = record(&engine, &order, "long answer", request("hello", 100));
    let _new = record(&engine, &order, "new", request("hello", 1));
    drop(release);
    let mut before_new = 0;
    loop {
        match seen.recv_timeout(PATIENCE).expect("progress").as_str() {
            "long prompt" | "long prompt." => panic!("seven steps came before the first of the new request"),
            "long answer" => before_new += 1,
            "new." => break,
            _ => {}
        }
    }
    assert!(before_new <= 1, "{before_new}");
}

#[test]
fn requests_wait_for_room_in_the_cache() {
    let needed = KvCache::bytes(&test_model::load(9).shape, 256);
    let engine = engine(EngineConfig {
        threads: 2,
        kv_cache_bytes: needed,
        ..config()
    });
    let running: Vec<_> = (0..3).map(|_| submit(&engine, request("hello", 255))).collect();
    let answers: Vec<_> = running
        .iter()
        .map(|(_generation, events)| collect(events))
        .collect();
    assert!(answers.iter().all(|answer| answer == &answers[0]));
}
