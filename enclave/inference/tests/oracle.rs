//! The engine on its real model, against what llama.cpp says (`golden.json`, made and checked by
//! `bench/inference/golden.py`).
//!
//! The model is taken from `JEJU_MODEL`, else from `target/models`, where it is fetched to if missing.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, LazyLock, mpsc};
use std::time::{Duration, Instant};

use jeju_inference::{
    Engine, EngineConfig, Event, Finish, FinishReason, GenerateRequest, Kernel, Message, Model, Prompt, Role,
    Sampling, Session,
};
use serde_json::Value;

/// FNV-1a over the logits of [`logits_are_the_same_bits_on_every_kernel`]: the same on every machine. A change
/// that moves it makes answers of earlier releases impossible to recompute.
const LOGITS_DIGEST: u64 = 0x753f_1afe_3321_fae1;

static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| Arc::new(load()));
static GOLDEN: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("golden.json")).expect("JSON"));

#[test]
fn token_ids_are_those_of_llama_cpp() {
    let texts = GOLDEN["texts"].as_array().expect("texts");
    assert!(texts.len() >= 40);
    for entry in texts {
        let text = entry["text"].as_str().expect("a text");
        assert_eq!(*MODEL.tokenizer().encode(text), ids(&entry["ids"]), "{text:?}");
    }
}

#[test]
fn chat_prompts_are_those_of_llama_cpp() {
    let template = MODEL.template().expect("a chat template");
    for entry in GOLDEN["chats"].as_array().expect("chats") {
        let messages: Vec<Message> = entry["messages"]
            .as_array()
            .expect("messages")
            .iter()
            .map(|message| Message {
                role: match message["role"].as_str() {
                    Some("system") => Role::System,
                    Some("user") => Role::User,
                    Some("assistant") => Role::Assistant,
                    role => panic!("role {role:?}"),
                },
                content: message["content"].as_str().expect("a content").into(),
            })
            .collect();
        assert_eq!(*template.render(&messages, MODEL.tokenizer()), ids(&entry["ids"]));
    }
}

#[test]
fn forced_decoding_agrees_with_llama_cpp() {
    let (mut equal, mut total) = (0, 0);
    let (mut loss, mut expected) = (0.0, 0.0);
    for entry in GOLDEN["forced"].as_array().expect("passages") {
        let tokens = ids(&entry["ids"]);
        let most_probable = ids(&entry["most_probable"]);
        let mut session = Session::new(&MODEL, tokens.len());
        for (index, most_probable) in most_probable.iter().enumerate() {
            let logits = session.feed(&tokens[index..=index]).expect("room");
            equal += usize::from(argmax(logits) == *most_probable);
            loss -= log_probability(logits, tokens[index + 1]);
        }
        total += most_probable.len();
        expected += entry["loss"].as_f64().expect("a loss") * most_probable.len() as f64;
        println!(
            "so far: loss {loss:.3}, llama.cpp {expected:.3}; most probable equal in {equal} of {total}"
        );
    }
    assert!((loss / expected - 1.0).abs() < 0.005, "{loss} against {expected}");
    assert!(equal * 100 >= total * 95, "{equal} of {total}");
}

#[test]
fn logits_are_the_same_bits_on_every_kernel() {
    let tokens = ids(&GOLDEN["forced"][0]["ids"]);
    let run = |kernel: Kernel| {
        let model = load().with_kernel(kernel);
        let mut session = Session::new(&model, 64);
        // A batch, then single tokens: both ways through the kernels.
        let mut bits: Vec<u32> = session
            .feed(&tokens[..35])
            .expect("room")
            .iter()
            .map(|l| l.to_bits())
            .collect();
        for token in &tokens[35..38] {
            bits.extend(
                session
                    .feed(&[*token])
                    .expect("room")
                    .iter()
                    .map(|logit| logit.to_bits()),
            );
        }
        bits
    };
    let kernels = Kernel::available();
    for name in ["avx2", "avx512-vnni"] {
        if !kernels.iter().any(|kernel| kernel.name() == name) {
            println!("NOT COMPARED: this CPU has no {name}");
        }
    }
    let scalar = run(kernels[0]);
    for kernel in &kernels[1..] {
        assert!(run(*kernel) == scalar, "{}", kernel.name());
    }
    assert_eq!(fnv1a(&scalar), LOGITS_DIGEST, "{:#018x}", fnv1a(&scalar));
}

#[test]
fn answers_are_the_same_on_every_machine() {
    let engine = Engine::new(
        MODEL.clone(),
        EngineConfig {
            threads: 2,
            ..EngineConfig::default()
        },
    )
    .unwrap();
    let ask = |text: &str, sampling, max_tokens| {
        let (sender, events) = mpsc::channel();
        let prompt = Prompt::Chat(vec![Message {
            role: Role::User,
            content: text.into(),
        }]);
        let request = GenerateRequest {
            prompt,
            sampling,
            max_tokens: Some(max_tokens),
            stop: Default::default(),
        };
        let generation = engine.submit(request, move |event| match sender.send(event) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        });
        (generation.expect("accepted"), events)
    };
    let sampled = Sampling {
        temperature: 0.2,
        top_p: 0.9,
        seed: 1,
        ..Sampling::default()
    };
    let running = [
        ask("What is the capital of France?", Sampling::default(), 18),
        ask("Name three colours of the rainbow.", sampled, 12),
        ask("What is the capital of France?", Sampling::default(), 18),
    ];
    let [greedy, sampled, again] = running.map(|(generation, events)| {
        let (text, finish) = collect(&events);
        assert_eq!(generation.prompt_tokens(), finish.usage.prompt_tokens);
        assert_eq!(finish.reason, FinishReason::Length);
        text
    });
    assert_eq!(greedy, again);
    assert_eq!(
        greedy,
        "The capital of France is Paris, also known as the City of Light. It's a"
    );
    assert_eq!(
        sampled,
        "The Rainbow is often associated with different colors, but in reality"
    );
}

#[test]
fn long_words_are_encoded_fast() {
    for unit in ["a", "ab", "\u{1f600}", "'", " x"] {
        let text = unit.repeat((256 << 10) / unit.len());
        let started = Instant::now();
        let tokens = MODEL.tokenizer().encode(&text);
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{unit:?}: {:?}",
            started.elapsed()
        );
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|token| MODEL.tokenizer().bytes(*token))
            .copied()
            .collect();
        assert!(bytes == text.as_bytes(), "{unit:?}");
    }
}

#[test]
fn identity_is_that_of_the_file() {
    assert_eq!(MODEL.architecture(), "llama");
    assert_eq!((MODEL.context_length(), MODEL.vocabulary_size()), (8192, 49_152));
    assert!(MODEL.name().starts_with("Smollm2 135M"));
}

fn load() -> Model {
    Model::open(model_path()).expect("the pinned model")
}

/// Runs the fetch script once; it does nothing when the file is there.
fn model_path() -> PathBuf {
    static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
        let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let default = repository.join("target/models/smollm2-135m-instruct-q4_1.gguf");
        let path = std::env::var_os("JEJU_MODEL").map_or(default, PathBuf::from);
        let status = Command::new(repository.join("bench/inference/fetch-model.sh"))
            .arg(&path)
            .status();
        assert!(
            status.expect("the fetch script runs").success(),
            "the model could not be fetched"
        );
        path
    });
    PATH.clone()
}

fn collect(events: &mpsc::Receiver<Event>) -> (String, Finish) {
    let mut text = String::new();
    loop {
        match events
            .recv_timeout(Duration::from_secs(120))
            .expect("an event in time")
        {
            Event::Text(piece) => text.push_str(&piece),
            Event::Finished(finish) => return (text, finish),
        }
    }
}

fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .expect("ids")
        .iter()
        .map(|id| id.as_u64().expect("an id") as u32)
        .collect()
}

fn fnv1a(words: &[u32]) -> u64 {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn argmax(logits: &[f32]) -> u32 {
    (0..logits.len())
        .max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
        .expect("logits") as u32
}

fn log_probability(logits: &[f32], token: u32) -> f64 {
    let maximum = f64::from(logits[argmax(logits) as usize]);
    let sum: f64 = logits
        .iter()
        .map(|logit| (f64::from(*logit) - maximum).exp())
        .sum();
    f64::from(logits[token as usize]) - maximum - sum.ln()
}
