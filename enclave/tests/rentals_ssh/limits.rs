//! Connections that never log in.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::fixture::{Node, finish, run, until};

/// A connection that says nothing more than this.
fn half_open(node: &Node, says: &[u8]) -> UnixStream {
    let mut stream = loop {
        match UnixStream::connect(node.path("2222.sock")) {
            Ok(stream) => break stream,
            // The backlog is full for a moment.
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let _ = stream.write_all(says);
    stream
}

/// Whether the server has closed it, after what it says.
fn is_closed(stream: &mut UnixStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return true,
            Ok(_) => (),
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn five_hundred_half_open_connections_keep_nobody_out() {
    let (node, key) = Node::rented();
    let mut session = node
        .ssh(&key)
        .arg("echo here; exec cat")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    session.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    let mut open: Vec<_> = (0..500)
        .map(|i| half_open(&node, if i % 2 == 0 { b"" } else { b"SSH-2.0-nobody\r\n" }))
        .collect();
    let ended = run(node.ssh(&key).arg("echo in"));
    assert_eq!(
        (ended.status, ended.text()),
        (Some(0), "in\n"),
        "{}",
        ended.stderr
    );
    until("all but 128 to be closed", || {
        open.retain_mut(|stream| !is_closed(stream));
        open.len() <= 128
    });
    session.stdin.take().unwrap().write_all(b"still").unwrap();
    let ended = finish(session);
    assert_eq!(
        (ended.status, ended.text()),
        (Some(0), "still"),
        "{}",
        ended.stderr
    );
}

#[test]
fn who_does_not_log_in_is_closed_after_20_seconds() {
    let (node, _) = Node::rented();
    let mut silent = [half_open(&node, b""), half_open(&node, b"SSH-2.0-nobody\r\n")];
    let start = Instant::now();
    until("their end", || silent.iter_mut().all(is_closed));
    assert!(start.elapsed() > Duration::from_secs(15));
}

#[test]
fn what_is_not_ssh_is_closed_at_once() {
    let (node, key) = Node::rented();
    let long = [b'x'; 300];
    let kexinit_of_nothing = b"SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x14aaaaaaaaaa";
    let huge_packet = b"SSH-2.0-x\r\n\xff\xff\xff\xff\x0a\x14aaaaaaaaaa";
    for says in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &long,
        b"SSH-1.5-old\r\n",
        kexinit_of_nothing,
        huge_packet,
    ] {
        let mut stream = half_open(&node, says);
        until("its end", || is_closed(&mut stream));
    }
    assert_eq!(run(node.ssh(&key).arg("true")).status, Some(0));
}

/// By all connections of a rental together, each way; another rental's isn't counted.
#[test]
fn sessions_of_a_rental_share_the_bandwidth_that_was_rented() {
    let node = Node::start();
    let (key, other) = (node.key("ed25519"), node.key("ed25519"));
    // 2 MB/s, of which half a MB at once.
    node.rent_at(1, &key, 16);
    node.rent(2, &other);
    let started = Instant::now();
    let fetch = |key: &Path| node.ssh(key).arg("head -c 1500000 /dev/zero").spawn().unwrap();
    let fetches = [fetch(&key), fetch(&key)];
    let unlimited = finish(
        node.ssh(&other)
            .arg("head -c 20000000 /dev/zero")
            .spawn()
            .unwrap(),
    );
    assert_eq!(unlimited.stdout.len(), 20_000_000, "{}", unlimited.stderr);
    for fetch in fetches {
        let ended = finish(fetch);
        assert_eq!(ended.stdout.len(), 1_500_000, "{}", ended.stderr);
    }
    assert!(
        started.elapsed() >= Duration::from_millis(1200),
        "{:?}",
        started.elapsed()
    );
    let mut wc = node.ssh(&key).arg("wc -c").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = wc.stdin.take().unwrap();
    let started = Instant::now();
    let writer = thread::spawn(move || stdin.write_all(&vec![7; 3_000_000]).unwrap());
    let ended = finish(wc);
    writer.join().unwrap();
    assert_eq!(ended.text().trim(), "3000000", "{}", ended.stderr);
    assert!(
        started.elapsed() >= Duration::from_millis(1200),
        "{:?}",
        started.elapsed()
    );
}
