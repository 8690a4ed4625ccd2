//! The key by which clients know the node: made at its start, gone with it, and vouched for by every quote.

use std::fmt;

use rand_core::{OsRng, RngCore};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use zeroize::Zeroizing;

/// An Ed25519 host key.
pub struct HostKey(PrivateKey);

impl HostKey {
    /// A new one.
    pub fn generate() -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(seed.as_mut());
        Self(Ed25519Keypair::from_seed(&seed).into())
    }

    /// The public key: 32 bytes, RFC 8032.
    pub fn public(&self) -> [u8; 32] {
        match self.0.public_key().key_data().ed25519() {
            Some(key) => key.0,
            None => unreachable!("made as an Ed25519 key"),
        }
    }

    pub(super) fn into_private(self) -> PrivateKey {
        self.0
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostKey")
            .field("public", &hex::encode(self.public()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_key_is_new_each_time_and_shows_its_public_half_only() {
        let (first, second) = (HostKey::generate(), HostKey::generate());
        assert_ne!(first.public(), second.public());
        let shown = format!("{first:?}");
        assert_eq!(
            shown,
            format!("HostKey {{ public: {:?}, .. }}", hex::encode(first.public()))
        );
    }
}
