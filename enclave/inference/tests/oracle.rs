//! The engine on its real model, against what llama.cpp says (`golden.json`, made and checked by
//! `bench/inference/golden.py`).
//!
//! The model is taken from `JEJU_MODEL`, else from `target/models`, where it is fetched to if missing.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

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
    assert!(texts.len() >= 90);
    for entry in texts {
        let text = entry["text"].as_str().expect("a text");
        assert_eq!(*MODEL.tokenizer().encode(text), ids(&entry["ids"]), "{text:?}");
    }
}

/// Follows `bench/inference/corpus.py`.
#[test]
fn token_ids_of_random_text_in_every_script_are_those_of_llama_cpp() {
    const SEPARATORS: &[u8] = b" \n\t'.,-0";
    let scripts = GOLDEN["scripts"].as_array().expect("scripts");
    assert!(scripts.len() >= 20);
    let mut failed = Vec::new();
    for (seed, script) in (0..).zip(scripts) {
        let ranges: Vec<Vec<u32>> = script["ranges"]
            .as_array()
            .expect("ranges")
            .iter()
            .map(ids)
            .collect();
        let mut state: u64 = seed;
        let mut below = |limit: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % limit
        };
        let mut words = Vec::new();
        for _ in 0..40 {
            let text: String = (0..1 + below(64))
                .map(|_| {
                    if below(6) == 0 {
                        return char::from(SEPARATORS[below(SEPARATORS.len())]);
                    }
                    let range = &ranges[below(ranges.len())];
                    let letter = range[0] + below((range[1] - range[0] + 1) as usize) as u32;
                    char::from_u32(letter).expect("no surrogate")
                })
                .collect();
            words.extend_from_slice(&MODEL.tokenizer().encode(&text));
            words.push(u32::MAX);
        }
        if script["digest"] != format!("{:016x}", fnv1a(&words)) {
            failed.push(&script["name"]);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
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
fn embeddings_agree_with_the_mean_pooling_of_llama_cpp() {
    let engine = Engine::new(MODEL.clone(), EngineConfig::default()).expect("an engine");
    for entry in GOLDEN["embeddings"].as_array().expect("embeddings") {
        let (sender, receiver) = mpsc::channel();
        let tokens = ids(&entry["ids"]);
        let _running = engine
            .embed(Prompt::Tokens(tokens.into()), move |embedding| {
                sender.send(embedding).expect("a listener");
            })
            .expect("accepted");
        let embedding = receiver.recv_timeout(Duration::from_secs(120));
        let vector = embedding.expect("in time").expect("an embedding").vector;
        let expected: Vec<f64> = entry["vector"]
            .as_array()
            .expect("a vector")
            .iter()
            .map(|value| value.as_f64().expect("a number"))
            .collect();
        assert_eq!(vector.len(), expected.len());
        let length = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
        let ours: Vec<f64> = vector.iter().map(|value| f64::from(*value)).collect();
        let dot: f64 = ours.iter().zip(&expected).map(|(a, b)| a * b).sum();
        let cosine = dot / length(&ours) / length(&expected);
        println!(
            "{} tokens: cosine {cosine:.5}",
            entry["ids"].as_array().map_or(0, Vec::len)
        );
        assert!(cosine >= 0.99, "{cosine}");
    }
}

#[test]
fn json_answers_are_objects_or_cut() {
    let engine = Engine::new(MODEL.clone(), EngineConfig::default()).expect("an engine");
    let mut whole = 0;
    for (seed, question) in [
        "Give me a JSON object with the keys \"city\" and \"country\" for Paris.",
        "Answer in JSON: what is two plus two?",
        "Describe a cat as a JSON object with name, age and colour.",
        "Write {\"ok\": true} and nothing else.",
    ]
    .into_iter()
    .enumerate()
    {
        let (sender, events) = mpsc::channel();
        let prompt = Prompt::Chat(vec![Message {
            role: Role::User,
            content: question.into(),
        }]);
        let request = GenerateRequest {
            prompt,
            sampling: Sampling {
                temperature: 0.3,
                seed: seed as u64,
                repeat_penalty: 1.0,
                ..Sampling::default()
            },
            max_tokens: Some(80),
            stop: Default::default(),
            logprobs: None,
            json_object: true,
        };
        let _generation = engine
            .submit(request, move |event| match sender.send(event) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
            .expect("accepted");
        let (text, finish) = collect(&events);
        println!("{:?}: {text}", finish.reason);
        if finish.reason == FinishReason::Stop {
            let value: Value = serde_json::from_str(&text).expect("JSON");
            assert!(value.is_object());
            whole += 1;
        }
    }
    assert!(whole > 0);
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
            logprobs: None,
            json_object: false,
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
        let before = cpu_seconds();
        let tokens = MODEL.tokenizer().encode(&text);
        let took = cpu_seconds() - before;
        assert!(took < 5.0, "{unit:?}: {took} s");
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
            Event::Text(piece) => text.push_str(&piece.text),
            Event::Finished(finish) => return (text, finish),
        }
    }
}

/// CPU time of this thread, which a busy machine doesn't lengthen much.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.expect("a number") / 1e9
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
