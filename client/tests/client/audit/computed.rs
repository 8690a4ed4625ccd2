//! What a node computes for a request, as OpenAI's documents with a receipt.

use std::ops::ControlFlow;
use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock};

use jeju_inference::{
    ENGINE_VERSION, Engine, EngineConfig, Event, FinishReason, GenerateRequest, Model, Prompt,
};
use jeju_openai::receipt::{self, Parameters, PromptDigest, Receipt, Run};
use jeju_openai::{Envelope, chat, completions, responses};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::MODEL;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let config = EngineConfig {
        threads: 1,
        max_context: 512,
        ..EngineConfig::default()
    };
    Engine::new(Arc::new(Model::open(&*MODEL).unwrap()), config).unwrap()
});

/// A computed answer, of which anything can be changed before it is told.
#[derive(Clone)]
pub struct Computed {
    path: String,
    /// Pieces of each choice's text, with its end.
    pub choices: Vec<(Vec<String>, &'static str)>,
    /// Tokens of prompts and answers.
    pub usage: (usize, usize),
    pub receipt: Value,
}

impl Computed {
    pub fn of(path: &str, body: &[u8]) -> Self {
        let Envelope { fields, .. } = Envelope::parse(body).unwrap();
        let asked = match path {
            "/v1/chat/completions" => chat::parse(fields),
            "/v1/completions" => completions::parse(fields),
            _ => responses::parse(fields).and_then(|request| chat::parse(request.chat)),
        };
        let asked = asked.unwrap_or_else(|error| panic!("{error}"));
        let sampling = asked.sampling.engine(asked.sampling.seed.unwrap_or(77));
        let stop = asked.sampling.stop;
        let mut computed = Self {
            path: path.to_owned(),
            choices: Vec::new(),
            usage: (0, 0),
            receipt: Value::Null,
        };
        let (mut prompts, mut choices) = (Vec::new(), Vec::new());
        for prompt in asked.prompts {
            let echoed = match &prompt {
                Prompt::Text(text) if asked.echo => vec![text.to_string()],
                Prompt::Tokens(tokens) if asked.echo => vec![written(tokens)],
                _ => Vec::new(),
            };
            let mut prompt = prompt;
            for n in 0..asked.n {
                let index = choices.len();
                let mut sampling = sampling.clone();
                sampling.seed = sampling.seed.wrapping_add(index as u64);
                let mut run = Run::new(index, prompts.len() - usize::from(n > 0), sampling.seed);
                let request = GenerateRequest {
                    prompt,
                    sampling,
                    max_tokens: asked.sampling.max_tokens,
                    stop: Zeroizing::new(stop.iter().map(|stop| stop.to_string()).collect()),
                    logprobs: None,
                    json_object: asked.json_object,
                };
                let (sender, events) = channel();
                let generation = ENGINE.submit(request, move |event| {
                    let _ = sender.send(event);
                    ControlFlow::Continue(())
                });
                let generation = generation.unwrap_or_else(|error| panic!("{error}"));
                prompt = Prompt::Tokens(Zeroizing::new(generation.prompt().to_vec()));
                if n == 0 {
                    prompts.push(PromptDigest::of(generation.prompt(), generation.max_tokens()));
                    computed.usage.0 += generation.prompt().len();
                }
                let mut told = echoed.clone();
                let finish = loop {
                    match events.recv().unwrap() {
                        Event::Text(piece) => {
                            run.push(&piece.text);
                            told.push(piece.text.to_string());
                        }
                        Event::Finished(finish) => break finish,
                    }
                };
                computed.usage.1 += finish.usage.completion_tokens;
                let reason = match finish.reason {
                    FinishReason::Stop => "stop",
                    FinishReason::Length => "length",
                    FinishReason::Cancelled => panic!("nobody cancelled"),
                };
                computed.choices.push((told, reason));
                choices.push(run.finish(finish));
            }
        }
        let receipt = Receipt {
            engine: ENGINE_VERSION.to_owned(),
            model_sha256: hex::decode(super::MODEL_SHA256).unwrap().try_into().unwrap(),
            prompts,
            parameters: Parameters {
                sampling,
                stop,
                json_object: asked.json_object,
            },
            choices,
        };
        computed.receipt = receipt.json();
        computed
    }

    /// The whole document.
    pub fn whole(&self) -> String {
        let choices = self.choices.iter().enumerate().map(|(index, (pieces, reason))| {
            let text = pieces.concat();
            match self.completes() {
                true => json!({"index": index, "finish_reason": reason, "text": text}),
                false => json!({"index": index, "finish_reason": reason,
                    "message": {"role": "assistant", "content": text, "refusal": null}}),
            }
        });
        let choices: Vec<_> = choices.collect();
        let mut document = json!({"object": "answer", "choices": choices, "usage": self.told_usage()});
        self.add_receipt(&mut document);
        match self.responds() {
            true => responses::whole(head(), document).unwrap().to_string(),
            false => document.to_string(),
        }
    }

    /// The events of a stream, without its signed end. Choices take turns.
    pub fn events(&self) -> String {
        let mut documents = Vec::new();
        let longest = self.choices.iter().map(|(pieces, _)| pieces.len()).max().unwrap();
        for at in 0..longest {
            for (index, (pieces, _)) in self.choices.iter().enumerate() {
                if let Some(text) = pieces.get(at) {
                    documents.push(self.chunk(index, text, Value::Null));
                }
            }
        }
        for (index, (_, reason)) in self.choices.iter().enumerate() {
            documents.push(self.chunk(index, "", (*reason).into()));
        }
        let mut last = json!({"choices": [], "usage": self.told_usage()});
        self.add_receipt(&mut last);
        documents.push(last);
        if self.responds() {
            let mut stream = responses::Stream::new(head());
            let mut events = stream.start();
            for document in documents {
                let usage = document["usage"].clone();
                events.extend(stream.chunk(document).unwrap());
                stream.usage(&usage);
            }
            events.extend(stream.end());
            let render =
                |event: &responses::Event| format!("event: {}\ndata: {}\n\n", event.name, event.document);
            return events.iter().map(render).collect();
        }
        documents
            .iter()
            .map(|document| format!("data: {document}\n\n"))
            .collect()
    }

    fn completes(&self) -> bool {
        self.path == "/v1/completions"
    }

    fn responds(&self) -> bool {
        self.path == "/v1/responses"
    }

    fn chunk(&self, index: usize, text: &str, reason: Value) -> Value {
        let choice = match self.completes() {
            true => json!({"index": index, "text": text, "finish_reason": reason}),
            false => json!({"index": index, "delta": {"content": text}, "finish_reason": reason}),
        };
        json!({"choices": [choice], "obfuscation": "xxxx"})
    }

    fn told_usage(&self) -> Value {
        json!({"prompt_tokens": self.usage.0, "completion_tokens": self.usage.1})
    }

    fn add_receipt(&self, document: &mut Value) {
        if !self.receipt.is_null() {
            document[receipt::KEY] = self.receipt.clone();
        }
    }
}

fn head() -> responses::Head {
    responses::Head {
        id: "1".to_owned(),
        created: 0,
        model: super::MODEL_ID.to_owned(),
        echo: serde_json::Map::new(),
    }
}

fn written(tokens: &[u32]) -> String {
    let model = ENGINE.model();
    let bytes: Vec<_> = tokens
        .iter()
        .map(|token| model.tokenizer().bytes(*token))
        .collect();
    String::from_utf8(bytes.concat()).unwrap()
}
