//! How a password becomes a key, and how much work that may be.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::WalletError;
use super::hex_field::{Bytes, Word};

/// Length of the derived key: half of it encrypts, half of it authenticates.
pub const KEY_LEN: usize = 32;
/// Most memory that a file may ask for, in bytes: twice that of geth's own files.
const MAX_MEMORY: u64 = 512 << 20;
/// Most work that a file may ask for, as N·r·p: eight times that of geth's own files.
const MAX_SCRYPT_WORK: u64 = 1 << 24;
/// Most blocks, and most lanes: N is what makes scrypt costly.
const MAX_FACTOR: u32 = 64;
/// Most iterations of PBKDF2.
const MAX_ITERATIONS: u32 = 10_000_000;
/// Longest salt in bytes.
const MAX_SALT: usize = 64;

/// What we write: OWASP's recommendation, 128 MiB and about half a second.
const OUR_N: u64 = 1 << 17;
const OUR_R: u32 = 8;
const OUR_P: u32 = 1;

/// A derived key.
pub type DerivedKey = Zeroizing<[u8; KEY_LEN]>;

/// A key derivation, in the form of a keystore's `kdf` and `kdfparams`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kdf", content = "kdfparams", rename_all = "lowercase")]
pub enum Kdf {
    /// RFC 7914.
    Scrypt(ScryptParams),
    /// RFC 8018.
    Pbkdf2(Pbkdf2Params),
}

/// Parameters of scrypt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScryptParams {
    /// Length of the key.
    pub dklen: u32,
    /// Cost, a power of two.
    pub n: u64,
    /// Lanes.
    pub p: u32,
    /// Block size.
    pub r: u32,
    /// Salt.
    pub salt: Bytes,
}

/// Parameters of PBKDF2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pbkdf2Params {
    /// Iterations.
    pub c: u32,
    /// Length of the key.
    pub dklen: u32,
    /// `hmac-sha256`.
    pub prf: String,
    /// Salt.
    pub salt: Bytes,
}

impl Kdf {
    /// Our own choice, with this salt.
    pub fn ours(salt: Word<32>) -> Self {
        Kdf::Scrypt(ScryptParams {
            dklen: KEY_LEN as u32,
            n: OUR_N,
            p: OUR_P,
            r: OUR_R,
            salt: Bytes(salt.0.to_vec()),
        })
    }

    /// Refuses what asks for too much, before anything is allocated for it.
    ///
    /// # Errors
    /// [`WalletError::Costly`], [`WalletError::Unsupported`], [`WalletError::Parameters`].
    pub fn check(&self) -> Result<(), WalletError> {
        let (dklen, salt) = match self {
            Kdf::Scrypt(params) => {
                params.log_n()?;
                (params.dklen, &params.salt)
            }
            Kdf::Pbkdf2(params) => {
                params.iterations()?;
                (params.dklen, &params.salt)
            }
        };
        if dklen as usize != KEY_LEN {
            return Err(WalletError::Unsupported("a derived key that isn't of 32 bytes"));
        }
        if salt.0.is_empty() || salt.0.len() > MAX_SALT {
            return Err(WalletError::Parameters("kdfparams.salt has 1 to 64 bytes"));
        }
        Ok(())
    }

    /// Derives the key.
    ///
    /// # Errors
    /// As [`Kdf::check`].
    pub fn derive(&self, password: &[u8]) -> Result<DerivedKey, WalletError> {
        self.check()?;
        let mut key = Zeroizing::new([0; KEY_LEN]);
        match self {
            Kdf::Scrypt(params) => {
                let invalid = || WalletError::Parameters("kdfparams aren't scrypt's");
                let checked =
                    scrypt::Params::new(params.log_n()?, params.r, params.p).map_err(|_| invalid())?;
                scrypt::scrypt(password, &params.salt.0, &checked, key.as_mut_slice())
                    .map_err(|_| invalid())?;
            }
            Kdf::Pbkdf2(params) => pbkdf2::derive(
                pbkdf2::PBKDF2_HMAC_SHA256,
                params.iterations()?,
                &params.salt.0,
                password,
                key.as_mut_slice(),
            ),
        }
        Ok(key)
    }
}

impl ScryptParams {
    /// Logarithm of N, of parameters that aren't too costly.
    fn log_n(&self) -> Result<u8, WalletError> {
        if !self.n.is_power_of_two() || self.n < 2 {
            return Err(WalletError::Parameters("kdfparams.n is a power of two"));
        }
        if self.r == 0 || self.p == 0 {
            return Err(WalletError::Parameters("kdfparams.r and p are at least 1"));
        }
        let costly = || WalletError::Costly {
            what: format!("scrypt with n {}, r {}, p {}", self.n, self.r, self.p),
            limit: "512 MiB of memory (128·n·r), 2^24 steps (n·r·p), r and p 64",
        };
        if self.r > MAX_FACTOR || self.p > MAX_FACTOR {
            return Err(costly());
        }
        let blocks = self.n.saturating_mul(self.r.into());
        if blocks > MAX_MEMORY / 128 || blocks.saturating_mul(self.p.into()) > MAX_SCRYPT_WORK {
            return Err(costly());
        }
        Ok(self.n.trailing_zeros() as u8)
    }
}

impl Pbkdf2Params {
    fn iterations(&self) -> Result<NonZeroU32, WalletError> {
        if self.prf != "hmac-sha256" {
            return Err(WalletError::Unsupported(
                "PBKDF2 with another prf than hmac-sha256",
            ));
        }
        if self.c > MAX_ITERATIONS {
            return Err(WalletError::Costly {
                what: format!("PBKDF2 with c {}", self.c),
                limit: "10,000,000 iterations",
            });
        }
        NonZeroU32::new(self.c).ok_or(WalletError::Parameters("kdfparams.c is at least 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrypt(n: u64, r: u32, p: u32) -> Result<(), WalletError> {
        let salt = Bytes(vec![1; 32]);
        Kdf::Scrypt(ScryptParams {
            dklen: 32,
            n,
            p,
            r,
            salt,
        })
        .check()
    }

    fn pbkdf2(c: u32, prf: &str, dklen: u32, salt: usize) -> Result<(), WalletError> {
        let salt = Bytes(vec![1; salt]);
        Kdf::Pbkdf2(Pbkdf2Params {
            c,
            dklen,
            prf: prf.into(),
            salt,
        })
        .check()
    }

    /// The vector of RFC 7914 §12 with the largest cost that fits a test, cut to 32 bytes.
    #[test]
    fn scrypt_is_the_standards() {
        let kdf = Kdf::Scrypt(ScryptParams {
            dklen: 32,
            n: 16384,
            p: 1,
            r: 8,
            salt: Bytes(b"SodiumChloride".to_vec()),
        });
        assert_eq!(
            hex::encode(kdf.derive(b"pleaseletmein").unwrap().as_slice()),
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        );
    }

    #[test]
    fn costs_are_bounded() {
        for (n, r, p) in [
            (2, 1, 1),
            (8192, 8, 1),
            (1 << 18, 8, 1),
            (1 << 18, 1, 8),
            (4096, 8, 6),
            (1 << 22, 1, 1),
        ] {
            scrypt(n, r, p).unwrap();
        }
        for (n, r, p) in [
            (1 << 19, 16, 1),
            (1 << 20, 8, 1),
            (1 << 23, 1, 1),
            (1 << 63, 1, 1),
            (1 << 18, 8, 16),
            (2, 65, 1),
            (2, 1, 65),
            (2, u32::MAX, u32::MAX),
            (1 << 63, u32::MAX, u32::MAX),
        ] {
            assert_eq!(
                scrypt(n, r, p).unwrap_err().code(),
                "wallet_too_costly",
                "{n} {r} {p}"
            );
        }
        for (n, r, p) in [
            (0, 8, 1),
            (1, 8, 1),
            (3, 8, 1),
            (8191, 8, 1),
            (u64::MAX, 8, 1),
            (2, 0, 1),
            (2, 1, 0),
        ] {
            assert_eq!(
                scrypt(n, r, p).unwrap_err().code(),
                "wallet_malformed",
                "{n} {r} {p}"
            );
        }
        pbkdf2(262_144, "hmac-sha256", 32, 32).unwrap();
        for (c, prf, dklen, salt, code) in [
            (10_000_001, "hmac-sha256", 32, 32, "wallet_too_costly"),
            (u32::MAX, "hmac-sha256", 32, 32, "wallet_too_costly"),
            (0, "hmac-sha256", 32, 32, "wallet_malformed"),
            (1, "hmac-sha256", 32, 0, "wallet_malformed"),
            (1, "hmac-sha256", 32, 65, "wallet_malformed"),
            (1, "hmac-sha1", 32, 32, "wallet_unsupported"),
            (1, "hmac-sha256", 16, 32, "wallet_unsupported"),
            (1, "hmac-sha256", u32::MAX, 32, "wallet_unsupported"),
        ] {
            assert_eq!(
                pbkdf2(c, prf, dklen, salt).unwrap_err().code(),
                code,
                "{c} {prf} {dklen} {salt}"
            );
        }
    }
}
