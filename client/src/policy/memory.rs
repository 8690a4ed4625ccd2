//! What was seen of a registry before, on this machine: neither block nor policy epoch goes back, whoever shows them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::Block;
use serde::{Deserialize, Serialize};

use super::SnapshotError;

/// Longest file, in bytes.
const MAX_LEN: u64 = 4096;

/// The newest that was seen of one registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seen {
    /// The highest policy epoch, by whichever way.
    pub policy_epoch: u64,
    /// Block of the newest snapshot.
    pub snapshot: Option<SeenBlock>,
    /// The highest finalised block that endpoints showed.
    pub head: Option<SeenBlock>,
}

/// A block that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeenBlock {
    number: u64,
    hash: HexBytes<32>,
    timestamp: u64,
}

impl From<&Block> for SeenBlock {
    fn from(block: &Block) -> Self {
        Self {
            number: block.number,
            hash: HexBytes(block.hash),
            timestamp: block.timestamp,
        }
    }
}

impl From<&SeenBlock> for Block {
    fn from(block: &SeenBlock) -> Self {
        Self {
            number: block.number,
            hash: block.hash.0,
            timestamp: block.timestamp,
        }
    }
}

/// A file that keeps it, for one registry of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    path: PathBuf,
}

impl Memory {
    /// In a folder, which needn't be there yet.
    pub fn new(folder: &Path, chain_id: u64, registry: &[u8; 20]) -> Self {
        let name = format!("{chain_id}-0x{}.json", hex::encode(registry));
        Self {
            path: folder.join(name),
        }
    }

    /// What was seen so far.
    ///
    /// # Errors
    /// [`SnapshotError::Memory`]: a file that isn't one of these is no empty one.
    pub fn seen(&self) -> Result<Seen, SnapshotError> {
        self.read().map_err(|source| self.unusable(source))
    }

    /// Remembers a snapshot's block and policy epoch.
    ///
    /// # Errors
    /// Where something newer was seen, or the file can't be kept.
    pub fn snapshot(&self, block: &Block, policy_epoch: u64) -> Result<(), SnapshotError> {
        self.change(policy_epoch, |seen| {
            if let Some(before) = &seen.snapshot {
                check_block(before, block)?;
            }
            seen.snapshot = Some(block.into());
            Ok(())
        })
    }

    /// Remembers a finalised block and the policy epoch at it. Endpoints finalise at different times, so how far a block may
    /// lie behind the highest one is for [`jeju_chain::HeadGuard`] to judge; the epoch never goes back.
    ///
    /// # Errors
    /// As [`Memory::snapshot`].
    pub fn head(&self, block: &Block, policy_epoch: u64) -> Result<(), SnapshotError> {
        self.change(policy_epoch, |seen| {
            match &seen.head {
                Some(before) if before.number > block.number => {}
                Some(before) => {
                    check_block(before, block)?;
                    seen.head = Some(block.into());
                }
                None => seen.head = Some(block.into()),
            }
            Ok(())
        })
    }

    /// Reads, changes and writes, while no other process does.
    fn change(
        &self,
        policy_epoch: u64,
        change: impl FnOnce(&mut Seen) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let _lock = self.lock().map_err(|source| self.unusable(source))?;
        let before = self.seen()?;
        if policy_epoch < before.policy_epoch {
            return Err(SnapshotError::RolledBack {
                what: "policy epoch",
                seen: before.policy_epoch,
                found: policy_epoch,
            });
        }
        let mut seen = Seen {
            policy_epoch,
            ..before
        };
        change(&mut seen)?;
        if seen != before {
            self.write(&seen).map_err(|source| self.unusable(source))?;
        }
        Ok(())
    }

    fn read(&self) -> io::Result<Seen> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Seen::default()),
            file => file?,
        };
        let mut text = String::new();
        file.take(MAX_LEN).read_to_string(&mut text)?;
        serde_json::from_str(&text)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not what was seen of a registry"))
    }

    /// A file of its own, since the other one is replaced.
    fn lock(&self) -> io::Result<File> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.path.with_extension("lock"))?;
        file.lock()?;
        Ok(file)
    }

    /// Whole, or not at all.
    fn write(&self, seen: &Seen) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)?;
        serde_json::to_writer(&mut file, seen)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)
    }

    fn unusable(&self, source: io::Error) -> SnapshotError {
        SnapshotError::Memory {
            path: self.path.clone(),
            source,
        }
    }
}

fn check_block(before: &SeenBlock, block: &Block) -> Result<(), SnapshotError> {
    if block.number < before.number {
        return Err(SnapshotError::RolledBack {
            what: "block",
            seen: before.number,
            found: block.number,
        });
    }
    if block.number == before.number && block.hash != before.hash.0 {
        return Err(SnapshotError::OtherBlock(block.number));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64, hash: u8) -> Block {
        Block {
            number,
            hash: [hash; 32],
            timestamp: number * 12,
        }
    }

    fn code(outcome: Result<(), SnapshotError>) -> &'static str {
        outcome.unwrap_err().code()
    }

    #[test]
    fn neither_block_nor_epoch_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let memory = Memory::new(&folder, 1, &[9; 20]);
        assert_eq!(memory.seen().unwrap(), Seen::default());
        memory.snapshot(&block(90, 1), 5).unwrap();
        memory.snapshot(&block(90, 1), 5).unwrap();
        assert_eq!(code(memory.snapshot(&block(89, 1), 5)), "policy_rolled_back");
        assert_eq!(code(memory.snapshot(&block(90, 2), 5)), "policy_rolled_back");
        assert_eq!(code(memory.snapshot(&block(91, 1), 4)), "policy_rolled_back");
        memory.snapshot(&block(91, 1), 6).unwrap();
        // Another process, later.
        let again = Memory::new(&folder, 1, &[9; 20]);
        assert_eq!(again.seen().unwrap().policy_epoch, 6);
        assert_eq!(code(again.snapshot(&block(90, 1), 6)), "policy_rolled_back");
        // Another registry, another chain.
        Memory::new(&folder, 1, &[8; 20])
            .snapshot(&block(1, 1), 0)
            .unwrap();
        Memory::new(&folder, 2, &[9; 20])
            .snapshot(&block(1, 1), 0)
            .unwrap();
    }

    #[test]
    fn endpoints_and_snapshots_share_the_epoch_but_not_the_block() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::new(dir.path(), 1, &[9; 20]);
        memory.head(&block(1000, 1), 5).unwrap();
        memory.snapshot(&block(90, 1), 5).unwrap();
        memory.head(&block(990, 1), 5).unwrap();
        assert_eq!(memory.seen().unwrap().head, Some((&block(1000, 1)).into()));
        assert_eq!(code(memory.head(&block(1000, 2), 5)), "policy_rolled_back");
        memory.head(&block(1001, 1), 6).unwrap();
        // Something was revoked since this snapshot.
        assert_eq!(code(memory.snapshot(&block(95, 1), 5)), "policy_rolled_back");
        assert_eq!(code(memory.head(&block(1001, 1), 5)), "policy_rolled_back");
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::new(dir.path(), 1, &[9; 20]);
        for text in ["", "{", "{}", "[]", r#"{"policyEpoch":1,"more":2}"#] {
            fs::write(&memory.path, text).unwrap();
            assert_eq!(
                code(memory.snapshot(&block(1, 1), 9)),
                "policy_state_unusable",
                "{text}"
            );
        }
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let below = Memory::new(&file, 1, &[9; 20]);
        assert_eq!(code(below.head(&block(1, 1), 9)), "policy_state_unusable");
    }
}
