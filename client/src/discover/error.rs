//! Why no providers are found.

use jeju_chain::ReadError;
use thiserror::Error;

use crate::deployment::DeploymentError;
use crate::error::Class;
use crate::trust::TrustError;

/// Why no providers are found.
#[derive(Debug, Error)]
pub enum DiscoverError {
    /// There is no chain, or it isn't known where the registry is.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// There is no policy.
    #[error(transparent)]
    Trust(Box<TrustError>),
    /// The chain can't be read.
    #[error("chain: {0}")]
    Chain(#[from] ReadError),
    /// The gateway that was to give hints gave none.
    #[error("{gateway}: {reason}")]
    Hint {
        /// Which.
        gateway: String,
        /// Why.
        reason: String,
    },
}

impl From<TrustError> for DiscoverError {
    fn from(error: TrustError) -> Self {
        DiscoverError::Trust(Box::new(error))
    }
}

impl DiscoverError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            DiscoverError::Deployment(error) => error.code(),
            DiscoverError::Trust(error) => error.code(),
            DiscoverError::Chain(_) => "chain_unreadable",
            DiscoverError::Hint { .. } => "gateway_hint_failed",
        }
    }

    /// Class.
    pub fn class(&self) -> Class {
        match self {
            DiscoverError::Deployment(error) => error.class(),
            DiscoverError::Trust(error) => error.class(),
            DiscoverError::Chain(_) | DiscoverError::Hint { .. } => Class::Network,
        }
    }
}
