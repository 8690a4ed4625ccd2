//! Measurement ids: what a contract lists and what evidence is compared with.

use core::fmt;

use crate::hash::tagged_sha256;

const TAG: &str = "jeju-measurement-v1";

/// SHA-256 over a tag and the length-prefixed launch measurements of a platform (`docs/wire-formats.md` §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MeasurementId(pub [u8; 32]);

impl MeasurementId {
    /// Simulated silicon: the digest of what its launcher loaded.
    pub fn simulated(image_digest: &[u8; 32]) -> Self {
        Self(tagged_sha256(TAG, &[b"simulated", image_digest]))
    }

    /// Intel TDX: MRTD, RTMR0–2 (48 bytes each), TDATTRIBUTES and XFAM (8 bytes each, as in the quote).
    pub fn tdx(mrtd: &[u8; 48], rtmr: [&[u8; 48]; 3], td_attributes: &[u8; 8], xfam: &[u8; 8]) -> Self {
        Self(tagged_sha256(
            TAG,
            &[b"tdx", mrtd, rtmr[0], rtmr[1], rtmr[2], td_attributes, xfam],
        ))
    }

    /// AMD SEV-SNP: MEASUREMENT (48 bytes), POLICY (8 bytes, as in the report), VMPL.
    pub fn sev_snp(measurement: &[u8; 48], policy: &[u8; 8], vmpl: u32) -> Self {
        Self(tagged_sha256(
            TAG,
            &[b"sev-snp", measurement, policy, &vmpl.to_be_bytes()],
        ))
    }

    /// AWS Nitro: PCR0–2 (48 bytes each).
    pub fn nitro(pcr: [&[u8; 48]; 3]) -> Self {
        Self(tagged_sha256(TAG, &[b"nitro", pcr[0], pcr[1], pcr[2]]))
    }
}

impl fmt::Display for MeasurementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same values stand in the contract's tests: `printf 'jeju-measurement-v1\0…' | sha256sum`.
    #[test]
    fn golden() {
        let id = MeasurementId::simulated(&[0x11; 32]);
        let mut preimage = b"jeju-measurement-v1\0\0\x09simulated\0\x20".to_vec();
        preimage.extend_from_slice(&[0x11; 32]);
        assert_eq!(id.0, crate::hash::sha256(&preimage));
        assert_eq!(
            id.to_string(),
            "0x7ba882dd87bc0a341262704cb99856a51e3d553d79eb310e7f0d87094735147e"
        );
    }

    #[test]
    fn platforms_never_share_an_id() {
        let zero = [0u8; 48];
        let ids = [
            MeasurementId::simulated(&[0; 32]),
            MeasurementId::tdx(&zero, [&zero, &zero, &zero], &[0; 8], &[0; 8]),
            MeasurementId::sev_snp(&zero, &[0; 8], 0),
            MeasurementId::nitro([&zero, &zero, &zero]),
        ];
        for (i, a) in ids.iter().enumerate() {
            assert!(ids.iter().skip(i + 1).all(|b| a != b));
        }
    }
}
