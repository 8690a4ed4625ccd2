//! Verdicts on the recordings, and what they say.

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::evidence::LaunchBinding;
use jeju_attestation::roots::{AmdProduct, TrustAnchors};
use jeju_attestation::sev_snp::{self, Claims, Rules, SnpError, VekKind};
use jeju_attestation::verdict::Revocation;
use serde_json::Value;

use super::genuine::{COUNT, GenuineCase, IN_2026, genuine};

/// Evidence in whatever form, with what it brings.
fn unwrapped(evidence: &[u8]) -> (Vec<u8>, Endorsements, Option<Vec<u8>>) {
    let form = match serde_json::from_slice::<Value>(evidence) {
        Ok(json) => sev_snp::read(&json),
        Err(_) => sev_snp::read_bytes(evidence),
    };
    match form {
        Some(form) => (form.evidence, form.endorsements, form.nonce),
        None => (evidence.to_vec(), Endorsements::default(), None),
    }
}

fn verified(case: &GenuineCase) -> Result<Claims, SnpError> {
    let (report, mut endorsements, nonce) = unwrapped(&case.evidence);
    assert_eq!(nonce, case.nonce, "{}", case.name);
    for file in &case.endorsements {
        endorsements.add(file).unwrap();
    }
    sev_snp::verify(&report, &endorsements, TrustAnchors::vendors(), case.at as i64)
}

fn named<'a>(cases: &'a [GenuineCase], name: &str) -> &'a GenuineCase {
    cases.iter().find(|case| case.name == name).unwrap()
}

#[test]
fn genuine_reports_get_their_verdicts() {
    let cases = genuine();
    assert!(cases.is_empty() || cases.len() == COUNT, "{} cases", cases.len());
    for case in &cases {
        let appraised = verified(case).and_then(|claims| {
            if let Some(expected) = &case.report_data {
                claims.check_report_data(expected.as_slice().try_into().unwrap())?;
            }
            sev_snp::appraise(&claims, &Rules::strict())
        });
        let found = appraised.as_ref().map(|_| ()).map_err(SnpError::code);
        assert_eq!(found, case.expected, "{}: {appraised:?}", case.name);
        if let Ok(component) = appraised {
            // No genuine revocation list is at hand, and that must show.
            assert_eq!(component.revocation, Revocation::Unknown);
            assert_eq!(component.kind, "sev-snp");
            assert!(component.checks.len() > 30);
        }
    }
}

#[test]
fn genuine_reports_say_what_is_known_of_them() {
    let cases = genuine();
    if cases.is_empty() {
        return;
    }
    let claims = |name: &str| verified(named(&cases, name)).unwrap();
    let tcb = |name: &str| claims_tcb(&claims(name));

    let virtee = claims("virtee");
    assert_eq!((virtee.report.version(), virtee.product), (2, AmdProduct::Milan));
    assert_eq!(hex::encode(&virtee.report_data[..4]), "d447b55d");
    assert_eq!(hex::encode(&virtee.measurement[..4]), "7a1e5c26");
    assert_eq!(tcb("virtee"), (None, 3, 0, 8, 115));
    assert_eq!(virtee.cpuid, None);
    assert_eq!(virtee.hwid, Some(virtee.chip_id));
    assert_eq!(virtee.platform(), Some(virtee.chip_id));
    assert_eq!(virtee.launch_binding(), LaunchBinding::NotSettable);

    let google = claims("google: debug");
    assert!(google.policy.debug());
    assert_eq!(google.report_data[..6], [1, 2, 3, 4, 5, 0]);

    let turin = claims("turin");
    assert_eq!((turin.report.version(), turin.product), (5, AmdProduct::Turin));
    assert_eq!(tcb("turin"), (Some(1), 3, 2, 5, 97));
    assert_eq!(turin.cpuid, Some((0x1A, 0x02, 0x01)));
    assert_eq!(hex::encode(&turin.chip_id[..9]), "0910b4f884ff4ba900");
    assert_eq!(
        (turin.launch_mit_vector, turin.current_mit_vector),
        (Some(0x3F), Some(0x3F))
    );
    assert_eq!(turin.platform_info.0, 0x65);
    assert!(turin.platform_info.alias_check_complete());
    assert_eq!(turin.id_key_digest, [0; 48]);

    let vlek = claims("vlek: VMPL 1");
    assert_eq!((vlek.key, vlek.vmpl), (VekKind::Vlek, 1));
    assert_eq!(vlek.csp_id.as_deref(), Some("CN=cc-us-east-2.amazonaws.com"));
    assert_eq!((vlek.platform(), vlek.hwid), (None, None));
    assert_eq!(vlek.platform_info.0, 0x27);
    // Allowed by a rule, it is accepted.
    let mut rules = Rules::strict();
    rules.vmpl = vec![1];
    let component = sev_snp::appraise(&vlek, &rules).unwrap();
    assert_eq!(
        component.tcb.unwrap().status,
        "provisional: reported, committed and current differ"
    );

    let dstack = claims("dstack");
    assert_eq!((dstack.report.version(), dstack.product), (3, AmdProduct::Milan));
    assert_eq!(hex::encode(&dstack.host_data[..4]), "783f0057");
    assert_eq!(dstack.launch_binding(), LaunchBinding::Bound(dstack.host_data));
    assert_eq!((dstack.reported_tcb.snp, dstack.current_tcb.snp), (23, 24));
    let component = sev_snp::appraise(&dstack, &Rules::strict()).unwrap();
    assert_eq!(
        component.tcb.unwrap().status,
        "reported below committed = current"
    );
    assert_eq!(dstack.report, claims("dstack JSON").report);

    let genoa = claims("oak: Genoa v5");
    assert_eq!((genoa.report.version(), genoa.product), (5, AmdProduct::Genoa));
    assert_eq!(tcb("oak: Genoa v5"), (None, 10, 0, 25, 84));
    assert_eq!(
        (genoa.launch_mit_vector, genoa.current_mit_vector),
        (Some(1), Some(1))
    );
    assert_eq!(genoa.root, "AMD ARK-Genoa");

    for (name, svn) in [
        ("azure: v0", 10),
        ("azure: v1", 10),
        ("azure: v2", 12),
        ("azure: Genoa", 65_547),
    ] {
        let azure = claims(name);
        assert_eq!((azure.guest_svn, azure.policy.0), (svn, 0x3001F), "{name}");
        assert_ne!(azure.id_key_digest, [0; 48]);
        assert_eq!(azure.report_data[32..], [0; 32]);
    }
    assert_eq!(claims("veraison").report, claims("veraison ratsd").report);
}

fn claims_tcb(claims: &Claims) -> (Option<u8>, u8, u8, u8, u8) {
    let tcb = claims.reported_tcb;
    (tcb.fmc, tcb.bootloader, tcb.tee, tcb.snp, tcb.microcode)
}

/// A kept key costs one signature per report, and is looked at again each time.
#[test]
fn a_verified_key_can_be_kept() {
    let cases = genuine();
    if cases.is_empty() {
        return;
    }
    let report = |name| {
        let (report, endorsements, _) = unwrapped(&named(&cases, name).evidence);
        (sev_snp::Report::parse(&report).unwrap(), endorsements)
    };
    let (release, _) = report("oak: Milan, oc, release");
    let (staging, _) = report("oak: Milan, oc, staging");
    let mut endorsements = Endorsements::default();
    endorsements
        .add(&named(&cases, "oak: Milan, oc, release").endorsements[0])
        .unwrap();
    let vek = sev_snp::verify_vek(&release, &endorsements, TrustAnchors::vendors(), IN_2026 as i64).unwrap();
    // Two guests of one chip.
    assert!(vek.endorse(&release, IN_2026 as i64).is_ok());
    assert!(vek.endorse(&staging, IN_2026 as i64).is_ok());
    let (other, _) = report("oak: Milan, rk, release");
    assert_eq!(
        vek.endorse(&other, IN_2026 as i64).unwrap_err().code(),
        "snp_chip_id_mismatch"
    );
    let end = vek.validity().not_after;
    assert_eq!(vek.endorse(&release, end + 1).unwrap_err().code(), "x509_expired");
    let start = vek.validity().not_before;
    assert_eq!(
        vek.endorse(&release, start - 1).unwrap_err().code(),
        "x509_not_yet_valid"
    );
}

/// Each bit of what is signed, and of the signature, matters.
#[test]
fn no_byte_of_a_genuine_report_can_be_changed() {
    let cases = genuine();
    if cases.is_empty() {
        return;
    }
    let case = named(&cases, "turin");
    let (report, mut endorsements, _) = unwrapped(&case.evidence);
    endorsements.add(&case.endorsements[0]).unwrap();
    let parsed = sev_snp::Report::parse(&report).unwrap();
    let now = case.at as i64;
    let vek = sev_snp::verify_vek(&parsed, &endorsements, TrustAnchors::vendors(), now).unwrap();
    for at in 0..report.len() {
        let mut changed = report.clone();
        changed[at] ^= 1 << (at % 8);
        let verdict = sev_snp::Report::parse(&changed).and_then(|report| vek.endorse(&report, now));
        assert!(verdict.is_err(), "byte {at:#x}");
    }
    for len in 0..report.len() {
        assert_eq!(sev_snp::Report::parse(&report[..len]), Err(SnpError::Length(len)));
    }
}
