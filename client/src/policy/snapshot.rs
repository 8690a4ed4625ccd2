//! The file: what the registry accepted at one block, as JSON, and what is signed of it.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::platform;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::{Domain, hash_struct, keccak, number};
use jeju_wallet_auth::signature::Signature;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::SnapshotError;

/// Longest file, in bytes.
pub const MAX_LEN: usize = 2 << 20;
/// Most measurements of a snapshot.
pub const MAX_ENTRIES: usize = 4096;
/// Longest life, in seconds from the time of its block.
pub const MAX_LIFE: u64 = 7 * 24 * 60 * 60;

/// Version of the format.
const VERSION: u32 = 1;
/// Name of the signing domain; its contract is the registry.
const DOMAIN_NAME: &str = "Jeju Policy Snapshot";
const DOMAIN_VERSION: &str = "1";
const ENTRY_TYPE: &str = "Entry(bytes32 id,uint8 platform,uint32 version,uint64 validFrom,uint64 validUntil,bytes32 releaseDigest)";
const SNAPSHOT_TYPE: &str = "PolicySnapshot(uint64 block,bytes32 blockHash,uint64 timestamp,uint64 policyEpoch,uint32 versionFloor,uint64 notAfter,Entry[] entries)";

/// What a registry accepted at one block. May be anybody's word: see [`super::SignedSnapshot`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// Version of the format, 1.
    pub version: u32,
    /// Chain id.
    pub chain_id: u64,
    /// Address of the registry.
    pub registry: HexBytes<20>,
    /// Number of the block.
    pub block: u64,
    /// Its hash.
    pub block_hash: HexBytes<32>,
    /// Its time, in seconds since 1970.
    pub timestamp: u64,
    /// The registry's count of changes to what may be accepted.
    pub policy_epoch: u64,
    /// Measurements of a lower version are refused.
    pub version_floor: u32,
    /// Seconds since 1970 after which it means nothing, at most [`MAX_LIFE`] after `timestamp`.
    pub not_after: u64,
    /// The measurements that may be accepted, by id. What isn't here is refused.
    pub entries: Vec<Entry>,
    /// Governance's, over [`Snapshot::digest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<HexBytes<65>>,
}

/// A measurement that may be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Its id.
    pub id: HexBytes<32>,
    /// Name of its platform.
    pub platform: String,
    /// Release number.
    pub version: u32,
    /// Seconds since 1970 from which it may be accepted.
    pub valid_from: u64,
    /// Seconds since 1970 from which it may not; zero: open.
    pub valid_until: u64,
    /// SHA-256 of the release's manifest.
    pub release_digest: HexBytes<32>,
}

impl Snapshot {
    /// A snapshot of these values, nobody's yet.
    pub fn new(chain_id: u64, registry: [u8; 20], block: &jeju_chain::Block, not_after: u64) -> Self {
        Self {
            version: VERSION,
            chain_id,
            registry: HexBytes(registry),
            block: block.number,
            block_hash: HexBytes(block.hash),
            timestamp: block.timestamp,
            policy_epoch: 0,
            version_floor: 0,
            not_after,
            entries: Vec::new(),
            signature: None,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`SnapshotError::Form`].
    pub fn parse(text: &str) -> Result<Self, SnapshotError> {
        let form = |reason: String| SnapshotError::Form(reason);
        if text.len() > MAX_LEN {
            return Err(form(format!("longer than {MAX_LEN} bytes")));
        }
        let snapshot: Self = serde_json::from_str(text).map_err(|error| form(error.to_string()))?;
        if snapshot.version != VERSION {
            return Err(form(format!("version {} is not known", snapshot.version)));
        }
        if snapshot.entries.len() > MAX_ENTRIES {
            return Err(form(format!("more than {MAX_ENTRIES} measurements")));
        }
        // One list has one digest.
        if !snapshot.entries.is_sorted_by(|one, next| one.id < next.id) {
            return Err(form("measurements are not in the order of their ids".to_owned()));
        }
        if let Some(entry) = snapshot
            .entries
            .iter()
            .find(|entry| platform::from_name(&entry.platform).is_none())
        {
            return Err(form(format!("platform of measurement {} is not known", entry.id)));
        }
        Ok(snapshot)
    }

    /// What governance signs (EIP-712).
    pub fn digest(&self) -> [u8; 32] {
        let entries: Vec<[u8; 32]> = self.entries.iter().map(Entry::hash).collect();
        let message = hash_struct(
            &format!("{SNAPSHOT_TYPE}{ENTRY_TYPE}"),
            &[
                number(self.block),
                self.block_hash.0,
                number(self.timestamp),
                number(self.policy_epoch),
                number(self.version_floor.into()),
                number(self.not_after),
                keccak(&[entries.as_flattened()]),
            ],
        );
        let domain = Domain {
            name: DOMAIN_NAME,
            version: DOMAIN_VERSION,
            chain_id: self.chain_id,
            contract: Account(self.registry.0),
        };
        domain.digest(&message)
    }

    /// Who signed it; `None`: nobody did, or not these bytes.
    pub fn signer(&self) -> Option<Account> {
        Signature(self.signature?.0).recover(&self.digest()).ok()
    }

    /// The same message for a wallet that signs `eth_signTypedData_v4`.
    pub fn typed_data(&self) -> Value {
        json!({
            "types": {
                "EIP712Domain": members("(string name,string version,uint256 chainId,address verifyingContract)"),
                "PolicySnapshot": members(SNAPSHOT_TYPE),
                "Entry": members(ENTRY_TYPE),
            },
            "primaryType": "PolicySnapshot",
            "domain": {
                "name": DOMAIN_NAME,
                "version": DOMAIN_VERSION,
                "chainId": self.chain_id,
                "verifyingContract": self.registry,
            },
            "message": {
                "block": self.block.to_string(),
                "blockHash": self.block_hash,
                "timestamp": self.timestamp.to_string(),
                "policyEpoch": self.policy_epoch.to_string(),
                "versionFloor": self.version_floor,
                "notAfter": self.not_after.to_string(),
                "entries": self.entries.iter().map(Entry::message).collect::<Vec<_>>(),
            },
        })
    }
}

impl Entry {
    /// The number of its platform, which [`Snapshot::parse`] found to be known.
    fn platform_number(&self) -> u8 {
        platform::from_name(&self.platform).unwrap_or(0)
    }

    fn hash(&self) -> [u8; 32] {
        hash_struct(
            ENTRY_TYPE,
            &[
                self.id.0,
                number(self.platform_number().into()),
                number(self.version.into()),
                number(self.valid_from),
                number(self.valid_until),
                self.release_digest.0,
            ],
        )
    }

    fn message(&self) -> Value {
        json!({
            "id": self.id,
            "platform": self.platform_number(),
            "version": self.version,
            "validFrom": self.valid_from.to_string(),
            "validUntil": self.valid_until.to_string(),
            "releaseDigest": self.release_digest,
        })
    }
}

/// The members of a type as wallets want them.
fn members(encoded_type: &str) -> Value {
    let (_, members) = encoded_type.split_once('(').unwrap_or_default();
    members
        .trim_end_matches(')')
        .split(',')
        .filter_map(|member| member.split_once(' '))
        .map(|(kind, name)| json!({ "name": name, "type": kind }))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Taken at block 90, of time 1,000,000, with two measurements.
    pub(crate) fn snapshot() -> Snapshot {
        let block = jeju_chain::Block {
            number: 90,
            hash: [0x5a; 32],
            timestamp: 1_000_000,
        };
        let entry = |id: u8, platform: &str| Entry {
            id: HexBytes([id; 32]),
            platform: platform.to_owned(),
            version: 3,
            valid_from: 900_000,
            valid_until: 0,
            release_digest: HexBytes([7; 32]),
        };
        Snapshot {
            policy_epoch: 5,
            version_floor: 2,
            entries: vec![entry(1, "tdx"), entry(2, "sev-snp")],
            ..Snapshot::new(1, [9; 20], &block, 1_000_000 + MAX_LIFE)
        }
    }

    #[test]
    fn a_file_is_read_back() {
        let snapshot = snapshot();
        let text = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(Snapshot::parse(&text).unwrap(), snapshot);
        assert!(!text.contains("signature"));
        let signed = Snapshot {
            signature: Some(HexBytes([1; 65])),
            ..snapshot
        };
        assert_eq!(Snapshot::parse(&json!(signed).to_string()).unwrap(), signed);
    }

    #[test]
    fn other_files_are_refused() {
        let changed = |change: fn(&mut Value)| {
            let mut value = json!(snapshot());
            change(&mut value);
            Snapshot::parse(&value.to_string()).unwrap_err().code()
        };
        let changes: [fn(&mut Value); 8] = [
            |value| value["version"] = 2.into(),
            |value| value["more"] = 1.into(),
            |value| value["entries"][0]["more"] = 1.into(),
            |value| value["entries"].as_array_mut().unwrap().swap(0, 1),
            |value| value["entries"][1] = value["entries"][0].clone(),
            |value| value["entries"][0]["platform"] = "sgx".into(),
            |value| value["block"] = (-1).into(),
            |value| drop(value.as_object_mut().unwrap().remove("notAfter")),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            assert_eq!(changed(change), "snapshot_invalid", "{index}");
        }
        assert!(Snapshot::parse("").is_err());
        assert!(Snapshot::parse(&"[".repeat(200_000)).is_err());
        assert!(Snapshot::parse(&" ".repeat(MAX_LEN + 1)).is_err());
    }

    #[test]
    fn every_field_is_signed() {
        let digest = snapshot().digest();
        let changes: [fn(&mut Snapshot); 13] = [
            |snapshot| snapshot.chain_id = 2,
            |snapshot| snapshot.registry = HexBytes([8; 20]),
            |snapshot| snapshot.block += 1,
            |snapshot| snapshot.block_hash = HexBytes([1; 32]),
            |snapshot| snapshot.timestamp += 1,
            |snapshot| snapshot.policy_epoch += 1,
            |snapshot| snapshot.version_floor += 1,
            |snapshot| snapshot.not_after += 1,
            |snapshot| drop(snapshot.entries.pop()),
            |snapshot| snapshot.entries[0].id = HexBytes([3; 32]),
            |snapshot| snapshot.entries[0].platform = "nitro".to_owned(),
            |snapshot| snapshot.entries[0].valid_until = 1,
            |snapshot| snapshot.entries[1].release_digest = HexBytes([8; 32]),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = snapshot();
            change(&mut changed);
            assert_ne!(changed.digest(), digest, "{index}");
        }
    }
}
