//! The table by which a firmware tells its launcher what goes where (*Intel TDX Virtual Firmware Design Guide*, §11
//! "TDVF Metadata").
//!
//! It is found from the end of the file: 32 bytes of reset vector, before them a table of GUIDs that grows downwards, in
//! it the offset of the metadata. All of it is checked before any of it is used, and more strictly than a launcher does:
//! what isn't a plain firmware has no digest here.

use std::ops::Range;

use thiserror::Error;

/// Largest firmware that is read, in bytes.
pub const MAX_FIRMWARE: usize = 64 << 20;
/// Most sections.
pub const MAX_SECTIONS: usize = 64;
/// Most memory that all sections together may describe, in bytes: each page of it is hashed.
pub const MAX_MEMORY: u64 = 256 << 20;
/// Size of a page, in bytes.
pub const PAGE: u64 = 4096;

/// Why a firmware can't be measured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// Its length.
    #[error("a firmware of {0} bytes: it must be whole pages, of at most {MAX_FIRMWARE} bytes")]
    Len(usize),
    /// There is no table of GUIDs before the reset vector.
    #[error("the firmware has no table of GUIDs before its reset vector")]
    NoTable,
    /// The table or an entry says that it is longer or shorter than it can be.
    #[error("the firmware's table of GUIDs has {left} bytes left, and an entry of {len}")]
    TableEntry {
        /// Length that the entry says it has, in bytes.
        len: usize,
        /// What is left for it, in bytes.
        left: usize,
    },
    /// The firmware isn't one for TDX.
    #[error("the firmware's table has no entry for TDX metadata")]
    NoMetadata,
    /// Two entries, or one of another length.
    #[error(
        "the firmware's table has {count} entries for TDX metadata, the last of {len} bytes: expected one of 4"
    )]
    MetadataEntry {
        /// How many.
        count: usize,
        /// Length of the last one's data, in bytes.
        len: usize,
    },
    /// The descriptor lies outside the firmware.
    #[error("the firmware's TDX metadata is said to lie {0} bytes before its end")]
    Offset(u32),
    /// Signature, version, length and count don't fit.
    #[error("the TDX metadata's {what} is {found:#x}, expected {expected:#x}")]
    Descriptor {
        /// Which field.
        what: &'static str,
        /// What it holds.
        found: u32,
        /// What it must hold.
        expected: u32,
    },
    /// None, or too many.
    #[error("the TDX metadata has {0} sections, expected 1 to {MAX_SECTIONS}")]
    SectionCount(u32),
    /// A section's type isn't known.
    #[error("section {index} of the TDX metadata has type {found}, which is not known")]
    SectionType {
        /// Which section, from 0.
        index: usize,
        /// Its type.
        found: u32,
    },
    /// A section's attributes aren't those that its type may have.
    #[error("section {index} of the TDX metadata ({kind:?}) has attributes {found:#x}")]
    Attributes {
        /// Which section, from 0.
        index: usize,
        /// Its type.
        kind: SectionType,
        /// Its attributes.
        found: u32,
    },
    /// A section doesn't lie on whole pages, is empty, or has bytes that it may not have.
    #[error("section {index} of the TDX metadata ({kind:?}): {problem}")]
    Section {
        /// Which section, from 0.
        index: usize,
        /// Its type.
        kind: SectionType,
        /// What is wrong.
        problem: &'static str,
    },
    /// Two sections share memory.
    #[error("sections {0} and {1} of the TDX metadata overlap in memory")]
    Overlap(usize, usize),
    /// Too much memory.
    #[error("the TDX metadata describes {0} bytes of memory, more than {MAX_MEMORY}")]
    Memory(u64),
    /// A launch needs it, or only one of it.
    #[error("the TDX metadata has {count} sections of type {kind:?}, expected {expected}")]
    Count {
        /// Type.
        kind: SectionType,
        /// How many there are.
        count: usize,
        /// How many there must be.
        expected: &'static str,
    },
}

/// What a section is (design guide, table "TDVF Section Types").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SectionType {
    /// 0: boot firmware volume, the code.
    Bfv,
    /// 1: configuration firmware volume, the variables.
    Cfv,
    /// 2: where the launcher puts the list of memory.
    TdHob,
    /// 3: memory that is there from the start, for stack and heap.
    TempMem,
    /// 4: memory that stays.
    PermMem,
    /// 5: a kernel that comes with the firmware.
    Payload,
    /// 6: its parameters.
    PayloadParam,
}

impl SectionType {
    fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Bfv,
            1 => Self::Cfv,
            2 => Self::TdHob,
            3 => Self::TempMem,
            4 => Self::PermMem,
            5 => Self::Payload,
            6 => Self::PayloadParam,
            _ => return None,
        })
    }

    /// Whether sections of this type have bytes in the file.
    fn has_data(self) -> bool {
        matches!(self, Self::Bfv | Self::Cfv | Self::Payload)
    }
}

/// A section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it is.
    pub kind: SectionType,
    /// Its bytes in the file; empty where it has none.
    pub data: Range<usize>,
    /// Guest physical address, whole pages.
    pub address: u64,
    /// Length in memory, whole pages, in bytes; behind the data come zeros.
    pub len: u64,
    /// MR.EXTEND: its content is measured in MRTD.
    pub extended: bool,
    /// PAGE.AUG: it is added after the launch, and not measured at all.
    pub added_later: bool,
}

/// A firmware's sections, in the order of its table, which is the order of measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    sections: Vec<Section>,
}

impl Metadata {
    /// Reads and checks the metadata of a firmware file.
    ///
    /// # Errors
    /// See [`MetadataError`].
    pub fn parse(firmware: &[u8]) -> Result<Self, MetadataError> {
        let len = firmware.len();
        if len > MAX_FIRMWARE || len == 0 || !(len as u64).is_multiple_of(PAGE) {
            return Err(MetadataError::Len(len));
        }
        let offset = metadata_offset(firmware)?;
        let from = len
            .checked_sub(offset as usize)
            .ok_or(MetadataError::Offset(offset))?;
        let table = &firmware[from..];
        let header = table.get(..HEADER).ok_or(MetadataError::Offset(offset))?;
        let count = u32_at(header, 12);
        if count == 0 || count as usize > MAX_SECTIONS {
            return Err(MetadataError::SectionCount(count));
        }
        let table_len = HEADER + SECTION * count as usize;
        for (what, at, expected) in [
            ("signature", 0, SIGNATURE),
            ("version", 8, 1),
            ("length", 4, table_len as u32),
        ] {
            let found = u32_at(header, at);
            if found != expected {
                return Err(MetadataError::Descriptor {
                    what,
                    found,
                    expected,
                });
            }
        }
        let sections = table
            .get(HEADER..table_len)
            .ok_or(MetadataError::Offset(offset))?
            .chunks_exact(SECTION)
            .enumerate()
            .map(|(index, bytes)| section(index, bytes, len))
            .collect::<Result<Vec<_>, _>>()?;
        check(&sections)?;
        Ok(Self { sections })
    }

    /// The sections.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The only section of a type, if there is one.
    pub fn section(&self, kind: SectionType) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind == kind)
    }
}

const RESET_VECTOR: usize = 32;
const GUID: usize = 16;
/// 96b582de-1fb2-45f7-baea-a366c55a082d: the table's own entry, its last.
const TABLE_GUID: [u8; GUID] = [
    0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d,
];
/// e47a6535-984a-4798-865e-4685a7bf8ec2: offset of the TDX metadata from the file's end.
const METADATA_GUID: [u8; GUID] = [
    0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47, 0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2,
];
/// Length and GUID, behind an entry's data.
const ENTRY: usize = 2 + GUID;
const SIGNATURE: u32 = u32::from_le_bytes(*b"TDVF");
/// Signature, length, version, number of sections.
const HEADER: usize = 16;
const SECTION: usize = 32;
const MR_EXTEND: u32 = 1;
const PAGE_AUG: u32 = 2;

/// Walks the table of GUIDs from its end. An entry is its data, its length (2 bytes, all of it), its GUID.
fn metadata_offset(firmware: &[u8]) -> Result<u32, MetadataError> {
    let (rest, _) = firmware
        .split_last_chunk::<RESET_VECTOR>()
        .ok_or(MetadataError::NoTable)?;
    let (rest, len) = entry(rest)
        .filter(|(_, _, guid)| *guid == TABLE_GUID)
        .map(|(rest, len, _)| (rest, len))
        .ok_or(MetadataError::NoTable)?;
    let bad = |len, left| MetadataError::TableEntry { len, left };
    let entries = len
        .checked_sub(ENTRY)
        .and_then(|len| rest.len().checked_sub(len))
        .ok_or(bad(len, rest.len()))?;
    let mut table = &rest[entries..];
    let (mut found, mut count) = (None, 0);
    while !table.is_empty() {
        let (rest, len, guid) = entry(table).ok_or(bad(ENTRY, table.len()))?;
        let data = len
            .checked_sub(ENTRY)
            .and_then(|data| rest.len().checked_sub(data))
            .ok_or(bad(len, table.len()))?;
        if guid == METADATA_GUID {
            found = Some(&rest[data..]);
            count += 1;
        }
        table = &rest[..data];
    }
    match (found, count) {
        (None, _) => Err(MetadataError::NoMetadata),
        (Some([a, b, c, d]), 1) => Ok(u32::from_le_bytes([*a, *b, *c, *d])),
        (Some(data), _) => Err(MetadataError::MetadataEntry {
            count,
            len: data.len(),
        }),
    }
}

/// What lies before length and GUID of the last entry, and these two.
fn entry(table: &[u8]) -> Option<(&[u8], usize, [u8; GUID])> {
    let (rest, guid) = table.split_last_chunk::<GUID>()?;
    let (rest, len) = rest.split_last_chunk::<2>()?;
    Some((rest, usize::from(u16::from_le_bytes(*len)), *guid))
}

fn section(index: usize, bytes: &[u8], firmware_len: usize) -> Result<Section, MetadataError> {
    let (offset, data_len) = (u32_at(bytes, 0) as usize, u32_at(bytes, 4) as usize);
    let (address, len) = (u64_at(bytes, 8), u64_at(bytes, 16));
    let (number, attributes) = (u32_at(bytes, 24), u32_at(bytes, 28));
    let kind = SectionType::of(number).ok_or(MetadataError::SectionType { index, found: number })?;
    let (extended, added_later) = (attributes & MR_EXTEND != 0, attributes & PAGE_AUG != 0);
    // A page that is added after the launch can't be measured in it; only memory may come that late, and memory alone
    // has nothing to measure.
    let fits = match kind {
        SectionType::Bfv | SectionType::Payload => !added_later,
        SectionType::PermMem => !extended,
        _ => attributes == 0,
    };
    if attributes & !(MR_EXTEND | PAGE_AUG) != 0 || !fits {
        let found = attributes;
        return Err(MetadataError::Attributes { index, kind, found });
    }
    let bad = |problem| MetadataError::Section { index, kind, problem };
    if !address.is_multiple_of(PAGE) || !len.is_multiple_of(PAGE) || len == 0 {
        return Err(bad("its memory isn't whole pages"));
    }
    // 52 bits of physical address.
    if address.checked_add(len).is_none_or(|end| end > 1 << 52) {
        return Err(bad("its memory ends beyond 2^52"));
    }
    let data = match offset.checked_add(data_len) {
        Some(end) if end <= firmware_len => offset..end,
        _ => return Err(bad("its data ends behind the file")),
    };
    match (kind.has_data(), data_len) {
        (false, 0) | (true, 1..) => {}
        (false, _) => return Err(bad("it has data, and may not")),
        (true, 0) => return Err(bad("it has no data")),
    }
    // So that a page is data or zeros, and what is measured is all that is there.
    if kind.has_data() && data_len as u64 != len {
        return Err(bad("its data is not as long as its memory"));
    }
    Ok(Section {
        kind,
        data,
        address,
        len,
        extended,
        added_later,
    })
}

fn check(sections: &[Section]) -> Result<(), MetadataError> {
    let memory: u64 = sections
        .iter()
        .fold(0, |sum: u64, section| sum.saturating_add(section.len));
    if memory > MAX_MEMORY {
        return Err(MetadataError::Memory(memory));
    }
    for (second, section) in sections.iter().enumerate() {
        let apart = |other: &Section| {
            other.address + other.len <= section.address || section.address + section.len <= other.address
        };
        if let Some(first) = sections[..second].iter().position(|other| !apart(other)) {
            return Err(MetadataError::Overlap(first, second));
        }
    }
    let count = |kind| sections.iter().filter(|section| section.kind == kind).count();
    for (kind, expected, allowed) in [
        (SectionType::Bfv, "at least one", 1..=MAX_SECTIONS),
        (SectionType::Cfv, "at most one", 0..=1),
        (SectionType::TdHob, "one", 1..=1),
    ] {
        let count = count(kind);
        if !allowed.contains(&count) {
            return Err(MetadataError::Count {
                kind,
                count,
                expected,
            });
        }
    }
    // An unmeasured boot volume would be whatever the host likes.
    let unmeasured = |section: &Section| section.kind == SectionType::Bfv && !section.extended;
    match sections.iter().position(unmeasured) {
        None => Ok(()),
        Some(index) => Err(MetadataError::Section {
            index,
            kind: SectionType::Bfv,
            problem: "it is not measured",
        }),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
