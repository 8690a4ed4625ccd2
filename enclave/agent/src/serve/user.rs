//! The user that the agent runs as: home, shell and environment.
//!
//! `/etc/passwd` is read as text: a static program must not load the C library's name service from the image.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest part of a file of the image that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// Where images have a shell, best first. The last two are the program for many names.
const SHELLS: [&str; 7] = [
    "/bin/bash",
    "/usr/bin/bash",
    "/bin/sh",
    "/usr/bin/sh",
    "/bin/ash",
    "/bin/busybox",
    "/usr/bin/busybox",
];
/// Shells of users that nobody logs in as. In a rental, the image's user is who logs in.
const NO_SHELLS: [&str; 2] = ["nologin", "false"];
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Who logs in.
pub(crate) struct User {
    name: String,
    pub(crate) home: PathBuf,
    pub(crate) shell: Option<Shell>,
}

/// A program that reads command lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shell {
    path: PathBuf,
    /// The name that it is started by.
    name: OsString,
}

impl User {
    /// The user of this process.
    pub(crate) fn current() -> Self {
        // SAFETY: geteuid touches no memory and can't fail.
        let uid = unsafe { libc::geteuid() };
        User::of(uid, &read_text("/etc/passwd"))
    }

    fn of(uid: u32, passwd: &str) -> Self {
        let entry = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.len() >= 7 && fields[2].parse() == Ok(uid));
        let (name, home, shell) = match entry {
            Some(fields) => (fields[0].to_owned(), PathBuf::from(fields[5]), fields[6].trim()),
            None if uid == 0 => ("root".to_owned(), PathBuf::from("/root"), ""),
            None => (uid.to_string(), PathBuf::new(), ""),
        };
        User {
            name,
            home: existing_home(home),
            shell: Shell::at(Path::new(shell)).or_else(fallback_shell),
        }
    }

    /// What a session's process finds set, besides the image's own variables: those of the session go over it.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut found: Vec<(OsString, OsString)> = vec![
            ("HOME".into(), self.home.clone().into()),
            ("USER".into(), self.name.clone().into()),
            ("LOGNAME".into(), self.name.clone().into()),
        ];
        if let Some(shell) = &self.shell {
            found.push(("SHELL".into(), shell.path.clone().into()));
        }
        if env::var_os("PATH").is_none_or(|path| path.is_empty()) {
            found.push(("PATH".into(), DEFAULT_PATH.into()));
        }
        found
    }
}

/// The home that is there: of `/etc/passwd`, else of the image's variables, else where the image starts its command.
fn existing_home(listed: PathBuf) -> PathBuf {
    let of_image = env::var_os("HOME").map(PathBuf::from);
    [Some(listed), of_image, env::current_dir().ok()]
        .into_iter()
        .flatten()
        .find(|home| home.is_absolute() && home.is_dir())
        .unwrap_or_else(|| PathBuf::from("/"))
}

/// The image's shell, whoever asks.
pub(crate) fn fallback_shell() -> Option<Shell> {
    SHELLS.iter().find_map(|path| Shell::at(Path::new(path)))
}

impl Shell {
    fn at(path: &Path) -> Option<Shell> {
        let name = path.file_name()?;
        if NO_SHELLS.iter().any(|none| name == *none) || !path.is_absolute() || !is_executable(path) {
            return None;
        }
        let name = if name == "busybox" { OsStr::new("sh") } else { name };
        Some(Shell {
            path: path.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The shell, to be given arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0(&self.name);
        command
    }

    /// As a login shell, which the hyphen before its name says.
    pub(crate) fn login(&self) -> Command {
        let mut name = OsString::from("-");
        name.push(&self.name);
        let mut command = Command::new(&self.path);
        command.arg0(name);
        command
    }
}

fn is_executable(path: &Path) -> bool {
    let Ok(text) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: the text ends with NUL and outlives the call.
    path.is_file() && unsafe { libc::access(text.as_ptr(), libc::X_OK) == 0 }
}

/// A text file of the image, or nothing.
pub(crate) fn read_text(path: &str) -> String {
    let mut found = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(MAX_FILE).read_to_end(&mut found);
    }
    String::from_utf8_lossy(&found).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_of_the_image_has_its_name_home_and_shell() {
        let user = User::of(7, "root:x:0:0:root:/:/bin/bash\nann:x:7:7::/tmp:/bin/sh\n");
        assert_eq!(
            (user.name.as_str(), user.home.as_path()),
            ("ann", Path::new("/tmp"))
        );
        assert_eq!(user.shell, Shell::at(Path::new("/bin/sh")));
    }

    #[test]
    fn a_shell_that_lets_nobody_in_is_none() {
        let user = User::of(7, "www:x:7:7::/nonexistent:/usr/sbin/nologin\n");
        assert_eq!(user.shell, fallback_shell());
        assert!(user.home.is_dir());
    }

    #[test]
    fn an_unlisted_user_is_called_by_number() {
        let user = User::of(4711, "cut:x:4711\n");
        assert_eq!(user.name, "4711");
        assert!(user.home.is_dir());
    }
}
