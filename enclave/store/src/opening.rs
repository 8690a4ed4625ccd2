//! From the host's blobs to a store, or why there is none.

use std::collections::{HashSet, VecDeque};

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::blob::{BlobOp, BlobReply, NameError, RecordName, check_name};
use crate::key::{Keys, STORE_ID_LEN, SealingKey};
use crate::manifest::{self, Entries, sha256};
use crate::seal::{Header, HeaderError, Kind, Sealed, seal};
use crate::store::{Persistence, Store};

/// Pages of a list that are read while looking for what no manifest names; a store has no more names.
const MAX_PAGES: usize = 256;

/// A record as it is read.
pub struct Record {
    /// Its name.
    pub name: RecordName,
    /// Its content, of at most [`crate::MAX_VALUE`] bytes.
    pub value: Zeroizing<Vec<u8>>,
}

/// A store that is being opened: [`Opening::ask`], let the host do it, [`Opening::answer`], and so on until there is
/// nothing more to ask, then [`Opening::finish`].
pub struct Opening {
    space: String,
    keys: Keys,
    persistence: Persistence,
    state: State,
    phase: Phase,
    wanted: fn(&RecordName) -> bool,
}

/// What is known so far.
struct State {
    store: [u8; STORE_ID_LEN],
    counter: u64,
    entries: Entries,
}

enum Phase {
    Manifest,
    /// There is no manifest. Is there anything else?
    Vacant,
    Create,
    Records(VecDeque<RecordName>),
    Sweep {
        after: Option<String>,
        pages: usize,
        garbage: VecDeque<String>,
    },
    Delete(VecDeque<String>),
    Done,
}

impl Opening {
    /// Opens the store of `space`, or makes an empty one where there is none. Without a key the store is
    /// [`Persistence::Volatile`]: it is new, under a key that dies with it, and belongs into memory
    /// ([`crate::MemoryBlobs`]).
    ///
    /// # Errors
    /// [`OpenError::Name`], [`OpenError::NoRandomNumbers`].
    pub fn new(space: &str, key: Option<SealingKey>) -> Result<Self, OpenError> {
        let mut opening = Self::replace(space, key)?;
        opening.phase = Phase::Manifest;
        Ok(opening)
    }

    /// Makes a new, empty store in the place of whatever is there, readable or not: [`OpenError`] says why one would.
    /// To peers who remember the old one it is a state that was rolled back.
    ///
    /// # Errors
    /// As [`Opening::new`].
    pub fn replace(space: &str, key: Option<SealingKey>) -> Result<Self, OpenError> {
        check_name(space)?;
        let persistence = match key {
            Some(_) => Persistence::Sealed,
            None => Persistence::Volatile,
        };
        let key = match key {
            Some(key) => key,
            None => {
                let mut random = Zeroizing::new([0; 32]);
                rand::fill(&mut random[..]).map_err(|_| OpenError::NoRandomNumbers)?;
                SealingKey::new(random)
            }
        };
        let mut store = [0; STORE_ID_LEN];
        rand::fill(&mut store).map_err(|_| OpenError::NoRandomNumbers)?;
        Ok(Self {
            space: space.to_owned(),
            keys: Keys::new(&key, space),
            persistence,
            state: State {
                store,
                counter: 0,
                entries: Entries::new(),
            },
            phase: Phase::Create,
            wanted: |_| true,
        })
    }

    /// Reads only the records with such names now. [`Store::read`] reads, and checks, the others when they are needed.
    #[must_use]
    pub fn reading(mut self, wanted: fn(&RecordName) -> bool) -> Self {
        self.wanted = wanted;
        self
    }

    /// Whether what is put into this store will outlive the boot.
    pub fn persistence(&self) -> Persistence {
        self.persistence
    }

    /// What to ask of the host next; asking twice does no harm. `None`: the store is open.
    ///
    /// # Errors
    /// [`OpenError::NoRandomNumbers`].
    pub fn ask(&self) -> Result<Option<BlobOp>, OpenError> {
        let named = |leaf: &str| format!("{}/{leaf}", self.space);
        Ok(Some(match &self.phase {
            Phase::Manifest => BlobOp::Get {
                name: named(manifest::LEAF),
            },
            Phase::Vacant => self.list(None),
            Phase::Create => BlobOp::Put {
                name: named(manifest::LEAF),
                blob: seal(
                    &self.keys,
                    &self.header(),
                    manifest::LEAF,
                    &manifest::encode(&self.state.entries),
                )
                .ok_or(OpenError::NoRandomNumbers)?,
            },
            Phase::Records(left) => match left.front().and_then(|name| self.state.entries.get(name)) {
                Some(entry) => BlobOp::Get {
                    name: named(&entry.leaf()),
                },
                None => return Ok(None),
            },
            Phase::Sweep { after, .. } => self.list(after.clone()),
            Phase::Delete(garbage) => match garbage.front() {
                Some(leaf) => BlobOp::Delete { name: named(leaf) },
                None => return Ok(None),
            },
            Phase::Done => return Ok(None),
        }))
    }

    /// Takes the host's answer to what was asked last. Gives each record once, checked.
    ///
    /// # Errors
    /// [`OpenError`]; the opening is over then.
    pub fn answer(&mut self, reply: BlobReply) -> Result<Option<Record>, OpenError> {
        let phase = std::mem::replace(&mut self.phase, Phase::Done);
        let mut record = None;
        self.phase = match (phase, reply) {
            (Phase::Manifest, BlobReply::Missing) => Phase::Vacant,
            (Phase::Manifest, BlobReply::Blob(blob)) => {
                self.read_manifest(&blob)?;
                let wanted = self.state.entries.keys().filter(|name| (self.wanted)(name));
                self.next_record(wanted.cloned().collect())
            }
            (Phase::Vacant, BlobReply::Names { leaves, .. }) if leaves.is_empty() => Phase::Create,
            (Phase::Vacant, BlobReply::Names { .. }) => return Err(OpenError::ManifestMissing),
            (Phase::Create, BlobReply::Done) => sweep(),
            (Phase::Records(mut left), reply) => {
                let name = left.pop_front().ok_or(OpenError::Reply)?;
                let value = read_record(&self.keys, &self.state.entries, &self.state.store, &name, reply)?;
                record = Some(Record { name, value });
                self.next_record(left)
            }
            (
                Phase::Sweep {
                    after,
                    pages,
                    mut garbage,
                },
                BlobReply::Names { leaves, more },
            ) => {
                let last = leaves.last().cloned();
                let proceeds = last.is_some() && last > after;
                garbage.extend(self.garbage_of(leaves));
                match more && proceeds && pages < MAX_PAGES {
                    true => Phase::Sweep {
                        after: last,
                        pages: pages + 1,
                        garbage,
                    },
                    false => Phase::Delete(garbage),
                }
            }
            (Phase::Delete(mut garbage), BlobReply::Done) => {
                garbage.pop_front();
                Phase::Delete(garbage)
            }
            _ => return Err(OpenError::Reply),
        };
        Ok(record)
    }

    /// The open store.
    ///
    /// # Errors
    /// [`OpenError::Reply`] while there is something to ask.
    pub fn finish(self) -> Result<Store, OpenError> {
        match &self.phase {
            Phase::Delete(garbage) if garbage.is_empty() => {}
            _ => return Err(OpenError::Reply),
        }
        let State {
            store,
            counter,
            entries,
        } = self.state;
        Ok(Store::opened(
            self.space,
            self.keys,
            self.persistence,
            store,
            counter,
            entries,
        ))
    }

    /// Opens a store with a host that answers at once, giving each record to `take`.
    ///
    /// # Errors
    /// [`OpenError`], or what `perform` says.
    pub fn run<E: From<OpenError>>(
        mut self,
        mut perform: impl FnMut(BlobOp) -> Result<BlobReply, E>,
        mut take: impl FnMut(Record),
    ) -> Result<Store, E> {
        while let Some(op) = self.ask()? {
            let reply = perform(op)?;
            if let Some(record) = self.answer(reply)? {
                take(record);
            }
        }
        Ok(self.finish()?)
    }

    fn header(&self) -> Header {
        Header {
            kind: Kind::Manifest,
            key: self.keys.id(),
            store: self.state.store,
            counter: self.state.counter,
        }
    }

    fn list(&self, after: Option<String>) -> BlobOp {
        BlobOp::List {
            space: self.space.clone(),
            after,
        }
    }

    fn next_record(&self, left: VecDeque<RecordName>) -> Phase {
        match left.is_empty() {
            true => sweep(),
            false => Phase::Records(left),
        }
    }

    fn read_manifest(&mut self, blob: &[u8]) -> Result<(), OpenError> {
        let sealed = Sealed::parse(blob).map_err(|error| match error {
            HeaderError::Version(version) => OpenError::Version(version),
            HeaderError::Malformed => OpenError::ManifestCorrupt,
        })?;
        if sealed.header.key != self.keys.id() {
            return Err(OpenError::WrongKey);
        }
        let content = match sealed.header.kind {
            Kind::Manifest => sealed.open(&self.keys, manifest::LEAF),
            Kind::Record => None,
        };
        let entries = content.and_then(|content| manifest::parse(&content));
        self.state = State {
            store: sealed.header.store,
            counter: sealed.header.counter,
            entries: entries.ok_or(OpenError::ManifestCorrupt)?,
        };
        Ok(())
    }

    /// Blobs of a store's making that the manifest doesn't name: left by a commit that was cut off.
    fn garbage_of(&self, mut leaves: Vec<String>) -> Vec<String> {
        let named: HashSet<String> = self.state.entries.values().map(|entry| entry.leaf()).collect();
        leaves.retain(|leaf| leaf.starts_with("r-") && !named.contains(leaf));
        leaves
    }
}

fn sweep() -> Phase {
    Phase::Sweep {
        after: None,
        pages: 1,
        garbage: VecDeque::new(),
    }
}

/// The content of a record, whose bytes must be those that the manifest names.
pub(crate) fn read_record(
    keys: &Keys,
    entries: &Entries,
    store: &[u8; STORE_ID_LEN],
    name: &RecordName,
    reply: BlobReply,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let entry = entries.get(name).ok_or(OpenError::Reply)?;
    let blob = match reply {
        BlobReply::Blob(blob) => blob,
        BlobReply::Missing => return Err(OpenError::RecordMissing { name: name.clone() }),
        BlobReply::Done | BlobReply::Names { .. } => return Err(OpenError::Reply),
    };
    let corrupt = || OpenError::RecordCorrupt { name: name.clone() };
    let sealed = Sealed::parse(&blob).map_err(|_| corrupt())?;
    if sha256(&blob) == entry.digest {
        let expected = Header {
            kind: Kind::Record,
            key: keys.id(),
            store: *store,
            counter: entry.written,
        };
        let content = sealed.open(keys, name.as_str());
        return content.filter(|_| sealed.header == expected).ok_or_else(corrupt);
    }
    // Genuine, and in the wrong place or of another time?
    match sealed.is_genuine(keys) {
        true => Err(OpenError::RecordMixed { name: name.clone() }),
        false => Err(corrupt()),
    }
}

/// Why a store doesn't open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The space has no valid name.
    #[error("space: {0}")]
    Name(#[from] NameError),
    /// The system has no random numbers.
    #[error("no random numbers")]
    NoRandomNumbers,
    /// It was sealed by another image, with another launch document, or on another machine.
    #[error("the store is sealed under another key")]
    WrongKey,
    /// It is of a version that this program doesn't read.
    #[error("the store is of version {0}")]
    Version(u8),
    /// There are blobs, and no manifest.
    #[error("the store's manifest is missing")]
    ManifestMissing,
    /// The manifest isn't what this store wrote.
    #[error("the store's manifest is corrupt")]
    ManifestCorrupt,
    /// A record that the manifest names isn't there.
    #[error("record {name} is missing")]
    RecordMissing {
        /// Which.
        name: RecordName,
    },
    /// A record isn't what any store with this key wrote.
    #[error("record {name} is corrupt")]
    RecordCorrupt {
        /// Which.
        name: RecordName,
    },
    /// A record's place holds something genuine of another record or another time.
    #[error("record {name} is not of this state of the store")]
    RecordMixed {
        /// Which.
        name: RecordName,
    },
    /// The host's answer doesn't answer what was asked.
    #[error("the answer is to something else")]
    Reply,
}

impl OpenError {
    /// Stable text for status and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name(_) => "name_invalid",
            Self::NoRandomNumbers => "no_random_numbers",
            Self::WrongKey => "wrong_key",
            Self::Version(_) => "version_unsupported",
            Self::ManifestMissing => "manifest_missing",
            Self::ManifestCorrupt => "manifest_corrupt",
            Self::RecordMissing { .. } => "record_missing",
            Self::RecordCorrupt { .. } => "record_corrupt",
            Self::RecordMixed { .. } => "record_mixed",
            Self::Reply => "wrong_reply",
        }
    }
}
