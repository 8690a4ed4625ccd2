//! The key by which a member signs what must be provable to others. New at each boot; evidence vouches for its public half.

use frost_core::{Signature, SigningKey, VerifyingKey};
use frost_secp256k1::Secp256K1Sha256;
use rand_core::{CryptoRng, RngCore};

/// Secret half.
pub struct IdentityKey(SigningKey<Secp256K1Sha256>);

impl IdentityKey {
    /// A new key.
    pub fn generate<R: RngCore + CryptoRng>(rng: &mut R) -> Self {
        Self(SigningKey::new(rng))
    }

    /// The public half.
    pub fn public(&self) -> IdentityPublic {
        IdentityPublic(VerifyingKey::from(&self.0))
    }

    /// Signs; the caller's bytes name what they are for.
    pub fn sign<R: RngCore + CryptoRng>(&self, bytes: &[u8], rng: &mut R) -> [u8; 65] {
        self.0
            .sign(rng, bytes)
            .serialize()
            .ok()
            .and_then(|signature| signature.try_into().ok())
            .expect("nonces aren't zero, so their commitment has an encoding of 33 bytes")
    }
}

impl std::fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityKey(..)")
    }
}

/// Public half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityPublic(VerifyingKey<Secp256K1Sha256>);

impl IdentityPublic {
    /// Reads a SEC1 compressed point.
    pub fn from_bytes(bytes: &[u8; 33]) -> Option<Self> {
        VerifyingKey::deserialize(bytes).ok().map(Self)
    }

    /// SEC1 compressed point.
    pub fn to_bytes(self) -> [u8; 33] {
        self.0
            .serialize()
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .expect("a key that was read or made isn't the identity")
    }

    /// Whether this key signed these bytes.
    pub fn verify(&self, bytes: &[u8], signature: &[u8; 65]) -> bool {
        Signature::deserialize(signature).is_ok_and(|signature| self.0.verify(bytes, &signature).is_ok())
    }
}
