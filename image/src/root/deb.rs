//! Debian packages (deb(5)): an `ar` archive of `debian-binary`, a control archive and a data archive.
//!
//! The data archive alone is read: a root runs no maintainer scripts.

use std::io::{self, BufReader, Read, Take};

use lzma_rust2::XzReader;
use thiserror::Error;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const VERSION: &[u8] = b"2.0\n";
/// Length of a member's header, in bytes.
const HEADER_LEN: usize = 60;
/// Most memory that a decompressor may take, in KiB. Packages use windows of up to 64 MiB.
const XZ_MEMORY: u32 = 192 << 10;
const ZSTD_WINDOW_LOG: u32 = 27;

/// Why a package can't be read.
#[derive(Debug, Error)]
pub enum DebError {
    /// The file can't be read, or ends too early.
    #[error("package: {0}")]
    Io(#[from] io::Error),
    /// No `ar` archive.
    #[error("package does not begin as an ar archive")]
    Magic,
    /// No header of a member.
    #[error("package: no member's header where one is due")]
    Header,
    /// Another member than the format has in this place.
    #[error("package has the member {found:?} where {wanted} is due")]
    Member {
        /// Its name.
        found: String,
        /// What is due.
        wanted: &'static str,
    },
    /// Another version of the format.
    #[error("package is of another format than 2.0")]
    Version,
    /// Another compression.
    #[error("package: {0} is compressed in a way that is not read")]
    Compression(String),
}

/// The decompressed data archive, a tar file. Nothing bounds its length.
///
/// # Errors
/// Any of [`DebError`].
pub fn data<R: Read + 'static>(mut package: R) -> Result<Box<dyn Read>, DebError> {
    let mut magic = [0; MAGIC.len()];
    package.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(DebError::Magic);
    }
    let (name, size) = member(&mut package)?;
    expect(&name, "debian-binary", |name| name == "debian-binary")?;
    let mut version = Vec::new();
    (&mut package)
        .take(size.min(VERSION.len() as u64))
        .read_to_end(&mut version)?;
    if version != VERSION || size != VERSION.len() as u64 {
        return Err(DebError::Version);
    }
    let (name, size) = member(&mut package)?;
    expect(&name, "control.tar", |name| name.starts_with("control.tar"))?;
    let padded = size.next_multiple_of(2);
    if io::copy(&mut (&mut package).take(padded), &mut io::sink())? < padded {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let (name, size) = member(&mut package)?;
    expect(&name, "data.tar", |name| name.starts_with("data.tar"))?;
    decompress(&name, package.take(size))
}

fn expect(found: &str, wanted: &'static str, fits: impl Fn(&str) -> bool) -> Result<(), DebError> {
    if fits(found) {
        return Ok(());
    }
    let found = found.to_owned();
    Err(DebError::Member { found, wanted })
}

/// Name and length of the next member.
fn member(package: &mut impl Read) -> Result<(String, u64), DebError> {
    let mut header = [0; HEADER_LEN];
    package.read_exact(&mut header)?;
    if &header[58..] != b"`\n" {
        return Err(DebError::Header);
    }
    let field = |range: std::ops::Range<usize>| {
        let text = std::str::from_utf8(&header[range]).map_err(|_| DebError::Header)?;
        Ok::<_, DebError>(text.trim_end_matches(' '))
    };
    let name = field(0..16)?.trim_end_matches('/').to_owned();
    // Ten digits at most.
    let size = field(48..58)?.parse::<u64>().map_err(|_| DebError::Header)?;
    Ok((name, size))
}

fn decompress<R: Read + 'static>(name: &str, data: Take<R>) -> Result<Box<dyn Read>, DebError> {
    let data = BufReader::with_capacity(1 << 16, data);
    match name {
        "data.tar.xz" => Ok(Box::new(XzReader::new_mem_limit(data, true, XZ_MEMORY))),
        "data.tar.zst" => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(data)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Ok(Box::new(decoder))
        }
        other => Err(DebError::Compression(other.to_owned())),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A package with this data archive.
    pub fn package(data: &[u8]) -> Vec<u8> {
        let compressed = zstd::bulk::compress(data, 1).unwrap();
        ar(&[
            ("debian-binary", VERSION),
            ("control.tar.xz", b"odd"),
            ("data.tar.zst", &compressed),
        ])
    }

    fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = MAGIC.to_vec();
        for (name, content) in members {
            archive.extend(format!("{name:<16}{:<32}{:<10}`\n", "0", content.len()).bytes());
            archive.extend(*content);
            archive.resize(archive.len().next_multiple_of(2), b'\n');
        }
        archive
    }

    fn read(package: Vec<u8>) -> Result<Vec<u8>, DebError> {
        let mut bytes = Vec::new();
        data(io::Cursor::new(package))?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn the_data_archive_is_found() {
        assert_eq!(read(package(b"tar")).unwrap(), b"tar");
    }

    #[test]
    fn truncated_and_altered_packages_are_refused_or_read() {
        let whole = package(&[5; 4000]);
        for end in 0..whole.len() {
            assert!(
                read(whole[..end].to_vec()).is_err() || end + 1 == whole.len(),
                "{end}"
            );
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut altered = whole.clone();
                altered[at] ^= 1 << bit;
                let _ = read(altered);
            }
        }
    }

    /// Made by XZ Utils 5.4.1: `xz -9 --check=crc64`, which asks for 64 MiB of memory.
    const XZ: &str = "fd377a585a000004e6d6b446020021011c00000010cf58cce0002a001d5d00319bca19daeda4f2bb7c5be1c0a0094e85\
                      6898fcb35df5d63d461c000000000000114a9fb15c3eb15a0001392bd1c1be821fb6f37d010000000004595a";

    #[test]
    fn xz_is_read_and_damage_is_noticed() {
        let control = ("control.tar.xz", &b"c"[..]);
        let package = |data: &[u8]| ar(&[("debian-binary", VERSION), control, ("data.tar.xz", data)]);
        let xz = hex::decode(XZ).unwrap();
        let content = b"content of a package, content of a package\n";
        assert_eq!(read(package(&xz)).unwrap(), content);
        for end in 0..xz.len() {
            assert!(read(package(&xz[..end])).is_err(), "{end}");
        }
        for at in 0..xz.len() {
            for bit in 0..8 {
                let mut altered = xz.clone();
                altered[at] ^= 1 << bit;
                if let Ok(read) = read(package(&altered)) {
                    assert_eq!(read, content, "bit {bit} of byte {at}");
                }
            }
        }
        // A dictionary of 4 GiB, in a header with the right checksum.
        let mut greedy = xz;
        greedy[16] = 40;
        greedy[20..24].copy_from_slice(&0xb311_a0e6_u32.to_le_bytes());
        let error = read(package(&greedy)).unwrap_err().to_string();
        assert!(error.contains("mem_limit"), "{error}");
    }

    #[test]
    fn other_archives_are_refused() {
        assert!(matches!(read(b"!<thin>\nxxxx".to_vec()), Err(DebError::Magic)));
        let (control, data) = (("control.tar.xz", &b"c"[..]), ("data.tar.zst", &b"d"[..]));
        let version = ("debian-binary", VERSION);
        assert!(matches!(read(ar(&[control, data])), Err(DebError::Member { .. })));
        assert!(matches!(read(ar(&[version, data])), Err(DebError::Member { .. })));
        assert!(matches!(
            read(ar(&[version, control, control])),
            Err(DebError::Member { .. })
        ));
        for other in [&b"2.1\n"[..], b"2.0", b"2.0\n\n"] {
            assert!(matches!(
                read(ar(&[("debian-binary", other), control, data])),
                Err(DebError::Version)
            ));
        }
        assert!(matches!(
            read(ar(&[version, control, ("data.tar.bz2", b"d")])),
            Err(DebError::Compression(_))
        ));
        // A window that would take 2 GiB to decompress.
        let greedy = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
        assert!(matches!(
            read(ar(&[version, control, ("data.tar.zst", &greedy)])),
            Err(DebError::Io(_))
        ));
    }
}
