//! What peers remember of a store, and what that says of a state.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::key::STORE_ID_LEN;

/// Length in bytes of an encoded mark.
pub const MARK_LEN: usize = BOUND_LEN + TAG_LEN;

const BOUND_LEN: usize = STORE_ID_LEN + 8 + 32;
const TAG_LEN: usize = 16;

/// The state after one commit. Peers keep the newest that they were told; only the store's own enclave can make one, so
/// that a lying peer can forget a mark and can't invent one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    store: [u8; STORE_ID_LEN],
    counter: u64,
    root: [u8; 32],
    tag: [u8; TAG_LEN],
}

impl Mark {
    pub(crate) fn new(key: &hmac::Key, store: [u8; STORE_ID_LEN], counter: u64, root: [u8; 32]) -> Self {
        let mut mark = Self {
            store,
            counter,
            root,
            tag: [0; TAG_LEN],
        };
        mark.tag = mark.mac(key);
        mark
    }

    /// Any 72 bytes: store, counter, root, tag.
    pub fn from_bytes(bytes: &[u8; MARK_LEN]) -> Self {
        let (store, rest) = bytes.split_at(STORE_ID_LEN);
        let (counter, rest) = rest.split_at(8);
        let (root, tag) = rest.split_at(32);
        Self {
            store: store.try_into().expect("split at its length"),
            counter: u64::from_be_bytes(counter.try_into().expect("split at its length")),
            root: root.try_into().expect("split at its length"),
            tag: tag.try_into().expect("split at its length"),
        }
    }

    /// The bytes to remember.
    pub fn to_bytes(&self) -> [u8; MARK_LEN] {
        let mut bytes = [0; MARK_LEN];
        bytes[..BOUND_LEN].copy_from_slice(&self.bound());
        bytes[BOUND_LEN..].copy_from_slice(&self.tag);
        bytes
    }

    /// Number of commits, from 0 for a new store.
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// Hash of every record.
    pub fn root(&self) -> &[u8; 32] {
        &self.root
    }

    /// Which store: a new one in the same place is another.
    pub fn store(&self) -> &[u8; STORE_ID_LEN] {
        &self.store
    }

    /// Whether a store with this key made it.
    pub(crate) fn is_of(&self, key: &hmac::Key) -> bool {
        verify_slices_are_equal(&self.mac(key), &self.tag).is_ok()
    }

    fn bound(&self) -> [u8; BOUND_LEN] {
        let mut bound = [0; BOUND_LEN];
        bound[..STORE_ID_LEN].copy_from_slice(&self.store);
        bound[STORE_ID_LEN..STORE_ID_LEN + 8].copy_from_slice(&self.counter.to_be_bytes());
        bound[STORE_ID_LEN + 8..].copy_from_slice(&self.root);
        bound
    }

    fn mac(&self, key: &hmac::Key) -> [u8; TAG_LEN] {
        let mac = hmac::sign(key, &self.bound());
        mac.as_ref()[..TAG_LEN].try_into().expect("longer than that")
    }
}

/// Whether a state is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Nobody remembers another state that isn't older.
    Current,
    /// Somebody remembers a newer state, or another one: the host brought back an old state or none, or runs a copy.
    RolledBack {
        /// What they remember.
        newest: Mark,
    },
    /// Nobody remembers anything, so nobody can tell.
    Unprotected,
}

/// A state that a store was in, and the key that tells its marks from others'.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) mark: Mark,
    pub(crate) key: hmac::Key,
}

impl State {
    /// Its mark.
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Compares it with what peers remember. Marks that no store of this space and key made are nothing that anyone remembers.
    pub fn judge(&self, remembered: &[Mark]) -> Freshness {
        let genuine = remembered.iter().filter(|mark| mark.is_of(&self.key));
        judge(&self.mark, &genuine.copied().collect::<Vec<_>>())
    }
}

/// Compares a state with what others remember of it. The marks must be genuine; [`crate::Store::judge`] drops those
/// that aren't.
///
/// A state that is ahead of every memory is current: a commit is durable before peers hear of it. So a state is to be
/// judged when it is opened, before anything is committed to it.
pub fn judge(own: &Mark, remembered: &[Mark]) -> Freshness {
    let contradicts = |mark: &&Mark| {
        let same_store = mark.store == own.store;
        let older = mark.counter < own.counter;
        !(same_store && (older || (mark.counter, mark.root) == (own.counter, own.root)))
    };
    match remembered
        .iter()
        .filter(contradicts)
        .max_by_key(|mark| mark.counter)
    {
        Some(newest) => Freshness::RolledBack { newest: *newest },
        None if remembered.is_empty() => Freshness::Unprotected,
        None => Freshness::Current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    fn mark(store: u8, counter: u64, root: u8) -> Mark {
        Mark::new(&key(1), [store; 16], counter, [root; 32])
    }

    #[test]
    fn marks_round_trip_and_only_their_key_makes_them() {
        let mark = mark(1, 7, 2);
        assert_eq!(Mark::from_bytes(&mark.to_bytes()), mark);
        assert!(mark.is_of(&key(1)) && !mark.is_of(&key(2)));
        for bit in 0..MARK_LEN * 8 {
            let mut changed = mark.to_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!Mark::from_bytes(&changed).is_of(&key(1)), "bit {bit}");
        }
    }

    #[test]
    fn a_state_is_judged_by_what_is_remembered() {
        let own = mark(1, 7, 2);
        assert_eq!(judge(&own, &[]), Freshness::Unprotected);
        assert_eq!(judge(&own, &[own]), Freshness::Current);
        assert_eq!(judge(&own, &[mark(1, 6, 9), mark(1, 2, 9)]), Freshness::Current);
        let newest = mark(1, 9, 3);
        assert_eq!(
            judge(&own, &[mark(1, 8, 3), newest, own]),
            Freshness::RolledBack { newest }
        );
        // Two copies that went on by themselves.
        let newest = mark(1, 7, 3);
        assert_eq!(judge(&own, &[own, newest]), Freshness::RolledBack { newest });
        // A new store where there was another.
        let newest = mark(2, 1, 2);
        assert_eq!(judge(&own, &[newest]), Freshness::RolledBack { newest });
    }
}
