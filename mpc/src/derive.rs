//! Keys of users, derived from one generated key in the manner of BIP-32's public derivation: every member adds the same
//! number to its share, and anybody who knows the root's public key can compute the user's.
//!
//! Whoever learns the *secret* of a derived key and the chain code learns the root's; with threshold keys nobody ever has
//! one. The chain code is no secret: it keeps networks and roots apart.

use frost_core::keys::{KeyPackage, PublicKeyPackage, SigningShare, VerifyingShare};
use frost_core::{Field, Group, Scalar, VerifyingKey};
use jeju_attestation::hash::tagged_sha256;
use sha2::{Digest, Sha512};
use zeroize::Zeroize;

use crate::message::Point;
use crate::network::KeyId;
use crate::suite::Suite;

/// The chain code of a root.
pub(crate) fn chain_code(genesis: &[u8; 32], root_public: &Point) -> [u8; 32] {
    tagged_sha256("jeju-mpc-chain-code-v1", &[genesis, root_public])
}

/// Key packages of a derived key, or `None` for the one key id in 2^127 that has none.
pub(crate) fn child<C: Suite>(
    genesis: &[u8; 32],
    key: &KeyPackage<C>,
    public: &PublicKeyPackage<C>,
    id: KeyId,
) -> Option<(KeyPackage<C>, PublicKeyPackage<C>)> {
    let root = point::<C>(public.verifying_key())?;
    let tweak = tweak::<C>(&chain_code(genesis, &root), &root, id)?;
    let offset = C::Group::generator() * tweak;
    let verifying_key = VerifyingKey::new(public.verifying_key().to_element() + offset);
    let moved = |share: &VerifyingShare<C>| VerifyingShare::new(share.to_element() + offset);
    let shares = public
        .verifying_shares()
        .iter()
        .map(|(member, share)| (*member, moved(share)))
        .collect();
    // Adding the tweak to a sum of shares weighted by Lagrange coefficients adds it once, since these sum up to one.
    let child = KeyPackage::new(
        *key.identifier(),
        SigningShare::new(key.signing_share().to_scalar() + tweak),
        moved(key.verifying_share()),
        verifying_key,
        *key.min_signers(),
    );
    let child_public = PublicKeyPackage::new(shares, verifying_key, public.min_signers());
    // A key or share that is the group's identity has no encoding.
    point::<C>(&verifying_key)?;
    Some(C::normalised(child, child_public))
}

/// SEC1 compressed encoding, which the identity doesn't have.
pub(crate) fn point<C: Suite>(key: &VerifyingKey<C>) -> Option<Point> {
    key.serialize().ok()?.try_into().ok()
}

fn tweak<C: Suite>(chain_code: &[u8; 32], root: &Point, id: KeyId) -> Option<Scalar<C>> {
    let hash = hmac_sha512(chain_code, &[root, &id.0]);
    let encoded = <<C::Group as Group>::Field as Field>::Serialization::try_from(&hash[..32]).ok()?;
    let tweak = <C::Group as Group>::Field::deserialize(&encoded).ok()?;
    (tweak != <C::Group as Group>::Field::zero()).then_some(tweak)
}

/// RFC 2104 with keys of at most one block.
fn hmac_sha512(key: &[u8; 32], message: &[&[u8]]) -> [u8; 64] {
    let pad = |byte: u8| {
        let mut block = [byte; 128];
        for (block, key) in block.iter_mut().zip(key) {
            *block ^= key;
        }
        block
    };
    let (mut inner_pad, mut outer_pad) = (pad(0x36), pad(0x5C));
    let mut inner = Sha512::new_with_prefix(inner_pad);
    for part in message {
        inner.update(part);
    }
    let mac = Sha512::new_with_prefix(outer_pad)
        .chain_update(inner.finalize())
        .finalize();
    inner_pad.zeroize();
    outer_pad.zeroize();
    mac.into()
}

#[cfg(test)]
mod tests {
    use frost_secp256k1::Secp256K1Sha256;
    use frost_secp256k1_tr::Secp256K1Sha256TR;

    use super::*;
    use crate::network::MemberIndex;
    use crate::suite::identifier;

    /// Case 3 of RFC 4231, with its key padded to 32 bytes: zeros at the end of a short key change nothing.
    #[test]
    fn hmac_of_rfc_4231() {
        let mut key = [0; 32];
        key[..20].fill(0xAA);
        assert_eq!(
            hex::encode(hmac_sha512(&key, &[&[0xDD; 25], &[0xDD; 25]])),
            "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39\
             bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb"
        );
    }

    fn child_signs<C: Suite>(even: bool) {
        let mut rng = rand_core::OsRng;
        let (shares, public) = frost_core::keys::generate_with_dealer::<C, _>(
            3,
            2,
            frost_core::keys::IdentifierList::Default,
            &mut rng,
        )
        .unwrap();
        let keys: Vec<KeyPackage<C>> = shares
            .into_values()
            .map(|share| share.try_into().unwrap())
            .collect();
        for id in 0..4 {
            let (genesis, id) = ([7; 32], KeyId([id; 32]));
            let children: Vec<_> = keys
                .iter()
                .map(|key| child(&genesis, key, &public, id).unwrap())
                .collect();
            assert!(children.iter().all(|(_, public)| *public == children[0].1));
            assert_ne!(children[0].1.verifying_key(), public.verifying_key());
            let secret =
                frost_core::keys::reconstruct(&[children[0].0.clone(), children[2].0.clone()]).unwrap();
            assert_eq!(VerifyingKey::from(secret), *children[0].1.verifying_key());
            for (key, public) in &children {
                assert_eq!(
                    public.verifying_shares()[key.identifier()],
                    *key.verifying_share()
                );
                assert_eq!(VerifyingShare::from(*key.signing_share()), *key.verifying_share());
            }
            if even {
                assert_eq!(point(children[0].1.verifying_key()).unwrap()[0], 2);
            }
        }
        assert!(
            keys.iter()
                .any(|key| *key.identifier() == identifier::<C>(MemberIndex(3)))
        );
    }

    #[test]
    fn children_of_all_shares_are_shares_of_the_child() {
        child_signs::<Secp256K1Sha256>(false);
        child_signs::<Secp256K1Sha256TR>(true);
    }
}
