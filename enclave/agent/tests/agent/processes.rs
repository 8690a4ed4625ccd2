//! Commands and shells on pipes.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use jeju_agent_protocol::{Event, Exit, Open, OpenCode};

use crate::harness::{Said, eventually, exec, say, start, until};

#[tokio::test]
async fn a_command_has_its_two_outputs_and_its_exit_code() {
    let running = start();
    let said = running.run("echo out; echo err >&2; exit 42").await;
    assert_eq!((said.text(), said.stderr.as_slice()), ("out\n", &b"err\n"[..]));
    assert_eq!((said.exit, said.eof), (Some(Exit::Code(42)), true));
    assert_eq!(running.run("true").await.exit, Some(Exit::Code(0)));
    assert_eq!(running.run("/no/such/program").await.exit, Some(Exit::Code(127)));
}

#[tokio::test]
async fn a_command_that_a_signal_ends_says_which() {
    let running = start();
    for (name, listed) in [
        ("TERM", "TERM"),
        ("KILL", "KILL"),
        ("SEGV", "SEGV"),
        ("XCPU", "SIG@24"),
    ] {
        let said = running.run(&format!("ulimit -c 0; kill -{name} $$")).await;
        let exit = Exit::Signal {
            name: listed.to_owned(),
            core: false,
        };
        assert_eq!(said.exit, Some(exit));
    }
}

#[tokio::test]
async fn a_core_dump_is_told_as_the_system_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let command = format!(
        "cd {}; ulimit -c unlimited; kill -ABRT $$",
        folder.path().display()
    );
    let by_system = std::process::Command::new("sh")
        .args(["-c", &command])
        .status()
        .unwrap();
    let said = start().run(&command).await;
    let exit = Exit::Signal {
        name: "ABRT".to_owned(),
        core: by_system.core_dumped(),
    };
    assert_eq!(said.exit, Some(exit));
}

#[tokio::test]
async fn signals_reach_the_command() {
    let running = start();
    for signal in ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "ALRM"] {
        let command =
            format!("trap 'echo got {signal}; exit 3' {signal}; echo ready; while :; do sleep 0.02; done");
        let (mut input, mut output) = running.exec(&command).await.split();
        until(&mut output, "ready\n").await;
        input.signal(signal).await.unwrap();
        let said = Said::all(output).await;
        assert!(said.text().ends_with(&format!("got {signal}\n")), "{said:?}");
        assert_eq!(said.exit, Some(Exit::Code(3)));
    }
}

#[tokio::test]
async fn a_signal_reaches_the_whole_group() {
    let running = start();
    let command = "trap 'wait; echo leader; exit 3' TERM; (trap 'echo child; exit' TERM; echo ready; while :; do sleep 0.02; done) & wait";
    let (mut input, mut output) = running.exec(command).await.split();
    until(&mut output, "ready\n").await;
    input.signal("TERM").await.unwrap();
    let said = Said::all(output).await;
    assert_eq!(
        (said.text(), &said.exit),
        ("child\nleader\n", &Some(Exit::Code(3)))
    );
}

#[tokio::test]
async fn the_end_of_input_reaches_the_command_which_goes_on() {
    let running = start();
    let (mut input, output) = running.exec("wc -c; echo after; exit 9").await.split();
    for _ in 0..10 {
        input.write(vec![b'x'; 100_000].into()).await.unwrap();
    }
    input.eof().await.unwrap();
    let said = Said::all(output).await;
    assert_eq!(
        said.text().split_whitespace().collect::<Vec<_>>(),
        ["1000000", "after"]
    );
    assert_eq!(said.exit, Some(Exit::Code(9)));
}

#[tokio::test]
async fn input_that_nobody_reads_does_not_keep_a_command_from_ending() {
    let running = start();
    let (mut input, output) = running.exec("exec <&-; echo done").await.split();
    let writing = tokio::spawn(async move { while input.write(vec![0; 1 << 20].into()).await.is_ok() {} });
    let said = Said::all(output).await;
    assert_eq!((said.text(), &said.exit), ("done\n", &Some(Exit::Code(0))));
    writing.await.unwrap();
}

#[tokio::test]
async fn a_closed_channel_hangs_up_what_it_started() {
    let running = start();
    let folder = tempfile::tempdir().unwrap();
    let (mark, group) = (folder.path().join("hup"), folder.path().join("group"));
    let command = format!(
        "exec 2>/dev/null; trap 'echo > {}; exit' HUP; echo $$ > {}; echo ready; while :; do sleep 0.02; done",
        mark.display(),
        group.display()
    );
    let (input, mut output) = running.exec(&command).await.split();
    until(&mut output, "ready\n").await;
    drop((input, output));
    eventually("the trap runs", || mark.exists()).await;
    let leader = std::fs::read_to_string(group).unwrap();
    eventually("the shell ends", || {
        !Path::new("/proc").join(leader.trim()).exists()
    })
    .await;
}

#[tokio::test]
async fn the_end_of_the_connection_hangs_up_everything() {
    let mut running = start();
    let folder = tempfile::tempdir().unwrap();
    let mut channels = Vec::new();
    let marks: Vec<_> = (0..5).map(|n| folder.path().join(n.to_string())).collect();
    for mark in &marks {
        let command = format!(
            "exec 2>/dev/null; trap 'echo > {}; exit' HUP; echo ready; while :; do sleep 0.02; done",
            mark.display()
        );
        let (input, mut output) = running.exec(&command).await.split();
        until(&mut output, "ready\n").await;
        channels.push((input, output));
    }
    running.driver.abort();
    eventually("all traps run", || marks.iter().all(|mark| mark.exists())).await;
    assert!(running.child.wait().await.unwrap().success());
}

#[tokio::test]
async fn an_agent_that_is_killed_leaves_no_session_behind() {
    let mut running = start();
    let (_input, mut output) = running.exec("echo $$; exec sleep 1000").await.split();
    let pid = until(&mut output, "\n").await;
    running.child.kill().await.unwrap();
    eventually("the command ends", || {
        !Path::new("/proc").join(pid.trim()).exists()
    })
    .await;
    assert!(running.driver.await.unwrap().is_ok());
}

#[tokio::test]
async fn the_exit_does_not_wait_for_who_holds_the_output() {
    let running = start();
    // What holds the output ends with the input.
    let command = "exec 3<&0; cat <&3 & echo $!; exit 4";
    let (mut input, mut output) = running.exec(command).await.split();
    let mut events = Vec::new();
    while let Some(event) = output.next().await {
        if matches!(event, Event::Exit(_)) {
            input.eof().await.unwrap();
        }
        events.push(event);
    }
    assert!(matches!(&events[0], Event::Stdout(_)));
    assert_eq!(events[1..], [Event::Exit(Exit::Code(4)), Event::Eof]);
}

#[tokio::test]
async fn a_session_has_the_users_variables_and_those_it_asks_for() {
    let running = start();
    let open = Open::Exec {
        command: "echo $HOME:$USER:$LOGNAME:$SHELL:$LANG:${TERM-none}; pwd".to_owned(),
        pty: None,
        env: vec![
            ("LANG".to_owned(), "de DE".to_owned()),
            ("TERM".to_owned(), "x".to_owned()),
        ],
    };
    let (_input, output) = running.agent.open(open).await.unwrap().split();
    let said = Said::all(output).await;
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let root: Vec<_> = passwd.lines().next().unwrap().split(':').collect();
    let (name, home, shell) = (root[0], root[5], root[6]);
    assert_eq!(
        said.text(),
        format!("{home}:{name}:{name}:{shell}:de DE:x\n{home}\n")
    );
}

#[tokio::test]
async fn a_shell_without_a_terminal_reads_its_commands_from_input() {
    let running = start();
    let shell = Open::Shell {
        pty: None,
        env: Vec::new(),
    };
    let (mut input, output) = running.agent.open(shell).await.unwrap().split();
    say(&mut input, "echo $0\nexit 6\n").await;
    let said = Said::all(output).await;
    assert!(said.text().contains("-bash"), "{said:?}");
    assert_eq!(said.exit, Some(Exit::Code(6)));
}

#[tokio::test]
async fn no_zombie_stays_when_channels_are_closed_early() {
    let running = start();
    for _ in 0..50 {
        drop(running.exec("sleep 1000").await);
    }
    let agent = running.child.id().unwrap();
    let children = || {
        let path = format!("/proc/{agent}/task/{agent}/children");
        std::fs::read_to_string(path).unwrap().split_whitespace().count()
    };
    eventually("all children are reaped", || children() == 0).await;
}

#[tokio::test]
async fn a_command_that_cannot_be_carried_is_refused() {
    let running = start();
    assert_eq!(running.refused(exec("a\0b")).await, OpenCode::InvalidRequest);
}
