//! The archive that is unpacked in a container before it starts: POSIX ustar, files and directories under `.jeju/`.
//!
//! [`parse`] takes what [`encode`] writes and nothing else: no links, devices, extended headers, owners or other
//! places, which an unpacker on the host might follow.

use super::Refusal;

/// Longest archive in bytes.
pub const MAX_ARCHIVE: usize = 8 << 20;
/// Most entries of an archive.
pub const MAX_ENTRIES: usize = 16;

const BLOCK: usize = 512;
const ROOT: &str = ".jeju";
/// An archive ends in two empty blocks.
const END: usize = 2 * BLOCK;

/// A file or a directory of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Path without leading or trailing slash: `.jeju`, or below it at most three names of `[A-Za-z0-9_-]` and dots,
    /// not in front.
    pub path: &'a str,
    /// Permission bits, at most 0o777.
    pub mode: u32,
    /// A file's bytes; `None` for a directory.
    pub content: Option<&'a [u8]>,
}

/// Writes an archive. All in it belongs to root and dates from 1970.
///
/// # Errors
/// [`Refusal`] for entries that [`parse`] doesn't take.
pub fn encode(entries: &[Entry<'_>]) -> Result<Vec<u8>, Refusal> {
    if entries.is_empty() || entries.len() > MAX_ENTRIES {
        return Err(Refusal::archive(format!(
            "an archive has 1 to {MAX_ENTRIES} entries"
        )));
    }
    let padded = |entry: &Entry<'_>| {
        BLOCK
            + entry
                .content
                .map_or(0, |content| content.len().next_multiple_of(BLOCK))
    };
    let total = entries.iter().map(padded).sum::<usize>() + END;
    if total > MAX_ARCHIVE {
        return Err(Refusal::too_large(MAX_ARCHIVE));
    }
    let mut archive = Vec::with_capacity(total);
    for entry in entries {
        entry.check()?;
        archive.extend_from_slice(&entry.header());
        archive.extend_from_slice(entry.content.unwrap_or_default());
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(total, 0);
    Ok(archive)
}

/// Reads an archive.
///
/// # Errors
/// [`Refusal`] with code `docker_archive_not_allowed`, or `docker_body_too_large` over [`MAX_ARCHIVE`].
pub fn parse(archive: &[u8]) -> Result<Vec<Entry<'_>>, Refusal> {
    if archive.len() > MAX_ARCHIVE {
        return Err(Refusal::too_large(MAX_ARCHIVE));
    }
    let mut entries = Vec::new();
    let mut rest = archive;
    loop {
        let (header, behind) = take(rest, BLOCK)?;
        if header.iter().all(|byte| *byte == 0) {
            if entries.is_empty() || behind.len() != BLOCK || behind.iter().any(|byte| *byte != 0) {
                return Err(Refusal::archive(
                    "an archive has entries, then two empty blocks, then nothing",
                ));
            }
            return Ok(entries);
        }
        if entries.len() == MAX_ENTRIES {
            return Err(Refusal::archive(format!(
                "an archive has at most {MAX_ENTRIES} entries"
            )));
        }
        let (entry, behind) = Entry::parse(header, behind)?;
        entries.push(entry);
        rest = behind;
    }
}

impl<'a> Entry<'a> {
    fn check(&self) -> Result<(), Refusal> {
        let name = |name: &str| {
            let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            (1..=32).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(word)
        };
        let mut parts = self.path.split('/');
        let below = parts.next() == Some(ROOT) && parts.clone().count() <= 3 && parts.all(name);
        if !below || (self.path == ROOT && self.content.is_some()) {
            return Err(Refusal::archive("an archive has entries under .jeju/ only"));
        }
        match self.mode <= 0o777 {
            true => Ok(()),
            false => Err(Refusal::archive("an entry has other mode bits than permissions")),
        }
    }

    /// POSIX.1-1988 `ustar` header (POSIX pax, "ustar Interchange Format").
    fn header(&self) -> [u8; BLOCK] {
        let mut header = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, self.path.as_bytes());
        if self.content.is_none() {
            put(self.path.len(), b"/");
        }
        put(100, format!("{:07o}", self.mode).as_bytes());
        put(108, b"0000000");
        put(116, b"0000000");
        put(
            124,
            format!("{:011o}", self.content.map_or(0, <[u8]>::len)).as_bytes(),
        );
        put(136, b"00000000000");
        put(148, b"        ");
        put(156, if self.content.is_some() { b"0" } else { b"5" });
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header
    }

    /// The entry of a header, and what is behind its content.
    fn parse(header: &'a [u8], behind: &'a [u8]) -> Result<(Self, &'a [u8]), Refusal> {
        let malformed = || Refusal::archive("a header is none of a file or directory of ours");
        let text = |from: usize, to: usize| {
            let field = header.get(from..to)?;
            let end = field.iter().position(|byte| *byte == 0)?;
            std::str::from_utf8(&field[..end]).ok()
        };
        let octal = |from, to| {
            text(from, to)
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| usize::from_str_radix(digits, 8).ok())
        };
        let path = text(0, 100).ok_or_else(malformed)?;
        let mode = octal(100, 108).ok_or_else(malformed)?;
        let size = octal(124, 136).ok_or_else(malformed)?;
        let (path, content, behind) = match path.strip_suffix('/') {
            Some(path) => (path, None, behind),
            None => {
                let (padded, behind) = take(behind, size.next_multiple_of(BLOCK))?;
                let (content, padding) = take(padded, size)?;
                if padding.iter().any(|byte| *byte != 0) {
                    return Err(malformed());
                }
                (path, Some(content), behind)
            }
        };
        let mode = u32::try_from(mode).map_err(|_| malformed())?;
        let entry = Self { path, mode, content };
        entry.check()?;
        // Every field that isn't read above, the type and the checksum among them, is as we write it.
        match entry.header() == header {
            true => Ok((entry, behind)),
            false => Err(malformed()),
        }
    }
}

fn take(bytes: &[u8], count: usize) -> Result<(&[u8], &[u8]), Refusal> {
    bytes
        .split_at_checked(count)
        .ok_or_else(|| Refusal::archive("the archive ends early"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> Vec<u8> {
        encode(&[
            Entry {
                path: ".jeju",
                mode: 0o755,
                content: None,
            },
            Entry {
                path: ".jeju/state",
                mode: 0o700,
                content: None,
            },
            Entry {
                path: ".jeju/agent",
                mode: 0o755,
                content: Some(&[7; 1500]),
            },
            Entry {
                path: ".jeju/script",
                mode: 0o700,
                content: Some(b""),
            },
        ])
        .unwrap()
    }

    /// An archive of one header, whose checksum fits whatever it says.
    fn with_header(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut archive = encode(&[Entry {
            path: ".jeju/agent",
            mode: 0o755,
            content: Some(b"x"),
        }])
        .unwrap();
        change(&mut archive[..BLOCK]);
        archive[148..156].copy_from_slice(b"        ");
        let sum: u32 = archive[..BLOCK].iter().map(|byte| u32::from(*byte)).sum();
        archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive
    }

    fn put(header: &mut [u8], at: usize, bytes: &[u8]) {
        header[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn refused(archive: &[u8]) {
        assert_eq!(parse(archive).unwrap_err().code, "docker_archive_not_allowed");
    }

    #[test]
    fn archives_round_trip() {
        let archive = valid();
        let entries = parse(&archive).unwrap();
        assert_eq!(entries.len(), 4);
        assert_eq!(entries[2].content, Some(&[7; 1500][..]));
        assert_eq!(encode(&entries).unwrap(), archive);
        assert!(parse(&with_header(|_| {})).is_ok());
    }

    #[test]
    fn gnu_tar_reads_what_is_written() {
        use std::io::Write;
        let mut tar = std::process::Command::new("tar")
            .args(["--list", "--verbose", "--numeric-owner", "--file", "-"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(&valid()).unwrap();
        let listed = tar.wait_with_output().unwrap();
        assert!(listed.status.success());
        let listed = String::from_utf8(listed.stdout).unwrap();
        let lines: Vec<Vec<&str>> = listed
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let seen: Vec<_> = lines
            .iter()
            .map(|line| (line[0], line[1], line[2], line[5]))
            .collect();
        assert_eq!(
            seen,
            [
                ("drwxr-xr-x", "0/0", "0", ".jeju/"),
                ("drwx------", "0/0", "0", ".jeju/state/"),
                ("-rwxr-xr-x", "0/0", "1500", ".jeju/agent"),
                ("-rwx------", "0/0", "0", ".jeju/script"),
            ]
        );
    }

    #[test]
    fn only_plain_files_and_directories_are_taken() {
        // Hard link, symbolic link, devices, FIFO, contiguous file, pax, GNU long names, sparse, volume label, old file.
        for kind in *b"1234567xgLKSMVDN\0" {
            refused(&with_header(|header| header[156] = kind));
        }
        // A link's target on a file.
        refused(&with_header(|header| put(header, 157, b"/etc/passwd")));
        // Directory by type, file by name, and the other way round.
        refused(&with_header(|header| header[156] = b'5'));
        refused(&with_header(|header| put(header, 0, b".jeju/agent/")));
    }

    #[test]
    fn no_path_leaves_the_folder() {
        for path in [
            "agent",
            "/.jeju/a",
            "./.jeju/a",
            ".jeju/../a",
            ".jeju//a",
            ".jeju/.",
            ".jeju/..",
            ".jeju/.hidden",
            ".jejux/a",
            ".JEJU/a",
            "",
            ".jeju/a/b/c/d",
            ".jeju/a b",
            ".jeju/a\n",
            ".jeju/\u{e9}",
            ".jeju/a\\b",
        ] {
            refused(&with_header(|header| {
                header[..100].fill(0);
                put(header, 0, path.as_bytes());
            }));
            assert!(
                encode(&[Entry {
                    path,
                    mode: 0o644,
                    content: Some(b"")
                }])
                .is_err(),
                "{path:?}"
            );
        }
        // The prefix field puts more in front.
        refused(&with_header(|header| put(header, 345, b"etc")));
        // A file in place of the folder; a path without end.
        assert!(
            encode(&[Entry {
                path: ".jeju",
                mode: 0o644,
                content: Some(b"")
            }])
            .is_err()
        );
        refused(&with_header(|header| header[..100].fill(b'a')));
    }

    #[test]
    fn numbers_owners_and_modes_are_ours() {
        for (at, bytes) in [
            (100, &b"0004755"[..]),
            (100, b"0002755"),
            (100, b"0001777"),
            (100, b"    755"),
            (100, b"-000755"),
            (100, b"0000855"),
            (108, b"0001750"),
            (116, b"0000001"),
            (124, b"-0000000001"),
            (124, b"+0000000001"),
            (124, b"77777777777"),
            (124, b"\x80\0\0\0\0\0\0\0\0\0\x01"),
            (124, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            (136, b"00000000001"),
            (257, b"ustar  \0"),
            (257, b"\0\0\0\0\0\0\0\0"),
            (265, b"root"),
            (297, b"root"),
            (329, b"0000001"),
            (337, b"0000001"),
            (508, b"tar\0"),
        ] {
            refused(&with_header(|header| put(header, at, bytes)));
        }
        let mut unsummed = valid();
        unsummed[148] ^= 1;
        refused(&unsummed);
    }

    #[test]
    fn an_archive_is_whole_and_bounded() {
        let archive = valid();
        for len in 0..archive.len() {
            refused(&archive[..len]);
        }
        refused(&[archive.clone(), vec![0; BLOCK]].concat());
        refused(&[archive.clone(), archive.clone()].concat());
        refused(&[archive.clone(), vec![1]].concat());
        refused(&[0; END]);
        refused(
            &with_header(|_| {})
                .into_iter()
                .enumerate()
                .map(|(at, byte)| if at == BLOCK + 9 { 1 } else { byte })
                .collect::<Vec<_>>(),
        );
        let file = Entry {
            path: ".jeju/a",
            mode: 0o644,
            content: Some(&[]),
        };
        assert!(encode(&vec![file.clone(); MAX_ENTRIES]).is_ok());
        assert!(encode(&vec![file.clone(); MAX_ENTRIES + 1]).is_err());
        let header = encode(&[file]).unwrap()[..BLOCK].to_vec();
        refused(&[header.repeat(MAX_ENTRIES + 1), vec![0; END]].concat());
        let large = vec![0; MAX_ARCHIVE];
        let code = |outcome: Result<(), Refusal>| outcome.unwrap_err().code;
        let too_large = Entry {
            path: ".jeju/a",
            mode: 0o644,
            content: Some(&large),
        };
        assert_eq!(code(encode(&[too_large]).map(|_| ())), "docker_body_too_large");
        assert_eq!(
            code(parse(&vec![0; MAX_ARCHIVE + 1]).map(|_| ())),
            "docker_body_too_large"
        );
    }
}
