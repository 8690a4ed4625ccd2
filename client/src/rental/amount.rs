//! Amounts of ether, with their unit: a bare number could be wei or ether, a factor of 10^18.

use std::fmt;
use std::str::FromStr;

/// Names and powers of ten of the units that are read.
const UNITS: [(&str, u32); 4] = [("ether", 18), ("gwei", 9), ("eth", 18), ("wei", 0)];

/// An amount in wei. Written as `0.05eth`, `20gwei` or `1wei`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub u128);

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no amount: write 0.05eth, 20gwei or 1wei");
        let found = UNITS
            .iter()
            .find_map(|(name, power)| Some((text.strip_suffix(name)?, *power)));
        let (number, power) = found.ok_or_else(wrong)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_digits = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
        let bare_point = number.contains('.') && fraction.is_empty();
        if whole.is_empty() || bare_point || !is_digits(whole) || !is_digits(fraction) {
            return Err(wrong());
        }
        let places = u32::try_from(fraction.len())
            .ok()
            .filter(|places| *places <= power)
            .ok_or_else(wrong)?;
        let value = |digits: &str, power: u32| -> Option<u128> {
            match digits {
                "" => Some(0),
                digits => digits
                    .parse::<u128>()
                    .ok()?
                    .checked_mul(10u128.checked_pow(power)?),
            }
        };
        value(whole, power)
            .zip(value(fraction, power - places))
            .and_then(|(whole, fraction)| whole.checked_add(fraction))
            .map(Self)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for Amount {
    /// In ether, exactly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 10u128.pow(18), self.0 % 10u128.pow(18));
        if fraction == 0 {
            return write!(f, "{whole} ETH");
        }
        let fraction = format!("{fraction:018}");
        write!(f, "{whole}.{} ETH", fraction.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        for (text, wei, shown) in [
            ("0.05eth", 50_000_000_000_000_000, "0.05 ETH"),
            (
                "1.000000000000000001ether",
                1_000_000_000_000_000_001,
                "1.000000000000000001 ETH",
            ),
            ("20gwei", 20_000_000_000, "0.00000002 ETH"),
            ("0.5gwei", 500_000_000, "0.0000000005 ETH"),
            ("1wei", 1, "0.000000000000000001 ETH"),
            ("0eth", 0, "0 ETH"),
            (
                "340282366920938463463374607431768211455wei",
                u128::MAX,
                "340282366920938463463.374607431768211455 ETH",
            ),
        ] {
            assert_eq!(text.parse(), Ok(Amount(wei)), "{text}");
            assert_eq!(Amount(wei).to_string(), shown);
        }
        for text in [
            "",
            "1",
            "0.05",
            "eth",
            ".5eth",
            "1.eth",
            "-1eth",
            "+1wei",
            "1.5wei",
            "1e18wei",
            "0x1wei",
            "1 eth",
            "1.0000000000000000001eth",
            "340282366920938463463374607431768211456wei",
            "340282366920938463464eth",
        ] {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
    }
}
