//! As much of DER as keys need: strict, without recursion, no allocation while reading.

use zeroize::Zeroizing;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0]` and `[1]` of a structure, explicit.
pub(super) const CONTEXT_0: u8 = 0xa0;
pub(super) const CONTEXT_1: u8 = 0xa1;
/// `[1] IMPLICIT BIT STRING`.
pub(super) const CONTEXT_1_BITS: u8 = 0x81;

/// It isn't DER, or not what is expected here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Values one after another.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The content of the one value of this tag that `bytes` has to be.
    pub(super) fn only(bytes: &'a [u8], tag: u8) -> Result<Self, Malformed> {
        let mut reader = Self(bytes);
        let content = reader.take(tag)?;
        reader.end()?;
        Ok(Self(content))
    }

    /// The content of the next value, which has to have this tag.
    pub(super) fn take(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        let [found, first, rest @ ..] = self.0 else {
            return Err(Malformed);
        };
        if *found != tag {
            return Err(Malformed);
        }
        let (length, rest) = match *first {
            short @ 0..=0x7f => (short.into(), rest),
            long @ 0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked((long & 0x7f).into()).ok_or(Malformed)?;
                let length = digits
                    .iter()
                    .fold(0, |length, digit| length << 8 | usize::from(*digit));
                // The shortest form only: no leading zero, and no long form where the short one would do.
                if digits[0] == 0 || length < 0x80 {
                    return Err(Malformed);
                }
                (length, rest)
            }
            _ => return Err(Malformed),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(content)
    }

    /// The content of the next value if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Malformed> {
        if self.0.first() == Some(&tag) {
            self.take(tag).map(Some)
        } else {
            Ok(None)
        }
    }

    /// An integer that isn't negative, big-endian without leading zeros; zero is empty.
    pub(super) fn unsigned(&mut self) -> Result<&'a [u8], Malformed> {
        match self.take(INTEGER)? {
            [0] => Ok(&[]),
            [0, rest @ ..] if rest[0] >= 0x80 => Ok(rest),
            digits @ [1..0x80, ..] => Ok(digits),
            _ => Err(Malformed),
        }
    }

    /// A bit string of whole bytes.
    pub(super) fn bits(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.take(tag)? {
            [0, bits @ ..] => Ok(bits),
            _ => Err(Malformed),
        }
    }

    /// Nothing may follow.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// A value of this tag with these contents one after another.
pub(super) fn value(tag: u8, contents: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length: usize = contents.iter().map(|content| content.len()).sum();
    let digits = length.to_be_bytes();
    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    let mut out = Zeroizing::new(Vec::with_capacity(length + 2 + digits.len()));
    out.push(tag);
    if length < 0x80 {
        out.push(length as u8);
    } else {
        out.push(0x80 | (digits.len() - leading) as u8);
        out.extend_from_slice(&digits[leading..]);
    }
    for content in contents {
        out.extend_from_slice(content);
    }
    out
}

/// An integer out of big-endian bytes, with or without leading zeros.
pub(super) fn unsigned(digits: &[u8]) -> Zeroizing<Vec<u8>> {
    let digits = trimmed(digits);
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) {
        &[0]
    } else {
        &[]
    };
    value(INTEGER, &[sign, digits])
}

/// A bit string of whole bytes.
pub(super) fn bits(tag: u8, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    value(tag, &[&[0], bytes])
}

/// Without leading zeros.
pub(super) fn trimmed(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_form_only() {
        assert!(Reader::only(&[4, 1, 7], OCTET_STRING).is_ok());
        for wrong in [
            &[4, 0x81, 1, 7][..],
            &[4, 0x82, 0, 1, 7],
            &[4, 0x80, 7, 0, 0],
            &[4, 0x85, 0, 0, 0, 0, 1, 7],
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[4, 2, 7],
            &[4, 1, 7, 0],
            &[4],
            &[],
        ] {
            assert_eq!(
                Reader::only(wrong, OCTET_STRING).err(),
                Some(Malformed),
                "{wrong:02x?}"
            );
        }
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let bytes = vec![1; length];
            let written = value(OCTET_STRING, &[&bytes]);
            assert_eq!(
                Reader::new(&written).take(OCTET_STRING),
                Ok(&bytes[..]),
                "{length}"
            );
        }
    }

    #[test]
    fn integers_are_unsigned_and_short() {
        for (digits, written) in [
            (&[][..], &[2, 1, 0][..]),
            (&[0, 0, 5], &[2, 1, 5]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[0x7f], &[2, 1, 0x7f]),
        ] {
            assert_eq!(&unsigned(digits)[..], written);
            assert_eq!(Reader::new(written).unsigned(), Ok(trimmed(digits)));
        }
        for wrong in [&[2, 0][..], &[2, 1, 0x80], &[2, 2, 0, 0x7f], &[2, 2, 0, 0]] {
            assert_eq!(Reader::new(wrong).unsigned(), Err(Malformed), "{wrong:02x?}");
        }
    }
}
