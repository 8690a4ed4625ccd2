//! OpenSSH's extensions (its file PROTOCOL, §4).

use std::ffi::CStr;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use super::files::{self, expand, terminated};
use super::handles::{Handles, MAX_HANDLES};
use super::packet::{Answer, Fields, MAX_DATA, MAX_PACKET, Status};

/// Names and versions.
pub(super) const OFFERED: [(&str, &str); 8] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
];

pub(super) fn perform(handles: &Handles, fields: &mut Fields<'_>) -> Result<Answer, Status> {
    match fields.string()? {
        b"posix-rename@openssh.com" => {
            fs::rename(fields.path()?, fields.path()?)?;
            Ok(Answer::Done)
        }
        b"hardlink@openssh.com" => {
            fs::hard_link(fields.path()?, fields.path()?)?;
            Ok(Answer::Done)
        }
        b"fsync@openssh.com" => {
            handles.file(fields)?.sync_all()?;
            Ok(Answer::Done)
        }
        b"lsetstat@openssh.com" => files::set_stat(fields, false),
        b"statvfs@openssh.com" => file_system(Place::Path(&terminated(&fields.path()?)?)),
        b"fstatvfs@openssh.com" => file_system(Place::File(handles.file(fields)?.as_raw_fd())),
        b"limits@openssh.com" => {
            let numbers = [MAX_PACKET, MAX_DATA, MAX_DATA, MAX_HANDLES];
            Ok(Answer::Numbers(numbers.map(|number| number as u64).to_vec()))
        }
        b"expand-path@openssh.com" => files::absolute(expand(fields.path()?)?),
        _ => Err(Status::unsupported()),
    }
}

enum Place<'a> {
    Path(&'a CStr),
    File(i32),
}

fn file_system(place: Place<'_>) -> Result<Answer, Status> {
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with NUL or the file is open; the structure is filled where the call succeeds.
    let outcome = unsafe {
        match place {
            Place::Path(path) => libc::statvfs(path.as_ptr(), found.as_mut_ptr()),
            Place::File(file) => libc::fstatvfs(file, found.as_mut_ptr()),
        }
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: the call succeeded.
    let found = unsafe { found.assume_init() };
    // Of the flags, the protocol has these two: read-only and no set-user-id.
    let flags = found.f_flag & (libc::ST_RDONLY | libc::ST_NOSUID);
    Ok(Answer::Numbers(vec![
        found.f_bsize,
        found.f_frsize,
        found.f_blocks,
        found.f_bfree,
        found.f_bavail,
        found.f_files,
        found.f_ffree,
        found.f_favail,
        found.f_fsid,
        flags,
        found.f_namemax,
    ]))
}
