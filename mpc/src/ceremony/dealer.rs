//! The mathematics of one ceremony on bytes, whatever the scheme.

use std::collections::BTreeMap;

use frost_core::keys::dkg::{self, round1, round2};
use frost_core::keys::{CoefficientCommitment, KeyPackage, PublicKeyPackage, SigningShare, refresh};
use frost_core::{Element, Field, Group, Identifier};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use crate::message::{CeremonyKind, Secret};
use crate::network::{MemberIndex, Network};
use crate::suite::{Suite, identifier, member_of};

/// What a ceremony made: key package and public key package, serialised.
pub(crate) type Made = (Zeroizing<Vec<u8>>, Vec<u8>);

/// One member's part in one ceremony.
pub(crate) trait Dealer: Send {
    /// Whether this is a first-round package that the member may have sent.
    fn is_round1(&self, member: MemberIndex, package: &[u8]) -> bool;

    /// Second round; the secret polynomial is gone after it. `None` out of order.
    fn round2(&mut self, round1: &BTreeMap<MemberIndex, &[u8]>) -> Option<Vec<(MemberIndex, Secret)>>;

    /// Whether a second-round share fits its sender's first-round package.
    fn is_round2(&self, round1: &[u8], to: MemberIndex, share: &Secret) -> bool;

    /// The end. All packages have been checked.
    fn finish(
        &mut self,
        round1: &BTreeMap<MemberIndex, &[u8]>,
        round2: &BTreeMap<MemberIndex, &Secret>,
    ) -> Option<Made>;
}

/// A part in the making of new shares, of a new key or of an old one.
pub(crate) struct DealerOf<C: Suite> {
    kind: CeremonyKind,
    me: MemberIndex,
    threshold: u16,
    old: Option<(KeyPackage<C>, PublicKeyPackage<C>)>,
    round1: Option<round1::SecretPackage<C>>,
    round2: Option<round2::SecretPackage<C>>,
}

impl<C: Suite> DealerOf<C> {
    /// First round: the dealer, and the package that goes to everybody. `old` is what is refreshed.
    pub(crate) fn begin(
        network: &Network,
        me: MemberIndex,
        old: Option<(KeyPackage<C>, PublicKeyPackage<C>)>,
        mut rng: &mut dyn CryptoRngCore,
    ) -> Option<(Self, Vec<u8>)> {
        let (name, members, threshold) = (identifier::<C>(me), network.members, network.threshold);
        let (kind, (secret, package)) = match old {
            None => (
                CeremonyKind::KeyGeneration,
                dkg::part1(name, members, threshold, &mut rng).ok()?,
            ),
            Some(_) => (
                CeremonyKind::Refresh,
                refresh::refresh_dkg_part1(name, members, threshold, &mut rng).ok()?,
            ),
        };
        let dealer = Self {
            kind,
            me,
            threshold,
            old,
            round1: Some(secret),
            round2: None,
        };
        Some((dealer, package.serialize().ok()?))
    }

    fn others(
        &self,
        packages: &BTreeMap<MemberIndex, &[u8]>,
    ) -> Option<BTreeMap<Identifier<C>, round1::Package<C>>> {
        packages
            .iter()
            .filter(|(member, _)| **member != self.me)
            .map(|(member, package)| Some((identifier(*member), read_round1(package)?)))
            .collect()
    }
}

impl<C: Suite> Dealer for DealerOf<C> {
    fn is_round1(&self, member: MemberIndex, package: &[u8]) -> bool {
        let Some(package) = read_round1::<C>(package) else {
            return false;
        };
        let (coefficients, proven) = match self.kind {
            CeremonyKind::KeyGeneration => (
                self.threshold,
                dkg::verify_proof_of_knowledge(
                    identifier(member),
                    package.commitment(),
                    package.proof_of_knowledge(),
                )
                .is_ok(),
            ),
            // The constant coefficient is zero and isn't sent, so there is nothing to prove knowledge of.
            CeremonyKind::Refresh => (self.threshold - 1, true),
        };
        package.commitment().coefficients().len() == usize::from(coefficients) && proven
    }

    fn round2(&mut self, round1: &BTreeMap<MemberIndex, &[u8]>) -> Option<Vec<(MemberIndex, Secret)>> {
        let others = self.others(round1)?;
        let secret = self.round1.take()?;
        let (secret, packages) = match self.kind {
            CeremonyKind::KeyGeneration => dkg::part2(secret, &others).ok()?,
            CeremonyKind::Refresh => refresh::refresh_dkg_part2(secret, &others).ok()?,
        };
        self.round2 = Some(secret);
        packages
            .into_iter()
            .map(|(to, package)| {
                let share = Zeroizing::new(package.signing_share().serialize());
                Some((member_of(to)?, Secret::new(share.as_slice().try_into().ok()?)))
            })
            .collect()
    }

    fn is_round2(&self, round1: &[u8], to: MemberIndex, share: &Secret) -> bool {
        let Some(package) = read_round1::<C>(round1) else {
            return false;
        };
        let Ok(share) = SigningShare::<C>::deserialize(share.expose()) else {
            return false;
        };
        let coefficients = package.commitment().coefficients();
        let committed = match self.kind {
            CeremonyKind::KeyGeneration => evaluate::<C>(coefficients, to),
            CeremonyKind::Refresh => evaluate::<C>(coefficients, to) * identifier::<C>(to).to_scalar(),
        };
        C::Group::generator() * share.to_scalar() == committed
    }

    fn finish(
        &mut self,
        round1: &BTreeMap<MemberIndex, &[u8]>,
        round2: &BTreeMap<MemberIndex, &Secret>,
    ) -> Option<Made> {
        let secret = self.round2.take()?;
        let others = self.others(round1)?;
        let shares = round2
            .iter()
            .map(|(member, share)| {
                let share = SigningShare::deserialize(share.expose()).ok()?;
                Some((identifier(*member), round2::Package::new(share)))
            })
            .collect::<Option<BTreeMap<_, _>>>()?;
        let (key, public) = match self.old.take() {
            None => dkg::part3(&secret, &others, &shares).ok()?,
            Some((key, public)) => {
                refresh::refresh_dkg_shares(&secret, &others, &shares, public, key).ok()?
            }
        };
        Some((Zeroizing::new(key.serialize().ok()?), public.serialize().ok()?))
    }
}

/// Reads a first-round package that is the one encoding of itself.
fn read_round1<C: Suite>(bytes: &[u8]) -> Option<round1::Package<C>> {
    let package = round1::Package::<C>::deserialize(bytes).ok()?;
    (package.serialize().ok()? == bytes).then_some(package)
}

/// Value of the committed polynomial at a member, by Horner's rule.
fn evaluate<C: Suite>(coefficients: &[CoefficientCommitment<C>], at: MemberIndex) -> Element<C> {
    let at = identifier::<C>(at).to_scalar();
    coefficients
        .iter()
        .rev()
        .fold(C::Group::identity(), |sum, coefficient| {
            sum * at + coefficient.value()
        })
}

/// The key of a network of one member, which has nobody to share it with.
pub(crate) fn single<C: Suite>(me: MemberIndex, rng: &mut dyn CryptoRngCore) -> Option<Made> {
    let mut rng = rng;
    let secret = <C::Group as Group>::Field::random(&mut rng);
    let share = SigningShare::<C>::new(secret);
    let verifying_share = frost_core::keys::VerifyingShare::from(share);
    let verifying_key = frost_core::VerifyingKey::new(verifying_share.to_element());
    let key = KeyPackage::new(identifier(me), share, verifying_share, verifying_key, 1);
    let public = PublicKeyPackage::new(
        BTreeMap::from([(identifier(me), verifying_share)]),
        verifying_key,
        Some(1),
    );
    let (key, public) = C::normalised(key, public);
    Some((Zeroizing::new(key.serialize().ok()?), public.serialize().ok()?))
}

#[cfg(test)]
mod tests {
    use frost_core::keys::VerifiableSecretSharingCommitment;
    use frost_core::{Scalar, Signature};
    use frost_secp256k1::Secp256K1Sha256;
    use frost_secp256k1_tr::Secp256K1Sha256TR;
    use serde_json::Value;

    use super::*;
    use crate::message::{Message, Signed, Statement};

    const MEMBERS: [u16; 3] = [1, 2, 3];

    fn bytes(value: &Value) -> Vec<u8> {
        hex::decode(value.as_str().unwrap()).unwrap()
    }

    fn sent(statement: Statement) -> Statement {
        let signed = Signed {
            sender: MemberIndex(1),
            statement,
            signature: [0; 65],
        };
        match Message::decode(&Message::Signed(signed).encode()) {
            Ok(Message::Signed(signed)) => signed.statement,
            other => panic!("{other:?}"),
        }
    }

    fn scalar<C: Suite>(value: &Value) -> Scalar<C> {
        SigningShare::<C>::deserialize(&bytes(value)).unwrap().to_scalar()
    }

    fn key_of_the_vectors<C: Suite>(vectors: &str) {
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        let inputs = &vectors["inputs"];
        let of = |member: u16| &inputs[member.to_string()];
        let commitment = |member: u16| {
            let commitments = of(member)["vss_commitments"].as_array().unwrap();
            VerifiableSecretSharingCommitment::<C>::deserialize(commitments.iter().map(bytes)).unwrap()
        };
        let packages: BTreeMap<MemberIndex, Vec<u8>> = MEMBERS
            .into_iter()
            .map(|member| {
                let proof = Signature::deserialize(&bytes(&of(member)["proof_of_knowledge"])).unwrap();
                let package = round1::Package::new(commitment(member), proof)
                    .serialize()
                    .unwrap();
                let Statement::Round1 { package, .. } = sent(Statement::Round1 {
                    session: [1; 32],
                    package,
                }) else {
                    unreachable!()
                };
                (MemberIndex(member), package)
            })
            .collect();
        let packages: BTreeMap<_, _> = packages
            .iter()
            .map(|(member, package)| (*member, package.as_slice()))
            .collect();
        for me in MEMBERS {
            let coefficients = vec![
                scalar::<C>(&of(me)["signing_key"]),
                scalar::<C>(&of(me)["coefficient"]),
            ];
            let mut dealer = DealerOf::<C> {
                kind: CeremonyKind::KeyGeneration,
                me: MemberIndex(me),
                threshold: 2,
                old: None,
                round1: Some(round1::SecretPackage::new(
                    identifier(MemberIndex(me)),
                    coefficients,
                    commitment(me),
                    2,
                    3,
                )),
                round2: None,
            };
            for (member, package) in &packages {
                assert!(dealer.is_round1(*member, package));
                // A proof of knowledge is its maker's alone.
                assert!(!dealer.is_round1(MemberIndex(member.0 % 3 + 1), package));
            }
            for (to, share) in dealer.round2(&packages).unwrap() {
                assert_eq!(
                    share.expose().to_vec(),
                    bytes(&of(to.0)["signing_shares"][me.to_string()])
                );
            }
            assert!(dealer.round2(&packages).is_none());
            let received: BTreeMap<MemberIndex, Secret> = MEMBERS
                .into_iter()
                .filter(|from| *from != me)
                .map(|from| {
                    let share = bytes(&of(me)["signing_shares"][from.to_string()]);
                    let Statement::Round2 { share, .. } = sent(Statement::Round2 {
                        session: [1; 32],
                        to: MemberIndex(me),
                        share: Secret::new(share.try_into().unwrap()),
                    }) else {
                        unreachable!()
                    };
                    let package = packages[&MemberIndex(from)];
                    assert!(dealer.is_round2(package, MemberIndex(me), &share));
                    assert!(!dealer.is_round2(package, MemberIndex(from), &share));
                    (MemberIndex(from), share)
                })
                .collect();
            let received = received.iter().map(|(member, share)| (*member, share)).collect();
            let (key, public) = dealer.finish(&packages, &received).unwrap();
            let key = KeyPackage::<C>::deserialize(&key).unwrap();
            let public = PublicKeyPackage::<C>::deserialize(&public).unwrap();
            assert_eq!(key.signing_share().serialize(), bytes(&of(me)["signing_share"]));
            assert_eq!(
                public.verifying_key().serialize().unwrap(),
                bytes(&inputs["verifying_key"])
            );
            assert_eq!(
                public.verifying_shares()[key.identifier()].serialize().unwrap(),
                bytes(&of(me)["verifying_share"])
            );
        }
    }

    #[test]
    fn published_keys() {
        key_of_the_vectors::<Secp256K1Sha256>(include_str!(
            "../../tests/vectors/frost-secp256k1/vectors_dkg.json"
        ));
        key_of_the_vectors::<Secp256K1Sha256TR>(include_str!(
            "../../tests/vectors/frost-secp256k1-tr/vectors_dkg.json"
        ));
    }
}
