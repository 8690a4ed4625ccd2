//! Searches what members print for their secrets.

use std::collections::HashSet;

/// Secret values that were seen on the way between members or on their way to a disk.
#[derive(Default)]
pub struct Canary(HashSet<[u8; LEN]>);

/// Bytes of a scalar.
const LEN: usize = 32;

impl Canary {
    /// Remembers a secret scalar.
    pub fn hide(&mut self, secret: &[u8]) {
        // One value only can be anything: zeros and small numbers are no secrets.
        if let Ok(secret) = <[u8; LEN]>::try_from(secret)
            && secret[..LEN / 2] != [0; LEN / 2]
        {
            self.0.insert(secret);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a text shows one, in hexadecimal digits of either case or as a list of decimal numbers.
    pub fn is_shown_by(&self, text: &str) -> bool {
        !self.0.is_empty() && (self.in_digits(text) || self.in_numbers(text))
    }

    /// Whether bytes hold one.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        bytes.windows(LEN).any(|window| {
            window
                .try_into()
                .is_ok_and(|window: [u8; LEN]| self.0.contains(&window))
        })
    }

    fn in_digits(&self, text: &str) -> bool {
        let runs = text
            .split(|c: char| !c.is_ascii_hexdigit())
            .filter(|run| run.len() >= 2 * LEN);
        // A run may begin with a digit too many.
        let decoded = |run: &str| (0..2).any(|skip| self.is_in(&decode(&run.as_bytes()[skip..])));
        runs.into_iter().any(decoded)
    }

    fn in_numbers(&self, text: &str) -> bool {
        let mut bytes = Vec::new();
        for part in text.split(|c: char| !c.is_ascii_digit() && c != ',' && c != ' ' && c != '\n') {
            if part.len() < 2 * LEN {
                continue;
            }
            bytes.clear();
            bytes.extend(
                part.split(',')
                    .filter_map(|number| number.trim().parse::<u8>().ok()),
            );
            if self.is_in(&bytes) {
                return true;
            }
        }
        false
    }
}

fn decode(digits: &[u8]) -> Vec<u8> {
    let even = digits.len() / 2 * 2;
    hex::decode(&digits[..even]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_however_they_are_printed() {
        let secret: [u8; LEN] = std::array::from_fn(|i| (i * 37 + 5) as u8);
        let mut canary = Canary::default();
        canary.hide(&secret);
        canary.hide(&[0; LEN]);
        assert_eq!(canary.len(), 1);
        let hex = hex::encode(secret);
        for text in [
            format!("share {hex}"),
            format!("share {}", hex.to_uppercase()),
            format!("0xa{hex}00"),
            format!("ab{hex}"),
            format!("{secret:?}"),
            format!("{secret:#?}"),
            format!("{:?}", [&[7; 3][..], &secret, &[1]].concat()),
        ] {
            assert!(canary.is_shown_by(&text), "{text}");
        }
        assert!(!canary.is_shown_by(&format!("{} {:?}", hex::encode([1; 40]), [1; 40])));
        assert!(!canary.is_shown_by(&hex[..62]));
        assert!(canary.is_in(&[&[7; 3][..], &secret, &[1]].concat()));
    }
}
