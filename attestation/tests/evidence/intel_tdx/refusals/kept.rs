//! What was verified before serves only what it was verified for.

use jeju_attestation::endorsements::Endorsements;

use jeju_attestation::intel::IntelTee;
use jeju_attestation::intel::collateral::VerifiedCollateral;
use jeju_attestation::intel::pck::VerifiedPck;

use jeju_attestation::tdx::{self, Quote};
use jeju_synthetic::intel::Evidence;
use jeju_synthetic::{DAY, NOW};

use super::right;
use crate::cases::Negative;
use crate::intel::Bench;

pub fn kept(bench: &Bench) -> Vec<Negative> {
    let now = NOW as i64;
    let attempt = right(bench, Evidence::tdx_10);
    let quote = attempt.quote_bytes();
    let quote = Quote::parse(&quote).unwrap();
    let pck = VerifiedPck::verify(quote.pck_chain(), &bench.anchors, now).unwrap();
    let bag = attempt.bag();
    let collateral = VerifiedCollateral::verify(&bag, &pck, IntelTee::Tdx, &bench.anchors, now).unwrap();
    let outcome = |quote: &Quote<'_>, pck: &VerifiedPck, collateral: &VerifiedCollateral, at| {
        tdx::verify_cached(quote, pck, collateral, at)
            .err()
            .map(|error| error.code())
    };
    assert_eq!(outcome(&quote, &pck, &collateral, now), None);
    let case = |name, expected, found| Negative {
        name,
        expected,
        found,
    };

    let again = right(bench, Evidence::tdx_10).quote_bytes();
    let again = Quote::parse(&again).unwrap();
    let mut processor = right(bench, Evidence::tdx_10);
    processor.evidence.below_processor_ca();
    let processor_bytes = processor.quote_bytes();
    let processor_quote = Quote::parse(&processor_bytes).unwrap();
    let processor_pck = VerifiedPck::verify(processor_quote.pck_chain(), &bench.anchors, now).unwrap();
    let mut elsewhere = right(bench, Evidence::tdx_10);
    elsewhere.evidence.extension.fmspc[0] ^= 1;
    let elsewhere_bytes = elsewhere.quote_bytes();
    let elsewhere_quote = Quote::parse(&elsewhere_bytes).unwrap();
    let elsewhere_pck = VerifiedPck::verify(elsewhere_quote.pck_chain(), &bench.anchors, now).unwrap();
    let sgx = {
        let mut bag = Endorsements::default();
        for file in Evidence::sgx(&bench.keys).collateral.files(&bench.keys) {
            bag.add(&file).unwrap();
        }
        VerifiedCollateral::verify(&bag, &pck, IntelTee::Sgx, &bench.anchors, now).unwrap()
    };
    vec![
        case(
            "another chain's PCK",
            "dcap_other_pck",
            outcome(&again, &pck, &collateral, now),
        ),
        case(
            "collateral below the other authority",
            "dcap_other_collateral",
            outcome(&processor_quote, &processor_pck, &collateral, now),
        ),
        case(
            "collateral for enclaves",
            "dcap_other_collateral",
            outcome(&quote, &pck, &sgx, now),
        ),
        case(
            "collateral of another platform",
            "dcap_fmspc",
            outcome(&elsewhere_quote, &elsewhere_pck, &collateral, now),
        ),
        case(
            "kept collateral expired",
            "dcap_tcb_info_expired",
            outcome(&quote, &pck, &collateral, now + 10 * DAY + 1),
        ),
        case(
            "kept list expired",
            "crl_expired",
            outcome(&quote, &pck, &collateral, now + 16 * DAY),
        ),
        case(
            "kept PCK expired",
            "x509_expired",
            outcome(&quote, &pck, &collateral, now + 181 * DAY),
        ),
        case(
            "kept PCK not yet valid",
            "x509_not_yet_valid",
            outcome(&quote, &pck, &collateral, now - 181 * DAY),
        ),
        case(
            "kept collateral not yet valid",
            "dcap_tcb_info_not_yet_valid",
            outcome(&quote, &pck, &collateral, now - 10 * DAY - 1),
        ),
    ]
}
