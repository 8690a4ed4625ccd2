//! A file's attributes, as version 3 carries them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use super::packet::{Fields, Status};

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const MODE: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 0x8000_0000;
/// Most extended attributes that are passed over.
const MAX_EXTENDED: u32 = 64;

/// What is said about a file, or is to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// In bytes.
    pub(super) size: Option<u64>,
    /// User and group.
    pub(super) owner: Option<(u32, u32)>,
    /// Type and permissions.
    pub(super) mode: Option<u32>,
    /// Of the last access and change, in seconds since 1970.
    pub(super) times: Option<(u32, u32)>,
}

impl Attributes {
    pub(super) fn of(found: &Metadata) -> Self {
        let seconds = |time: i64| u32::try_from(time.max(0)).unwrap_or(u32::MAX);
        Attributes {
            size: Some(found.size()),
            owner: Some((found.uid(), found.gid())),
            mode: Some(found.mode()),
            times: Some((seconds(found.atime()), seconds(found.mtime()))),
        }
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, Status> {
        let flags = fields.u32()?;
        let mut found = Attributes::default();
        if flags & SIZE != 0 {
            found.size = Some(fields.u64()?);
        }
        if flags & OWNER != 0 {
            found.owner = Some((fields.u32()?, fields.u32()?));
        }
        if flags & MODE != 0 {
            found.mode = Some(fields.u32()?);
        }
        if flags & TIMES != 0 {
            found.times = Some((fields.u32()?, fields.u32()?));
        }
        if flags & EXTENDED != 0 {
            let count = fields.u32()?;
            if count > MAX_EXTENDED {
                return Err(Status::malformed());
            }
            for _ in 0..count {
                fields.string()?;
                fields.string()?;
            }
        }
        Ok(found)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let flags = [
            (self.size.is_some(), SIZE),
            (self.owner.is_some(), OWNER),
            (self.mode.is_some(), MODE),
            (self.times.is_some(), TIMES),
        ];
        let flags: u32 = flags
            .iter()
            .filter(|(there, _)| *there)
            .map(|(_, flag)| flag)
            .sum();
        out.extend(flags.to_be_bytes());
        if let Some(size) = self.size {
            out.extend(size.to_be_bytes());
        }
        for (first, second) in [self.owner].into_iter().flatten() {
            out.extend([first.to_be_bytes(), second.to_be_bytes()].concat());
        }
        if let Some(mode) = self.mode {
            out.extend(mode.to_be_bytes());
        }
        for (first, second) in [self.times].into_iter().flatten() {
            out.extend([first.to_be_bytes(), second.to_be_bytes()].concat());
        }
    }
}
