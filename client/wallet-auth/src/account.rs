//! Ethereum accounts and their mixed-case spelling (EIP-55).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::eip712::keccak;

/// Not an address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AccountError {
    /// Not `0x` and 40 hexadecimal digits.
    #[error("an address is 0x and 40 hexadecimal digits")]
    Form,
    /// Upper and lower case mixed, and not as EIP-55 mixes them: a digit was mistyped.
    #[error("the address's mixed case isn't its checksum (EIP-55)")]
    Checksum,
}

/// An account's address, 20 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(pub [u8; 20]);

impl FromStr for Account {
    type Err = AccountError;

    /// Reads lower case, upper case, or the mixed case of EIP-55.
    fn from_str(text: &str) -> Result<Self, AccountError> {
        let digits = text.strip_prefix("0x").ok_or(AccountError::Form)?;
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| AccountError::Form)?;
        let account = Self(bytes);
        let has = |case: fn(&char) -> bool| digits.chars().any(|digit| case(&digit));
        let mixed = has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase);
        if mixed && account.to_string() != text {
            return Err(AccountError::Checksum);
        }
        Ok(account)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        let hash = hex::encode(keccak(&[digits.as_bytes()]));
        f.write_str("0x")?;
        digits.chars().zip(hash.chars()).try_for_each(|(digit, nibble)| {
            let upper = nibble >= '8';
            write!(f, "{}", if upper { digit.to_ascii_uppercase() } else { digit })
        })
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of EIP-55.
    #[test]
    fn mixed_case_is_the_standards() {
        for text in [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            let account: Account = text.parse().unwrap();
            assert_eq!(account.to_string(), text);
            assert_eq!(text.to_lowercase().parse(), Ok(account));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "0x",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0X5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedd",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg",
            " 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        ] {
            assert_eq!(text.parse::<Account>(), Err(AccountError::Form), "{text:?}");
        }
        let wrong = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD";
        assert_eq!(wrong.parse::<Account>(), Err(AccountError::Checksum));
    }
}
