//! The header, and how it agrees with the sections.

use super::{
    CRC, EifError, FLAGS_X86_64, HEADER, MAGIC, MAX_SECTIONS, OFFSETS, SECTION_HEAD, SIZES, UNUSED, VERSION,
};

/// The header, whose fixed fields are right.
pub(super) struct Header<'a> {
    bytes: &'a [u8; HEADER],
    pub(super) default_memory: u64,
    pub(super) default_cpus: u64,
    pub(super) count: u16,
    pub(super) crc: u32,
}

impl<'a> Header<'a> {
    pub(super) fn read(file: &'a [u8]) -> Result<Self, EifError> {
        let bytes: &[u8; HEADER] = file.first_chunk().ok_or(EifError::Truncated {
            what: "the header",
            at: file.len(),
        })?;
        if !bytes.starts_with(MAGIC) {
            return Err(EifError::Magic([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        let version = be(&bytes[4..6]) as u16;
        if version != VERSION {
            return Err(EifError::Version(version));
        }
        for (field, range, expected) in [
            ("flags", 6..8, u64::from(FLAGS_X86_64)),
            ("reserved field", 24..26, 0),
            ("unused field", UNUSED..CRC, 0),
        ] {
            let actual = be(&bytes[range]);
            if actual != expected {
                return Err(EifError::Header {
                    field,
                    actual,
                    expected,
                });
            }
        }
        let count = be(&bytes[26..28]) as u16;
        if !(4..=MAX_SECTIONS).contains(&usize::from(count)) {
            return Err(EifError::SectionCount(usize::from(count)));
        }
        Ok(Self {
            bytes,
            default_memory: be(&bytes[8..16]),
            default_cpus: be(&bytes[16..24]),
            count,
            crc: be(&bytes[CRC..]) as u32,
        })
    }

    /// Type and content of each section; they fill the file.
    pub(super) fn sections(&self, file: &'a [u8]) -> Result<Vec<(u16, &'a [u8])>, EifError> {
        let truncated = EifError::Truncated {
            what: "a section",
            at: file.len(),
        };
        let mut offset = HEADER;
        let mut sections = Vec::with_capacity(usize::from(self.count));
        for index in 0..usize::from(self.count) {
            let rest = &file[offset..];
            let head: &[u8; SECTION_HEAD] = rest.first_chunk().ok_or(truncated.clone())?;
            let size = be(&head[4..]);
            self.check_table(index, offset as u64, size)?;
            let flags = be(&head[2..4]) as u16;
            if flags != 0 {
                return Err(EifError::SectionFlags { index, flags });
            }
            let end = usize::try_from(size)
                .ok()
                .and_then(|size| size.checked_add(SECTION_HEAD));
            let content = end
                .and_then(|end| rest.get(SECTION_HEAD..end))
                .ok_or(truncated.clone())?;
            sections.push((be(&head[..2]) as u16, content));
            offset += SECTION_HEAD + content.len();
        }
        for index in usize::from(self.count)..MAX_SECTIONS {
            self.check_table(index, 0, 0)?;
        }
        match file.len() - offset {
            0 => Ok(sections),
            left => Err(EifError::Trailing(left)),
        }
    }

    fn check_table(&self, index: usize, offset: u64, size: u64) -> Result<(), EifError> {
        for (field, start, expected) in [("offset", OFFSETS, offset), ("size", SIZES, size)] {
            let actual = be(&self.bytes[start + 8 * index..start + 8 * index + 8]);
            if actual != expected {
                return Err(EifError::SectionTable {
                    field,
                    index,
                    actual,
                    expected,
                });
            }
        }
        Ok(())
    }
}

/// A number of at most 8 bytes.
pub(super) fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
