//! Certificates that open nothing, and don't say why.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use russh::keys::{load_openssh_certificate, load_secret_key};

use crate::certificates::{RENTAL, ssh, with_guest};
use crate::fixture::{Node, now, run};
use crate::raw::{connect, login_certified, private};

const REFUSED: &str = "root@127.0.0.1: Permission denied (publickey).\r\n";

/// That a certificate is offered and opens nothing, as any unknown key.
fn is_refused(what: &str, node: &Node, key: &Path, certificate: &Path, options: &[&str]) {
    let ended = run(ssh(node, key, certificate, options).arg("true"));
    assert_eq!(ended.status, Some(255), "{what}");
    assert_eq!(ended.stderr, REFUSED, "{what}");
    let mut options = options.to_vec();
    options.push("-v");
    let ended = run(ssh(node, key, certificate, &options).arg("true"));
    assert!(ended.stderr.contains("-CERT SHA256:"), "{what}: {}", ended.stderr);
    assert!(!ended.stderr.contains("Server accepts key"), "{what}");
}

fn is_in(node: &Node, key: &Path, certificate: &Path) {
    let ended = run(ssh(node, key, certificate, &[]).arg("true"));
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
}

#[test]
fn certificates_that_open_nothing_are_refused_as_any_unknown_key() {
    let (node, renter, guest) = with_guest();
    let other = node.key("ed25519");
    node.rent(2, &other);
    node.rent(3, &renter);
    node.end(3);
    let id = |rental: u8| hex::encode([rental; 32]);
    let (others, ended, unknown) = (id(2), id(3), id(4));
    let cases: &[(&str, &Path, &[&str])] = &[
        ("signed by nobody", &guest, &["-n", RENTAL]),
        ("signed by another tenant", &other, &["-n", RENTAL]),
        ("for all", &renter, &[]),
        ("for a user", &renter, &["-n", "root"]),
        ("for a part of an id", &renter, &["-n", &RENTAL[..64]]),
        ("for another's rental", &renter, &["-n", &others]),
        ("for one that has ended", &renter, &["-n", &ended]),
        ("for one that isn't here", &renter, &["-n", &unknown]),
        ("over", &renter, &["-n", RENTAL, "-V", "-2h:-1h"]),
        ("not yet", &renter, &["-n", RENTAL, "-V", "+1h:+2h"]),
        (
            "force-command",
            &renter,
            &["-n", RENTAL, "-O", "force-command=true"],
        ),
        (
            "source",
            &renter,
            &["-n", RENTAL, "-O", "source-address=127.0.0.1/32"],
        ),
        ("verify", &renter, &["-n", RENTAL, "-O", "verify-required"]),
        (
            "unknown",
            &renter,
            &["-n", RENTAL, "-O", "critical:x@example.org=y"],
        ),
        (
            "unknown flag",
            &renter,
            &["-n", RENTAL, "-O", "critical:x@example.org"],
        ),
        (
            "value",
            &renter,
            &["-n", RENTAL, "-O", "extension:permit-pty=x", "-O", "no-pty"],
        ),
    ];
    for (what, authority, arguments) in cases {
        let certificate = node.certify(authority, &guest, arguments);
        is_refused(what, &node, &guest, &certificate, &[]);
    }
    let many = vec!["localhost:80"; 17].join(",");
    for services in [
        "",
        "localhost",
        "localhost:0",
        "localhost:80,",
        "*:80",
        "::1:80",
        &many,
    ] {
        let option = format!("critical:permitopen@jeju.network={services}");
        let certificate = node.certify(&renter, &guest, &["-n", RENTAL, "-O", &option]);
        is_refused(services, &node, &guest, &certificate, &[]);
    }
    let certificate = node.certify(&renter, &guest, &["-n", RENTAL]);
    is_in(&node, &guest, &certificate);
    assert_eq!(node.leases.sessions(&[1; 32]), 0);
}

/// With another key id.
fn altered(node: &Node, certificate: &Path) -> PathBuf {
    let text = fs::read_to_string(certificate).unwrap();
    let (kind, blob) = text.split_once(' ').unwrap();
    let mut blob = STANDARD.decode(blob.split_whitespace().next().unwrap()).unwrap();
    let id = b"\0\0\0\x04test";
    let place = blob.windows(id.len()).position(|part| part == id).unwrap();
    blob[place + 4] = b'T';
    let altered = node.path("altered-cert.pub");
    fs::write(&altered, format!("{kind} {}\n", STANDARD.encode(blob))).unwrap();
    altered
}

#[test]
fn a_certificate_opens_no_rental_but_the_one_that_the_user_names() {
    let (node, renter, guest) = with_guest();
    node.rent(2, &renter);
    let certificate = node.certify(&renter, &guest, &["-n", RENTAL]);
    for user in ["02020202", "0x0202020202", "ffffffff"] {
        let ended = run(ssh(&node, &guest, &certificate, &["-l", user]).arg("true"));
        let refused = REFUSED.replace("root", user);
        assert_eq!((ended.status, ended.stderr), (Some(255), refused));
    }
    is_in(&node, &guest, &certificate);
}

#[test]
fn the_chains_clock_says_whether_a_certificate_is_valid() {
    // By this machine's clock it is.
    let certify = |node: &Node, renter: &Path, guest: &Path| {
        node.certify(renter, guest, &["-n", RENTAL, "-V", "-5m:+1h"])
    };
    let (node, renter, guest) = with_guest();
    let certificate = certify(&node, &renter, &guest);
    is_in(&node, &guest, &certificate);
    node.leases.set_time(now() + 7200);
    is_refused("over", &node, &guest, &certificate, &[]);
    node.leases.set_time(now());
    is_refused("still over", &node, &guest, &certificate, &[]);

    let node = Node::start_at(now() - 3600);
    node.rent(1, &renter);
    is_refused("not yet", &node, &guest, &certificate, &[]);
    node.leases.set_time(now());
    is_in(&node, &guest, &certificate);
}

#[test]
fn certificates_of_other_kinds_open_nothing_nor_do_stolen_and_altered_ones() {
    let (node, renter, guest) = with_guest();
    let rsa = node.key("rsa:3072");
    node.rent(2, &rsa);
    let by_rsa = node.certify(&rsa, &guest, &["-n", &hex::encode([2; 32])]);
    let ended = run(ssh(&node, &guest, &by_rsa, &[]).arg("true"));
    assert_eq!(ended.status, Some(255), "{}", ended.stderr);
    let of_rsa = node.certify(&renter, &rsa, &["-n", RENTAL]);
    let ended = run(ssh(&node, &rsa, &of_rsa, &[]).arg("true"));
    assert_eq!(ended.status, Some(255), "{}", ended.stderr);
    // What OpenSSH's client doesn't offer.
    let of_host = node.certify(&renter, &guest, &["-h", "-n", RENTAL]);
    let of_user = node.certify(&renter, &guest, &["-n", RENTAL]);
    node.runtime.block_on(async {
        assert!(login_certified(&node, &guest, &of_host).await.is_err());
        // Somebody else's, without the key.
        assert!(login_certified(&node, &renter, &of_user).await.is_err());
        let altered = altered(&node, &of_user);
        assert!(login_certified(&node, &guest, &altered).await.is_err());
        assert!(login_certified(&node, &guest, &of_user).await.is_ok());
    });
}

#[test]
fn a_refused_certificate_leaves_the_key_its_rights() {
    let (node, renter, guest) = with_guest();
    // The renter's own client may have one of another rental beside the key, offered later or, where OpenSSH finds it by itself, first.
    let others = node.certify(&guest, &renter, &["-n", RENTAL, "-O", "clear"]);
    let beside = PathBuf::from(format!("{}-cert.pub", renter.display()));
    let ended = run(ssh(&node, &renter, &others, &["-tt"]).arg("test -t 0"));
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    fs::copy(&others, beside).unwrap();
    let ended = run(node.ssh_with(&renter, &["-v"]).arg("true"));
    let refused_first = ended
        .stderr
        .find("-CERT ")
        .zip(ended.stderr.find("Server accepts key"));
    assert!(
        refused_first.is_some_and(|(offered, accepted)| offered < accepted),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_certificate_is_one_of_six_tries() {
    let (node, renter, guest) = with_guest();
    let right = node.certify(&renter, &guest, &["-n", RENTAL]);
    let wrong: Vec<_> = (0..6)
        .map(|_| node.certify(&guest, &guest, &["-n", RENTAL]))
        .map(|wrong| format!("CertificateFile={}", wrong.display()))
        .collect();
    let with = |count: usize| {
        let mut options = Vec::new();
        wrong[..count]
            .iter()
            .for_each(|wrong| options.extend(["-o", wrong]));
        let right = format!("CertificateFile={}", right.display());
        options.extend(["-o", &right]);
        run(node.ssh_with(&guest, &options).arg("true"))
    };
    let ended = with(5);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert_eq!(with(6).status, Some(255));
    // OpenSSH offers certificates first. Others needn't.
    let strangers = node.key("ed25519");
    for (count, is_in) in [(5, true), (6, false)] {
        node.runtime.block_on(async {
            let (mut handle, _) = connect(&node).await;
            for _ in 0..count {
                let tried = handle.authenticate_publickey("root", private(&strangers)).await;
                assert!(!tried.unwrap().success());
            }
            let key = Arc::new(load_secret_key(&guest, None).unwrap());
            let certificate = load_openssh_certificate(&right).unwrap();
            let tried = handle.authenticate_openssh_cert("root", key, certificate).await;
            assert_eq!(tried.is_ok_and(|result| result.success()), is_in, "{count}");
        });
    }
}
