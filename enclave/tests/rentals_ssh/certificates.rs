//! Certificates that a renter's key signed: who gets in with them, to do what, and until when.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use russh::{ChannelOpenFailure, Error};

use crate::fixture::{Ended, Node, Running, finish, now, run, until};
use crate::forwarding::{echo, free_port};
use crate::raw::{login, login_certified};

/// The first rental's id, as everything shows it.
pub const RENTAL: &str = "0x0101010101010101010101010101010101010101010101010101010101010101";

/// A node with one rental, the key that opens it, and another's.
pub fn with_guest() -> (Node, PathBuf, PathBuf) {
    let (node, renter) = Node::rented();
    let guest = node.key("ed25519");
    (node, renter, guest)
}

/// `ssh` with a key and its certificate.
pub fn ssh(node: &Node, key: &Path, certificate: &Path, options: &[&str]) -> Command {
    let certificate = format!("CertificateFile={}", certificate.display());
    let mut all = vec!["-o", &*certificate];
    all.extend(options);
    node.ssh_with(key, &all)
}

fn is_in(ended: &Ended) {
    let (status, text) = (ended.status, ended.text());
    assert_eq!((status, text), (Some(0), "in\n"), "{}", ended.stderr);
}

#[test]
fn each_kind_of_key_lets_each_kind_in() {
    let node = Node::start();
    let kinds = ["ed25519", "ecdsa:256", "ecdsa:384", "ecdsa:521"];
    let guests = kinds.map(|kind| node.key(kind));
    for (rental, kind) in kinds.into_iter().enumerate() {
        let renter = node.key(kind);
        node.rent(rental as u8, &renter);
        for (guest, principal) in guests.iter().zip([
            hex::encode([rental as u8; 32]),
            format!("0x{}", hex::encode([rental as u8; 32])),
            hex::encode_upper([rental as u8; 32]),
            format!("root,0x{}", hex::encode_upper([rental as u8; 32])),
        ]) {
            let certificate = node.certify(&renter, guest, &["-n", &principal, "-V", "+2h"]);
            is_in(&run(ssh(&node, guest, &certificate, &[]).arg("echo in")));
        }
    }
    // By themselves these keys are nobody's.
    let ended = run(node.ssh(&guests[0]).arg("echo in"));
    assert_eq!(ended.status, Some(255), "{}", ended.stderr);
}

#[test]
fn a_guest_does_what_the_renter_does() {
    let (node, renter, guest) = with_guest();
    let certificate = node.certify(&renter, &guest, &["-n", RENTAL, "-V", "+2h"]);
    let file = format!("CertificateFile={}", certificate.display());
    let terminal = ["-tt", "-o", "LogLevel=QUIET"];
    let ended = run(ssh(&node, &guest, &certificate, &terminal).arg("test -t 0 && echo terminal"));
    assert_eq!(
        (ended.status, ended.text()),
        (Some(0), "terminal\r\n"),
        "{}",
        ended.stderr
    );
    let ended = sftp(&node, &guest, &certificate);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);

    let (near, far) = (free_port(), echo());
    let forward = format!("127.0.0.1:{near}:localhost:{far}");
    let options = ["-o", &file, "-N", "-L", &forward];
    let _ssh = Running(node.ssh_with(&guest, &options).spawn().unwrap());
    until("the forwarded port", || {
        TcpStream::connect(("127.0.0.1", near)).is_ok()
    });
    assert_eq!(answer(near), "hello, end");
}

/// Lists a folder.
fn sftp(node: &Node, key: &Path, certificate: &Path) -> Ended {
    let batch = node.path("batch");
    fs::write(&batch, "ls /\n").unwrap();
    let mut sftp = Command::new("sftp");
    sftp.arg("-b").arg(&batch);
    sftp.arg(format!("-oCertificateFile={}", certificate.display()));
    sftp.args(node.options(key)).arg("127.0.0.1");
    sftp.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    run(&mut sftp)
}

/// What comes back through a port.
fn answer(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"hello, ").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).unwrap();
    back
}

/// What a gateway is given.
fn for_services(node: &Node, renter: &Path, key: &Path, services: &str) -> PathBuf {
    let option = format!("critical:permitopen@jeju.network={services}");
    let arguments = ["-n", RENTAL, "-V", "+2h", "-O", "clear"];
    let mut all = arguments.to_vec();
    all.extend(["-O", "permit-port-forwarding", "-O", &option]);
    node.certify(renter, key, &all)
}

#[test]
fn a_certificate_for_services_dials_them_and_does_nothing_else() {
    let (node, renter, gateway) = with_guest();
    let (port, other) = (echo(), echo());
    let services = format!("localhost:{port},[::1]:{}", free_port());
    let certificate = for_services(&node, &renter, &gateway, &services);
    let dial = |host: &str, port: u16| {
        let target = format!("{host}:{port}");
        run(&mut ssh(&node, &gateway, &certificate, &["-W", &target]))
    };
    let ended = dial("localhost", port);
    assert_eq!((ended.status, ended.text()), (Some(0), "end"), "{}", ended.stderr);
    let prohibited = |ended: Ended| {
        assert_ne!(ended.status, Some(0));
        let stderr = ended.stderr;
        assert!(stderr.contains("administratively prohibited"), "{stderr}");
    };
    for (host, port) in [("localhost", other), ("127.0.0.1", port), ("LOCALHOST", port)] {
        prohibited(dial(host, port));
    }
    let with = |options: &[&str]| ssh(&node, &gateway, &certificate, options);
    prohibited(run(with(&[]).arg("true")));
    prohibited(run(&mut with(&["-tt"])));
    prohibited(run(&mut with(&["-T"])));
    prohibited(run(with(&["-s"]).arg("sftp")));
    prohibited(sftp(&node, &gateway, &certificate));
    let remote = format!("{}:127.0.0.1:1", free_port());
    let options = ["-N", "-o", "ExitOnForwardFailure=yes", "-R", &remote];
    assert_eq!(run(&mut with(&options)).status, Some(255));
    // Of one connection, what is refused leaves the rest as it is.
    let (near, wrong) = (free_port(), free_port());
    let [forward, refused] =
        [(near, port), (wrong, other)].map(|(near, far)| format!("127.0.0.1:{near}:localhost:{far}"));
    let forwards = ["-N", "-L", &forward, "-L", &refused];
    let _ssh = Running(with(&forwards).spawn().unwrap());
    until("the forwarded ports", || {
        let open = |port| TcpStream::connect(("127.0.0.1", port)).is_ok();
        open(near) && open(wrong)
    });
    for _ in 0..3 {
        let mut nothing = Vec::new();
        let mut stream = TcpStream::connect(("127.0.0.1", wrong)).unwrap();
        // Closed without a word, or reset.
        let _ = stream.read_to_end(&mut nothing);
        assert!(nothing.is_empty());
        assert_eq!(answer(near), "hello, end");
    }
}

#[test]
fn no_request_on_a_connection_for_services_gets_further() {
    let (node, renter, gateway) = with_guest();
    let port = echo();
    let certificate = for_services(&node, &renter, &gateway, &format!("localhost:{port}"));
    node.runtime.block_on(async {
        let (handle, _) = login_certified(&node, &gateway, &certificate).await.unwrap();
        let port = u32::from(port);
        for (host, port) in [("localhost", port + 65536), ("localhost", 0), ("", port)] {
            let refused = handle.channel_open_direct_tcpip(host, port, "", 0).await;
            prohibited(refused.map(|_| ()));
        }
        prohibited(handle.channel_open_session().await.map(|_| ()));
        prohibited(handle.channel_open_x11("127.0.0.1", 1).await.map(|_| ()));
        let socket = handle.channel_open_direct_streamlocal("/run/docker.sock").await;
        prohibited(socket.map(|_| ()));
        assert!(handle.tcpip_forward("127.0.0.1", 0).await.is_err());
        assert!(handle.streamlocal_forward("/tmp/socket").await.is_err());
        let opened = handle.channel_open_direct_tcpip("localhost", port, "", 0).await;
        assert!(opened.is_ok());
    });
}

fn prohibited(outcome: Result<(), Error>) {
    let why = ChannelOpenFailure::AdministrativelyProhibited;
    assert!(
        matches!(&outcome, Err(Error::ChannelOpenFailure(reason)) if *reason == why),
        "{outcome:?}"
    );
}

#[test]
fn what_a_certificate_leaves_out_is_refused() {
    let (node, renter, guest) = with_guest();
    let service = format!("localhost:{}", echo());
    let cleared = ["-O", "clear"];
    let services = format!("critical:permitopen@jeju.network={service}");
    for (options, terminal, dials, runs) in [
        (&["-O", "no-pty"][..], false, true, true),
        (&["-O", "no-port-forwarding"], true, false, true),
        (&cleared, false, false, true),
        (
            &["-O", "clear", "-O", "extension:x@example.org=y"],
            false,
            false,
            true,
        ),
        (
            &["-O", "no-port-forwarding", "-O", &services],
            false,
            false,
            false,
        ),
    ] {
        let mut arguments = vec!["-n", RENTAL, "-V", "+2h"];
        arguments.extend(options);
        let certificate = node.certify(&renter, &guest, &arguments);
        let with = |options: &[&str]| ssh(&node, &guest, &certificate, options);
        let has_terminal = run(with(&["-tt"]).arg("test -t 0")).status == Some(0);
        let has_dialled = run(&mut with(&["-W", &service])).status == Some(0);
        let has_run = run(with(&[]).arg("true")).status == Some(0);
        let expected = (terminal, dials, runs);
        assert_eq!((has_terminal, has_dialled, has_run), expected, "{options:?}");
    }
}

#[test]
fn the_users_name_says_which_of_a_certificates_rentals_is_meant() {
    let (node, renter, guest) = with_guest();
    [0x22, 0x33]
        .into_iter()
        .for_each(|rental| node.rent(rental, &renter));
    let principals = format!("{RENTAL},{}", hex::encode([0x22; 32]));
    let certificate = node.certify(&renter, &guest, &["-n", &principals, "-V", "+2h"]);
    for (user, rental) in [
        ("root", 0x22),
        ("0x01010101", 1),
        ("22222222", 0x22),
        ("any-body", 0x22),
    ] {
        let option = format!("User={user}");
        let mut ssh = ssh(&node, &guest, &certificate, &["-o", &option])
            .arg("read line")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        until("the session", || node.leases.sessions(&[rental; 32]) == 1);
        assert_eq!(node.leases.guests(&[rental; 32]), 1);
        drop(ssh.stdin.take());
        finish(ssh);
        until("the session's end", || node.leases.sessions(&[rental; 32]) == 0);
    }
}

/// A session that goes on until it is ended.
fn start(node: &Node, key: &Path, options: &[&str]) -> Child {
    let mut ssh = node
        .ssh_with(key, options)
        .arg("echo here; exec cat")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    ssh.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    ssh
}

#[test]
fn a_certificates_end_closes_its_connections_and_no_other() {
    let (node, renter, guest) = with_guest();
    let [short, long] = ["+1h", "+3h"].map(|valid| {
        let certificate = node.certify(&renter, &guest, &["-n", RENTAL, "-V", valid]);
        format!("CertificateFile={}", certificate.display())
    });
    let ending = start(&node, &guest, &["-o", &short]);
    let staying = start(&node, &guest, &["-o", &long]);
    let mut renters = start(&node, &renter, &[]);
    // A block of two hours later.
    node.leases.set_time(now() + 7200);
    let told = Instant::now();
    let ended = finish(ending);
    assert_eq!(ended.status, Some(255));
    assert!(ended.stderr.contains("certificate ended"), "{}", ended.stderr);
    // The promise is one second; the rest is for a loaded machine.
    assert!(told.elapsed() < Duration::from_secs(10));
    until("its agent's end", || {
        node.backend.agents.lock().unwrap().len() == 2
    });
    // A rental's end closes guests' connections, too.
    node.end(1);
    let ended = finish(staying);
    assert_eq!(ended.status, Some(255));
    assert!(ended.stderr.contains("rental ended"), "{}", ended.stderr);
    drop(renters.stdin.take());
    assert_eq!(finish(renters).status, Some(255));
}

#[test]
fn a_certificates_end_comes_without_another_block() {
    let (node, renter, guest) = with_guest();
    let certificate = node.certify(&renter, &guest, &["-n", RENTAL, "-V", "-5m:+20s"]);
    let certificate = format!("CertificateFile={}", certificate.display());
    let signed = Instant::now();
    let ended = finish(start(&node, &guest, &["-o", &certificate]));
    assert_eq!(ended.status, Some(255));
    assert!(ended.stderr.contains("certificate ended"), "{}", ended.stderr);
    assert!(signed.elapsed() > Duration::from_secs(15));
}

#[test]
fn half_of_a_rentals_connections_are_the_renters() {
    let (node, renter, guest) = with_guest();
    let certificate = node.certify(&renter, &guest, &["-n", RENTAL, "-V", "+2h"]);
    node.runtime.block_on(async {
        let mut guests = Vec::new();
        for _ in 0..16 {
            guests.push(login_certified(&node, &guest, &certificate).await.unwrap().0);
        }
        let (handle, seen) = login_certified(&node, &guest, &certificate).await.unwrap();
        assert!(handle.channel_open_session().await.is_err());
        let _ = handle.await;
        let told = seen.goodbye.lock().unwrap().clone();
        assert_eq!(told.as_deref(), Some("too many connections to this rental"));
        let mut renters = Vec::new();
        for _ in 0..16 {
            let (handle, _) = login(&node, &renter).await.unwrap();
            handle.channel_open_session().await.unwrap();
            renters.push(handle);
        }
        let (handle, _) = login(&node, &renter).await.unwrap();
        assert!(handle.channel_open_session().await.is_err(), "32 in all");
        for handle in &guests {
            handle.channel_open_session().await.unwrap();
        }
        // Where the renter has them all, guests have none.
        drop(guests);
        tokio::time::timeout(Duration::from_secs(60), async {
            while node.leases.guests(&[1; 32]) > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .unwrap();
        for _ in 0..16 {
            renters.push(login(&node, &renter).await.unwrap().0);
        }
        let (handle, _) = login_certified(&node, &guest, &certificate).await.unwrap();
        assert!(handle.channel_open_session().await.is_err());
    });
}
