//! The embedded engine: models of the image itself, run on this machine's cores.

use std::ops::ControlFlow;
use std::sync::Arc;

use jeju_attestation::launch;
use jeju_inference::{
    Engine, EngineConfig, Event as EngineEvent, FinishReason, GenerateRequest, Prompt, SubmitError,
};
use jeju_shim_protocol::fatal::FatalCode;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::handover::ModelFile;

use super::engine::{Event, Finish, Generation, InferenceEngine, Running, Sampling, ServedModel};
use super::error::ApiError;
use super::identity::random;
use super::model_file;

/// Prompt and answer together, in tokens: what a smoke-test model needs, and 94 MB of cache for one request.
const MAX_CONTEXT: usize = 2048;
const KV_CACHE: usize = 128 << 20;

/// Loads the models that the launch document names, in its order, each from the file with its digest.
///
/// # Errors
/// [`FatalCode::ModelMissing`] where one is absent or another, [`FatalCode::Internal`] where it can't be run.
pub(super) fn load(
    named: &[launch::Model],
    files: Vec<ModelFile>,
) -> Result<Box<dyn InferenceEngine>, FatalCode> {
    // One model per image for now: the launch document and the image agree on it or the node doesn't start.
    let [named] = named else {
        return Err(FatalCode::ModelMissing);
    };
    let [file] = <[ModelFile; 1]>::try_from(files).map_err(|_| FatalCode::ModelMissing)?;
    let model = model_file::load(file.file, &named.sha256.0).map_err(|_| FatalCode::ModelMissing)?;
    let config = EngineConfig {
        max_context: MAX_CONTEXT,
        kv_cache_bytes: KV_CACHE,
        ..EngineConfig::default()
    };
    let context_length = MAX_CONTEXT.min(model.context_length());
    let engine = Engine::new(Arc::new(model), config).map_err(|_| FatalCode::Internal)?;
    let served = ServedModel {
        id: named.id.clone(),
        sha256: named.sha256,
        context_length,
    };
    Ok(Box::new(Embedded {
        engine,
        served: [served],
    }))
}

struct Embedded {
    engine: Engine,
    served: [ServedModel; 1],
}

impl InferenceEngine for Embedded {
    fn models(&self) -> &[ServedModel] {
        &self.served
    }

    fn generate(&self, generation: Generation) -> Result<Running, ApiError> {
        let context = self.served[0].context_length;
        let max_tokens = generation.sampling.max_tokens;
        if max_tokens.is_some_and(|tokens| tokens > context) {
            let message = format!("This model's context is {context} tokens, prompt and answer together.");
            return Err(ApiError::invalid(
                "context_length_exceeded",
                message,
                Some("max_tokens"),
            ));
        }
        let stop = generation
            .sampling
            .stop
            .iter()
            .map(|stop| stop.to_string())
            .collect();
        let request = GenerateRequest {
            sampling: sampling(&generation.sampling)?,
            prompt: Prompt::Chat(generation.messages),
            max_tokens,
            stop: Zeroizing::new(stop),
        };
        let (sender, events) = mpsc::unbounded_channel();
        let sink = move |event| match translate(event).map(|event| sender.send(event)) {
            Some(Ok(())) => ControlFlow::Continue(()),
            // The client is gone, or the engine gave up: no end is told, and what ends without an end has failed.
            Some(Err(_)) | None => ControlFlow::Break(()),
        };
        let handle = self.engine.submit(request, sink).map_err(refusal)?;
        Ok(Running {
            events,
            guard: Box::new(handle),
        })
    }
}

fn sampling(asked: &Sampling) -> Result<jeju_inference::Sampling, ApiError> {
    let default = jeju_inference::Sampling::default();
    let seed = match asked.seed {
        Some(seed) => seed,
        None => u64::from_be_bytes(random().map_err(|_| ApiError::engine_failed())?),
    };
    // A top_p of 0 asks for the most probable token alone, which the engine calls temperature 0.
    let (temperature, top_p) = match asked.top_p {
        Some(0.0) => (Some(0.0), None),
        top_p => (asked.temperature, top_p),
    };
    Ok(jeju_inference::Sampling {
        temperature: temperature.unwrap_or(default.temperature),
        top_p: top_p.unwrap_or(default.top_p),
        seed,
        repeat_penalty: asked.repetition_penalty.unwrap_or(default.repeat_penalty),
        frequency_penalty: asked.frequency_penalty.unwrap_or(default.frequency_penalty),
        presence_penalty: asked.presence_penalty.unwrap_or(default.presence_penalty),
    })
}

fn translate(event: EngineEvent) -> Option<Event> {
    match event {
        EngineEvent::Text(text) => Some(Event::Text(text)),
        EngineEvent::Finished(end) => Some(Event::Finished {
            finish: match end.reason {
                FinishReason::Stop => Finish::Stop,
                FinishReason::Length => Finish::Length,
                FinishReason::Cancelled => return None,
            },
            prompt_tokens: end.usage.prompt_tokens as u64,
            completion_tokens: end.usage.completion_tokens as u64,
        }),
    }
}

fn refusal(error: SubmitError) -> ApiError {
    match error {
        SubmitError::QueueFull(_) | SubmitError::ShuttingDown => ApiError::engine_busy(),
        SubmitError::PromptTooLong { tokens, limit } => {
            let message = format!("The messages have {tokens} tokens; this model takes up to {limit}.");
            ApiError::invalid("context_length_exceeded", message, Some("messages"))
        }
        SubmitError::Sampling(_) => {
            ApiError::invalid("invalid_value", "A sampling parameter is out of range.", None)
        }
        SubmitError::Stop => ApiError::invalid(
            "invalid_value",
            "A stop sequence is empty or too long.",
            Some("stop"),
        ),
        SubmitError::NoTokens => ApiError::invalid(
            "invalid_value",
            "'max_tokens' must be at least 1.",
            Some("max_tokens"),
        ),
        SubmitError::EmptyPrompt | SubmitError::TokenOutOfRange { .. } | SubmitError::NoChatTemplate => {
            ApiError::engine_failed()
        }
    }
}
