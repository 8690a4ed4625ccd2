//! Contract ABI encoding: just what our contracts answer, read strictly. One value has one encoding here, the one that
//! Solidity's compiler makes; another one of the same value is refused.

/// Why an answer isn't one that the contract gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AbiError {
    /// It ends too early or goes on too long.
    #[error("answer has another length than its fields")]
    Length,
    /// A number is larger than its type, or a boolean or an address has bits that it can't have.
    #[error("a field exceeds its type")]
    Range,
    /// An offset points elsewhere than to the next byte.
    #[error("an offset is not where the encoding has its text")]
    Offset,
    /// A text or list is longer than the contract allows.
    #[error("a text or list is longer than the contract allows")]
    TooLong,
    /// Bytes behind a text aren't zero.
    #[error("padding is not zero")]
    Padding,
    /// Fields contradict each other.
    #[error("fields contradict each other")]
    Inconsistent,
}

/// Reads words one after another.
pub(crate) struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn word(&mut self) -> Result<[u8; 32], AbiError> {
        let (word, rest) = self.0.split_first_chunk().ok_or(AbiError::Length)?;
        self.0 = rest;
        Ok(*word)
    }

    pub(crate) fn address(&mut self) -> Result<[u8; 20], AbiError> {
        self.tail()
    }

    pub(crate) fn u8(&mut self) -> Result<u8, AbiError> {
        Ok(self.tail::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, AbiError> {
        self.tail().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, AbiError> {
        self.tail().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, AbiError> {
        self.tail().map(u64::from_be_bytes)
    }

    pub(crate) fn u128(&mut self) -> Result<u128, AbiError> {
        self.tail().map(u128::from_be_bytes)
    }

    /// A signed number of up to 128 bits, whose sign fills the bits above.
    pub(crate) fn i128(&mut self) -> Result<i128, AbiError> {
        let word = self.word()?;
        let (high, low) = word.split_first_chunk::<16>().ok_or(AbiError::Length)?;
        let low = low.try_into().map_err(|_| AbiError::Length)?;
        let number = i128::from_be_bytes(low);
        let sign = if number < 0 { 0xff } else { 0 };
        if *high != [sign; 16] {
            return Err(AbiError::Range);
        }
        Ok(number)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, AbiError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(AbiError::Range),
        }
    }

    /// Demands that the next word is this offset.
    pub(crate) fn offset(&mut self, expected: usize) -> Result<(), AbiError> {
        match self.u64() {
            Ok(offset) if offset == expected as u64 => Ok(()),
            Ok(_) | Err(AbiError::Range) => Err(AbiError::Offset),
            Err(error) => Err(error),
        }
    }

    /// A length that is at most `most`.
    pub(crate) fn length(&mut self, most: usize) -> Result<usize, AbiError> {
        match self.u64() {
            Ok(length) => usize::try_from(length).ok().filter(|length| *length <= most),
            Err(AbiError::Range) => None,
            Err(error) => return Err(error),
        }
        .ok_or(AbiError::TooLong)
    }

    /// A text or byte string of at most `most` bytes: length, bytes, zeros up to the next word.
    pub(crate) fn bytes(&mut self, most: usize) -> Result<&'a [u8], AbiError> {
        let length = self.length(most)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(AbiError::Length)?;
        let padding = length.next_multiple_of(32) - length;
        let (padding, rest) = rest.split_at_checked(padding).ok_or(AbiError::Length)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(AbiError::Padding);
        }
        self.0 = rest;
        Ok(text)
    }

    /// Demands that nothing is left.
    pub(crate) fn end(self) -> Result<(), AbiError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(AbiError::Length)
        }
    }

    /// The last `N` bytes of a word whose others are zero.
    fn tail<const N: usize>(&mut self) -> Result<[u8; N], AbiError> {
        let word = self.word()?;
        let (zeros, tail) = word.split_last_chunk().ok_or(AbiError::Length)?;
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(AbiError::Range);
        }
        Ok(*tail)
    }
}

/// An answer that is one list of words, `most` at most.
pub(crate) fn words(answer: &[u8], most: usize) -> Result<Vec<[u8; 32]>, AbiError> {
    let mut words = Words::new(answer);
    words.offset(32)?;
    let count = words.length(most)?;
    // Not from the count alone: what is allocated is there.
    let list = (0..count).map(|_| words.word()).collect::<Result<_, _>>()?;
    words.end()?;
    Ok(list)
}

/// An answer that is one word.
pub(crate) fn one<'a, T>(
    answer: &'a [u8],
    read: fn(&mut Words<'a>) -> Result<T, AbiError>,
) -> Result<T, AbiError> {
    let mut words = Words::new(answer);
    let value = read(&mut words)?;
    words.end()?;
    Ok(value)
}

/// An answer that is one amount in wei.
pub(crate) fn amount(answer: &[u8]) -> Result<u128, AbiError> {
    one(answer, Words::u128)
}

/// An address as an argument.
pub(crate) fn address_argument(address: &[u8; 20]) -> [u8; 32] {
    let mut word = [0; 32];
    word[12..].copy_from_slice(address);
    word
}

/// A number as an argument.
pub(crate) fn number_argument(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(number: u64) -> [u8; 32] {
        number_argument(number)
    }

    #[test]
    fn a_list_has_one_encoding() {
        let two = [word(32), word(2), [7; 32], [8; 32]].concat();
        assert_eq!(words(&two, 2), Ok(vec![[7; 32], [8; 32]]));
        assert_eq!(words(&[word(32), word(0)].concat(), 0), Ok(vec![]));
        assert_eq!(words(&two, 1), Err(AbiError::TooLong));
        assert_eq!(words(&two[..127], 2), Err(AbiError::Length));
        assert_eq!(words(&[&two[..], &[0; 32]].concat(), 2), Err(AbiError::Length));
        assert_eq!(words(&[], 2), Err(AbiError::Length));
        let elsewhere = [word(64), word(0), word(0)].concat();
        assert_eq!(words(&elsewhere, 2), Err(AbiError::Offset));
        let far = [[0xff; 32], word(0)].concat();
        assert_eq!(words(&far, 2), Err(AbiError::Offset));
        let long = [word(32), [0xff; 32]].concat();
        assert_eq!(words(&long, usize::MAX), Err(AbiError::TooLong));
        // A count that nothing follows allocates nothing.
        let empty = [word(32), word(u64::MAX)].concat();
        assert_eq!(words(&empty, usize::MAX), Err(AbiError::Length));
    }

    #[test]
    fn numbers_stay_in_their_types() {
        let field = |number: u64| word(number).to_vec();
        assert_eq!(Words::new(&field(255)).u8(), Ok(255));
        assert_eq!(Words::new(&field(256)).u8(), Err(AbiError::Range));
        assert_eq!(Words::new(&field(65_536)).u16(), Err(AbiError::Range));
        assert_eq!(Words::new(&field(1 << 32)).u32(), Err(AbiError::Range));
        assert_eq!(Words::new(&field(1)).bool(), Ok(true));
        assert_eq!(Words::new(&field(2)).bool(), Err(AbiError::Range));
        assert_eq!(Words::new(&[1; 32]).u64(), Err(AbiError::Range));
        assert_eq!(Words::new(&[1; 32]).address(), Err(AbiError::Range));
        assert_eq!(Words::new(&[1; 31]).word(), Err(AbiError::Length));
        assert_eq!(amount(&[0xff; 32]), Err(AbiError::Range));
        assert_eq!(amount(&word(7)), Ok(7));
        assert_eq!(amount(&[0; 64]), Err(AbiError::Length));
    }

    #[test]
    fn texts_are_bounded_and_padded_with_zeros() {
        let text = |length: u64, body: [u8; 32]| [word(length), body].concat();
        let mut body = [0; 32];
        body[..3].copy_from_slice(b"abc");
        assert_eq!(Words::new(&text(3, body)).bytes(3), Ok(&b"abc"[..]));
        assert_eq!(Words::new(&text(3, body)).bytes(2), Err(AbiError::TooLong));
        assert_eq!(Words::new(&text(2, body)).bytes(3), Err(AbiError::Padding));
        assert_eq!(Words::new(&text(33, body)).bytes(64), Err(AbiError::Length));
        assert_eq!(Words::new(&text(3, body)[..63]).bytes(3), Err(AbiError::Length));
        assert_eq!(Words::new(&word(0)).bytes(0), Ok(&b""[..]));
    }
}
