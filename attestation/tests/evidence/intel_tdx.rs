//! TDX: genuine quotes, and every refusal.

mod refusals;
mod table;

pub use table::genuine;

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::intel::DcapError;
use jeju_attestation::intel::IntelTee;
use jeju_attestation::intel::collateral::VerifiedCollateral;
use jeju_attestation::intel::pck::VerifiedPck;
use jeju_attestation::intel::rules::ToleratedAdvisory;
use jeju_attestation::intel::tcb::TcbStatus;
use jeju_attestation::roots::TrustAnchors;
use jeju_attestation::tdx::{self, Claims, Quote, Rules, TdxError, fields, form};
use jeju_attestation::verdict::Revocation;
use jeju_attestation::x509::pem_certificates;
use jeju_synthetic::certificate::pem;

use crate::intel::GenuineCase;
use crate::vectors;

fn quote_of(evidence: &[u8]) -> Vec<u8> {
    match evidence.first() {
        Some(b'{') => {
            let json = serde_json::from_slice(evidence).expect("JSON");
            form::read(&json).expect("a form of TDX evidence").evidence
        }
        _ => evidence.to_vec(),
    }
}

fn verdict(evidence: &[u8], bag: &Endorsements, at: u64, rules: &Rules) -> Result<Claims, TdxError> {
    let evidence = quote_of(evidence);
    let quote = Quote::parse(&evidence)?;
    let claims = Claims::of(tdx::verify(&quote, bag, TrustAnchors::vendors(), at as i64)?);
    let component = tdx::appraise(&claims, rules)?;
    assert_eq!((component.kind, component.revocation), ("tdx", Revocation::Good));
    assert!(component.checks.iter().all(|check| !check.anchor.is_empty()));
    Ok(claims)
}

fn case(name: &str) -> Option<GenuineCase> {
    let cases = genuine();
    let absent = cases.is_empty();
    let found = cases.into_iter().find(|case| case.name == name);
    assert!(absent || found.is_some(), "no case {name:?}");
    found
}

#[test]
fn genuine_quotes_get_their_verdicts() {
    let mut wrong = Vec::new();
    for case in genuine() {
        let mut rules = Rules::strict();
        rules.report_data = case
            .report_data
            .as_deref()
            .map(|bytes| bytes.try_into().expect("64 bytes"));
        let found = verdict(&case.evidence, &case.bag(), case.at, &rules);
        let code = found.as_ref().map(|_| ()).map_err(|error| error.code());
        if code != case.expected {
            wrong.push(format!("{}: {:?}, not {:?}", case.name, code, case.expected));
        }
        if let Ok(claims) = &found {
            assert_eq!(claims.tcb.status, TcbStatus::UpToDate, "{}", case.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn genuine_claims_are_the_recorded_ones() {
    let Some(dstack) = case("dstack on Sapphire Rapids, 2025") else {
        return;
    };
    let claims = verdict(&dstack.evidence, &dstack.bag(), dstack.at, &Rules::strict()).unwrap();
    assert_eq!(claims.fmspc(), &[0xB0, 0xC0, 0x6F, 0, 0, 0]);
    assert_eq!(claims.tcb.evaluation_data_number, 17);
    assert_eq!(claims.tcb.advisories, [] as [String; 0]);
    assert_eq!(claims.report.tee_tcb_svn[..3], [6, 1, 3]);
    assert_eq!(claims.report.td_attributes, [0, 0, 0, 0x10, 0, 0, 0, 0]);
    assert_eq!(claims.report.mr_td[..4], [0x91, 0xEB, 0x2B, 0x44]);
    assert_eq!(claims.report.report_data[..4], [0x9A, 0x9D, 0x48, 0xE7]);
    assert_eq!((claims.declared_len, dstack.evidence.len()), (4936, 5006));
    assert!(claims.piid().is_some() && claims.ppid() != &[0; 16]);
    assert_eq!(claims.launch_digest(), None);
    assert_eq!(claims.root, "Intel SGX Root CA");

    let google = case("Google Cloud, 2026").unwrap();
    let claims = verdict(&google.evidence, &google.bag(), google.at, &Rules::strict()).unwrap();
    assert_eq!(claims.tcb.evaluation_data_number, 19);
    assert_eq!(claims.report.tee_tcb_svn[..3], [0x0D, 1, 8]);
    // 3065 zero bytes behind it are no part of it.
    assert_eq!((claims.declared_len, google.evidence.len()), (4935, 8000));
    let declared = google.evidence[..4935].to_vec();
    assert_eq!(Quote::parse(&declared).unwrap().digest(), claims.digest);

    let newer = case("TDX 1.5, version 5").unwrap();
    let claims = verdict(&newer.evidence, &newer.bag(), newer.at, &Rules::strict()).unwrap();
    assert_eq!(claims.version, 5);
    assert_eq!(claims.report.tee_tcb_svn[..3], [0x0B, 1, 4]);
    assert_eq!(claims.report.tee_tcb_svn_2.unwrap()[..3], [0x0D, 1, 4]);
    assert_eq!(claims.report.mr_service_td, Some([0; 48]));

    let near = case("dstack on a platform without RDMA").unwrap();
    let claims = verdict(&near.evidence, &near.bag(), near.at, &Rules::strict()).unwrap();
    assert_eq!(claims.fmspc(), &[0x20, 0xA0, 0x6F, 0, 0, 0]);
    assert_eq!(claims.report.mr_config_id[..2], [0x01, 0x12]);
}

#[test]
fn every_field_can_be_listed() {
    let Some(newer) = case("TDX 1.5, version 5") else {
        return;
    };
    let evidence = quote_of(&newer.evidence);
    let listed = fields(&Quote::parse(&evidence).unwrap());
    let value = |name: &str| {
        listed
            .iter()
            .find(|(of, _)| *of == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(value("version"), Some("5"));
    assert_eq!(value("TEE_TCB_SVN_2"), Some("0d010400000000000000000000000000"));
    assert_eq!(value("MRTD").unwrap()[..8], *"7348651a");
    assert_eq!(value("REPORTDATA").unwrap().len(), 128);
}

#[test]
fn rules_accept_what_strictness_refuses() {
    let Some(azure) = case("Azure, SEPT_VE_DISABLE off") else {
        return;
    };
    let mut rules = Rules::strict();
    rules.sept_ve_enabled = true;
    let found = verdict(&azure.evidence, &azure.bag(), azure.at, &rules);
    // The first rule opens nothing else: this quote's level is not current, and its boot isn't measured.
    assert_eq!(
        found.map_err(|error| error.code()).err(),
        Some("dcap_tcb_out_of_date")
    );

    let measured_elsewhere = case("Azure, boot measured into the vTPM only").unwrap();
    let mut rules = Rules::strict();
    rules.boot_not_measured = true;
    let claims = verdict(
        &measured_elsewhere.evidence,
        &measured_elsewhere.bag(),
        measured_elsewhere.at,
        &rules,
    );
    assert!(claims.is_ok(), "{claims:?}");

    let service = case("Alibaba Cloud, with a service domain").unwrap();
    let quote = Quote::parse(&service.evidence).unwrap();
    let mut rules = Rules::strict();
    rules.service_tds = vec![HexBytes(quote.report.mr_service_td.unwrap())];
    let found = verdict(&service.evidence, &service.bag(), service.at, &rules);
    assert_eq!(
        found.map_err(|error| error.code()).err(),
        Some("dcap_tcb_out_of_date")
    );

    let report = case("dstack's quote report").unwrap();
    let mut rules = Rules::strict();
    rules.report_data = Some([0x12; 64]);
    let found = verdict(&report.evidence, &report.bag(), report.at, &rules);
    assert_eq!(found.map_err(|error| error.code()).err(), Some("tdx_report_data"));
    let json = serde_json::from_slice(&report.evidence).unwrap();
    assert_eq!(
        form::read(&json).unwrap().nonce.as_deref(),
        report.report_data.as_deref()
    );
}

/// A level that is out of date passes only with its status and each of its advisories, and only for a time.
#[test]
fn an_accepted_status_is_not_an_accepted_advisory() {
    let Some(old) = case("Google Cloud's COS 113, out of date") else {
        return;
    };
    let found = |rules: &Rules| {
        verdict(&old.evidence, &old.bag(), old.at, rules)
            .map_err(|error| error.code())
            .err()
    };
    let mut rules = Rules::strict();
    rules.tcb.statuses = vec![TcbStatus::OutOfDate];
    assert_eq!(found(&rules), Some("dcap_advisory_not_tolerated"));
    let ids = ["01010", "01036", "01076", "01079", "01099", "01103", "01111"];
    rules.tcb.tolerated_advisories = ids
        .iter()
        .map(|id| ToleratedAdvisory {
            id: format!("INTEL-SA-{id}"),
            until: old.at,
        })
        .collect();
    assert_eq!(found(&rules), None);
    rules.tcb.tolerated_advisories[3].until -= 1;
    assert_eq!(found(&rules), Some("dcap_advisory_overdue"));
    rules.tcb.tolerated_advisories.remove(3);
    assert_eq!(found(&rules), Some("dcap_advisory_not_tolerated"));
    rules.tcb.statuses.clear();
    assert_eq!(found(&rules), Some("dcap_tcb_out_of_date"));
}

/// No collateral at hand reaches back to the debug domain, so that its report is judged as if its chain had passed.
#[test]
fn the_genuine_debug_domain_is_refused() {
    let (Some(dstack), Some(debug)) = (
        case("dstack on Sapphire Rapids, 2025"),
        case("the debug domain, 2023 collateral"),
    ) else {
        return;
    };
    let mut claims = verdict(&dstack.evidence, &dstack.bag(), dstack.at, &Rules::strict()).unwrap();
    claims.report = Quote::parse(&debug.evidence).unwrap().report;
    let found = tdx::appraise(&claims, &Rules::strict());
    assert_eq!(found, Err(TdxError::Debug(1)));

    let board = case("text behind the quote").unwrap();
    let trimmed = &board.evidence[..4935];
    claims.report = Quote::parse(trimmed).unwrap().report;
    assert_eq!(
        tdx::appraise(&claims, &Rules::strict()),
        Err(TdxError::SeptVeEnabled)
    );
}

/// Intel's test PKI has the production root's name and another key.
#[test]
fn a_root_with_intels_name_is_no_root() {
    let Some(leaf) = vectors::read("tdx/intel-qvl-testpki/pckCert.pem", 1) else {
        return;
    };
    let authorities = vectors::read("tdx/intel-qvl-testpki/pckSignChain.pem", 1).unwrap();
    let authorities = pem_certificates(&authorities).unwrap();
    let mut chain = leaf;
    // The file has the root first.
    for der in authorities.iter().rev() {
        chain.extend(pem(&[der]).into_bytes());
    }
    let found = VerifiedPck::verify(&chain, TrustAnchors::vendors(), 1_750_415_547);
    assert_eq!(found.map_err(|error| error.code()), Err("x509_untrusted_root"));
}

#[test]
fn what_was_verified_is_kept_and_its_dates_are_not_forgotten() {
    let Some(dstack) = case("dstack on Sapphire Rapids, 2025") else {
        return;
    };
    let (anchors, now) = (TrustAnchors::vendors(), dstack.at as i64);
    let quote = Quote::parse(&dstack.evidence).unwrap();
    let pck = VerifiedPck::verify(quote.pck_chain(), anchors, now).unwrap();
    let collateral = VerifiedCollateral::verify(&dstack.bag(), &pck, IntelTee::Tdx, anchors, now).unwrap();
    let cached = |now| {
        tdx::verify_cached(&quote, &pck, &collateral, now)
            .map(Claims::of)
            .map_err(|error| error.code())
    };
    let cold = tdx::verify(&quote, &dstack.bag(), anchors, now)
        .map(Claims::of)
        .unwrap();
    assert_eq!(cached(now), Ok(cold));
    let window = collateral.validity();
    assert!(window.contains(now));
    assert!(cached(window.not_before).is_ok() && cached(window.not_after).is_ok());
    assert_eq!(cached(window.not_after + 1), Err("crl_expired"));
    assert_eq!(
        cached(window.not_before - 1),
        Err("dcap_qe_identity_not_yet_valid")
    );
    assert_eq!(cached(i64::MAX), Err("x509_expired"));
    assert_eq!(cached(0), Err("x509_not_yet_valid"));

    let other = case("dstack on an old module").unwrap();
    let other = Quote::parse(&other.evidence).unwrap();
    let found = tdx::verify_cached(&other, &pck, &collateral, now).map(|_| ());
    assert_eq!(found, Err(TdxError::Dcap(DcapError::OtherPck)));
}
