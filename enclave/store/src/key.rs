//! From a secret of the platform to the keys of one store.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// Length in bytes of a store's name for its key.
pub(crate) const KEY_ID_LEN: usize = 8;
/// Length in bytes of a store's identity.
pub(crate) const STORE_ID_LEN: usize = 16;

/// Length in bytes of what stands for a record's name in its blob.
pub(crate) const NAME_TAG_LEN: usize = 16;

/// Where sealing keys come from.
///
/// The secret behind it must be one that only this image, with this launch document, on this machine gets: on SEV-SNP
/// the key that the secure processor derives with MEASUREMENT, GUEST_POLICY and TCB_VERSION mixed in. A platform that
/// has no such secret (TDX, Nitro) gives no key, and what is kept there lasts as long as the boot.
pub trait SealingRoot {
    /// The key for one purpose; `None` where the platform can't seal. Another `context` gives another key.
    fn seal_key(&self, context: &[u8]) -> Option<SealingKey>;
}

/// A platform without a sealing secret.
#[derive(Debug, Clone, Copy)]
pub struct Unsealable;

impl SealingRoot for Unsealable {
    fn seal_key(&self, _context: &[u8]) -> Option<SealingKey> {
        None
    }
}

/// The secret that a platform derived for this image on this machine, and the launch digest, which the platform may
/// not have mixed in.
pub struct PlatformSecret {
    secret: Zeroizing<[u8; 32]>,
    launch: [u8; 32],
}

impl PlatformSecret {
    /// `launch` is SHA-256 of the launch document.
    pub fn new(secret: Zeroizing<[u8; 32]>, launch: [u8; 32]) -> Self {
        Self { secret, launch }
    }
}

impl SealingRoot for PlatformSecret {
    fn seal_key(&self, context: &[u8]) -> Option<SealingKey> {
        let prk = Salt::new(HKDF_SHA256, b"jeju-sealing-v1").extract(&self.secret[..]);
        let mut key = Zeroizing::new([0; 32]);
        expand(&prk, &[b"purpose", &self.launch, context], &mut key[..]);
        Some(SealingKey(key))
    }
}

impl fmt::Debug for PlatformSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlatformSecret")
    }
}

/// The key of one purpose. `Debug` doesn't show it, and it is erased when dropped.
#[derive(Clone)]
pub struct SealingKey(Zeroizing<[u8; 32]>);

impl SealingKey {
    /// A key that another process of the node derived.
    pub fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// The secret itself, to hand it to the process whose store it is.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey")
    }
}

/// The keys of one space.
pub(crate) struct Keys {
    prk: Prk,
    id: [u8; KEY_ID_LEN],
    marks: hmac::Key,
}

impl Keys {
    pub(crate) fn new(key: &SealingKey, space: &str) -> Self {
        let root = Salt::new(HKDF_SHA256, b"jeju-store-v1").extract(key.expose());
        let mut secret = Zeroizing::new([0; 32]);
        expand(&root, &[b"space", space.as_bytes()], &mut secret[..]);
        let prk = Salt::new(HKDF_SHA256, b"jeju-store-space-v1").extract(&secret[..]);
        let mut id = [0; KEY_ID_LEN];
        expand(&prk, &[b"id"], &mut id);
        let mut marks = Zeroizing::new([0; 32]);
        expand(&prk, &[b"marks"], &mut marks[..]);
        Self {
            prk,
            id,
            marks: hmac::Key::new(hmac::HMAC_SHA256, &marks[..]),
        }
    }

    /// Tells this key from another without saying anything about it.
    pub(crate) fn id(&self) -> [u8; KEY_ID_LEN] {
        self.id
    }

    /// For [`crate::Mark`]s, of any store that this space ever held.
    pub(crate) fn marks(&self) -> &hmac::Key {
        &self.marks
    }

    /// Stands for a record's name where the host sees it.
    pub(crate) fn name_tag(&self, store: &[u8; STORE_ID_LEN], name: &str) -> [u8; NAME_TAG_LEN] {
        let mut tag = [0; NAME_TAG_LEN];
        expand(&self.prk, &[b"name", store, name.as_bytes()], &mut tag);
        tag
    }

    /// The key of one record of one store: a nonce that comes twice under different names does no harm, and no name
    /// comes near the number of messages that random nonces allow.
    pub(crate) fn record(
        &self,
        store: &[u8; STORE_ID_LEN],
        kind: u8,
        name: &[u8; NAME_TAG_LEN],
    ) -> LessSafeKey {
        let info = frame(&[b"record", store, &[kind], name]);
        let parts = [&info[..]];
        let key = self.prk.expand(&parts, &AES_256_GCM);
        LessSafeKey::new(UnboundKey::from(
            key.expect("an AES key is shorter than 255 blocks"),
        ))
    }
}

/// HKDF-Expand over length-prefixed inputs.
fn expand(prk: &Prk, info: &[&[u8]], out: &mut [u8]) {
    let framed = frame(info);
    prk.expand(&[&framed[..]], Len(out.len()))
        .and_then(|okm| okm.fill(out))
        .expect("keys are shorter than 255 blocks");
}

fn frame(inputs: &[&[u8]]) -> Vec<u8> {
    let mut framed = Vec::new();
    for input in inputs {
        let len = u16::try_from(input.len()).expect("names and contexts are short");
        framed.extend(len.to_be_bytes());
        framed.extend(*input);
    }
    framed
}

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(secret: u8, launch: u8) -> PlatformSecret {
        PlatformSecret::new(Zeroizing::new([secret; 32]), [launch; 32])
    }

    fn exposed(root: &PlatformSecret, context: &[u8]) -> String {
        hex::encode(root.seal_key(context).unwrap().expose())
    }

    /// By Python's hmac over RFC 5869: extract with salt `jeju-sealing-v1`, expand over the length-prefixed inputs.
    #[test]
    fn golden() {
        assert_eq!(
            exposed(&root(1, 2), b"signer"),
            "b3fa6d3963a64f6934d42dd82f7557183a778bc1c9ac3748d2968dc54ee5bb22"
        );
    }

    #[test]
    fn secret_launch_document_and_purpose_each_give_another_key() {
        let one = exposed(&root(1, 2), b"signer");
        assert_eq!(one, exposed(&root(1, 2), b"signer"));
        for other in [
            exposed(&root(3, 2), b"signer"),
            exposed(&root(1, 3), b"signer"),
            exposed(&root(1, 2), b"worker"),
            exposed(&root(1, 2), b""),
        ] {
            assert_ne!(one, other);
        }
        assert!(Unsealable.seal_key(b"signer").is_none());
    }

    #[test]
    fn keys_are_not_printed() {
        let root = root(0x5a, 2);
        let key = root.seal_key(b"").unwrap();
        assert_eq!(format!("{root:?} {key:?}"), "PlatformSecret SealingKey");
    }

    #[test]
    fn each_space_has_keys_of_its_own() {
        let key = SealingKey::new(Zeroizing::new([7; 32]));
        assert_eq!(Keys::new(&key, "a").id(), Keys::new(&key, "a").id());
        assert_ne!(Keys::new(&key, "a").id(), Keys::new(&key, "b").id());
    }
}
