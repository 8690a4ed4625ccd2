//! Why a file isn't an enclave image.

use thiserror::Error;

use super::{MAX_METADATA, MAX_RAMDISKS, MAX_SECTIONS, SignatureError};

/// Why a file isn't an enclave image, or can't become one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EifError {
    /// Another magic number than `.eif`.
    #[error("file starts with {0:02x?}, not \".eif\"")]
    Magic([u8; 4]),
    /// Another version.
    #[error("EIF version {0}, not 4")]
    Version(u16),
    /// The file ends in header or section.
    #[error("file ends within {what}, at byte {at}")]
    Truncated {
        /// In what.
        what: &'static str,
        /// Length of the file.
        at: usize,
    },
    /// A field of the header that has one value.
    #[error("header's {field} is {actual:#x}, expected {expected:#x}")]
    Header {
        /// The field.
        field: &'static str,
        /// What stands there.
        actual: u64,
        /// What should.
        expected: u64,
    },
    /// A count of sections that no file can have.
    #[error("header claims {0} sections, allowed are 4 to {MAX_SECTIONS}")]
    SectionCount(usize),
    /// Header and file disagree on where a section is, or how long.
    #[error("header has {actual} for the {field} of section {index}, expected {expected}")]
    SectionTable {
        /// Offset or size.
        field: &'static str,
        /// Which section.
        index: usize,
        /// What the header says.
        actual: u64,
        /// What the file has.
        expected: u64,
    },
    /// A section where another one belongs.
    #[error("section {index} is of type {actual}, expected {expected}")]
    SectionType {
        /// Which section.
        index: usize,
        /// Its type.
        actual: u16,
        /// What may stand there.
        expected: &'static str,
    },
    /// Flags, which have no meaning.
    #[error("section {index} has the flags {flags:#x}")]
    SectionFlags {
        /// Which section.
        index: usize,
        /// Its flags.
        flags: u16,
    },
    /// Bytes after the last section.
    #[error("{0} bytes after the last section")]
    Trailing(usize),
    /// The checksum is another one.
    #[error("CRC-32 is {actual:08x}, header says {expected:08x}")]
    Crc {
        /// Of the file.
        actual: u32,
        /// Of the header.
        expected: u32,
    },
    /// An image without a kernel, or with an empty ramdisk.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A command line that isn't one line of printable ASCII, or too long for the kernel.
    #[error("the command line is not one line of printable ASCII characters that the kernel takes")]
    Cmdline,
    /// No ramdisk, or more than there are sections for.
    #[error("{0} ramdisks, allowed are 1 to {MAX_RAMDISKS}")]
    RamdiskCount(usize),
    /// Metadata that isn't of the form that every reader of the format wants.
    #[error("metadata: {0}")]
    Metadata(String),
    /// Metadata that is too long.
    #[error("metadata has {0} bytes, more than {MAX_METADATA}")]
    MetadataLength(usize),
    /// The signature section.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}
