//! SEV-SNP: genuine reports, and every refusal.

mod chains;
mod forged;
mod forms;
pub mod genuine;
mod refused;
mod synthetic;
mod table;
mod verdicts;

use jeju_attestation::sev_snp::SnpError;

use crate::cases;

/// Each wrong in one point, and refused for exactly that.
#[test]
fn every_wrong_point_has_its_own_refusal() {
    let cases: Vec<_> = [
        forged::reports(),
        chains::certificates(),
        chains::revocation(),
        table::cases(),
        refused::cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    cases::check(&cases, SnpError::CODES, 150);
}
