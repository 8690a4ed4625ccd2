//! Evidence in the forms in which people have it: raw, hex, base64, PEM, or the JSON of a vendor's tool.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::reasons::{reasons, shown};

/// Longest file that is read, in bytes.
pub const MAX_LEN: usize = 4 * 1024 * 1024;
/// Longest JSON document that is read, in bytes: that of the longest evidence bundle.
pub const MAX_JSON_LEN: usize = 1024 * 1024;
/// Most values in it: in memory a value of five bytes can take more than 600. An array of a quote's bytes has some 8000.
pub const MAX_JSON_VALUES: usize = 16 * 1024;

reasons! {
    /// Why a file isn't evidence in a form that is read.
    pub enum InputError {
        own {
            #[error("file of {0} bytes is longer than {MAX_LEN}")]
            TooLong(usize) => Evidence "input_too_long",
            #[error("JSON of {0} bytes is longer than {MAX_JSON_LEN}")]
            JsonTooLong(usize) => Evidence "input_json_too_long",
            #[error("JSON may have more than {MAX_JSON_VALUES} values")]
            JsonValues => Evidence "input_json_values",
            #[error("file is empty")]
            Empty => Evidence "input_empty",
            #[error("file is compressed; decompress it first")]
            Compressed => Evidence "input_compressed",
            #[error("not JSON: {0}")]
            Json(String) => Evidence "input_json_invalid",
            #[error("PEM or base64 inside the file is malformed")]
            Encoding => Evidence "input_encoding_invalid",
            #[error("file is no evidence of a kind that is known; name the kind if it is")]
            Unknown => Evidence "input_unknown",
        }
        of {}
    }
}

/// A file without its encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// Evidence as the hardware gave it.
    Bytes(Vec<u8>),
    /// A JSON document that holds evidence.
    Json(Value),
}

/// First bytes of what compresses: gzip, zstd, xz, bzip2, zip.
const COMPRESSED: [&[u8]; 5] = [
    &[0x1F, 0x8B],
    &[0x28, 0xB5, 0x2F, 0xFD],
    &[0xFD, b'7', b'z', b'X', b'Z'],
    b"BZh",
    b"PK\x03\x04",
];

/// Takes one layer of encoding off. Nothing is ever decompressed: a few bytes could stand for more than memory holds.
pub fn decode(file: &[u8]) -> Result<Decoded, InputError> {
    if file.len() > MAX_LEN {
        return Err(InputError::TooLong(file.len()));
    }
    if COMPRESSED.iter().any(|magic| file.starts_with(magic)) {
        return Err(InputError::Compressed);
    }
    let text = file.trim_ascii();
    match text.first() {
        None => Err(InputError::Empty),
        Some(b'{' | b'[') => json(text).map(Decoded::Json),
        _ => {
            let decoded = match text.starts_with(b"-----BEGIN ") {
                true => pem(text)?,
                false => hex(text)
                    .or_else(|| base64(text))
                    .unwrap_or_else(|| file.to_vec()),
            };
            match decoded.as_slice() {
                bytes if COMPRESSED.iter().any(|magic| bytes.starts_with(magic)) => {
                    Err(InputError::Compressed)
                }
                // Some tools write the base64 of a JSON document.
                [b'{' | b'[', ..] => json(&decoded).map(Decoded::Json),
                _ => Ok(Decoded::Bytes(decoded)),
            }
        }
    }
}

/// Reads JSON whose values fit into memory.
pub(crate) fn json(text: &[u8]) -> Result<Value, InputError> {
    if text.len() > MAX_JSON_LEN {
        return Err(InputError::JsonTooLong(text.len()));
    }
    // One of these stands before each value but the first. Those inside texts are counted too: telling them apart would
    // take a second parser, which could be led astray.
    let marks = text.iter().filter(|byte| b"[{,:".contains(byte)).count();
    if marks >= MAX_JSON_VALUES {
        return Err(InputError::JsonValues);
    }
    serde_json::from_slice(text).map_err(|error| InputError::Json(shown(error)))
}

/// The first block of any label.
fn pem(text: &[u8]) -> Result<Vec<u8>, InputError> {
    let text = core::str::from_utf8(text).map_err(|_| InputError::Encoding)?;
    let body = text
        .split_once("-----\n")
        .or_else(|| text.split_once("-----\r\n"));
    let (_, body) = body.ok_or(InputError::Encoding)?;
    let (body, _) = body.split_once("-----END ").ok_or(InputError::Encoding)?;
    base64(body.as_bytes()).ok_or(InputError::Encoding)
}

/// Hex digits with white space between them, perhaps after `0x`.
fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_prefix(b"0x").unwrap_or(text);
    let digits = without_space(text);
    if digits.len() < 2 {
        return None;
    }
    hex::decode(digits).ok()
}

/// Either alphabet, with or without padding.
pub(crate) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut digits = without_space(text);
    if digits.is_empty() {
        return None;
    }
    for digit in &mut digits {
        match digit {
            b'+' => *digit = b'-',
            b'/' => *digit = b'_',
            _ => {}
        }
    }
    let padding = digits.iter().rev().take_while(|digit| **digit == b'=').count();
    if padding > 2 {
        return None;
    }
    digits.truncate(digits.len() - padding);
    URL_SAFE_NO_PAD.decode(digits).ok()
}

fn without_space(text: &[u8]) -> Vec<u8> {
    text.iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_layer_of_each_encoding() {
        let bytes = || Ok(Decoded::Bytes(vec![4, 0, 2, 0xFB, 0xFF]));
        assert_eq!(decode(&[4, 0, 2, 0xFB, 0xFF]), bytes());
        assert_eq!(decode(b"040002fbff\n"), bytes());
        assert_eq!(decode(b"0x0400 02FB\nff"), bytes());
        assert_eq!(decode(b"BAAC+/8="), bytes());
        assert_eq!(decode(b"BAAC-_8"), bytes());
        assert_eq!(
            decode(b"-----BEGIN QUOTE-----\nBAAC\n+/8=\n-----END QUOTE-----\n"),
            bytes()
        );
        assert!(matches!(decode(b" {\"a\":1}"), Ok(Decoded::Json(_))));
        assert!(matches!(decode(b"eyJhIjoxfQ=="), Ok(Decoded::Json(_))));
    }

    #[test]
    fn refusals() {
        let code = |file: &[u8]| decode(file).unwrap_err().code();
        assert_eq!(code(b""), "input_empty");
        assert_eq!(code(b" \n"), "input_empty");
        assert_eq!(code(&[0x1F, 0x8B, 8, 0]), "input_compressed");
        assert_eq!(code(b"H4sIAAAAAAAA"), "input_compressed");
        assert_eq!(code(b"1f8b0800"), "input_compressed");
        assert_eq!(
            code(b"-----BEGIN QUOTE-----\nH4sIAAAA\n-----END QUOTE-----"),
            "input_compressed"
        );
        assert_eq!(code(b"{\"a\":"), "input_json_invalid");
        assert_eq!(code(b"-----BEGIN QUOTE-----\nBA"), "input_encoding_invalid");
        assert_eq!(code(&vec![0; MAX_LEN + 1]), "input_too_long");
        assert_eq!(
            code(&[&b"["[..], &[b' '; MAX_JSON_LEN], b"]"].concat()),
            "input_json_too_long"
        );
        let deep = [b'['; 10_000];
        assert_eq!(code(&deep), "input_json_invalid");
        let zeros = |count: usize| ["[0", &",0".repeat(count - 1), "]"].concat();
        assert!(decode(zeros(MAX_JSON_VALUES - 1).as_bytes()).is_ok());
        assert_eq!(code(zeros(MAX_JSON_VALUES).as_bytes()), "input_json_values");
    }
}
