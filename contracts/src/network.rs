//! The kinds of chains that contracts are deployed on, and what each demands.

use std::fmt;
use std::str::FromStr;

use crate::plan::MIN_CHALLENGER_DELAY;

/// Chain id of anvil and other local development chains.
pub const LOCALNET_CHAIN_ID: u64 = 31337;

/// Shortest timelock on any other network, in seconds: time for auditors to rebuild and object.
pub const MIN_PUBLIC_DELAY: u64 = 48 * 60 * 60;

/// A kind of chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// A development chain on this machine, with published keys and no timelock.
    Localnet,
    /// A public chain whose coins are worth nothing.
    Testnet,
    /// A public chain.
    Mainnet,
}

/// Why a network's rules refuse something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// No network has this name.
    #[error("unknown network, expected localnet, testnet or mainnet")]
    Unknown,
    /// The endpoint serves a local chain where a public one is meant, or the other way round.
    #[error("chain id {chain_id} does not belong to {network}")]
    ChainId {
        /// What was asked for.
        network: Network,
        /// What the endpoint says.
        chain_id: u64,
    },
    /// The timelock is too short.
    #[error("timelock of {delay} s is below the {MIN_PUBLIC_DELAY} s that {network} demands")]
    DelayTooShort {
        /// What was asked for.
        network: Network,
        /// The timelock.
        delay: u64,
    },
    /// New challengers could slash before stake has left.
    #[error("challengers after {delay} s are below the {MIN_CHALLENGER_DELAY} s that {network} demands")]
    ChallengerDelayTooShort {
        /// What was asked for.
        network: Network,
        /// The delay.
        delay: u64,
    },
}

impl Network {
    /// Checks that an endpoint's chain is of this kind.
    pub fn check_chain_id(self, chain_id: u64) -> Result<(), NetworkError> {
        if (self == Network::Localnet) == (chain_id == LOCALNET_CHAIN_ID) {
            Ok(())
        } else {
            Err(NetworkError::ChainId {
                network: self,
                chain_id,
            })
        }
    }

    /// Checks a timelock in seconds. The contract's constructor checks it again.
    pub fn check_delay(self, delay: u64) -> Result<(), NetworkError> {
        if self == Network::Localnet || delay >= MIN_PUBLIC_DELAY {
            Ok(())
        } else {
            Err(NetworkError::DelayTooShort { network: self, delay })
        }
    }
}

impl Network {
    /// Checks the time until a new challenger may slash, in seconds. The contracts' constructors check it again.
    pub fn check_challenger_delay(self, delay: u64) -> Result<(), NetworkError> {
        if self == Network::Localnet || delay >= MIN_CHALLENGER_DELAY {
            Ok(())
        } else {
            Err(NetworkError::ChallengerDelayTooShort { network: self, delay })
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Network::Localnet => "localnet",
            Network::Testnet => "testnet",
            Network::Mainnet => "mainnet",
        })
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(name: &str) -> Result<Self, NetworkError> {
        [Network::Localnet, Network::Testnet, Network::Mainnet]
            .into_iter()
            .find(|network| network.to_string() == name)
            .ok_or(NetworkError::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_networks_refuse_local_chains_and_short_timelocks() {
        for network in [Network::Testnet, Network::Mainnet] {
            assert_eq!(network.to_string().parse(), Ok(network));
            assert!(network.check_chain_id(LOCALNET_CHAIN_ID).is_err());
            assert!(network.check_chain_id(1).is_ok());
            assert!(network.check_delay(MIN_PUBLIC_DELAY - 1).is_err());
            assert!(network.check_delay(MIN_PUBLIC_DELAY).is_ok());
            assert!(network.check_challenger_delay(MIN_CHALLENGER_DELAY - 1).is_err());
            assert!(network.check_challenger_delay(MIN_CHALLENGER_DELAY).is_ok());
        }
        assert!(Network::Localnet.check_chain_id(1).is_err());
        assert!(Network::Localnet.check_chain_id(LOCALNET_CHAIN_ID).is_ok());
        assert!(Network::Localnet.check_delay(0).is_ok());
        assert_eq!("main".parse::<Network>(), Err(NetworkError::Unknown));
    }
}
