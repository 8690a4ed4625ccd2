//! The chain that a command line names: endpoints that are read k of n, and the one that transactions go to.

use std::sync::Arc;

use jeju_chain::{
    ChainReader, DEFAULT_TIMEOUT, Endpoint, EndpointError, ReadError, ReaderConfig, RpcClient, TcpDial,
    public_web_tls,
};
use jeju_contracts::sender::{AccountKey, Sender};
use thiserror::Error;

use crate::error::Class;
use crate::relying_party::is_loopback;
use crate::trust::{TrustArguments, TrustError};

/// Variables that may hold an endpoint, the first one that is set. Those of the first Jeju Compute.
const ENDPOINT_VARIABLES: [&str; 2] = ["JEJU_RPC_URL", "RPC_URL"];

/// A chain.
pub struct Chain {
    /// Reads it.
    pub reader: ChainReader,
    /// The endpoint that transactions go to: the first.
    pub rpc: RpcClient,
    /// Its id, as k of n endpoints say and the command line wants it.
    pub chain_id: u64,
}

/// Why there is no chain.
#[derive(Debug, Error)]
pub enum ChainError {
    /// The policy or the configuration can't be read.
    #[error(transparent)]
    Trust(Box<TrustError>),
    /// No endpoint is named.
    #[error(
        "name an endpoint of the chain: --rpc URL, --policy FILE with registry.rpc, RPC_URL in the environment, or rpc in \
         the configuration"
    )]
    NoEndpoint,
    /// The endpoints can't be used.
    #[error("endpoints of the chain: {0}")]
    Endpoints(#[from] jeju_chain::ConfigError),
    /// An endpoint's URL is wrong.
    #[error("endpoint of the chain: {0}")]
    Endpoint(#[from] EndpointError),
    /// The endpoints give no answer, or different ones.
    #[error("chain: {0}")]
    Read(#[from] ReadError),
    /// The endpoints serve another chain.
    #[error("the RPC endpoints serve chain {found}, {wanted} is wanted")]
    Other {
        /// What they say.
        found: u64,
        /// What is wanted.
        wanted: u64,
    },
}

impl<E: Into<TrustError>> From<E> for ChainError {
    fn from(error: E) -> Self {
        ChainError::Trust(Box::new(error.into()))
    }
}

impl ChainError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ChainError::Trust(error) => error.code(),
            ChainError::NoEndpoint => "rpc_missing",
            ChainError::Endpoints(_) | ChainError::Endpoint(_) => "rpc_invalid",
            ChainError::Read(_) => "chain_unreadable",
            ChainError::Other { .. } => "rpc_other_chain",
        }
    }

    /// Class.
    pub fn class(&self) -> Class {
        match self {
            ChainError::Trust(error) => error.class(),
            ChainError::NoEndpoint | ChainError::Endpoints(_) | ChainError::Endpoint(_) => Class::Usage,
            ChainError::Read(_) | ChainError::Other { .. } => Class::Network,
        }
    }
}

impl Chain {
    /// The chain that the arguments name.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn connect(trust: &TrustArguments) -> Result<Self, ChainError> {
        let (endpoints, quorum, wanted) = endpoints(trust)?;
        let first = endpoints.first().ok_or(ChainError::NoEndpoint)?;
        let rpc = RpcClient::new(
            Endpoint::parse(first)?,
            Arc::new(TcpDial),
            public_web_tls(),
            DEFAULT_TIMEOUT,
        );
        let config = ReaderConfig {
            // Nobody but this machine carries the bytes to a node of one's own.
            plaintext: endpoints
                .iter()
                .all(|url| url.starts_with("https://") || is_loopback(url)),
            localnet: trust.development,
            ..ReaderConfig::new(endpoints, quorum)
        };
        let reader = ChainReader::new(config, Arc::new(TcpDial))?;
        let found = reader.chain_id().await?;
        match wanted {
            Some(wanted) if wanted != found => Err(ChainError::Other { found, wanted }),
            _ => Ok(Chain {
                reader,
                rpc,
                chain_id: found,
            }),
        }
    }

    /// Sends transactions of an account.
    pub fn sender<'a>(&'a self, key: &'a AccountKey) -> Sender<'a> {
        Sender::new(&self.rpc, key, self.chain_id)
    }
}

/// Endpoints, how many must agree, and the chain that they are to be of.
type Endpoints = (Vec<String>, usize, Option<u64>);

fn endpoints(trust: &TrustArguments) -> Result<Endpoints, ChainError> {
    if !trust.rpc.is_empty() && trust.policy.is_none() {
        let rpc = trust.rpc.clone();
        let quorum = rpc.len() / 2 + 1;
        return Ok((rpc, quorum, trust.chain_id));
    }
    if trust.policy.is_some()
        && let Some(found) = of_policy(trust)?
    {
        return Ok(found);
    }
    let variable = ENDPOINT_VARIABLES
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    if let Some(endpoint) = variable {
        return Ok((vec![endpoint], 1, trust.chain_id));
    }
    let config = trust.config()?;
    if config.policy.is_some()
        && let Some(found) = of_policy(trust)?
    {
        return Ok(found);
    }
    match config.rpc.is_empty() {
        true => Err(ChainError::NoEndpoint),
        false => {
            let quorum = config.quorum();
            Ok((config.rpc, quorum, trust.chain_id.or(config.chain_id)))
        }
    }
}

/// Those of the policy, if it names some.
fn of_policy(trust: &TrustArguments) -> Result<Option<Endpoints>, ChainError> {
    let registry = trust.policy()?.registry;
    let registry = registry.filter(|registry| !registry.rpc.is_empty());
    Ok(registry.map(|registry| (registry.rpc, registry.quorum, Some(registry.chain_id))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_come_from_the_command_line_first() {
        let trust = TrustArguments {
            rpc: ["https://a", "https://b", "https://c"].map(str::to_owned).into(),
            chain_id: Some(5),
            ..TrustArguments::default()
        };
        let (endpoints, quorum, chain) = endpoints(&trust).unwrap();
        assert_eq!((endpoints.len(), quorum, chain), (3, 2, Some(5)));
    }

    #[test]
    fn the_configuration_comes_last() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, "rpc = [\"https://a\"]\nchain_id = 7\n").unwrap();
        let configured = TrustArguments {
            config: Some(path),
            ..TrustArguments::default()
        };
        let (found, quorum, chain) = endpoints(&configured).unwrap();
        assert_eq!((found, quorum, chain), (vec!["https://a".to_owned()], 1, Some(7)));
    }
}
