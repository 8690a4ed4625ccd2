//! Evidence as a node hands it out. The first byte chooses the parser.
#![no_main]

use jeju_attestation::bundle::Bundle;
use jeju_attestation::certificate::{AttestedCertificate, CertificateEvidence};
use jeju_attestation::claims::{ClaimsBuffer, MAX_LEN};
use jeju_attestation::evidence::{NodeEvidence, Verifier};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::keys::KeyList;
use jeju_attestation::simulated::{REPORT_LEN, Report, SIGNED_LEN};
use jeju_attestation::tee::Tee;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    match choice % 6 {
        0 => claims(bytes),
        1 => {
            if let Ok(evidence) = CertificateEvidence::parse(bytes) {
                assert_eq!(evidence.encode(), bytes, "one encoding per value");
                claims(&evidence.claims);
            }
        }
        2 => {
            if let Ok(certificate) = AttestedCertificate::parse(bytes) {
                claims(&certificate.evidence.claims);
            }
        }
        3 => {
            if let Ok(bundle) = Bundle::parse(bytes) {
                assert_eq!(Bundle::parse(&bundle.encode()).as_ref(), Ok(&bundle));
                verify_bundle(&bundle);
            }
        }
        4 => {
            if let Ok(list) = KeyList::parse(bytes) {
                assert_eq!(list.encode(), bytes, "one encoding per value");
            }
        }
        _ => {
            if let Ok(report) = Report::parse(bytes) {
                let again = Report::unsigned(
                    &report.image_digest,
                    &report.host_data,
                    &report.report_data,
                    &report.platform_id,
                    &report.root_id,
                );
                assert_eq!(bytes.len(), REPORT_LEN);
                assert_eq!(again[..], bytes[..SIGNED_LEN]);
                assert!(!report.is_signed_by(&[4; 65]), "no such point");
            }
        }
    }
});

fn claims(bytes: &[u8]) {
    if let Ok(buffer) = ClaimsBuffer::parse(bytes) {
        assert!(bytes.len() <= MAX_LEN);
        let again = ClaimsBuffer::encode(buffer.claims().clone()).expect("accepted claims encode");
        assert_eq!(again.bytes(), bytes, "one encoding per value");
    }
}

fn verify_bundle(bundle: &Bundle) {
    // No input of the fuzzer holds a signature by a root that nobody has the key of.
    let verifier = Verifier::simulated(&[HexBytes([4; 65])]);
    for tee in Tee::ALL {
        let evidence = NodeEvidence {
            tee,
            ..NodeEvidence::of(bundle)
        };
        assert!(verifier.verify(&evidence, 1_767_225_600).is_err());
    }
}
