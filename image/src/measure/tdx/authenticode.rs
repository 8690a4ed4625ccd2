//! The digest by which firmware knows a PE file.

use sha2::{Digest as _, Sha384};
use thiserror::Error;

use super::Digest;

/// Largest kernel that is read, in bytes.
pub const MAX_KERNEL: usize = 256 << 20;

/// Why a file can't be measured as a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KernelError {
    /// Too long.
    #[error("the kernel has {0} bytes, more than {MAX_KERNEL}")]
    TooLong(usize),
    /// It ends inside a structure.
    #[error("the kernel ends inside {0}")]
    Truncated(&'static str),
    /// It isn't what edk2 starts on x86-64.
    #[error(
        "the kernel is no PE32+ file of an EFI application for x86-64: {what} is {found:#x}, not {expected:#x}"
    )]
    Format {
        /// Which field.
        what: &'static str,
        /// What it holds.
        found: u64,
        /// What it must hold.
        expected: u64,
    },
    /// A header, section or tail of the file that would be hashed twice, or not at all.
    #[error(
        "the kernel's sections don't follow one another: {what} begins at {found:#x}, expected {expected:#x}"
    )]
    Layout {
        /// What lies wrong.
        what: &'static str,
        /// Where it begins.
        found: u64,
        /// Where it must begin.
        expected: u64,
    },
    /// Bytes that no register covers.
    #[error("the kernel's {field} is not zero, and no register measures it")]
    NotMeasured {
        /// Which field.
        field: &'static str,
    },
}

/// SHA-384 Authenticode digest of a kernel (Microsoft, *Windows Authenticode Portable Executable Signature Format*,
/// "Calculating the PE Image Hash"; edk2, `MeasurePeImageAndExtend`).
///
/// Authenticode leaves three things out: the checksum (4 bytes), the directory entry of the certificate table (8 bytes)
/// and that table. A kernel in which any of them isn't zero or empty is refused, and so is one whose sections overlap
/// or leave gaps: so that every byte of a kernel that has a digest is measured once, or is one of twelve zeros.
///
/// A host that sets one of the twelve at launch, or appends a certificate table, keeps the register. It changes nothing
/// that runs. edk2 looks at both fields for signatures only, which nobody asks for where Secure Boot is off; it loads
/// headers and sections, and nothing behind them; and in memory the twelve bytes lie in the PE header, before the setup
/// header that the kernel's stub copies (a test holds the kernel to it).
///
/// # Errors
/// See [`KernelError`].
pub fn authenticode(kernel: &[u8]) -> Result<Digest, KernelError> {
    if kernel.len() > MAX_KERNEL {
        return Err(KernelError::TooLong(kernel.len()));
    }
    let excluded = Excluded::of(kernel)?;
    for (field, at, len) in excluded.fields() {
        if slice(kernel, at, len, field)?.iter().any(|byte| *byte != 0) {
            return Err(KernelError::NotMeasured { field });
        }
    }
    let mut hash = Sha384::new();
    let mut from = 0;
    for (field, at, len) in excluded.fields() {
        hash.update(slice(kernel, from, at - from, field)?);
        from = at + len;
    }
    // Headers, sections in file order and what follows the last one are all the rest of the file, in order.
    check_layout(kernel, &excluded)?;
    hash.update(slice(kernel, from, kernel.len() - from, "its sections")?);
    Ok(hash.finalize().into())
}

/// Where in a PE file lies what Authenticode leaves out.
#[derive(Debug, Clone, Copy)]
struct Excluded {
    /// Offset of the "PE\0\0" signature.
    pe: usize,
}

const CHECKSUM: &str = "PE checksum";
const CERTIFICATES: &str = "PE certificate table";

const FILE_HEADER_LEN: usize = 20;
const SECTION_HEADER_LEN: usize = 40;
/// PE32+ optional header up to the first data directory.
const OPTIONAL_LEN: usize = 112;
const DIRECTORY_LEN: usize = 8;

impl Excluded {
    fn of(kernel: &[u8]) -> Result<Self, KernelError> {
        format(u64::from(u16(kernel, 0)?), 0x5A4D, "the DOS signature")?;
        let pe = u32(kernel, 0x3C)? as usize;
        format(u64::from(u32(kernel, pe)?), 0x4550, "the PE signature")?;
        let this = Self { pe };
        let optional = this.optional();
        format(u64::from(u16(kernel, pe + 4)?), 0x8664, "the machine")?;
        format(
            u64::from(u16(kernel, optional)?),
            0x020B,
            "the optional header's magic",
        )?;
        format(u64::from(u16(kernel, optional + 68)?), 10, "the subsystem")?;
        // With fewer directories there would be no entry to leave out, and the digest another.
        if u32(kernel, optional + 108)? < 5 {
            let found = u64::from(u32(kernel, optional + 108)?);
            return Err(KernelError::Format {
                what: "the number of directories",
                found,
                expected: 5,
            });
        }
        Ok(this)
    }

    fn optional(&self) -> usize {
        self.pe + 4 + FILE_HEADER_LEN
    }

    fn fields(&self) -> [(&'static str, usize, usize); 2] {
        let optional = self.optional();
        [
            (CHECKSUM, optional + 64, 4),
            (
                CERTIFICATES,
                optional + OPTIONAL_LEN + 4 * DIRECTORY_LEN,
                DIRECTORY_LEN,
            ),
        ]
    }
}

/// The header ends where the first section begins, each section where the next one does, and the last with the file or
/// before it.
fn check_layout(kernel: &[u8], excluded: &Excluded) -> Result<(), KernelError> {
    let optional = excluded.optional();
    let sections = usize::from(u16(kernel, excluded.pe + 6)?);
    let table = optional + usize::from(u16(kernel, excluded.pe + 20)?);
    let headers = u32(kernel, optional + 60)? as usize;
    let table_end = table + sections * SECTION_HEADER_LEN;
    let [_, (_, certificates, len)] = excluded.fields();
    let at_least = |what, found: usize, expected: usize| match found >= expected {
        true => Ok(()),
        false => Err(KernelError::Layout {
            what,
            found: found as u64,
            expected: expected as u64,
        }),
    };
    at_least("the section table", table, certificates + len)?;
    at_least("the first section", headers, table_end)?;
    let mut ranges = Vec::with_capacity(sections);
    for index in 0..sections {
        let header = table + index * SECTION_HEADER_LEN;
        let (len, at) = (
            u32(kernel, header + 16)? as usize,
            u32(kernel, header + 20)? as usize,
        );
        if len != 0 {
            ranges.push((at, len));
        }
    }
    ranges.sort_unstable();
    let mut end = headers;
    for (at, len) in ranges {
        if at != end {
            return Err(KernelError::Layout {
                what: "a section",
                found: at as u64,
                expected: end as u64,
            });
        }
        end = at.checked_add(len).ok_or(KernelError::Truncated("a section"))?;
    }
    match end <= kernel.len() {
        true => Ok(()),
        false => Err(KernelError::Truncated("a section")),
    }
}

fn format(found: u64, expected: u64, what: &'static str) -> Result<(), KernelError> {
    match found == expected {
        true => Ok(()),
        false => Err(KernelError::Format {
            what,
            found,
            expected,
        }),
    }
}

fn slice<'a>(kernel: &'a [u8], at: usize, len: usize, what: &'static str) -> Result<&'a [u8], KernelError> {
    at.checked_add(len)
        .and_then(|end| kernel.get(at..end))
        .ok_or(KernelError::Truncated(what))
}

fn u16(kernel: &[u8], at: usize) -> Result<u16, KernelError> {
    let bytes = slice(kernel, at, 2, "its headers")?;
    Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn u32(kernel: &[u8], at: usize) -> Result<u32, KernelError> {
    let bytes = slice(kernel, at, 4, "its headers")?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}
