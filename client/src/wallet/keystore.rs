//! One encrypted key: Web3 Secret Storage, version 3, as geth, cast and most wallets write it.
//!
//! The password makes 32 bytes ([`Kdf`]): the first 16 encrypt (AES-128-CTR), the last 16 authenticate the ciphertext
//! (Keccak-256). The format leaves the counter block and the address outside of that: a changed counter block gives another
//! key, which only the address betrays. So we always write it, and compare it wherever it is.

use std::fmt;

use aws_lc_rs::cipher::{
    AES_128, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::iv::FixedLength;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::keccak;
use jeju_wallet_auth::signature::AccountKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::WalletError;
use super::hex_field::Word;
use super::kdf::{DerivedKey, Kdf};
use super::password::Password;

/// Longest file that is read, in bytes.
pub const MAX_LEN: usize = 16 * 1024;
const VERSION: u32 = 3;
const CIPHER: &str = "aes-128-ctr";

/// An encrypted key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keystore {
    /// The account, as the file says: nothing vouches for it before the key is decrypted.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "address"
    )]
    address: Option<Word<20>>,
    /// Some older wallets write it in upper case.
    #[serde(alias = "Crypto")]
    crypto: Crypto,
    /// Names the file, nothing else; some leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    version: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: Word<32>,
    #[serde(flatten)]
    kdf: Kdf,
    mac: Word<32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CipherParams {
    iv: Word<16>,
}

impl Keystore {
    /// Reads a file's content.
    ///
    /// # Errors
    /// [`WalletError::Json`], [`WalletError::Unsupported`], [`WalletError::Parameters`], [`WalletError::Costly`].
    pub fn parse(text: &[u8]) -> Result<Self, WalletError> {
        let keystore: Self = serde_json::from_slice(text).map_err(|error| WalletError::Json {
            line: error.line(),
            column: error.column(),
        })?;
        if keystore.version != VERSION {
            return Err(WalletError::Unsupported("another version than 3"));
        }
        if keystore.crypto.cipher != CIPHER {
            return Err(WalletError::Unsupported("another cipher than aes-128-ctr"));
        }
        keystore.crypto.kdf.check()?;
        Ok(keystore)
    }

    /// Encrypts a key.
    ///
    /// # Errors
    /// [`WalletError::Crypto`]: no random numbers.
    pub fn encrypt(key: &AccountKey, password: &Password) -> Result<Self, WalletError> {
        Self::encrypt_with(key, password, Kdf::ours(Word(random()?)), Word(random()?))
    }

    fn encrypt_with(
        key: &AccountKey,
        password: &Password,
        kdf: Kdf,
        iv: Word<16>,
    ) -> Result<Self, WalletError> {
        let derived = kdf.derive(password.bytes())?;
        let mut text = key.to_bytes();
        let cipher = EncryptingKey::ctr(unbound(&derived)?).map_err(|_| WalletError::Crypto)?;
        cipher
            .less_safe_encrypt(
                text.as_mut_slice(),
                EncryptionContext::Iv128(FixedLength::from(iv.0)),
            )
            .map_err(|_| WalletError::Crypto)?;
        Ok(Self {
            address: Some(Word(key.account().0)),
            id: Some(uuid()?),
            version: VERSION,
            crypto: Crypto {
                cipher: CIPHER.to_owned(),
                cipherparams: CipherParams { iv },
                ciphertext: Word(*text),
                mac: Word(mac(&derived, &text)),
                kdf,
            },
        })
    }

    /// The key.
    ///
    /// # Errors
    /// [`WalletError::Password`]: it is wrong, or the file was changed; [`WalletError::Address`].
    pub fn decrypt(&self, password: &Password) -> Result<AccountKey, WalletError> {
        let crypto = &self.crypto;
        let derived = crypto.kdf.derive(password.bytes())?;
        let expected = mac(&derived, &crypto.ciphertext.0);
        verify_slices_are_equal(&expected, &crypto.mac.0).map_err(|_| WalletError::Password)?;
        let mut text = Zeroizing::new(crypto.ciphertext.0);
        let cipher = DecryptingKey::ctr(unbound(&derived)?).map_err(|_| WalletError::Crypto)?;
        let iv = DecryptionContext::Iv128(FixedLength::from(crypto.cipherparams.iv.0));
        cipher
            .decrypt(text.as_mut_slice(), iv)
            .map_err(|_| WalletError::Crypto)?;
        let key = AccountKey::from_bytes(&text).ok_or(WalletError::Parameters("the key is out of range"))?;
        match self.claimed() {
            Some(claimed) if claimed != key.account() => Err(WalletError::Address {
                claimed,
                found: key.account(),
            }),
            _ => Ok(key),
        }
    }

    /// The account that the file names, unproved.
    pub fn claimed(&self) -> Option<Account> {
        self.address.map(|address| Account(address.0))
    }
}

impl fmt::Display for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// An address that is there but empty, as some write it, is none.
fn address<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Word<20>>, D::Error> {
    let bytes = Option::<super::hex_field::Bytes>::deserialize(deserializer)?;
    match bytes {
        Some(bytes) if !bytes.0.is_empty() => match bytes.0.try_into() {
            Ok(address) => Ok(Some(Word(address))),
            Err(_) => Err(serde::de::Error::custom("of another length")),
        },
        _ => Ok(None),
    }
}

fn unbound(derived: &DerivedKey) -> Result<UnboundCipherKey, WalletError> {
    UnboundCipherKey::new(&AES_128, &derived[..16]).map_err(|_| WalletError::Crypto)
}

fn mac(derived: &DerivedKey, ciphertext: &[u8; 32]) -> [u8; 32] {
    keccak(&[&derived[16..], ciphertext])
}

fn random<const N: usize>() -> Result<[u8; N], WalletError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| WalletError::Crypto)?;
    Ok(bytes)
}

/// Version 4 of RFC 9562.
fn uuid() -> Result<String, WalletError> {
    let mut bytes: [u8; 16] = random()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    let parts = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    Ok(parts.join("-"))
}

#[cfg(test)]
mod tests;
