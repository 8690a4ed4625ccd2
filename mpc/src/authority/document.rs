//! A user's key as its owners describe it, and what it may sign.
//!
//! Both are EIP-712 structs, so that a wallet shows the owners what they agree to; a key's name is the digest of its document
//! for its network, and a policy's is the hash of its struct.

use jeju_attestation::hash::is_zero;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::{address, hash_struct, keccak, number, text};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::number::Uint256;
use super::request::Domain;
use crate::network::{KeyId, KeyPath, Network, Scheme};
use crate::refusal::Refusal;

/// Most owners of a key, and most signers of a policy.
pub const MAX_ACCOUNTS: usize = 16;
/// Most rules of either kind.
pub const MAX_RULES: usize = 16;
/// Most entries of a list in a rule.
pub const MAX_LIST: usize = 32;
/// Longest name of a type in a rule, in bytes.
pub const MAX_TYPE_NAME: usize = 128;

pub(super) const KEY_TYPE: &str = "Key(address[] owners,address[] contracts,uint32 quorum,Policy policy,bytes32 salt,string scheme,bool dedicated)";
pub(super) const POLICY_TYPE: &str = "Policy(uint32 version,bytes32 previous,address[] signers,address[] contracts,bool raw,bool messages,CallRule[] calls,TypedRule[] typed)";
pub(super) const CALL_RULE_TYPE: &str =
    "CallRule(uint64[] chainIds,address[] wallets,address[] to,uint256 maxValue)";
pub(super) const TYPED_RULE_TYPE: &str =
    "TypedRule(uint64[] chainIds,address[] verifyingContracts,string[] primaryTypes)";

/// A key that a user wants or has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyDocument {
    /// Who may ask for the key, for new shares, and for other policies: 1 to 16 accounts, ascending. They never change.
    pub owners: Vec<Address>,
    /// Those of them that are contracts, ascending: they are asked on the chain (ERC-1271). No other's word is taken from there,
    /// so that whoever lies about the chain gains nothing over the keys of other accounts.
    #[serde(default)]
    pub contracts: Vec<Address>,
    /// How many of them must sign another policy.
    #[serde(default = "one")]
    pub quorum: u32,
    /// The first policy: version 0.
    pub policy: Policy,
    /// Any 32 bytes: the same owners may have many keys.
    pub salt: HexBytes<32>,
    /// How it signs.
    #[serde(with = "scheme_name")]
    pub scheme: Scheme,
    /// Whether it is generated on its own instead of derived from the network's key.
    #[serde(default)]
    pub dedicated: bool,
}

/// What a key may sign, and who may ask. What no part of it allows is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// 0 in the key's document, then one more each time.
    #[serde(default)]
    pub version: u32,
    /// Digest of the version before; zero in version 0.
    #[serde(default = "zero")]
    pub previous: HexBytes<32>,
    /// Who may ask for signatures, ascending; empty: the owners.
    #[serde(default)]
    pub signers: Vec<Address>,
    /// Those of the signers that are contracts, ascending; empty where the owners sign, whose own list counts.
    #[serde(default)]
    pub contracts: Vec<Address>,
    /// Whether it signs 32 bytes of which nobody knows what they mean.
    #[serde(default)]
    pub raw: bool,
    /// Whether it signs texts (EIP-191).
    #[serde(default)]
    pub messages: bool,
    /// Calls that its wallets may make: one of these must allow it.
    #[serde(default)]
    pub calls: Vec<CallRule>,
    /// Typed data that it signs: one of these must allow it.
    #[serde(default)]
    pub typed: Vec<TypedRule>,
}

/// Calls by a `FrostWallet`. An empty list allows any, but a call of the wallet itself, which can give it away, needs to be in
/// `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallRule {
    /// On these chains.
    #[serde(default)]
    pub chain_ids: Vec<u64>,
    /// By these wallets. A key's first policy can't know them, since their addresses follow from the key.
    #[serde(default)]
    pub wallets: Vec<Address>,
    /// Of these accounts.
    #[serde(default)]
    pub to: Vec<Address>,
    /// With at most so many wei in all, those of a batch added up.
    pub max_value: Uint256,
}

/// Typed data for others than a `FrostWallet`. An empty list allows any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TypedRule {
    /// Of a domain on these chains.
    #[serde(default)]
    pub chain_ids: Vec<u64>,
    /// For these contracts.
    #[serde(default)]
    pub verifying_contracts: Vec<Address>,
    /// Of these types. `PackedUserOperation` (ERC-4337), by which a wallet does anything, must be listed.
    #[serde(default)]
    pub primary_types: Vec<String>,
}

impl KeyDocument {
    /// The key's name on a network: the EIP-712 digest of the document.
    pub fn id(&self, network: &Network) -> KeyId {
        KeyId(Domain::of(network).digest(&self.hash()))
    }

    /// Where the key comes from.
    pub fn path(&self, network: &Network) -> KeyPath {
        KeyPath {
            key: self.id(network),
            scheme: self.scheme,
            dedicated: self.dedicated,
        }
    }

    /// Whether the document means anything.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn check(&self) -> Result<(), Refusal> {
        let malformed = |why| Err(Refusal::Malformed(why));
        if self.owners.is_empty() || !are_accounts(&self.owners) {
            return malformed("owners are 1 to 16 accounts, ascending");
        }
        if !are_among(&self.contracts, &self.owners) {
            return malformed("contracts are some of the owners, ascending");
        }
        if self.quorum == 0 || self.quorum as usize > self.owners.len() {
            return malformed("quorum is from 1 to the number of owners");
        }
        if self.policy.version != 0 || !is_zero(&self.policy.previous.0) {
            return malformed("a key's first policy has version 0 and nothing before it");
        }
        self.policy.check()
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        let encoded = [KEY_TYPE, CALL_RULE_TYPE, POLICY_TYPE, TYPED_RULE_TYPE].concat();
        hash_struct(
            &encoded,
            &[
                addresses(&self.owners),
                addresses(&self.contracts),
                number(u64::from(self.quorum)),
                self.policy.digest(),
                self.salt.0,
                text(self.scheme.name()),
                boolean(self.dedicated),
            ],
        )
    }
}

impl Policy {
    /// `hashStruct` of the policy: what the next version names as `previous`.
    pub fn digest(&self) -> [u8; 32] {
        let encoded = [POLICY_TYPE, CALL_RULE_TYPE, TYPED_RULE_TYPE].concat();
        hash_struct(
            &encoded,
            &[
                number(u64::from(self.version)),
                self.previous.0,
                addresses(&self.signers),
                addresses(&self.contracts),
                boolean(self.raw),
                boolean(self.messages),
                list(self.calls.iter().map(CallRule::hash)),
                list(self.typed.iter().map(TypedRule::hash)),
            ],
        )
    }

    /// Whether it means anything.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn check(&self) -> Result<(), Refusal> {
        let long = |length: usize| length > MAX_LIST;
        if !are_among(&self.contracts, &self.signers) {
            return Err(Refusal::Malformed("contracts are some of the signers, ascending"));
        }
        let fits = are_accounts(&self.signers)
            && self.calls.len() <= MAX_RULES
            && self.typed.len() <= MAX_RULES
            && !self
                .calls
                .iter()
                .any(|rule| long(rule.chain_ids.len()) || long(rule.wallets.len()) || long(rule.to.len()))
            && !self.typed.iter().any(|rule| {
                long(rule.chain_ids.len())
                    || long(rule.verifying_contracts.len())
                    || long(rule.primary_types.len())
                    || rule.primary_types.iter().any(|name| name.len() > MAX_TYPE_NAME)
            });
        match fits {
            true => Ok(()),
            false => Err(Refusal::Malformed(
                "a policy has 16 signers, ascending, and 16 rules of each kind at most",
            )),
        }
    }

    /// Who may ask for signatures, and which of them are contracts.
    pub(super) fn signers<'a>(&'a self, key: &'a KeyDocument) -> (&'a [Address], &'a [Address]) {
        match self.signers.is_empty() {
            true => (&key.owners, &key.contracts),
            false => (&self.signers, &self.contracts),
        }
    }
}

impl Default for Policy {
    /// The first, which allows nothing.
    fn default() -> Self {
        Self {
            version: 0,
            previous: zero(),
            signers: Vec::new(),
            contracts: Vec::new(),
            raw: false,
            messages: false,
            calls: Vec::new(),
            typed: Vec::new(),
        }
    }
}

impl CallRule {
    fn hash(&self) -> [u8; 32] {
        let members = [
            numbers(&self.chain_ids),
            addresses(&self.wallets),
            addresses(&self.to),
            self.max_value.0,
        ];
        hash_struct(CALL_RULE_TYPE, &members)
    }
}

impl TypedRule {
    fn hash(&self) -> [u8; 32] {
        let members = [
            numbers(&self.chain_ids),
            addresses(&self.verifying_contracts),
            list(self.primary_types.iter().map(text)),
        ];
        hash_struct(TYPED_RULE_TYPE, &members)
    }
}

/// An account in a document: read in lower case or in the mixed case of EIP-55, written in the latter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub Account);

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

/// `scheme` as the API names it.
mod scheme_name {
    use super::*;

    pub fn serialize<S: Serializer>(scheme: &Scheme, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(scheme.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scheme, D::Error> {
        let name = String::deserialize(deserializer)?;
        Scheme::from_name(&name).ok_or_else(|| de::Error::custom(UNKNOWN_SCHEME))
    }
}

/// Tells an unknown scheme from what is malformed otherwise.
pub(super) const UNKNOWN_SCHEME: &str = "no such scheme";

fn one() -> u32 {
    1
}

fn zero() -> HexBytes<32> {
    HexBytes([0; 32])
}

/// One order, none twice: a set has one spelling.
fn are_accounts(accounts: &[Address]) -> bool {
    accounts.len() <= MAX_ACCOUNTS && accounts.is_sorted_by(|a, b| a < b)
}

fn are_among(some: &[Address], all: &[Address]) -> bool {
    are_accounts(some) && some.iter().all(|account| all.contains(account))
}

fn addresses(accounts: &[Address]) -> [u8; 32] {
    list(accounts.iter().map(|account| address(&account.0)))
}

fn numbers(values: &[u64]) -> [u8; 32] {
    list(values.iter().map(|value| number(*value)))
}

fn list(words: impl Iterator<Item = [u8; 32]>) -> [u8; 32] {
    keccak(&[words.collect::<Vec<_>>().as_flattened()])
}

fn boolean(value: bool) -> [u8; 32] {
    number(u64::from(value))
}
