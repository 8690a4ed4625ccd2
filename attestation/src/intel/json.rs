//! Intel's collateral as JSON: answers of the provisioning service, and the sets that verifiers' tools keep.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::endorsements::SignedJson;
use crate::x509::pem_blocks;

/// What one JSON file holds.
#[derive(Default)]
pub(crate) struct Collateral {
    pub(crate) certificates: Vec<Vec<u8>>,
    pub(crate) revocation_lists: Vec<Vec<u8>>,
    pub(crate) tcb_infos: Vec<SignedJson>,
    pub(crate) qe_identities: Vec<SignedJson>,
}

/// An answer of `/tcb` or `/qe/identity`: the signature is over the exact bytes of the inner object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Answer<'a> {
    #[serde(borrow)]
    tcb_info: Option<&'a RawValue>,
    #[serde(borrow)]
    enclave_identity: Option<&'a RawValue>,
    signature: &'a str,
}

/// A set as `dcap-qvl` and those who use it write it; field names are those of Intel's `sgx_ql_qve_collateral_t`.
#[derive(Deserialize)]
struct Set<'a> {
    pck_crl_issuer_chain: Option<String>,
    #[serde(borrow)]
    root_ca_crl: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pck_crl: Option<Cow<'a, str>>,
    tcb_info_issuer_chain: Option<String>,
    tcb_info: Option<String>,
    #[serde(borrow)]
    tcb_info_signature: Option<Cow<'a, str>>,
    qe_identity_issuer_chain: Option<String>,
    qe_identity: Option<String>,
    #[serde(borrow)]
    qe_identity_signature: Option<Cow<'a, str>>,
    /// Not used: the quote brings its own, and another platform's certificate could only mislead.
    #[serde(rename = "pck_certificate_chain")]
    _pck_certificate_chain: Option<serde::de::IgnoredAny>,
}

impl Collateral {
    /// Reads one file; `None` if it is none of these forms, or has nothing in it.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        if let Ok(answer) = serde_json::from_slice::<Answer<'_>>(text) {
            let mut found = Self::default();
            found.add_answer(&answer)?;
            return Some(found);
        }
        let set: Set<'_> = serde_json::from_slice(text).ok()?;
        Self::read_set(set)
    }

    fn add_answer(&mut self, answer: &Answer<'_>) -> Option<()> {
        let signed = |body: &RawValue| {
            Some(SignedJson {
                body: body.get().as_bytes().to_vec(),
                signature: hex::decode(answer.signature).ok()?,
            })
        };
        match (answer.tcb_info, answer.enclave_identity) {
            (Some(body), None) => self.tcb_infos.push(signed(body)?),
            (None, Some(body)) => self.qe_identities.push(signed(body)?),
            _ => return None,
        }
        Some(())
    }

    fn read_set(set: Set<'_>) -> Option<Self> {
        let mut found = Self::default();
        // One certificate signs both documents: its chain usually stands there twice.
        let second = set
            .qe_identity_issuer_chain
            .filter(|chain| Some(chain) != set.tcb_info_issuer_chain.as_ref());
        let chains = [set.pck_crl_issuer_chain, set.tcb_info_issuer_chain, second];
        for chain in chains.into_iter().flatten() {
            for certificate in pem_blocks(chain.as_bytes(), "CERTIFICATE").ok()? {
                if !found.certificates.contains(&certificate) {
                    found.certificates.push(certificate);
                }
            }
        }
        for list in [set.root_ca_crl, set.pck_crl].into_iter().flatten() {
            found.revocation_lists.push(revocation_list(&list)?);
        }
        if let Some(body) = set.tcb_info {
            match set.tcb_info_signature {
                Some(signature) => found.tcb_infos.push(signed(body, &signature)?),
                None => found.add_answer(&serde_json::from_str(&body).ok()?)?,
            }
        }
        if let Some(body) = set.qe_identity {
            match set.qe_identity_signature {
                Some(signature) => found.qe_identities.push(signed(body, &signature)?),
                None => found.add_answer(&serde_json::from_str(&body).ok()?)?,
            }
        }
        let nothing =
            found.revocation_lists.is_empty() && found.tcb_infos.is_empty() && found.qe_identities.is_empty();
        (!nothing).then_some(found)
    }
}

fn signed(body: String, signature: &str) -> Option<SignedJson> {
    Some(SignedJson {
        body: body.into_bytes(),
        signature: hex::decode(signature.trim()).ok()?,
    })
}

/// DER as hexadecimal digits or base64, or PEM.
fn revocation_list(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    if text.starts_with("-----BEGIN") {
        let mut lists = pem_blocks(text.as_bytes(), "X509 CRL").ok()?;
        return match lists.len() {
            1 => lists.pop(),
            _ => None,
        };
    }
    hex::decode(text).or_else(|_| STANDARD.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_its_exact_bytes() {
        let text = br#"{"tcbInfo":{"b":1, "a" : 2},"signature":"00ff"}"#;
        let found = Collateral::read(text).unwrap();
        assert_eq!(found.tcb_infos[0].body, br#"{"b":1, "a" : 2}"#);
        assert_eq!(found.tcb_infos[0].signature, [0, 0xFF]);
        assert!(found.qe_identities.is_empty());
    }

    #[test]
    fn what_is_not_collateral_is_not_read() {
        for text in [
            &br#"{"quote":"00"}"#[..],
            br#"{}"#,
            br#"[]"#,
            br#"{"signature":"00"}"#,
            br#"{"tcbInfo":{},"enclaveIdentity":{},"signature":"00"}"#,
            br#"{"tcbInfo":{},"signature":"0"}"#,
            br#"{"root_ca_crl":"?"}"#,
        ] {
            assert!(
                Collateral::read(text).is_none(),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn lists_in_each_spelling() {
        assert_eq!(revocation_list(" 3003020101\n"), Some(vec![0x30, 3, 2, 1, 1]));
        assert_eq!(revocation_list("MAMCAQE="), Some(vec![0x30, 3, 2, 1, 1]));
        let pem = "-----BEGIN X509 CRL-----\nMAMCAQE=\n-----END X509 CRL-----\n";
        assert_eq!(revocation_list(pem), Some(vec![0x30, 3, 2, 1, 1]));
        assert_eq!(revocation_list("-----BEGIN CERTIFICATE-----"), None);
    }
}
