//! What is kept of a worker: a short record that is always in memory, and long ones that are read when they are needed.

use jeju_attestation::response::WorkerVersion;
use jeju_store::{Change, MAX_VALUE, RecordName};
use jeju_worker_protocol::api::{DIRECT, Deployment, Listed, Status, hex};
use jeju_worker_protocol::{Bundle, Form, Limits};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};
use zeroize::Zeroizing;

use super::super::storage::{self, StorageError};

/// Versions that are kept of a worker, the one that answers among them.
pub(super) const MAX_VERSIONS: usize = 10;
/// First byte of every record: its format.
const FORMAT: u8 = 1;

/// The short record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Worker {
    /// Names its records: random.
    pub(super) key: u64,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) owner: [u8; 20],
    /// When it was first deployed, in milliseconds since 1970.
    pub(super) created: u64,
    pub(super) paused: bool,
    pub(super) routes: Vec<String>,
    pub(super) cron: Option<String>,
    /// Since when the schedule holds: what was due before doesn't run.
    pub(super) cron_since: u64,
    /// Number of the version that answers.
    pub(super) active: u32,
    /// Highest number that a version had.
    pub(super) last: u32,
    /// Another number for everything that is loaded anew: versions, rollbacks, secrets.
    pub(super) revision: u32,
    /// In the order of their numbers.
    pub(super) versions: Vec<Version>,
    /// Names of the secrets, in their order, and when each came.
    pub(super) secrets: Vec<(String, u64)>,
}

/// A version.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) number: u32,
    pub(super) code_hash: [u8; 32],
    pub(super) deployed_at: u64,
    /// Records that hold its [`Content`].
    pub(super) pieces: u8,
    pub(super) timeout_ms: u32,
    pub(super) cpu_ms: u32,
    pub(super) memory_mb: u32,
    pub(super) max_concurrent: u16,
    pub(super) form: Form,
}

/// The long record of a version.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) bundle: Bundle,
    pub(super) env: Vec<(String, String)>,
    pub(super) code_url: Option<String>,
    pub(super) registry_id: Option<[u8; 32]>,
}

/// The values of a worker's secrets.
pub(super) type SecretValues = Vec<(String, Zeroizing<String>)>;

impl Version {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            wall_ms: self.timeout_ms,
            cpu_ms: self.cpu_ms,
            memory: u64::from(self.memory_mb) << 20,
            ..Limits::default()
        }
    }
}

impl Worker {
    /// The id that the first clients know; with `again` another one, which depends on the owner, where somebody else has it.
    pub(super) fn id_of(name: &str, code_hash: &[u8; 32], owner: &[u8; 20], again: bool) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        let slug: String = name.chars().map(plain).collect();
        let digest: [u8; 32] = match again {
            false => *code_hash,
            true => {
                let hash = Keccak256::new().chain_update(owner).chain_update(code_hash);
                hash.chain_update(name).finalize().into()
            }
        };
        format!("worker-{slug}-{}", &hex(&digest)[2..10])
    }

    /// The version that answers.
    pub(super) fn version(&self) -> Option<&Version> {
        self.find(self.active)
    }

    pub(super) fn find(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// Path of the node that leads to it.
    pub(super) fn endpoint(&self) -> String {
        format!("{DIRECT}/{}", self.id)
    }

    pub(super) fn status(&self) -> Status {
        if self.paused {
            Status::Paused
        } else {
            Status::Active
        }
    }

    pub(super) fn listed(&self) -> Listed {
        Listed {
            worker_id: self.id.clone(),
            name: self.name.clone(),
            status: self.status(),
            endpoint: self.endpoint(),
            version: self.active,
            code_hash: self
                .version()
                .map(|version| hex(&version.code_hash))
                .unwrap_or_default(),
        }
    }

    pub(super) fn deployment(&self) -> Deployment {
        let version = self.version();
        Deployment {
            worker_id: self.id.clone(),
            deployment_id: format!("{}-{}", self.id, self.active),
            version: self.active,
            code_hash: version.map(|version| hex(&version.code_hash)).unwrap_or_default(),
            deployed_at: version.map_or(0, |version| version.deployed_at),
            deployed_by: jeju_wallet_auth::account::Account(self.owner).to_string(),
            status: self.status(),
            endpoint: self.endpoint(),
        }
    }

    /// What its answers are signed with.
    pub(super) fn signed(&self) -> Option<WorkerVersion> {
        Some(WorkerVersion {
            id: self.id.clone(),
            version: self.active,
            code_hash: self.version()?.code_hash,
        })
    }

    pub(super) fn record(&self) -> RecordName {
        name(format!("w-{:016x}", self.key))
    }

    pub(super) fn secrets_record(&self) -> RecordName {
        name(format!("s-{:016x}", self.key))
    }

    pub(super) fn version_records(&self, version: &Version) -> Vec<RecordName> {
        let pieces = 0..version.pieces;
        pieces
            .map(|piece| name(format!("v-{:016x}-{}-{piece}", self.key, version.number)))
            .collect()
    }

    /// The change that keeps the short record.
    pub(super) fn put(&self) -> Result<Change, StorageError> {
        Ok(Change::Put {
            name: self.record(),
            value: encode(self)?,
        })
    }

    /// The changes that forget it.
    pub(super) fn erase(&self) -> Vec<Change> {
        let versions = self
            .versions
            .iter()
            .flat_map(|version| self.version_records(version));
        versions
            .chain([self.record(), self.secrets_record()])
            .map(|name| Change::Erase { name })
            .collect()
    }
}

/// A record's content, cut to what one record may hold.
pub(super) fn pieces(content: &Content) -> Result<Vec<Zeroizing<Vec<u8>>>, StorageError> {
    let bytes = encode(content)?;
    Ok(bytes
        .chunks(MAX_VALUE)
        .map(|piece| Zeroizing::new(piece.to_vec()))
        .collect())
}

pub(super) fn encode(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    storage::encode(FORMAT, value)
}

/// The inverse of [`encode`].
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    storage::decode(FORMAT, bytes)
}

fn name(text: String) -> RecordName {
    RecordName::new(&text).expect("letters, digits and -")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn worker(key: u64, owner: u8, name: &str, routes: &[&str]) -> Worker {
        let owner = [owner; 20];
        Worker {
            key,
            id: Worker::id_of(name, &[7; 32], &owner, false),
            name: name.to_owned(),
            owner,
            created: key,
            paused: false,
            routes: routes.iter().map(|route| (*route).to_owned()).collect(),
            cron: None,
            cron_since: 0,
            active: 1,
            last: 1,
            revision: 1,
            versions: vec![Version {
                number: 1,
                code_hash: [7; 32],
                deployed_at: 1000,
                pieces: 1,
                timeout_ms: 30_000,
                cpu_ms: 10_000,
                memory_mb: 128,
                max_concurrent: 10,
                form: Form::Detect,
            }],
            secrets: vec![],
        }
    }

    #[test]
    fn ids_are_those_of_the_first_nodes() {
        let hash = {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&[0x8f, 0x0d, 0x81, 0x8f]);
            hash
        };
        let id = |name: &str, owner, again| Worker::id_of(name, &hash, &[owner; 20], again);
        assert_eq!(id("Hello World", 1, false), "worker-hello-world-8f0d818f");
        assert_eq!(id("é/_", 1, false), "worker-----8f0d818f");
        assert_ne!(id("a", 1, true), id("a", 1, false));
        assert_ne!(id("a", 1, true), id("a", 2, true));
        let long = id(&"é".repeat(64), 1, false);
        assert!(jeju_attestation::response::is_worker_id(&long), "{long}");
    }

    #[test]
    fn records_come_back_and_nothing_else_does() {
        let worker = worker(5, 1, "a", &["/a"]);
        let bytes = encode(&worker).unwrap();
        assert!(decode::<Worker>(&bytes).unwrap() == worker);
        for len in 0..bytes.len() {
            assert!(decode::<Worker>(&bytes[..len]).is_none(), "{len}");
        }
        assert!(decode::<Worker>(&[&bytes[..], &[0]].concat()).is_none());
        assert!(decode::<Worker>(&[&[FORMAT + 1], &bytes[1..]].concat()).is_none());
        assert_eq!(worker.record().as_str(), "w-0000000000000005");
        assert_eq!(
            worker.version_records(&worker.versions[0])[0].as_str(),
            "v-0000000000000005-1-0"
        );
    }

    #[test]
    fn long_code_lies_in_several_records() {
        let bundle = Bundle::single(jeju_worker_protocol::Language::JavaScript, "x".repeat(3 << 20)).unwrap();
        let content = Content {
            bundle,
            env: vec![],
            code_url: None,
            registry_id: None,
        };
        let pieces = pieces(&content).unwrap();
        assert_eq!(pieces.len(), 4);
        let whole = pieces
            .iter()
            .flat_map(|piece| piece.iter().copied())
            .collect::<Vec<_>>();
        assert!(decode::<Content>(&whole).unwrap().bundle == content.bundle);
    }
}
