//! The SNP certificate table (GHCB specification, 56421, "SNP Extended Guest Request"): what the host hands the guest
//! with a report. Linux gives it as `auxblob` of configfs-tsm, and it is the form of our bundles' endorsements.
//!
//! Entries of 24 bytes (GUID, offset from the table's start, length), an entry of zeros, then the contents. Hosts fill
//! pages: what is behind the last content is ignored. Contents are DER, or PEM.

use super::SnpError;
use crate::endorsements::Endorsements;
use crate::hash::is_zero;
use crate::x509::{Certificate, X509Error, pem_blocks, pem_certificates};

/// Longest table, in bytes.
pub const MAX_LEN: usize = 128 * 1024;

const ENTRY: usize = 24;
/// Most entries, the last one not counted.
const MAX_ENTRIES: usize = 32;
const KINDS: [(&str, [u8; 16]); 5] = [
    ("ARK", guid(0xC0B4_06A4_A803_4952_9743_3FB6_014C_D0AE)),
    ("ASK", guid(0x4AB7_B379_BBAC_4FE4_A02F_05AE_F327_C782)),
    ("VCEK", guid(0x63DA_758D_E664_4564_ADC5_F4B9_3BE8_ACCD)),
    ("VLEK", guid(0xA807_4BC2_A25A_483E_AAE6_39C0_45A0_B8A1)),
    (CRL, guid(0x92F8_1BC3_5811_4D3D_97FF_D19F_88DC_67EA)),
];
const CRL: &str = "CRL";

/// As the text of a GUID reads: the table has them in that order.
const fn guid(digits: u128) -> [u8; 16] {
    digits.to_be_bytes()
}

/// Whether bytes start as a table does.
pub fn is_table(bytes: &[u8]) -> bool {
    bytes.len() > ENTRY && KINDS.iter().any(|(_, guid)| bytes.starts_with(guid))
}

/// Reads a table. Certificates and lists in it are as little trusted as others.
pub fn read(bytes: &[u8]) -> Result<Endorsements, SnpError> {
    if bytes.len() > MAX_LEN {
        return Err(SnpError::TableTooLong(bytes.len()));
    }
    let mut endorsements = Endorsements::default();
    let mut seen = [false; KINDS.len()];
    let entries = entries(bytes)?;
    let header = (entries.len() + 1) * ENTRY;
    for (index, (guid, offset, len)) in entries.into_iter().enumerate() {
        let content = offset
            .checked_add(len)
            .filter(|_| offset >= header && len > 0)
            .and_then(|end| bytes.get(offset..end))
            .ok_or(SnpError::TableBounds(index))?;
        // Hosts may add entries of their own.
        let Some(kind) = KINDS.iter().position(|(_, known)| *known == guid) else {
            continue;
        };
        if core::mem::replace(&mut seen[kind], true) {
            return Err(SnpError::TableDuplicate(KINDS[kind].0));
        }
        match KINDS[kind].0 {
            CRL => endorsements.revocation_lists.push(list(content)?),
            _ => endorsements.certificates.push(certificate(content)?),
        }
    }
    Ok(endorsements)
}

fn entries(bytes: &[u8]) -> Result<Vec<([u8; 16], usize, usize)>, SnpError> {
    let mut entries = Vec::new();
    for entry in bytes.chunks_exact(ENTRY).take(MAX_ENTRIES + 1) {
        if is_zero(entry) {
            return Ok(entries);
        }
        let (guid, place) = entry.split_at(16);
        let number = |at: usize| {
            let bytes = [place[at], place[at + 1], place[at + 2], place[at + 3]];
            u32::from_le_bytes(bytes) as usize
        };
        let mut id = [0; 16];
        id.copy_from_slice(guid);
        entries.push((id, number(0), number(4)));
    }
    Err(SnpError::TableUnterminated)
}

fn certificate(content: &[u8]) -> Result<Vec<u8>, SnpError> {
    if !content.starts_with(b"-----BEGIN") {
        Certificate::parse(content).map_err(SnpError::TableContent)?;
        return Ok(content.to_vec());
    }
    let mut certificates = pem_certificates(content).map_err(SnpError::TableContent)?;
    match (certificates.pop(), certificates.len()) {
        (Some(certificate), 0) => Ok(certificate),
        (_, more) => Err(SnpError::TableContent(X509Error::TooMany(more + 1))),
    }
}

fn list(content: &[u8]) -> Result<Vec<u8>, SnpError> {
    if !content.starts_with(b"-----BEGIN") {
        return Ok(content.to_vec());
    }
    let mut lists = pem_blocks(content, "X509 CRL").map_err(SnpError::TableContent)?;
    match (lists.pop(), lists.len()) {
        (Some(list), 0) => Ok(list),
        (_, more) => Err(SnpError::TableContent(X509Error::TooMany(more + 1))),
    }
}
