//! The few shapes of RFC 9651 structured fields that our headers have, in one spelling each.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// `:base64:`
pub fn binary(bytes: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(bytes))
}

/// Inverse of [`binary`].
pub fn parse_binary(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.strip_prefix(':')?.strip_suffix(':')?).ok()
}

/// `sha-256=:base64:`
pub fn digest(digest: &[u8; 32]) -> String {
    format!("sha-256={}", binary(digest))
}

/// Inverse of [`digest`].
pub fn parse_digest(text: &str) -> Option<[u8; 32]> {
    parse_binary(text.strip_prefix("sha-256=")?)?.try_into().ok()
}

/// The value of `name` among `;name=value` parameters, which must come in this order.
pub fn parameter<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let rest = text.strip_prefix(';')?.strip_prefix(name)?.strip_prefix('=')?;
    Some(rest.split_at(rest.find(';').unwrap_or(rest.len())))
}

/// The inside of a quoted string without escapes.
pub fn unquote(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    (!inside.contains(['"', '\\'])).then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_each() {
        assert_eq!(binary(&[1, 2]), ":AQI=:");
        assert_eq!(parse_binary(":AQI=:"), Some(vec![1, 2]));
        for bad in ["AQI=", ":AQI:", ":AQJ=:", ":AQ-=:", ": AQI=:", ":"] {
            assert_eq!(parse_binary(bad), None, "{bad}");
        }
        assert_eq!(parse_digest(&digest(&[7; 32])), Some([7; 32]));
        assert_eq!(parse_digest("sha-256=:AQI=:"), None);
        assert_eq!(
            parameter(";epoch=5;tee=\"x\"", "epoch"),
            Some(("5", ";tee=\"x\""))
        );
        assert_eq!(parameter(";full=5", "full"), Some(("5", "")));
        assert_eq!(parameter("full=5", "full"), None);
        assert_eq!(unquote("\"a\""), Some("a"));
        assert_eq!(unquote("\"a\\\"\""), None);
    }
}
