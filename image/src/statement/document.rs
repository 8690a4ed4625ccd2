//! The JSON form: the typed data that wallets and `cast` take (`eth_signTypedData_v4`), its digest and the signature.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::eip712::{DOMAIN_NAME, DOMAIN_VERSION};
use super::{Domain, RebuildStatement, SignedStatement, StatementError};

const PRIMARY_TYPE: &str = "RebuildStatement";

/// One statement as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    types: Value,
    primary_type: String,
    domain: DomainJson,
    message: Message,
    digest: String,
    signature: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DomainJson {
    name: String,
    version: String,
    chain_id: u64,
    verifying_contract: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Message {
    measurement: String,
    release_digest: String,
    source_commit: String,
    lock_digest: String,
    built_at: u64,
    rebuilder: String,
}

impl SignedStatement {
    /// One JSON object.
    pub fn to_json(&self) -> Value {
        let Self {
            domain,
            statement,
            signature,
        } = self;
        let document = Document {
            types: types(),
            primary_type: PRIMARY_TYPE.to_owned(),
            domain: DomainJson {
                name: DOMAIN_NAME.to_owned(),
                version: DOMAIN_VERSION.to_owned(),
                chain_id: domain.chain_id,
                verifying_contract: text(&domain.registry),
            },
            message: Message {
                measurement: text(&statement.measurement),
                release_digest: text(&statement.release_digest),
                source_commit: text(&statement.source_commit),
                lock_digest: text(&statement.lock_digest),
                built_at: statement.built_at,
                rebuilder: text(&statement.rebuilder),
            },
            digest: text(&statement.digest(domain)),
            signature: text(signature),
        };
        serde_json::to_value(document).expect("strings and numbers serialise")
    }

    /// Reads one JSON object. The signature isn't checked yet: [`SignedStatement::verify`].
    ///
    /// # Errors
    /// [`StatementError::Json`], [`StatementError::Types`], [`StatementError::Hex`], [`StatementError::Digest`].
    pub fn from_json(json: Value) -> Result<Self, StatementError> {
        let document: Document = serde_json::from_value(json).map_err(StatementError::Json)?;
        let Document { domain, message, .. } = &document;
        // Wallets hash what the types say: other types would be another statement under the same words.
        let ours = document.types == types()
            && document.primary_type == PRIMARY_TYPE
            && domain.name == DOMAIN_NAME
            && domain.version == DOMAIN_VERSION;
        if !ours {
            return Err(StatementError::Types);
        }
        let signed = Self {
            domain: Domain {
                chain_id: domain.chain_id,
                registry: bytes("verifyingContract", &domain.verifying_contract)?,
            },
            statement: RebuildStatement {
                measurement: bytes("measurement", &message.measurement)?,
                release_digest: bytes("releaseDigest", &message.release_digest)?,
                source_commit: bytes("sourceCommit", &message.source_commit)?,
                lock_digest: bytes("lockDigest", &message.lock_digest)?,
                built_at: message.built_at,
                rebuilder: bytes("rebuilder", &message.rebuilder)?,
            },
            signature: bytes("signature", &document.signature)?,
        };
        let claimed = bytes("digest", &document.digest)?;
        let actual = signed.statement.digest(&signed.domain);
        if claimed != actual {
            return Err(StatementError::Digest { actual, claimed });
        }
        Ok(signed)
    }
}

/// `types` of the typed data.
pub fn types() -> Value {
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    json!({
        "EIP712Domain": [
            field("name", "string"),
            field("version", "string"),
            field("chainId", "uint256"),
            field("verifyingContract", "address"),
        ],
        PRIMARY_TYPE: [
            field("measurement", "bytes32"),
            field("releaseDigest", "bytes32"),
            field("sourceCommit", "bytes32"),
            field("lockDigest", "bytes32"),
            field("builtAt", "uint64"),
            field("rebuilder", "address"),
        ],
    })
}

fn text(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// `0x` and a fixed number of bytes in hexadecimal of either case.
pub fn bytes<const N: usize>(field: &'static str, text: &str) -> Result<[u8; N], StatementError> {
    let mut bytes = [0; N];
    text.strip_prefix("0x")
        .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
        .ok_or(StatementError::Hex { field, length: N })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::eip712::tests::{domain, statement};
    use super::super::key::tests::key;
    use super::*;

    fn json_form() -> Value {
        statement().sign(domain(), &key()).unwrap().to_json()
    }

    #[test]
    fn reads_what_it_writes() {
        let signed = SignedStatement::from_json(json_form()).unwrap();
        assert_eq!(signed, statement().sign(domain(), &key()).unwrap());
        signed.verify().unwrap();
    }

    #[test]
    fn each_changed_field_is_refused() {
        let json = json_form();
        let refused = |pointer: &str, value: Value| {
            let mut changed = json.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            SignedStatement::from_json(changed)
                .and_then(|signed| signed.verify())
                .expect_err(pointer)
        };
        for field in ["measurement", "releaseDigest", "sourceCommit", "lockDigest"] {
            let error = refused(&format!("/message/{field}"), json!(text(&[9; 32])));
            assert!(matches!(error, StatementError::Digest { .. }), "{field}");
        }
        assert!(matches!(
            refused("/message/builtAt", json!(1)),
            StatementError::Digest { .. }
        ));
        assert!(matches!(
            refused("/domain/chainId", json!(1)),
            StatementError::Digest { .. }
        ));
        assert!(matches!(
            refused("/digest", json!(text(&[9; 32]))),
            StatementError::Digest { .. }
        ));
        for (pointer, value) in [
            ("/domain/name", json!("Other")),
            ("/domain/version", json!("2")),
            ("/primaryType", json!("Other")),
            ("/types/RebuildStatement/0/name", json!("other")),
        ] {
            assert!(matches!(refused(pointer, value), StatementError::Types));
        }
        for (pointer, value) in [
            ("/message/measurement", json!("11")),
            ("/message/rebuilder", json!("0x11")),
            ("/signature", json!("0x")),
        ] {
            assert!(matches!(refused(pointer, value), StatementError::Hex { .. }));
        }
    }

    #[test]
    fn unknown_and_missing_fields_are_refused() {
        let mut json = json_form();
        json["extra"] = json!(1);
        assert!(matches!(
            SignedStatement::from_json(json),
            Err(StatementError::Json(_))
        ));
        let mut json = json_form();
        json["message"].as_object_mut().unwrap().remove("builtAt");
        assert!(matches!(
            SignedStatement::from_json(json),
            Err(StatementError::Json(_))
        ));
    }
}
