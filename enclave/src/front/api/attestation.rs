//! Evidence for verifiers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::bundle;
use jeju_attestation::hash::sha256;
use jeju_attestation::tee::Tee;
use jeju_wallet_auth::signature::text_digest;
use serde_json::{Value, json};
use sha3::{Digest, Keccak256};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::front::Node;
use crate::front::error::ApiError;
use crate::front::exchange::Answer;
use crate::front::listener::Connection;

use super::node::hardware_document;

const MAX_REPORT_NONCE: usize = 256;

/// The current epoch's bundle.
pub(super) fn current(node: &Node) -> Result<Answer, ApiError> {
    Ok(Answer::bytes(
        bundle::MEDIA_TYPE,
        node.attester.current().quoted.bundle.clone(),
    ))
}

/// A bundle by the SHA-256 of its bytes.
pub(super) fn bundle(node: &Node, digest: &str) -> Result<Answer, ApiError> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(digest, &mut bytes)
        .ok()
        .and_then(|()| node.attester.bundle(&bytes))
        .map(|document| Answer::immutable(bundle::MEDIA_TYPE, document))
        .ok_or_else(|| {
            ApiError::not_found(
                "evidence_not_found",
                "There is no evidence bundle with this digest here.",
            )
        })
}

/// The exact launch document.
pub(super) fn launch(node: &Node) -> Result<Answer, ApiError> {
    Ok(Answer::bytes(
        "application/toml",
        node.attester.identity().launch.clone().into(),
    ))
}

/// A quote for this nonce and this connection.
pub(super) async fn attest(node: &Node, connection: &Connection, body: &[u8]) -> Result<Answer, ApiError> {
    let nonce: [u8; 32] = body.try_into().map_err(|_| ApiError::invalid_nonce())?;
    let channel = connection
        .challenge(&nonce)
        .map_err(|_| ApiError::quote_unavailable())?;
    Ok(Answer::bytes(
        bundle::MEDIA_TYPE,
        node.attester.attest(nonce, channel).await?,
    ))
}

/// The report that existing Jeju and NEAR clients read. Its signature is by the boot's secp256k1 key, which the quote
/// inside vouches for; the quote is the claims-buffer quote of the epoch, never one over the caller's nonce.
pub(super) fn report(node: &Node, query: &str) -> Result<Answer, ApiError> {
    let nonce = report_nonce(query)?;
    let epoch = node.attester.current();
    let identity = node.attester.identity();
    let address = checksummed(&identity.evm_address());
    let hardware = hardware_document(node);
    let hardware_hash = hardware_hash(&hardware);
    let timestamp = timestamp(epoch.anchor.now());
    let tee = epoch.quoted.evidence.tee;
    let status = tee_status(tee);
    let simulated = tee == Tee::Simulated;
    // Keys in this order and no others: clients rebuild the text.
    let text = format!(
        "{{\"signingAddress\":{},\"hardware\":{},\"timestamp\":{},\"nonce\":{},\"teeStatus\":{}}}",
        Value::from(address.clone()),
        Value::from(hardware_hash),
        Value::from(timestamp.clone()),
        Value::from(nonce.clone()),
        Value::from(status),
    );
    let signature = identity.sign(&text_digest(&text)).to_string();
    let warning = simulated.then_some("Simulated silicon: for development only.");
    let quote = &epoch.quoted.evidence.cpu;
    let document = json!({
        "signingAddress": address,
        "hardware": hardware,
        "timestamp": timestamp,
        "nonce": nonce,
        "signature": signature,
        "simulated": simulated,
        "teeStatus": status,
        "teeIsReal": !simulated,
        "teeWarning": warning,
        "attestation_hash": format!("0x{}", hex::encode(epoch.quoted.digest)),
        "_tee_notice": "Verify the quote and claims, not this document's own words.",
        "quote": STANDARD.encode(quote),
        "quoteFormat": tee.media_type(),
        "reportData": format!("0x{}", hex::encode(epoch.quoted.claims.report_data())),
        "claims": STANDARD.encode(epoch.quoted.claims.bytes()),
        "evidence": epoch.reference.path(),
        "signing_address": checksummed(&identity.evm_address()),
        "signing_algo": "ecdsa",
        "intel_quote": (tee == Tee::Tdx).then(|| hex::encode(quote)),
        "nvidia_payload": null,
        "request_nonce": nonce,
    });
    Ok(Answer::json(&document))
}

/// SHA-256 of what existing clients hash of the hardware: these members in this order.
fn hardware_hash(hardware: &Value) -> String {
    let names = [
        "platform",
        "arch",
        "gpuType",
        "gpuVram",
        "cudaVersion",
        "mlxVersion",
        "macAddress",
    ];
    let members = names.map(|name| format!("\"{name}\":{}", hardware[name]));
    let text = format!("{{{}}}", members.join(","));
    format!("0x{}", hex::encode(sha256(text.as_bytes())))
}

fn report_nonce(query: &str) -> Result<String, ApiError> {
    let given = query.split('&').find_map(|pair| pair.strip_prefix("nonce="));
    match given {
        None => Ok(String::new()),
        Some(nonce)
            if nonce.len() <= MAX_REPORT_NONCE
                && nonce
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) =>
        {
            Ok(nonce.to_owned())
        }
        Some(_) => Err(ApiError::invalid(
            "invalid_nonce",
            "The nonce may have up to 256 letters, digits, - and _.",
            Some("nonce"),
        )),
    }
}

/// EIP-55.
pub(super) fn checksummed(address: &[u8; 20]) -> String {
    let digits = hex::encode(address);
    let hash = Keccak256::digest(digits.as_bytes());
    let cased = digits.bytes().enumerate().map(|(i, digit)| {
        let nibble = hash[i / 2] >> (4 * (1 - i % 2)) & 0xF;
        if nibble >= 8 {
            digit.to_ascii_uppercase() as char
        } else {
            digit as char
        }
    });
    format!("0x{}", cased.collect::<String>())
}

/// The vocabulary that existing clients know.
pub(super) fn tee_status(tee: Tee) -> &'static str {
    match tee {
        Tee::Tdx => "intel-tdx",
        Tee::SevSnp => "amd-sev",
        Tee::Nitro => "aws-nitro",
        Tee::Simulated => "simulated",
    }
}

fn timestamp(seconds: u64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000Z");
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(&format).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EIP-55's own examples.
    #[test]
    fn checksums() {
        for address in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        ] {
            let mut bytes = [0; 20];
            hex::decode_to_slice(&address[2..], &mut bytes).unwrap();
            assert_eq!(checksummed(&bytes), address);
        }
    }

    #[test]
    fn nonces_of_reports() {
        assert_eq!(report_nonce("a=1&nonce=ab-c_1"), Ok("ab-c_1".to_owned()));
        assert_eq!(report_nonce(""), Ok(String::new()));
        assert!(report_nonce("nonce=%22").is_err());
        assert!(report_nonce(&format!("nonce={}", "a".repeat(257))).is_err());
    }

    /// The digest is sha256sum's of `{"platform":"linux","arch":"x64","gpuType":null,…}`.
    #[test]
    fn hardware_is_hashed_as_existing_clients_do() {
        let hardware = json!({"arch": "x64", "cpus": 2, "platform": "linux", "hostname": null});
        assert_eq!(
            hardware_hash(&hardware),
            "0xd7366c48c7394fd0dc57cfb8375beb05947e1295ea1e86dd5c5250ae224f4a32"
        );
    }

    #[test]
    fn timestamps() {
        assert_eq!(timestamp(1_700_000_000), "2023-11-14T22:13:20.000Z");
    }
}
