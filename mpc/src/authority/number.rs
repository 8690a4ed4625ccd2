//! Numbers of 256 bits, as documents write them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An unsigned number below 2^256, big-endian. Documents write it in decimal, as a text, since JSON's numbers end earlier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uint256(pub [u8; 32]);

impl Uint256 {
    /// Reads decimal digits without leading zeros: each number has one spelling.
    pub fn from_decimal(digits: &str) -> Option<Self> {
        let leading_zero = digits.len() > 1 && digits.starts_with('0');
        if digits.is_empty() || digits.len() > 78 || leading_zero {
            return None;
        }
        digits.bytes().try_fold(Self::default(), |number, digit| {
            let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
            number.times_ten_plus(digit)
        })
    }

    /// Reads up to 64 hexadecimal digits of either case.
    pub fn from_hex(digits: &str) -> Option<Self> {
        if digits.is_empty() || digits.len() > 64 {
            return None;
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(format!("{digits:0>64}"), &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The sum, unless it is 2^256 or more.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let mut sum = [0; 32];
        let mut carry = 0_u16;
        for at in (0..32).rev() {
            carry += u16::from(self.0[at]) + u16::from(other.0[at]);
            sum[at] = carry as u8;
            carry >>= 8;
        }
        (carry == 0).then_some(Self(sum))
    }

    /// 2^256 less this number: the negative in two's complement.
    pub(super) fn negated(self) -> Self {
        let inverted = Self(self.0.map(|byte| !byte));
        let one = Self::from(1);
        // Only zero's inverse has no successor; its negative is zero.
        inverted.checked_add(one).unwrap_or_default()
    }

    /// How many bits it takes.
    pub(super) fn bits(&self) -> usize {
        match self.0.iter().position(|byte| *byte != 0) {
            Some(at) => 8 * (31 - at) + (8 - self.0[at].leading_zeros() as usize),
            None => 0,
        }
    }

    fn times_ten_plus(self, digit: u8) -> Option<Self> {
        let mut out = [0; 32];
        let mut carry = u16::from(digit);
        for at in (0..32).rev() {
            carry += u16::from(self.0[at]) * 10;
            out[at] = carry as u8;
            carry >>= 8;
        }
        (carry == 0).then_some(Self(out))
    }
}

impl From<u64> for Uint256 {
    fn from(value: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&value.to_be_bytes());
        Self(bytes)
    }
}

impl fmt::Display for Uint256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut digits = Vec::with_capacity(78);
        while digits.is_empty() || rest.iter().any(|byte| *byte != 0) {
            let mut remainder = 0_u16;
            for byte in &mut rest {
                let current = remainder << 8 | u16::from(*byte);
                *byte = (current / 10) as u8;
                remainder = current % 10;
            }
            digits.push(char::from(b'0' + remainder as u8));
        }
        f.write_str(&digits.iter().rev().collect::<String>())
    }
}

impl fmt::Debug for Uint256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Uint256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uint256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_decimal(&text).ok_or_else(|| de::Error::custom("expected a decimal number below 2^256"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2^256 - 1.
    const MAX: &str = "115792089237316195423570985008687907853269984665640564039457584007913129639935";

    #[test]
    fn decimal_and_back() {
        for text in ["0", "1", "9", "10", "255", "256", "18446744073709551616", MAX] {
            assert_eq!(Uint256::from_decimal(text).unwrap().to_string(), text);
        }
        assert_eq!(Uint256::from_decimal(MAX), Some(Uint256([0xff; 32])));
        let over = MAX.replace("935", "936");
        for wrong in [
            "",
            "00",
            "01",
            "-1",
            "+1",
            " 1",
            "1.0",
            "0x1",
            "1e3",
            over.as_str(),
        ] {
            assert_eq!(Uint256::from_decimal(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hexadecimal() {
        assert_eq!(Uint256::from_hex("fF"), Some(Uint256::from(255)));
        assert_eq!(Uint256::from_hex(&"f".repeat(64)), Some(Uint256([0xff; 32])));
        for wrong in ["", "g", &"0".repeat(65), "+1", "é"] {
            assert_eq!(Uint256::from_hex(wrong), None);
        }
    }

    #[test]
    fn sums_and_negatives() {
        let max = Uint256([0xff; 32]);
        assert_eq!(max.checked_add(Uint256::from(1)), None);
        assert_eq!(
            Uint256::from(u64::MAX).checked_add(Uint256::from(1)),
            Uint256::from_decimal("18446744073709551616")
        );
        assert_eq!(Uint256::from(1).negated(), max);
        assert_eq!(Uint256::from(0).negated(), Uint256::from(0));
        for (value, bits) in [(0, 0), (1, 1), (2, 2), (255, 8), (256, 9), (u64::MAX, 64)] {
            assert_eq!(Uint256::from(value).bits(), bits);
        }
        assert_eq!(max.bits(), 256);
    }
}
