//! One sealed blob: a header that says what it is, then AES-256-GCM over the content with that header bound to it.

use aws_lc_rs::aead::{Aad, Nonce};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::blob::MAX_BLOB;
use crate::key::{KEY_ID_LEN, Keys, NAME_TAG_LEN, STORE_ID_LEN};

/// Longest content of a sealed blob in bytes.
pub const MAX_VALUE: usize = MAX_BLOB - HEADER_LEN - TAG_LEN;

pub(crate) const VERSION: u8 = 1;

const HEADER_LEN: usize = BOUND_LEN + NONCE_LEN;
/// What the header binds: all but the nonce, which AES-GCM binds itself.
const BOUND_LEN: usize = 2 + KEY_ID_LEN + STORE_ID_LEN + 8 + NAME_TAG_LEN;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
const TAG: &[u8] = b"jeju-store-blob-v1\0";

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Record = 1,
    Manifest = 2,
}

/// What the header says. Nothing of it is true before [`Sealed::open`] said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) key: [u8; KEY_ID_LEN],
    /// Which store of the space, across boots.
    pub(crate) store: [u8; STORE_ID_LEN],
    /// Which commit of the store wrote it.
    pub(crate) counter: u64,
}

/// A blob whose header was read.
pub(crate) struct Sealed<'a> {
    pub(crate) header: Header,
    /// Of the name under which it was sealed.
    name: [u8; NAME_TAG_LEN],
    bound: &'a [u8],
    nonce: [u8; NONCE_LEN],
    content: &'a [u8],
}

/// Why a blob has no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Another version of the format.
    Version(u8),
    /// Too short, too long, or of no known kind.
    Malformed,
}

/// Seals `content`, of at most [`MAX_VALUE`] bytes, under `name`.
///
/// `None` when the system has no random numbers.
pub(crate) fn seal(keys: &Keys, header: &Header, name: &str, content: &[u8]) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).ok()?;
    let mut blob = Vec::with_capacity(HEADER_LEN + content.len() + TAG_LEN);
    blob.extend([VERSION, header.kind as u8]);
    blob.extend(header.key);
    blob.extend(header.store);
    blob.extend(header.counter.to_be_bytes());
    let name = keys.name_tag(&header.store, name);
    blob.extend(name);
    blob.extend(nonce);
    blob.extend(content);
    let (bound, rest) = blob.split_at_mut(BOUND_LEN);
    let tag = keys
        .record(&header.store, header.kind as u8, &name)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(associated(bound)),
            &mut rest[NONCE_LEN..],
        );
    blob.extend(tag.ok()?.as_ref());
    Some(blob)
}

impl<'a> Sealed<'a> {
    pub(crate) fn parse(blob: &'a [u8]) -> Result<Self, HeaderError> {
        match blob {
            [VERSION, ..] => {}
            [version, ..] => return Err(HeaderError::Version(*version)),
            [] => return Err(HeaderError::Malformed),
        }
        if !(HEADER_LEN + TAG_LEN..=MAX_BLOB).contains(&blob.len()) {
            return Err(HeaderError::Malformed);
        }
        let kind = match blob[1] {
            1 => Kind::Record,
            2 => Kind::Manifest,
            _ => return Err(HeaderError::Malformed),
        };
        let (bound, rest) = blob.split_at(BOUND_LEN);
        let (nonce, content) = rest.split_at(NONCE_LEN);
        let (key, rest) = bound[2..].split_at(KEY_ID_LEN);
        let (store, rest) = rest.split_at(STORE_ID_LEN);
        let (counter, name) = rest.split_at(8);
        Ok(Self {
            header: Header {
                kind,
                key: array(key),
                store: array(store),
                counter: u64::from_be_bytes(array(counter)),
            },
            name: array(name),
            bound,
            nonce: array(nonce),
            content,
        })
    }

    /// The content, if this blob was sealed with these keys under this name and nothing of it changed since.
    pub(crate) fn open(&self, keys: &Keys, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        match self.name == keys.name_tag(&self.header.store, name) {
            true => self.open_any(keys),
            false => None,
        }
    }

    /// Whether this blob was sealed with these keys, under any name and in any store, and nothing of it changed since.
    pub(crate) fn is_genuine(&self, keys: &Keys) -> bool {
        self.open_any(keys).is_some()
    }

    fn open_any(&self, keys: &Keys) -> Option<Zeroizing<Vec<u8>>> {
        if self.header.key != keys.id() {
            return None;
        }
        let mut content = Zeroizing::new(self.content.to_vec());
        let key = keys.record(&self.header.store, self.header.kind as u8, &self.name);
        let opened = key.open_in_place(
            Nonce::assume_unique_for_key(self.nonce),
            Aad::from(associated(self.bound)),
            &mut content,
        );
        let len = opened.ok()?.len();
        content.truncate(len);
        Some(content)
    }
}

fn associated(bound: &[u8]) -> Vec<u8> {
    [TAG, bound].concat()
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("split at constant places")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SealingKey;

    fn keys(byte: u8) -> Keys {
        Keys::new(&SealingKey::new(Zeroizing::new([byte; 32])), "space")
    }

    fn header(keys: &Keys) -> Header {
        Header {
            kind: Kind::Record,
            key: keys.id(),
            store: [9; STORE_ID_LEN],
            counter: 7,
        }
    }

    #[test]
    fn what_was_sealed_opens_under_its_name_and_key_only() {
        let keys = keys(1);
        for content in [&b""[..], b"share", &vec![3; MAX_VALUE]] {
            let blob = seal(&keys, &header(&keys), "a", content).unwrap();
            let sealed = Sealed::parse(&blob).unwrap();
            assert_eq!(sealed.header, header(&keys));
            assert_eq!(&sealed.open(&keys, "a").unwrap()[..], content);
            assert!(sealed.open(&keys, "b").is_none() && sealed.is_genuine(&keys));
            assert!(sealed.open(&self::keys(2), "a").is_none());
        }
        let blob = || seal(&keys, &header(&keys), "a", b"share").unwrap();
        assert_ne!(blob(), blob(), "each sealing has a nonce of its own");
    }

    #[test]
    fn no_changed_bit_and_no_cut_passes() {
        let keys = keys(1);
        let blob = seal(&keys, &header(&keys), "a", b"a share of a key").unwrap();
        let opens = |blob: &[u8]| Sealed::parse(blob).is_ok_and(|sealed| sealed.open(&keys, "a").is_some());
        assert!(opens(&blob));
        for bit in 0..blob.len() * 8 {
            let mut changed = blob.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!opens(&changed), "bit {bit}");
        }
        for len in 0..blob.len() {
            assert!(!opens(&blob[..len]), "{len} bytes");
        }
        assert!(!opens(&[&blob[..], &[0]].concat()));
        assert_eq!(
            Sealed::parse(&vec![VERSION; MAX_BLOB + 1]).err(),
            Some(HeaderError::Malformed)
        );
        assert_eq!(Sealed::parse(&[2]).err(), Some(HeaderError::Version(2)));
    }
}
