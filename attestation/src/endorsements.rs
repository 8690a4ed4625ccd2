//! Endorsements: what vendors say about their hardware, as whoever asks for a verdict hands it over.
//!
//! A bag without order: each platform's chain picks what its evidence names. Nothing in it is trusted; all of it is
//! verified up to a pinned root by the platform that uses it.

use thiserror::Error;

use crate::x509::{Certificate, pem_blocks};

/// Longest file that is read, in bytes.
pub const MAX_LEN: usize = 1024 * 1024;
/// Most entries of one kind.
const MAX_ENTRIES: usize = 64;

/// Why bytes aren't an endorsement.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndorsementError {
    /// Longer than [`MAX_LEN`].
    #[error("endorsement of {0} bytes is longer than {MAX_LEN}")]
    TooLong(usize),
    /// More than a verdict can need.
    #[error("there are more than {MAX_ENTRIES} endorsements of one kind")]
    TooMany,
    /// Of no kind that is known.
    #[error(
        "neither certificates, revocation lists, Intel's collateral, an SNP certificate table nor an NVIDIA manifest"
    )]
    Unknown,
}

/// A document of Intel's provisioning service: the exact bytes that are signed, and the signature (r ‖ s, 64 bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedJson {
    /// JSON.
    pub body: Vec<u8>,
    /// r ‖ s.
    pub signature: Vec<u8>,
}

/// Everything that was handed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endorsements {
    /// Certificates, as DER.
    pub certificates: Vec<Vec<u8>>,
    /// Certificate revocation lists, as DER.
    pub revocation_lists: Vec<Vec<u8>>,
    /// Intel's TCB infos.
    pub tcb_infos: Vec<SignedJson>,
    /// Intel's identities of quoting enclaves.
    pub qe_identities: Vec<SignedJson>,
    /// NVIDIA's reference integrity manifests, as XML.
    pub manifests: Vec<Vec<u8>>,
}

impl Endorsements {
    /// Adds what a file holds, whatever kind it is.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), EndorsementError> {
        if bytes.len() > MAX_LEN {
            return Err(EndorsementError::TooLong(bytes.len()));
        }
        let text = bytes.trim_ascii();
        match text.first() {
            Some(b'{') => self.add_json(text)?,
            Some(b'<') => self.manifests.push(text.to_vec()),
            _ if text.starts_with(b"-----BEGIN") => self.add_pem(text)?,
            Some(0x30) => self.add_der(bytes)?,
            _ => return Err(EndorsementError::Unknown),
        }
        self.check_counts()
    }

    /// Adds all of another bag.
    pub fn extend(&mut self, other: Self) -> Result<(), EndorsementError> {
        self.certificates.extend(other.certificates);
        self.revocation_lists.extend(other.revocation_lists);
        self.tcb_infos.extend(other.tcb_infos);
        self.qe_identities.extend(other.qe_identities);
        self.manifests.extend(other.manifests);
        self.check_counts()
    }

    fn add_json(&mut self, _text: &[u8]) -> Result<(), EndorsementError> {
        Err(EndorsementError::Unknown)
    }

    fn add_pem(&mut self, text: &[u8]) -> Result<(), EndorsementError> {
        let certificates = pem_blocks(text, "CERTIFICATE").map_err(|_| EndorsementError::Unknown)?;
        let lists = pem_blocks(text, "X509 CRL").map_err(|_| EndorsementError::Unknown)?;
        if certificates.is_empty() && lists.is_empty() {
            return Err(EndorsementError::Unknown);
        }
        self.certificates.extend(certificates);
        self.revocation_lists.extend(lists);
        Ok(())
    }

    fn add_der(&mut self, bytes: &[u8]) -> Result<(), EndorsementError> {
        match Certificate::parse(bytes) {
            Ok(_) => self.certificates.push(bytes.to_vec()),
            Err(_) => self.revocation_lists.push(bytes.to_vec()),
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), EndorsementError> {
        let counts = [
            self.certificates.len(),
            self.revocation_lists.len(),
            self.tcb_infos.len(),
            self.qe_identities.len(),
            self.manifests.len(),
        ];
        match counts.iter().all(|count| *count <= MAX_ENTRIES) {
            true => Ok(()),
            false => Err(EndorsementError::TooMany),
        }
    }
}
