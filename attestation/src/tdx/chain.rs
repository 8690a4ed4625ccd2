//! The chain of trust of a quote: Intel's pinned root → PCK → quoting enclave → attestation key → quote, and Intel's
//! signed statements on the platform's TCB.

use super::TdxError;
use super::module;
use super::parse::Quote;
use crate::endorsements::Endorsements;
use crate::intel::collateral::VerifiedCollateral;
use crate::intel::pck::{PckCa, PckExtension, VerifiedPck};
use crate::intel::tcb::{TcbAssessment, TcbStatus, domain_level};
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
) -> Result<GenuineQuote<'q>, TdxError> {
    let pck = VerifiedPck::verify(quote.pck_chain(), anchors, now)?;
    let collateral = VerifiedCollateral::verify(endorsements, &pck, IntelTee::Tdx, anchors, now)?;
    verify_cached(quote, &pck, &collateral, now)
}

/// Verifies a quote whose PCK chain and collateral were verified before: 2 signatures. Dates and revocation are checked
/// again.
pub fn verify_cached<'q>(
    quote: &'q Quote<'q>,
    pck: &VerifiedPck,
    collateral: &VerifiedCollateral,
    now: i64,
) -> Result<GenuineQuote<'q>, TdxError> {
    pck.check_current(now)?;
    collateral.check(IntelTee::Tdx, pck, now)?;
    let qe = verify_quote(quote.signed_bytes(), &quote.signature, pck, collateral)?;
    let (report, tcb_info, platform) = (&quote.report, collateral.tcb_info(), pck.extension());
    let module = module::standing(tcb_info, report)?;
    let level = domain_level(tcb_info, platform, &report.tee_tcb_svn)?;
    let mut tcb = TcbAssessment::merge(
        &level.standing,
        module,
        &qe.standing,
        collateral.evaluation_data_number(),
    );
    tcb.status = module::relaunch(tcb_info, platform, report, tcb.status, module, qe)?;
    if module::anything_revoked(tcb_info, platform, report) {
        tcb.status = TcbStatus::Revoked;
    }
    Ok(GenuineQuote {
        quote,
        platform: platform.clone(),
        ca: pck.ca(),
        pck_serial: pck.serial().to_vec(),
        root: pck.root(),
        tcb,
        at: now,
    })
}
