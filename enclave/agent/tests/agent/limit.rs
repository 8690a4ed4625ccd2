//! Commands with a limit.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::harness::AGENT;

fn run(limit: &str, command: &[&str]) -> Output {
    Command::new(AGENT)
        .args(["run", limit, "--"])
        .args(command)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Processes whose command line has this word.
fn with(word: &str) -> usize {
    let lines = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).into_owned())
    });
    lines
        .filter(|line| line.split('\0').any(|part| part == word))
        .count()
}

#[test]
fn a_command_that_ends_in_time_is_as_without_a_limit() {
    let done = run("60", &["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(
        (done.status.code(), &done.stdout[..], &done.stderr[..]),
        (Some(7), &b"out\n"[..], &b"err\n"[..])
    );
    let killed = run("60", &["sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.status.code(), Some(137));
    let missing = run("60", &["/no/such"]);
    assert_eq!(missing.status.code(), Some(127));
    assert!(missing.stderr.starts_with(b"jeju: /no/such can't be started"));
    assert_eq!(run("60", &["/"]).status.code(), Some(126));
    // A program's own options are its own.
    assert_eq!(run("60", &["echo", "--", "-n"]).stdout, b"-- -n\n");
    assert_eq!(run("0", &["true"]).status.code(), Some(2));
}

#[test]
fn nothing_is_left_of_a_command_that_takes_too_long() {
    // In the background, in a session of its own, without a parent, deaf to signals, and stopped.
    let script = "sleep 4242.1 & setsid sleep 4242.1 & (setsid sleep 4242.1 & exit 0); \
                  (trap '' TERM HUP; sleep 4242.1) & sleep 4242.1 & kill -STOP $!; echo begun; sleep 4242.1";
    // A loaded machine may not get so far within a second.
    let begun = [1, 4, 16].into_iter().any(|limit| {
        let started = Instant::now();
        let done = run(&limit.to_string(), &["sh", "-c", script]);
        assert_eq!(done.status.code(), Some(124));
        let told = format!("jeju: the command was stopped after {limit} s\n");
        assert_eq!(done.stderr, told.as_bytes());
        assert_eq!(with("4242.1"), 0);
        assert!(started.elapsed() < Duration::from_secs(limit + 30));
        done.stdout == b"begun\n"
    });
    assert!(begun);
}

#[test]
fn a_command_that_makes_ever_new_processes_is_ended_too() {
    // Each makes the next one and goes away. Three at a time; a whole bomb would be this machine's, too.
    let script = "f() { sleep 0.01; f & }; f & f & f & sleep 4243.1";
    let done = run("1", &["sh", "-c", script]);
    assert_eq!(done.status.code(), Some(124));
    assert_eq!(with(script), 0);
}
