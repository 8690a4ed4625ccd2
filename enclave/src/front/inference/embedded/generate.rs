//! `/v1/chat/completions` and `/v1/completions`: from a request to the engine's runs.

use std::ops::ControlFlow;
use std::sync::Arc;

use jeju_inference::{
    Engine, Event, GenerateRequest, Generation as Running, PrivateText, Prompt, SubmitError,
};
use jeju_openai::Generation;
use jeju_openai::Head;
use jeju_openai::answer::{Answer, Form};
use jeju_openai::receipt::{Parameters, PromptDigest};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::run::{Receipts, Runs};
use super::{Embedded, aside, refusal};
use crate::front::error::ApiError;
use crate::front::identity::random;
use crate::front::inference::Output;

/// What the engine took on.
pub(super) struct Submitted {
    /// Dropping it cancels what still runs.
    pub(super) running: Vec<Running>,
    /// Of each prompt.
    pub(super) prompts: Vec<PromptDigest>,
    /// Each prompt's text, where it stands before its answers.
    pub(super) echoes: Option<Vec<PrivateText>>,
    /// What comes, by the index of the choice.
    pub(super) events: mpsc::UnboundedReceiver<(usize, Event)>,
}

impl Embedded {
    /// Answers in the documents of a form.
    pub(super) async fn generate(
        &self,
        form: Form,
        model: String,
        created: u64,
        generation: Generation,
        stream: bool,
    ) -> Result<Output, ApiError> {
        self.check(&generation)?;
        let id: [u8; 12] = random().map_err(|_| ApiError::engine_failed())?;
        let (prefix, param) = match form {
            Form::Chat => ("chatcmpl", "messages"),
            Form::Completion => ("cmpl", "prompt"),
        };
        let answer = Answer {
            form,
            head: Head {
                id: format!("{prefix}-{}", hex::encode(id)),
                model,
                created,
                fingerprint: Some(self.fingerprint.clone()),
            },
        };
        let seed = match generation.sampling.seed {
            Some(seed) => seed,
            None => u64::from_be_bytes(random().map_err(|_| ApiError::engine_failed())?),
        };
        let receipts = Receipts {
            model_sha256: self.sha256,
            parameters: Parameters {
                sampling: generation.sampling.engine(seed),
                stop: generation.sampling.stop.clone(),
                json_object: generation.json_object,
            },
        };
        let (n, logprobs) = (generation.n, generation.logprobs.is_some());
        let engine = self.engine.clone();
        let submitted = aside(move || submit(&engine, generation, seed))
            .await
            .ok_or_else(ApiError::engine_failed)?
            .map_err(|error| refusal(error, param))?;
        let runs = Runs::new(
            answer,
            self.engine.model().clone(),
            receipts,
            submitted,
            n,
            logprobs,
        );
        match stream {
            true => Ok(Output::Stream(runs.stream())),
            false => runs.whole().await.map(Output::Whole),
        }
    }

    /// What the engine can't tell apart, or tells too late.
    fn check(&self, generation: &Generation) -> Result<(), ApiError> {
        let (sampling, context) = (&generation.sampling, self.context_length);
        if sampling.max_tokens.is_some_and(|tokens| tokens > context) {
            let message = format!("This model's context is {context} tokens, prompt and answer together.");
            return Err(ApiError::invalid(
                "context_length_exceeded",
                message,
                Some("max_tokens"),
            ));
        }
        let vocabulary = self.engine.model().vocabulary_size();
        if sampling
            .logit_bias
            .iter()
            .any(|(token, _)| *token as usize >= vocabulary)
        {
            let message = format!("Token ids must be below {vocabulary}.");
            return Err(ApiError::invalid("invalid_value", message, Some("logit_bias")));
        }
        Ok(())
    }
}

/// Hands all runs to the engine, or none.
fn submit(engine: &Arc<Engine>, generation: Generation, seed: u64) -> Result<Submitted, SubmitError> {
    let Generation {
        prompts,
        n,
        sampling,
        logprobs,
        json_object,
        echo,
    } = generation;
    let (sender, events) = mpsc::unbounded_channel();
    let mut submitted = Submitted {
        running: Vec::with_capacity(prompts.len() * n),
        prompts: Vec::with_capacity(prompts.len()),
        echoes: echo.then(Vec::new),
        events,
    };
    for prompt in prompts {
        if let Some(echoes) = &mut submitted.echoes {
            echoes.push(text(engine, &prompt));
        }
        let mut next = Some(prompt);
        for answer in 0..n {
            let index = submitted.running.len();
            let sender = sender.clone();
            let sink = move |event| match sender.send((index, event)) {
                Ok(()) => ControlFlow::Continue(()),
                // The client is gone.
                Err(_) => ControlFlow::Break(()),
            };
            let stop: Vec<String> = sampling.stop.iter().map(|stop| stop.to_string()).collect();
            let request = GenerateRequest {
                prompt: match (next.take(), submitted.running.last()) {
                    (Some(prompt), _) => prompt,
                    // Tokenized once.
                    (None, Some(before)) => Prompt::Tokens(Zeroizing::new(before.prompt().to_vec())),
                    (None, None) => return Err(SubmitError::EmptyPrompt),
                },
                sampling: sampling.engine(seed.wrapping_add(index as u64)),
                max_tokens: sampling.max_tokens,
                stop: Zeroizing::new(stop),
                logprobs,
                json_object,
            };
            let running = engine.submit(request, sink)?;
            if answer == 0 {
                let digest = PromptDigest::of(running.prompt(), running.max_tokens());
                submitted.prompts.push(digest);
            }
            submitted.running.push(running);
        }
    }
    Ok(submitted)
}

/// A prompt as text.
fn text(engine: &Engine, prompt: &Prompt) -> PrivateText {
    let tokenizer = engine.model().tokenizer();
    match prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Tokens(tokens) => {
            let known = tokens
                .iter()
                .filter(|token| (**token as usize) < tokenizer.vocabulary_size());
            let bytes: Zeroizing<Vec<u8>> =
                Zeroizing::new(known.flat_map(|token| tokenizer.bytes(*token)).copied().collect());
            String::from_utf8_lossy(&bytes).into_owned().into()
        }
        Prompt::Chat(_) => PrivateText::default(),
    }
}
