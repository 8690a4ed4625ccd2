//! What a node leaves behind that dies in the middle of a request.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use tokio::time::timeout;

use crate::client::{Client, request};
use crate::memory;
use crate::node::{Node, allow_core_dumps, status};
use crate::secrets::{Secrets, canary};
use crate::traces::stream_of;

/// `FatalCode::ProcessDied`, as exit status and as the log sink is told it.
const DIED: (i32, [u8; 5]) = (64 + 10, [1, 0, 2, 0, 10]);

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_killed_in_a_request_leaves_one_number() {
    can_core_files_be_seen();
    // As by a panic of an image, a wild pointer, and a call that the sandbox forbids.
    for signal in [libc::SIGABRT, libc::SIGSEGV, libc::SIGSYS] {
        let mut node = Node::start().await;
        let mut secrets = Secrets::default();
        let prompt = secrets.canary(&format!("killed by {signal}"));
        let mut client = Client::connect(&node).await;
        client.send(&stream_of(&prompt, 1000)).await;
        client.read_until("\"content\"").await;
        let front = node.role("front");
        // The standard library looks at a first SIGSEGV itself, and only then lets the next one kill.
        while node.is_running() {
            // SAFETY: a plain system call. The process is the node's, which has not been waited for.
            unsafe { libc::kill(front as libc::pid_t, signal) };
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_only_the_number(&mut node, &secrets, &format!("signal {signal}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_runs_out_of_memory_leaves_one_number() {
    let mut node = Node::start().await;
    let mut secrets = Secrets::default();
    let prompt = secrets.canary("out of memory");
    let front = node.role("front");
    leave_memory(front, 16 << 20);
    let body = prompt.repeat((1 << 20) / prompt.len());
    let head = request("POST", "/v1/chat/completions", "", "");
    let head = String::from_utf8(head)
        .unwrap()
        .replace("content-length: 0", "content-length: 1048576");
    // Held, each a byte short of complete.
    let mut clients = Vec::new();
    for _ in 0..100 {
        if !node.is_running() {
            break;
        }
        let connected = timeout(std::time::Duration::from_secs(5), Client::try_connect(&node)).await;
        if let Ok(Some(mut client)) = connected {
            client.send(format!("{head}{body}").as_bytes()).await;
            clients.push(client);
        }
    }
    assert_only_the_number(&mut node, &secrets, "out of memory").await;
}

/// A dump may go to a program instead of a file, which no limit stops; and a debugger of the same user needs no dump at all.
#[tokio::test(flavor = "multi_thread")]
async fn no_process_is_open_to_its_own_user_or_dumps_core() {
    const NOBODY: u32 = 65534;
    if !memory::is_readable() {
        return;
    }
    let Some(node) = Node::start_with("", Some(NOBODY)).await else {
        eprintln!("another user can't execute the node from here: nothing was checked");
        return;
    };
    let processes = node.processes();
    assert!(processes.len() >= 3, "{processes:?}");
    for pid in processes {
        let user = status(pid, "Uid").unwrap();
        assert!(user.starts_with("65534\t65534"), "{user}");
        // What isn't dumpable belongs to root in /proc, whoever runs it (proc(5)).
        assert_eq!(
            std::fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid(),
            0
        );
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap();
        assert_eq!(
            core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(),
            ["0", "0"]
        );
    }
}

/// Nothing of a request in all that is left of a node that has just died, and nothing said but its number.
async fn assert_only_the_number(node: &mut Node, secrets: &Secrets, how: &str) {
    let status = node.end().await;
    assert_eq!(status.code(), Some(DIED.0), "{how}");
    assert_eq!(node.logged.bytes(), DIED.1, "{how}");
    node.assert_nothing_got_out(secrets);
}

/// Lets a process have so many more bytes.
fn leave_memory(pid: u32, bytes: u64) {
    let size = status(pid, "VmSize").expect("a size");
    let size: u64 = size.trim_end_matches(" kB").parse().unwrap();
    let most = size * 1024 + bytes;
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: the limit outlives the call, and the old one isn't asked for.
    let outcome = unsafe {
        libc::prlimit(
            pid as libc::pid_t,
            libc::RLIMIT_AS,
            &raw const limit,
            std::ptr::null_mut(),
        )
    };
    assert_eq!(outcome, 0, "{}", std::io::Error::last_os_error());
}

/// Says so where a core file would go elsewhere, because then that there is none shows less.
fn can_core_files_be_seen() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "kill -SEGV $$"])
        .current_dir(directory.path());
    // SAFETY: it makes system calls only.
    let status = unsafe { command.pre_exec(allow_core_dumps) }.status().unwrap();
    if !status.core_dumped() || std::fs::read_dir(directory.path()).unwrap().next().is_none() {
        let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern");
        eprintln!(
            "core files aren't written to the working directory here ({pattern:?}): that there are none shows little"
        );
    }
}

/// A panic's text is whatever the code that panicked was given.
#[test]
fn a_panic_says_where_and_not_what() {
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this)
        .args([
            "--exact",
            "endings::panics_with_a_canary",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let mut secrets = Secrets::default();
    secrets.canary("panic");
    assert!(secrets.found_in(&printed).is_empty());
    let printed = String::from_utf8(printed).unwrap();
    let place = "jeju-enclave: panic at enclave/tests/confidentiality/endings.rs:";
    assert_eq!(printed.matches(place).count(), 2, "{printed}");
}

/// Not a test: what [`a_panic_says_where_and_not_what`] looks at from outside.
#[test]
#[ignore = "a part of another test"]
fn panics_with_a_canary() {
    jeju_enclave::fatal::keep_panics_short();
    let prompt = format!("é{}", canary("panic"));
    let ours = std::panic::catch_unwind(|| panic!("{prompt}"));
    // The standard library's own, which quotes the text.
    let cut = std::panic::catch_unwind(|| prompt[1..].len());
    for panic in [ours.map(|()| 0), cut] {
        let text = panic.unwrap_err();
        assert!(text.downcast_ref::<String>().unwrap().contains(&canary("panic")));
    }
    // What the harness makes of a failure isn't looked at.
    std::process::exit(0);
}
