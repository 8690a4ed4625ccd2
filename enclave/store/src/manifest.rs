//! Which records a store has, and the exact bytes of each.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256, digest};

use crate::blob::RecordName;
use crate::key::STORE_ID_LEN;

/// Where the manifest of a space is.
pub(crate) const LEAF: &str = "manifest";

const SUFFIX_LEN: usize = 8;

/// Where the blob of a record is, and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The commit that wrote it.
    pub(crate) written: u64,
    /// Random, so that no two attempts at a commit, of whatever boot, write to one place.
    pub(crate) suffix: [u8; SUFFIX_LEN],
    /// SHA-256 of the sealed blob.
    pub(crate) digest: [u8; 32],
}

impl Entry {
    /// The last part of the blob's name. It says nothing about the record's.
    pub(crate) fn leaf(&self) -> String {
        format!("r-{:016x}-{:016x}", self.written, u64::from_be_bytes(self.suffix))
    }
}

/// Every record of a store, by name.
pub(crate) type Entries = BTreeMap<RecordName, Entry>;

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The manifest's content: `u32` count, then for each record in ascending order of names `u8` length and name, `u64`
/// commit, suffix and digest.
pub(crate) fn encode(entries: &Entries) -> Vec<u8> {
    let mut bytes = (entries.len() as u32).to_be_bytes().to_vec();
    for (name, entry) in entries {
        bytes.push(name.as_str().len() as u8);
        bytes.extend(name.as_str().as_bytes());
        bytes.extend(entry.written.to_be_bytes());
        bytes.extend(entry.suffix);
        bytes.extend(entry.digest);
    }
    bytes
}

/// The inverse of [`encode`]; `None` for all else.
pub(crate) fn parse(bytes: &[u8]) -> Option<Entries> {
    let (count, mut left) = bytes.split_first_chunk::<4>()?;
    let mut entries = Entries::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let (len, rest) = left.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*len))?;
        let name = RecordName::new(std::str::from_utf8(name).ok()?).ok()?;
        let (written, rest) = rest.split_first_chunk::<8>()?;
        let (suffix, rest) = rest.split_first_chunk::<SUFFIX_LEN>()?;
        let (digest, rest) = rest.split_first_chunk::<32>()?;
        left = rest;
        if entries.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return None;
        }
        let entry = Entry {
            written: u64::from_be_bytes(*written),
            suffix: *suffix,
            digest: *digest,
        };
        entries.insert(name, entry);
    }
    left.is_empty().then_some(entries)
}

/// One value for a whole state: another record, another byte of one, or another commit gives another root.
pub(crate) fn root(store: &[u8; STORE_ID_LEN], counter: u64, entries: &Entries) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    hash.update(b"jeju-store-root-v1\0");
    hash.update(store);
    hash.update(&counter.to_be_bytes());
    hash.update(&encode(entries));
    let root = hash.finish();
    root.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Entries {
        let entry = |byte| Entry {
            written: 3,
            suffix: [byte; 8],
            digest: [byte; 32],
        };
        Entries::from([
            (RecordName::new("a").unwrap(), entry(1)),
            (RecordName::new("root-0").unwrap(), entry(2)),
        ])
    }

    #[test]
    fn manifests_have_one_encoding() {
        let bytes = encode(&entries());
        assert_eq!(parse(&bytes), Some(entries()));
        assert_eq!(parse(&encode(&Entries::new())), Some(Entries::new()));
        for len in 0..bytes.len() {
            assert_eq!(parse(&bytes[..len]), None, "{len} bytes");
        }
        assert_eq!(parse(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(parse(&[0xff; 64]), None);
        // Whatever parses is its own encoding.
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut changed = bytes.clone();
                changed[at] = value;
                if let Some(parsed) = parse(&changed) {
                    assert_eq!(encode(&parsed), changed);
                }
            }
        }
    }

    #[test]
    fn names_come_in_order_and_once() {
        let one = &encode(&entries())[4..4 + 1 + 1 + 48];
        let twice = [&[0, 0, 0, 2][..], one, one].concat();
        assert_eq!(parse(&twice), None);
        let first = [&[0, 0, 0, 1][..], one].concat();
        assert_eq!(parse(&first).map(|entries| entries.len()), Some(1));
    }

    #[test]
    fn the_root_stands_for_the_whole_state() {
        let base = root(&[1; 16], 3, &entries());
        assert_eq!(base, root(&[1; 16], 3, &entries()));
        let mut fewer = entries();
        fewer.pop_last();
        for other in [
            root(&[2; 16], 3, &entries()),
            root(&[1; 16], 4, &entries()),
            root(&[1; 16], 3, &fewer),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn leaves_are_names() {
        assert_eq!(
            entries().values().next().unwrap().leaf(),
            "r-0000000000000003-0101010101010101"
        );
    }
}
