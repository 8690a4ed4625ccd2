//! Several channels of one connection, and that each holds up only itself.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;

use crate::fixture::{Node, Running, finish, run};

#[test]
fn sessions_share_a_connection_and_its_agent() {
    let (node, key) = Node::rented();
    let (_master, control) = node.master(&key);
    let sessions: Vec<_> = (0..20)
        .map(|i| {
            let mut ssh = node.ssh_with(&key, &["-o", &control]);
            let session = ssh.arg(format!("sleep 0.2; echo {i}; exit {i}")).spawn().unwrap();
            thread::spawn(move || (i, finish(session)))
        })
        .collect();
    for session in sessions {
        let (i, ended) = session.join().unwrap();
        assert_eq!(
            (ended.status, ended.text()),
            (Some(i), &*format!("{i}\n")),
            "{}",
            ended.stderr
        );
    }
    assert_eq!(node.backend.attached.load(Ordering::Relaxed), 1);
    assert_eq!(node.leases.sessions(&[1; 32]), 1);
}

/// That another session of the connection works: a command, and 20 MB there and back.
fn another_session_works(node: &Node, key: &std::path::Path, control: &str) {
    let ended = run(node.ssh_with(key, &["-o", control]).arg("echo works"));
    assert_eq!(
        (ended.status, ended.text()),
        (Some(0), "works\n"),
        "{}",
        ended.stderr
    );
    let mut cat = node
        .ssh_with(key, &["-o", control])
        .arg("cat")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = cat.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(&vec![7; 20_000_000]).unwrap());
    let ended = finish(cat);
    writer.join().unwrap();
    assert!(ended.stdout.len() == 20_000_000, "{}", ended.stderr);
}

#[test]
fn a_client_that_does_not_read_holds_up_its_own_channel_alone() {
    let (node, key) = Node::rented();
    let (_master, control) = node.master(&key);
    let mut ssh = node.ssh_with(&key, &["-o", &control]);
    let mut slow = Running(ssh.arg("head -c 100000000 /dev/zero").spawn().unwrap());
    let mut stdout = slow.0.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    another_session_works(&node, &key, &control);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), 100_000_000 - 10, "nothing was lost meanwhile");
    assert!(slow.0.wait().unwrap().success());
}

#[test]
fn a_command_that_does_not_read_holds_up_its_own_channel_alone() {
    let (node, key) = Node::rented();
    let (_master, control) = node.master(&key);
    let go = node.path("go");
    let wait = format!(
        "until [ -e {} ]; do sleep 0.1; done; head -c 30000000 | wc -c",
        go.display()
    );
    let zeros = fs::File::open("/dev/zero").unwrap();
    let slow = node
        .ssh_with(&key, &["-o", &control])
        .arg(wait)
        .stdin(zeros)
        .spawn()
        .unwrap();
    another_session_works(&node, &key, &control);
    another_session_works(&node, &key, &control);
    fs::write(&go, "").unwrap();
    let ended = finish(slow);
    assert_eq!(
        (ended.status, ended.text().trim()),
        (Some(0), "30000000"),
        "{}",
        ended.stderr
    );
}

#[test]
fn keys_are_renewed_while_data_goes_both_ways() {
    let (node, key) = Node::rented();
    let mut ssh = node.ssh_with(&key, &["-o", "RekeyLimit=1M", "-v"]);
    let mut cat = ssh.arg("cat").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = cat.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(&vec![9; 20_000_000]).unwrap());
    let ended = finish(cat);
    writer.join().unwrap();
    assert_eq!((ended.status, ended.stdout.len()), (Some(0), 20_000_000));
    let renewed = ended.stderr.matches("rekeying in progress").count()
        + ended.stderr.matches("SSH2_MSG_NEWKEYS received").count();
    assert!(renewed > 5, "{}", ended.stderr);
}

#[test]
fn the_server_renews_keys_after_a_gibibyte_either_way() {
    let (node, key) = Node::rented();
    let len = 1_200_000_000u64;
    let mut zeros = Command::new("head");
    zeros
        .args(["-c", &len.to_string(), "/dev/zero"])
        .stdout(Stdio::piped());
    let mut zeros = Running(zeros.spawn().unwrap());
    let mut ssh = node.ssh_with(&key, &["-v", "-c", "aes256-gcm@openssh.com"]);
    let mut cat = ssh
        .arg("cat")
        .stdin(zeros.0.stdout.take().unwrap())
        .spawn()
        .unwrap();
    let mut stdout = cat.stdout.take().unwrap();
    let counter = thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()).unwrap());
    let ended = finish(cat);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert_eq!(counter.join().unwrap(), len);
    assert!(
        ended.stderr.matches("SSH2_MSG_NEWKEYS received").count() > 1,
        "{}",
        ended.stderr
    );
}

#[test]
fn every_cipher_and_key_exchange_works_and_no_other() {
    let (node, key) = Node::rented();
    for cipher in [
        "chacha20-poly1305@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-gcm@openssh.com",
    ] {
        let ended = run(node
            .ssh_with(&key, &["-c", cipher])
            .arg("head -c 1000000 /dev/zero"));
        assert_eq!(
            (ended.status, ended.stdout.len()),
            (Some(0), 1_000_000),
            "{}",
            ended.stderr
        );
    }
    for exchange in ["curve25519-sha256", "curve25519-sha256@libssh.org"] {
        let option = format!("KexAlgorithms={exchange}");
        let ended = run(node.ssh_with(&key, &["-o", &option]).arg("true"));
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    }
    for option in [
        "Ciphers=aes256-ctr,aes128-ctr,aes256-cbc,3des-cbc",
        "KexAlgorithms=diffie-hellman-group14-sha256,ecdh-sha2-nistp256,diffie-hellman-group-exchange-sha256",
        "HostKeyAlgorithms=ecdsa-sha2-nistp256,rsa-sha2-512",
    ] {
        let ended = run(node.ssh_with(&key, &["-o", option]).arg("true"));
        assert_eq!(ended.status, Some(255));
        assert!(ended.stderr.contains("Unable to negotiate"), "{}", ended.stderr);
    }
}
