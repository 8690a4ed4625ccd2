//! Shares of the processors: an owner's threads, however many, weigh together as much as one of the node's at niceness 10.
//!
//! By control groups, in an image, where PID 1 may make them and nobody else has any. A node that runs as processes leaves it
//! to the kernel, which may share out by session (`child`).

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};
use std::{fs, ptr};

/// Where the kernel expects its second version of control groups.
const ROOT: &str = "/sys/fs/cgroup";
/// A share (`cpu.weight` of cgroups(7); 100 is that of one thread): niceness 10 means about a tenth.
const WEIGHT: &str = "11";

/// A group for each place of a worker's process.
#[derive(Debug)]
pub(super) struct Shares {
    places: Vec<CString>,
}

impl Shares {
    /// Groups for so many places.
    ///
    /// # Errors
    /// When the kernel has no control groups, or they are somebody else's.
    pub(super) fn new(places: usize) -> io::Result<Self> {
        mount(ROOT)?;
        fs::write(Path::new(ROOT).join("cgroup.subtree_control"), "+cpu")?;
        let place = |number| {
            let group = Path::new(ROOT).join(format!("worker-{number}"));
            fs::create_dir(&group)?;
            fs::write(group.join("cpu.weight"), WEIGHT)?;
            let members: PathBuf = group.join("cgroup.procs");
            Ok(CString::new(members.into_os_string().into_encoded_bytes())?)
        };
        let places = (0..places).map(place).collect::<io::Result<_>>()?;
        Ok(Self { places })
    }

    /// Where a process that takes a place writes itself down.
    pub(super) fn of(&self, place: usize) -> Option<CString> {
        self.places.get(place).cloned()
    }
}

fn mount(at: &str) -> io::Result<()> {
    let at = CString::new(at)?;
    let kind = c"cgroup2".as_ptr();
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: both strings are NUL-terminated and outlive the call; there are no options.
    match unsafe { libc::mount(kind, at.as_ptr(), kind, flags, ptr::null()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
