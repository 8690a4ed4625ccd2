//! JSON in which others hand documents over.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::MAX_LEN;
use crate::endorsements::Endorsements;

/// Evidence as a form carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// COSE_Sign1 message.
    pub evidence: Vec<u8>,
    /// None: a document carries its own chain.
    pub endorsements: Endorsements,
    /// Nonce, where the form names one.
    pub nonce: Option<Vec<u8>>,
}

/// Reads `AttestationDocument` of a KMS request, alone or inside `Recipient` (AWS KMS API, `RecipientInfo`), in base64.
/// `None`: not a form of this platform.
pub fn read(json: &Value) -> Option<Form> {
    let document = json
        .get("AttestationDocument")
        .or_else(|| json.get("Recipient")?.get("AttestationDocument"))?
        .as_str()?;
    // 4 digits for 3 bytes: what is too long is not even decoded.
    if document.len() > MAX_LEN.div_ceil(3) * 4 {
        return None;
    }
    Some(Form {
        evidence: STANDARD.decode(document).ok()?,
        endorsements: Endorsements::default(),
        nonce: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_kms() {
        for text in [
            r#"{"AttestationDocument": "hEQ="}"#,
            r#"{"Recipient": {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": "hEQ="}}"#,
        ] {
            let form = read(&serde_json::from_str(text).unwrap()).unwrap();
            assert_eq!(form.evidence, [0x84, 0x44]);
        }
        for text in [r#"{"quote": "hEQ="}"#, r#"{"AttestationDocument": "?"}"#, "[]"] {
            assert_eq!(read(&serde_json::from_str(text).unwrap()), None, "{text}");
        }
    }
}
