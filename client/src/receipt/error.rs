//! Why a receipt isn't worth anything, or isn't there.

use http::StatusCode;
use jeju_attestation::rejection::Rejection;
use jeju_chain::ReadError;
use thiserror::Error;

use crate::audit::AuditError;
use crate::deployment::DeploymentError;
use crate::error::{Class, Error};
use crate::files::FileError;
use crate::trust::TrustError;

/// Each variant is one reason and has one code.
#[derive(Debug, Error)]
pub enum ReceiptError {
    /// What the user trusts can't be read.
    #[error(transparent)]
    Trust(Box<TrustError>),
    /// It isn't known where the chain or the contract is.
    #[error(transparent)]
    Deployment(Box<DeploymentError>),
    /// A file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The saved exchange can't be read.
    #[error(transparent)]
    Exchange(Box<AuditError>),
    /// The node is refused, or can't be reached.
    #[error(transparent)]
    Session(Box<Error>),
    /// The chain can't be read.
    #[error("chain: {0}")]
    Chain(#[from] ReadError),

    /// No id was given, and none can be read from the answer.
    #[error("name the answer's id, or a saved exchange whose answer has one")]
    NoId,
    /// Not an id of an answer.
    #[error("an answer's id has 1 to 96 letters, digits, dashes, dots and underscores")]
    Id,
    /// The node knows no such answer, or none that has ended.
    #[error(
        "the node has no receipt for {0}: it keeps those of its newest answers, until it is started anew"
    )]
    NotFound(String),
    /// It answers with something else than a receipt.
    #[error("the node answered the request for the receipt with status {0}")]
    NotServed(StatusCode),
    /// It has the quote no more.
    #[error("the node answered the request for its evidence with status {0}")]
    NoEvidence(StatusCode),
    /// Not a receipt.
    #[error("the node's answer is not a receipt")]
    Malformed,

    /// The receipt is of another answer than was asked for.
    #[error("the receipt is of another answer")]
    OtherAnswer,
    /// Another key than the one in the node's claims.
    #[error("the receipt names another key than the node's evidence")]
    OtherSigner,
    /// Agent, boot, epoch or quote aren't this node's.
    #[error("the receipt's {0} is not this node's")]
    OtherNode(&'static str),
    /// Signed for another chain or registry than the launch document, or the user, names.
    #[error("the receipt is for another chain or another registry of keys")]
    OtherContract,
    /// Not the key's signature.
    #[error("the receipt's signature is not by the node's key")]
    Signature,
    /// The request that was given is another one.
    #[error("the receipt is for another request")]
    OtherRequest,
    /// The response that was given is another one.
    #[error("the receipt is for another response")]
    OtherResponse,
    /// The path doesn't lead to the root in the quote.
    #[error("the answer's leaf does not lead to the root that the quote carries")]
    Path,
    /// No quote carries the answer's tree.
    #[error("no quote vouches for the answer yet: the next one does, once the epoch has ended")]
    NotQuoted,
    /// The node signs receipts for no contract.
    #[error("the node signs receipts for no contract, so no chain can check them")]
    NotSigned,
    /// The registry doesn't take the signature.
    #[error("the registry of keys refuses the signature: the node's key is not registered, or dead")]
    KeyNotLive,
}

impl ReceiptError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ReceiptError::Trust(error) => error.code(),
            ReceiptError::Deployment(error) => error.code(),
            ReceiptError::File(error) => error.code(),
            ReceiptError::Exchange(error) => error.code(),
            ReceiptError::Session(error) => error.code(),
            ReceiptError::Chain(_) => "chain_unreadable",
            ReceiptError::NoId => "receipt_id_missing",
            ReceiptError::Id => "receipt_id_invalid",
            ReceiptError::NotFound(_) => "receipt_not_found",
            ReceiptError::NotServed(_) => "receipt_not_served",
            ReceiptError::NoEvidence(_) => "evidence_not_served",
            ReceiptError::Malformed => "receipt_malformed",
            ReceiptError::OtherAnswer => "receipt_of_other_answer",
            ReceiptError::OtherSigner => "receipt_signer_differs",
            ReceiptError::OtherNode(_) => "receipt_of_other_node",
            ReceiptError::OtherContract => "receipt_contract_differs",
            ReceiptError::Signature => "receipt_signature_invalid",
            ReceiptError::OtherRequest => "receipt_request_differs",
            ReceiptError::OtherResponse => "receipt_response_differs",
            ReceiptError::Path => "receipt_path_invalid",
            ReceiptError::NotQuoted => "receipt_not_quoted",
            ReceiptError::NotSigned => "receipt_not_signed",
            ReceiptError::KeyNotLive => "receipt_key_not_live",
        }
    }

    /// Class, from which the exit code follows.
    pub fn class(&self) -> Class {
        match self {
            ReceiptError::Trust(error) => error.class(),
            ReceiptError::Deployment(error) => error.class(),
            ReceiptError::Exchange(error) => error.class(),
            ReceiptError::Session(error) => error.class(),
            ReceiptError::File(_) | ReceiptError::NoId | ReceiptError::Id => Class::Usage,
            ReceiptError::Chain(_)
            | ReceiptError::NotFound(_)
            | ReceiptError::NotServed(_)
            | ReceiptError::NoEvidence(_)
            | ReceiptError::NotQuoted => Class::Network,
            ReceiptError::NotSigned | ReceiptError::KeyNotLive => Class::Policy,
            ReceiptError::Malformed
            | ReceiptError::OtherAnswer
            | ReceiptError::OtherSigner
            | ReceiptError::OtherNode(_)
            | ReceiptError::OtherContract
            | ReceiptError::Signature
            | ReceiptError::OtherRequest
            | ReceiptError::OtherResponse
            | ReceiptError::Path => Class::Evidence,
        }
    }
}

impl From<TrustError> for ReceiptError {
    fn from(error: TrustError) -> Self {
        ReceiptError::Trust(Box::new(error))
    }
}

impl From<DeploymentError> for ReceiptError {
    fn from(error: DeploymentError) -> Self {
        ReceiptError::Deployment(Box::new(error))
    }
}

impl From<AuditError> for ReceiptError {
    fn from(error: AuditError) -> Self {
        ReceiptError::Exchange(Box::new(error))
    }
}

impl From<Error> for ReceiptError {
    fn from(error: Error) -> Self {
        ReceiptError::Session(Box::new(error))
    }
}

impl From<Rejection> for ReceiptError {
    fn from(rejection: Rejection) -> Self {
        Error::from(rejection).into()
    }
}
