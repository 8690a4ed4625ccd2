//! Text that an account wrote on chain. Anyone may write any bytes there.

use std::fmt;

/// Bytes that a contract stores as a string. The contract bounds their length, not what they are: they need not be UTF-8,
/// and may hold control characters. Printed, such are replaced.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ChainText(Vec<u8>);

impl ChainText {
    /// The bytes as they are.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, where it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&[u8]> for ChainText {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Display for ChainText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        text.chars()
            .try_for_each(|c| fmt::Write::write_char(f, if c.is_control() { '\u{fffd}' } else { c }))
    }
}

impl fmt::Debug for ChainText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_kept_and_printed_without_control_characters() {
        let text = ChainText::from(&b"a\x1b[2J\xff\n"[..]);
        assert_eq!(text.as_bytes(), b"a\x1b[2J\xff\n");
        assert_eq!(text.as_str(), None);
        assert_eq!(text.to_string(), "a\u{fffd}[2J\u{fffd}\u{fffd}");
        let plain = ChainText::from("busybox@sha256:é".as_bytes());
        assert_eq!(plain.as_str(), Some("busybox@sha256:é"));
        assert_eq!(format!("{plain:?}"), "\"busybox@sha256:é\"");
        assert!(ChainText::default().is_empty());
    }
}
