//! JSON modules.

use serde::de::IgnoredAny;

use super::edits::Refusal;

/// A module whose default export is the value. JSON is JavaScript but for the name `__proto__`, which would set a
/// prototype.
pub(super) fn module(source: &str) -> Result<String, Refusal> {
    let text = source.strip_prefix('\u{feff}').unwrap_or(source);
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        let before: usize = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum();
        let at = source.len() - text.len() + before + error.column().saturating_sub(1);
        let why = error.to_string();
        let why = why.rsplit_once(" at line").map_or(why.as_str(), |(why, _)| why);
        return Err(Refusal::new(at as u32, format!("this is no JSON: {why}")));
    }
    let mut made = String::with_capacity(text.len() + 32);
    made.push_str("export default ");
    let mut rest = text;
    while let Some(start) = rest.find('"') {
        let end = start + string_len(&rest[start..]);
        let (string, after) = (&rest[start..end], &rest[end..]);
        made.push_str(&rest[..start]);
        let is_name = after.trim_start().starts_with(':');
        if is_name && serde_json::from_str::<String>(string).is_ok_and(|name| name == "__proto__") {
            made.push_str("[\"__proto__\"]");
        } else {
            made.push_str(string);
        }
        rest = after;
    }
    made.push_str(rest);
    made.push(';');
    Ok(made)
}

/// Length of the string that `text` starts with, with its quotes.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
