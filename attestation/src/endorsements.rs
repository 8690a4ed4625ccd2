//! Endorsements: what vendors say about their hardware, as whoever asks for a verdict hands it over.
//!
//! A bag without order: each platform's chain picks what its evidence names. Nothing in it is trusted; all of it is
//! verified up to a pinned root by the platform that uses it.

use std::borrow::Cow;

use thiserror::Error;

use crate::intel::Collateral;
use crate::sev_snp::certificate_table;
use crate::x509::{Certificate, RevocationList, pem_blocks};

/// Longest file that is read, in bytes.
pub const MAX_LEN: usize = 1024 * 1024;
/// Most bytes of all together.
pub const MAX_TOTAL: usize = 4 * 1024 * 1024;
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
    /// More bytes than a verdict can need.
    #[error("endorsements of {0} bytes together are longer than {MAX_TOTAL}")]
    TooLongTogether(usize),
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
    /// Adds what a file holds, whatever kind it is: all of it or, where it is refused, nothing.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), EndorsementError> {
        if bytes.len() > MAX_LEN {
            return Err(EndorsementError::TooLong(bytes.len()));
        }
        self.extend(Self::read(bytes)?)
    }

    /// Adds all of another bag, or nothing.
    pub fn extend(&mut self, other: Self) -> Result<(), EndorsementError> {
        check_limits(self, &other)?;
        self.certificates.extend(other.certificates);
        self.revocation_lists.extend(other.revocation_lists);
        self.tcb_infos.extend(other.tcb_infos);
        self.qe_identities.extend(other.qe_identities);
        self.manifests.extend(other.manifests);
        Ok(())
    }

    fn read(bytes: &[u8]) -> Result<Self, EndorsementError> {
        let text = bytes.trim_ascii();
        let mut found = Self::default();
        match text.first() {
            Some(b'{') => found.add_json(text)?,
            Some(b'<') => found.manifests.push(text.to_vec()),
            _ if text.starts_with(b"-----BEGIN") => found.add_pem(text)?,
            Some(0x30) => found.add_der(bytes)?,
            _ if certificate_table::is_table(bytes) => {
                found = certificate_table::read(bytes).map_err(|_| EndorsementError::Unknown)?;
            }
            _ => return Err(EndorsementError::Unknown),
        }
        Ok(found)
    }

    /// This bag with what evidence brought; copied only if that is anything.
    pub(crate) fn with(&self, brought: Self) -> Result<Cow<'_, Self>, EndorsementError> {
        if brought == Self::default() {
            return Ok(Cow::Borrowed(self));
        }
        let mut all = self.clone();
        all.extend(brought)?;
        Ok(Cow::Owned(all))
    }

    /// Intel's collateral is the only endorsement that is JSON.
    fn add_json(&mut self, text: &[u8]) -> Result<(), EndorsementError> {
        let found = Collateral::read(text).ok_or(EndorsementError::Unknown)?;
        self.certificates.extend(found.certificates);
        self.revocation_lists.extend(found.revocation_lists);
        self.tcb_infos.extend(found.tcb_infos);
        self.qe_identities.extend(found.qe_identities);
        Ok(())
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
        // A damaged file that passed for a list would be missed by nobody where lists may be absent.
        match Certificate::parse(bytes) {
            Ok(_) => self.certificates.push(bytes.to_vec()),
            Err(_) if RevocationList::is_list(bytes) => self.revocation_lists.push(bytes.to_vec()),
            Err(_) => return Err(EndorsementError::Unknown),
        }
        Ok(())
    }

    fn counts(&self) -> [usize; 5] {
        [
            self.certificates.len(),
            self.revocation_lists.len(),
            self.tcb_infos.len(),
            self.qe_identities.len(),
            self.manifests.len(),
        ]
    }

    /// Bytes of all together.
    fn len(&self) -> usize {
        let files = [&self.certificates, &self.revocation_lists, &self.manifests];
        let files = files.into_iter().flatten().map(Vec::len);
        let documents = [&self.tcb_infos, &self.qe_identities];
        let documents = documents
            .into_iter()
            .flatten()
            .map(|document| document.body.len() + document.signature.len());
        files.sum::<usize>() + documents.sum::<usize>()
    }
}

fn check_limits(one: &Endorsements, other: &Endorsements) -> Result<(), EndorsementError> {
    let mut counts = one.counts().into_iter().zip(other.counts());
    if counts.any(|(one, other)| one + other > MAX_ENTRIES) {
        return Err(EndorsementError::TooMany);
    }
    match one.len() + other.len() {
        0..=MAX_TOTAL => Ok(()),
        total => Err(EndorsementError::TooLongTogether(total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let document = |len| [b"<".as_slice(), &vec![b'a'; len - 1]].concat();
        let mut bag = Endorsements::default();
        assert_eq!(
            bag.add(&document(MAX_LEN + 1)),
            Err(EndorsementError::TooLong(MAX_LEN + 1))
        );
        for _ in 0..MAX_TOTAL / MAX_LEN {
            assert_eq!(bag.add(&document(MAX_LEN)), Ok(()));
        }
        let full = bag.clone();
        assert_eq!(
            bag.add(b"<"),
            Err(EndorsementError::TooLongTogether(MAX_TOTAL + 1))
        );
        assert_eq!(bag, full);
        let mut bag = Endorsements::default();
        for _ in 0..MAX_ENTRIES {
            assert_eq!(bag.add(b"<"), Ok(()));
        }
        assert_eq!(bag.add(b"<"), Err(EndorsementError::TooMany));
        assert_eq!(
            Endorsements::default().add(&[0x1F, 0x8B]),
            Err(EndorsementError::Unknown)
        );
    }

    #[test]
    fn damaged_files_are_not_taken_for_lists() {
        for bytes in [&[0x30, 0][..], &[0x30, 3, 2, 1, 1], b"0123", b"", b"text", b"{}"] {
            let mut bag = Endorsements::default();
            assert_eq!(bag.add(bytes), Err(EndorsementError::Unknown), "{bytes:?}");
            assert_eq!(bag, Endorsements::default());
        }
    }
}
