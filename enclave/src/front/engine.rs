//! What the API asks of an engine, whichever it is.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_inference::{Message, PrivateText};
use tokio::sync::mpsc;

use super::error::ApiError;

/// Generates text.
pub(super) trait InferenceEngine: Send + Sync {
    /// What it serves.
    fn models(&self) -> &[ServedModel];

    /// Starts a generation. May take milliseconds per kilobyte of prompt: not for a thread that serves others.
    ///
    /// # Errors
    /// What the user is told: the prompt is too long, a parameter means nothing, or there is no place.
    fn generate(&self, generation: Generation) -> Result<Running, ApiError>;
}

/// A generation under way. Dropping it cancels it.
pub(super) struct Running {
    /// What comes of it; ends without [`Event::Finished`] where the engine failed.
    pub(super) events: mpsc::UnboundedReceiver<Event>,
    /// Whatever the engine keeps for it.
    #[allow(dead_code, reason = "held for its drop")]
    pub(super) guard: Box<dyn Send>,
}

/// A model as `/v1/models` shows it.
pub(super) struct ServedModel {
    /// Name in the API.
    pub(super) id: String,
    /// SHA-256 of its file.
    pub(super) sha256: HexBytes<32>,
    /// Longest prompt and answer together, in tokens.
    pub(super) context_length: usize,
}

/// What to generate. Holds what the user wrote: neither Debug nor Display.
pub(super) struct Generation {
    pub(super) messages: Vec<Message>,
    pub(super) sampling: Sampling,
}

/// How to choose tokens; what is absent is the model's default.
#[derive(Default)]
pub(super) struct Sampling {
    pub(super) temperature: Option<f32>,
    pub(super) top_p: Option<f32>,
    pub(super) seed: Option<u64>,
    pub(super) frequency_penalty: Option<f32>,
    pub(super) presence_penalty: Option<f32>,
    pub(super) repetition_penalty: Option<f32>,
    pub(super) max_tokens: Option<usize>,
    pub(super) stop: Vec<PrivateText>,
}

/// What comes of a generation.
pub(super) enum Event {
    /// More text.
    Text(PrivateText),
    /// The end.
    Finished {
        finish: Finish,
        prompt_tokens: u64,
        completion_tokens: u64,
    },
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
}
