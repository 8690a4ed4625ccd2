//! Which configurations follow on one another.

use frost_core::VerifyingKey;
use frost_secp256k1::Secp256K1Sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::mpc::{Member, Mpc};
use jeju_wallet_auth::account::Account;

use super::{Configuration, ConfigurationError, Place, Proposal};
use crate::key::verify;
use crate::message::Point;
use crate::network::Network;

/// Most configurations after the first.
pub const MAX_CONFIGURATIONS: usize = 1024;

/// The first configuration, of the launch document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founding {
    /// Who signs later ones. Without, there are none.
    pub governance: Option<Account>,
    /// All places, in the order of their indices.
    pub places: Vec<Place>,
}

impl Founding {
    /// Of the launch document. A governance of zeros is none.
    pub fn of(mpc: &Mpc) -> Self {
        let governance = Account(mpc.governance.0);
        let place = |member: &Member| Place {
            agent: member.agent,
            platform: member.platform.unwrap_or(HexBytes([0; 32])),
        };
        Self {
            governance: (governance.0 != [0; 20]).then_some(governance),
            places: mpc.members.iter().map(place).collect(),
        }
    }
}

/// A configuration that is in force, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// With governance's signature.
    pub proposal: Proposal,
    /// By the network's root key.
    pub approval: [u8; 65],
}

/// The first configuration and all that follow on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    network: Network,
    founding: Founding,
    later: Vec<Approved>,
}

impl Chain {
    /// With nothing but the first configuration.
    pub fn new(network: Network, founding: Founding) -> Self {
        Self {
            network,
            founding,
            later: Vec::new(),
        }
    }

    /// Whether there can be later ones.
    pub fn is_open(&self) -> bool {
        self.founding.governance.is_some()
    }

    /// Number of the configuration in force.
    pub fn number(&self) -> u32 {
        self.later.len() as u32
    }

    /// Its digest.
    pub fn digest(&self) -> [u8; 32] {
        let newest = self.later.last();
        newest.map_or(self.network.genesis, |newest| {
            newest.proposal.configuration.digest()
        })
    }

    /// Who has the places now.
    pub fn places(&self) -> &[Place] {
        match self.later.last() {
            Some(newest) => &newest.proposal.configuration.places,
            None => &self.founding.places,
        }
    }

    /// The root key that the later configurations name.
    pub fn root_key(&self) -> Option<Point> {
        self.later
            .last()
            .map(|newest| newest.proposal.configuration.root_key.0)
    }

    /// A configuration after the first.
    pub fn later(&self, number: u32) -> Option<&Approved> {
        self.later.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// Digest of a configuration that is in force, or was.
    pub fn digest_of(&self, number: u32) -> Option<[u8; 32]> {
        match number {
            0 => Some(self.network.genesis),
            number => self
                .later(number)
                .map(|later| later.proposal.configuration.digest()),
        }
    }

    /// All of them.
    pub fn all_later(&self) -> &[Approved] {
        &self.later
    }

    /// What governance is to sign so that these have the places next.
    pub fn draft(&self, root_key: Point, places: Vec<Place>) -> Configuration {
        Configuration {
            network: HexBytes(self.network.genesis),
            chain_id: self.network.chain_id,
            number: self.number() + 1,
            previous: HexBytes(self.digest()),
            threshold: self.network.threshold,
            root_key: HexBytes(root_key),
            places,
        }
    }

    /// Judges whether a proposal may be the next configuration. `root_key` is the network's, where it is known.
    ///
    /// # Errors
    /// See [`ConfigurationError`].
    pub fn judge(&self, proposal: &Proposal, root_key: Option<Point>) -> Result<(), ConfigurationError> {
        let next = &proposal.configuration;
        let governance = self.founding.governance.ok_or(ConfigurationError::Closed)?;
        if next.number != self.number() + 1 || self.later.len() >= MAX_CONFIGURATIONS {
            return Err(ConfigurationError::Number);
        }
        let here = (self.network.genesis, self.network.chain_id);
        if next.previous.0 != self.digest() || (next.network.0, next.chain_id) != here {
            return Err(ConfigurationError::Previous);
        }
        if next.threshold != self.network.threshold || next.places.len() != usize::from(self.network.members)
        {
            return Err(ConfigurationError::Shape);
        }
        self.judge_places(&next.places)?;
        let known = [self.root_key(), root_key];
        if known.iter().flatten().any(|known| *known != next.root_key.0) {
            return Err(ConfigurationError::RootKey);
        }
        match proposal.is_signed_by(governance) {
            true => Ok(()),
            false => Err(ConfigurationError::Governance),
        }
    }

    fn judge_places(&self, next: &[Place]) -> Result<(), ConfigurationError> {
        for (at, (place, now)) in next.iter().zip(self.places()).enumerate() {
            let others = &next[..at];
            let machine = place.machine();
            // Where the first configuration names machines, so do all others.
            if place.agent.0 == [0; 32]
                || machine.is_some() != now.machine().is_some()
                || others.iter().any(|other| other.agent == place.agent)
                || (machine.is_some() && others.iter().any(|other| other.machine() == machine))
            {
                return Err(ConfigurationError::Place);
            }
        }
        let spare = usize::from(self.network.members - self.network.threshold);
        let changed = next.iter().zip(self.places()).filter(|(new, old)| new != old);
        match changed.count() {
            changed if (1..=spare).contains(&changed) => Ok(()),
            _ => Err(ConfigurationError::Changes),
        }
    }

    /// Takes the next configuration, if it is one. `root_key` is the network's, where it is known: who has no share of it
    /// takes governance's word for it until it has one.
    ///
    /// # Errors
    /// See [`ConfigurationError`].
    pub fn adopt(&mut self, next: Approved, root_key: Option<Point>) -> Result<(), ConfigurationError> {
        self.judge(&next.proposal, root_key)?;
        let configuration = &next.proposal.configuration;
        let key = VerifyingKey::<Secp256K1Sha256>::deserialize(&configuration.root_key.0)
            .map_err(|_| ConfigurationError::RootKey)?;
        if !verify(&key, &configuration.approved_message(), &next.approval) {
            return Err(ConfigurationError::Approval);
        }
        self.later.push(next);
        Ok(())
    }
}
