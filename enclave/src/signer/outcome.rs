//! What the signer says of itself and of requests, in the JSON that it hands to the front.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::configuration::{Approved, Chain, Place, Proposal};
use jeju_mpc::member::{KeyInfo, Response};
use jeju_mpc::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// The answer to a client's request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// The key exists on all members.
    Key {
        /// The key.
        key: Key,
    },
    /// A signature that was verified under the key.
    Signature {
        /// The key.
        key: Key,
        /// Lower-case hex digits.
        signature: String,
        /// Who signed.
        signers: Vec<u16>,
        /// Who was left out after breaking the protocol.
        culprits: Vec<u16>,
    },
    /// All shares of the key's root have new values.
    Refreshed {
        /// The key.
        key: Key,
    },
    /// The policy is in force.
    PolicySet {
        /// Which key.
        key_id: HexBytes<32>,
        /// Its new version.
        version: u32,
    },
    /// The configuration is in force.
    Configured {
        /// Its number.
        number: u32,
        /// Its digest.
        digest: HexBytes<32>,
    },
    /// The request gets nothing.
    Refused {
        /// Stable code.
        code: String,
        /// For people.
        message: String,
        /// Members that broke the protocol, where that is why.
        culprits: Vec<u16>,
    },
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The user's name for it.
    pub key_id: HexBytes<32>,
    /// The generated key behind it.
    pub root: HexBytes<32>,
    /// How it signs.
    pub scheme: String,
    /// Compressed point.
    pub public_key: HexBytes<33>,
    /// How often its shares got new values.
    pub generation: u32,
}

/// How the signer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The network's name for ever.
    pub genesis: HexBytes<32>,
    /// This member's index.
    pub member: u16,
    /// How many members must sign.
    pub threshold: u16,
    /// How many members there are.
    pub members: u16,
    /// Members that are admitted now, this one not included.
    pub admitted: Vec<u16>,
    /// Requests that wait for their answer.
    pub active_sessions: u64,
    /// Generated keys that this member has a share of.
    pub stored_keys: u64,
    /// Whether shares outlive this boot.
    pub storage: Storage,
    /// Whether an old state, brought back by the host, would be noticed.
    pub rollback: Rollback,
    /// Lower end of the present, in seconds since 1970.
    pub time_lower: u64,
    /// Upper end of it.
    pub time_upper: u64,
    /// Entries of the audit log.
    pub audit_count: u64,
    /// Digest over all of them.
    pub audit_head: HexBytes<32>,
    /// Key generations, signatures and the like since the signer started.
    pub counters: Counters,
}

/// Most configurations in one answer: of those with the most places so many fit into
/// [`crate::ipc::signer::MAX_DOCUMENT`].
const PAGE: usize = 8;

/// What a member knows of its network's configurations.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// All of them.
    pub chain: &'a Chain,
    /// The root key, where it has a share of it.
    pub root_key: Option<[u8; 33]>,
    /// Digest of the next one that it approves, where it approved one.
    pub approves: Option<[u8; 32]>,
}

/// The network's configurations, as this member knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configurations {
    /// Number of the one in force.
    pub number: u32,
    /// Its digest.
    pub digest: HexBytes<32>,
    /// The root key that approves the next one, where this member has a share of it.
    pub root_key: Option<HexBytes<33>>,
    /// Digest of the next one that this member approves, where it approved one.
    pub approves: Option<HexBytes<32>>,
    /// Who has the places.
    pub places: Vec<Place>,
    /// Some of those after the first and what stands behind each, the lowest number first.
    pub later: Vec<Proof>,
}

/// A configuration and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// As governance signed it.
    pub proposal: Proposal,
    /// By the network's root key.
    pub approval: HexBytes<65>,
}

impl Configurations {
    /// From this number on, as many as fit; `None` stands for the one in force.
    pub fn of(known: Known<'_>, from: Option<u32>) -> Configurations {
        let chain = known.chain;
        let first = from.unwrap_or(chain.number()).max(1) as usize;
        let later = chain.all_later().get(first - 1..).unwrap_or_default();
        Configurations {
            number: chain.number(),
            digest: HexBytes(chain.digest()),
            root_key: known.root_key.map(HexBytes),
            approves: known.approves.map(HexBytes),
            places: chain.places().to_vec(),
            later: later.iter().take(PAGE).map(Proof::of).collect(),
        }
    }
}

impl Proof {
    fn of(approved: &Approved) -> Proof {
        Proof {
            proposal: approved.proposal.clone(),
            approval: HexBytes(approved.approval),
        }
    }
}

/// Where shares are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// Sealed, at the host.
    Sealed,
    /// In memory only: a restarted node gets its shares back from its peers.
    Volatile,
}

/// Whether the host can bring back an old state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rollback {
    /// Too few others remember the newest state.
    Unprotected,
    /// So many remember it that it can't be brought back unnoticed.
    Protected,
    /// The host brought back an old state: nothing is signed until what is newer is taken over from the peers.
    Detected,
    /// There is no state that outlives the boot.
    Stateless,
}

/// What happened since the signer started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Keys that became active, refreshed ones included.
    pub keys_active: u64,
    /// Shares given.
    pub shares_given: u64,
    /// Requests that got no share.
    pub refused: u64,
    /// Members blamed.
    pub blamed: u64,
    /// Shares repaired.
    pub repaired: u64,
    /// Times that the state at the start was found to be an old one.
    pub rolled_back: u64,
    /// Peers admitted.
    pub peers_admitted: u64,
    /// Peers refused.
    pub peers_refused: u64,
}

impl Outcome {
    /// Of what the member said.
    pub fn new(outcome: &Result<Response, Refusal>) -> Outcome {
        match outcome {
            Ok(Response::Key(key)) => Outcome::Key { key: key.into() },
            Ok(Response::Signature {
                key,
                signature,
                signers,
                culprits,
            }) => Outcome::Signature {
                key: key.into(),
                signature: hex::encode(signature),
                signers: signers.iter().map(|member| member.0).collect(),
                culprits: culprits.iter().map(|member| member.0).collect(),
            },
            Ok(Response::Refreshed(key)) => Outcome::Refreshed { key: key.into() },
            Ok(Response::PolicySet { key, version }) => Outcome::PolicySet {
                key_id: HexBytes(key.0),
                version: *version,
            },
            Ok(Response::Configured { number, digest }) => Outcome::Configured {
                number: *number,
                digest: HexBytes(*digest),
            },
            Err(refusal) => Outcome::refused(refusal),
        }
    }

    /// A refusal.
    pub fn refused(refusal: &Refusal) -> Outcome {
        let culprits = match refusal {
            Refusal::Misbehaved(members) => members.iter().map(|member| member.0).collect(),
            _ => Vec::new(),
        };
        Outcome::Refused {
            code: refusal.code().to_owned(),
            message: refusal.to_string(),
            culprits,
        }
    }
}

impl From<&KeyInfo> for Key {
    fn from(key: &KeyInfo) -> Key {
        Key {
            key_id: HexBytes(key.key.0),
            root: HexBytes(key.root.0),
            scheme: key.scheme.name().to_owned(),
            public_key: HexBytes(key.public_key),
            generation: key.generation,
        }
    }
}

#[cfg(test)]
mod tests {
    use jeju_mpc::authority::payload::HexData;
    use jeju_mpc::configuration::Configuration;
    use jeju_mpc::network::MAX_MEMBERS;

    use super::*;
    use crate::ipc::signer::MAX_DOCUMENT;

    #[test]
    fn the_longest_page_fits_into_a_document() {
        let place = Place {
            agent: HexBytes([0xaa; 32]),
            platform: HexBytes([0xaa; 32]),
        };
        let places = vec![place; usize::from(MAX_MEMBERS)];
        let proof = Proof {
            proposal: Proposal {
                configuration: Configuration {
                    network: HexBytes([0xaa; 32]),
                    chain_id: u64::MAX,
                    number: u32::MAX,
                    previous: HexBytes([0xaa; 32]),
                    threshold: u16::MAX,
                    root_key: HexBytes([0xaa; 33]),
                    places: places.clone(),
                },
                signature: HexData(vec![0xaa; 65]),
            },
            approval: HexBytes([0xaa; 65]),
        };
        let longest = Configurations {
            number: u32::MAX,
            digest: HexBytes([0xaa; 32]),
            root_key: Some(HexBytes([0xaa; 33])),
            approves: Some(HexBytes([0xaa; 32])),
            places,
            later: vec![proof; PAGE],
        };
        let document = serde_json::to_vec(&longest).unwrap();
        assert!(document.len() <= MAX_DOCUMENT, "{} bytes", document.len());
    }
}
