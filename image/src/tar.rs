//! Tar archives: what `dpkg-deb` writes is read, and archives of plain files are written.
//!
//! POSIX ustar headers and GNU's long names are known, nothing else: extended headers, sparse files and devices are
//! refused by name. Reading takes memory for one name, never for a file.

use std::io::{self, Read, Write};

use thiserror::Error;

const BLOCK: usize = 512;
/// Longest name or link target, in bytes: the system's own limit.
const MAX_NAME: u64 = 4096;
/// Where the checksum is in a header; it is taken with spaces in its place.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Why an archive can't be read or written.
#[derive(Debug, Error)]
pub enum TarError {
    /// The archive can't be read or written.
    #[error("tar: {0}")]
    Io(#[from] io::Error),
    /// The archive ends within an entry, or without an end.
    #[error("tar: archive ends at byte {0}, without an end")]
    Truncated(u64),
    /// A header's checksum doesn't fit.
    #[error("tar: no header at byte {0}")]
    Header(u64),
    /// A number of a header that isn't octal.
    #[error("tar: no number in the header at byte {0}")]
    Number(u64),
    /// A name that is no UTF-8, or holds a zero byte.
    #[error("tar: the name at byte {0} is no text")]
    Name(u64),
    /// A name longer than any path.
    #[error("tar: a name of {0} bytes, at most {MAX_NAME} are possible")]
    NameTooLong(u64),
    /// An entry that isn't a file, folder or link.
    #[error("tar: {name:?} is of type {kind:?}, which is not read")]
    Kind {
        /// Its name.
        name: String,
        /// Its type, as in the header.
        kind: char,
    },
    /// An entry without content that claims some.
    #[error("tar: {name:?} is no file and has {size} bytes")]
    Size {
        /// Its name.
        name: String,
        /// The bytes that it claims.
        size: u64,
    },
}

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name as it stands there: nothing says that it stays below the folder that it is unpacked to.
    pub name: String,
    /// Permission bits, set-user-ID and the like included.
    pub mode: u32,
    /// What it is.
    pub kind: Kind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file of this many bytes, which [`Reader`] then gives as its own.
    File(u64),
    /// A folder.
    Folder,
    /// A symbolic link with this target.
    Symlink(String),
    /// Another name of the file with this name in the archive.
    Hardlink(String),
}

/// Reads an archive, entry by entry; between entries it reads as the content of the last one.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    /// Bytes read so far.
    position: u64,
    /// Bytes of the entry's content that weren't read.
    content: u64,
    padding: u64,
}

impl<R: Read> Reader<R> {
    /// An archive from its beginning.
    pub fn new(source: R) -> Self {
        Self {
            source,
            position: 0,
            content: 0,
            padding: 0,
        }
    }

    /// The next entry, or none at the archive's end.
    ///
    /// # Errors
    /// Any of [`TarError`].
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let (mut long_name, mut long_target) = (None, None);
        loop {
            self.skip(self.content + self.padding)?;
            (self.content, self.padding) = (0, 0);
            let at = self.position;
            let mut header = [0; BLOCK];
            self.fill(&mut header)?;
            if header.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            if number(&header[CHECKSUM]) != Some(checksum(&header)) {
                return Err(TarError::Header(at));
            }
            let size = number(&header[124..136]).ok_or(TarError::Number(at))?;
            let mode = number(&header[100..108]).ok_or(TarError::Number(at))?;
            self.content = size;
            self.padding = size.next_multiple_of(BLOCK as u64) - size;
            let kind = header[156];
            if matches!(kind, b'L' | b'K') {
                let name = self.long_name(at)?;
                *(if kind == b'L' {
                    &mut long_name
                } else {
                    &mut long_target
                }) = Some(name);
                continue;
            }
            let name = match long_name {
                Some(name) => name,
                None => short_name(&header).ok_or(TarError::Name(at))?,
            };
            let target = || match long_target {
                Some(target) => Ok(target),
                None => text(&header[157..257]).ok_or(TarError::Name(at)),
            };
            let kind = match kind {
                b'0' | 0 => Kind::File(size),
                b'1' => Kind::Hardlink(target()?),
                b'2' => Kind::Symlink(target()?),
                b'5' => Kind::Folder,
                other => {
                    let kind = char::from(other);
                    return Err(TarError::Kind { name, kind });
                }
            };
            if size > 0 && !matches!(kind, Kind::File(_)) {
                return Err(TarError::Size { name, size });
            }
            // Twelve octal digits at most, of which permissions are four.
            let mode = (mode & 0o7777) as u32;
            return Ok(Some(Entry { name, mode, kind }));
        }
    }

    /// The content of a GNU entry that holds a name: text and a zero byte.
    fn long_name(&mut self, at: u64) -> Result<String, TarError> {
        if self.content > MAX_NAME {
            return Err(TarError::NameTooLong(self.content));
        }
        let mut name = vec![0; self.content as usize];
        self.content = 0;
        self.fill(&mut name)?;
        text(&name).ok_or(TarError::Name(at))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), TarError> {
        self.source
            .read_exact(buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => TarError::Truncated(self.position),
                _ => error.into(),
            })?;
        self.position += buffer.len() as u64;
        Ok(())
    }

    fn skip(&mut self, length: u64) -> Result<(), TarError> {
        let skipped = io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
        self.position += skipped;
        if skipped < length {
            return Err(TarError::Truncated(self.position));
        }
        Ok(())
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.content).map_or(buffer.len(), |content| content.min(buffer.len()));
        // Not asked for nothing: the decompressor would take it for the end of its input.
        if most == 0 {
            return Ok(0);
        }
        let read = self.source.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.content -= read as u64;
        self.position += read as u64;
        Ok(read)
    }
}

/// Appends a file: owner 0, time 0, mode 0644.
///
/// # Errors
/// [`TarError::NameTooLong`] for a name of more than 100 bytes, [`TarError::Size`] for 8 GiB and more,
/// [`TarError::Truncated`] for content of another length than said, [`TarError::Io`].
pub fn append(archive: &mut impl Write, name: &str, size: u64, content: impl Read) -> Result<(), TarError> {
    let mut header = [0; BLOCK];
    if name.len() > 100 {
        return Err(TarError::NameTooLong(name.len() as u64));
    }
    if size >= 1 << 33 {
        let name = name.to_owned();
        return Err(TarError::Size { name, size });
    }
    let length = format!("{size:011o}\0");
    let fields: [(usize, &[u8]); 8] = [
        (0, name.as_bytes()),
        (100, b"0000644\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, length.as_bytes()),
        (136, b"00000000000\0"),
        (156, b"0"),
        (257, b"ustar\x0000"),
    ];
    for (at, field) in fields {
        header[at..at + field.len()].copy_from_slice(field);
    }
    let sum = checksum(&header);
    header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.write_all(&header)?;
    let copied = io::copy(&mut content.take(size), archive)?;
    if copied < size {
        return Err(TarError::Truncated(copied));
    }
    let padding = size.next_multiple_of(BLOCK as u64) - size;
    archive.write_all(&[0; BLOCK][..padding as usize])?;
    Ok(())
}

/// Ends an archive.
///
/// # Errors
/// [`TarError::Io`].
pub fn finish(archive: &mut impl Write) -> Result<(), TarError> {
    Ok(archive.write_all(&[0; 2 * BLOCK])?)
}

fn checksum(header: &[u8; BLOCK]) -> u64 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    sum(header) - sum(&header[CHECKSUM]) + CHECKSUM.len() as u64 * u64::from(b' ')
}

/// Octal digits, with spaces before and a space or zero byte behind them.
fn number(field: &[u8]) -> Option<u64> {
    let digits = field.trim_ascii_start();
    let end = digits
        .iter()
        .position(|byte| matches!(byte, 0 | b' '))
        .unwrap_or(digits.len());
    // Of twelve digits: no overflow.
    digits[..end].iter().try_fold(0, |value, digit| match digit {
        b'0'..=b'7' => Some(value << 3 | u64::from(digit - b'0')),
        _ => None,
    })
}

/// Text up to the first zero byte, and nothing behind it.
fn text(field: &[u8]) -> Option<String> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let rest = field[end..].iter().all(|byte| *byte == 0);
    rest.then(|| String::from_utf8(field[..end].to_vec()).ok())
        .flatten()
}

fn short_name(header: &[u8; BLOCK]) -> Option<String> {
    let name = text(&header[..100])?;
    // GNU's old format has other things where ustar has a prefix.
    let prefix = if &header[257..263] == b"ustar\0" {
        text(&header[345..500])?
    } else {
        String::new()
    };
    Some(if prefix.is_empty() {
        name
    } else {
        format!("{prefix}/{name}")
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    /// A header of any type, as a hostile archive would have it.
    pub fn header(name: &str, kind: u8, target: &str, size: u64) -> Vec<u8> {
        let mut archive = Vec::new();
        append(&mut archive, name, 0, io::empty()).unwrap();
        archive[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        archive[156] = kind;
        archive[157..157 + target.len()].copy_from_slice(target.as_bytes());
        let header: [u8; BLOCK] = archive.try_into().unwrap();
        let sum = checksum(&header);
        let mut header = header.to_vec();
        header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header
    }

    fn all(archive: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
        let mut reader = Reader::new(archive);
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            let mut content = Vec::new();
            reader.read_to_end(&mut content)?;
            entries.push((entry, content));
        }
        Ok(entries)
    }

    #[test]
    fn reads_what_gnu_tar_writes() {
        let folder = tempfile::tempdir().unwrap();
        let long = format!("{}/{}", "d".repeat(90), "f".repeat(120));
        fs::create_dir_all(folder.path().join(&long).parent().unwrap()).unwrap();
        fs::write(folder.path().join(&long), [7; 1000]).unwrap();
        fs::write(folder.path().join("a"), b"content").unwrap();
        fs::hard_link(folder.path().join("a"), folder.path().join("b")).unwrap();
        symlink("t".repeat(200), folder.path().join("c")).unwrap();
        let output = Command::new("tar")
            .args(["--format=gnu", "--sort=name", "-cf", "-", "."])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let entries = all(&output.stdout).unwrap();
        let found: Vec<_> = entries
            .iter()
            .map(|(entry, content)| (&*entry.name, entry.kind.clone(), content.len()))
            .collect();
        let long = format!("./{long}");
        let parent = format!("./{}/", "d".repeat(90));
        assert_eq!(
            found,
            [
                ("./", Kind::Folder, 0),
                ("./a", Kind::File(7), 7),
                ("./b", Kind::Hardlink("./a".to_owned()), 0),
                ("./c", Kind::Symlink("t".repeat(200)), 0),
                (&parent, Kind::Folder, 0),
                (&long, Kind::File(1000), 1000),
            ]
        );
    }

    #[test]
    fn gnu_tar_reads_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = Vec::new();
        append(&mut archive, "x/one", 3, &b"one"[..]).unwrap();
        append(&mut archive, "x/two", 600, &[2; 600][..]).unwrap();
        finish(&mut archive).unwrap();
        let path = folder.path().join("a.tar");
        fs::write(&path, &archive).unwrap();
        let status = Command::new("tar")
            .arg("-xf")
            .arg(&path)
            .current_dir(folder.path())
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(fs::read(folder.path().join("x/one")).unwrap(), b"one");
        assert_eq!(fs::read(folder.path().join("x/two")).unwrap(), [2; 600]);
        assert_eq!(all(&archive).unwrap().len(), 2);
    }

    #[test]
    fn truncated_and_altered_archives_end_in_an_error_or_an_entry() {
        let mut archive = header("n", b'L', "", 200);
        archive.extend([b'n'; 200]);
        archive.extend([0; 312]);
        archive.extend(header("short", b'0', "", 3));
        archive.extend(b"abc");
        archive.extend([0; 509]);
        finish(&mut archive).unwrap();
        assert_eq!(all(&archive).unwrap()[0].0.name, "n".repeat(200));
        for end in 0..archive.len() - BLOCK {
            assert!(all(&archive[..end]).is_err(), "{end}");
        }
        for at in 0..archive.len() {
            for bit in [0, 3, 7] {
                let mut archive = archive.clone();
                archive[at] ^= 1 << bit;
                let _ = all(&archive);
            }
        }
    }

    #[test]
    fn other_kinds_are_refused() {
        for kind in *b"3467xgSDMV" {
            let archive = header("n", kind, "", 0);
            assert!(matches!(all(&archive), Err(TarError::Kind { .. })), "{kind}");
        }
        assert!(matches!(
            all(&header("n", b'L', "", 4097)),
            Err(TarError::NameTooLong(4097))
        ));
        assert!(matches!(
            all(&header("n", b'5', "", 1)),
            Err(TarError::Size { .. })
        ));
        let largest = header("n", b'0', "", (1 << 33) - 1);
        assert!(all(&largest).is_err());
    }

    #[test]
    fn content_must_be_as_long_as_said() {
        let mut archive = Vec::new();
        assert!(matches!(
            append(&mut archive, "a", 4, &b"abc"[..]),
            Err(TarError::Truncated(3))
        ));
        assert!(matches!(
            append(&mut archive, &"a".repeat(101), 0, io::empty()),
            Err(TarError::NameTooLong(101))
        ));
    }
}
