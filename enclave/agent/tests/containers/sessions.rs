//! Connections into containers of each kind.

use jeju_agent_protocol::{Event, Exit, Open, OpenCode};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::docker::{Engine, static_agent};
use super::images::{busybox, debian, scratch};
use crate::harness::{Said, eventually, exec, exec_on_terminal, pty, say, until};

fn dial(host: &str) -> Open {
    Open::Dial {
        host: host.to_owned(),
        port: 80,
    }
}

fn shell() -> Open {
    Open::Shell {
        pty: Some(pty()),
        env: Vec::new(),
    }
}

#[test]
fn the_agent_is_as_small_as_promised_and_needs_no_other_file() {
    let bytes = std::fs::read(static_agent()).unwrap();
    assert!(bytes.len() <= 2 << 20, "{} bytes", bytes.len());
    let headers = std::process::Command::new("readelf")
        .args(["-l"])
        .arg(static_agent())
        .output()
        .unwrap();
    let headers = String::from_utf8(headers.stdout).unwrap();
    assert!(
        headers.contains("LOAD") && !headers.contains("INTERP"),
        "{headers}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_a_file_has_commands_sftp_and_no_shell() {
    let engine = Engine::start();
    scratch(&engine);
    engine.container("first", "scratch:test", &[], None, &[]);
    let running = engine.connect("first");
    assert_eq!(running.refused(shell()).await, OpenCode::NoShell);
    assert_eq!(running.refused(exec("ls")).await, OpenCode::NotFound);
    assert_eq!(
        running.refused(exec("/.jeju/state")).await,
        OpenCode::PermissionDenied
    );
    assert_eq!(
        running.refused(exec("'/.jeju/agent")).await,
        OpenCode::InvalidRequest
    );
    assert_eq!(running.refused(exec("  ")).await, OpenCode::InvalidRequest);
    assert_eq!(running.refused(dial("localhost")).await, OpenCode::Refused);
    assert_eq!(running.refused(dial("10.1.2.3")).await, OpenCode::Unreachable);
    assert_eq!(running.refused(dial("nowhere")).await, OpenCode::UnknownHost);
    // The only program there is.
    let said = running.run(r#"/.jeju/agent "no such verb""#).await;
    assert_eq!(said.exit, Some(Exit::Code(2)));
    assert!(said.stderr.starts_with(b"usage: "));
    let (_input, output) = running
        .agent
        .open(exec_on_terminal("/.jeju/agent"))
        .await
        .unwrap()
        .split();
    assert!(Said::all(output).await.text().starts_with("usage: "));
    // SFTP: the greeting, and where it starts.
    let (mut input, mut output) = running.agent.open(Open::Sftp).await.unwrap().split();
    input.write(vec![0, 0, 0, 5, 1, 0, 0, 0, 3].into()).await.unwrap();
    assert!(matches!(output.next().await, Some(Event::Stdout(data)) if data[4..9] == [2, 0, 0, 0, 3]));
    let real_path = vec![0, 0, 0, 10, 16, 0, 0, 0, 9, 0, 0, 0, 1, b'.'];
    input.write(real_path.into()).await.unwrap();
    assert!(
        matches!(output.next().await, Some(Event::Stdout(data)) if data[4..18] == *b"\x68\0\0\0\x09\0\0\0\x01\0\0\0\x01/")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn busybox_has_shells_terminals_and_its_user() {
    let engine = Engine::start();
    busybox(&engine);
    engine.container(
        "first",
        "busybox:test",
        &["-e", "OF_IMAGE=yes"],
        None,
        &["httpd", "-f", "-p", "80", "-h", "/"],
    );
    let running = engine.connect("first");
    let said = running.run("echo $0 $HOME $USER $SHELL $OF_IMAGE; exit 5").await;
    assert_eq!(
        (said.text(), &said.exit),
        ("sh / root /bin/sh yes\n", &Some(Exit::Code(5)))
    );
    let (mut input, mut output) = running.agent.open(shell()).await.unwrap().split();
    say(&mut input, "stty size; echo $TERM-$0\n").await;
    let said = until(&mut output, "xterm-256color--sh\r\n").await;
    assert!(said.contains("33 111"), "{said}");
    say(&mut input, "exit 6\n").await;
    assert_eq!(Said::all(output).await.exit, Some(Exit::Code(6)));
    // A server inside, by its name.
    eventually("the server answers", || {
        let open = running.agent.open(dial("localhost"));
        let opened = tokio::task::block_in_place(|| Handle::current().block_on(open));
        opened
            .map_err(|error| assert_eq!(error.code, OpenCode::Refused))
            .is_ok()
    })
    .await;
    let (mut input, output) = running.agent.open(dial("localhost")).await.unwrap().split();
    say(&mut input, "GET /etc/passwd HTTP/1.0\r\n\r\n").await;
    input.eof().await.unwrap();
    assert!(Said::all(output).await.text().contains("ann:x:1000"));

    // Whatever user the image names is who logs in.
    engine.container(
        "second",
        "busybox:test",
        &["--user", "1000"],
        None,
        &["sh", "-c", "id -u"],
    );
    engine.logged("second", "1000");
    let running = engine.connect("second");
    let said = running.run("echo $USER $HOME; id -u; echo > /etc/x").await;
    assert_eq!(said.text(), "ann /tmp\n1000\n");
    assert!(said.stderr.ends_with(b"Permission denied\n"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn debian_has_bash_and_bulk_passes_unchanged() {
    let engine = Engine::start();
    debian(&engine);
    engine.container(
        "first",
        "debian:test",
        &["--memory", "128m", "--pids-limit", "100"],
        None,
        &["sleep", "1000"],
    );
    let running = engine.connect("first");
    let (mut input, mut output) = running.agent.open(shell()).await.unwrap().split();
    say(&mut input, "stty size; echo $0-$PWD\n").await;
    until(&mut output, "-bash-/root\r\n").await;
    drop((input, output));
    let stalled = running.exec("cat /dev/zero").await;
    let (mut input, output) = running.exec("cat").await.split();
    let reading = tokio::spawn(Said::all(output));
    let bulk: Vec<u8> = (0..16u32 << 20)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let digest = Sha256::digest(&bulk);
    input.write(bulk.into()).await.unwrap();
    input.eof().await.unwrap();
    let said = reading.await.unwrap();
    assert_eq!(
        (said.stdout.len(), Sha256::digest(&said.stdout)),
        (64 << 20, digest)
    );
    drop(stalled);
    // The connection's end leaves nothing behind but the container itself.
    drop(running);
    for _ in 0..200 {
        let all = engine.done(&["top", "first", "-eo", "pid,args"]);
        if !all.contains("serve") && !all.contains("cat") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{}", engine.done(&["top", "first"]));
}
