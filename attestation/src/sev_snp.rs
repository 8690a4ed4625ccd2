//! AMD SEV-SNP: attestation reports of versions 2, 3 and 5, of Milan, Genoa (with Bergamo and Siena) and Turin.
//!
//! Documents: "SEV Secure Nested Paging Firmware ABI Specification" (56860; the report is its table
//! "ATTESTATION_REPORT Structure") and "Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface
//! Specification" (57230). Their text wasn't at hand when this was written: layouts and names are those of public code, and
//! are held to genuine reports of each version and product.
//!
//! Evidence flows one way: [`Report::parse`] (bytes, strict) → [`verify_vek`] (the key that signs, up to the pinned
//! ARK, with its extensions and revocation) → [`VerifiedVek::endorse`] (report and key belong together, signature) →
//! [`Claims`] → [`appraise`]. A [`VerifiedVek`] can be kept: the next report of the same chip then costs one P-384
//! signature, and dates are looked at again.
//!
//! AMD publishes no verdict on a TCB version as Intel does. Floors are therefore the relying party's own, in [`Rules`].
//! The version that counts is the one in the key's certificate, which AMD signs; the report must agree with it.

mod appraise;
mod bits;
pub mod certificate_table;
mod chain;
mod claims;
mod form;
mod parse;
mod reason;
mod rules;
mod tcb;
mod vek;

pub use appraise::appraise;
pub use bits::{GuestPolicy, KeyInfo, PlatformInfo, SigningKey};
pub use chain::{VerifiedVek, verify_vek};
pub use claims::{Claims, fields};
pub use form::{Form, read, read_bytes};
pub use parse::{LEN, Report, SIGNED_LEN};
pub use reason::SnpError;
pub use rules::{Floor, Requirement, Rules};
pub use tcb::{FirmwareVersion, Tcb};
pub use vek::VekKind;

use crate::endorsements::Endorsements;
use crate::roots::TrustAnchors;

/// Verifies a report of 1184 bytes at `now` (seconds since 1970): all four steps but the appraisal.
///
/// The intermediate certificates of AMD are always at hand, so that the VEK's certificate alone is enough. A revocation
/// list of the ARK may be among the endorsements; one that is broken or out of date is an error, none at all is
/// [`Revocation::Unknown`](crate::verdict::Revocation::Unknown).
pub fn verify(
    report: &[u8],
    endorsements: &Endorsements,
    anchors: &TrustAnchors,
    now: i64,
) -> Result<Claims, SnpError> {
    let report = Report::parse(report)?;
    verify_vek(&report, endorsements, anchors, now)?.endorse(&report, now)
}
