//! Hexadecimal fields of a keystore, with or without `0x`. Errors don't repeat what was read: it may be a key that was
//! taken for a keystore.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest field in bytes.
const MAX_LEN: usize = 1024;

/// A field of any length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// A field of `N` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<const N: usize>(pub [u8; N]);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        match hex::decode(digits) {
            Ok(bytes) if bytes.len() <= MAX_LEN => Ok(Self(bytes)),
            _ => Err(D::Error::custom("not hexadecimal")),
        }
    }
}

impl<'de, const N: usize> Deserialize<'de> for Word<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Bytes::deserialize(deserializer)?.0;
        let word = bytes
            .try_into()
            .map_err(|_| D::Error::custom("of another length"))?;
        Ok(Self(word))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<const N: usize> Serialize for Word<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}
