//! Evidence of simulated silicon (`docs/wire-formats.md` §3): parse and check. Signing is another package's job.

use thiserror::Error;

use crate::hash::{is_zero, sha256};
use crate::primitives::{EcdsaSignature, primitives};

/// Length of a simulated report.
pub const REPORT_LEN: usize = 282;
/// Length of what the signature covers.
pub const SIGNED_LEN: usize = 218;
/// What stands before the signed bytes.
pub const SIGNATURE_TAG: &[u8] = b"jeju-simulated-report-v1\0";
/// Length of a root's public key: an uncompressed P-256 point.
pub const ROOT_LEN: usize = 65;

const MAGIC: &[u8; 4] = b"JSIM";
const VERSION: u16 = 1;

/// Why bytes aren't a simulated report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReportError {
    /// Not 282 bytes.
    #[error("a simulated report has {REPORT_LEN} bytes, these are {0}")]
    Length(usize),
    /// Doesn't start with `JSIM`.
    #[error("not a simulated report: wrong magic")]
    Magic,
    /// A version that this verifier doesn't know.
    #[error("simulated report version {0} is not known")]
    Version(u16),
    /// Reserved bytes that aren't zero.
    #[error("reserved bytes of the simulated report are not zero")]
    Reserved,
}

/// A report of simulated silicon; nothing in it is checked yet but its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Digest of what the launcher loaded.
    pub image_digest: [u8; 32],
    /// Launch document digest, set by the launcher; zeros: not settable.
    pub host_data: [u8; 32],
    /// What the guest asked to have signed.
    pub report_data: [u8; 64],
    /// Identity of the simulated chip.
    pub platform_id: [u8; 32],
    /// SHA-256 of the root's public key.
    pub root_id: [u8; 32],
    /// r ‖ s.
    pub signature: [u8; 64],
    signed: [u8; SIGNED_LEN],
}

impl Report {
    /// Reads the layout of §3.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        let bytes: &[u8; REPORT_LEN] = bytes.try_into().map_err(|_| ReportError::Length(bytes.len()))?;
        if &bytes[..4] != MAGIC {
            return Err(ReportError::Magic);
        }
        let version = u16::from_be_bytes([bytes[4], bytes[5]]);
        if version != VERSION {
            return Err(ReportError::Version(version));
        }
        if !is_zero(&bytes[166..186]) {
            return Err(ReportError::Reserved);
        }
        Ok(Self {
            image_digest: field(bytes, 6),
            host_data: field(bytes, 38),
            report_data: field(bytes, 70),
            platform_id: field(bytes, 134),
            root_id: field(bytes, 186),
            signature: field(bytes, SIGNED_LEN),
            signed: field(bytes, 0),
        })
    }

    /// What the silicon signs, tag included.
    pub fn signed_bytes(&self) -> Vec<u8> {
        [SIGNATURE_TAG, &self.signed].concat()
    }

    /// Lays out the bytes before the signature, for whoever signs.
    pub fn unsigned(
        image_digest: &[u8; 32],
        host_data: &[u8; 32],
        report_data: &[u8; 64],
        platform_id: &[u8; 32],
        root_id: &[u8; 32],
    ) -> [u8; SIGNED_LEN] {
        let mut bytes = [0; SIGNED_LEN];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_be_bytes());
        bytes[6..38].copy_from_slice(image_digest);
        bytes[38..70].copy_from_slice(host_data);
        bytes[70..134].copy_from_slice(report_data);
        bytes[134..166].copy_from_slice(platform_id);
        bytes[186..218].copy_from_slice(root_id);
        bytes
    }

    /// Whether one of `roots` (65-byte uncompressed points) signed this report.
    pub fn is_signed_by(&self, root: &[u8; ROOT_LEN]) -> bool {
        self.root_id == sha256(root)
            && primitives()
                .p256_sha256(root, &self.signed_bytes(), EcdsaSignature::Fixed(&self.signature))
                .is_ok()
    }
}

fn field<const N: usize>(bytes: &[u8; REPORT_LEN], at: usize) -> [u8; N] {
    bytes[at..at + N]
        .try_into()
        .expect("offsets lie inside the layout")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Vec<u8> {
        let mut bytes = Report::unsigned(&[1; 32], &[2; 32], &[3; 64], &[4; 32], &[5; 32]).to_vec();
        bytes.extend_from_slice(&[6; 64]);
        bytes
    }

    #[test]
    fn fields_lie_where_the_format_says() {
        let report = Report::parse(&report()).unwrap();
        assert_eq!(report.image_digest, [1; 32]);
        assert_eq!(report.host_data, [2; 32]);
        assert_eq!(report.report_data, [3; 64]);
        assert_eq!(report.platform_id, [4; 32]);
        assert_eq!(report.root_id, [5; 32]);
        assert_eq!(report.signature, [6; 64]);
    }

    #[test]
    fn refuses_other_layouts() {
        let good = report();
        assert_eq!(Report::parse(&good[..281]), Err(ReportError::Length(281)));
        let change = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            Report::parse(&bytes).unwrap_err()
        };
        assert_eq!(change(0, b'X'), ReportError::Magic);
        assert_eq!(change(5, 2), ReportError::Version(2));
        assert_eq!(change(170, 1), ReportError::Reserved);
    }
}
