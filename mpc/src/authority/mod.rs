//! Whether a request may use a key. Every member asks this for itself, whoever passed the request on.
//!
//! | module | what it does |
//! |---|---|
//! | [`wallet`] | decides, for users that are Ethereum accounts |
//! | [`request`] | what travels, and what its signer signs |
//! | [`document`] | a key as its owners describe it, and its policy |
//! | [`payload`] | what a key is asked to sign |
//! | [`build`] | requests, for clients |
//! | [`frost_wallet`] | a key's wallet contract |
//! | [`typed_data`] | EIP-712 in JSON |

pub mod build;
pub mod document;
pub mod frost_wallet;
pub mod json;
pub mod number;
pub mod payload;
pub mod request;
mod rules;
pub mod typed_data;
pub mod wallet;

pub use frost_wallet::wallet_address;
pub use wallet::WalletAuthority;

use crate::network::{KeyId, KeyPath};
use crate::refusal::Refusal;
use crate::time::Interval;

/// Decides requests. The bytes are the whole signed request, exactly as the client sent it.
pub trait Authority {
    /// Decides. `contract` is the answer to [`Decision::AskContract`], when it was asked.
    fn decide(&self, request: &[u8], now: Interval, contract: Option<bool>) -> Decision;

    /// Judges a policy that another member says is in force. Neither the clock nor what this member knows of the versions
    /// before matters: a member that lost its state must not fall back to a policy that the owners have replaced.
    fn shown(&self, document: &[u8], contract: Option<bool>) -> Decision;

    /// Takes over a policy that [`Action::SetPolicy`] allowed, or that a record of this member holds. Lower versions than the
    /// one in force are ignored.
    fn adopt(&mut self, policy: &PolicyUpdate);
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may be done.
    Allowed(Grant),
    /// The account is a contract: ask it (ERC-1271), then decide again.
    AskContract(ContractQuery),
    /// It may not.
    Refused(Refusal),
}

/// A request that may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The request's EIP-712 digest: the same for every spelling of one request, whatever its signature.
    pub digest: [u8; 32],
    /// The request's own nonce together with its key: a second request may not have the same.
    pub nonce: [u8; 32],
    /// Who asks.
    pub account: [u8; 20],
    /// Seconds since 1970, as the request says.
    pub issued: u64,
    /// Seconds since 1970; until then the request is remembered.
    pub expires: u64,
    /// What to do.
    pub action: Action,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Find or make the key.
    Keygen(KeyPath),
    /// Sign.
    Sign {
        /// With this key.
        path: KeyPath,
        /// The exact bytes that FROST signs: the 32-byte digest that this member computed from the payload itself.
        message: [u8; 32],
    },
    /// Give the shares of the key's root new values.
    Refresh(KeyPath),
    /// A new policy.
    SetPolicy(PolicyUpdate),
}

impl Action {
    /// The key that it is about; `None` for a policy, which uses none.
    pub fn path(&self) -> Option<&KeyPath> {
        match self {
            Action::Keygen(path) | Action::Refresh(path) | Action::Sign { path, .. } => Some(path),
            Action::SetPolicy(_) => None,
        }
    }
}

/// A policy in force from now on, signed by the owners of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyUpdate {
    /// Which key.
    pub key: KeyId,
    /// Counts from 0, the first policy.
    pub version: u32,
    /// The signed update, to be checked again by whoever reads it.
    pub document: Vec<u8>,
}

/// A question to a contract: `isValidSignature(bytes32,bytes)` of ERC-1271.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractQuery {
    /// The contract.
    pub account: [u8; 20],
    /// What was signed.
    pub digest: [u8; 32],
    /// The signature, which only the contract can judge.
    pub signature: Vec<u8>,
}

#[cfg(test)]
mod tests;
