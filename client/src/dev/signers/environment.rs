//! The variables by which the first Jeju Compute's signer was configured, for a network on this machine.

use thiserror::Error;

/// Most nodes that a local network has.
const MAX_NODES: u16 = 32;

/// What the variables say; options of the command line come before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Environment {
    /// `MPC_NETWORK_ID`.
    pub(super) network: String,
    /// `MPC_THRESHOLD`: how many must sign.
    pub(super) threshold: u16,
    /// Name and port of each node: `MPC_NODE_ID` and `MPC_PORT`, then those of `MPC_PEERS`, or `MPC_TOTAL_SHARES` in all.
    pub(super) nodes: Vec<(String, u16)>,
    /// `MPC_VERBOSE`.
    pub(super) verbose: bool,
}

/// What a variable holds that it can't.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EnvironmentError {
    /// Not a number, or out of range.
    #[error("{variable}={value:?} is not a number from 1 to {most}")]
    Number {
        /// Which.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// Highest number.
        most: u16,
    },
    /// Not `nodeId@127.0.0.1:port`, separated by commas.
    #[error(
        "MPC_PEERS: {0:?} is not NODE@127.0.0.1:PORT; peers on other machines need launch documents of their own"
    )]
    Peer(String),
    /// More or fewer peers than shares ask for.
    #[error("MPC_PEERS names {peers} peers, MPC_TOTAL_SHARES={shares} needs {}", shares - 1)]
    Peers {
        /// How many are named.
        peers: u16,
        /// How many nodes there shall be.
        shares: u16,
    },
    /// More signers than nodes.
    #[error("Threshold cannot exceed total shares: {threshold} of {shares}")]
    Threshold {
        /// How many must sign.
        threshold: u16,
        /// How many there are.
        shares: u16,
    },
    /// One of several alone could sign.
    #[error("one signer of several is no threshold: 2 is the least, or one node with threshold 1")]
    Alone,
}

/// Defaults where no variable is set.
pub(super) struct Defaults {
    pub(super) nodes: Option<u16>,
    pub(super) threshold: Option<u16>,
    pub(super) port: u16,
}

impl Environment {
    /// Reads the variables of this process.
    pub(super) fn read(defaults: &Defaults) -> Result<Self, EnvironmentError> {
        Self::of(defaults, |name| {
            std::env::var(name).ok().filter(|value| !value.is_empty())
        })
    }

    fn of(
        defaults: &Defaults,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, EnvironmentError> {
        let number = |name, most| match variable(name) {
            None => Ok(None),
            Some(value) => match value.parse() {
                Ok(number) if (1..=most).contains(&number) => Ok(Some(number)),
                _ => Err(EnvironmentError::Number {
                    variable: name,
                    value,
                    most,
                }),
            },
        };
        let port = number("MPC_PORT", u16::MAX - MAX_NODES)?.unwrap_or(defaults.port);
        let peers =
            variable("MPC_PEERS").map(|text| text.split(',').map(peer).collect::<Result<Vec<_>, _>>());
        let peers = peers.transpose()?;
        let named = peers.as_ref().map(|peers| peers.len() as u16 + 1);
        let shares = match defaults.nodes {
            Some(given) => given,
            None => number("MPC_TOTAL_SHARES", MAX_NODES)?.or(named).unwrap_or(5),
        };
        let threshold = match defaults.threshold {
            Some(given) => given,
            None => number("MPC_THRESHOLD", MAX_NODES)?.unwrap_or(shares / 2 + 1),
        };
        if threshold > shares {
            return Err(EnvironmentError::Threshold { threshold, shares });
        }
        if threshold == 1 && shares > 1 {
            return Err(EnvironmentError::Alone);
        }
        let first = variable("MPC_NODE_ID").unwrap_or_else(|| "mpc-node-1".to_owned());
        let mut nodes = vec![(first, port)];
        match peers {
            Some(peers) if peers.len() + 1 == usize::from(shares) => nodes.extend(peers),
            Some(peers) => {
                return Err(EnvironmentError::Peers {
                    peers: peers.len() as u16,
                    shares,
                });
            }
            None => nodes.extend((2..=shares).map(|at| (format!("mpc-node-{at}"), port + at - 1))),
        }
        Ok(Self {
            network: variable("MPC_NETWORK_ID").unwrap_or_else(|| "jeju-localnet".to_owned()),
            threshold,
            nodes,
            verbose: variable("MPC_VERBOSE").is_none_or(|value| value != "false"),
        })
    }
}

fn peer(text: &str) -> Result<(String, u16), EnvironmentError> {
    let wrong = || EnvironmentError::Peer(text.chars().take(100).collect());
    let (name, endpoint) = text.trim().split_once('@').ok_or_else(wrong)?;
    let authority = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let (host, port) = authority
        .trim_end_matches('/')
        .rsplit_once(':')
        .ok_or_else(wrong)?;
    match (host, port.parse()) {
        ("127.0.0.1" | "localhost", Ok(port @ 1..)) if !name.is_empty() => Ok((name.to_owned(), port)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        let defaults = Defaults {
            nodes: None,
            threshold: None,
            port: 4010,
        };
        Environment::of(&defaults, |name| {
            let found = set.iter().find(|(found, _)| *found == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn five_of_which_three_sign() {
        let found = of(&[]).unwrap();
        assert_eq!((found.threshold, found.nodes.len(), found.verbose), (3, 5, true));
        assert_eq!(found.network, "jeju-localnet");
        assert_eq!(found.nodes[4], ("mpc-node-5".to_owned(), 4014));
    }

    #[test]
    fn the_first_ones_variables() {
        let found = of(&[
            ("MPC_NODE_ID", "a"),
            ("MPC_PORT", "5010"),
            ("MPC_NETWORK_ID", "mine"),
            ("MPC_THRESHOLD", "2"),
            ("MPC_TOTAL_SHARES", "3"),
            ("MPC_PEERS", "b@http://127.0.0.1:6010,c@localhost:6011"),
            ("MPC_VERBOSE", "false"),
        ]);
        let nodes = [("a", 5010), ("b", 6010), ("c", 6011)];
        let expected = Environment {
            network: "mine".to_owned(),
            threshold: 2,
            nodes: nodes.map(|(name, port)| (name.to_owned(), port)).into(),
            verbose: false,
        };
        assert_eq!(found, Ok(expected));
        let alone = of(&[("MPC_TOTAL_SHARES", "1")]).unwrap();
        assert_eq!((alone.threshold, alone.nodes.len()), (1, 1));
        assert_eq!(of(&[("MPC_PEERS", "b@127.0.0.1:1")]).unwrap().nodes.len(), 2);
    }

    #[test]
    fn what_makes_no_network_is_refused() {
        for (variable, value) in [
            ("MPC_THRESHOLD", "0"),
            ("MPC_THRESHOLD", "x"),
            ("MPC_TOTAL_SHARES", "33"),
            ("MPC_PORT", "65535"),
        ] {
            assert!(
                matches!(of(&[(variable, value)]), Err(EnvironmentError::Number { .. })),
                "{variable}"
            );
        }
        assert!(matches!(
            of(&[("MPC_THRESHOLD", "6")]),
            Err(EnvironmentError::Threshold { .. })
        ));
        assert_eq!(of(&[("MPC_THRESHOLD", "1")]), Err(EnvironmentError::Alone));
        for peers in [
            "b",
            "b@",
            "@127.0.0.1:1",
            "b@127.0.0.1",
            "b@127.0.0.1:0",
            "b@example.com:1",
            "b@127.0.0.1:1,",
        ] {
            assert!(
                matches!(of(&[("MPC_PEERS", peers)]), Err(EnvironmentError::Peer(_))),
                "{peers}"
            );
        }
        let few = [("MPC_TOTAL_SHARES", "3"), ("MPC_PEERS", "b@127.0.0.1:1")];
        assert!(matches!(
            of(&few),
            Err(EnvironmentError::Peers { peers: 1, shares: 3 })
        ));
    }
}
