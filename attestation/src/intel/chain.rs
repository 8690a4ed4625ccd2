//! From a verified PCK to a quote: the two signatures that are new in each quote.

use super::DcapError;
use super::collateral::VerifiedCollateral;
use super::pck::VerifiedPck;
use super::quote::SignatureData;
use super::tcb::SvnLevel;
use crate::hash::is_zero;
use crate::primitives::{EcdsaSignature, primitives};
use crate::x509::PublicKey;
use sha2::{Digest, Sha256};

/// Checks that `signed` (header and body of a quote) was signed by a key for which Intel's quoting enclave vouches,
/// which itself runs on the platform of `pck`. Gives the level of the quoting enclave.
pub(crate) fn verify_quote<'c>(
    signed: &[u8],
    signature: &SignatureData<'_>,
    pck: &VerifiedPck,
    collateral: &'c VerifiedCollateral,
) -> Result<&'c SvnLevel, DcapError> {
    if pck.chain() != signature.pck_chain {
        return Err(DcapError::OtherPck);
    }
    let PublicKey::P256(pck_key) = pck.key() else {
        return Err(DcapError::QeReportSignature);
    };
    let primitives = primitives();
    primitives
        .p256_sha256(
            pck_key,
            signature.qe_report_bytes,
            EcdsaSignature::Fixed(signature.qe_report_signature),
        )
        .map_err(|_| DcapError::QeReportSignature)?;
    let mut hash = Sha256::new();
    hash.update(signature.attestation_key);
    hash.update(signature.qe_authentication_data);
    let expected: [u8; 32] = hash.finalize().into();
    let report_data = &signature.qe_report.report_data;
    if report_data[..32] != expected || !is_zero(&report_data[32..]) {
        return Err(DcapError::QeReportData {
            found: hex::encode(report_data),
            expected: format!("{} and 32 zero bytes", hex::encode(expected)),
        });
    }
    let level = collateral.qe_identity().level_of(&signature.qe_report)?;
    let mut key = [4; 65];
    key[1..].copy_from_slice(signature.attestation_key);
    primitives
        .p256_sha256(&key, signed, EcdsaSignature::Fixed(signature.quote_signature))
        .map_err(|_| DcapError::QuoteSignature)?;
    Ok(level)
}
