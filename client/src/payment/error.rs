//! Why nothing is paid, or nothing came of a command about money.

use std::io;
use std::path::PathBuf;

use http::StatusCode;
use jeju_chain::ReadError;
use jeju_contracts::sender::SendError;
use jeju_wallet_auth::account::Account;
use thiserror::Error;

use super::usage::Price;
use crate::committee::CommitteeError;
use crate::deployment::DeploymentError;
use crate::error::{Class, Error};
use crate::rental::RentalError;
use crate::rental::amount::Amount;

/// Why nothing is paid, or nothing came of a command about money.
#[derive(Debug, Error)]
pub enum PaymentError {
    /// What commands about rentals fail by too: the chain, the account, the node.
    #[error(transparent)]
    Market(#[from] RentalError),
    /// The committee that verifies quotes, and files of it.
    #[error(transparent)]
    Committee(#[from] CommitteeError),
    /// The record of what was promised can't be read or written.
    #[error("{}: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The record isn't one, or of somebody else.
    #[error("{} is no record of these payments: {what}", path.display())]
    RecordMalformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Another process holds the record.
    #[error("{} is held by another process", .0.display())]
    RecordBusy(PathBuf),
    /// Nothing says where records are kept.
    #[error("nowhere to keep the record of payments: --payments DIR, or HOME in the environment")]
    NoFolder,
    /// The node holds a voucher that this machine has no record of.
    #[error(
        "the node holds voucher {node} of this account, which was promised {promised} by it; the record here ends at \
         voucher {here}. Vouchers were signed elsewhere, or the record is an old one: --adopt-vouchers takes the node's word"
    )]
    Behind {
        /// Sequence of the node's newest voucher.
        node: u64,
        /// What it promises.
        promised: Amount,
        /// Sequence of the newest one here.
        here: u64,
    },
    /// The model has no price.
    #[error("{provider} has no price for the model {model:?} on chain")]
    NoPrice {
        /// Who was asked.
        provider: Account,
        /// The model.
        model: String,
    },
    /// The model costs more than it may: the service that was cheaper is over.
    #[error("{provider} asks {} wei for a token of a prompt and {} for one of an answer, more than they may cost", price.input, price.output)]
    TooDear {
        /// Who was asked.
        provider: Account,
        /// What it asks.
        price: Price,
    },
    /// More than may be spent.
    #[error("the request may cost {estimate}, and {left} is left of --max-spend")]
    SpendLimit {
        /// What it may cost.
        estimate: Amount,
        /// What is left.
        left: Amount,
    },
    /// Too little is set aside for the provider.
    #[error("{} is set aside for {provider}, and {} is needed: jeju deposit {}wei --provider {provider}", Amount(*there), Amount(*needed), needed.saturating_sub(*there))]
    Insufficient {
        /// Who would earn.
        provider: Account,
        /// What is set aside, in wei.
        there: u128,
        /// What isn't paid yet, and what the request may cost, in wei.
        needed: u128,
    },
    /// An amount beyond all money.
    #[error("an amount is beyond all money")]
    Overflow,
    /// The node takes no payments.
    #[error("{0} takes no payments: its launch document names none")]
    NotPaid(String),
    /// The node belongs to another chain, contract or provider.
    #[error("the node is of {what} {found}, not of {expected}")]
    Other {
        /// Of what.
        what: &'static str,
        /// The node's.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The node refuses.
    #[error("the node refuses: {message} ({status})")]
    Refused {
        /// HTTP's status.
        status: StatusCode,
        /// The node's own code.
        code: String,
        /// The node's own words.
        message: String,
    },
    /// The node's answer isn't of the form that was asked for.
    #[error("answer of the node: {0}")]
    Answer(&'static str),
    /// The account has nothing of the kind.
    #[error("{0}")]
    Nothing(String),
    /// A node of another network whose evidence isn't verified.
    #[error(
        "{name} is not registered: its evidence does not verify ({source}); {native} is not verified yet"
    )]
    Unverified {
        /// Which.
        name: &'static str,
        /// What its network attests with.
        native: &'static str,
        /// Why.
        source: Box<Error>,
    },
    /// The first of several transactions is done, and the next one failed.
    #[error("{done}, but: {source}; go on with {again}")]
    Half {
        /// What is done.
        done: String,
        /// The option that leaves it out.
        again: &'static str,
        /// What failed.
        source: Box<PaymentError>,
    },
    /// A file that is written is there already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
}

impl From<DeploymentError> for PaymentError {
    fn from(error: DeploymentError) -> Self {
        PaymentError::Market(error.into())
    }
}

impl From<Error> for PaymentError {
    fn from(source: Error) -> Self {
        PaymentError::Market(RentalError::Node {
            node: "node".to_owned(),
            source: Box::new(source),
        })
    }
}

impl From<ReadError> for PaymentError {
    fn from(error: ReadError) -> Self {
        PaymentError::Market(error.into())
    }
}

impl From<SendError> for PaymentError {
    fn from(error: SendError) -> Self {
        PaymentError::Market(error.into())
    }
}

impl PaymentError {
    /// Stable code.
    pub fn code(&self) -> &str {
        match self {
            PaymentError::Market(error) => error.code(),
            PaymentError::Committee(error) => error.code(),
            PaymentError::Record { .. } => "payment_record_unusable",
            PaymentError::RecordMalformed { .. } => "payment_record_malformed",
            PaymentError::RecordBusy(_) => "payment_record_busy",
            PaymentError::NoFolder => "payment_record_missing",
            PaymentError::Behind { .. } => "payment_record_behind",
            PaymentError::NoPrice { .. } => "price_unknown",
            PaymentError::TooDear { .. } => "price_too_high",
            PaymentError::SpendLimit { .. } => "spend_limit",
            PaymentError::Insufficient { .. } => "payment_insufficient",
            PaymentError::Overflow => "amount_too_large",
            PaymentError::NotPaid(_) => "node_no_payments",
            PaymentError::Other { .. } => "node_other_payments",
            PaymentError::Refused { code, .. } => code,
            PaymentError::Answer(_) => "answer_malformed",
            PaymentError::Nothing(_) => "nothing_to_do",
            PaymentError::Half { source, .. } => source.code(),
            PaymentError::Unverified { .. } => "provider_unverified",
            PaymentError::Exists(_) => "file_exists",
        }
    }

    /// Class, from which the exit code follows.
    pub fn class(&self) -> Class {
        match self {
            PaymentError::Market(error) => error.class(),
            PaymentError::Committee(error) => error.class(),
            PaymentError::Half { source, .. } => source.class(),
            PaymentError::Unverified { source, .. } => source.class(),
            PaymentError::RecordBusy(_) => Class::Network,
            PaymentError::Behind { .. }
            | PaymentError::NoPrice { .. }
            | PaymentError::TooDear { .. }
            | PaymentError::SpendLimit { .. }
            | PaymentError::Insufficient { .. }
            | PaymentError::NotPaid(_)
            | PaymentError::Other { .. } => Class::Policy,
            PaymentError::Refused { status, .. } => match *status {
                StatusCode::TOO_MANY_REQUESTS => Class::Network,
                status if status.is_server_error() => Class::Network,
                _ => Class::Policy,
            },
            PaymentError::Answer(_) => Class::Evidence,
            PaymentError::Record { .. }
            | PaymentError::RecordMalformed { .. }
            | PaymentError::NoFolder
            | PaymentError::Overflow
            | PaymentError::Nothing(_)
            | PaymentError::Exists(_) => Class::Usage,
        }
    }
}
