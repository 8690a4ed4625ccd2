//! Files that are replaced as a whole, behind a first line with a checksum.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jeju_wallet_auth::eip712::keccak;

/// One of a folder's files.
pub(super) struct Whole {
    pub(super) name: &'static str,
    /// First word of the file: its form.
    pub(super) magic: &'static str,
    /// Longest file that is read, in bytes.
    pub(super) max_len: u64,
}

impl Whole {
    /// What is in it; `None` where it isn't there, isn't whole or is of another form.
    pub(super) fn read(&self, folder: &Path) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(folder.join(self.name)).ok()?;
        file.take(self.max_len + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 > self.max_len {
            return None;
        }
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let body = bytes.split_off(end + 1);
        bytes.pop();
        (bytes == self.header(&body).as_bytes()).then_some(body)
    }

    /// Puts this in its place, for nobody but this user to read.
    pub(super) fn write(&self, folder: &Path, body: &[u8]) -> io::Result<()> {
        let next = folder.join(format!("{}.next", self.name));
        // What a crash left may be readable by others.
        match fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&next)?;
        file.write_all(self.header(body).as_bytes())?;
        file.write_all(b"\n")?;
        file.write_all(body)?;
        file.sync_all()?;
        fs::rename(&next, folder.join(self.name))?;
        File::open(folder)?.sync_all()
    }

    /// A checksum, not a proof: who can write the file can write any.
    pub(super) fn header(&self, body: &[u8]) -> String {
        format!("{} {}", self.magic, hex::encode(keccak(&[body])))
    }
}
