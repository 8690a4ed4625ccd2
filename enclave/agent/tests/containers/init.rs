//! The first process: start-up script, the image's command, what is left behind, and the end.

use super::docker::Engine;
use super::images::{busybox, scratch};

#[test]
fn the_script_runs_once_however_often_the_container_starts() {
    let engine = Engine::start();
    busybox(&engine);
    let script = "#!/bin/sh\necho to-out; echo to-err >&2\necho x >> /ran\nprintf '\\033[1m%s' raw\n";
    engine.container(
        "first",
        "busybox:test",
        &[],
        Some(script),
        &["sh", "-c", "echo command $(cat /ran)"],
    );
    engine.logged("first", "command x");
    // The engine copies each of two streams when it comes to it.
    for part in ["to-out\n", "to-err\n", "\x1b[1mraw"] {
        engine.logged("first", part);
    }
    assert!(
        engine.is_running("first"),
        "it stays when the image's command has ended"
    );
    for _ in 0..2 {
        engine.done(&["restart", "-t", "20", "first"]);
    }
    assert_eq!(engine.done(&["exec", "first", "cat", "/ran"]), "x\n");

    // Killed while it runs, it doesn't run again either.
    let script = "#!/bin/sh\necho x >> /ran\necho begun\nsleep 1000\n";
    engine.container(
        "second",
        "busybox:test",
        &[],
        Some(script),
        &["sh", "-c", "echo command"],
    );
    engine.logged("second", "begun");
    assert!(
        !engine.done(&["logs", "second"]).contains("command"),
        "the script comes first"
    );
    engine.done(&["kill", "second"]);
    engine.done(&["start", "second"]);
    engine.logged("second", "command");
    assert_eq!(engine.done(&["exec", "second", "cat", "/ran"]), "x\n");
}

#[test]
fn what_cannot_be_started_is_said_and_ends_nothing() {
    let engine = Engine::start();
    scratch(&engine);
    busybox(&engine);
    // Without a shell, a script of a shell can't run.
    engine.container(
        "first",
        "scratch:test",
        &[],
        Some("#!/bin/sh\ntrue\n"),
        &["/no/such/program"],
    );
    let log = engine.logged(
        "first",
        "the image's command /no/such/program can't be started: No such file",
    );
    assert!(
        log.contains("the start-up script can't be started: No such file"),
        "{log}"
    );
    assert!(engine.is_running("first"));
    // Without `#!`, a shell takes it; a failure is said.
    engine.container(
        "second",
        "busybox:test",
        &[],
        Some("echo by-shell\nexit 3\n"),
        &["sh", "-c", "exit 4"],
    );
    for part in [
        "by-shell\n",
        "the start-up script ended: exit status: 3",
        "the image's command ended: exit status: 4",
    ] {
        engine.logged("second", part);
    }
    assert!(engine.is_running("second"));
    // Where nothing can be written, nothing can be remembered.
    let unwritable = ["--tmpfs", "/.jeju/state:ro"];
    let script = Some("#!/bin/sh\necho ran\n");
    engine.container(
        "third",
        "busybox:test",
        &unwritable,
        script,
        &["sh", "-c", "echo command"],
    );
    engine.logged("third", "command");
    let log = engine.logged("third", "the start-up script isn't run, because");
    assert!(!log.contains("ran\n"), "{log}");
    // No command at all.
    engine.container("fourth", "scratch:test", &[], None, &[]);
    assert!(engine.is_running("fourth"));
}

#[test]
fn no_zombie_is_left() {
    let engine = Engine::start();
    busybox(&engine);
    let orphans = "for n in 1 2 3 4 5 6 7 8 9 10; do setsid sh -c 'sleep 0.1 & exit' & done; wait; echo made; sleep 1000";
    engine.container("first", "busybox:test", &[], None, &["sh", "-c", orphans]);
    engine.logged("first", "made");
    let zombies = || {
        let all = engine.done(&["exec", "first", "ps", "-o", "pid,stat,args"]);
        all.lines().skip(1).filter(|line| line.contains(" Z")).count()
    };
    for _ in 0..200 {
        let sleepers = engine.done(&["exec", "first", "ps", "-o", "args"]);
        if zombies() == 0 && !sleepers.lines().any(|line| line.starts_with("sleep 0.1")) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{}", engine.done(&["exec", "first", "ps"]));
}

#[test]
fn a_stop_asks_before_it_kills() {
    let engine = Engine::start();
    busybox(&engine);
    // One that obeys, and says so.
    let polite = "trap 'echo leaving; exit' TERM; echo up; while :; do sleep 0.05; done";
    engine.container("first", "busybox:test", &[], None, &["sh", "-c", polite]);
    engine.logged("first", "up");
    engine.done(&["stop", "-t", "60", "first"]);
    engine.logged("first", "leaving");
    assert_eq!(engine.exit_code("first"), "0");
    // One that doesn't: by the first process, before Docker's own time is over, whose kill would say 137.
    engine.container(
        "second",
        "busybox:test",
        &[],
        None,
        &["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"],
    );
    engine.logged("second", "up");
    engine.done(&["stop", "-t", "60", "second"]);
    assert_eq!(engine.exit_code("second"), "0");
    // While the script runs.
    engine.container(
        "third",
        "busybox:test",
        &[],
        Some("#!/bin/sh\necho up\nsleep 1000\n"),
        &["sh", "-c", "echo command"],
    );
    engine.logged("third", "up");
    engine.done(&["stop", "-t", "60", "third"]);
    assert_eq!(engine.exit_code("third"), "0");
    assert!(!engine.done(&["logs", "third"]).contains("command"));
}
