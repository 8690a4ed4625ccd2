//! The chain of trust of a quote: Intel's pinned root → PCK → quoting enclave → attestation key → quote, and Intel's
//! signed statements on the platform's TCB.

use super::SgxError;
use super::parse::Quote;
use crate::endorsements::Endorsements;
use crate::intel::collateral::VerifiedCollateral;
use crate::intel::pck::{PckCa, PckExtension, VerifiedPck};
use crate::intel::tcb::{TcbAssessment, platform_level};
use crate::intel::{IntelTee, verify_quote};
use crate::roots::TrustAnchors;

/// A quote whose every signature was checked, with what Intel says of its platform. Made by verification only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenuineQuote<'q> {
    pub(super) quote: &'q Quote<'q>,
    pub(super) platform: PckExtension,
    pub(super) ca: PckCa,
    pub(super) pck_serial: Vec<u8>,
    pub(super) root: &'static str,
    pub(super) tcb: TcbAssessment,
    pub(super) at: i64,
}

/// Verifies a quote and everything that it rests on at `now` (seconds since 1970): 9 signatures.
pub fn verify<'q>(
    quote: &'q Quote<'q>,
    endorsements: &Endorsements,
    anchors: &TrustAnchors,
    now: i64,
) -> Result<GenuineQuote<'q>, SgxError> {
    let pck = VerifiedPck::verify(quote.pck_chain(), anchors, now)?;
    let collateral = VerifiedCollateral::verify(endorsements, &pck, IntelTee::Sgx, anchors, now)?;
    verify_cached(quote, &pck, &collateral, now)
}

/// Verifies a quote whose PCK chain and collateral were verified before: 2 signatures. Dates and revocation are checked
/// again.
pub fn verify_cached<'q>(
    quote: &'q Quote<'q>,
    pck: &VerifiedPck,
    collateral: &VerifiedCollateral,
    now: i64,
) -> Result<GenuineQuote<'q>, SgxError> {
    pck.check_current(now)?;
    collateral.check(IntelTee::Sgx, pck, now)?;
    let qe = verify_quote(quote.signed_bytes(), &quote.signature, pck, collateral)?;
    let level = platform_level(collateral.tcb_info(), pck.extension())?;
    let number = collateral.evaluation_data_number();
    Ok(GenuineQuote {
        quote,
        platform: pck.extension().clone(),
        ca: pck.ca(),
        pck_serial: pck.serial().to_vec(),
        root: pck.root(),
        tcb: TcbAssessment::merge(&level.standing, None, &qe.standing, number),
        at: now,
    })
}
