//! The committee's key, made by all members together (the distributed key generation of FROST): nobody ever has it whole.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use frost_secp256k1::Identifier;
use frost_secp256k1::keys::dkg::{self, round1, round2};
use jeju_attestation::hash::sha256;
use rand_core::OsRng;
use zeroize::Zeroizing;

use super::exchange::Exchange;
use super::member::identifier;
use super::{CommitteeError, Share};

const OFFER: &str = "keygen-offer";
const SECRET: &str = "keygen-secret";
const CONFIRM: &str = "keygen-confirm";
/// Length of an X25519 key.
const POINT: usize = 32;

/// What the ceremony is about, where there is nothing before it.
pub(super) const ABOUT: [u8; 32] = [0; 32];

/// Takes part until all members have confirmed that they have the same key.
///
/// # Errors
/// [`CommitteeError::Silent`]; [`CommitteeError::Message`] names who didn't keep to the protocol.
pub(super) async fn keygen(exchange: &Exchange<'_>) -> Result<Share, CommitteeError> {
    let committee = exchange.committee;
    let everybody: Vec<u16> = committee.numbers().collect();
    let others: Vec<u16> = committee
        .numbers()
        .filter(|number| *number != exchange.member)
        .collect();

    // Round 1: commitments to a polynomial of one's own, and a key under which others send their secrets.
    let own = identifier(exchange.member)?;
    let (polynomial, package) = dkg::part1(own, everybody.len() as u16, committee.threshold, OsRng)
        .map_err(|_| CommitteeError::Members("no such key can be made"))?;
    let private = PrivateKey::generate(&X25519).map_err(|_| CommitteeError::Crypto("no random numbers"))?;
    let public = private
        .compute_public_key()
        .map_err(|_| CommitteeError::Crypto("X25519"))?;
    let offer = package
        .serialize()
        .map_err(|_| CommitteeError::Crypto("a package is bytes"))?;
    exchange.say(OFFER, &[public.as_ref(), &offer].concat())?;
    let offers = exchange.hear(OFFER, &everybody).await?;
    // Whoever shows different members different offers gets nowhere: nobody's secrets open.
    let transcript = sha256(&offers.iter().flat_map(|offer| sha256(offer)).collect::<Vec<_>>());
    let mut packages: BTreeMap<Identifier, round1::Package> = BTreeMap::new();
    let mut keys: BTreeMap<u16, [u8; POINT]> = BTreeMap::new();
    for &member in &others {
        let offered = offers.get(usize::from(member) - 1).and_then(|offer| {
            let (key, package) = offer.split_first_chunk::<POINT>()?;
            Some((*key, round1::Package::deserialize(package).ok()?))
        });
        let (key, package) = offered.ok_or(wrong(member, "no offer"))?;
        keys.insert(member, key);
        packages.insert(identifier(member)?, package);
    }

    // Round 2: a secret for each other member.
    let (polynomial, secrets) =
        dkg::part2(polynomial, &packages).map_err(|error| blamed(&error, &others, "no proof of its part"))?;
    let mut sent = Vec::new();
    for &member in &others {
        let secret = secrets
            .get(&identifier(member)?)
            .ok_or(CommitteeError::Crypto("a secret for each"))?;
        let mut secret = Zeroizing::new(
            secret
                .serialize()
                .map_err(|_| CommitteeError::Crypto("a package is bytes"))?,
        );
        let path = Path {
            from: exchange.member,
            to: member,
            transcript,
        };
        let nonce = path
            .key(&private, keys[&member])?
            .seal_in_place_append_tag(Aad::empty(), &mut *secret)
            .map_err(|_| CommitteeError::Crypto("no random numbers"))?;
        sent.extend(member.to_be_bytes());
        sent.extend((NONCE_LEN + secret.len()).to_be_bytes());
        sent.extend(nonce.as_ref());
        sent.extend_from_slice(&secret);
    }
    exchange.say(SECRET, &sent)?;
    let mut received: BTreeMap<Identifier, round2::Package> = BTreeMap::new();
    for (member, all) in others.iter().zip(exchange.hear(SECRET, &others).await?) {
        let path = Path {
            from: *member,
            to: exchange.member,
            transcript,
        };
        let secret = part_of(&all, exchange.member).and_then(|sealed| {
            let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
            let mut sealed = Zeroizing::new(sealed.to_vec());
            let key = path.key(&private, keys[member]).ok()?;
            let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut sealed);
            round2::Package::deserialize(opened.ok()?).ok()
        });
        let secret = secret.ok_or(wrong(
            *member,
            "its secret does not open, or members saw different offers",
        ))?;
        received.insert(identifier(*member)?, secret);
    }

    // Round 3: the share, which exists nowhere else, and the same public key for everybody.
    let (key, group) = dkg::part3(&polynomial, &packages, &received)
        .map_err(|error| blamed(&error, &others, "its secret does not fit what it offered"))?;
    let public = group
        .serialize()
        .map_err(|_| CommitteeError::Crypto("a key is bytes"))?;
    exchange.say(CONFIRM, &sha256(&public))?;
    for (member, confirmed) in others.iter().zip(exchange.hear(CONFIRM, &others).await?) {
        if confirmed != sha256(&public) {
            return Err(wrong(*member, "it has another key"));
        }
    }
    Ok(Share {
        committee: committee.clone(),
        member: exchange.member,
        key,
        group,
    })
}

/// From whom to whom, in which ceremony.
struct Path {
    from: u16,
    to: u16,
    transcript: [u8; 32],
}

impl Path {
    /// A key for one message.
    fn key(&self, own: &PrivateKey, other: [u8; POINT]) -> Result<RandomizedNonceKey, CommitteeError> {
        let failed = CommitteeError::Crypto("X25519");
        let key = agree(own, UnparsedPublicKey::new(&X25519, other), (), |shared| {
            let (from, to) = (self.from.to_be_bytes(), self.to.to_be_bytes());
            let bytes = [
                b"jeju-committee-secret-v1\0",
                shared,
                &self.transcript,
                &from,
                &to,
            ]
            .concat();
            Ok(Zeroizing::new(sha256(&Zeroizing::new(bytes))))
        });
        let key = key.map_err(|()| CommitteeError::Crypto("X25519"))?;
        RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| failed)
    }
}

/// The part that is for a member.
fn part_of(mut all: &[u8], member: u16) -> Option<&[u8]> {
    loop {
        let (to, rest) = all.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        if u16::from_be_bytes(*to) == member {
            return Some(part);
        }
        all = rest;
    }
}

fn wrong(member: u16, what: &'static str) -> CommitteeError {
    CommitteeError::Message { member, what }
}

/// Names the member that the protocol caught.
pub(super) fn blamed(error: &frost_secp256k1::Error, members: &[u16], what: &'static str) -> CommitteeError {
    let culprits = error.culprits();
    let is_culprit = |member: &&u16| identifier(**member).is_ok_and(|name| culprits.contains(&name));
    match members.iter().find(is_culprit) {
        Some(member) => wrong(*member, what),
        None => CommitteeError::Crypto(what),
    }
}
