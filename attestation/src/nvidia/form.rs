//! The forms in which NVIDIA's and others' tools write evidence. Which one it is shows in the content.
//!
//! | form | of |
//! |---|---|
//! | `[{arch, nonce, evidence, certificate, …}]` | attestation-sdk, nvtrust's protected-PCIe verifier |
//! | `{evidences: […], result_code, …}` | nvattest |
//! | `{nonce, arch, evidence_list: […]}` | requests to NVIDIA's remote attestation service |
//! | `{device_evidence_list: […]}` | Confidential Containers |
//! | `{evidence, certificate, …}` | one entry |
//! | bytes, hexadecimal digits or base64 | a report alone, whose chain comes with the endorsements |
//!
//! `arch`, `driver_version`, `uuid` and the like are unsigned, and not read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::gpus::{Evidence, MAX_DEVICES};
use super::parse::MAX_LEN;
use crate::endorsements::Endorsements;
use crate::x509::pem_certificates;

/// First bytes of a report: SPDM 1.1, GET_MEASUREMENTS.
const MAGIC: [u8; 2] = [0x11, 0xE0];

/// Evidence taken out of its wrapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The devices.
    pub devices: Vec<Evidence>,
    /// What came with it; none of the forms carries manifests.
    pub endorsements: Endorsements,
    /// The nonce that the file says it was made for. It is not the verifier's: whoever takes it from here knows nothing
    /// of freshness.
    pub nonce: Option<[u8; 32]>,
}

/// Reads a JSON form; `None` where it is none of NVIDIA's devices.
pub fn read(json: &Value) -> Option<Form> {
    let lists = ["evidences", "evidence_list", "device_evidence_list"];
    let list = match json {
        Value::Array(list) => list.as_slice(),
        Value::Object(object) => match lists.iter().find_map(|name| object.get(*name)) {
            Some(list) => list.as_array()?,
            None => core::slice::from_ref(json),
        },
        _ => return None,
    };
    if !(1..=MAX_DEVICES).contains(&list.len()) {
        return None;
    }
    let devices = list.iter().map(device).collect::<Option<Vec<_>>>()?;
    let nonces: Vec<Option<[u8; 32]>> = list
        .iter()
        .map(|entry| nonce(entry).or_else(|| nonce(json)))
        .collect();
    let first = nonces.first().copied().flatten();
    let nonce = first.filter(|_| nonces.iter().all(|nonce| *nonce == first));
    Some(Form {
        devices,
        endorsements: Endorsements::default(),
        nonce,
    })
}

/// Reads a report that stands alone; `None` where it is none. Its chain is the certificates of `endorsements`.
pub fn read_report(bytes: &[u8], endorsements: &Endorsements) -> Option<Form> {
    Some(Form {
        devices: vec![Evidence {
            report: report(bytes)?,
            certificates: endorsements.certificates.clone(),
        }],
        endorsements: Endorsements::default(),
        nonce: None,
    })
}

fn device(entry: &Value) -> Option<Evidence> {
    let text = |name: &str| entry.get(name)?.as_str();
    let certificate = text("certificate")?;
    let pem = match certificate.starts_with("-----BEGIN") {
        true => certificate.as_bytes().to_vec(),
        false => STANDARD.decode(certificate).ok()?,
    };
    Some(Evidence {
        report: report(text("evidence")?.as_bytes())?,
        certificates: pem_certificates(&pem).ok()?,
    })
}

fn nonce(entry: &Value) -> Option<[u8; 32]> {
    let digits = entry.get("nonce")?.as_str()?;
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let mut nonce = [0; 32];
    hex::decode_to_slice(digits, &mut nonce).ok()?;
    Some(nonce)
}

/// Bytes of a report, from themselves, from hexadecimal digits, from base64, or from base64 of hexadecimal digits.
fn report(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() > 4 * MAX_LEN {
        return None;
    }
    if bytes.starts_with(&MAGIC) {
        return Some(bytes.to_vec());
    }
    let text = bytes.trim_ascii();
    let from_hex = |text: &[u8]| hex::decode(text).ok().filter(|bytes| bytes.starts_with(&MAGIC));
    from_hex(text).or_else(|| {
        let bytes = STANDARD.decode(text).ok()?;
        match bytes.starts_with(&MAGIC) {
            true => Some(bytes),
            false => from_hex(bytes.trim_ascii()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_known_by_its_content() {
        let bytes = [0x11, 0xE0, 1, 0xFF, 7];
        let digits = hex::encode_upper(bytes);
        for form in [
            bytes.to_vec(),
            format!("{digits}\n").into_bytes(),
            STANDARD.encode(bytes).into_bytes(),
            STANDARD.encode(digits).into_bytes(),
        ] {
            assert_eq!(report(&form).as_deref(), Some(&bytes[..]));
        }
        assert_eq!(report(b"11e1"), None);
        assert_eq!(report(b""), None);
        assert_eq!(report(&vec![b'1'; 4 * MAX_LEN + 2]), None);
    }
}
