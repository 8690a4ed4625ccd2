//! The embedded engine: models of the image itself, run on this machine's cores.

mod embed;
mod generate;
mod run;

use std::sync::Arc;

use jeju_attestation::hash::sha256;
use jeju_attestation::launch;
use jeju_attestation::launch::upstreams::Endpoint;
use jeju_inference::{ENGINE_VERSION, Engine, EngineConfig, SubmitError, wipe_stack};
use jeju_openai::answer::Form;
use jeju_openai::{chat, completions, embeddings};
use jeju_shim_protocol::fatal::FatalCode;
use tokio::task::spawn_blocking;

use crate::handover::ModelFile;

use super::{Ask, Output, ServedModel, model_file};
use crate::front::error::ApiError;

/// Prompt and answer together, in tokens: what a smoke-test model needs.
const MAX_CONTEXT: usize = 2048;
/// For all requests that run side by side, in bytes: 200 with 40 tokens of prompt and 32 of answer. Touched as it is used.
const KV_CACHE: usize = 384 << 20;

/// The engine and its model.
pub(super) struct Embedded {
    engine: Arc<Engine>,
    served: ServedModel,
    sha256: [u8; 32],
    context_length: usize,
    fingerprint: String,
}

impl Embedded {
    /// Loads the model that the launch document names, from the file with its digest.
    ///
    /// # Errors
    /// As [`super::Inference::load`].
    pub(super) fn load(named: &[launch::Model], files: Vec<ModelFile>) -> Result<Self, FatalCode> {
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
        let made_by = sha256(&[ENGINE_VERSION.as_bytes(), &named.sha256.0].concat());
        Ok(Self {
            engine: Arc::new(engine),
            served: ServedModel {
                id: named.id.clone(),
                sha256: Some(named.sha256),
                weights: None,
                context_length: Some(context_length),
                engine: "embedded",
                endpoints: vec![Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings],
                confidentiality: None,
                quality: Some("smoke-test"),
                unavailable: Box::new(|| None),
            },
            sha256: named.sha256.0,
            context_length,
            fingerprint: format!("fp_{}", hex::encode(&made_by[..6])),
        })
    }

    pub(super) fn model(&self) -> &ServedModel {
        &self.served
    }

    /// Answers for the model.
    pub(super) async fn answer(&self, ask: Ask) -> Result<Output, ApiError> {
        let Ask {
            endpoint,
            model,
            stream,
            fields,
            created,
            ..
        } = ask;
        let (form, generation) = match endpoint {
            Endpoint::Chat => (Form::Chat, chat::parse(fields)?),
            Endpoint::Completions => (Form::Completion, completions::parse(fields)?),
            Endpoint::Embeddings => {
                let request = embeddings::parse(fields)?;
                return self.embed(&model, request).await.map(Output::Whole);
            }
        };
        self.generate(form, model, created, generation, stream).await
    }
}

/// Work that takes too long for a thread that serves others: tokenizing takes milliseconds per kilobyte of prompt. `None`:
/// it didn't come to an end.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let wiped = move || {
        let done = work();
        wipe_stack();
        done
    };
    spawn_blocking(wiped).await.ok()
}

/// What the user is told of a request that the engine refused. `param`: the field with the prompt.
fn refusal(error: SubmitError, param: &str) -> ApiError {
    let invalid = |message: &str, param| ApiError::invalid("invalid_value", message, param);
    match error {
        SubmitError::QueueFull(_) | SubmitError::ShuttingDown => ApiError::engine_busy(),
        // Not how long it is: a longer number makes a longer answer, which the host sees.
        SubmitError::PromptTooLong { limit, .. } => {
            let message = format!("'{param}' is too long: this model takes up to {limit} tokens.");
            ApiError::invalid("context_length_exceeded", message, Some(param))
        }
        SubmitError::EmptyPrompt => invalid(&format!("'{param}' must not be empty."), Some(param)),
        SubmitError::TokenOutOfRange { vocabulary, .. } => {
            invalid(&format!("Token ids must be below {vocabulary}."), Some(param))
        }
        SubmitError::Sampling(_) => invalid("A sampling parameter is out of range.", None),
        SubmitError::Stop => invalid("A stop sequence is empty or too long.", Some("stop")),
        SubmitError::StopInJson => invalid("A JSON object can't be cut by 'stop'.", Some("stop")),
        SubmitError::Logprobs => invalid("Too many log probabilities are asked for.", Some("logprobs")),
        SubmitError::NoTokens => invalid("'max_tokens' must be at least 1.", Some("max_tokens")),
        SubmitError::NoChatTemplate => ApiError::engine_failed(),
    }
}
