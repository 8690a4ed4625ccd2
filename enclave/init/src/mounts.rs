//! The file systems of the image: the kernel's own, and a root that isn't the initramfs.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// No set-uid programs, no device nodes, no programs.
const INERT: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

const NEW_ROOT: &str = "/root.new";

/// What moves into the new root.
const KERNEL_FILESYSTEMS: [&str; 3] = ["dev", "proc", "sys"];

/// Mounts `/dev`, `/proc`, `/sys` and configfs in the initramfs.
///
/// # Errors
/// The first mount that fails.
pub fn mount_kernel_filesystems() -> io::Result<()> {
    for directory in KERNEL_FILESYSTEMS {
        make_directory(&Path::new("/").join(directory))?;
    }
    mount(
        c"devtmpfs",
        "/dev",
        libc::MS_NOSUID | libc::MS_NOEXEC,
        c"mode=0755",
    )?;
    // hidepid=2: no role sees another's process.
    mount(c"proc", "/proc", INERT, c"hidepid=2")?;
    mount(c"sysfs", "/sys", INERT, c"")?;
    mount(c"configfs", "/sys/kernel/config", INERT, c"")
}

/// Makes an empty, read-only tmpfs the root, with the kernel's file systems and a small `/run` in it, and removes what
/// the initramfs held. Container runtimes can't pivot away from an initramfs, and no role needs a file of it: the
/// executable stays reachable through `/proc/self/exe`.
///
/// # Errors
/// The first step that fails.
pub fn leave_initramfs() -> io::Result<()> {
    make_directory(Path::new(NEW_ROOT))?;
    mount(c"tmpfs", NEW_ROOT, INERT, c"size=64k,nr_inodes=64,mode=0755")?;
    for directory in KERNEL_FILESYSTEMS {
        let from = Path::new("/").join(directory);
        let to = Path::new(NEW_ROOT).join(directory);
        make_directory(&to)?;
        move_mount(&from, &to)?;
    }
    let run = Path::new(NEW_ROOT).join("run");
    make_directory(&run)?;
    empty_initramfs()?;
    std::env::set_current_dir(NEW_ROOT)?;
    move_mount(Path::new("."), Path::new("/"))?;
    // SAFETY: the path is a NUL-terminated constant.
    check(unsafe { libc::chroot(c".".as_ptr()) })?;
    std::env::set_current_dir("/")?;
    mount(c"tmpfs", "/run", INERT, c"size=16m,nr_inodes=1024,mode=0755")?;
    mount(c"tmpfs", "/", INERT | libc::MS_REMOUNT | libc::MS_RDONLY, c"")
}

/// Unlinks everything of the initramfs but the new root; open files live on without a name.
fn empty_initramfs() -> io::Result<()> {
    for entry in fs::read_dir("/")? {
        let entry = entry?;
        if entry.path() == Path::new(NEW_ROOT) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}

fn mount(kind: &CStr, at: &str, flags: libc::c_ulong, options: &CStr) -> io::Result<()> {
    let at = CString::new(at)?;
    // SAFETY: all strings are NUL-terminated and outlive the call.
    check(unsafe {
        libc::mount(
            kind.as_ptr(),
            at.as_ptr(),
            kind.as_ptr(),
            flags,
            options.as_ptr().cast(),
        )
    })
}

fn move_mount(from: &Path, to: &Path) -> io::Result<()> {
    let from = CString::new(from.as_os_str().as_bytes())?;
    let to = CString::new(to.as_os_str().as_bytes())?;
    let nothing = std::ptr::null();
    // SAFETY: both paths are NUL-terminated and outlive the call; a move takes no kind and no options.
    check(unsafe { libc::mount(from.as_ptr(), to.as_ptr(), nothing, libc::MS_MOVE, nothing.cast()) })
}

/// The error of a system call that says -1.
///
/// # Errors
/// The last one of this thread.
pub fn check(outcome: libc::c_int) -> io::Result<()> {
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
