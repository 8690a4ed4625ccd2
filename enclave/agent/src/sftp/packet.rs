//! Packets: their fields, and the answers.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::attributes::Attributes;

/// Longest packet of a client, in bytes, without its length. OpenSSH's limit.
pub(super) const MAX_PACKET: usize = 256 * 1024;
/// Longest data of one answer or one write, in bytes.
pub(super) const MAX_DATA: usize = MAX_PACKET - 1024;

pub(super) const INIT: u8 = 1;
pub(super) const OPEN: u8 = 3;
pub(super) const CLOSE: u8 = 4;
pub(super) const READ: u8 = 5;
pub(super) const WRITE: u8 = 6;
pub(super) const LSTAT: u8 = 7;
pub(super) const FSTAT: u8 = 8;
pub(super) const SETSTAT: u8 = 9;
pub(super) const FSETSTAT: u8 = 10;
pub(super) const OPENDIR: u8 = 11;
pub(super) const READDIR: u8 = 12;
pub(super) const REMOVE: u8 = 13;
pub(super) const MKDIR: u8 = 14;
pub(super) const RMDIR: u8 = 15;
pub(super) const REALPATH: u8 = 16;
pub(super) const STAT: u8 = 17;
pub(super) const RENAME: u8 = 18;
pub(super) const READLINK: u8 = 19;
pub(super) const SYMLINK: u8 = 20;
pub(super) const EXTENDED: u8 = 200;

const VERSION: u8 = 2;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
const EXTENDED_REPLY: u8 = 201;

/// What remains of a packet. What a version above 3 would add is left unread.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(packet: &'a [u8]) -> Self {
        Fields(packet)
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Status> {
        let (found, rest) = self.0.split_at_checked(len).ok_or(Status::malformed())?;
        self.0 = rest;
        Ok(found)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Status> {
        Ok(self.bytes(1)?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, Status> {
        let found = self.bytes(4)?.try_into().expect("four bytes");
        Ok(u32::from_be_bytes(found))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Status> {
        let found = self.bytes(8)?.try_into().expect("eight bytes");
        Ok(u64::from_be_bytes(found))
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], Status> {
        let len = self.u32()?;
        self.bytes(len as usize)
    }

    /// A path as it stands: relative ones start at the session's home. An empty one is the home.
    pub(super) fn path(&mut self) -> Result<PathBuf, Status> {
        match self.string()? {
            b"" => Ok(PathBuf::from(".")),
            path => Ok(PathBuf::from(OsStr::from_bytes(path))),
        }
    }
}

/// A positive answer.
pub(super) enum Answer {
    Done,
    Handle(u32),
    Data(Vec<u8>),
    Attributes(Attributes),
    Names(Vec<Name>),
    /// The numbers of an extension, one after another.
    Numbers(Vec<u64>),
}

/// An entry of a directory, or a path alone.
pub(super) struct Name {
    pub(super) name: OsString,
    /// As `ls -l` shows it.
    pub(super) line: Vec<u8>,
    pub(super) attributes: Attributes,
}

impl Name {
    /// As the protocol wants it where only the path matters.
    pub(super) fn alone(name: OsString) -> Self {
        Name {
            line: name.as_bytes().to_vec(),
            name,
            attributes: Attributes::default(),
        }
    }
}

/// A negative answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Status {
    code: u32,
    message: String,
}

impl Status {
    fn new(code: u32, message: &str) -> Self {
        Status {
            code,
            message: message.to_owned(),
        }
    }

    pub(super) fn end() -> Self {
        Status::new(1, "End of file")
    }

    pub(super) fn failure(message: &str) -> Self {
        Status::new(4, message)
    }

    pub(super) fn malformed() -> Self {
        Status::new(5, "Bad message")
    }

    pub(super) fn unsupported() -> Self {
        Status::new(8, "Operation unsupported")
    }
}

impl From<io::Error> for Status {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::EBADF) => Status::new(2, "No such file"),
            Some(libc::EACCES | libc::EPERM | libc::EFAULT) => Status::new(3, "Permission denied"),
            _ => Status::new(4, &error.to_string()),
        }
    }
}

/// The answer to the greeting: version 3, and what is offered beyond it.
pub(super) fn put_version(out: &mut Vec<u8>, offered: &[(&str, &str)]) {
    packet(out, VERSION, |out| {
        out.extend(3u32.to_be_bytes());
        for (name, version) in offered {
            put_string(out, name.as_bytes());
            put_string(out, version.as_bytes());
        }
    });
}

/// Appends the answer to request `id`.
pub(super) fn answer_to(id: u32, answer: Result<Answer, Status>, out: &mut Vec<u8>) {
    let kind = match &answer {
        Ok(Answer::Done) | Err(_) => STATUS,
        Ok(Answer::Handle(_)) => HANDLE,
        Ok(Answer::Data(_)) => DATA,
        Ok(Answer::Attributes(_)) => ATTRS,
        Ok(Answer::Names(_)) => NAME,
        Ok(Answer::Numbers(_)) => EXTENDED_REPLY,
    };
    packet(out, kind, |out| {
        out.extend(id.to_be_bytes());
        match answer {
            Ok(Answer::Done) => put_status(out, &Status::new(0, "Success")),
            Err(status) => put_status(out, &status),
            Ok(Answer::Handle(handle)) => put_string(out, &handle.to_be_bytes()),
            Ok(Answer::Data(data)) => put_string(out, &data),
            Ok(Answer::Attributes(attributes)) => attributes.put(out),
            Ok(Answer::Names(names)) => {
                out.extend((names.len() as u32).to_be_bytes());
                for name in names {
                    put_string(out, name.name.as_bytes());
                    put_string(out, &name.line);
                    name.attributes.put(out);
                }
            }
            Ok(Answer::Numbers(numbers)) => out.extend(numbers.into_iter().flat_map(u64::to_be_bytes)),
        }
    });
}

fn put_status(out: &mut Vec<u8>, status: &Status) {
    out.extend(status.code.to_be_bytes());
    put_string(out, status.message.as_bytes());
    put_string(out, b"en");
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn packet(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0, 0, 0, 0, kind]);
    fill(out);
    let len = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}
