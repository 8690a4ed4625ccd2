//! One signature of the committee over one statement, by members who each verified the evidence themselves.

use std::collections::BTreeMap;
use std::path::Path;

use frost_secp256k1::round1::{self, SigningCommitments};
use frost_secp256k1::round2::{self, SignatureShare};
use frost_secp256k1::{Identifier, SigningPackage, aggregate};
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use rand_core::OsRng;
use serde::{Deserialize, Serialize};

use super::exchange::{Exchange, write_new};
use super::keygen::blamed;
use super::member::identifier;
use super::{CommitteeError, Share, Statement};
use crate::files;

const COMMIT: &str = "sign-commit";
const SHARE: &str = "sign-share";
/// Longest file, in bytes.
const MAX_LEN: usize = 16 * 1024;

/// What `AttestedKeyRegistry` takes: the statement, and the committee's signature of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// What the quote was found to say.
    pub statement: Statement,
    /// FROST signature: R compressed, z.
    pub signature: HexBytes<65>,
}

impl Proof {
    /// Writes a file that isn't there yet.
    ///
    /// # Errors
    /// [`CommitteeError::Exists`], [`CommitteeError::File`].
    pub fn write(&self, path: &Path) -> Result<(), CommitteeError> {
        let text = serde_json::to_vec(self).map_err(|_| CommitteeError::Crypto("a proof is JSON"))?;
        write_new(path, &text)
    }

    /// Reads a file. The contract says whether it is one.
    ///
    /// # Errors
    /// [`CommitteeError::Malformed`].
    pub fn read(path: &Path) -> Result<Self, CommitteeError> {
        let malformed = |what| CommitteeError::Malformed {
            path: path.to_owned(),
            what,
        };
        let text = files::read(path, MAX_LEN).map_err(|_| malformed("it can't be read"))?;
        serde_json::from_slice(&text).map_err(|_| malformed("not a proof of the committee"))
    }
}

/// Signs together with these members, of whom this one is one. The nonces never leave this process, and go with it.
///
/// # Errors
/// [`CommitteeError::Silent`]; [`CommitteeError::Message`] names who didn't keep to the protocol.
pub(super) async fn sign(
    exchange: &Exchange<'_>,
    share: &Share,
    digest: &[u8; 32],
    signers: &[u16],
) -> Result<HexBytes<65>, CommitteeError> {
    let (nonces, commitments) = round1::commit(share.key.signing_share(), &mut OsRng);
    let said = commitments
        .serialize()
        .map_err(|_| CommitteeError::Crypto("commitments are bytes"))?;
    exchange.say(COMMIT, &said)?;
    let mut all: BTreeMap<Identifier, SigningCommitments> = BTreeMap::new();
    for (member, said) in signers.iter().zip(exchange.hear(COMMIT, signers).await?) {
        let theirs = SigningCommitments::deserialize(&said).map_err(|_| wrong(*member, "no commitments"))?;
        all.insert(identifier(*member)?, theirs);
    }
    let package = SigningPackage::new(all, digest);
    let about = package
        .serialize()
        .map_err(|_| CommitteeError::Crypto("commitments are bytes"))?;
    let part = round2::sign(&package, &nonces, &share.key)
        .map_err(|_| CommitteeError::Crypto("these members can't sign together"))?;
    drop(nonces);
    exchange.say(SHARE, &[&sha256(&about)[..], &part.serialize()].concat())?;
    let mut parts: BTreeMap<Identifier, SignatureShare> = BTreeMap::new();
    for (member, said) in signers.iter().zip(exchange.hear(SHARE, signers).await?) {
        let part = said
            .split_first_chunk::<32>()
            .filter(|(of, _)| **of == sha256(&about))
            .and_then(|(_, part)| SignatureShare::deserialize(part).ok());
        parts.insert(
            identifier(*member)?,
            part.ok_or(wrong(*member, "no part of this signature"))?,
        );
    }
    let signature = aggregate(&package, &parts, &share.group)
        .map_err(|error| blamed(&error, signers, "its part of the signature is wrong"))?;
    let bytes = signature.serialize().ok().and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(HexBytes)
        .ok_or(CommitteeError::Crypto("a signature has 65 bytes"))
}

fn wrong(member: u16, what: &'static str) -> CommitteeError {
    CommitteeError::Message { member, what }
}
