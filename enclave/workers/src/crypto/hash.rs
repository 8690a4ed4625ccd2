//! The hash functions of Web Crypto.

use aws_lc_rs::{digest, hkdf, hmac, pbkdf2};
use rquickjs::{Ctx, Error, FromJs, Result, Value};

/// SHA-1 or a member of SHA-2. JavaScript names it by the number in its name: 1, 256, 384, 512.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl<'js> FromJs<'js> for Hash {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        match u32::from_js(ctx, value)? {
            1 => Ok(Self::Sha1),
            256 => Ok(Self::Sha256),
            384 => Ok(Self::Sha384),
            512 => Ok(Self::Sha512),
            _ => Err(Error::new_from_js("number", "hash function")),
        }
    }
}

impl Hash {
    /// Length of a digest, in bytes.
    pub(super) fn length(self) -> usize {
        self.digest().output_len()
    }

    /// The hash function itself.
    pub(super) fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    /// HMAC with it.
    pub(super) fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    /// HKDF with it.
    pub(super) fn hkdf(self) -> hkdf::Algorithm {
        match self {
            Self::Sha1 => hkdf::HKDF_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hkdf::HKDF_SHA256,
            Self::Sha384 => hkdf::HKDF_SHA384,
            Self::Sha512 => hkdf::HKDF_SHA512,
        }
    }

    /// PBKDF2 with HMAC with it.
    pub(super) fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha384 => pbkdf2::PBKDF2_HMAC_SHA384,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}
