//! An open store, and its commits.

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::blob::{BlobOp, BlobReply, RecordName};
use crate::key::{Keys, STORE_ID_LEN};
use crate::manifest::{self, Entries, Entry, sha256};
use crate::mark::{Freshness, Mark, State};
use crate::opening::{OpenError, read_record};
use crate::seal::{Header, Kind, MAX_VALUE, seal};

/// Whether a store outlives the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Its key comes back at the next boot of the same image on the same machine.
    Sealed,
    /// Its key dies with the process.
    Volatile,
}

impl Persistence {
    /// As status shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Volatile => "volatile",
        }
    }
}

/// A change of one record.
pub enum Change {
    /// Keep it, in the place of an older one of the same name.
    Put {
        /// Which.
        name: RecordName,
        /// At most [`MAX_VALUE`] bytes.
        value: Zeroizing<Vec<u8>>,
    },
    /// Forget it. The host may keep its sealed bytes.
    Erase {
        /// Which; it needn't be there.
        name: RecordName,
    },
}

/// An open store. It holds the names and digests of records, not their contents.
pub struct Store {
    space: String,
    keys: Keys,
    persistence: Persistence,
    store: [u8; STORE_ID_LEN],
    counter: u64,
    entries: Entries,
    pending: bool,
}

/// A commit in the making. Do [`Commit::ops`] in order, each once the one before is answered with
/// [`BlobReply::Done`], then [`Store::confirm`].
///
/// After a failure the same operations may be done again, from any place before it. A commit that can't be brought to
/// its end leaves the store of no more use: nobody knows which state the host has, and opening it again tells.
#[must_use = "nothing is kept before the operations are done"]
pub struct Commit {
    counter: u64,
    entries: Entries,
    ops: Vec<BlobOp>,
    durable: usize,
}

impl Commit {
    /// What to ask of the host, in this order.
    pub fn ops(&self) -> &[BlobOp] {
        &self.ops
    }

    /// How many operations make it durable. Those behind only tidy up, and may fail: what they leave is deleted when
    /// the store is next opened.
    pub fn durable_after(&self) -> usize {
        self.durable
    }
}

impl Store {
    pub(crate) fn opened(
        space: String,
        keys: Keys,
        persistence: Persistence,
        store: [u8; STORE_ID_LEN],
        counter: u64,
        entries: Entries,
    ) -> Self {
        Self {
            space,
            keys,
            persistence,
            store,
            counter,
            entries,
            pending: false,
        }
    }

    /// Whether the records outlive the boot.
    pub fn persistence(&self) -> Persistence {
        self.persistence
    }

    /// The state after the last confirmed commit.
    pub fn mark(&self) -> Mark {
        let root = manifest::root(&self.store, self.counter, &self.entries);
        Mark::new(self.keys.marks(), self.store, self.counter, root)
    }

    /// Compares this state with what peers remember of it. Marks that no store of this space and key made are nothing
    /// that anyone remembers.
    pub fn judge(&self, remembered: &[Mark]) -> Freshness {
        self.state().judge(remembered)
    }

    /// The state as it is now, to be compared later, when the store has gone on.
    pub fn state(&self) -> State {
        State {
            mark: self.mark(),
            key: self.keys.marks().clone(),
        }
    }

    /// Numbers later commits above a state that peers remember, so that this store never counts as older than what the host
    /// has of before. A mark of another store, or that no store of this space and key made, changes nothing.
    pub fn outrun(&mut self, newest: &Mark) {
        if !self.pending && newest.store() == &self.store && newest.is_of(self.keys.marks()) {
            self.counter = self.counter.max(newest.counter());
        }
    }

    /// The names of the records, in ascending order.
    pub fn names(&self) -> impl Iterator<Item = &RecordName> {
        self.entries.keys()
    }

    /// What to ask for a record's blob, for [`Store::read`]; `None` when there is no such record.
    pub fn ask(&self, name: &RecordName) -> Option<BlobOp> {
        let entry = self.entries.get(name)?;
        Some(BlobOp::Get {
            name: self.named(&entry.leaf()),
        })
    }

    /// The content of a record, from the host's answer to [`Store::ask`].
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn read(&self, name: &RecordName, reply: BlobReply) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        read_record(&self.keys, &self.entries, &self.store, name, reply)
    }

    /// Prepares all changes as one: after a crash either every one of them is there or none. Of several changes of one
    /// record the last counts.
    ///
    /// # Errors
    /// [`StoreError`]; the store is as before.
    pub fn commit(&mut self, changes: impl IntoIterator<Item = Change>) -> Result<Commit, StoreError> {
        if self.pending {
            return Err(StoreError::Pending);
        }
        let counter = self.counter.checked_add(1).ok_or(StoreError::Full)?;
        let mut entries = self.entries.clone();
        let mut written = std::collections::BTreeMap::new();
        for change in changes {
            match change {
                Change::Erase { name } => {
                    written.remove(&name);
                    entries.remove(&name);
                }
                Change::Put { name, value } => {
                    let (entry, blob) = self.seal_record(counter, &name, &value)?;
                    written.insert(name.clone(), blob);
                    entries.insert(name, entry);
                }
            }
        }
        let content = manifest::encode(&entries);
        if content.len() > MAX_VALUE {
            return Err(StoreError::Full);
        }
        let header = self.header(Kind::Manifest, counter);
        let sealed =
            seal(&self.keys, &header, manifest::LEAF, &content).ok_or(StoreError::NoRandomNumbers)?;

        let mut ops: Vec<BlobOp> = written
            .into_iter()
            .filter_map(|(name, blob)| {
                let name = self.named(&entries.get(&name)?.leaf());
                Some(BlobOp::Put { name, blob })
            })
            .collect();
        ops.push(BlobOp::Put {
            name: self.named(manifest::LEAF),
            blob: sealed,
        });
        let durable = ops.len();
        let replaced = self
            .entries
            .iter()
            .filter(|(name, entry)| entries.get(name) != Some(entry))
            .map(|(_, entry)| BlobOp::Delete {
                name: self.named(&entry.leaf()),
            });
        ops.extend(replaced);
        self.pending = true;
        Ok(Commit {
            counter,
            entries,
            ops,
            durable,
        })
    }

    /// Takes over a commit whose operations were done, at least the first [`Commit::durable_after`] of them, and gives
    /// the mark for peers to remember.
    ///
    /// # Errors
    /// [`StoreError::NotPending`] for another store's commit.
    pub fn confirm(&mut self, commit: Commit) -> Result<Mark, StoreError> {
        if !self.pending || self.counter.checked_add(1) != Some(commit.counter) {
            return Err(StoreError::NotPending);
        }
        self.counter = commit.counter;
        self.entries = commit.entries;
        self.pending = false;
        Ok(self.mark())
    }

    /// Gives up a commit: the store is as before. Only for one whose manifest the host certainly didn't take: the operation
    /// just before [`Commit::durable_after`] was never asked for, or was refused. Says what to delete of the others.
    ///
    /// # Errors
    /// [`StoreError::NotPending`] for another store's commit.
    pub fn abandon(&mut self, commit: Commit) -> Result<Vec<BlobOp>, StoreError> {
        if !self.pending || self.counter.checked_add(1) != Some(commit.counter) {
            return Err(StoreError::NotPending);
        }
        self.pending = false;
        let records = commit.durable.saturating_sub(1);
        let written = commit.ops.into_iter().take(records);
        Ok(written
            .filter_map(|op| match op {
                BlobOp::Put { name, .. } => Some(BlobOp::Delete { name }),
                _ => None,
            })
            .collect())
    }

    fn seal_record(
        &self,
        counter: u64,
        name: &RecordName,
        value: &[u8],
    ) -> Result<(Entry, Vec<u8>), StoreError> {
        if value.len() > MAX_VALUE {
            return Err(StoreError::TooLong {
                name: name.clone(),
                len: value.len(),
            });
        }
        let mut suffix = [0; 8];
        rand::fill(&mut suffix).map_err(|_| StoreError::NoRandomNumbers)?;
        let header = self.header(Kind::Record, counter);
        let blob = seal(&self.keys, &header, name.as_str(), value).ok_or(StoreError::NoRandomNumbers)?;
        let entry = Entry {
            written: counter,
            suffix,
            digest: sha256(&blob),
        };
        Ok((entry, blob))
    }

    fn header(&self, kind: Kind, counter: u64) -> Header {
        Header {
            kind,
            key: self.keys.id(),
            store: self.store,
            counter,
        }
    }

    fn named(&self, leaf: &str) -> String {
        format!("{}/{leaf}", self.space)
    }
}

/// Why there is no commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The commit before isn't confirmed. If it can't be brought to its end, open the store again.
    #[error("a commit is not confirmed yet")]
    Pending,
    /// Another store's commit, or one that was confirmed.
    #[error("no such commit is in the making")]
    NotPending,
    /// A record is too long.
    #[error("record {name} of {len} bytes is over the limit of {MAX_VALUE}")]
    TooLong {
        /// Which.
        name: RecordName,
        /// Its length in bytes.
        len: usize,
    },
    /// There are so many records that the manifest would be too long, at about 10,000.
    #[error("the store is full")]
    Full,
    /// The system has no random numbers.
    #[error("no random numbers")]
    NoRandomNumbers,
}
