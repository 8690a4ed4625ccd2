//! A receipt against the request, and against what the engine computes from both.
//!
//! The request is read by the code that the node reads it with, so what a receipt must say follows from the request alone,
//! but for a seed that wasn't named and for what the node's context had room for.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc;

use jeju_attestation::hash::sha256;
use jeju_inference::{
    ENGINE_VERSION, Engine, EngineConfig, Event, GenerateRequest, Generation, Model, PrivateText, Prompt,
};
use jeju_openai::receipt::{Choice, PromptDigest, Receipt, Run};
use jeju_openai::{Envelope, Generation as Asked, RequestError, chat, completions, responses};
use zeroize::Zeroizing;

use super::AuditError;
use super::answer::{Answer, Endpoint};

/// Longest body that a node reads, in bytes: what it can't have answered isn't worth the reading.
const MAX_REQUEST_LEN: usize = 1024 * 1024;
/// Choices that are computed side by side: each takes its own cache.
const SIDE_BY_SIDE: usize = 4;

/// A request as the node read it.
pub(super) struct Request {
    /// Model that was asked for.
    pub(super) model: String,
    asked: Asked,
}

impl Request {
    /// Reads a request's body.
    ///
    /// # Errors
    /// [`AuditError::Request`] for one that a node of this version refuses.
    pub(super) fn read(endpoint: Endpoint, body: &str) -> Result<Self, AuditError> {
        if body.len() > MAX_REQUEST_LEN {
            let message = format!("The request body is longer than {MAX_REQUEST_LEN} bytes.");
            return Err(RequestError::new("request_too_large", message, None).into());
        }
        let Envelope { model, fields, .. } = Envelope::parse(body.as_bytes())?;
        let asked = match endpoint {
            Endpoint::Chat => chat::parse(fields)?,
            Endpoint::Completions => completions::parse(fields)?,
            Endpoint::Responses => chat::parse(responses::parse(fields)?.chat)?,
        };
        Ok(Self { model, asked })
    }

    /// Holds a receipt against what was asked for and what was told: all that can be said without a model.
    ///
    /// # Errors
    /// The first difference.
    pub(super) fn check(&self, answer: &Answer) -> Result<(), AuditError> {
        self.check_parameters(&answer.receipt)?;
        check_told(&answer.receipt, answer)?;
        if self.asked.echo {
            // What stands before a text that was generated takes the model's tokens to tell.
            return Ok(());
        }
        for (choice, told) in answer.receipt.choices.iter().zip(&answer.choices) {
            check_text(choice, &told.text)?;
        }
        Ok(())
    }

    fn check_parameters(&self, receipt: &Receipt) -> Result<(), AuditError> {
        if receipt.engine != ENGINE_VERSION {
            return Err(AuditError::OtherEngine {
                receipt: receipt.engine.chars().take(64).collect(),
            });
        }
        let asked = &self.asked;
        count("prompts", receipt.prompts.len(), asked.prompts.len())?;
        count("choices", receipt.choices.len(), asked.prompts.len() * asked.n)?;
        let parameters = &receipt.parameters;
        let (found, seed) = (&parameters.sampling, parameters.sampling.seed);
        let wanted = asked.sampling.engine(asked.sampling.seed.unwrap_or(seed));
        let same = [
            ("seed", found.seed == wanted.seed),
            ("temperature", found.temperature == wanted.temperature),
            ("top_p", found.top_p == wanted.top_p),
            ("repeat_penalty", found.repeat_penalty == wanted.repeat_penalty),
            (
                "frequency_penalty",
                found.frequency_penalty == wanted.frequency_penalty,
            ),
            (
                "presence_penalty",
                found.presence_penalty == wanted.presence_penalty,
            ),
            ("logit_bias", found.logit_bias == wanted.logit_bias),
            ("sampling", *found == wanted),
            (
                "stop",
                parameters
                    .stop
                    .iter()
                    .map(|stop| &**stop)
                    .eq(asked.sampling.stop.iter().map(|stop| &**stop)),
            ),
            ("json_object", parameters.json_object == asked.json_object),
            (
                "max_tokens",
                receipt.prompts.iter().all(|prompt| {
                    asked
                        .sampling
                        .max_tokens
                        .is_none_or(|most| prompt.max_tokens <= most)
                }),
            ),
        ];
        if let Some((name, _)) = same.into_iter().find(|(_, same)| !same) {
            return Err(AuditError::Parameter(name));
        }
        for choice in &receipt.choices {
            // A choice's seed is its place's, so that no two are the same by chance or by intent.
            if choice.seed != seed.wrapping_add(choice.index as u64)
                || choice.prompt != choice.index / asked.n
            {
                return Err(AuditError::Seed(choice.index));
            }
        }
        Ok(())
    }

    /// Whether an answer to a prompt could have been longer, had the node's context had room.
    pub(super) fn was_cut(&self, receipt: &Receipt) -> bool {
        let most = self.asked.sampling.max_tokens;
        receipt
            .prompts
            .iter()
            .any(|prompt| most.is_some_and(|most| prompt.max_tokens < most))
    }

    /// Whether log probabilities were asked for.
    pub(super) fn has_logprobs(&self) -> bool {
        self.asked.logprobs.is_some()
    }

    /// Computes the answer again, and holds it against the receipt and the answer.
    ///
    /// # Errors
    /// The first difference.
    pub(super) fn recompute(self, model: Model, answer: &Answer) -> Result<(), AuditError> {
        let Self { asked, .. } = self;
        let receipt = &answer.receipt;
        let model = Arc::new(model);
        let engine = engine(&model, receipt)?;
        let mut running = Vec::new();
        for (index, (prompt, digest)) in asked.prompts.into_iter().zip(&receipt.prompts).enumerate() {
            let text = match &prompt {
                Prompt::Text(text) if asked.echo => Some(text.clone()),
                _ => None,
            };
            let mut next = Some(prompt);
            for choice in receipt.choices.iter().filter(|choice| choice.prompt == index) {
                let Some(prompt) = next.take() else { break };
                let run = start(&engine, receipt, prompt, digest.max_tokens, choice)?;
                let tokens = Zeroizing::new(run.generation.prompt().to_vec());
                if run.generation.max_tokens() != digest.max_tokens {
                    return Err(AuditError::Parameter("max_tokens"));
                }
                if PromptDigest::of(&tokens, digest.max_tokens) != *digest {
                    return Err(AuditError::Prompt(index));
                }
                let echoed = match (&text, asked.echo) {
                    (Some(text), _) => text.clone(),
                    (None, true) => written(&tokens, &model),
                    (None, false) => PrivateText::default(),
                };
                running.push((run, echoed));
                next = Some(Prompt::Tokens(tokens));
            }
        }
        for (((run, echoed), choice), told) in running.into_iter().zip(&receipt.choices).zip(&answer.choices)
        {
            let generated = told.text.strip_prefix(&*echoed);
            check_text(choice, generated.ok_or(AuditError::Text(choice.index))?)?;
            finish(run, choice)?;
        }
        Ok(())
    }
}

fn count(what: &'static str, found: usize, asked: usize) -> Result<(), AuditError> {
    match found == asked {
        true => Ok(()),
        false => Err(AuditError::Count { what, found, asked }),
    }
}

/// What the answer says beside its texts is what the receipt says.
fn check_told(receipt: &Receipt, answer: &Answer) -> Result<(), AuditError> {
    count("choices", answer.choices.len(), receipt.choices.len())?;
    let prompts: usize = receipt.prompts.iter().map(|prompt| prompt.tokens).sum();
    let completions: usize = receipt
        .choices
        .iter()
        .map(|choice| choice.completion_tokens)
        .sum();
    if answer
        .usage
        .is_some_and(|usage| usage != (prompts as u64, completions as u64))
    {
        return Err(AuditError::Told { what: "usage" });
    }
    let reasons = receipt.choices.iter().map(|choice| Some(choice.reason()));
    if !answer
        .choices
        .iter()
        .map(|told| told.finish_reason.as_deref())
        .eq(reasons)
    {
        return Err(AuditError::Told {
            what: "finish_reason",
        });
    }
    Ok(())
}

/// With room for the longest answer.
fn engine(model: &Arc<Model>, receipt: &Receipt) -> Result<Engine, AuditError> {
    let longest = receipt
        .prompts
        .iter()
        .map(|prompt| prompt.tokens + prompt.max_tokens)
        .max();
    let config = EngineConfig {
        max_context: longest.unwrap_or(1),
        max_active: SIDE_BY_SIDE,
        max_queue: receipt.choices.len(),
        kv_cache_bytes: usize::MAX / 2,
        ..EngineConfig::default()
    };
    Ok(Engine::new(model.clone(), config)?)
}

/// The text that tokens are.
fn written(tokens: &[u32], model: &Model) -> PrivateText {
    let bytes = tokens.iter().map(|token| model.tokenizer().bytes(*token));
    let bytes = Zeroizing::new(bytes.collect::<Vec<_>>().concat());
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// The text that an answer tells is the one that the receipt names.
fn check_text(choice: &Choice, text: &str) -> Result<(), AuditError> {
    match sha256(text.as_bytes()) == choice.output_sha256 {
        true => Ok(()),
        false => Err(AuditError::Text(choice.index)),
    }
}

/// A choice that is computed again.
struct Running {
    generation: Generation,
    events: mpsc::Receiver<Event>,
}

fn start(
    engine: &Engine,
    receipt: &Receipt,
    prompt: Prompt,
    max_tokens: usize,
    choice: &Choice,
) -> Result<Running, AuditError> {
    let parameters = &receipt.parameters;
    let mut sampling = parameters.sampling.clone();
    sampling.seed = choice.seed;
    let request = GenerateRequest {
        prompt,
        sampling,
        max_tokens: Some(max_tokens),
        stop: parameters.stops(),
        logprobs: None,
        json_object: parameters.json_object,
    };
    let (sender, events) = mpsc::channel();
    let generation = engine.submit(request, move |event| match sender.send(event) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    })?;
    Ok(Running { generation, events })
}

/// Holds a choice against what comes of it now.
fn finish(running: Running, choice: &Choice) -> Result<(), AuditError> {
    let index = choice.index;
    let mut run = Run::new(index, choice.prompt, choice.seed);
    let finish = loop {
        match running.events.recv() {
            Ok(Event::Text(piece)) => run.push(&piece.text),
            Ok(Event::Finished(finish)) => break finish,
            Err(_) => return Err(AuditError::Recomputed { index, what: "end" }),
        }
    };
    let computed = run.finish(finish);
    let same = [
        ("text", computed.output_sha256 == choice.output_sha256),
        (
            "number of tokens",
            computed.completion_tokens == choice.completion_tokens,
        ),
        ("end", computed.finish_reason == choice.finish_reason),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(AuditError::Recomputed { index, what }),
        None => Ok(()),
    }
}
