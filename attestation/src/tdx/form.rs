//! JSON that vendors' tools wrap a quote in.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::parse::Quote;
use crate::endorsements::Endorsements;
use crate::intel::quote::MAX_LEN;

/// What a document holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The quote.
    pub evidence: Vec<u8>,
    /// Endorsements beside it.
    pub endorsements: Endorsements,
    /// What the document says REPORTDATA was made of; its own claim, to be compared with the quote's.
    pub nonce: Option<Vec<u8>>,
}

/// Reads a document; `None` if it isn't a TDX quote's. The forms:
///
/// - dstack: `quote` (hexadecimal) with `event_log`, `report_data` and `vm_config`; or `attestation`, its own binary
///   format, in which the quote comes first
/// - Confidential Containers: `quote` (base64) with `cc_eventlog`; on Azure `td_quote` (an array of numbers, or
///   base64 for URLs) with `hcl_report` and `tpm_quote`
/// - any of them with collateral beside the quote, under `collateral`
pub fn read(json: &Value) -> Option<Form> {
    let evidence = quote(json)?;
    // Whatever else is wrong with it, it says of itself that it's a TDX quote.
    let tdx = evidence.get(4..8)? == [0x81, 0, 0, 0];
    if !tdx {
        return None;
    }
    let mut endorsements = Endorsements::default();
    if let Some(collateral) = json.get("collateral") {
        endorsements.add(collateral.to_string().as_bytes()).ok()?;
    }
    let nonce = match json.get("report_data") {
        Some(text) => Some(hex::decode(text.as_str()?).ok()?),
        None => None,
    };
    Some(Form {
        evidence,
        endorsements,
        nonce,
    })
}

fn quote(json: &Value) -> Option<Vec<u8>> {
    if let Some(value) = json.get("quote") {
        return bytes(value);
    }
    if let Some(value) = json.get("td_quote") {
        return bytes(value);
    }
    dstack_attestation(&bytes(json.get("attestation")?)?)
}

/// Bytes in one of the spellings, at most as many as a quote with an event log has.
pub(crate) fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => {
            let text = text.trim();
            let digits = text.strip_prefix("0x").unwrap_or(text);
            hex::decode(digits)
                .ok()
                .or_else(|| STANDARD.decode(text).ok())
                .or_else(|| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok())
        }
        Value::Array(numbers) if numbers.len() <= MAX_LEN => numbers
            .iter()
            .map(|number| u8::try_from(number.as_u64()?).ok())
            .collect(),
        _ => None,
    }
}

/// dstack's versioned attestation, in SCALE: version 0, kind 0 (TDX), then the quote with a compact length.
fn dstack_attestation(bytes: &[u8]) -> Option<Vec<u8>> {
    let rest = bytes.strip_prefix(&[0, 0])?;
    let (len, rest) = match rest {
        [low, high, rest @ ..] if low & 0b11 == 0b01 => {
            (usize::from(u16::from_le_bytes([*low, *high]) >> 2), rest)
        }
        [a, b, c, d, rest @ ..] if a & 0b11 == 0b10 => {
            ((u32::from_le_bytes([*a, *b, *c, *d]) >> 2) as usize, rest)
        }
        _ => return None,
    };
    rest.get(..len).map(<[u8]>::to_vec)
}

impl Form {
    /// The quote, read.
    pub fn parse(&self) -> Result<Quote<'_>, super::TdxError> {
        Quote::parse(&self.evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The start of a quote, which says what it is.
    const QUOTE: [u8; 9] = [4, 0, 2, 0, 0x81, 0, 0, 0, 7];

    #[test]
    fn each_spelling_is_read() {
        for quote in [
            json!("040002008100000007"),
            json!("0x040002008100000007"),
            json!(STANDARD.encode(QUOTE)),
            json!(URL_SAFE_NO_PAD.encode(QUOTE)),
            json!(QUOTE),
        ] {
            for name in ["quote", "td_quote"] {
                let form = read(&json!({ name: quote }));
                assert_eq!(form.map(|form| form.evidence), Some(QUOTE.to_vec()), "{quote}");
            }
        }
        // SCALE: 9 << 2 in one, two and four bytes; only the latter two are long enough for a quote.
        for len in [vec![9 << 2 | 1, 0], vec![9 << 2 | 2, 0, 0, 0]] {
            let attestation = [&[0, 0][..], &len, &QUOTE, b"event log"].concat();
            let form = read(&json!({ "attestation": hex::encode(attestation) }));
            assert_eq!(form.map(|form| form.evidence), Some(QUOTE.to_vec()));
        }
        let form = read(&json!({ "quote": QUOTE, "report_data": "0102" })).unwrap();
        assert_eq!(form.nonce, Some(vec![1, 2]));
    }

    #[test]
    fn other_documents_are_not_read() {
        for json in [
            json!({}),
            json!([1]),
            json!({ "quote": "" }),
            json!({ "quote": "not hexadecimal, nor base64!" }),
            json!({ "quote": [4, 0, 2, 0, 256] }),
            json!({ "quote": { "quote": QUOTE } }),
            // An enclave's.
            json!({ "quote": [3, 0, 2, 0, 0, 0, 0, 0, 7] }),
            json!({ "quote": QUOTE, "report_data": "0" }),
            json!({ "quote": QUOTE, "collateral": { "no": "collateral" } }),
            // Longer than what follows, and without a length.
            json!({ "attestation": "000029000400" }),
            json!({ "attestation": "0000" }),
            json!({ "attestation": "01002500040002008100000007" }),
        ] {
            assert_eq!(read(&json), None, "{json}");
        }
    }
}
