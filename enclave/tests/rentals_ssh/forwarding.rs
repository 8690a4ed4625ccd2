//! Connections to services in the container (`-L`), and the kinds of forwarding that there aren't.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use crate::fixture::{Node, Running, run, until};

/// Sends back what comes, and ends when the other end does.
pub fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || {
                std::io::copy(&mut &stream, &mut &stream).unwrap();
                (&stream).write_all(b"end").unwrap();
            });
        }
    });
    port
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn a_local_port_leads_to_a_service_and_its_ends_close_one_by_one() {
    let (node, key) = Node::rented();
    let (near, far) = (free_port(), echo());
    let forward = format!("127.0.0.1:{near}:localhost:{far}");
    let _ssh = Running(node.ssh_with(&key, &["-N", "-L", &forward]).spawn().unwrap());
    until("the forwarded port", || {
        TcpStream::connect(("127.0.0.1", near)).is_ok()
    });
    let clients: Vec<_> = (0..8u8)
        .map(|i| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(("127.0.0.1", near)).unwrap();
                let sent = vec![i; 1_000_000];
                let mut writer = stream.try_clone().unwrap();
                let typed = sent.clone();
                let writing = thread::spawn(move || {
                    writer.write_all(&typed).unwrap();
                    writer.shutdown(Shutdown::Write).unwrap();
                });
                let mut back = Vec::new();
                stream.read_to_end(&mut back).unwrap();
                writing.join().unwrap();
                assert!(back.strip_suffix(b"end").unwrap() == sent);
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn a_service_that_is_not_there_is_a_failed_channel() {
    let (node, key) = Node::rented();
    let closed = free_port();
    for (target, why) in [
        (format!("127.0.0.1:{closed}"), "refused"),
        ("nowhere.invalid:80".to_owned(), "nowhere.invalid"),
        ("127.0.0.1:70000".to_owned(), ""),
        ("127.0.0.1:0".to_owned(), ""),
    ] {
        let mut ssh = node.ssh_with(&key, &["-W", &target]);
        let ended = run(&mut ssh);
        assert_ne!(ended.status, Some(0), "{target}");
        assert!(ended.stderr.contains(why), "{target}: {}", ended.stderr);
    }
}

#[test]
fn listening_for_the_client_is_refused() {
    let (node, key) = Node::rented();
    let remote = format!("{}:127.0.0.1:1", free_port());
    let mut ssh = node.ssh_with(&key, &["-o", "ExitOnForwardFailure=yes", "-R", &remote]);
    let ended = run(ssh.arg("true"));
    assert_eq!(ended.status, Some(255));
    assert!(
        ended.stderr.contains("remote port forwarding failed"),
        "{}",
        ended.stderr
    );
    // Without that option the session goes on.
    let ended = run(node.ssh_with(&key, &["-R", &remote]).arg("true"));
    assert_eq!(ended.status, Some(0));
}

#[test]
fn an_authentication_agent_is_not_forwarded() {
    let (node, key) = Node::rented();
    let socket = node.path("ssh-agent");
    let _agent = Running(
        Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .spawn()
            .unwrap(),
    );
    until("ssh-agent", || socket.exists());
    let mut ssh = node.ssh_with(&key, &["-A"]);
    ssh.env("SSH_AUTH_SOCK", &socket);
    let ended = run(ssh.arg("echo [$SSH_AUTH_SOCK]"));
    assert_eq!(
        (ended.status, ended.text()),
        (Some(0), "[]\n"),
        "{}",
        ended.stderr
    );
}
