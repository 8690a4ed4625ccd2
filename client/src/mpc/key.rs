//! A key as its user keeps it: what was asked for, and what the network made of it. No secret is in it.

use std::path::Path;

use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::authority::document::{Address, KeyDocument, Policy};
use jeju_mpc::network::Network;
use serde::{Deserialize, Serialize};

use super::error::MpcError;
use super::members::NetworkFacts;
use super::signature::GroupKey;
use crate::files;

/// Longest file that is read, in bytes.
const MAX_LEN: usize = 256 * 1024;

/// A key of a network. Whoever changes a field gets a file that [`Key::read`] refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Key {
    /// Format of the file: 1.
    pub version: u32,
    /// The network's name for ever.
    pub network: HexBytes<32>,
    /// Chain that requests are bound to.
    pub chain_id: u64,
    /// What the owners asked for.
    pub key: KeyDocument,
    /// Later policies, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    /// The key's name, which follows from network, chain and document.
    pub key_id: HexBytes<32>,
    /// SEC1 compressed, as enough members named it.
    pub public_key: HexBytes<33>,
    /// Where its `FrostWallet` is, where the network names a factory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet_address: Option<Address>,
}

impl Key {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`MpcError::File`], [`MpcError::KeyFile`].
    pub fn read(path: &Path) -> Result<Self, MpcError> {
        let invalid = |what: String| MpcError::KeyFile {
            path: path.display().to_string(),
            what,
        };
        let text = files::text(path, MAX_LEN)?;
        let key: Self = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        key.check().map_err(invalid)?;
        Ok(key)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// [`MpcError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), MpcError> {
        let failed = |source| MpcError::Write {
            path: path.display().to_string(),
            source,
        };
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        let new = path.with_extension("new");
        std::fs::write(&new, text + "\n").map_err(failed)?;
        std::fs::rename(&new, path).map_err(failed)
    }

    /// The policy that the file's holder knows to be in force.
    pub fn policy(&self) -> &Policy {
        self.policies.last().unwrap_or(&self.key.policy)
    }

    /// The public key as a point.
    ///
    /// # Errors
    /// [`MpcError::Signature`] if it is none.
    pub fn group_key(&self) -> Result<GroupKey, MpcError> {
        Ok(GroupKey::parse(&self.public_key.0)?)
    }

    /// Whether it is a key of this network.
    pub(super) fn is_of(&self, network: &NetworkFacts) -> bool {
        self.network.0 == network.genesis && self.chain_id == network.chain_id
    }

    fn check(&self) -> Result<(), String> {
        if self.version != 1 {
            return Err(format!(
                "version {} is not known, this software reads version 1",
                self.version
            ));
        }
        self.key.check().map_err(|refusal| refusal.to_string())?;
        // Threshold and size have no part in a key's name.
        let network = Network {
            genesis: self.network.0,
            chain_id: self.chain_id,
            threshold: 1,
            members: 1,
        };
        if self.key.id(&network).0 != self.key_id.0 {
            return Err("keyId is not that of this document on this network".to_owned());
        }
        let mut before = &self.key.policy;
        for policy in &self.policies {
            policy.check().map_err(|refusal| refusal.to_string())?;
            if policy.version != before.version + 1 || policy.previous.0 != before.digest() {
                return Err(format!(
                    "policy {} doesn't follow on {}",
                    policy.version, before.version
                ));
            }
            before = policy;
        }
        GroupKey::parse(&self.public_key.0).map_err(|error| error.to_string())?;
        Ok(())
    }
}
