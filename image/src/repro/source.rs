//! What a build is given: a copy of the source, that is of what git tracks or would track, as it is now, and the inputs.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::ReproError;

/// 2001-09-09, for files that look old.
const OLD: Duration = Duration::from_secs(1_000_000_000);

/// Copies the files. `private`: readable by the owner alone, and old.
pub(super) fn copy(from: &Path, to: &Path, private: bool) -> Result<(), ReproError> {
    for name in files(from)? {
        let name = Path::new(OsStr::from_bytes(&name)).to_owned();
        let (source, target) = (from.join(&name), to.join(&name));
        // git names nothing outside its work tree; this holds whatever it says.
        let inside = name.components().all(|part| matches!(part, Component::Normal(_)));
        // A tracked file may have been deleted.
        let Some(kind) = fs::symlink_metadata(&source).ok().filter(|_| inside) else {
            continue;
        };
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(ReproError::io(parent))?;
        }
        if kind.is_symlink() {
            let link = fs::read_link(&source).map_err(ReproError::io(&source))?;
            std::os::unix::fs::symlink(link, &target).map_err(ReproError::io(&target))?;
        } else if kind.is_file() {
            copy_file(&source, &target, private)?;
        }
    }
    Ok(())
}

fn copy_file(source: &Path, target: &Path, private: bool) -> Result<(), ReproError> {
    let at_target = ReproError::io(target);
    fs::copy(source, target).map_err(ReproError::io(source))?;
    if private {
        let mode = fs::metadata(target).map_err(&at_target)?.permissions().mode();
        let file = fs::File::options().write(true).open(target).map_err(&at_target)?;
        file.set_modified(SystemTime::UNIX_EPOCH + OLD)
            .map_err(&at_target)?;
        fs::set_permissions(target, fs::Permissions::from_mode(mode & 0o700)).map_err(&at_target)?;
    }
    Ok(())
}

/// Names of the files, relative to the folder.
fn files(folder: &Path) -> Result<Vec<Vec<u8>>, ReproError> {
    let failed = |message: String| ReproError::Files {
        folder: folder.to_owned(),
        message,
    };
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let names = output.stdout.split(|byte| *byte == 0);
    Ok(names
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}

/// Copies files into a folder, for everyone to read.
pub(super) fn copy_inputs(files: &[PathBuf], to: &Path) -> Result<(), ReproError> {
    fs::create_dir_all(to).map_err(ReproError::io(to))?;
    for file in files {
        let target = to.join(file.file_name().unwrap_or_default());
        fs::copy(file, &target).map_err(ReproError::io(file))?;
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).map_err(ReproError::io(&target))?;
    }
    Ok(())
}
