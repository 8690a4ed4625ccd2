//! Recursive length prefix: just what headers and trie nodes need, read strictly. One value has one encoding here; another
//! one of the same value is refused, so that nothing that was hashed can be read in two ways.

/// A value, borrowed from its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A byte string.
    Bytes(&'a [u8]),
    /// The encodings of a list's items, one after another.
    List(Items<'a>),
}

/// Not canonical RLP, or not of the expected shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not canonical RLP of the expected form")]
pub struct RlpError;

impl<'a> Item<'a> {
    /// Reads an encoding with nothing behind it.
    pub(crate) fn exact(bytes: &'a [u8]) -> Result<Self, RlpError> {
        match split(bytes)? {
            (item, _, []) => Ok(item),
            _ => Err(RlpError),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], RlpError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::List(_) => Err(RlpError),
        }
    }

    pub(crate) fn list(self) -> Result<Items<'a>, RlpError> {
        match self {
            Self::List(items) => Ok(items),
            Self::Bytes(_) => Err(RlpError),
        }
    }

    /// A byte string of exactly `N` bytes.
    pub(crate) fn array<const N: usize>(self) -> Result<[u8; N], RlpError> {
        self.bytes()?.try_into().map_err(|_| RlpError)
    }

    /// A number below 2⁶⁴, without leading zeros.
    pub(crate) fn number(self) -> Result<u64, RlpError> {
        let word = self.word()?;
        if word[..24] != [0; 24] {
            return Err(RlpError);
        }
        let mut low = [0; 8];
        low.copy_from_slice(&word[24..]);
        Ok(u64::from_be_bytes(low))
    }

    /// A number below 2²⁵⁶, without leading zeros, as a big-endian word.
    pub(crate) fn word(self) -> Result<[u8; 32], RlpError> {
        let bytes = self.bytes()?;
        if bytes.len() > 32 || bytes.first() == Some(&0) {
            return Err(RlpError);
        }
        let mut word = [0; 32];
        word[32 - bytes.len()..].copy_from_slice(bytes);
        Ok(word)
    }
}

/// The items of a list, read one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    /// The next item, which must be there.
    pub(crate) fn take(&mut self) -> Result<Item<'a>, RlpError> {
        self.take_encoded().map(|(item, _)| item)
    }

    /// The same, with its encoding.
    pub(crate) fn take_encoded(&mut self) -> Result<(Item<'a>, &'a [u8]), RlpError> {
        let (item, encoding, rest) = split(self.0)?;
        self.0 = rest;
        Ok((item, encoding))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Takes the first item apart from what follows: the item, its encoding, the rest.
fn split(bytes: &[u8]) -> Result<(Item<'_>, &[u8], &[u8]), RlpError> {
    let (&first, rest) = bytes.split_first().ok_or(RlpError)?;
    let (is_list, header, length) = match first {
        0x00..=0x7f => return Ok((Item::Bytes(&bytes[..1]), &bytes[..1], rest)),
        0x80..=0xb7 => (false, 1, usize::from(first - 0x80)),
        0xb8..=0xbf => long(rest, first - 0xb7).map(|(header, length)| (false, header, length))?,
        0xc0..=0xf7 => (true, 1, usize::from(first - 0xc0)),
        0xf8..=0xff => long(rest, first - 0xf7).map(|(header, length)| (true, header, length))?,
    };
    let end = length
        .checked_add(header)
        .filter(|end| *end <= bytes.len())
        .ok_or(RlpError)?;
    let (encoding, rest) = bytes.split_at(end);
    let payload = &encoding[header..];
    if is_list {
        return Ok((Item::List(Items(payload)), encoding, rest));
    }
    // A byte below 0x80 stands for itself.
    if let [single] = payload
        && *single < 0x80
    {
        return Err(RlpError);
    }
    Ok((Item::Bytes(payload), encoding, rest))
}

/// Size of the header and of the payload, where the length itself takes `count` bytes.
fn long(rest: &[u8], count: u8) -> Result<(usize, usize), RlpError> {
    let count = usize::from(count);
    let digits = rest.get(..count).ok_or(RlpError)?;
    // Nothing that is read here comes near four gigabytes.
    if count > 4 || digits.first() == Some(&0) {
        return Err(RlpError);
    }
    let length = digits
        .iter()
        .fold(0u64, |sum, digit| sum << 8 | u64::from(*digit));
    if length < 56 {
        return Err(RlpError);
    }
    let length = usize::try_from(length).map_err(|_| RlpError)?;
    Ok((1 + count, length))
}

/// Appends a byte string.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes {
        [single] if *single < 0x80 => out.push(*single),
        _ => {
            put_length(out, 0x80, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

/// A list of the items whose encodings are `payload`.
pub(crate) fn list(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 5);
    put_length(&mut out, 0xc0, payload.len());
    out.extend_from_slice(payload);
    out
}

fn put_length(out: &mut Vec<u8>, base: u8, length: usize) {
    // Lengths here are those of JSON answers, far below 2³².
    if length < 56 {
        out.push(base + length as u8);
        return;
    }
    let digits = length.to_be_bytes();
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    out.push(base + 55 + (digits.len() - zeros) as u8);
    out.extend_from_slice(&digits[zeros..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of the Ethereum wiki's page on RLP.
    #[test]
    fn published_examples() {
        for (encoding, value) in [
            (&b"\x83dog"[..], &b"dog"[..]),
            (b"\x80", b""),
            (b"\x00", b"\x00"),
            (b"\x0f", b"\x0f"),
            (b"\x82\x04\x00", b"\x04\x00"),
            (
                b"\xb8\x38Lorem ipsum dolor sit amet, consectetur adipisicing elit",
                b"Lorem ipsum dolor sit amet, consectetur adipisicing elit",
            ),
        ] {
            assert_eq!(Item::exact(encoding).unwrap().bytes().unwrap(), value);
            let mut out = Vec::new();
            put_bytes(&mut out, value);
            assert_eq!(out, encoding);
        }
        let mut animals = Item::exact(b"\xc8\x83cat\x83dog").unwrap().list().unwrap();
        assert_eq!(animals.take().unwrap(), Item::Bytes(b"cat"));
        assert_eq!(
            animals.take_encoded().unwrap(),
            (Item::Bytes(b"dog"), &b"\x83dog"[..])
        );
        assert!(animals.is_empty() && animals.take().is_err());
        assert!(Item::exact(b"\xc0").unwrap().list().unwrap().is_empty());
        assert_eq!(list(b"\x83cat\x83dog"), b"\xc8\x83cat\x83dog");
        assert_eq!(list(&[0; 56])[..2], [0xf8, 56]);
        assert_eq!(list(&[0; 256])[..3], [0xf9, 1, 0]);
        assert_eq!(Item::exact(b"\x82\x04\x00").unwrap().number(), Ok(1024));
        assert_eq!(Item::exact(b"\x80").unwrap().number(), Ok(0));
    }

    #[test]
    fn other_encodings_of_a_value_are_refused() {
        for encoding in [
            &b""[..],
            b"\x81",
            b"\x81\x7f",
            b"\x83do",
            b"\x83dogs",
            b"\xb8\x01\xff",
            b"\xb9\x00\x38",
            b"\xb8",
            b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xf8\x01\x00",
            b"\xc1",
            b"\xc0\x00",
        ] {
            assert_eq!(Item::exact(encoding), Err(RlpError), "{encoding:x?}");
        }
        assert_eq!(Item::exact(b"\x00").unwrap().number(), Err(RlpError));
        assert_eq!(Item::exact(b"\x82\x00\x01").unwrap().word(), Err(RlpError));
        assert_eq!(
            Item::exact(b"\x89\x01\0\0\0\0\0\0\0\0").unwrap().number(),
            Err(RlpError)
        );
        assert_eq!(Item::exact(b"\xc0").unwrap().bytes(), Err(RlpError));
        assert_eq!(Item::exact(b"\x80").unwrap().list(), Err(RlpError));
    }
}
