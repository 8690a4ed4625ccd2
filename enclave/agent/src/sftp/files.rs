//! What is done to files by their paths.

use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use super::attributes::Attributes;
use super::packet::{Answer, Fields, Name, Status};

pub(super) fn stat(fields: &mut Fields<'_>, follow: bool) -> Result<Answer, Status> {
    let found = metadata(&fields.path()?, follow)?;
    Ok(Answer::Attributes(Attributes::of(&found)))
}

pub(super) fn metadata(path: &Path, follow: bool) -> io::Result<Metadata> {
    match follow {
        true => fs::metadata(path),
        false => fs::symlink_metadata(path),
    }
}

/// All that can be changed is, and the first error is the answer.
pub(super) fn set_stat(fields: &mut Fields<'_>, follow: bool) -> Result<Answer, Status> {
    let path = fields.path()?;
    let wanted = Attributes::read(fields)?;
    let mut outcomes = Vec::new();
    if let Some(size) = wanted.size {
        if !follow {
            return Err(Status::unsupported());
        }
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path);
        outcomes.push(file.and_then(|file| file.set_len(size)));
    }
    if let Some(mode) = wanted.mode {
        outcomes.push(match follow || !fs::symlink_metadata(&path)?.is_symlink() {
            true => fs::set_permissions(&path, Permissions::from_mode(mode & 0o7777)),
            false => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        });
    }
    if let Some((accessed, modified)) = wanted.times {
        outcomes.push(set_times(&path, accessed, modified, follow));
    }
    if let Some((user, group)) = wanted.owner {
        outcomes.push(match follow {
            true => chown(&path, Some(user), Some(group)),
            false => lchown(&path, Some(user), Some(group)),
        });
    }
    outcomes.into_iter().collect::<io::Result<()>>()?;
    Ok(Answer::Done)
}

fn set_times(path: &Path, accessed: u32, modified: u32, follow: bool) -> io::Result<()> {
    let path = terminated(path)?;
    let times = [accessed, modified].map(|seconds| libc::timespec {
        tv_sec: seconds.into(),
        tv_nsec: 0,
    });
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: the path ends with NUL, there are two times, and the call only reads both.
    match unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

pub(super) fn terminated(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

pub(super) fn remove(fields: &mut Fields<'_>) -> Result<Answer, Status> {
    fs::remove_file(fields.path()?)?;
    Ok(Answer::Done)
}

pub(super) fn make_directory(fields: &mut Fields<'_>) -> Result<Answer, Status> {
    let path = fields.path()?;
    let mode = Attributes::read(fields)?.mode.unwrap_or(0o777);
    DirBuilder::new().mode(mode & 0o7777).create(path)?;
    Ok(Answer::Done)
}

pub(super) fn remove_directory(fields: &mut Fields<'_>) -> Result<Answer, Status> {
    fs::remove_dir(fields.path()?)?;
    Ok(Answer::Done)
}

/// The last part need not be there: a client asks for where it would put a file.
pub(super) fn real_path(fields: &mut Fields<'_>) -> Result<Answer, Status> {
    absolute(fields.path()?)
}

pub(super) fn absolute(path: PathBuf) -> Result<Answer, Status> {
    let found = match fs::canonicalize(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or(error)?;
            let parent = match path.parent() {
                Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
                Some(parent) => parent,
                None => Path::new("/"),
            };
            fs::canonicalize(parent)?.join(name)
        }
        outcome => outcome?,
    };
    Ok(Answer::Names(vec![Name::alone(found.into_os_string())]))
}

/// Version 3's own: it replaces nothing.
pub(super) fn rename(fields: &mut Fields<'_>) -> Result<Answer, Status> {
    let (from, to) = (fields.path()?, fields.path()?);
    let (old, new) = (terminated(&from)?, terminated(&to)?);
    let here = libc::AT_FDCWD;
    // SAFETY: both paths end with NUL and are only read.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            here,
            old.as_ptr(),
            here,
            new.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    if outcome == 0 {
        return Ok(Answer::Done);
    }
    match io::Error::last_os_error() {
        // Some file systems don't know the flag.
        error if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
            if fs::symlink_metadata(&to).is_ok() {
                return Err(Status::failure("File exists"));
            }
            fs::rename(from, to)?;
            Ok(Answer::Done)
        }
        error => Err(error.into()),
    }
}

pub(super) fn read_link(fields: &mut Fields<'_>) -> Result<Answer, Status> {
    let target = fs::read_link(fields.path()?)?;
    Ok(Answer::Names(vec![Name::alone(target.into_os_string())]))
}

/// With the target first, as OpenSSH's clients and servers have it, not as the draft has it.
pub(super) fn make_symlink(fields: &mut Fields<'_>) -> Result<Answer, Status> {
    let (target, link) = (fields.string()?, fields.path()?);
    symlink(OsString::from_vec(target.to_vec()), link)?;
    Ok(Answer::Done)
}

/// `~` and `~/...` start at the home, which is where the session is.
pub(super) fn expand(path: PathBuf) -> Result<PathBuf, Status> {
    match path.as_os_str().as_bytes() {
        b"~" | b"~/" => Ok(PathBuf::from(".")),
        [b'~', b'/', rest @ ..] => Ok(PathBuf::from(OsString::from_vec(rest.to_vec()))),
        [b'~', ..] => Err(Status::failure("only the own home can be named by ~")),
        _ => Ok(path),
    }
}
