//! Nitro enclave images: the EIF format, version 4 (aws-nitro-enclaves-image-format, `src/defs/mod.rs`).
//!
//! A file is a header of 548 bytes, then sections of a 12-byte head and content, all numbers big-endian. One order of
//! sections is written and read: kernel, command line, metadata, ramdisks, signature. The same parts give the same bytes,
//! those that AWS's own builder writes for the same metadata; only a signature differs each time.
//!
//! What the hypervisor measures of it, [`crate::measure::nitro`] computes. It does **not** measure header, metadata and
//! signature: whoever starts the enclave may change them, and nothing in the enclave may rely on them.

mod crc32;
mod error;
mod header;
mod metadata;
mod signature;

use header::Header;

use crate::measure::check_cmdline;

pub use error::EifError;
pub use metadata::{BuildMetadata, Metadata};
pub use signature::{
    MAX_SIGNATURE, Signature, SignatureError, SigningKey, VerifiedSignature, signing_certificate,
};

/// Length of the header, in bytes.
pub const HEADER: usize = 548;
/// Length of a section's head, in bytes.
pub const SECTION_HEAD: usize = 12;
/// Most sections of a file.
pub const MAX_SECTIONS: usize = 32;
/// Most ramdisks: what kernel, command line, metadata and signature leave.
pub const MAX_RAMDISKS: usize = MAX_SECTIONS - 4;
/// Longest metadata, in bytes.
pub const MAX_METADATA: usize = 64 << 10;
/// Memory that the header proposes, in bytes. Without effect: `nitro-cli run-enclave` demands `--memory`, and it isn't
/// measured. The value is that of AWS's builder.
pub const DEFAULT_MEMORY: u64 = 1 << 30;
/// Processors that the header proposes. Without effect, as [`DEFAULT_MEMORY`].
pub const DEFAULT_CPUS: u64 = 2;

/// The parts of an enclave image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eif<'a> {
    /// bzImage.
    pub kernel: &'a [u8],
    /// Command line, without line end and NUL. The hypervisor appends its devices to it.
    pub cmdline: &'a [u8],
    /// Metadata section as it stands in the file: JSON.
    metadata: Vec<u8>,
    /// initramfs archives in load order. The first one is measured with the kernel, the others by themselves.
    pub ramdisks: Vec<&'a [u8]>,
    /// Who vouches for the image.
    pub signature: Option<Signature>,
    /// Memory that the header proposes, in bytes.
    pub default_memory: u64,
    /// Processors that the header proposes.
    pub default_cpus: u64,
}

impl<'a> Eif<'a> {
    /// An image without a signature.
    ///
    /// # Errors
    /// [`EifError::Empty`], [`EifError::Cmdline`], [`EifError::RamdiskCount`], [`EifError::MetadataLength`].
    pub fn new(
        kernel: &'a [u8],
        cmdline: &'a [u8],
        ramdisks: &[&'a [u8]],
        metadata: &Metadata,
    ) -> Result<Self, EifError> {
        let metadata = metadata.to_json();
        if metadata.len() > MAX_METADATA {
            return Err(EifError::MetadataLength(metadata.len()));
        }
        let eif = Self {
            kernel,
            cmdline,
            metadata,
            ramdisks: ramdisks.to_vec(),
            signature: None,
            default_memory: DEFAULT_MEMORY,
            default_cpus: DEFAULT_CPUS,
        };
        eif.check()?;
        Ok(eif)
    }

    /// The metadata section.
    ///
    /// # Errors
    /// [`EifError::Metadata`].
    pub fn metadata(&self) -> Result<Metadata, EifError> {
        Metadata::from_json(&self.metadata)
    }

    /// The file.
    pub fn write(&self) -> Vec<u8> {
        let signature = self.signature.as_ref().map(Signature::to_bytes);
        let mut sections = vec![
            (KERNEL, self.kernel),
            (CMDLINE, self.cmdline),
            (METADATA, &self.metadata[..]),
        ];
        sections.extend(self.ramdisks.iter().map(|ramdisk| (RAMDISK, *ramdisk)));
        sections.extend(signature.iter().map(|signature| (SIGNATURE, &signature[..])));

        let length: usize = sections
            .iter()
            .map(|(_, content)| SECTION_HEAD + content.len())
            .sum();
        let mut file = Vec::with_capacity(HEADER + length);
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&VERSION.to_be_bytes());
        file.extend_from_slice(&FLAGS_X86_64.to_be_bytes());
        file.extend_from_slice(&self.default_memory.to_be_bytes());
        file.extend_from_slice(&self.default_cpus.to_be_bytes());
        file.extend_from_slice(&[0; 2]);
        file.extend_from_slice(&(sections.len() as u16).to_be_bytes());
        let mut offset = HEADER;
        for (at, (_, content)) in sections.iter().enumerate() {
            file.resize(OFFSETS + 8 * at, 0);
            file.extend_from_slice(&(offset as u64).to_be_bytes());
            offset += SECTION_HEAD + content.len();
        }
        for (at, (_, content)) in sections.iter().enumerate() {
            file.resize(SIZES + 8 * at, 0);
            file.extend_from_slice(&(content.len() as u64).to_be_bytes());
        }
        file.resize(HEADER, 0);
        for (kind, content) in sections {
            file.extend_from_slice(&kind.to_be_bytes());
            file.extend_from_slice(&[0; 2]);
            file.extend_from_slice(&(content.len() as u64).to_be_bytes());
            file.extend_from_slice(content);
        }
        let crc = checksum(&file);
        file[CRC..HEADER].copy_from_slice(&crc.to_be_bytes());
        file
    }

    /// Reads a file in the one form that [`write`](Self::write) has: writing what was read gives the same bytes.
    ///
    /// Whether the signature is right is up to [`Signature::verify`].
    ///
    /// # Errors
    /// Any of [`EifError`].
    pub fn read(file: &'a [u8]) -> Result<Self, EifError> {
        let header = Header::read(file)?;
        let mut sections = header.sections(file)?.into_iter().enumerate().peekable();
        let mut next = |expected: u16, name: &'static str| match sections.next() {
            Some((_, (kind, content))) if kind == expected => Ok(content),
            Some((index, (actual, _))) => Err(EifError::SectionType {
                index,
                actual,
                expected: name,
            }),
            None => Err(EifError::SectionCount(usize::from(header.count))),
        };
        let kernel = next(KERNEL, "1 (kernel)")?;
        let cmdline = next(CMDLINE, "2 (command line)")?;
        let metadata = next(METADATA, "5 (metadata)")?;
        let mut ramdisks = Vec::new();
        while let Some((_, (_, content))) = sections.next_if(|(_, (kind, _))| *kind == RAMDISK) {
            ramdisks.push(content);
        }
        let signature = match sections.next_if(|(_, (kind, _))| *kind == SIGNATURE) {
            Some((_, (_, content))) => Some(Signature::parse(content)?),
            None => None,
        };
        if let Some((index, (actual, _))) = sections.next() {
            return Err(EifError::SectionType {
                index,
                actual,
                expected: "3 (ramdisk) or, at the end, 4 (signature)",
            });
        }
        Metadata::from_json(metadata)?;
        let eif = Self {
            kernel,
            cmdline,
            metadata: metadata.to_vec(),
            ramdisks,
            signature,
            default_memory: header.default_memory,
            default_cpus: header.default_cpus,
        };
        eif.check()?;
        let actual = checksum(file);
        if actual != header.crc {
            let expected = header.crc;
            return Err(EifError::Crc { actual, expected });
        }
        Ok(eif)
    }

    fn check(&self) -> Result<(), EifError> {
        if self.kernel.is_empty() {
            return Err(EifError::Empty("the kernel"));
        }
        if self.ramdisks.iter().any(|ramdisk| ramdisk.is_empty()) {
            return Err(EifError::Empty("a ramdisk"));
        }
        if self.ramdisks.is_empty() || self.ramdisks.len() > MAX_RAMDISKS {
            return Err(EifError::RamdiskCount(self.ramdisks.len()));
        }
        check_cmdline(self.cmdline).map_err(|_| EifError::Cmdline)?;
        Ok(())
    }
}

const MAGIC: &[u8; 4] = b".eif";
const VERSION: u16 = 4;
/// Bit 0 would be aarch64.
const FLAGS_X86_64: u16 = 0;
const KERNEL: u16 = 1;
const CMDLINE: u16 = 2;
const RAMDISK: u16 = 3;
const SIGNATURE: u16 = 4;
const METADATA: u16 = 5;
const OFFSETS: usize = 28;
const SIZES: usize = OFFSETS + 8 * MAX_SECTIONS;
const UNUSED: usize = SIZES + 8 * MAX_SECTIONS;
const CRC: usize = UNUSED + 4;

/// Over everything but the checksum itself.
fn checksum(file: &[u8]) -> u32 {
    crc32::of(&[&file[..CRC], &file[HEADER..]])
}

#[cfg(test)]
mod tests;
