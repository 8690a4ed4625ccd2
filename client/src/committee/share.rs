//! A member's share of the committee's key: a file for the member alone, encrypted with its account's key.

use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use aws_lc_rs::aead::{NONCE_LEN, Nonce};
use frost_secp256k1::keys::{KeyPackage, PublicKeyPackage};
use jeju_attestation::hash::sha256;
use jeju_wallet_auth::signature::AccountKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::exchange::write_new;
use super::{Committee, CommitteeError};
use crate::wallet::read_secret;

/// Longest file, in bytes.
const MAX_LEN: usize = 64 * 1024;

/// The share, opened.
pub struct Share {
    /// Whose committee it is.
    pub committee: Committee,
    /// The member's number.
    pub member: u16,
    pub(super) key: KeyPackage,
    pub(super) group: PublicKeyPackage,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    committee: Committee,
    member: u16,
    /// The public key and what of it belongs to each member, in hexadecimal.
    group: String,
    /// In hexadecimal.
    sealed: String,
}

impl Share {
    /// The committee's public key, compressed.
    ///
    /// # Errors
    /// None for a key that was made here.
    pub fn group_key(&self) -> Result<[u8; 33], CommitteeError> {
        let bytes = self.group.verifying_key().serialize();
        let bytes = bytes.map_err(|_| CommitteeError::Crypto("the key is no point"))?;
        bytes
            .try_into()
            .map_err(|_| CommitteeError::Crypto("a key has 33 bytes"))
    }

    /// Writes a file that isn't there yet.
    ///
    /// # Errors
    /// [`CommitteeError::Exists`], [`CommitteeError::File`].
    pub fn write(&self, path: &Path, account: &AccountKey) -> Result<(), CommitteeError> {
        let serialized = |_| CommitteeError::Crypto("a share is bytes");
        let mut sealed = Zeroizing::new(self.key.serialize().map_err(serialized)?);
        let group = self.group.serialize().map_err(serialized)?;
        let nonce = sealing_key(account)?
            .seal_in_place_append_tag(Aad::from(aad(&self.committee, &group)), &mut *sealed)
            .map_err(|_| CommitteeError::Crypto("no random numbers"))?;
        let stored = Stored {
            version: 1,
            committee: self.committee.clone(),
            member: self.member,
            group: hex::encode(&group),
            sealed: hex::encode([nonce.as_ref().as_slice(), &sealed].concat()),
        };
        let text = serde_json::to_vec(&stored).map_err(|_| CommitteeError::Crypto("a share is JSON"))?;
        write_new(path, &text)
    }

    /// Reads a file, and opens it.
    ///
    /// # Errors
    /// [`CommitteeError::Secret`]: others can read it; [`CommitteeError::Malformed`]; [`CommitteeError::Locked`].
    pub fn read(path: &Path, account: &AccountKey) -> Result<Self, CommitteeError> {
        let malformed = |what| CommitteeError::Malformed {
            path: path.to_owned(),
            what,
        };
        let text = read_secret(path, MAX_LEN)?;
        let stored: Stored = serde_json::from_slice(&text).map_err(|_| malformed("not a member's share"))?;
        if stored.version != 1 {
            return Err(malformed("a share of another version"));
        }
        stored.committee.check()?;
        if stored.committee.number(account.account())? != stored.member {
            return Err(CommitteeError::Locked);
        }
        let group = hex::decode(&stored.group).map_err(|_| malformed("no public key"))?;
        let sealed = hex::decode(&stored.sealed).map_err(|_| malformed("no share of a key"))?;
        let Some((nonce, sealed)) = sealed.split_first_chunk::<NONCE_LEN>() else {
            return Err(malformed("too short"));
        };
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let opened = sealing_key(account)?
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(aad(&stored.committee, &group)),
                &mut sealed,
            )
            .map_err(|_| CommitteeError::Locked)?;
        let key = KeyPackage::deserialize(opened).map_err(|_| malformed("no share of a key"))?;
        let group = PublicKeyPackage::deserialize(&group).map_err(|_| malformed("no public key"))?;
        Ok(Self {
            committee: stored.committee,
            member: stored.member,
            key,
            group,
        })
    }
}

fn aad(committee: &Committee, group: &[u8]) -> [u8; 32] {
    sha256(&[&committee.id()[..], group].concat())
}

/// Of the account's key, for this one purpose.
fn sealing_key(account: &AccountKey) -> Result<RandomizedNonceKey, CommitteeError> {
    let secret = account.to_bytes();
    let bytes = Zeroizing::new([&b"jeju-committee-share-v1\0"[..], secret.as_slice()].concat());
    let key = Zeroizing::new(sha256(&bytes));
    RandomizedNonceKey::new(&AES_256_GCM, key.as_slice())
        .map_err(|_| CommitteeError::Crypto("a key has 32 bytes"))
}
