//! Signatures of accounts: secp256k1, recoverable, in their one canonical form.

use std::fmt;

use k256::ecdsa::{RecoveryId, Signature as Ecdsa, SigningKey, VerifyingKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::account::Account;
use crate::eip712::keccak;

/// Length of a signature: r, s, v.
pub const LEN: usize = 65;

/// Why a signature names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Not `0x` and 130 hexadecimal digits.
    #[error("a signature is 0x and 130 hexadecimal digits")]
    Form,
    /// v isn't 27 or 28.
    #[error("v of the signature is {0}, not 27 or 28")]
    Recovery(u8),
    /// r or s isn't a number between 1 and the group's order.
    #[error("r or s of the signature is out of range")]
    Range,
    /// s lies in the upper half: the same message would have two signatures.
    #[error("s of the signature lies in the upper half of the group's order")]
    HighS,
    /// No key gives this signature over this message.
    #[error("the signature recovers no key")]
    Unrecoverable,
}

/// r ‖ s ‖ v, s in the lower half of the group's order, v 27 or 28.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; LEN]);

impl Signature {
    /// Reads `0x` and hexadecimal digits.
    ///
    /// # Errors
    /// [`SignatureError::Form`].
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let digits = text.strip_prefix("0x").ok_or(SignatureError::Form)?;
        let mut bytes = [0; LEN];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| SignatureError::Form)?;
        Ok(Self(bytes))
    }

    /// The account whose key signed `digest`.
    ///
    /// # Errors
    /// Any of [`SignatureError`] but [`SignatureError::Form`].
    pub fn recover(&self, digest: &[u8; 32]) -> Result<Account, SignatureError> {
        let v = self.0[64];
        let recovery = match v {
            27 | 28 => RecoveryId::new(v == 28, false),
            _ => return Err(SignatureError::Recovery(v)),
        };
        let signature = Ecdsa::from_slice(&self.0[..64]).map_err(|_| SignatureError::Range)?;
        if signature.normalize_s() != signature {
            return Err(SignatureError::HighS);
        }
        VerifyingKey::recover_from_prehash(digest, &signature, recovery)
            .map(|key| account_of(&key))
            .map_err(|_| SignatureError::Unrecoverable)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

/// What a wallet signs of a text (EIP-191, `personal_sign`).
pub fn text_digest(text: &str) -> [u8; 32] {
    let length = text.len().to_string();
    keccak(&[
        b"\x19Ethereum Signed Message:\n",
        length.as_bytes(),
        text.as_bytes(),
    ])
}

/// An account's key. `Debug` shows its address; k256 wipes it on drop.
pub struct AccountKey(SigningKey);

impl AccountKey {
    /// From 32 bytes, big-endian. `None`: not a number between 1 and the group's order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        SigningKey::from_slice(bytes).ok().map(Self)
    }

    /// From 32 bytes in hexadecimal, with or without `0x`, spaces around it left out. `None`: anything else.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let text = text.strip_prefix(b"0x").unwrap_or(text);
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text, bytes.as_mut_slice()).ok()?;
        Self::from_bytes(&bytes)
    }

    /// Its account.
    pub fn account(&self) -> Account {
        account_of(self.0.verifying_key())
    }

    /// The public key, as a compressed point.
    pub fn public(&self) -> [u8; 33] {
        let point = self.0.verifying_key().to_sec1_point(true);
        let bytes = point.as_bytes().try_into();
        bytes.expect("a compressed secp256k1 point has 33 bytes")
    }

    /// The key itself, to be encrypted.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// Signs a digest, deterministically (RFC 6979).
    pub fn sign(&self, digest: &[u8; 32]) -> Signature {
        let (signature, recovery) = self.0.sign_prehash_recoverable(digest);
        let mut bytes = [0; LEN];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + u8::from(recovery.is_y_odd());
        Signature(bytes)
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({})", self.account())
    }
}

/// The account of a public key, a compressed point. `None`: there is no such point.
pub fn account_of_public(key: &[u8; 33]) -> Option<Account> {
    VerifyingKey::from_sec1_bytes(key)
        .ok()
        .map(|key| account_of(&key))
}

fn account_of(key: &VerifyingKey) -> Account {
    let point = key.to_sec1_point(false);
    let hash = keccak(&[&point.as_bytes()[1..]]);
    Account(hash[12..].try_into().expect("a Keccak-256 digest has 32 bytes"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The second key of the development mnemonic "test test … junk".
    pub(crate) fn user() -> AccountKey {
        AccountKey::from_hex(b"0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d").unwrap()
    }

    /// Its first.
    pub(crate) fn provider() -> Account {
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".parse().unwrap()
    }

    #[test]
    fn a_key_is_its_account() {
        let user = user();
        assert_eq!(
            user.account().to_string(),
            "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
        );
        assert_eq!(
            format!("{user:?}"),
            "AccountKey(0x70997970C51812dc3A010C7d01b50e0d17dc79C8)"
        );
        let digest = text_digest("text");
        assert_eq!(user.sign(&digest).recover(&digest), Ok(user.account()));
        assert_eq!(account_of_public(&user.public()), Some(user.account()));
        assert_eq!(account_of_public(&[9; 33]), None);
        assert_ne!(
            user.sign(&digest).recover(&text_digest("another")),
            Ok(user.account())
        );
    }

    #[test]
    fn other_forms_are_refused() {
        let digest = text_digest("text");
        let signature = user().sign(&digest);
        let text = signature.to_string();
        assert_eq!(Signature::parse(&text), Ok(signature));
        for wrong in [&text[2..], &text[..130], &format!("{text}00"), "0x", ""] {
            assert_eq!(Signature::parse(wrong), Err(SignatureError::Form));
        }
        let changed = |change: fn(&mut [u8; LEN])| {
            let mut bytes = signature.0;
            change(&mut bytes);
            Signature(bytes).recover(&digest)
        };
        for v in [0, 1, 26, 29, 255] {
            let mut bytes = signature.0;
            bytes[64] = v;
            assert_eq!(
                Signature(bytes).recover(&digest),
                Err(SignatureError::Recovery(v))
            );
        }
        assert_eq!(changed(|bytes| bytes[..32].fill(0)), Err(SignatureError::Range));
        assert_eq!(changed(|bytes| bytes[32..64].fill(0)), Err(SignatureError::Range));
        assert_eq!(
            changed(|bytes| bytes[..32].fill(0xff)),
            Err(SignatureError::Range)
        );
        // n - s with the other v signs the same message for the same key, in another form.
        let high = (-*Ecdsa::from_slice(&signature.0[..64]).unwrap().s()).to_bytes();
        let mut bytes = signature.0;
        bytes[32..64].copy_from_slice(&high);
        bytes[64] = 27 + 28 - bytes[64];
        assert_eq!(Signature(bytes).recover(&digest), Err(SignatureError::HighS));
    }
}
