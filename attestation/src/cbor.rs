//! The part of CBOR that our formats use, in the deterministic encoding of RFC 8949 §4.2.1 and no other.
//!
//! A general decoder would accept several encodings of one value, and then two parties could disagree about what
//! was signed. This reader refuses any head that isn't the shortest, indefinite lengths, and trailing bytes.

use thiserror::Error;

/// Why bytes aren't the deterministic CBOR that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CborError {
    /// The input ends inside an item.
    #[error("input ends inside a CBOR item at byte {0}")]
    Truncated(usize),
    /// A length or integer isn't in its shortest form, or has a reserved or indefinite head.
    #[error("CBOR head at byte {0} is not in its shortest form")]
    NotDeterministic(usize),
    /// Another type than the expected one.
    #[error("expected CBOR {expected} at byte {at}")]
    Unexpected {
        /// What the format wants here.
        expected: &'static str,
        /// Offset of the item.
        at: usize,
    },
    /// A text string that isn't UTF-8.
    #[error("CBOR text at byte {0} is not UTF-8")]
    NotUtf8(usize),
    /// Bytes after the item.
    #[error("{0} bytes after the CBOR item")]
    Trailing(usize),
}

const UINT: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// Appends items in deterministic encoding.
#[derive(Default)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// An empty encoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was encoded.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    /// Unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.head(UINT, value)
    }

    /// Byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(BYTES, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(TEXT, value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// Head of an array; `len` items must follow.
    pub fn array(&mut self, len: u64) -> &mut Self {
        self.head(ARRAY, len)
    }

    /// Head of a map; `len` key-value pairs must follow, keys sorted by their encoded bytes.
    pub fn map(&mut self, len: u64) -> &mut Self {
        self.head(MAP, len)
    }

    /// Tag; one item must follow.
    pub fn tag(&mut self, tag: u64) -> &mut Self {
        self.head(TAG, tag)
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let major = major << 5;
        match value {
            0..=23 => self.0.push(major | value as u8),
            24..=0xFF => self.0.extend_from_slice(&[major | 24, value as u8]),
            0x100..=0xFFFF => {
                self.0.push(major | 25);
                self.0.extend_from_slice(&(value as u16).to_be_bytes());
            }
            0x1_0000..=0xFFFF_FFFF => {
                self.0.push(major | 26);
                self.0.extend_from_slice(&(value as u32).to_be_bytes());
            }
            _ => {
                self.0.push(major | 27);
                self.0.extend_from_slice(&value.to_be_bytes());
            }
        }
        self
    }
}

/// Reads items in deterministic encoding; borrows from the input and never allocates.
pub struct Decoder<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    /// Starts at the first byte of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    /// Unsigned integer.
    pub fn uint(&mut self) -> Result<u64, CborError> {
        self.head(UINT, "an unsigned integer")
    }

    /// Byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let len = self.head(BYTES, "a byte string")?;
        self.take(len)
    }

    /// Byte string of exactly `N` bytes.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        let at = self.at;
        let bytes = self.bytes()?;
        bytes.try_into().map_err(|_| CborError::Unexpected {
            expected: "a byte string of fixed length",
            at,
        })
    }

    /// Text string.
    pub fn text(&mut self) -> Result<&'a str, CborError> {
        let at = self.at;
        let len = self.head(TEXT, "a text string")?;
        core::str::from_utf8(self.take(len)?).map_err(|_| CborError::NotUtf8(at))
    }

    /// Head of an array with exactly `len` items.
    pub fn array(&mut self, len: u64) -> Result<(), CborError> {
        let at = self.at;
        if self.head(ARRAY, "an array")? != len {
            return Err(CborError::Unexpected {
                expected: "an array of fixed length",
                at,
            });
        }
        Ok(())
    }

    /// Head of a map: the count of pairs.
    pub fn map(&mut self) -> Result<u64, CborError> {
        self.head(MAP, "a map")
    }

    /// Tag number, if the next item is tagged.
    pub fn tag(&mut self) -> Result<u64, CborError> {
        self.head(TAG, "a tag")
    }

    /// Whether the next item is a tag.
    pub fn is_tag(&self) -> bool {
        self.input.get(self.at).is_some_and(|b| b >> 5 == TAG)
    }

    /// The map key `key` must come next.
    pub fn key(&mut self, key: &'static str) -> Result<(), CborError> {
        let at = self.at;
        if self.text()? != key {
            return Err(CborError::Unexpected { expected: key, at });
        }
        Ok(())
    }

    /// Whether the map key `key` comes next; takes it if so.
    pub fn optional_key(&mut self, key: &str) -> Result<bool, CborError> {
        let at = self.at;
        let found = self.text()? == key;
        if !found {
            self.at = at;
        }
        Ok(found)
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), CborError> {
        match self.input.len() - self.at {
            0 => Ok(()),
            left => Err(CborError::Trailing(left)),
        }
    }

    fn head(&mut self, major: u8, expected: &'static str) -> Result<u64, CborError> {
        let at = self.at;
        let first = *self.input.get(at).ok_or(CborError::Truncated(at))?;
        if first >> 5 != major {
            return Err(CborError::Unexpected { expected, at });
        }
        self.at += 1;
        let info = first & 0x1F;
        let (value, least) = match info {
            0..=23 => return Ok(u64::from(info)),
            24 => (u64::from(self.take(1)?[0]), 24),
            25 => (self.be(2)?, 0x100),
            26 => (self.be(4)?, 0x1_0000),
            27 => (self.be(8)?, 0x1_0000_0000),
            _ => return Err(CborError::NotDeterministic(at)),
        };
        if value < least {
            return Err(CborError::NotDeterministic(at));
        }
        Ok(value)
    }

    fn be(&mut self, len: u64) -> Result<u64, CborError> {
        Ok(self
            .take(len)?
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], CborError> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        let taken = end
            .and_then(|end| self.input.get(self.at..end))
            .ok_or(CborError::Truncated(self.at))?;
        self.at += taken.len();
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of RFC 8949 appendix A.
    #[test]
    fn published_examples() {
        let cases: [(u64, &str); 8] = [
            (0, "00"),
            (23, "17"),
            (24, "1818"),
            (100, "1864"),
            (1000, "1903e8"),
            (1_000_000, "1a000f4240"),
            (1_000_000_000_000, "1b000000e8d4a51000"),
            (u64::MAX, "1bffffffffffffffff"),
        ];
        for (value, encoded) in cases {
            let mut encoder = Encoder::new();
            encoder.uint(value);
            let bytes = encoder.finish();
            assert_eq!(hex::encode(&bytes), encoded);
            assert_eq!(Decoder::new(&bytes).uint(), Ok(value));
        }
    }

    #[test]
    fn refuses_what_is_not_deterministic() {
        for long in ["1817", "190017", "1a00000017", "1b0000000000000017", "1f", "1c"] {
            let bytes = hex::decode(long).unwrap();
            assert_eq!(
                Decoder::new(&bytes).uint(),
                Err(CborError::NotDeterministic(0)),
                "{long}"
            );
        }
        assert_eq!(
            Decoder::new(&[0x5F, 0x41, 0, 0xFF]).bytes(),
            Err(CborError::NotDeterministic(0))
        );
    }

    #[test]
    fn refuses_lengths_beyond_the_input() {
        assert_eq!(
            Decoder::new(&[0x5B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]).bytes(),
            Err(CborError::Truncated(9))
        );
        assert_eq!(Decoder::new(&[0x42, 1]).bytes(), Err(CborError::Truncated(1)));
        assert_eq!(Decoder::new(&[]).uint(), Err(CborError::Truncated(0)));
        assert_eq!(Decoder::new(&[0]).end(), Err(CborError::Trailing(1)));
        assert_eq!(Decoder::new(&[0x61, 0xFF]).text(), Err(CborError::NotUtf8(0)));
    }
}
