//! What a firmware file says of its own SEV-SNP launch: the table of GUIDs that ends 32 bytes before its end, and the
//! SEV metadata that the table points to (edk2, `OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm` and
//! `X64/OvmfSevMetadata.asm`).
//!
//! QEMU takes more than this parser does. What a machine would refuse at launch, or two programs could read in two
//! ways, is refused here.

use std::ops::Range;

use thiserror::Error;

use super::PAGE;

/// Longest firmware, in bytes: what QEMU maps below 4 GiB at most (`hw/i386/pc_sysfw.c`).
pub const MAX_FIRMWARE: usize = 8 << 20;
/// End of the firmware in the guest's memory.
const END: u64 = 1 << 32;

/// Why a file is no firmware that an SEV-SNP guest could be started with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OvmfError {
    /// Not whole pages, or too long.
    #[error("firmware has {0} bytes, not a multiple of {PAGE} up to {MAX_FIRMWARE}")]
    Length(usize),
    /// There is no table of GUIDs at the end.
    #[error("firmware has no table of GUIDs at its end")]
    NoTable,
    /// The table's length, or that of an entry, leads out of the file or the table.
    #[error("length {length} at byte {at} of the firmware doesn't fit its table of GUIDs")]
    TableLength {
        /// Offset of the length in the file.
        at: usize,
        /// What stands there.
        length: u16,
    },
    /// An entry that says something twice.
    #[error("firmware's table has two entries of {0}")]
    Duplicate(&'static str),
    /// An entry that a launch needs.
    #[error("firmware's table has no entry of {0}")]
    Missing(&'static str),
    /// An entry of another length than its format.
    #[error("firmware's entry of {name} has {length} bytes, not {expected}")]
    EntryLength {
        /// The entry.
        name: &'static str,
        /// Its length without the head.
        length: usize,
        /// What it should be.
        expected: usize,
    },
    /// The metadata doesn't lie in the file.
    #[error("SEV metadata, {0} bytes before the end of the firmware, isn't in it")]
    MetadataOffset(u32),
    /// Another signature than `ASEV`.
    #[error("SEV metadata starts with {0:02x?}, not ASEV")]
    MetadataSignature([u8; 4]),
    /// Another version than 1.
    #[error("SEV metadata is of version {0}, not 1")]
    MetadataVersion(u32),
    /// Its length isn't that of its sections.
    #[error("SEV metadata claims {length} bytes for {count} sections of 12 bytes after a head of 16")]
    MetadataLength {
        /// Length that it claims.
        length: u32,
        /// Sections that it claims.
        count: u32,
    },
    /// A section of a type without a meaning.
    #[error("SEV metadata has a section of unknown type {0:#x}")]
    SectionType(u32),
    /// A section that isn't one or more whole pages below the firmware.
    #[error("section of {size:#x} bytes at {gpa:#x} is not whole pages below the firmware")]
    SectionRange {
        /// Guest physical address.
        gpa: u32,
        /// Length in bytes.
        size: u32,
    },
    /// All sections together are longer than any firmware's.
    #[error("sections have more than {MAX_SECTION_PAGES} pages")]
    SectionPages,
    /// Two sections have a page in common, which the security processor refuses.
    #[error("the section at {0:#x} overlaps another one")]
    Overlap(u32),
    /// A section of which there must be one, with one page.
    #[error("there are {pages} pages of type {kind}, expected {expected}")]
    SectionCount {
        /// Name of the type.
        kind: &'static str,
        /// How many pages there are.
        pages: usize,
        /// How many there may be.
        expected: &'static str,
    },
    /// The table of hashes isn't in the section for it.
    #[error("table of hashes at {base:#x} with {size} bytes is not in the section of kernel hashes")]
    HashTable {
        /// Guest physical address of the table.
        base: u32,
        /// Bytes that the firmware reserves for it.
        size: u32,
    },
    /// Processors other than the first would start at address 0.
    #[error("firmware's reset block has the address 0")]
    ResetVector,
}

/// What a page of the metadata is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionKind {
    /// 1: memory of the first phase, zeroed and accepted.
    SecMemory,
    /// 2: the secrets page.
    Secrets,
    /// 3: the CPUID page, which the security processor checks instead of measuring it.
    Cpuid,
    /// 4: calling area of an SVSM; zero without one.
    SvsmCallingArea,
    /// 0x10: hashes of kernel, initramfs and command line.
    KernelHashes,
}

/// A run of pages that a launch adds besides the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Guest physical address, a multiple of 4096.
    pub gpa: u32,
    /// Length in bytes, a multiple of 4096.
    pub size: u32,
    /// What it is for.
    pub kind: SectionKind,
}

/// What a launch reads in a firmware file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// In the order in which they are added.
    pub sections: Vec<Section>,
    /// Offset of the table of hashes in the page for it; `None` where the firmware doesn't take one, and would start
    /// any kernel.
    pub hash_table: Option<usize>,
    /// Where processors other than the first start.
    pub reset_vector: u32,
}

impl Layout {
    /// Reads a whole firmware file.
    ///
    /// # Errors
    /// Any of [`OvmfError`].
    pub fn parse(firmware: &[u8]) -> Result<Self, OvmfError> {
        if firmware.is_empty() || !firmware.len().is_multiple_of(PAGE) || firmware.len() > MAX_FIRMWARE {
            return Err(OvmfError::Length(firmware.len()));
        }
        let entries = Entries::read(firmware)?;
        let reset_vector = u32_at(
            entries.reset_block.ok_or(OvmfError::Missing(RESET_BLOCK.name))?,
            0,
        );
        if reset_vector == 0 {
            return Err(OvmfError::ResetVector);
        }
        let offset = u32_at(entries.metadata.ok_or(OvmfError::Missing(METADATA.name))?, 0);
        let sections = sections(firmware, offset)?;
        check_sections(&sections, END - firmware.len() as u64)?;
        let hash_page = sections
            .iter()
            .find(|section| section.kind == SectionKind::KernelHashes);
        let hash_table = match (hash_page, entries.hash_table) {
            (None, _) => None,
            (Some(_), None) => return Err(OvmfError::Missing(HASH_TABLE.name)),
            (Some(page), Some(entry)) => Some(hash_table(page, u32_at(entry, 0), u32_at(entry, 4))?),
        };
        Ok(Self {
            sections,
            hash_table,
            reset_vector,
        })
    }
}

/// An entry of the table of GUIDs.
struct Kind {
    name: &'static str,
    /// As in the file: the first three groups of digits are little-endian.
    guid: [u8; 16],
    /// Length of its data.
    length: usize,
}

/// 00f771de-1a7e-4fcb-890e-68c77e2fb44e.
const RESET_BLOCK: Kind = Kind {
    name: "the SEV-ES reset block",
    guid: [
        0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f, 0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e,
    ],
    length: 4,
};
/// 7255371f-3a3b-4b04-927b-1da6efa8d454.
const HASH_TABLE: Kind = Kind {
    name: "the table of hashes",
    guid: [
        0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b, 0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54,
    ],
    length: 8,
};
/// dc886566-984a-4798-a75e-5585a7bf67cc.
const METADATA: Kind = Kind {
    name: "the SEV metadata",
    guid: [
        0x66, 0x65, 0x88, 0xdc, 0x4a, 0x98, 0x98, 0x47, 0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc,
    ],
    length: 4,
};
/// 96b582de-1fb2-45f7-baea-a366c55a082d, of the entry that the table ends with.
const FOOTER: [u8; 16] = [
    0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d,
];
/// Bytes after the table: the reset vector's code.
const AFTER_TABLE: usize = 32;
/// An entry's head, which comes after its data: length of both (2 bytes), GUID.
const HEAD: usize = 18;

/// The data of those entries that an SEV-SNP launch needs.
#[derive(Default)]
struct Entries<'a> {
    reset_block: Option<&'a [u8]>,
    hash_table: Option<&'a [u8]>,
    metadata: Option<&'a [u8]>,
}

impl<'a> Entries<'a> {
    /// Reads the table from its end to its start.
    fn read(firmware: &'a [u8]) -> Result<Self, OvmfError> {
        let end = firmware.len() - AFTER_TABLE;
        let (length, guid) = head(firmware, end);
        if guid != FOOTER {
            return Err(OvmfError::NoTable);
        }
        let start = entry_start(end, length, 0)?;
        let mut end = end - HEAD;
        let mut entries = Self::default();
        while end > start {
            if end - start < HEAD {
                let at = start;
                return Err(OvmfError::TableLength { at, length });
            }
            let (length, guid) = head(firmware, end);
            let data = entry_start(end, length, start)?..end - HEAD;
            end = data.start;
            for (kind, place) in [
                (&RESET_BLOCK, &mut entries.reset_block),
                (&HASH_TABLE, &mut entries.hash_table),
                (&METADATA, &mut entries.metadata),
            ] {
                if kind.guid != guid {
                    continue;
                }
                let data = &firmware[data.clone()];
                if data.len() != kind.length {
                    return Err(OvmfError::EntryLength {
                        name: kind.name,
                        length: data.len(),
                        expected: kind.length,
                    });
                }
                if place.replace(data).is_some() {
                    return Err(OvmfError::Duplicate(kind.name));
                }
            }
        }
        Ok(entries)
    }
}

/// Length and GUID of the entry that ends at `end`.
fn head(firmware: &[u8], end: usize) -> (u16, &[u8]) {
    let head = &firmware[end - HEAD..end];
    (u16::from_le_bytes([head[0], head[1]]), &head[2..])
}

/// Where an entry starts, which must hold its own head and not reach below `least`.
fn entry_start(end: usize, length: u16, least: usize) -> Result<usize, OvmfError> {
    let start = end.checked_sub(usize::from(length));
    start
        .filter(|start| usize::from(length) >= HEAD && *start >= least)
        .ok_or(OvmfError::TableLength {
            at: end - HEAD,
            length,
        })
}

/// Head of the metadata: signature, length, version, count.
const METADATA_HEAD: usize = 16;
const SECTION: usize = 12;
/// Pages of all sections together; edk2's have 47.
const MAX_SECTION_PAGES: usize = 4096;

fn sections(firmware: &[u8], offset: u32) -> Result<Vec<Section>, OvmfError> {
    let misplaced = OvmfError::MetadataOffset(offset);
    let start = firmware
        .len()
        .checked_sub(offset as usize)
        .ok_or(misplaced.clone())?;
    let metadata = &firmware[start..];
    let head = metadata.get(..METADATA_HEAD).ok_or(misplaced.clone())?;
    if !head.starts_with(b"ASEV") {
        return Err(OvmfError::MetadataSignature([head[0], head[1], head[2], head[3]]));
    }
    let (length, version, count) = (u32_at(head, 4), u32_at(head, 8), u32_at(head, 12));
    if version != 1 {
        return Err(OvmfError::MetadataVersion(version));
    }
    if u64::from(length) != METADATA_HEAD as u64 + SECTION as u64 * u64::from(count) {
        return Err(OvmfError::MetadataLength { length, count });
    }
    let sections = metadata.get(METADATA_HEAD..length as usize).ok_or(misplaced)?;
    sections.chunks_exact(SECTION).map(section).collect()
}

fn section(bytes: &[u8]) -> Result<Section, OvmfError> {
    let kind = match u32_at(bytes, 8) {
        1 => SectionKind::SecMemory,
        2 => SectionKind::Secrets,
        3 => SectionKind::Cpuid,
        4 => SectionKind::SvsmCallingArea,
        0x10 => SectionKind::KernelHashes,
        other => return Err(OvmfError::SectionType(other)),
    };
    Ok(Section {
        gpa: u32_at(bytes, 0),
        size: u32_at(bytes, 4),
        kind,
    })
}

fn check_sections(sections: &[Section], firmware_start: u64) -> Result<(), OvmfError> {
    let range = |section: &Section| -> Range<u64> {
        let start = u64::from(section.gpa);
        start..start + u64::from(section.size)
    };
    let mut pages = 0;
    for section in sections {
        let Section { gpa, size, .. } = *section;
        let aligned = (gpa as usize).is_multiple_of(PAGE) && (size as usize).is_multiple_of(PAGE);
        if !aligned || size == 0 || range(section).end > firmware_start {
            return Err(OvmfError::SectionRange { gpa, size });
        }
        pages += size as usize / PAGE;
        if pages > MAX_SECTION_PAGES {
            return Err(OvmfError::SectionPages);
        }
    }
    // At most MAX_SECTION_PAGES sections come here, because each has a page.
    let mut sorted: Vec<&Section> = sections.iter().collect();
    sorted.sort_by_key(|section| section.gpa);
    for pair in sorted.windows(2) {
        if range(pair[0]).end > range(pair[1]).start {
            return Err(OvmfError::Overlap(pair[1].gpa));
        }
    }
    for (kind, name, least, expected) in [
        (SectionKind::Secrets, "secrets", 1, "1"),
        (SectionKind::Cpuid, "CPUID", 1, "1"),
        (SectionKind::KernelHashes, "kernel hashes", 0, "at most 1"),
    ] {
        let sizes = sections.iter().filter(|section| section.kind == kind);
        let pages = sizes.map(|section| section.size as usize / PAGE).sum::<usize>();
        if !(least..=1).contains(&pages) {
            return Err(OvmfError::SectionCount {
                kind: name,
                pages,
                expected,
            });
        }
    }
    Ok(())
}

/// Offset in the page of hashes of the table that QEMU writes there.
fn hash_table(page: &Section, base: u32, size: u32) -> Result<usize, OvmfError> {
    let offset = base.checked_sub(page.gpa).map(|offset| offset as usize);
    offset
        .filter(|offset| size as usize >= super::hashes::TABLE && offset + super::hashes::TABLE <= PAGE)
        .ok_or(OvmfError::HashTable { base, size })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
#[path = "ovmf_tests.rs"]
pub(super) mod tests;
