//! Initramfs archives: the "newc" cpio format of the kernel's `early-userspace/buffer-format`.
//!
//! The same entries give the same bytes anywhere: names are sorted, inode numbers count from one, times and owners
//! are zero, and modes follow from the kind of an entry, never from a file system.

use std::collections::BTreeMap;

use thiserror::Error;

const MAGIC: &[u8; 6] = b"070701";
const HEADER_LEN: usize = 110;
const TRAILER: &str = "TRAILER!!!";
/// Longest name, in bytes, that an archive of ours holds.
const MAX_NAME: usize = 255;
/// Archives end on this boundary, so that they can be concatenated.
const BLOCK: usize = 512;

const TYPE_MASK: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// Why an archive can't be written or read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CpioError {
    /// A name that is absolute, empty, too long, or leads outside the root.
    #[error("{0:?} can't be a name in an archive")]
    Name(String),
    /// Two entries of one name.
    #[error("{0} is in the archive twice")]
    Duplicate(String),
    /// A file inside something that isn't a directory.
    #[error("the parent of {0} is not a directory")]
    Parent(String),
    /// A file that the format's 32-bit length can't express.
    #[error("{0} is longer than 4 GiB")]
    TooLarge(String),
    /// The archive ends within an entry.
    #[error("archive ends within an entry, at byte {0}")]
    Truncated(usize),
    /// Not a header of the format.
    #[error("no cpio header at byte {0}")]
    Header(usize),
    /// A kind of entry that our archives never have.
    #[error("{name} has mode {mode:o}, which no image uses")]
    Mode {
        /// Name of the entry.
        name: String,
        /// Its mode.
        mode: u32,
    },
    /// Readable, but with other owners, times, order or padding than ours.
    #[error("archive is not in the form that jeju-image writes")]
    Form,
    /// Bytes after the end that aren't padding.
    #[error("archive is followed by other bytes, at byte {0}")]
    Trailing(usize),
}

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Mode 0755.
    Directory,
    /// Mode 0755.
    Executable(Vec<u8>),
    /// Mode 0644.
    File(Vec<u8>),
    /// Mode 0600.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

impl Entry {
    /// File type and permission bits.
    pub fn mode(&self) -> u32 {
        match self {
            Entry::Directory => DIRECTORY | 0o755,
            Entry::Executable(_) => REGULAR | 0o755,
            Entry::File(_) => REGULAR | 0o644,
            Entry::CharacterDevice { .. } => CHARACTER_DEVICE | 0o600,
        }
    }

    /// Content; empty for what has none.
    pub fn data(&self) -> &[u8] {
        match self {
            Entry::Executable(data) | Entry::File(data) => data,
            Entry::Directory | Entry::CharacterDevice { .. } => &[],
        }
    }
}

/// The entries of an archive by name, relative to the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    /// An archive with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry, and the directories above it.
    ///
    /// # Errors
    /// [`CpioError::Name`], [`CpioError::Duplicate`], [`CpioError::Parent`], [`CpioError::TooLarge`].
    pub fn insert(&mut self, name: &str, entry: Entry) -> Result<(), CpioError> {
        check_name(name)?;
        if u32::try_from(entry.data().len()).is_err() {
            return Err(CpioError::TooLarge(name.to_owned()));
        }
        for (at, _) in name.match_indices('/') {
            let parent = self
                .entries
                .entry(name[..at].to_owned())
                .or_insert(Entry::Directory);
            if *parent != Entry::Directory {
                return Err(CpioError::Parent(name.to_owned()));
            }
        }
        if self.entries.contains_key(name) {
            return Err(CpioError::Duplicate(name.to_owned()));
        }
        self.entries.insert(name.to_owned(), entry);
        Ok(())
    }

    /// The entries in the order of the archive.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The bytes, padded with zeros to a multiple of 512.
    pub fn write(&self) -> Vec<u8> {
        let length: usize = self
            .entries
            .values()
            .map(|entry| entry.data().len() + 2 * MAX_NAME)
            .sum();
        let mut out = Vec::with_capacity(length + BLOCK);
        for ((name, entry), inode) in self.entries.iter().zip(1..) {
            write_record(&mut out, inode, name, entry);
        }
        write_header(
            &mut out,
            &Header {
                links: 1,
                ..Header::default()
            },
            TRAILER,
        );
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }

    /// Reads an archive of the kind that [`Archive::write`] makes.
    ///
    /// # Errors
    /// Any of [`CpioError`]: input that this writer wouldn't make is refused.
    pub fn read(bytes: &[u8]) -> Result<Self, CpioError> {
        let mut archive = Self::new();
        let mut at = 0;
        loop {
            let record = Record::read(bytes, at)?;
            at = record.end;
            if record.name == TRAILER {
                break;
            }
            archive.insert(record.name, record.entry()?)?;
        }
        if let Some(offset) = bytes[at..].iter().position(|byte| *byte != 0) {
            return Err(CpioError::Trailing(at + offset));
        }
        // Owners, times, order: what isn't listed for an auditor can't differ either.
        if archive.write() == bytes {
            Ok(archive)
        } else {
            Err(CpioError::Form)
        }
    }
}

/// An entry as it stands in an archive, whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawEntry<'a> {
    /// Name as the archive has it.
    pub name: &'a str,
    /// File type and permission bits.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Content.
    pub data: &'a [u8],
}

impl RawEntry<'_> {
    /// Where the kernel puts it: the archive is unpacked at the root.
    pub fn path(&self) -> String {
        format!("/{}", self.name.trim_start_matches('/'))
    }
}

/// Lists an archive without asking for the form of [`Archive::write`]: for an audit, which has to name what is wrong.
///
/// # Errors
/// [`CpioError::Truncated`], [`CpioError::Header`], [`CpioError::Trailing`] for a second archive behind the first.
pub fn scan(bytes: &[u8]) -> Result<Vec<RawEntry<'_>>, CpioError> {
    let mut entries = Vec::new();
    let mut at = 0;
    loop {
        let record = Record::read(bytes, at)?;
        at = record.end;
        if record.name == TRAILER {
            break;
        }
        entries.push(RawEntry {
            name: record.name,
            mode: record.mode,
            owner: record.owner,
            device: (record.major, record.minor),
            data: record.data,
        });
    }
    match bytes[at..].iter().position(|byte| *byte != 0) {
        None => Ok(entries),
        Some(offset) => Err(CpioError::Trailing(at + offset)),
    }
}

fn check_name(name: &str) -> Result<(), CpioError> {
    let component = |part: &str| !part.is_empty() && part != "." && part != "..";
    let valid = name.len() <= MAX_NAME
        && name != TRAILER
        && name.bytes().all(|byte| byte.is_ascii_graphic())
        && name.split('/').all(component);
    if valid {
        Ok(())
    } else {
        Err(CpioError::Name(name.to_owned()))
    }
}

/// The header fields that differ between our entries; the others are zero.
#[derive(Default)]
struct Header {
    inode: u32,
    mode: u32,
    links: u32,
    length: u32,
    major: u32,
    minor: u32,
}

fn write_record(out: &mut Vec<u8>, inode: u32, name: &str, entry: &Entry) {
    let (major, minor) = match entry {
        Entry::CharacterDevice { major, minor } => (*major, *minor),
        _ => (0, 0),
    };
    let header = Header {
        inode,
        mode: entry.mode(),
        links: if *entry == Entry::Directory { 2 } else { 1 },
        length: u32::try_from(entry.data().len()).expect("insert refuses longer files"),
        major,
        minor,
    };
    write_header(out, &header, name);
    out.extend_from_slice(entry.data());
    pad(out);
}

fn write_header(out: &mut Vec<u8>, header: &Header, name: &str) {
    let name_length = u32::try_from(name.len() + 1).expect("insert refuses longer names");
    let fields = [
        header.inode,
        header.mode,
        0, // uid
        0, // gid
        header.links,
        0, // mtime
        header.length,
        0, // device major
        0, // device minor
        header.major,
        header.minor,
        name_length,
        0, // checksum, unused in this format
    ];
    out.extend_from_slice(MAGIC);
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out);
}

/// Records and their content start on multiples of four bytes.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

struct Record<'a> {
    name: &'a str,
    mode: u32,
    owner: (u32, u32),
    major: u32,
    minor: u32,
    data: &'a [u8],
    end: usize,
}

impl<'a> Record<'a> {
    fn read(bytes: &'a [u8], at: usize) -> Result<Self, CpioError> {
        let slice = |from: usize, length: usize| {
            from.checked_add(length)
                .and_then(|end| bytes.get(from..end))
                .ok_or(CpioError::Truncated(at))
        };
        let header = slice(at, HEADER_LEN)?;
        if &header[..6] != MAGIC {
            return Err(CpioError::Header(at));
        }
        let field = |index: usize| {
            let digits = &header[6 + 8 * index..14 + 8 * index];
            let text = core::str::from_utf8(digits)
                .ok()
                .filter(|text| !text.starts_with('+'));
            text.and_then(|text| u32::from_str_radix(text, 16).ok())
                .ok_or(CpioError::Header(at))
        };
        let name = slice(at + HEADER_LEN, field(11)? as usize)?;
        let name = name
            .strip_suffix(b"\0")
            .and_then(|name| core::str::from_utf8(name).ok());
        let name = name.ok_or(CpioError::Header(at))?;
        let data_at = (at + HEADER_LEN + name.len() + 1).next_multiple_of(4);
        let data = slice(data_at, field(6)? as usize)?;
        let end = (data_at + data.len()).next_multiple_of(4);
        slice(at, end - at)?;
        Ok(Self {
            name,
            mode: field(1)?,
            owner: (field(2)?, field(3)?),
            major: field(9)?,
            minor: field(10)?,
            data,
            end,
        })
    }

    fn entry(&self) -> Result<Entry, CpioError> {
        let entry = match self.mode & TYPE_MASK {
            DIRECTORY if self.data.is_empty() => Entry::Directory,
            REGULAR if self.mode & 0o111 != 0 => Entry::Executable(self.data.to_vec()),
            REGULAR => Entry::File(self.data.to_vec()),
            CHARACTER_DEVICE if self.data.is_empty() => Entry::CharacterDevice {
                major: self.major,
                minor: self.minor,
            },
            _ => {
                return Err(CpioError::Mode {
                    name: self.name.to_owned(),
                    mode: self.mode,
                });
            }
        };
        if entry.mode() == self.mode {
            Ok(entry)
        } else {
            Err(CpioError::Mode {
                name: self.name.to_owned(),
                mode: self.mode,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Archive {
        let mut archive = Archive::new();
        archive
            .insert("init", Entry::Executable(b"\x7fELF".to_vec()))
            .unwrap();
        archive
            .insert("dev/console", Entry::CharacterDevice { major: 5, minor: 1 })
            .unwrap();
        archive.insert("proc", Entry::Directory).unwrap();
        archive.insert("model/weights", Entry::File(vec![7; 5])).unwrap();
        archive
    }

    #[test]
    fn layout_is_newc() {
        let mut archive = Archive::new();
        archive
            .insert("dev/console", Entry::CharacterDevice { major: 5, minor: 1 })
            .unwrap();
        let bytes = archive.write();
        let dev = "07070100000001000041ED00000000000000000000000200000000000000000000000000000000\
                   00000000000000000000000400000000dev\0";
        assert!(bytes.starts_with(dev.as_bytes()));
        let console = &bytes[dev.len().next_multiple_of(4)..];
        let header = "07070100000002000021800000000000000000000000010000000000000000000000000000000000\
                      0000050000000100 00000C00000000dev/console\0"
            .replace(' ', "");
        assert_eq!(core::str::from_utf8(&console[..header.len()]).unwrap(), header);
        assert_eq!(bytes.len() % 512, 0);
    }

    #[test]
    fn order_of_insertion_does_not_matter() {
        let mut other = Archive::new();
        for (name, entry) in sample().entries().collect::<Vec<_>>().into_iter().rev() {
            if *entry != Entry::Directory || name == "proc" {
                other.insert(name, entry.clone()).unwrap();
            }
        }
        assert_eq!(other.write(), sample().write());
    }

    #[test]
    fn parents_come_before_their_children() {
        let archive = sample();
        let names: Vec<_> = archive.entries().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["dev", "dev/console", "init", "model", "model/weights", "proc"]
        );
    }

    #[test]
    fn reads_what_it_writes() {
        assert_eq!(Archive::read(&sample().write()).unwrap(), sample());
    }

    #[test]
    fn refuses_names_that_lead_elsewhere() {
        for name in [
            "",
            "/init",
            "a//b",
            "a/",
            "..",
            "a/../b",
            "./a",
            "a b",
            "a\0b",
            TRAILER,
            &"a".repeat(256),
        ] {
            let error = Archive::new().insert(name, Entry::Directory).unwrap_err();
            assert_eq!(error, CpioError::Name(name.to_owned()));
        }
        let mut archive = sample();
        assert_eq!(
            archive.insert("init", Entry::Directory),
            Err(CpioError::Duplicate("init".into()))
        );
        assert_eq!(
            archive.insert("init/x", Entry::Directory),
            Err(CpioError::Parent("init/x".into()))
        );
    }

    #[test]
    fn refuses_other_archives() {
        let good = sample().write();
        let end = good.iter().rposition(|byte| *byte != 0).unwrap();
        for length in 0..end {
            assert!(Archive::read(&good[..length]).is_err(), "cut to {length} bytes");
        }
        let change = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            Archive::read(&bytes).unwrap_err()
        };
        assert_eq!(change(0, b'1'), CpioError::Header(0));
        assert_eq!(change(14, b'+'), CpioError::Header(0));
        // Inode, uid, mtime and link count of the first entry.
        for at in [13, 29, 53, 45] {
            assert_eq!(change(at, b'7'), CpioError::Form);
        }
        // 0755 of the first directory becomes 0754.
        assert_eq!(
            change(21, b'C'),
            CpioError::Mode {
                name: "dev".into(),
                mode: 0o040_754
            }
        );
        assert_eq!(change(good.len() - 1, 1), CpioError::Trailing(good.len() - 1));
    }

    #[test]
    fn a_scan_lists_what_no_image_uses() {
        let mut bytes = sample().write();
        // 0755 of the first directory becomes 04755, and its owner 7.
        bytes[19] = b'9';
        bytes[29] = b'7';
        let entries = scan(&bytes).unwrap();
        assert_eq!(entries.len(), 6);
        assert_eq!(
            (entries[0].path().as_str(), entries[0].mode, entries[0].owner),
            ("/dev", 0o044_755, (7, 0))
        );
        assert_eq!(entries[1].device, (5, 1));
        bytes.extend_from_slice(b"070701");
        assert_eq!(scan(&bytes), Err(CpioError::Trailing(bytes.len() - 6)));
        let good = sample().write();
        let end = good.iter().rposition(|byte| *byte != 0).unwrap();
        for length in 0..end {
            assert!(scan(&good[..length]).is_err(), "cut to {length} bytes");
        }
    }

    #[test]
    fn lengths_of_a_hostile_header_are_bounded() {
        let mut bytes = sample().write();
        for field in [6, 11] {
            bytes[6 + 8 * field..14 + 8 * field].copy_from_slice(b"FFFFFFFF");
            assert_eq!(Archive::read(&bytes), Err(CpioError::Truncated(0)));
        }
    }
}
