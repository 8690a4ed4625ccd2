//! Synthetic enclaves: right ones pass, and each that is wrong in one point is refused for that point. What SGX shares
//! with TDX is refused in TDX's tables too; here stands what enclaves have of their own, and what must be wired up for
//! them as well.

use std::sync::Arc;

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::intel::IntelTee;
use jeju_attestation::intel::collateral::VerifiedCollateral;
use jeju_attestation::intel::pck::VerifiedPck;
use jeju_attestation::intel::tcb::TcbStatus;
use jeju_attestation::sgx::{self, Claims, Enclave, Quote, Rules, SgxError};
use jeju_synthetic::intel::{Body, EnclaveReport, Evidence};
use jeju_synthetic::{DAY, NOW};
use serde_json::json;

use crate::cases::{Negative, check};
use crate::intel::Bench;

type Attempt<'b> = crate::intel::Attempt<'b, Rules>;

fn right(bench: &Bench) -> Attempt<'_> {
    bench.attempt(Evidence::sgx, Rules::strict())
}

fn enclave<'a>(attempt: &'a mut Attempt<'_>) -> &'a mut EnclaveReport {
    match &mut attempt.evidence.body {
        Body::Enclave(report) => report,
        _ => panic!("not an enclave"),
    }
}

fn run(attempt: &Attempt<'_>) -> Result<Claims, SgxError> {
    let bytes = attempt.quote_bytes();
    let quote = Quote::parse(&bytes)?;
    let anchors = &attempt.bench.anchors;
    let claims = Claims::of(sgx::verify(&quote, &attempt.bag(), anchors, NOW as i64)?);
    sgx::appraise(&claims, &attempt.rules)?;
    Ok(claims)
}

/// The entry that the right enclave fits.
fn listed() -> Enclave {
    Enclave {
        mr_signer: HexBytes([0x51; 32]),
        isv_prod_id: 9,
        least_isv_svn: 4,
        mr_enclave: Some(HexBytes([0xE5; 32])),
    }
}

#[test]
fn right_enclaves_pass() {
    let bench = Bench::new();
    let claims = run(&right(&bench)).expect("right evidence");
    assert_eq!(claims.tcb.status, TcbStatus::UpToDate);
    assert_eq!(claims.report.mr_enclave, [0xE5; 32]);
    let mut below_processor = right(&bench);
    below_processor.evidence.below_processor_ca();
    assert!(run(&below_processor).is_ok());
    let mut expected = right(&bench);
    expected.rules.report_data = Some([0xDA; 64]);
    let of_the_signer = Enclave {
        mr_enclave: None,
        least_isv_svn: 3,
        ..listed()
    };
    for entry in [listed(), of_the_signer] {
        expected.rules.enclaves = Some(vec![entry]);
        assert!(run(&expected).is_ok());
    }
    let mut configured = right(&bench);
    enclave(&mut configured).config_id[0] = 1;
    let mut config_id = [0; 64];
    config_id[0] = 1;
    configured.rules.config_ids = vec![HexBytes(config_id)];
    assert!(run(&configured).is_ok());
}

#[test]
fn wrong_enclaves_are_refused_for_their_reason() {
    let bench = Bench::new();
    let mut cases = enclaves(&bench);
    cases.extend(shared(&bench));
    cases.extend(kept(&bench));
    check(&cases, SgxError::CODES, 54);
}

fn enclaves(bench: &Bench) -> Vec<Negative> {
    let case = |name, expected, change: fn(&mut Attempt<'_>)| wrong(bench, name, expected, change);
    vec![
        case("first reserved bytes", "sgx_report_reserved", |a| {
            enclave(a).reserved1[0] = 1
        }),
        case("second reserved bytes", "sgx_report_reserved", |a| {
            enclave(a).reserved2[31] = 1
        }),
        case("third reserved bytes", "sgx_report_reserved", |a| {
            enclave(a).reserved3[0] = 1
        }),
        case("fourth reserved bytes", "sgx_report_reserved", |a| {
            enclave(a).reserved4[41] = 1
        }),
        case("not initialized", "sgx_not_initialized", |a| {
            enclave(a).attributes[0] &= !1
        }),
        case("debug", "sgx_debug", |a| enclave(a).attributes[0] |= 2),
        case("debug, and everything allowed", "sgx_debug", |a| {
            enclave(a).attributes[0] |= 2;
            a.rules.provision_key = true;
            a.rules.tcb.statuses = TcbStatus::ALL.to_vec();
        }),
        case("reserved bit 3", "sgx_attributes_reserved", |a| {
            enclave(a).attributes[0] |= 8
        }),
        case("reserved bit 63", "sgx_attributes_reserved", |a| {
            enclave(a).attributes[7] |= 0x80
        }),
        case("provisioning key", "sgx_provision_key", |a| {
            enclave(a).attributes[0] |= 0x10
        }),
        case("launch token key", "sgx_launch_key", |a| {
            enclave(a).attributes[0] |= 0x20
        }),
        case("launch token key, provisioning allowed", "sgx_launch_key", |a| {
            enclave(a).attributes[0] |= 0x30;
            a.rules.provision_key = true;
        }),
        case("XFRM without SSE", "sgx_xfrm_fixed", |a| {
            enclave(a).attributes[8] = 1
        }),
        case("CONFIGID", "sgx_config_id", |a| enclave(a).config_id[63] = 1),
        case("another CONFIGID than the listed one", "sgx_config_id", |a| {
            enclave(a).config_id[63] = 1;
            a.rules.config_ids = vec![HexBytes([1; 64])];
        }),
        case("no reference value", "sgx_mr_signer", |a| {
            a.rules.enclaves = Some(Vec::new())
        }),
        case("a policy that names no enclave", "sgx_mr_signer", |a| {
            let written = serde_json::to_string(&Rules::strict()).unwrap();
            a.rules = serde_json::from_str(&written).unwrap();
        }),
        case("another signer", "sgx_mr_signer", |a| {
            a.rules.enclaves = Some(vec![listed()]);
            enclave(a).mr_signer[0] ^= 1;
        }),
        case("another product", "sgx_isv_prod_id", |a| {
            a.rules.enclaves = Some(vec![listed()]);
            enclave(a).isv_prod_id = 8;
        }),
        case("an older version", "sgx_isv_svn", |a| {
            a.rules.enclaves = Some(vec![listed()]);
            enclave(a).isv_svn = 3;
        }),
        case("another build", "sgx_mr_enclave", |a| {
            let other = Enclave {
                isv_prod_id: 1,
                ..listed()
            };
            a.rules.enclaves = Some(vec![listed(), other]);
            enclave(a).mr_enclave[0] ^= 1;
        }),
        case("REPORTDATA of another session", "sgx_report_data", |a| {
            a.rules.report_data = Some([0; 64]);
        }),
    ]
}

/// The checks that TDX has too.
fn shared(bench: &Bench) -> Vec<Negative> {
    let case = |name, expected, change: fn(&mut Attempt<'_>)| wrong(bench, name, expected, change);
    vec![
        case("version 4", "dcap_version", |a| a.evidence.header.version = 4),
        case("a trust domain's TEE type", "dcap_tee_type", |a| {
            a.evidence.header.tee_type = 0x81
        }),
        case("another vendor", "dcap_qe_vendor", |a| {
            a.evidence.header.qe_vendor[0] ^= 1
        }),
        case("another key type", "dcap_attestation_key_type", |a| {
            a.evidence.header.attestation_key_type = 1;
        }),
        case("cut in the report", "dcap_truncated", |a| {
            a.quote = |quote| quote.truncate(431)
        }),
        case("cut at the end", "dcap_truncated", |a| {
            a.quote = |quote| quote.truncate(quote.len() - 1);
        }),
        case("too long", "dcap_too_long", |a| {
            a.evidence.behind = vec![0; 16 * 1024]
        }),
        case("something inside", "dcap_signature_data_length", |a| {
            a.evidence.inside = vec![0]
        }),
        case("text behind", "dcap_trailing_bytes", |a| {
            a.evidence.behind = vec![1]
        }),
        case("an encrypted PPID", "dcap_certification_data_type", |a| {
            a.evidence.inner_type = 3
        }),
        case(
            "quoting enclave's reserved bytes",
            "dcap_qe_report_reserved",
            |a| {
                a.evidence.qe_report.reserved1[3] = 1;
            },
        ),
        case("quote's signature", "dcap_quote_signature", |a| {
            a.signing.attestation = Arc::clone(&a.bench.other.attestation);
        }),
        case("MRENCLAVE changed", "dcap_quote_signature", |a| {
            a.quote = |quote| quote[48 + 64] ^= 1
        }),
        case("QE report's signature", "dcap_qe_report_signature", |a| {
            a.signing.pck = Arc::clone(&a.bench.other.pck);
        }),
        case("QE report's REPORTDATA", "dcap_qe_report_data", |a| {
            a.evidence.qe_report_data = Some([1; 64]);
        }),
        case("somebody's root", "x509_untrusted_root", |a| {
            a.keys = a.bench.other.clone();
            a.signing = a.bench.other.clone();
            a.evidence = Evidence::sgx(&a.keys);
        }),
        case("PCK certificate revoked", "x509_revoked", |a| {
            a.evidence.collateral.pck_crl.revoked = vec![vec![0x11, 0x11]];
        }),
        case("a trust domain's quoting enclave", "dcap_qe_mr_signer", |a| {
            a.evidence.qe_report = EnclaveReport::td_qe();
        }),
        case("a trust domain's QE identity", "dcap_qe_identity_id", |a| {
            a.evidence.collateral.qe_identity["id"] = json!("TD_QE");
        }),
        case("a trust domain's TCB info", "dcap_tcb_info_id", |a| {
            let tdx = Evidence::tdx_10(&a.keys).collateral;
            a.evidence.collateral.tcb_info = tdx.tcb_info;
        }),
        case("TCB info of version 2", "dcap_tcb_info_version", |a| {
            a.evidence.collateral.tcb_info["version"] = json!(2);
        }),
        case("TCB info of another platform", "dcap_fmspc", |a| {
            a.evidence.extension.fmspc[5] = 0
        }),
        case("TCB info expired", "dcap_tcb_info_expired", |a| {
            a.evidence.collateral.tcb_info["nextUpdate"] = json!("2025-12-31T23:59:59Z");
        }),
        case("no level", "dcap_no_tcb_level", |a| {
            a.evidence.extension.components[0] = 0
        }),
        case("platform out of date", "dcap_tcb_out_of_date", |a| {
            a.evidence.extension.components[0] = 4;
        }),
        case("platform revoked", "dcap_tcb_revoked", |a| {
            a.evidence.extension.pce_svn = 5
        }),
        case("quoting enclave out of date", "dcap_tcb_out_of_date", |a| {
            a.evidence.qe_report.isv_svn = 5;
        }),
        case("hardening needed", "dcap_tcb_sw_hardening_needed", |a| {
            a.evidence.collateral.tcb_info["tcbLevels"][0]["tcbStatus"] = json!("SWHardeningNeeded");
        }),
        case("multithreading", "dcap_smt_enabled", |a| {
            a.rules.tcb.smt_enabled = false
        }),
    ]
}

/// What was verified before serves only what it was verified for.
fn kept(bench: &Bench) -> Vec<Negative> {
    let (now, attempt) = (NOW as i64, right(bench));
    let bytes = attempt.quote_bytes();
    let quote = Quote::parse(&bytes).unwrap();
    let pck = VerifiedPck::verify(quote.pck_chain(), &bench.anchors, now).unwrap();
    let kept = |attempt: &Attempt<'_>, tee| {
        VerifiedCollateral::verify(&attempt.bag(), &pck, tee, &bench.anchors, now).unwrap()
    };
    let collateral = kept(&attempt, IntelTee::Sgx);
    let of_tdx = kept(&bench.attempt(Evidence::tdx_10, Rules::strict()), IntelTee::Tdx);
    let outcome = |collateral: &VerifiedCollateral, at| {
        sgx::verify_cached(&quote, &pck, collateral, at)
            .err()
            .map(|error| error.code())
    };
    assert_eq!(outcome(&collateral, now), None);
    let case = |name, expected, found| Negative {
        name,
        expected,
        found,
    };
    let again = right(bench).quote_bytes();
    let again = Quote::parse(&again).unwrap();
    let other = sgx::verify_cached(&again, &pck, &collateral, now)
        .err()
        .map(|error| error.code());
    vec![
        case(
            "collateral for trust domains",
            "dcap_other_collateral",
            outcome(&of_tdx, now),
        ),
        case("another chain's PCK", "dcap_other_pck", other),
        case(
            "kept collateral expired",
            "dcap_tcb_info_expired",
            outcome(&collateral, now + 10 * DAY + 1),
        ),
    ]
}

/// Evidence that is right but for one point.
fn wrong(
    bench: &Bench,
    name: &'static str,
    expected: &'static str,
    change: impl FnOnce(&mut Attempt<'_>),
) -> Negative {
    let mut attempt = right(bench);
    change(&mut attempt);
    Negative {
        name,
        expected,
        found: run(&attempt).err().map(|error| error.code()),
    }
}

#[test]
fn changed_bytes_and_cut_quotes() {
    let bench = Bench::new();
    let attempt = right(&bench);
    let (bytes, bag, now) = (attempt.quote_bytes(), attempt.bag(), NOW as i64);
    let quote = Quote::parse(&bytes).unwrap();
    let pck = VerifiedPck::verify(quote.pck_chain(), &bench.anchors, now).unwrap();
    let collateral = VerifiedCollateral::verify(&bag, &pck, IntelTee::Sgx, &bench.anchors, now).unwrap();
    for at in 0..bytes.len() - quote.pck_chain().len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x11;
        if let Ok(quote) = Quote::parse(&changed) {
            let found = sgx::verify_cached(&quote, &pck, &collateral, now);
            assert!(found.is_err(), "byte {at} changed nothing");
        }
    }
    for len in 0..bytes.len() {
        assert!(Quote::parse(&bytes[..len]).is_err(), "{len} bytes");
    }
}
