//! Hex as the Ethereum JSON-RPC specification writes it: quantities without, data with leading zeros.

/// Why a text is no quantity or no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// `0x` is missing.
    #[error("no 0x prefix")]
    Prefix,
    /// A character isn't a hex digit, or data has an odd number of digits.
    #[error("not hexadecimal")]
    Digits,
    /// A quantity has no digits or leading zeros.
    #[error("quantity is empty or has leading zeros")]
    NotMinimal,
    /// A quantity is larger than 64 bits.
    #[error("quantity exceeds 64 bits")]
    Overflow,
    /// Data has another length than its type.
    #[error("{found} bytes instead of {expected}")]
    Length {
        /// Bytes that the type has.
        expected: usize,
        /// Bytes that were there.
        found: usize,
    },
}

/// Parses a quantity such as `0x1a` of at most 64 bits.
pub fn parse_quantity(text: &str) -> Result<u64, HexError> {
    let digits = text.strip_prefix("0x").ok_or(HexError::Prefix)?;
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return Err(HexError::NotMinimal);
    }
    // `from_str_radix` alone would let a sign through.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(HexError::Digits);
    }
    u64::from_str_radix(digits, 16).map_err(|_| HexError::Overflow)
}

/// Parses data of any length, such as `0x` or `0x00ff`.
pub fn parse_data(text: &str) -> Result<Vec<u8>, HexError> {
    let digits = text.strip_prefix("0x").ok_or(HexError::Prefix)?;
    hex::decode(digits).map_err(|_| HexError::Digits)
}

/// Parses data of exactly `N` bytes: 32 for words and hashes, 20 for addresses.
pub fn parse_word<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let data = parse_data(text)?;
    data.as_slice().try_into().map_err(|_| HexError::Length {
        expected: N,
        found: data.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        assert_eq!(parse_quantity("0x0"), Ok(0));
        assert_eq!(parse_quantity("0x41"), Ok(65));
        assert_eq!(parse_quantity("0xffffffffffffffff"), Ok(u64::MAX));
        for (text, reason) in [
            ("41", HexError::Prefix),
            ("0X41", HexError::Prefix),
            ("0x", HexError::NotMinimal),
            ("0x0041", HexError::NotMinimal),
            ("0x+1", HexError::Digits),
            ("0x 1", HexError::Digits),
            ("0x1g", HexError::Digits),
            ("0x10000000000000000", HexError::Overflow),
        ] {
            assert_eq!(parse_quantity(text), Err(reason), "{text}");
        }
    }

    #[test]
    fn data() {
        assert_eq!(parse_data("0x"), Ok(vec![]));
        assert_eq!(parse_word::<2>("0x00fF"), Ok([0, 255]));
        assert_eq!(parse_data("00"), Err(HexError::Prefix));
        assert_eq!(parse_data("0x0"), Err(HexError::Digits));
        assert_eq!(
            parse_word::<2>("0x00"),
            Err(HexError::Length {
                expected: 2,
                found: 1
            })
        );
    }
}
