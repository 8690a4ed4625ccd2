//! Commands and shells on terminals.

use jeju_agent_protocol::{Exit, Open, Pty, Size};

use crate::harness::{Said, exec_on_terminal, pty, say, start, until};

#[tokio::test]
async fn a_terminal_has_the_size_that_was_asked_for_and_follows_it() {
    let running = start();
    let command = "stty size; trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.05; done";
    let channel = running.agent.open(exec_on_terminal(command)).await.unwrap();
    let (mut input, mut output) = channel.split();
    assert_eq!(until(&mut output, "ready\r\n").await, "33 111\r\nready\r\n");
    input
        .resize(Size {
            columns: 122,
            rows: 44,
            width_px: 0,
            height_px: 0,
        })
        .await
        .unwrap();
    let said = Said::all(output).await;
    assert_eq!((said.text(), &said.exit), ("44 122\r\n", &Some(Exit::Code(5))));
}

#[tokio::test]
async fn a_terminal_has_a_name_a_type_and_the_modes_that_were_asked_for() {
    let running = start();
    let open = Open::Exec {
        command: "tty; echo $SSH_TTY; echo $TERM; stty -a".to_owned(),
        // VINTR to ^B, no VQUIT, no ECHO, no ONLCR, and one that doesn't exist.
        pty: Some(Pty {
            modes: vec![(1, 2), (2, 255), (53, 0), (72, 0), (36, 1), (99, 1), (129, 38400)],
            ..pty()
        }),
        env: Vec::new(),
    };
    let (_input, output) = running.agent.open(open).await.unwrap().split();
    let said = Said::all(output).await;
    let lines: Vec<_> = said.text().lines().collect();
    assert!(lines[0].starts_with("/dev/pts/"), "{said:?}");
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[2], "xterm-256color");
    for mode in [
        "intr = ^B;",
        "quit = <undef>;",
        " -echo ",
        " -onlcr ",
        " icrnl ",
        " iutf8",
    ] {
        assert!(said.text().contains(mode), "{mode} in {said:?}");
    }
}

#[tokio::test]
async fn a_login_shell_talks() {
    let running = start();
    let shell = Open::Shell {
        pty: Some(pty()),
        env: vec![("PS1".to_owned(), "> ".to_owned())],
    };
    let (mut input, mut output) = running.agent.open(shell).await.unwrap().split();
    say(&mut input, "echo $0 $((6 * 7))\n").await;
    until(&mut output, "-bash 42\r\n").await;
    say(&mut input, "exit 8\n").await;
    assert_eq!(Said::all(output).await.exit, Some(Exit::Code(8)));
}

#[tokio::test]
async fn the_interrupt_key_and_signals_reach_the_foreground() {
    let running = start();
    let interrupted = Exit::Signal {
        name: "INT".to_owned(),
        core: false,
    };
    for by_key in [true, false] {
        let open = exec_on_terminal("echo ready; exec sleep 1000");
        let (mut input, mut output) = running.agent.open(open).await.unwrap().split();
        until(&mut output, "ready\r\n").await;
        match by_key {
            true => say(&mut input, "\x03").await,
            false => input.signal("INT").await.unwrap(),
        }
        assert_eq!(Said::all(output).await.exit, Some(interrupted.clone()));
    }
}

#[tokio::test]
async fn a_terminal_ends_with_its_shell_whoever_holds_it() {
    let running = start();
    let open = exec_on_terminal("trap '' HUP; sleep 1000 & echo $!; exit 2");
    let (_input, output) = running.agent.open(open).await.unwrap().split();
    let said = Said::all(output).await;
    assert_eq!((&said.exit, said.eof), (&Some(Exit::Code(2)), true));
    // SAFETY: kill touches no memory; the process is the one that the shell left behind.
    unsafe { libc::kill(said.text().trim().parse().unwrap(), libc::SIGKILL) };
}

#[tokio::test]
async fn what_a_terminal_said_last_is_not_lost() {
    let running = start();
    for _ in 0..20 {
        let open = exec_on_terminal("seq 20000");
        let (_input, output) = running.agent.open(open).await.unwrap().split();
        let said = Said::all(output).await;
        assert!(said.text().ends_with("19999\r\n20000\r\n"));
        assert_eq!(said.text().lines().count(), 20_000);
    }
}
