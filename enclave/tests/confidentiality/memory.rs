//! The memory of a node's processes, read from outside.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use crate::secrets::Secrets;

/// How much is read at a time.
const CHUNK: usize = 4 << 20;
/// More than anything that is looked for, which may lie across two chunks.
const OVERLAP: usize = 256;

/// Whether this user may read other processes' memory; says so where it may not, and nothing can be shown.
pub fn is_readable() -> bool {
    // SAFETY: a plain system call.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        eprintln!("only root reads the memory of the node's processes: nothing of it was searched");
    }
    root
}

/// What of the secrets is in a process's memory: in all that it can write to, its threads' stacks among them.
///
/// # Errors
/// When the process is gone or closed to this one.
pub fn search(pid: u32, secrets: &Secrets) -> io::Result<Vec<String>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut found = Vec::new();
    let mut buffer = vec![0; CHUNK + OVERLAP];
    let mut searched = 0;
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(rights)) = (fields.next(), fields.next()) else {
            continue;
        };
        let name = fields.nth(3).unwrap_or("");
        // What no one can write holds the program. The kernel's own pages can't be read this way.
        if !rights.starts_with("rw") || name.starts_with("[v") {
            continue;
        }
        let (start, end) = range.split_once('-').expect("a range");
        let address = |hex| u64::from_str_radix(hex, 16).expect("an address");
        let (mut at, end) = (address(start), address(end));
        while at < end {
            let len = usize::try_from(end - at).map_or(buffer.len(), |rest| rest.min(buffer.len()));
            match memory.read_exact_at(&mut buffer[..len], at) {
                Ok(()) => {
                    searched += len;
                    let here = secrets.found_in(&buffer[..len]);
                    let name = if here.is_empty() {
                        String::new()
                    } else {
                        owner(pid, address(start)..end, name)
                    };
                    found.extend(
                        here.into_iter()
                            .map(|what| format!("{what} of {range} {name} (+{at:#x})")),
                    );
                }
                // Unmapped since the list was read.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EFAULT)) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) => return Err(error),
            }
            at += CHUNK as u64;
        }
    }
    assert!(
        searched > 1 << 20,
        "of process {pid} there was next to nothing to search"
    );
    Ok(found)
}

/// Whose a piece of memory is, as far as can be told: the name that it has, or that of the thread whose stack it is.
fn owner(pid: u32, range: std::ops::Range<u64>, name: &str) -> String {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let is_on_it = |call: &str| {
        // Number, arguments, stack pointer, program counter.
        let stack = call.split_whitespace().rev().nth(1);
        let stack = stack.and_then(|hex| u64::from_str_radix(hex.trim_start_matches("0x"), 16).ok());
        stack.is_some_and(|stack| range.contains(&stack))
    };
    for thread in threads.filter_map(|entry| Some(entry.ok()?.path())) {
        if fs::read_to_string(thread.join("syscall")).is_ok_and(|call| is_on_it(&call)) {
            let thread = fs::read_to_string(thread.join("comm")).unwrap_or_default();
            return format!("the stack of {}", thread.trim());
        }
    }
    name.to_owned()
}
