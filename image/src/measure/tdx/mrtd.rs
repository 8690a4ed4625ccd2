//! MRTD: what the TDX module measures while a domain is built.

use sha2::{Digest as _, Sha384};

use super::Digest;
use super::metadata::{Metadata, MetadataError, PAGE, Section};

/// In which order a launcher adds and measures the pages of a section. Both say the same of the domain, yet give
/// different digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageAddOrder {
    /// Each page is measured when it is added: `KVM_TDX_INIT_MEM_REGION` of the mainline kernel, with any QEMU that has
    /// `tdx-guest` upstream (from 10.1 on; the pinned 11.1 too), and the 9.x of earlier vendor trees.
    Interleaved,
    /// All pages of a section are added, then all are measured: vendor trees with QEMU 8.x.
    TwoPass,
}

/// MRTD of a firmware.
///
/// SHA-384 over a block for each page added (TDH.MEM.PAGE.ADD) and, where a section's content is measured, over a block
/// and the content for each 256 bytes (TDH.MR.EXTEND): *TDX Module Base Architecture Specification*, "Measurement and
/// Attestation".
///
/// # Errors
/// A firmware without sound metadata.
pub fn mrtd(firmware: &[u8], order: PageAddOrder) -> Result<Digest, MetadataError> {
    let metadata = Metadata::parse(firmware)?;
    let mut hash = Sha384::new();
    let sections = metadata.sections().iter();
    for section in sections.filter(|section| !section.added_later) {
        let pages = || (0..section.len).step_by(PAGE as usize);
        match order {
            PageAddOrder::Interleaved => {
                for page in pages() {
                    add(&mut hash, section.address + page);
                    extend(&mut hash, section, firmware, page);
                }
            }
            PageAddOrder::TwoPass => {
                pages().for_each(|page| add(&mut hash, section.address + page));
                pages().for_each(|page| extend(&mut hash, section, firmware, page));
            }
        }
    }
    Ok(hash.finalize().into())
}

fn add(hash: &mut Sha384, address: u64) {
    hash.update(block(b"MEM.PAGE.ADD", address));
}

/// Sections whose content is measured are as long in the file as in memory.
fn extend(hash: &mut Sha384, section: &Section, firmware: &[u8], page: u64) {
    if !section.extended {
        return;
    }
    let from = section.data.start + page as usize;
    let content = &firmware[from..from + PAGE as usize];
    for (chunk, at) in content.chunks_exact(CHUNK).zip((0..).step_by(CHUNK)) {
        hash.update(block(b"MR.EXTEND", section.address + page + at));
        hash.update(chunk);
    }
}

const CHUNK: usize = 256;

/// Operation and address, in 128 bytes.
fn block(operation: &[u8], address: u64) -> [u8; 128] {
    let mut block = [0; 128];
    block[..operation.len()].copy_from_slice(operation);
    block[16..24].copy_from_slice(&address.to_le_bytes());
    block
}
