//! Why nothing came of a command about rentals.

use std::fmt;

use http::StatusCode;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::{ReadError, RpcError};
use jeju_contracts::sender::SendError;
use thiserror::Error;

use super::amount::Amount;
use super::public_key::PublicKeyError;
use crate::chain::ChainError;
use crate::config::ConfigError;
use crate::deployment::DeploymentError;
use crate::error::{Class, Error};
use crate::files::FileError;
use crate::trust::TrustError;
use crate::wallet::AccountKeyError;

/// Why nothing came of a command about rentals.
#[derive(Debug, Error)]
pub enum RentalError {
    /// The node couldn't be asked, or isn't what the policy asks for.
    #[error("{node}: {source}")]
    Node {
        /// Which.
        node: String,
        /// Why.
        source: Box<Error>,
    },
    /// There is no policy.
    #[error(transparent)]
    Trust(Box<TrustError>),
    /// There is no account key.
    #[error(transparent)]
    AccountKey(#[from] AccountKeyError),
    /// A file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// An argument makes no sense by itself or with the others.
    #[error("{0}")]
    Usage(&'static str),
    /// There is no chain.
    #[error(transparent)]
    NoChain(ChainError),
    /// The record of the deployment can't be used.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// No contract is named.
    #[error(
        "name the contract: --contract ADDRESS, --node URL, or COMPUTE_RENTAL_ADDRESS in the environment"
    )]
    NoContract,
    /// The contract at the address isn't `ComputeRental`.
    #[error("there is no ComputeRental at {0}")]
    NotAMarket(HexBytes<20>),
    /// The endpoints give no answer, or different ones.
    #[error("chain: {0}")]
    Chain(#[from] ReadError),
    /// The endpoint that transactions go to gives no answer.
    #[error("chain: {0}")]
    Rpc(#[from] RpcError),
    /// A transaction wasn't carried out.
    #[error(transparent)]
    Send(SendError),
    /// Transactions of the account wait for inclusion, and nothing is sent behind them.
    #[error("{0} transactions of the account wait for inclusion")]
    InFlight(u64),
    /// The key can't log in.
    #[error("{path}: {source}")]
    PublicKey {
        /// Its file.
        path: String,
        /// Why.
        source: PublicKeyError,
    },
    /// The text isn't an image reference.
    #[error("{0:?} is not an image reference")]
    Image(String),
    /// A script that is too long for where it goes.
    #[error("the script has {found} bytes, at most {most} are allowed")]
    ScriptLength {
        /// Bytes that it has.
        found: usize,
        /// Bytes that it may have.
        most: usize,
    },
    /// The script isn't the one whose digest is on chain.
    #[error("the script is not the one of the rental: its digest is sha256:{found}, on chain is {expected}")]
    OtherScript {
        /// Digest of the file.
        found: String,
        /// What is on chain.
        expected: String,
    },
    /// The provider rents out nothing.
    #[error("{0} has no offer")]
    NoOffer(HexBytes<20>),
    /// The hours are out of the offer's bounds.
    #[error("the offer is for {least} to {most} hours, not for {hours}")]
    Hours {
        /// What was asked for.
        hours: u64,
        /// Shortest rental.
        least: u16,
        /// Longest rental.
        most: u16,
    },
    /// It costs more than it may.
    #[error("it costs {cost}, more than the {most} that it may")]
    Cost {
        /// The price.
        cost: Amount,
        /// The limit that was given.
        most: Amount,
    },
    /// There is no such rental.
    #[error("there is no rental {0}")]
    Unknown(HexBytes<32>),
    /// The rental is made and paid, and what was to come after it failed.
    #[error("rental {rental} is made and paid, but: {source}")]
    Made {
        /// The rental.
        rental: HexBytes<32>,
        /// What failed.
        source: Box<RentalError>,
    },
    /// What was waited for didn't come.
    #[error("rental {rental} is {status}, and was not {wanted} within {seconds} s")]
    Late {
        /// The rental.
        rental: HexBytes<32>,
        /// How it is.
        status: &'static str,
        /// How it was to be.
        wanted: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// The node is verified, but rents out nothing.
    #[error("{0} takes no rentals")]
    NotRented(String),
    /// The node belongs to another contract, chain or provider.
    #[error("{node} is of {what} {found}, not of {expected}")]
    Other {
        /// Which node.
        node: String,
        /// Of what.
        what: Fact,
        /// The node's.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The node refuses.
    #[error("{message} ({node})")]
    Refused {
        /// Which node.
        node: String,
        /// HTTP's status.
        status: StatusCode,
        /// Stable code, the node's own.
        code: String,
        /// The node's own words.
        message: String,
    },
    /// The node's answer isn't of the form that was asked for.
    #[error("answer of {node}: {what}")]
    Answer {
        /// Which node.
        node: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The random number generator refuses to work.
    #[error("no random numbers")]
    Random,
    /// The system refuses what a daemon needs.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// What a node says that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// `ComputeRental`.
    Contract,
    /// Chain id.
    Chain,
    /// The provider's account.
    Provider,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fact::Contract => "contract",
            Fact::Chain => "chain",
            Fact::Provider => "provider",
        })
    }
}

impl From<TrustError> for RentalError {
    fn from(error: TrustError) -> Self {
        RentalError::Trust(Box::new(error))
    }
}

impl From<ChainError> for RentalError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Trust(error) => RentalError::Trust(error),
            ChainError::Read(error) => RentalError::Chain(error),
            other => RentalError::NoChain(other),
        }
    }
}

impl From<ConfigError> for RentalError {
    fn from(error: ConfigError) -> Self {
        TrustError::from(error).into()
    }
}

impl From<SendError> for RentalError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Rpc(error) => RentalError::Rpc(error),
            other => RentalError::Send(other),
        }
    }
}

impl RentalError {
    /// Stable code.
    pub fn code(&self) -> &str {
        match self {
            RentalError::Node { source, .. } => source.code(),
            RentalError::Trust(error) => error.code(),
            RentalError::AccountKey(error) => error.code(),
            RentalError::File(error) => error.code(),
            RentalError::Usage(_) => "arguments_invalid",
            RentalError::NoChain(error) => error.code(),
            RentalError::Deployment(error) => error.code(),
            RentalError::NoContract => "contract_missing",
            RentalError::NotAMarket(_) => "contract_unknown",
            RentalError::Chain(_) => "chain_unreadable",
            RentalError::Rpc(_) => "rpc_failed",
            RentalError::Send(error) => match error {
                SendError::Refused(_) => "contract_refused",
                SendError::Reverted(_) => "transaction_reverted",
                SendError::NoReceipt(_) => "transaction_unconfirmed",
                SendError::TooMuchGas(_) => "transaction_too_large",
                SendError::Key => "account_key_invalid",
                SendError::Rpc(_) => "rpc_failed",
            },
            RentalError::InFlight(_) => "transaction_pending",
            RentalError::PublicKey { source, .. } => source.code(),
            RentalError::Image(_) => "image_invalid",
            RentalError::ScriptLength { .. } => "script_too_long",
            RentalError::OtherScript { .. } => "rental_script_mismatch",
            RentalError::NoOffer(_) => "offer_missing",
            RentalError::Hours { .. } => "hours_out_of_range",
            RentalError::Cost { .. } => "cost_too_high",
            RentalError::Unknown(_) => "rental_unknown",
            RentalError::Made { source, .. } => source.code(),
            RentalError::Late { .. } => "rental_late",
            RentalError::NotRented(_) => "node_no_rentals",
            RentalError::Other { what, .. } => match what {
                Fact::Contract => "node_other_contract",
                Fact::Chain => "node_other_chain",
                Fact::Provider => "node_other_provider",
            },
            RentalError::Refused { code, .. } => code,
            RentalError::Answer { .. } => "answer_malformed",
            RentalError::Random => "crypto_unavailable",
            RentalError::System(_) => "system",
        }
    }

    /// Class, from which the exit code follows: what can't be done now is `Network`, what nobody will do `Policy`.
    pub fn class(&self) -> Class {
        match self {
            RentalError::Node { source, .. } => source.class(),
            RentalError::Made { source, .. } => source.class(),
            RentalError::NoChain(error) => error.class(),
            RentalError::Deployment(error) => error.class(),
            RentalError::Chain(_)
            | RentalError::Rpc(_)
            | RentalError::InFlight(_)
            | RentalError::Late { .. }
            | RentalError::Send(SendError::NoReceipt(_) | SendError::Rpc(_)) => Class::Network,
            RentalError::Send(SendError::Refused(_) | SendError::Reverted(_) | SendError::TooMuchGas(_))
            | RentalError::NoOffer(_)
            | RentalError::Hours { .. }
            | RentalError::Cost { .. }
            | RentalError::NotRented(_)
            | RentalError::Other { .. } => Class::Policy,
            RentalError::Refused { status, .. } => match *status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Class::Policy,
                StatusCode::TOO_MANY_REQUESTS => Class::Network,
                status if status.is_server_error() => Class::Network,
                _ => Class::Usage,
            },
            RentalError::Answer { .. } => Class::Evidence,
            RentalError::Trust(_)
            | RentalError::AccountKey(_)
            | RentalError::File(_)
            | RentalError::Usage(_)
            | RentalError::NoContract
            | RentalError::NotAMarket(_)
            | RentalError::Send(SendError::Key)
            | RentalError::PublicKey { .. }
            | RentalError::Image(_)
            | RentalError::ScriptLength { .. }
            | RentalError::OtherScript { .. }
            | RentalError::Unknown(_)
            | RentalError::Random
            | RentalError::System(_) => Class::Usage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> RentalError {
        RentalError::Refused {
            node: "https://a:1".into(),
            status: StatusCode::from_u16(status).unwrap(),
            code: "rental_busy".into(),
            message: "words".into(),
        }
    }

    #[test]
    fn what_a_failure_means() {
        for (status, class) in [
            (400, Class::Usage),
            (401, Class::Policy),
            (403, Class::Policy),
            (404, Class::Usage),
            (429, Class::Network),
            (503, Class::Network),
        ] {
            assert_eq!(
                (refused(status).code(), refused(status).class()),
                ("rental_busy", class)
            );
        }
        let refusal = RentalError::from(SendError::Refused("RentalNotActive".into()));
        assert_eq!(
            (refusal.code(), refusal.class()),
            ("contract_refused", Class::Policy)
        );
        let made = RentalError::Made {
            rental: HexBytes([1; 32]),
            source: Box::new(refused(503)),
        };
        assert_eq!((made.code(), made.class()), ("rental_busy", Class::Network));
        assert!(made.to_string().contains("0x0101"), "{made}");
    }
}
