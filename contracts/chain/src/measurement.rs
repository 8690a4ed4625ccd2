//! What `MeasurementRegistry` says about a measurement id, decoded from its storage words.

use crate::reader::Head;

/// Selector of `lookup(bytes32)`, which returns three of the four storage words that [`MeasurementReading`] is made of; the
/// end of validity lies in the fourth.
pub const LOOKUP_SELECTOR: [u8; 4] = [0xf3, 0x9e, 0xc1, 0xf7];

/// Platform numbers of the registry, with the names that evidence and policies use.
pub mod platform {
    /// Intel TDX.
    pub const TDX: u8 = 1;
    /// AMD SEV-SNP.
    pub const SEV_SNP: u8 = 2;
    /// AWS Nitro Enclaves.
    pub const NITRO: u8 = 3;
    /// Simulated silicon; the contract refuses it on every chain but a local one.
    pub const SIMULATED: u8 = 255;

    const NAMES: [(u8, &str); 4] = [
        (TDX, "tdx"),
        (SEV_SNP, "sev-snp"),
        (NITRO, "nitro"),
        (SIMULATED, "simulated"),
    ];

    /// The name of a platform number.
    pub fn name(platform: u8) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(number, _)| *number == platform)
            .map(|(_, name)| *name)
    }

    /// The number of a platform name.
    pub fn from_name(name: &str) -> Option<u8> {
        NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(number, _)| *number)
    }
}

/// The registry's answer about one measurement id, at one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasurementReading {
    /// The block that the answer holds for.
    pub head: Head,
    /// The record, if the id was ever proposed.
    pub record: Option<MeasurementRecord>,
    /// The registry's policy at that block.
    pub policy: Policy,
}

impl MeasurementReading {
    /// Whether verifiers may accept the measurement, as `isActive` of the contract decides it at the block of the reading.
    /// Anything but [`Status::Active`] is a refusal.
    pub fn status(&self) -> Status {
        self.status_at(self.head.block.timestamp)
    }

    /// The same for a caller who knows that it is later (Unix seconds): finalised blocks lag, and a validity may have
    /// ended since. Time before the block's counts as the block's.
    pub fn status_at(&self, now: u64) -> Status {
        let now = now.max(self.head.block.timestamp);
        let Some(record) = &self.record else {
            return Status::Unknown;
        };
        match record.stage {
            Stage::Proposed => Status::Pending,
            Stage::Revoked => Status::Revoked {
                at: record.revoked_at,
            },
            // What anybody's call of `expire` will write down.
            Stage::Active if record.is_over_at(now) => Status::Revoked {
                at: record.valid_until,
            },
            Stage::Active if record.version < self.policy.version_floor => Status::BelowFloor,
            Stage::Active => Status::Active,
        }
    }
}

/// What a verifier makes of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Never proposed.
    Unknown,
    /// Proposed; the timelock runs, or governance hasn't activated it yet.
    Pending,
    /// May be accepted.
    Active,
    /// Revoked for good, or past the end of its validity.
    Revoked {
        /// Unix seconds.
        at: u64,
    },
    /// Active once, but of a release older than the version floor.
    BelowFloor,
}

impl Status {
    /// A stable name for output and errors.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Unknown => "unknown",
            Status::Pending => "pending",
            Status::Active => "active",
            Status::Revoked { .. } => "revoked",
            Status::BelowFloor => "below-floor",
        }
    }
}

/// A record of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeasurementRecord {
    /// Unix seconds. While proposed: the earliest time of activation; then: the time of activation.
    pub valid_from: u64,
    /// Unix seconds, zero while not revoked.
    pub revoked_at: u64,
    /// Unix seconds at which it ends by itself; zero for never.
    pub valid_until: u64,
    /// Release number.
    pub version: u32,
    /// Independent rebuilds that confirmed the measurement.
    pub rebuild_count: u16,
    /// Platform number, see [`platform`].
    pub platform: u8,
    /// Class of key material that the network may entrust to the image; zero for none.
    pub custody: u8,
    /// Properties of the image.
    pub flags: u16,
    /// How far governance has taken it.
    pub stage: Stage,
    /// SHA-256 of the release manifest.
    pub release_digest: [u8; 32],
}

/// The stages that a known measurement goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Waits for its timelock or for activation.
    Proposed,
    /// Activated, and not revoked.
    Active,
    /// Ended, from either of the others.
    Revoked,
}

/// Storage words that no registry of ours can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The stage has no meaning.
    #[error("record has unknown stage {0}")]
    Stage(u8),
    /// Bits above the last field are set.
    #[error("unused bits of the record are set")]
    UnusedBits,
    /// Fields contradict each other.
    #[error("fields of the record contradict each other")]
    Inconsistent,
}

impl MeasurementRecord {
    /// Decodes the record's three storage words (big-endian, as RPC and proofs carry them); `None` if the id is unknown.
    /// Of the third, `term`, only the end of validity counts here.
    pub fn from_words(
        packed: &[u8; 32],
        release_digest: &[u8; 32],
        term: &[u8; 32],
    ) -> Result<Option<Self>, RecordError> {
        // The layout counts from the lowest bit, so from the end of the word: see the contract's comment.
        if packed[..5] != [0; 5] {
            return Err(RecordError::UnusedBits);
        }
        let stage = match packed[5] {
            0 if [packed, release_digest, term] == [&[0; 32]; 3] => return Ok(None),
            1 => Stage::Proposed,
            2 => Stage::Active,
            3 => Stage::Revoked,
            0 => return Err(RecordError::Inconsistent),
            other => return Err(RecordError::Stage(other)),
        };
        let record = Self {
            valid_from: u64::from_be_bytes(bytes(packed, 24)),
            revoked_at: u64::from_be_bytes(bytes(packed, 16)),
            valid_until: u64::from_be_bytes(bytes(term, 24)),
            version: u32::from_be_bytes(bytes(packed, 12)),
            rebuild_count: u16::from_be_bytes(bytes(packed, 10)),
            platform: packed[9],
            custody: packed[8],
            flags: u16::from_be_bytes(bytes(packed, 6)),
            stage,
            release_digest: *release_digest,
        };
        let revoked = record.revoked_at != 0;
        if revoked != (stage == Stage::Revoked) || (revoked && record.revoked_at < record.valid_from) {
            return Err(RecordError::Inconsistent);
        }
        Ok(Some(record))
    }

    /// Whether the measurement was active at `time` (Unix seconds), as far as the block of the reading tells. The version
    /// floor has no history and is left out: [`MeasurementReading::status`] judges the present.
    pub fn is_active_at(&self, time: u64) -> bool {
        self.stage != Stage::Proposed
            && self.valid_from <= time
            && (self.revoked_at == 0 || time < self.revoked_at)
            && !self.is_over_at(time)
    }

    fn is_over_at(&self, time: u64) -> bool {
        self.valid_until != 0 && time >= self.valid_until
    }
}

/// What holds for all measurements of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Counts the changes to what verifiers may accept.
    pub epoch: u64,
    /// Measurements of a lower version are refused.
    pub version_floor: u32,
    /// The account that may revoke.
    pub revoker: [u8; 20],
}

impl Policy {
    /// Decodes the policy's storage word.
    pub fn from_word(word: &[u8; 32]) -> Self {
        Self {
            epoch: u64::from_be_bytes(bytes(word, 24)),
            version_floor: u32::from_be_bytes(bytes(word, 20)),
            revoker: bytes(word, 0),
        }
    }
}

/// `N` bytes of a word; `at` is a constant of the layout, and `at + N` at most 32.
fn bytes<const N: usize>(word: &[u8; 32], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&word[at..at + N]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::{Block, Finality};

    const RELEASE: [u8; 32] = [7; 32];

    /// The word that `test_storageLayout` of the contract's tests reads from storage.
    fn proposed() -> [u8; 32] {
        let mut word = [0; 32];
        word[5] = 1;
        word[6..8].copy_from_slice(&[0x33, 0x44]);
        word[8] = 0x22;
        word[9] = 2;
        word[12..16].copy_from_slice(&[1, 2, 3, 4]);
        word[24..].copy_from_slice(&1_800_172_800u64.to_be_bytes());
        word
    }

    /// A third word: this end of validity, serial number 7, one rebuilder.
    fn term(valid_until: u64) -> [u8; 32] {
        let mut word = [0; 32];
        word[19] = 1;
        word[23] = 7;
        word[24..].copy_from_slice(&valid_until.to_be_bytes());
        word
    }

    fn reading(packed: &[u8; 32], version_floor: u32) -> MeasurementReading {
        let block = Block {
            number: 1,
            hash: [1; 32],
            timestamp: 1,
        };
        MeasurementReading {
            head: Head {
                block,
                finality: Finality::Finalized,
            },
            record: MeasurementRecord::from_words(packed, &RELEASE, &term(0)).unwrap(),
            policy: Policy {
                epoch: 1,
                version_floor,
                revoker: [0; 20],
            },
        }
    }

    #[test]
    fn decodes_every_field() {
        let record = MeasurementRecord::from_words(&proposed(), &RELEASE, &term(1_900_000_000))
            .unwrap()
            .unwrap();
        let expected = MeasurementRecord {
            valid_from: 1_800_172_800,
            revoked_at: 0,
            valid_until: 1_900_000_000,
            version: 0x0102_0304,
            rebuild_count: 0,
            platform: platform::SEV_SNP,
            custody: 0x22,
            flags: 0x3344,
            stage: Stage::Proposed,
            release_digest: RELEASE,
        };
        assert_eq!(record, expected);
        assert_eq!(
            MeasurementRecord::from_words(&[0; 32], &[0; 32], &[0; 32]),
            Ok(None)
        );
        let mut word = [0; 32];
        word[31] = 9;
        word[23] = 5;
        word[19] = 0xaa;
        let policy = Policy::from_word(&word);
        assert_eq!(
            (policy.epoch, policy.version_floor, policy.revoker[19]),
            (9, 5, 0xaa)
        );
    }

    #[test]
    fn refuses_words_that_no_registry_holds() {
        let mut unused = proposed();
        unused[0] = 1;
        assert_eq!(
            MeasurementRecord::from_words(&unused, &RELEASE, &[0; 32]),
            Err(RecordError::UnusedBits)
        );
        let mut stage = proposed();
        stage[5] = 4;
        assert_eq!(
            MeasurementRecord::from_words(&stage, &RELEASE, &[0; 32]),
            Err(RecordError::Stage(4))
        );
        stage[5] = 0;
        assert_eq!(
            MeasurementRecord::from_words(&stage, &RELEASE, &[0; 32]),
            Err(RecordError::Inconsistent)
        );
        stage[5] = 3;
        assert_eq!(
            MeasurementRecord::from_words(&stage, &RELEASE, &[0; 32]),
            Err(RecordError::Inconsistent)
        );
        assert_eq!(
            MeasurementRecord::from_words(&[0; 32], &RELEASE, &[0; 32]),
            Err(RecordError::Inconsistent)
        );
        assert_eq!(
            MeasurementRecord::from_words(&[0; 32], &[0; 32], &term(0)),
            Err(RecordError::Inconsistent)
        );
        let mut active_and_revoked = proposed();
        active_and_revoked[5] = 2;
        active_and_revoked[23] = 1;
        let refused = MeasurementRecord::from_words(&active_and_revoked, &RELEASE, &[0; 32]);
        assert_eq!(refused, Err(RecordError::Inconsistent));
    }

    #[test]
    fn status_follows_stage_and_floor() {
        let mut word = proposed();
        assert_eq!(reading(&word, 0).status(), Status::Pending);
        assert!(!reading(&word, 0).record.unwrap().is_active_at(u64::MAX));
        word[5] = 2;
        assert_eq!(reading(&word, 0x0102_0304).status(), Status::Active);
        assert_eq!(reading(&word, 0x0102_0305).status(), Status::BelowFloor);
        let active = reading(&word, 0).record.unwrap();
        assert!(!active.is_active_at(1_800_172_799) && active.is_active_at(1_800_172_800));
        word[5] = 3;
        word[16..24].copy_from_slice(&1_800_172_900u64.to_be_bytes());
        assert_eq!(reading(&word, 0).status(), Status::Revoked { at: 1_800_172_900 });
        let revoked = reading(&word, 0).record.unwrap();
        assert!(revoked.is_active_at(1_800_172_899) && !revoked.is_active_at(1_800_172_900));
        word[5] = 2;
        word[16..24].fill(0);
        let mut ends = reading(&word, 0);
        ends.record = MeasurementRecord::from_words(&word, &RELEASE, &term(1_800_172_900)).unwrap();
        ends.head.block.timestamp = 1_800_172_899;
        assert_eq!(
            (ends.status(), ends.status_at(0)),
            (Status::Active, Status::Active)
        );
        let over = Status::Revoked { at: 1_800_172_900 };
        assert_eq!(ends.status_at(1_800_172_900), over);
        ends.head.block.timestamp = 1_800_172_900;
        assert_eq!((ends.status(), ends.status_at(0)), (over, over));
        let record = ends.record.unwrap();
        assert!(record.is_active_at(1_800_172_899) && !record.is_active_at(1_800_172_900));
        let unknown = MeasurementReading {
            record: None,
            ..reading(&word, 0)
        };
        assert_eq!(unknown.status(), Status::Unknown);
    }
}
