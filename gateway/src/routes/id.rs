//! Ids of routes.

use std::fmt;
use std::str::FromStr;

use super::RouteError;

/// Id of a route: a random UUID (version 4), and all that it takes to use the route. So `Debug` doesn't show it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId([u8; 16]);

impl RouteId {
    /// A random one.
    ///
    /// # Errors
    /// [`RouteError::NoRandomness`].
    pub fn random() -> Result<Self, RouteError> {
        let mut bytes = [0; 16];
        let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
        random.fill(&mut bytes).map_err(|_| RouteError::NoRandomness)?;
        // Version 4, variant 1 (RFC 9562): 122 bits are random.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Ok(Self(bytes))
    }
}

impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        let (a, b, c, d, e) = (
            &digits[..8],
            &digits[8..12],
            &digits[12..16],
            &digits[16..20],
            &digits[20..],
        );
        write!(f, "{a}-{b}-{c}-{d}-{e}")
    }
}

impl fmt::Debug for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RouteId(…)")
    }
}

impl FromStr for RouteId {
    type Err = RouteError;

    /// Reads 8-4-4-4-12 hexadecimal digits of either case; all else is the id of no route.
    fn from_str(text: &str) -> Result<Self, RouteError> {
        let is_dash = |place: usize| matches!(place, 8 | 13 | 18 | 23);
        let shaped = |(place, byte): (usize, u8)| is_dash(place) == (byte == b'-');
        if text.len() != 36 || !text.bytes().enumerate().all(shaped) {
            return Err(RouteError::NotFound);
        }
        let mut bytes = [0; 16];
        hex::decode_to_slice(text.replace('-', ""), &mut bytes).map_err(|_| RouteError::NotFound)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_random_uuid_that_debug_output_does_not_show() {
        let id = RouteId::random().unwrap();
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_uppercase().parse(), Ok(id));
        assert_eq!((&text[14..15], text.len()), ("4", 36));
        assert_ne!(RouteId::random().unwrap(), id);
        assert_eq!(format!("{id:?}"), "RouteId(…)");
        for wrong in [
            "",
            "0",
            &text[1..],
            &text.replace('-', "0"),
            &text.replace('4', "é"),
            &format!("{text}0"),
            &"-".repeat(36),
        ] {
            assert_eq!(wrong.parse::<RouteId>(), Err(RouteError::NotFound), "{wrong}");
        }
    }
}
