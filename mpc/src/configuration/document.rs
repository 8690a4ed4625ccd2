//! A configuration as governance signs it: typed data (EIP-712) in the domain of the network's requests.

use jeju_attestation::hash::tagged_sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::{hash_struct, keccak, number};
use jeju_wallet_auth::signature::Signature;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::authority::payload::HexData;
use crate::authority::request::{self, Domain};
use crate::refusal::Refusal;

/// Longest proposal, in bytes: 32 places, and room.
pub const MAX_PROPOSAL: usize = 12 * 1024;

const CONFIGURATION_TYPE: &str =
    "NetworkConfiguration(uint32 number,bytes32 previous,uint16 threshold,bytes rootKey,Place[] places)";
const PLACE_TYPE: &str = "Place(bytes32 agent,bytes32 platform)";

/// Who has a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Agent id on chain.
    pub agent: HexBytes<32>,
    /// The one machine that may have it, as its evidence names it; zeros stand for any, on development chains alone.
    pub platform: HexBytes<32>,
}

impl Place {
    /// The machine, where one is named.
    pub fn machine(&self) -> Option<[u8; 32]> {
        (self.platform.0 != [0; 32]).then_some(self.platform.0)
    }
}

/// A configuration after the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// Genesis digest of the network.
    pub network: HexBytes<32>,
    /// Its chain.
    pub chain_id: u64,
    /// One more than that of the configuration before; the first one has 0.
    pub number: u32,
    /// Digest of the one before; the genesis digest for number 1.
    pub previous: HexBytes<32>,
    /// How many members must sign.
    pub threshold: u16,
    /// The network's root key of the scheme `frost-secp256k1-sha256`, as a compressed point: it approves.
    pub root_key: HexBytes<33>,
    /// All places, in the order of their indices.
    pub places: Vec<Place>,
}

impl Configuration {
    /// Its name, and what governance signs.
    pub fn digest(&self) -> [u8; 32] {
        let places: Vec<[u8; 32]> = self
            .places
            .iter()
            .map(|place| hash_struct(PLACE_TYPE, &[place.agent.0, place.platform.0]))
            .collect();
        let members = [
            number(u64::from(self.number)),
            self.previous.0,
            number(u64::from(self.threshold)),
            keccak(&[&self.root_key.0]),
            keccak(&[places.as_flattened()]),
        ];
        let domain = Domain {
            genesis: self.network.0,
            chain_id: self.chain_id,
        };
        domain.digest(&hash_struct(&[CONFIGURATION_TYPE, PLACE_TYPE].concat(), &members))
    }

    /// What the members sign with the root key. That key signs nothing else that is 32 bytes long: users' keys are
    /// derived from it, or are others.
    pub fn approved_message(&self) -> [u8; 32] {
        tagged_sha256("jeju-mpc-configuration-v1", &[&self.network.0, &self.digest()])
    }

    /// The configuration whose typed data this is, to the last field.
    pub fn of_typed_data(value: &Value) -> Option<Self> {
        let Typed { domain, message } = Typed::deserialize(value).ok()?;
        let configuration = Self {
            network: domain.salt,
            chain_id: domain.chain_id,
            number: message.number,
            previous: message.previous,
            threshold: message.threshold,
            root_key: message.root_key,
            places: message.places,
        };
        (configuration.typed_data() == *value).then_some(configuration)
    }

    /// The parameter of `eth_signTypedData_v4` whose digest is [`Configuration::digest`].
    pub fn typed_data(&self) -> Value {
        let message = json!({
            "number": self.number,
            "previous": self.previous,
            "threshold": self.threshold,
            "rootKey": self.root_key,
            "places": self.places,
        });
        let domain = (self.chain_id, &self.network);
        request::typed_data(domain, CONFIGURATION_TYPE, &[PLACE_TYPE], message)
    }
}

/// What typed data says, apart from its types.
#[derive(Deserialize)]
struct Typed {
    domain: TypedDomain,
    message: TypedMessage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypedDomain {
    chain_id: u64,
    salt: HexBytes<32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypedMessage {
    number: u32,
    previous: HexBytes<32>,
    threshold: u16,
    root_key: HexBytes<33>,
    places: Vec<Place>,
}

/// A configuration that governance signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// What is to be in force.
    pub configuration: Configuration,
    /// 65 bytes, by the governance account's key.
    pub signature: HexData,
}

impl Proposal {
    /// Reads a proposal. Unknown, missing and double fields are refused.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_PROPOSAL {
            return Err(Refusal::Malformed("longer than any configuration"));
        }
        serde_json::from_slice(bytes).map_err(|_| Refusal::Malformed("not a configuration and its signature"))
    }

    /// The body to send.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a proposal has string keys only")
    }

    /// Whether this account signed: one with a key, since a contract's word would be the chain's.
    pub fn is_signed_by(&self, account: Account) -> bool {
        let Ok(signature) = self.signature.0.as_slice().try_into() else {
            return false;
        };
        Signature(signature).recover(&self.configuration.digest()) == Ok(account)
    }
}
