//! Tokens that the tree has no places for, found from places that it has.

use super::edits::is_line_end;

/// The next token's place, from `at` on: after white space and comments.
pub(super) fn skip(source: &str, at: u32) -> u32 {
    let mut rest = source.get(at as usize..).unwrap_or_default();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let after = if let Some(comment) = rest.strip_prefix("//") {
            comment.find(is_line_end).map(|end| &comment[end..])
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.find("*/").map(|end| &comment[end + 2..])
        } else {
            return (source.len() - rest.len()) as u32;
        };
        rest = after.unwrap_or_default();
    }
}

/// The place after `token` if it is the next one from `at` on.
pub(super) fn after(source: &str, at: u32, token: &str) -> Option<u32> {
    let start = skip(source, at);
    let found = source.get(start as usize..)?.starts_with(token);
    found.then_some(start + token.len() as u32)
}

/// The words from `at` to `end`, with their places; it ends at anything else.
pub(super) fn words(source: &str, at: u32, end: u32) -> Vec<(u32, &str)> {
    let mut found = Vec::new();
    let mut at = skip(source, at);
    while at < end {
        let rest = source.get(at as usize..end as usize).unwrap_or_default();
        let len = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
        if len == 0 {
            break;
        }
        found.push((at, &rest[..len]));
        at = skip(source, at + len as u32);
    }
    found
}
