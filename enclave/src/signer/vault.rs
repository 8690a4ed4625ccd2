//! Where records are kept: sealed at the host, or nowhere.
//!
//! One commit at a time, each operation asked of the front only once the one before is answered. On a platform that can't
//! seal nothing is kept: a restarted member gets its shares back from its peers.

use std::collections::BTreeMap;

use jeju_attestation::hash::tagged_sha256;
use jeju_mpc::marks::{StartedState, StateMark};
use jeju_store::{
    BlobOp, BlobReply, Change, Commit, Freshness, Mark, Opening, Persistence, RecordName, SealingKey, State,
    Store,
};
use zeroize::Zeroizing;

/// Space of the host's store that belongs to a sealing key: another image has another key, so its store stays where it is,
/// and the image that made it finds it again.
fn space(key: &SealingKey) -> String {
    let digest = tagged_sha256("jeju-signer-space-v1", &[key.expose()]);
    format!("signer-{}", hex::encode(&digest[..8]))
}

/// Times that an operation is asked for again before the store counts as lost.
const RETRIES: u32 = 5;

/// Records by their names.
pub type Records = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// The store can't be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("state can't be stored")]
pub struct StorageLost;

/// What came of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Ask this next.
    Ask(BlobOp),
    /// The same operation has to be asked for again, a little later.
    Again(BlobOp),
    /// Nothing is under way any more.
    Idle,
}

/// The member's records.
pub struct Vault {
    store: Option<Store>,
    pending: Option<Pending>,
    /// The next commit is to be numbered above this one.
    outrun: Option<Mark>,
    failures: u32,
}

struct Pending {
    commit: Commit,
    done: usize,
    /// Whether outputs wait for it.
    barrier: bool,
}

/// A vault that is being opened.
pub struct Opened {
    opening: Option<Opening>,
    records: Records,
    failures: u32,
}

impl Opened {
    /// Starts; without a key there is nothing to open.
    ///
    /// # Errors
    /// [`StorageLost`] where the system has no random numbers.
    pub fn new(key: Option<&SealingKey>) -> Result<Opened, StorageLost> {
        let opening = match key {
            Some(key) => Some(Opening::new(&space(key), Some(key.clone())).map_err(|_| StorageLost)?),
            None => None,
        };
        Ok(Opened {
            opening,
            records: Records::new(),
            failures: 0,
        })
    }

    /// What to ask of the host next.
    ///
    /// # Errors
    /// [`StorageLost`] where the system has no random numbers.
    pub fn ask(&self) -> Result<Option<BlobOp>, StorageLost> {
        match &self.opening {
            Some(opening) => opening.ask().map_err(|_| StorageLost),
            None => Ok(None),
        }
    }

    /// Takes the answer. A store that isn't whole is replaced by an empty one: the host could as well have shown none. One that can't be reached is done without.
    ///
    /// # Errors
    /// [`StorageLost`] where the system has no random numbers.
    pub fn answer(&mut self, key: &SealingKey, reply: Option<BlobReply>) -> Result<(), StorageLost> {
        let Some(opening) = &mut self.opening else {
            return Ok(());
        };
        let Some(reply) = reply else {
            self.failures += 1;
            if self.failures > RETRIES {
                self.opening = None;
                self.records.clear();
            }
            return Ok(());
        };
        self.failures = 0;
        match opening.answer(reply) {
            Ok(None) => {}
            Ok(Some(record)) => {
                self.records.insert(record.name.to_string(), record.value);
            }
            Err(_) => {
                self.records.clear();
                let replaced = Opening::replace(&space(key), Some(key.clone()));
                self.opening = Some(replaced.map_err(|_| StorageLost)?);
            }
        }
        Ok(())
    }

    /// The open vault, and what was in it.
    ///
    /// # Errors
    /// [`StorageLost`] while there is something to ask.
    pub fn finish(self) -> Result<(Vault, Records), StorageLost> {
        let store = match self.opening {
            Some(opening) => Some(opening.finish().map_err(|_| StorageLost)?),
            None => None,
        };
        let vault = Vault {
            store,
            pending: None,
            outrun: None,
            failures: 0,
        };
        Ok((vault, self.records))
    }
}

impl Vault {
    /// Whether records outlive the boot.
    pub fn is_sealed(&self) -> bool {
        let persistence = self.store.as_ref().map(Store::persistence);
        persistence == Some(Persistence::Sealed)
    }

    /// The state that it is in, for peers to be asked about; `None` where nothing outlives the boot.
    pub fn state(&self) -> Option<Started> {
        let store = self.store.as_ref().filter(|_| self.is_sealed())?;
        Some(Started(store.state()))
    }

    /// The mark of the state that it is in.
    pub fn mark(&self) -> Option<StateMark> {
        self.store.as_ref().map(|store| store.mark().to_bytes())
    }

    /// Numbers all later states above one that a peer remembers.
    pub fn outrun(&mut self, newest: &StateMark) {
        self.outrun = Some(Mark::from_bytes(newest));
    }

    /// Whether a commit is under way.
    pub fn is_busy(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether outputs have to wait.
    pub fn is_barrier(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.barrier)
    }

    /// Starts a commit: what to ask first, or nothing where nothing is kept. `barrier` is whether outputs wait for it.
    ///
    /// # Errors
    /// [`StorageLost`], also for a record that can't be kept.
    pub fn begin(
        &mut self,
        changes: impl IntoIterator<Item = Change>,
        barrier: bool,
    ) -> Result<Option<BlobOp>, StorageLost> {
        let Some(store) = &mut self.store else {
            return Ok(None);
        };
        if let Some(newest) = self.outrun.take() {
            store.outrun(&newest);
        }
        let commit = store.commit(changes).map_err(|_| StorageLost)?;
        let first = commit.ops().first().cloned().ok_or(StorageLost)?;
        self.pending = Some(Pending {
            commit,
            done: 0,
            barrier,
        });
        Ok(Some(first))
    }

    /// Takes the answer to what was asked last.
    ///
    /// # Errors
    /// [`StorageLost`] when it can't be brought to its end: nobody knows then which state the host has.
    pub fn answer(&mut self, reply: Option<BlobReply>) -> Result<Progress, StorageLost> {
        let (Some(store), Some(mut pending)) = (&mut self.store, self.pending.take()) else {
            return Ok(Progress::Idle);
        };
        let durable = pending.done >= pending.commit.durable_after();
        if reply == Some(BlobReply::Done) {
            self.failures = 0;
            pending.done += 1;
        } else if durable {
            // What only tidies up may fail.
            pending.done = pending.commit.ops().len();
        } else {
            self.failures += 1;
            if self.failures > RETRIES {
                return Err(StorageLost);
            }
            let again = pending.commit.ops()[pending.done].clone();
            self.pending = Some(pending);
            return Ok(Progress::Again(again));
        }
        pending.barrier &= pending.done < pending.commit.durable_after();
        match pending.commit.ops().get(pending.done).cloned() {
            Some(next) => {
                self.pending = Some(pending);
                Ok(Progress::Ask(next))
            }
            None => {
                store.confirm(pending.commit).map_err(|_| StorageLost)?;
                Ok(Progress::Idle)
            }
        }
    }
}

/// The state in which a vault was opened.
pub struct Started(State);

impl StartedState for Started {
    fn mark(&self) -> StateMark {
        self.0.mark().to_bytes()
    }

    fn is_older_than(&self, remembered: &StateMark) -> bool {
        let judged = self.0.judge(&[Mark::from_bytes(remembered)]);
        matches!(judged, Freshness::RolledBack { .. })
    }
}

/// A change that keeps a record.
///
/// # Errors
/// [`StorageLost`] for a name that no record can have.
pub fn put(name: &str, value: Zeroizing<Vec<u8>>) -> Result<Change, StorageLost> {
    let name = RecordName::new(name).map_err(|_| StorageLost)?;
    Ok(Change::Put { name, value })
}

/// A change that forgets one.
///
/// # Errors
/// [`StorageLost`] for a name that no record can have.
pub fn erase(name: &str) -> Result<Change, StorageLost> {
    let name = RecordName::new(name).map_err(|_| StorageLost)?;
    Ok(Change::Erase { name })
}

#[cfg(test)]
mod tests {
    use jeju_store::MemoryBlobs;

    use super::*;

    fn key(byte: u8) -> SealingKey {
        SealingKey::new(Zeroizing::new([byte; 32]))
    }

    fn open(host: &mut MemoryBlobs, byte: u8) -> (Vault, Records) {
        let mut opened = Opened::new(Some(&key(byte))).unwrap();
        while let Some(op) = opened.ask().unwrap() {
            let reply = host.perform(&op);
            opened.answer(&key(byte), Some(reply)).unwrap();
        }
        opened.finish().unwrap()
    }

    fn value(byte: u8) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(vec![byte; 100])
    }

    /// Does a commit; returns how many operations outputs had to wait for.
    fn commit(vault: &mut Vault, host: &mut MemoryBlobs, changes: Vec<Change>) -> usize {
        let mut next = vault.begin(changes, true).unwrap();
        let mut waited = 0;
        while let Some(op) = next {
            waited += usize::from(vault.is_barrier());
            let reply = host.perform(&op);
            next = match vault.answer(Some(reply)).unwrap() {
                Progress::Ask(op) | Progress::Again(op) => Some(op),
                Progress::Idle => None,
            };
        }
        assert!(!vault.is_busy() && !vault.is_barrier());
        waited
    }

    #[test]
    fn records_come_back() {
        let mut host = MemoryBlobs::default();
        let (mut vault, records) = open(&mut host, 1);
        assert!(vault.is_sealed() && records.is_empty());
        let first = vec![put("a", value(1)).unwrap(), put("b", value(2)).unwrap()];
        assert_eq!(
            commit(&mut vault, &mut host, first),
            3,
            "two records and the manifest"
        );
        let second = vec![put("a", value(3)).unwrap(), erase("b").unwrap()];
        assert_eq!(
            commit(&mut vault, &mut host, second),
            2,
            "what tidies up isn't waited for"
        );
        let (_, records) = open(&mut host, 1);
        assert_eq!(records, Records::from([("a".to_owned(), value(3))]));
        assert!(host.0.keys().all(|name| name.starts_with("signer-")));
        assert!(
            !host
                .0
                .values()
                .any(|blob| blob.windows(8).any(|bytes| bytes == [3; 8]))
        );
    }

    #[test]
    fn a_store_of_another_key_is_left_and_a_broken_one_replaced() {
        let mut host = MemoryBlobs::default();
        let (mut vault, _) = open(&mut host, 1);
        commit(&mut vault, &mut host, vec![put("a", value(1)).unwrap()]);
        // An image that was updated, and then taken back.
        let (mut updated, records) = open(&mut host, 2);
        assert!(updated.is_sealed() && records.is_empty());
        commit(&mut updated, &mut host, vec![put("a", value(2)).unwrap()]);
        assert_eq!(open(&mut host, 1).1["a"], value(1));
        for blob in host.0.values_mut() {
            *blob = vec![0; 50];
        }
        let (mut vault, records) = open(&mut host, 1);
        assert!(records.is_empty());
        commit(&mut vault, &mut host, vec![put("a", value(2)).unwrap()]);
        assert_eq!(open(&mut host, 1).1.len(), 1);
    }

    #[test]
    fn without_a_key_or_a_host_nothing_is_kept() {
        let opened = Opened::new(None).unwrap();
        assert_eq!(opened.ask(), Ok(None));
        let (mut vault, _) = opened.finish().unwrap();
        assert!(!vault.is_sealed());
        assert_eq!(vault.begin([put("a", value(1)).unwrap()], true), Ok(None));
        assert!(!vault.is_barrier());

        let mut opened = Opened::new(Some(&key(1))).unwrap();
        while opened.ask().unwrap().is_some() {
            opened.answer(&key(1), None).unwrap();
        }
        assert!(!opened.finish().unwrap().0.is_sealed());
    }

    #[test]
    fn a_commit_is_tried_again_and_then_given_up() {
        let mut host = MemoryBlobs::default();
        let (mut vault, _) = open(&mut host, 1);
        let first = vault.begin([put("a", value(1)).unwrap()], true).unwrap().unwrap();
        for _ in 0..RETRIES {
            assert_eq!(vault.answer(None), Ok(Progress::Again(first.clone())));
            assert!(vault.is_barrier());
        }
        // Anything but a yes is a no.
        assert_eq!(vault.answer(Some(BlobReply::Missing)), Err(StorageLost));
    }

    #[test]
    fn an_old_state_is_older_than_what_peers_remember_and_later_ones_are_not() {
        let mut host = MemoryBlobs::default();
        let (mut vault, _) = open(&mut host, 1);
        commit(&mut vault, &mut host, vec![put("a", value(1)).unwrap()]);
        let old = host.clone();
        for byte in 2..5 {
            commit(&mut vault, &mut host, vec![put("a", value(byte)).unwrap()]);
        }
        let (newest, newer) = (vault.mark().unwrap(), host.clone());
        let opened = |host: &MemoryBlobs| open(&mut host.clone(), 1).0.state().unwrap();
        assert!(!opened(&newer).is_older_than(&newest));
        assert!(opened(&old).is_older_than(&newest));
        assert!(
            opened(&MemoryBlobs::default()).is_older_than(&newest),
            "a host that shows nothing"
        );
        let mut forged = newest;
        forged[71] ^= 1;
        assert!(!opened(&old).is_older_than(&forged), "a peer that makes one up");

        // From the old state another way is gone. The host can't go back to the first one either.
        let mut host = old;
        let (mut vault, _) = open(&mut host, 1);
        vault.outrun(&newest);
        commit(&mut vault, &mut host, vec![put("a", value(9)).unwrap()]);
        let now = vault.mark().unwrap();
        assert!(!opened(&host).is_older_than(&now));
        assert!(opened(&newer).is_older_than(&now));
    }

    #[test]
    fn records_have_names() {
        assert_eq!(put("A", value(1)).err(), Some(StorageLost));
        assert_eq!(erase("").err(), Some(StorageLost));
    }
}
