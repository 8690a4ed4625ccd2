//! Synthetic trust domains: right ones pass, and each that is wrong in one point is refused for that point.

mod collateral;
mod domain;
mod kept;
mod pck;
mod qe;
mod quote;
mod tcb;

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::intel::collateral::VerifiedCollateral;
use jeju_attestation::intel::pck::VerifiedPck;
use jeju_attestation::intel::tcb::TcbStatus;
use jeju_attestation::intel::{DcapError, IntelTee};
use jeju_attestation::tdx::{self, Claims, Quote, Rules, TdxError};
use jeju_synthetic::NOW;
use jeju_synthetic::certificate::Template;
use jeju_synthetic::intel::{Body, Evidence, Keys, ROOT, SIGNER, TdReport};
use jeju_synthetic::key::Key;
use serde_json::json;

use crate::cases::{Negative, check};
use crate::intel::Bench;

type Attempt<'b> = crate::intel::Attempt<'b, Rules>;
type Make = fn(&Keys) -> Evidence;

fn right(bench: &Bench, make: Make) -> Attempt<'_> {
    bench.attempt(make, Rules::strict())
}

fn td<'a>(attempt: &'a mut Attempt<'_>) -> &'a mut TdReport {
    match &mut attempt.evidence.body {
        Body::Td(report) => report,
        _ => panic!("not a trust domain"),
    }
}

fn run(attempt: &Attempt<'_>) -> Result<Claims, TdxError> {
    let bytes = attempt.quote_bytes();
    let quote = Quote::parse(&bytes)?;
    let anchors = &attempt.bench.anchors;
    let claims = Claims::of(tdx::verify(&quote, &attempt.bag(), anchors, NOW as i64)?);
    tdx::appraise(&claims, &attempt.rules)?;
    Ok(claims)
}

/// Evidence of this kind that is right but for one point.
fn wrong(
    bench: &Bench,
    make: Make,
    name: &'static str,
    expected: &'static str,
    change: impl FnOnce(&mut Attempt<'_>),
) -> Negative {
    let mut attempt = right(bench, make);
    change(&mut attempt);
    Negative {
        name,
        expected,
        found: run(&attempt).err().map(|error| error.code()),
    }
}

#[test]
fn right_evidence_of_each_form_passes() {
    let bench = Bench::new();
    let makes: [Make; 3] = [Evidence::tdx_10, Evidence::tdx_10_version_5, Evidence::tdx_15];
    for (make, (version, len)) in makes.into_iter().zip([(4, 584), (5, 584), (5, 648)]) {
        let claims = run(&right(&bench, make)).expect("right evidence");
        assert_eq!(claims.version, version);
        assert_eq!(claims.report.mr_service_td.is_some(), len == 648);
        assert_eq!(claims.tcb.status, TcbStatus::UpToDate);
        assert_eq!(claims.launch_digest(), Some([0xC1; 32]));
        assert_eq!((claims.ppid(), claims.piid()), (&[0x99; 16], Some(&[0x1D; 16])));
        assert_eq!(claims.tcb.evaluation_data_number, 20);

        let mut below_processor = right(&bench, make);
        below_processor.evidence.below_processor_ca();
        assert_eq!(
            run(&below_processor).map(|claims| claims.piid().copied()),
            Ok(None)
        );

        let mut padded = right(&bench, make);
        padded.evidence.behind = vec![0; 3000];
        assert_eq!(run(&padded).map(|claims| claims.declared_len < 7000), Ok(true));

        let mut without_root = right(&bench, make);
        without_root.evidence.chain_has_root = false;
        assert!(run(&without_root).is_ok());
    }
    // A module of version 0 is judged by the platform's level alone.
    let mut old_module = right(&bench, Evidence::tdx_10);
    td(&mut old_module).tee_tcb_svn[..3].copy_from_slice(&[5, 0, 6]);
    assert_eq!(run(&old_module).map(|claims| claims.tcb.module), Ok(None));
    // Defences that a domain may use.
    let mut defended = right(&bench, Evidence::tdx_10);
    td(&mut defended).td_attributes = [0, 0, 1, 0x58, 0, 0, 0, 0];
    assert!(run(&defended).is_ok());
}

/// Each rule opens what it names, on evidence that is refused without it.
#[test]
fn a_rule_opens_what_it_names() {
    type Change = fn(&mut Attempt<'_>);
    let bench = Bench::new();
    let rules: [(Change, Change); 6] = [
        (
            |a| td(a).td_attributes = [0; 8],
            |a| a.rules.sept_ve_enabled = true,
        ),
        (
            |a| td(a).rtmr = [[0; 48]; 4],
            |a| a.rules.boot_not_measured = true,
        ),
        (|a| td(a).td_attributes[3] |= 0x20, |a| a.rules.migratable = true),
        (|a| td(a).td_attributes[7] |= 0x80, |a| a.rules.perfmon = true),
        (|a| td(a).td_attributes[3] |= 0x80, |a| a.rules.key_locker = true),
        (
            |a| td(a).extended = Some((td(a).tee_tcb_svn, [0x5D; 48])),
            |a| a.rules.service_tds = vec![HexBytes([0x5D; 48])],
        ),
    ];
    for (index, (change, rule)) in rules.into_iter().enumerate() {
        let mut attempt = right(&bench, Evidence::tdx_15);
        change(&mut attempt);
        assert!(run(&attempt).is_err(), "{index} without its rule");
        rule(&mut attempt);
        assert!(run(&attempt).is_ok(), "{index} with its rule");
    }
    // Each status but Revoked passes when it is named; the relaunch ones have their rows among the refusals.
    for named in [
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "OutOfDateConfigurationNeeded",
    ] {
        let mut attempt = right(&bench, Evidence::tdx_15);
        attempt.evidence.collateral.tcb_info["tcbLevels"][0]["tcbStatus"] = json!(named);
        assert!(run(&attempt).is_err(), "{named} without its rule");
        attempt.rules.tcb.statuses = vec![serde_json::from_value(json!(named)).unwrap()];
        assert_eq!(run(&attempt).map(|claims| claims.tcb.status.name()), Ok(named));
    }
}

#[test]
fn wrong_evidence_is_refused_for_its_reason() {
    let bench = Bench::new();
    let mut cases = Vec::new();
    cases.extend(quote::bytes(&bench));
    cases.extend(quote::signatures(&bench));
    cases.extend(pck::pck_chain(&bench));
    cases.extend(pck::sgx_extension(&bench));
    cases.extend(collateral::revocation(&bench));
    cases.extend(collateral::tcb_info(&bench));
    cases.extend(qe::qe_identity(&bench));
    cases.extend(tcb::module(&bench));
    cases.extend(tcb::statuses(&bench));
    cases.extend(tcb::platform_rules(&bench));
    cases.extend(domain::attributes(&bench));
    cases.extend(domain::reference_values(&bench));
    cases.extend(kept::kept(&bench));
    let codes = [DcapError::CODES, TdxError::CODES].concat();
    check(&cases, &codes, 234);
}

/// Of several TCB infos, an old one can't displace the current one, whatever their order.
#[test]
fn the_newest_statement_counts() {
    let bench = Bench::new();
    let newer = {
        let mut evidence = Evidence::tdx_10(&bench.keys);
        let tcb_info = &mut evidence.collateral.tcb_info;
        tcb_info["tcbEvaluationDataNumber"] = json!(22);
        tcb_info["tcbLevels"][0]["tcbStatus"] = json!("OutOfDate");
        evidence.collateral.files(&bench.keys)[3].clone()
    };
    let attempt = right(&bench, Evidence::tdx_10);
    let files = attempt.evidence.collateral.files(&bench.keys);
    let quote = attempt.quote_bytes();
    let quote = Quote::parse(&quote).unwrap();
    for first in [true, false] {
        let mut bag = Endorsements::default();
        if first {
            bag.add(&newer).unwrap();
        }
        files.iter().for_each(|file| bag.add(file).unwrap());
        if !first {
            bag.add(&newer).unwrap();
        }
        let genuine = tdx::verify(&quote, &bag, &bench.anchors, NOW as i64).unwrap();
        assert_eq!(Claims::of(genuine).tcb.status, TcbStatus::OutOfDate);
    }
}

/// No single changed byte of a quote passes, but for bytes of the PCK chain's text that carry nothing; and then nothing
/// that was said is different.
#[test]
fn changed_bytes_and_cut_quotes() {
    let bench = Bench::new();
    let attempt = right(&bench, Evidence::tdx_15);
    let (bytes, bag) = (attempt.quote_bytes(), attempt.bag());
    let quote = Quote::parse(&bytes).unwrap();
    let now = NOW as i64;
    let pck = VerifiedPck::verify(quote.pck_chain(), &bench.anchors, now).unwrap();
    let collateral = VerifiedCollateral::verify(&bag, &pck, IntelTee::Tdx, &bench.anchors, now).unwrap();
    let right = Claims::of(tdx::verify_cached(&quote, &pck, &collateral, now).unwrap());
    let chain = bytes.len() - quote.pck_chain().len();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x11;
        let Ok(quote) = Quote::parse(&changed) else {
            continue;
        };
        if at < chain {
            let found = tdx::verify_cached(&quote, &pck, &collateral, now);
            assert!(found.is_err(), "byte {at} changed nothing");
        } else if let Ok(pck) = VerifiedPck::verify(quote.pck_chain(), &bench.anchors, now) {
            let mut claims = Claims::of(tdx::verify_cached(&quote, &pck, &collateral, now).unwrap());
            claims.digest = right.digest;
            assert_eq!(claims, right, "byte {at}");
        }
    }
    for len in 0..bytes.len() {
        assert!(Quote::parse(&bytes[..len]).is_err(), "{len} bytes");
    }
}

/// Certificates may name keys of other curves; none of them makes a signature that counts.
#[test]
fn a_key_of_another_curve_vouches_for_nothing() {
    let bench = Bench::new();
    let mut attempt = right(&bench, Evidence::tdx_10);
    attempt.evidence.pck = Template {
        spki: Key::p384().spki(),
        ..attempt.evidence.pck.clone()
    };
    assert_eq!(
        run(&attempt).map_err(|error| error.code()),
        Err("dcap_qe_report_signature")
    );
    let mut attempt = right(&bench, Evidence::tdx_10);
    attempt.evidence.collateral.signer = Template {
        spki: Key::p384().spki(),
        ..Template::end_entity(SIGNER, ROOT, &bench.keys.signer)
    };
    assert_eq!(
        run(&attempt).map_err(|error| error.code()),
        Err("dcap_signing_certificate_missing")
    );
}
