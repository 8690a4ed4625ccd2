//! A user's key as a member uses it: the rounds of RFC 9591 on bytes, whatever the scheme.

use std::any::Any;
use std::collections::BTreeMap;

use frost_core::keys::{KeyPackage, PublicKeyPackage};
use frost_core::round1::{NonceCommitment, SigningCommitments, SigningNonces};
use frost_core::round2::SignatureShare;
use frost_core::{CheaterDetection, Signature, SigningKey, SigningPackage};
use rand_core::CryptoRngCore;

use crate::derive::point;
use crate::message::{Commitments, Point};
use crate::network::MemberIndex;
use crate::suite::{Suite, identifier, member_of};

/// Two nonces of one signer. They have no encoding and no copy, and signing takes them away.
pub(crate) struct Nonces(Box<dyn Any + Send>);

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces(..)")
    }
}

/// What is signed and by whom, read once.
pub(crate) struct Package(Box<dyn Any + Send>);

/// Why a package can't be read: this signer's commitments are no points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadCommitments(pub(crate) MemberIndex);

/// A key of whichever scheme.
pub(crate) trait UserKey: Send + Sync {
    /// SEC1 compressed point.
    fn public_key(&self) -> Point;

    /// First round.
    fn commit(&self, rng: &mut dyn CryptoRngCore) -> (Nonces, Commitments);

    /// Reads what the signers commit to.
    fn package(
        &self,
        signers: &[(MemberIndex, Commitments)],
        message: &[u8],
    ) -> Result<Package, BadCommitments>;

    /// Second round. The nonces are gone when this returns. `None` if the package isn't for them.
    fn sign(&self, package: &Package, nonces: Nonces) -> Option<[u8; 32]>;

    /// The signature, which verifies; or who gave a bad share, which is nobody if the package is another key's.
    fn aggregate(
        &self,
        package: &Package,
        shares: &[(MemberIndex, [u8; 32])],
    ) -> Result<Vec<u8>, Vec<MemberIndex>>;

    /// Whether this is a signature by the key.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool;

    /// Signs with the one share of a key that has no other.
    fn sign_alone(&self, message: &[u8], rng: &mut dyn CryptoRngCore) -> Option<Vec<u8>>;
}

/// A key of one scheme.
pub(crate) struct KeyOf<C: Suite> {
    key: KeyPackage<C>,
    public: PublicKeyPackage<C>,
}

impl<C: Suite> KeyOf<C> {
    pub(crate) fn new(key: KeyPackage<C>, public: PublicKeyPackage<C>) -> Self {
        Self { key, public }
    }
}

impl<C: Suite> UserKey for KeyOf<C> {
    fn public_key(&self) -> Point {
        point(self.public.verifying_key()).expect("checked when the key was made or read")
    }

    fn commit(&self, mut rng: &mut dyn CryptoRngCore) -> (Nonces, Commitments) {
        let (nonces, commitments) = frost_core::round1::commit(self.key.signing_share(), &mut rng);
        let point = |commitment: &NonceCommitment<C>| {
            commitment
                .serialize()
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .expect("a nonce that is zero is as unlikely as any other value")
        };
        let commitments = Commitments {
            hiding: point(commitments.hiding()),
            binding: point(commitments.binding()),
        };
        (Nonces(Box::new(nonces)), commitments)
    }

    fn package(
        &self,
        signers: &[(MemberIndex, Commitments)],
        message: &[u8],
    ) -> Result<Package, BadCommitments> {
        let commitments = signers
            .iter()
            .map(|(member, commitments)| {
                let read = |point: &Point| NonceCommitment::deserialize(point);
                match (read(&commitments.hiding), read(&commitments.binding)) {
                    (Ok(hiding), Ok(binding)) => {
                        Ok((identifier::<C>(*member), SigningCommitments::new(hiding, binding)))
                    }
                    _ => Err(BadCommitments(*member)),
                }
            })
            .collect::<Result<BTreeMap<_, _>, _>>()?;
        Ok(Package(Box::new(SigningPackage::<C>::new(commitments, message))))
    }

    fn sign(&self, package: &Package, nonces: Nonces) -> Option<[u8; 32]> {
        let package = package.0.downcast_ref::<SigningPackage<C>>()?;
        let nonces = nonces.0.downcast::<SigningNonces<C>>().ok()?;
        let share = frost_core::round2::sign(package, &nonces, &self.key).ok()?;
        // Wiped before the share can leave.
        drop(nonces);
        share.serialize().try_into().ok()
    }

    fn aggregate(
        &self,
        package: &Package,
        shares: &[(MemberIndex, [u8; 32])],
    ) -> Result<Vec<u8>, Vec<MemberIndex>> {
        let package = package
            .0
            .downcast_ref::<SigningPackage<C>>()
            .ok_or_else(Vec::new)?;
        let mut read = BTreeMap::new();
        let mut culprits = Vec::new();
        for (member, share) in shares {
            match SignatureShare::<C>::deserialize(share) {
                Ok(share) => {
                    read.insert(identifier::<C>(*member), share);
                }
                Err(_) => culprits.push(*member),
            }
        }
        if !culprits.is_empty() {
            return Err(culprits);
        }
        frost_core::aggregate_custom(package, &read, &self.public, CheaterDetection::AllCheaters)
            .and_then(|signature| signature.serialize())
            .map_err(|error| error.culprits().into_iter().filter_map(member_of::<C>).collect())
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        verify::<C>(self.public.verifying_key(), message, signature)
    }

    fn sign_alone(&self, message: &[u8], rng: &mut dyn CryptoRngCore) -> Option<Vec<u8>> {
        if *self.key.min_signers() != 1 {
            return None;
        }
        SigningKey::<C>::from_scalar(self.key.signing_share().to_scalar())
            .ok()?
            .sign(rng, message)
            .serialize()
            .ok()
    }
}

/// Whether a signature is its one encoding and verifies.
pub(crate) fn verify<C: Suite>(key: &frost_core::VerifyingKey<C>, message: &[u8], signature: &[u8]) -> bool {
    Signature::<C>::deserialize(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
}

#[cfg(test)]
mod tests;
