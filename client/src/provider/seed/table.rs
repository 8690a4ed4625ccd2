//! The nodes of the first Jeju Compute's networks, as its seeding script and README have them: names, endpoints, models, stakes,
//! and what each network wants to be paid in.

use std::fmt;
use std::str::FromStr;

use jeju_contracts::network::Network;

/// A network on which a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Phala Cloud.
    Phala,
    /// Marlin Oyster.
    Marlin,
    /// Oasis Sapphire and ROFL.
    Oasis,
}

/// Which of them are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Each.
    All,
    /// One.
    One(Kind),
}

/// A node that is to be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Where it runs.
    pub kind: Kind,
    /// Display name.
    pub name: &'static str,
    /// Base URL of its API.
    pub endpoint: &'static str,
    /// Models that it offers.
    pub models: &'static [&'static str],
    /// Stake, in wei.
    pub stake: u128,
    /// What the network wants to be paid in, and how much.
    pub funding: &'static str,
    /// What for.
    pub purpose: &'static str,
}

/// Wei for each token of a prompt, of all models.
pub const PRICE_INPUT: u128 = 100_000_000_000;
/// Wei for each token of an answer.
pub const PRICE_OUTPUT: u128 = 300_000_000_000;
/// Tokens of the longest context.
pub const CONTEXT: u64 = 128_000;

const ETHER: u128 = 1_000_000_000_000_000_000;

const TESTNET: [Entry; 3] = [
    Entry {
        kind: Kind::Phala,
        name: "Jeju-Phala-Testnet-1",
        endpoint: "https://phala-testnet-1.jeju.network",
        models: &["llama-3.1-8b", "mistral-7b", "phi-3-mini"],
        stake: ETHER / 10,
        funding: "100 PHA",
        purpose: "Phala Network staking and compute credits",
    },
    Entry {
        kind: Kind::Marlin,
        name: "Jeju-Marlin-Testnet-1",
        endpoint: "https://marlin-testnet-1.jeju.network",
        models: &[],
        stake: ETHER / 10,
        funding: "1000 POND",
        purpose: "Marlin Oyster operator stake",
    },
    Entry {
        kind: Kind::Oasis,
        name: "Jeju-Oasis-Testnet-1",
        endpoint: "https://oasis-testnet-1.jeju.network",
        models: &[],
        stake: ETHER / 10,
        funding: "100 TEST ROSE",
        purpose: "Oasis Sapphire deployment and gas",
    },
];

const MAINNET: [Entry; 3] = [
    Entry {
        kind: Kind::Phala,
        name: "Jeju-Phala-1",
        endpoint: "https://phala-1.jeju.network",
        models: &["llama-3.1-70b", "llama-3.1-8b", "mistral-7b", "codellama-34b"],
        stake: ETHER,
        funding: "10,000 PHA",
        purpose: "Phala Network staking and compute credits",
    },
    Entry {
        kind: Kind::Marlin,
        name: "Jeju-Marlin-1",
        endpoint: "https://marlin-1.jeju.network",
        models: &[],
        stake: ETHER,
        funding: "100,000 POND",
        purpose: "Marlin Oyster operator stake and MPond delegation",
    },
    Entry {
        kind: Kind::Oasis,
        name: "Jeju-Oasis-1",
        endpoint: "https://oasis-1.jeju.network",
        models: &[],
        stake: ETHER,
        funding: "10,000 ROSE",
        purpose: "Oasis Sapphire deployment and gas",
    },
];

/// The nodes of a network; a local chain has the testnet's, as ever.
pub fn entries(network: Network, choice: Choice) -> Vec<Entry> {
    let all = match network {
        Network::Mainnet => MAINNET,
        Network::Testnet | Network::Localnet => TESTNET,
    };
    all.into_iter().filter(|entry| choice.is(entry.kind)).collect()
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Phala, Kind::Marlin, Kind::Oasis];

    /// Its name in options.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Phala => "phala",
            Kind::Marlin => "marlin",
            Kind::Oasis => "oasis",
        }
    }

    /// What the network itself attests with, which isn't verified yet.
    pub const fn native(self) -> &'static str {
        match self {
            Kind::Phala => "dstack's RA-TLS and application keys (Phala)",
            Kind::Marlin => "Oyster's attestation server (Marlin)",
            Kind::Oasis => "ROFL's registrations on Sapphire (Oasis)",
        }
    }

    /// Variable that may hold its provider's key.
    pub const fn variable(self) -> &'static str {
        match self {
            Kind::Phala => "PHALA_PROVIDER_PRIVATE_KEY",
            Kind::Marlin => "MARLIN_PROVIDER_PRIVATE_KEY",
            Kind::Oasis => "OASIS_PROVIDER_PRIVATE_KEY",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Kind::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| "phala, marlin or oasis is expected".to_owned())
    }
}

impl Choice {
    fn is(self, kind: Kind) -> bool {
        match self {
            Choice::All => true,
            Choice::One(one) => one == kind,
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Choice::All),
            text => text
                .parse()
                .map(Choice::One)
                .map_err(|_| "phala, marlin, oasis or all is expected".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_url::NodeUrl;

    #[test]
    fn each_network_has_one_node_of_each_kind() {
        for network in [Network::Localnet, Network::Testnet, Network::Mainnet] {
            let kinds: Vec<_> = entries(network, Choice::All)
                .iter()
                .map(|entry| entry.kind)
                .collect();
            assert_eq!(kinds, Kind::ALL);
            for entry in entries(network, Choice::All) {
                assert!(entry.endpoint.parse::<NodeUrl>().is_ok());
                assert_eq!(entries(network, Choice::One(entry.kind)), [entry]);
            }
        }
        assert_eq!(entries(Network::Mainnet, Choice::All)[0].stake, ETHER);
        assert_eq!(entries(Network::Testnet, Choice::All)[0].stake, ETHER / 10);
    }

    #[test]
    fn names_are_read() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(Choice::One(kind)));
        }
        assert_eq!("all".parse(), Ok(Choice::All));
        assert!("Phala".parse::<Choice>().is_err());
        assert!("all".parse::<Kind>().is_err());
    }
}
