//! Why a saved answer has no good verdict.

use std::io;
use std::path::PathBuf;

use http::StatusCode;
use jeju_attestation::rejection::Rejection;
use jeju_attestation::response::EndReason;
use jeju_inference::{EngineError, LoadError, SubmitError};
use jeju_openai::RequestError;
use jeju_openai::receipt::ReceiptError;
use thiserror::Error;

use crate::error::{Class, Error};
use crate::files::FileError;
use crate::trust::TrustError;

/// Each variant is one reason and has one code. Nothing of a prompt or an answer is in any.
#[derive(Debug, Error)]
pub enum AuditError {
    /// A file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The exchange can't be saved.
    #[error("{}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The node has the evidence no more, or gives it to nobody.
    #[error("node answered the request for its evidence with status {0}")]
    NoEvidence(StatusCode),
    /// A body that isn't UTF-8 can't be saved.
    #[error("request, answer or evidence is not UTF-8 text")]
    NotText,
    /// Not a saved exchange.
    #[error("not a saved exchange of the type {}", super::exchange::FORMAT)]
    Malformed,
    /// Longer than is read.
    #[error("saved exchange is longer than {} bytes", super::exchange::MAX_LEN)]
    TooLong,
    /// What the user trusts can't be read.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The evidence is refused, or the registry can't be reached.
    #[error(transparent)]
    Session(#[from] Error),

    /// The response is an error, and so has nothing to recompute.
    #[error("the saved response has status {0}: there is nothing to recompute")]
    NotAnAnswer(u16),
    /// An endpoint whose answers have no receipt.
    #[error("answers of this endpoint can't be recomputed: chat completions, completions and responses can")]
    Endpoint,
    /// The node broke the stream off.
    #[error("the node broke the answer off and signed that it did ({0})")]
    Incomplete(EndReason),
    /// The answer isn't what OpenAI's API has.
    #[error("the answer is not an OpenAI {0}")]
    Answer(&'static str),
    /// No receipt, or none that can be read.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),

    /// The launch document names no such model.
    #[error("the receipt's model {receipt} is not the one that the launch document names {id:?}")]
    NotLaunched {
        /// What the receipt says, hex.
        receipt: String,
        /// Name in the request.
        id: String,
    },
    /// The file is another model than the receipt's.
    #[error("{} is another model: its SHA-256 is {file}, the receipt names {receipt}", path.display())]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// Its digest, hex.
        file: String,
        /// What the receipt says, hex.
        receipt: String,
    },
    /// The file is no model that this program can run.
    #[error("{}: {source}", path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: LoadError,
    },
    /// The answer was computed by an engine that this program doesn't have.
    #[error(
        "the answer was computed by engine {receipt:?}; this program has {:?}",
        jeju_inference::ENGINE_VERSION
    )]
    OtherEngine {
        /// What the receipt says.
        receipt: String,
    },
    /// The engine can't be started here.
    #[error("engine: {0}")]
    Engine(#[from] EngineError),

    /// The request is none that a node of this version would answer.
    #[error("the request could not have been answered: {0}")]
    Request(#[from] RequestError),
    /// The engine refuses what the request and the receipt ask for.
    #[error("the receipt asks for what the engine refuses: {0}")]
    Refused(#[from] SubmitError),
    /// The receipt is of another number of prompts or choices.
    #[error("the receipt has {found} {what}, the request asks for {asked}")]
    Count {
        /// Prompts or choices.
        what: &'static str,
        /// In the receipt, or in the answer.
        found: usize,
        /// By the request.
        asked: usize,
    },
    /// A parameter isn't what the request asks for.
    #[error("the receipt's {0} is not what the request asks for")]
    Parameter(&'static str),
    /// A choice has a seed that isn't its place's.
    #[error("choice {0} was not computed from its own seed")]
    Seed(usize),
    /// The tokens of the request's prompt are others than the receipt's.
    #[error("prompt {0} of the request is not the one in the receipt")]
    Prompt(usize),
    /// The text in the answer isn't what the receipt names.
    #[error("the text of choice {0} is not the one in the receipt")]
    Text(usize),
    /// Something else that the answer says differs from the receipt.
    #[error("the answer's {what} is not what the receipt says")]
    Told {
        /// What differs.
        what: &'static str,
    },
    /// The engine computes something else.
    #[error("choice {index} was recomputed with another {what}")]
    Recomputed {
        /// Which choice.
        index: usize,
        /// What differs.
        what: &'static str,
    },
}

impl From<Rejection> for AuditError {
    fn from(rejection: Rejection) -> Self {
        Error::from(rejection).into()
    }
}

impl AuditError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            AuditError::File(error) => error.code(),
            AuditError::Unwritable { .. } => "file_unwritable",
            AuditError::NoEvidence(_) => "evidence_not_served",
            AuditError::NotText => "exchange_not_text",
            AuditError::Malformed => "exchange_malformed",
            AuditError::TooLong => "exchange_too_long",
            AuditError::Trust(error) => error.code(),
            AuditError::Session(error) => error.code(),
            AuditError::NotAnAnswer(_) => "not_an_answer",
            AuditError::Endpoint => "endpoint_not_audited",
            AuditError::Incomplete(_) => "answer_incomplete",
            AuditError::Answer(_) => "answer_malformed",
            AuditError::Receipt(ReceiptError::Missing) => "receipt_missing",
            AuditError::Receipt(ReceiptError::Version) => "receipt_version_unknown",
            AuditError::Receipt(ReceiptError::Malformed) => "receipt_malformed",
            AuditError::NotLaunched { .. } => "model_not_launched",
            AuditError::OtherModel { .. } => "model_differs",
            AuditError::ModelFile { .. } => "model_unreadable",
            AuditError::OtherEngine { .. } => "engine_differs",
            AuditError::Engine(_) => "engine_unavailable",
            AuditError::Request(_) => "request_not_served",
            AuditError::Refused(_) => "receipt_not_computable",
            AuditError::Count { .. } => "receipt_count_differs",
            AuditError::Parameter(_) => "receipt_parameter_differs",
            AuditError::Seed(_) => "receipt_seed_differs",
            AuditError::Prompt(_) => "receipt_prompt_differs",
            AuditError::Text(_) => "receipt_text_differs",
            AuditError::Told { .. } => "receipt_answer_differs",
            AuditError::Recomputed { .. } => "recomputed_differs",
        }
    }

    /// Class, from which the exit code follows.
    pub fn class(&self) -> Class {
        match self {
            AuditError::Session(error) => error.class(),
            AuditError::NoEvidence(_) => Class::Network,
            AuditError::File(_)
            | AuditError::Unwritable { .. }
            | AuditError::NotText
            | AuditError::Malformed
            | AuditError::TooLong
            | AuditError::Trust(_)
            | AuditError::NotAnAnswer(_)
            | AuditError::Endpoint
            | AuditError::OtherModel { .. }
            | AuditError::ModelFile { .. }
            | AuditError::OtherEngine { .. }
            | AuditError::Engine(_) => Class::Usage,
            AuditError::Incomplete(_)
            | AuditError::Answer(_)
            | AuditError::Receipt(_)
            | AuditError::NotLaunched { .. }
            | AuditError::Request(_)
            | AuditError::Refused(_)
            | AuditError::Count { .. }
            | AuditError::Parameter(_)
            | AuditError::Seed(_)
            | AuditError::Prompt(_)
            | AuditError::Text(_)
            | AuditError::Told { .. }
            | AuditError::Recomputed { .. } => Class::Evidence,
        }
    }
}
