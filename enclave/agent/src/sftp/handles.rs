//! Open files and directories.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, OpenOptions, Permissions, ReadDir};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use super::attributes::Attributes;
use super::names;
use super::packet::{Answer, Fields, MAX_DATA, Name, Status};

/// Most handles of one session.
pub(super) const MAX_HANDLES: usize = 128;
/// Most entries of one answer.
const MAX_NAMES: usize = 100;

const READ: u32 = 1;
const WRITE: u32 = 2;
const APPEND: u32 = 4;
const CREATE: u32 = 8;
const TRUNCATE: u32 = 16;
const EXCLUSIVE: u32 = 32;

/// What a session has open.
#[derive(Default)]
pub(super) struct Handles {
    open: HashMap<u32, Handle>,
    last: u32,
}

enum Handle {
    File(File),
    Directory(Directory),
}

struct Directory {
    path: PathBuf,
    /// The two that the system doesn't list.
    first: Vec<OsString>,
    rest: ReadDir,
}

impl Handles {
    fn add(&mut self, handle: Handle) -> Result<Answer, Status> {
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.open.contains_key(&self.last) {
                break;
            }
        }
        self.open.insert(self.last, handle);
        Ok(Answer::Handle(self.last))
    }

    fn room(&self) -> Result<(), Status> {
        match self.open.len() < MAX_HANDLES {
            true => Ok(()),
            false => Err(Status::failure("too many open files")),
        }
    }

    /// The file that the next field names.
    pub(super) fn file(&self, fields: &mut Fields<'_>) -> Result<&File, Status> {
        match self.open.get(&number(fields)?) {
            Some(Handle::File(file)) => Ok(file),
            _ => Err(Status::failure("the handle isn't that of a file")),
        }
    }

    pub(super) fn open(&mut self, fields: &mut Fields<'_>) -> Result<Answer, Status> {
        self.room()?;
        let path = fields.path()?;
        let wanted = fields.u32()?;
        let mode = Attributes::read(fields)?.mode.unwrap_or(0o666);
        let flag = |asked: u32, flag: i32| if wanted & asked != 0 { flag } else { 0 };
        // Without O_NONBLOCK, a pipe without another end would hold up the session. On files it changes nothing.
        let flags = libc::O_NONBLOCK
            | libc::O_NOCTTY
            | flag(APPEND, libc::O_APPEND)
            | flag(CREATE, libc::O_CREAT)
            | flag(TRUNCATE, libc::O_TRUNC)
            | flag(EXCLUSIVE, libc::O_EXCL);
        let file = OpenOptions::new()
            .read(wanted & READ != 0)
            .write(wanted & (WRITE | APPEND) != 0)
            .custom_flags(flags)
            .mode(mode & 0o7777)
            .open(path)?;
        self.add(Handle::File(file))
    }

    pub(super) fn open_directory(&mut self, fields: &mut Fields<'_>) -> Result<Answer, Status> {
        self.room()?;
        let path = fields.path()?;
        let rest = fs::read_dir(&path)?;
        self.add(Handle::Directory(Directory {
            path,
            first: vec!["..".into(), ".".into()],
            rest,
        }))
    }

    pub(super) fn close(&mut self, fields: &mut Fields<'_>) -> Result<Answer, Status> {
        match self.open.remove(&number(fields)?) {
            Some(_) => Ok(Answer::Done),
            None => Err(Status::failure("the handle isn't open")),
        }
    }

    pub(super) fn read(&mut self, fields: &mut Fields<'_>) -> Result<Answer, Status> {
        let file = self.file(fields)?;
        let (offset, len) = (fields.u64()?, fields.u32()?);
        let mut data = vec![0; (len as usize).min(MAX_DATA)];
        let read = file.read_at(&mut data, offset)?;
        if read == 0 && len > 0 {
            return Err(Status::end());
        }
        data.truncate(read);
        Ok(Answer::Data(data))
    }

    pub(super) fn write(&mut self, fields: &mut Fields<'_>) -> Result<Answer, Status> {
        let file = self.file(fields)?;
        let (offset, data) = (fields.u64()?, fields.string()?);
        file.write_all_at(data, offset)?;
        Ok(Answer::Done)
    }

    pub(super) fn stat(&mut self, fields: &mut Fields<'_>) -> Result<Answer, Status> {
        let found = self.file(fields)?.metadata()?;
        Ok(Answer::Attributes(Attributes::of(&found)))
    }

    pub(super) fn set_stat(&mut self, fields: &mut Fields<'_>) -> Result<Answer, Status> {
        let file = self.file(fields)?;
        let wanted = Attributes::read(fields)?;
        let mut outcomes = Vec::new();
        if let Some(size) = wanted.size {
            outcomes.push(file.set_len(size));
        }
        if let Some(mode) = wanted.mode {
            outcomes.push(file.set_permissions(Permissions::from_mode(mode & 0o7777)));
        }
        if let Some((accessed, modified)) = wanted.times {
            let time = |seconds: u32| UNIX_EPOCH + Duration::from_secs(seconds.into());
            let times = FileTimes::new()
                .set_accessed(time(accessed))
                .set_modified(time(modified));
            outcomes.push(file.set_times(times));
        }
        if let Some((user, group)) = wanted.owner {
            outcomes.push(fchown(file, Some(user), Some(group)));
        }
        outcomes.into_iter().collect::<io::Result<()>>()?;
        Ok(Answer::Done)
    }

    pub(super) fn read_directory(&mut self, fields: &mut Fields<'_>) -> Result<Answer, Status> {
        let Some(Handle::Directory(directory)) = self.open.get_mut(&number(fields)?) else {
            return Err(Status::failure("the handle isn't that of a directory"));
        };
        let mut names = Vec::new();
        while names.len() < MAX_NAMES {
            let name = match directory.first.pop() {
                Some(name) => name,
                None => match directory.rest.next() {
                    Some(entry) => entry?.file_name(),
                    None => break,
                },
            };
            names.extend(directory.entry(&name));
        }
        match names.is_empty() {
            true => Err(Status::end()),
            false => Ok(Answer::Names(names)),
        }
    }
}

impl Directory {
    /// `None`: it is gone by now.
    fn entry(&self, name: &OsStr) -> Option<Name> {
        let found = fs::symlink_metadata(self.path.join(name)).ok()?;
        Some(Name {
            name: name.to_owned(),
            line: names::line(name, &found),
            attributes: Attributes::of(&found),
        })
    }
}

fn number(fields: &mut Fields<'_>) -> Result<u32, Status> {
    let bytes = fields.string()?.try_into();
    bytes
        .map(u32::from_be_bytes)
        .map_err(|_| Status::failure("the handle isn't open"))
}
