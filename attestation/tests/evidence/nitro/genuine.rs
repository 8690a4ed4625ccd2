//! Documents of AWS's own hypervisor, recorded by others.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// A document, when it was good, and what is expected of it.
pub struct GenuineCase {
    /// File, relative to the folder of vectors.
    pub name: &'static str,
    /// The document, without what its file wraps it in.
    pub evidence: Vec<u8>,
    /// Documents carry their own chain.
    pub endorsements: Vec<Vec<u8>>,
    /// Seconds since 1970.
    pub at: u64,
    /// Nonce to be asked for.
    pub nonce: Option<Vec<u8>>,
    /// `user_data` to be asked for.
    pub report_data: Option<Vec<u8>>,
    /// Code of the reason why it is refused.
    pub expected: Result<(), &'static str>,
    /// Module id that it must name.
    pub module: &'static str,
    /// First four bytes of its PCR0, in hex.
    pub pcr0: &'static str,
}

/// How a file holds its document.
enum Wrapping {
    None,
    Base64,
    /// dstack: two bytes of a version, a length, two more bytes; configuration behind the document.
    Dstack,
    /// A certificate with the document, in hex, as an alternative name.
    Certificate,
}

impl Wrapping {
    fn unwrap(&self, file: &[u8]) -> Vec<u8> {
        match self {
            Wrapping::None => file.to_vec(),
            Wrapping::Base64 => STANDARD.decode(file.trim_ascii()).unwrap(),
            Wrapping::Dstack => {
                let rest = &file[4..];
                let mut left = rest;
                let _: ciborium::Value = ciborium::from_reader(&mut left).unwrap();
                rest[..rest.len() - left.len()].to_vec()
            }
            Wrapping::Certificate => {
                let der = match file.starts_with(b"-----") {
                    true => jeju_attestation::x509::pem_certificates(file).unwrap().remove(0),
                    false => file.to_vec(),
                };
                let start = b"8444a1013822a059";
                let at = der
                    .windows(start.len())
                    .position(|window| window == start)
                    .unwrap();
                let digits = der[at..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_hexdigit())
                    .count();
                hex::decode(&der[at..at + digits]).unwrap()
            }
        }
    }
}

/// Every recorded document, at times inside and outside its three hours; empty where the vectors are absent.
pub fn genuine() -> Vec<GenuineCase> {
    use Wrapping::{Base64, Certificate, Dstack, None as Bare};
    const DEBUG: Result<(), &str> = Err("nitro_debug");
    let dstack_user_data = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let dstack_user_data = [hex::decode(dstack_user_data).unwrap(), vec![0; 32]].concat();
    let case = |name: &'static str, wrapping: Wrapping, at, expected, module, pcr0| {
        Some(GenuineCase {
            name,
            evidence: wrapping.unwrap(&vectors::read(name, 1)?),
            endorsements: Vec::new(),
            at,
            nonce: None,
            report_data: None,
            expected,
            module,
            pcr0,
        })
    };
    let dstack = |at, expected| {
        let name = "nitro/dstack/nitro_attestation.bin";
        let module = "i-0827e799ec9232d44-enc019b5640fdf630d6";
        case(name, Dstack, at, expected, module, "eb7d0dab")
    };
    let evervault = |at, expected| {
        let name = "nitro/evervault/valid-attestation-doc-bytes";
        let module = "i-020b6af9246d90e92-enc0183d09086c24190";
        case(name, Bare, at, expected, module, "f4d48b81")
    };
    let cases = vec![
        dstack(1_766_678_659, Ok(())).map(|case| GenuineCase {
            report_data: Some(dstack_user_data),
            ..case
        }),
        dstack(1_766_689_459, Ok(())),
        dstack(1_766_678_659, Err("nitro_user_data")).map(|case| GenuineCase {
            report_data: Some(vec![0; 64]),
            ..case
        }),
        dstack(1_766_678_659, Err("nitro_nonce")).map(|case| GenuineCase {
            nonce: Some(vec![0; 32]),
            ..case
        }),
        dstack(1_766_678_655, Err("x509_not_yet_valid")),
        dstack(1_766_689_460, Err("x509_expired")),
        case(
            "nitro/dstack/nitro_attestation_dbg.bin",
            Dstack,
            1_766_650_846,
            DEBUG,
            "i-0fd3fdaad4e904e69-enc019b54988b2d89ba",
            "00000000",
        ),
        case(
            "nitro/dstack/nsm_qvl_nitro_attestation.bin",
            Dstack,
            1_766_668_537,
            Ok(()),
            "i-0827e799ec9232d44-enc019b55a68bd2ed4b",
            "5cb70295",
        ),
        case(
            "nitro/evervault/debug-mode-attestation-doc-bytes",
            Bare,
            1_665_582_606,
            DEBUG,
            "i-03ad7cdb817437eeb-enc0183cc7569b3f6e1",
            "00000000",
        ),
        evervault(1_665_651_482, Ok(())),
        evervault(1_665_662_283, Err("x509_expired")),
        // The owner's name for it says "valid", and its chain is; it is of an enclave in debug mode.
        case(
            "nitro/evervault/valid-attestation-doc-base64",
            Base64,
            1_695_049_410,
            DEBUG,
            "i-0918f6c55e3b61d89-enc018aa8b8e2285d13",
            "00000000",
        ),
        case(
            "nitro/evervault/non-debug-cert-containing-attestation-document-18-1-23-der.crt",
            Certificate,
            1_674_047_239,
            Ok(()),
            "i-0ec0e572c8263d8ff-enc0185c4fd382eeb25",
            "d265a83f",
        ),
        case(
            "nitro/evervault/debug-mode-cert-containing-attestation-doc-18-1-23.pem",
            Certificate,
            1_674_054_632,
            DEBUG,
            "i-06e1ffc9a8410edb1-enc0185c56e099c2d54",
            "00000000",
        ),
    ];
    cases.into_iter().flatten().collect()
}

const CASES: usize = 14;

fn verdict(case: &GenuineCase) -> Result<Component, NitroError> {
    let signed = nitro::parse(&case.evidence)?;
    let now = case.at as i64;
    let mut endorsements = Endorsements::default();
    for file in &case.endorsements {
        endorsements.add(file).unwrap();
    }
    let verified = nitro::verify(&signed, &endorsements, TrustAnchors::vendors(), now)?;
    let claims = Claims::of(&verified)?;
    assert_eq!(claims.module_id.as_str(), case.module, "{}", case.name);
    assert_eq!(hex::encode(&claims.pcrs[&0][..4]), case.pcr0, "{}", case.name);
    assert_eq!(claims.root, "AWS Nitro Enclaves Root-G1");
    assert_eq!(claims.revocation, Revocation::Unknown);
    assert_eq!(claims.launch(&[0x22; 32]), Launch::NotSettable);
    let rules = Rules {
        nonce: case.nonce.clone(),
        user_data: case.report_data.clone(),
        ..Rules::strict()
    };
    nitro::appraise(&claims, &rules, now)
}

#[test]
fn genuine_documents_get_their_verdicts() {
    let cases = genuine();
    for case in &cases {
        let found = verdict(case);
        let code = found.as_ref().map(|_| ()).map_err(NitroError::code);
        assert_eq!(code, case.expected, "{} at {}: {found:?}", case.name, case.at);
        if let Ok(component) = found {
            let module = component.checks.iter().find(|check| check.claim == "module_id");
            assert_eq!(module.unwrap().value, case.module);
            assert!(module.unwrap().anchor.starts_with("AWS Nitro Enclaves Root-G1"));
            assert_eq!(component.revocation, Revocation::Unknown);
        }
    }
    assert!(cases.is_empty() || cases.len() == CASES);
}

/// Genuine, and yet nothing of it may pass where a policy wants reference values or knows of no revocation.
#[test]
fn a_policy_without_reference_values_refuses_genuine_documents() {
    for case in genuine().iter().filter(|case| case.expected.is_ok()) {
        let signed = nitro::parse(&case.evidence).unwrap();
        let now = case.at as i64;
        let verified =
            nitro::verify(&signed, &Endorsements::default(), TrustAnchors::vendors(), now).unwrap();
        let claims = Claims::of(&verified).unwrap();
        let young = Rules {
            max_age_seconds: 3 * 3600,
            ..Rules::default()
        };
        let refused = nitro::appraise(&claims, &young, now).unwrap_err();
        assert_eq!(refused.code(), "nitro_no_reference_value", "{}", case.name);
        let pinned = Rules {
            measurements: vec![jeju_attestation::hex_bytes::HexBytes(claims.measurement().0)],
            ..young
        };
        let refused = nitro::appraise(&claims, &pinned, now).unwrap_err();
        assert_eq!(refused.code(), "nitro_revocation_unknown", "{}", case.name);
        let known = Rules {
            revocation_unknown: true,
            ..pinned
        };
        assert_eq!(
            nitro::appraise(&claims, &known, now).map(|found| found.kind),
            Ok("nitro")
        );
        assert_eq!(nitro::fields(&signed)[1].1, case.module);
    }
}

/// Any changed bit is noticed, wherever it stands.
#[test]
fn changed_and_shortened_documents_are_refused() {
    let Some(case) = genuine().into_iter().next() else {
        return;
    };
    let leaf = {
        let signed = nitro::parse(&case.evidence).unwrap();
        let none = Endorsements::default();
        VerifiedLeaf::verify(signed.document(), &none, TrustAnchors::vendors(), case.at as i64).unwrap()
    };
    // Against the cached chain, so that the sweep costs a signature a case and not five.
    for at in (0..case.evidence.len()).step_by(3) {
        let mut changed = case.evidence.clone();
        changed[at] ^= 1 << (at % 8);
        let verified = nitro::parse(&changed)
            .and_then(|signed| leaf.verify_document(&signed, case.at as i64).map(|_| ()));
        assert!(verified.is_err(), "byte {at}");
        assert!(nitro::parse(&case.evidence[..at]).is_err(), "{at} bytes");
    }
}
