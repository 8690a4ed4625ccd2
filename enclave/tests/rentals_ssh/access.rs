//! Who gets in, and to which rental.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::{Node, fingerprint, finish, run, until};

#[test]
fn clients_see_the_key_that_quotes_vouch_for() {
    let (node, key) = Node::rented();
    let mut scan = Command::new("ssh-keyscan");
    scan.args(["-p", &node.port.to_string(), "127.0.0.1"]);
    let scanned = run(scan.stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert_eq!(scanned.text(), node.known_hosts_line(), "{}", scanned.stderr);
    let ended = run(node.ssh_with(&key, &["-vvv"]).arg("true"));
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains(&fingerprint(&node.host_key)));
    assert!(
        ended.stderr.contains("will use strict KEX ordering"),
        "{}",
        ended.stderr
    );
    // Another node's key is refused by the client.
    let other = Node::start();
    let line = other
        .known_hosts_line()
        .replace(&other.port.to_string(), &node.port.to_string());
    std::fs::write(node.path("known_hosts"), line).unwrap();
    let ended = run(node.ssh(&key).arg("true"));
    assert_eq!(ended.status, Some(255));
    assert!(
        ended.stderr.contains("HOST IDENTIFICATION HAS CHANGED"),
        "{}",
        ended.stderr
    );
}

#[test]
fn each_kind_of_key_opens_its_rental() {
    let node = Node::start();
    for (rental, kind) in ["ed25519", "ecdsa:256", "ecdsa:384", "ecdsa:521"]
        .into_iter()
        .enumerate()
    {
        let key = node.key(kind);
        node.rent(rental as u8, &key);
        let ended = run(node.ssh(&key).arg("echo in"));
        assert_eq!(
            (ended.status, ended.text()),
            (Some(0), "in\n"),
            "{kind}: {}",
            ended.stderr
        );
    }
    let rsa = node.key("rsa:3072");
    node.rent(9, &rsa);
    let ended = run(node.ssh(&rsa).arg("echo in"));
    assert_eq!((ended.status, ended.text()), (Some(255), ""), "RSA isn't taken");
}

#[test]
fn an_unknown_key_and_one_whose_rental_has_ended_are_refused_alike() {
    let (node, key) = Node::rented();
    assert_eq!(run(node.ssh(&key).arg("true")).status, Some(0));
    node.end(1);
    let ended = run(node.ssh(&key).arg("true"));
    let stranger = run(node.ssh(&node.key("ed25519")).arg("true"));
    assert_eq!(ended.status, Some(255));
    assert_eq!(ended.stderr, "root@127.0.0.1: Permission denied (publickey).\r\n");
    assert_eq!((ended.status, ended.stderr), (stranger.status, stranger.stderr));
    assert_eq!(node.leases.sessions(&[1; 32]), 0);
}

#[test]
fn the_users_name_says_which_rental_is_meant() {
    let (node, key) = Node::rented();
    node.rent(0x22, &key);
    for (user, rental) in [
        ("root", 0x22),
        ("0101010101010101", 1),
        ("0x22222222", 0x22),
        ("any-body", 0x22),
    ] {
        let option = format!("User={user}");
        let ssh = node
            .ssh_with(&key, &["-o", &option])
            .arg("echo $PPID; read line")
            .stdin(Stdio::piped())
            .spawn();
        let mut ssh = ssh.unwrap();
        until("the session", || node.leases.sessions(&[rental; 32]) == 1);
        drop(ssh.stdin.take());
        finish(ssh);
        until("the session's end", || node.leases.sessions(&[rental; 32]) == 0);
    }
}

#[test]
fn passwords_are_not_asked_for() {
    let (node, key) = Node::rented();
    let options = [
        "-o",
        "PubkeyAuthentication=no",
        "-o",
        "PreferredAuthentications=password,keyboard-interactive,hostbased",
        "-o",
        "BatchMode=no",
    ];
    let ended = run(node.ssh_with(&key, &options).arg("true"));
    assert_eq!(ended.status, Some(255));
    assert_eq!(ended.stderr, "root@127.0.0.1: Permission denied (publickey).\r\n");
}

#[test]
fn six_keys_may_be_tried_and_no_more() {
    let (node, key) = Node::rented();
    let wrong: Vec<_> = (0..6)
        .map(|_| node.key("ed25519").display().to_string())
        .collect();
    let with = |count: usize| {
        let mut options = Vec::new();
        wrong[..count].iter().for_each(|key| options.extend(["-i", key]));
        run(node.ssh_with(&key, &options).arg("true"))
    };
    let ended = with(5);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert_eq!(with(6).status, Some(255));
}

#[test]
fn a_rentals_end_closes_its_connections_and_no_other() {
    let (node, key) = Node::rented();
    let other = node.key("ed25519");
    node.rent(2, &other);
    let start = |key| {
        node.ssh(key)
            .arg("echo here; exec cat")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (mut ending, mut staying) = (start(&key), start(&other));
    for (rental, ssh) in [(1, &mut ending), (2, &mut staying)] {
        std::io::Read::read_exact(ssh.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
        assert_eq!(node.leases.sessions(&[rental; 32]), 1);
    }
    node.end(1);
    let told = Instant::now();
    let ended = finish(ending);
    assert_eq!(ended.status, Some(255));
    assert!(ended.stderr.contains("rental ended"), "{}", ended.stderr);
    // The promise is one second; the rest is for a loaded machine.
    assert!(told.elapsed() < Duration::from_secs(10));
    until("the session's end", || {
        node.backend.agents.lock().unwrap().len() == 1
    });
    drop(staying.stdin.take());
    assert_eq!(finish(staying).status, Some(0));
}

#[test]
fn a_rentals_end_closes_the_connection_of_a_client_that_does_not_read() {
    let (node, key) = Node::rented();
    let mut ssh = node.ssh(&key).arg("cat /dev/zero").spawn().unwrap();
    std::io::Read::read_exact(ssh.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
    // Stopped, so that not even the system's buffers are emptied.
    let stopped = Command::new("kill")
        .args(["-STOP", &ssh.id().to_string()])
        .status();
    assert!(stopped.unwrap().success());
    std::thread::sleep(Duration::from_secs(1));
    node.end(1);
    until("the agent's end", || {
        node.backend.agents.lock().unwrap().is_empty()
    });
    ssh.kill().unwrap();
    ssh.wait().unwrap();
}
