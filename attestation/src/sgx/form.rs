//! JSON that vendors' tools wrap a quote in.

use serde_json::Value;

use crate::endorsements::Endorsements;
use crate::tdx::form::bytes;

/// What a document holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The quote.
    pub evidence: Vec<u8>,
    /// Endorsements beside it.
    pub endorsements: Endorsements,
    /// None of the forms carries one.
    pub nonce: Option<Vec<u8>>,
}

/// Reads a document; `None` if it isn't an SGX quote's. The form is Confidential Containers': `quote` in base64 (or
/// hexadecimal), possibly with collateral beside it, under `collateral`.
pub fn read(json: &Value) -> Option<Form> {
    let evidence = bytes(json.get("quote")?)?;
    // Version 3 of a quote has TEE type 0; whatever else is wrong with it, it says of itself what it is.
    if evidence.get(..2)? != [3, 0] || evidence.get(4..8)? != [0; 4] {
        return None;
    }
    let mut endorsements = Endorsements::default();
    if let Some(collateral) = json.get("collateral") {
        endorsements.add(collateral.to_string().as_bytes()).ok()?;
    }
    Some(Form {
        evidence,
        endorsements,
        nonce: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_an_enclaves_quote_is_read() {
        let quote = [3, 0, 2, 0, 0, 0, 0, 0, 7];
        let form = read(&json!({ "quote": "AwACAAAAAAAH" })).unwrap();
        assert_eq!(form.evidence, quote);
        for other in [
            json!({ "quote": "040002008100000007" }),
            json!({ "quote": "040002000000000007" }),
            json!({ "quote": "0300" }),
            json!({ "td_quote": quote }),
        ] {
            assert_eq!(read(&other), None, "{other}");
        }
    }
}
