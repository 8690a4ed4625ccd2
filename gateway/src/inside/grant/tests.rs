//! Certificates that `ssh-keygen` signed.

use std::fs;
use std::path::Path;
use std::process::Command;

use russh::keys::ssh_key::LineEnding;
use tempfile::TempDir;

use super::*;
use crate::key_file;

const RENTAL: [u8; 32] = [0xab; 32];
const NOW: u64 = 1_800_000_000;

/// Keys, and `ssh-keygen` to sign with them.
struct Signer {
    folder: TempDir,
    key: RouteKey,
}

impl Signer {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = RouteKey::generate().unwrap();
        fs::write(folder.path().join("route.pub"), key.line()).unwrap();
        let this = Self { folder, key };
        this.make("renter", "ed25519");
        this
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn make(&self, name: &str, kind: &str) {
        run(Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-C", "c", "-t", kind, "-f"])
            .arg(self.path(name)));
    }

    fn line(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// What a renter's client asks for, with more options.
    fn sign(&self, by: &str, more: &[&str]) -> String {
        let principal = principal(&RENTAL);
        let usual = ["-I", "route", "-n", &principal, "-V", "20270101:20280101"];
        self.sign_with(by, &[&usual[..], more].concat())
    }

    fn sign_with(&self, by: &str, options: &[&str]) -> String {
        run(Command::new("ssh-keygen")
            .args(["-q", "-s"])
            .arg(self.path(by))
            .args(options)
            .arg(self.path("route.pub")));
        self.line("route-cert.pub")
    }

    fn grant(&self, certificate: &str) -> Result<Grant, GrantError> {
        Grant::parse(8080, certificate, &self.line("renter.pub"))
    }

    fn check(&self, certificate: &str) -> Result<(), GrantError> {
        self.grant(certificate)?.check(&self.key, &RENTAL, NOW)
    }
}

fn run(command: &mut Command) {
    let done = command.output().expect("ssh-keygen of OpenSSH");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

const NOTHING: [&str; 2] = ["-O", "clear"];
const FORWARD: [&str; 4] = ["-O", "clear", "-O", "permit-port-forwarding"];

#[test]
fn what_a_renter_signs_counts_whatever_its_key_is() {
    let signer = Signer::new();
    for kind in ["ed25519", "ecdsa"] {
        signer.make(kind, kind);
        let places = "critical:permitopen@jeju.network=localhost:22,localhost:8080";
        for more in [&["-O", places][..], &[]] {
            let certificate = signer.sign(kind, &[&FORWARD[..], more].concat());
            assert_eq!(signer.check(&certificate), Ok(()), "{kind} {more:?}");
        }
    }
    let certificate = signer.sign("ed25519", &FORWARD);
    let grant = signer.grant(&certificate).unwrap();
    let again = Grant::parse(8080, grant.certificate_line(), grant.host_key_line()).unwrap();
    assert_eq!((&again, again.port()), (&grant, 8080));
    assert_eq!(grant.ends_at(), grant.certificate().valid_before() * 1000);
    assert!(!format!("{grant:?}").contains("ssh-ed25519"));
}

#[test]
fn a_certificate_that_opens_nothing_is_refused_for_its_reason() {
    let signer = Signer::new();
    let principal = principal(&RENTAL);
    let named = |principals, time| ["-I", "r", "-n", principals, "-V", time].to_vec();
    let other = format!("0x{}", "cd".repeat(32));
    for (options, reason) in [
        (
            [named(&principal, "20270101:20270103"), FORWARD.to_vec()].concat(),
            "is not in its time",
        ),
        (
            [named(&principal, "20270301:20280101"), FORWARD.to_vec()].concat(),
            "is not in its time",
        ),
        (
            [named(&other, "20270101:20280101"), FORWARD.to_vec()].concat(),
            "does not name the rental",
        ),
        (
            [vec!["-I", "r", "-V", "20270101:20280101"], FORWARD.to_vec()].concat(),
            "does not name the rental",
        ),
        (
            [vec!["-h"], named(&principal, "20270101:20280101")].concat(),
            "is not of a user",
        ),
        (
            [named(&principal, "20270101:20280101"), NOTHING.to_vec()].concat(),
            "has no extension",
        ),
        (
            [
                named(&principal, "20270101:20280101"),
                FORWARD.to_vec(),
                vec![
                    "-O",
                    "critical:permitopen@jeju.network=localhost:80,127.0.0.1:8080",
                ],
            ]
            .concat(),
            "does not permit localhost and the port",
        ),
        (
            [
                named(&principal, "20270101:20280101"),
                FORWARD.to_vec(),
                vec!["-O", "force-command=true"],
            ]
            .concat(),
            "has a critical option",
        ),
        (
            [
                named(&principal, "20270101:20280101"),
                FORWARD.to_vec(),
                vec!["-O", "source-address=10.0.0.0/8"],
            ]
            .concat(),
            "has a critical option",
        ),
    ] {
        let refused = signer.check(&signer.sign_with("renter", &options)).unwrap_err();
        assert_eq!(refused.code(), "route_certificate_invalid");
        assert!(refused.to_string().contains(reason), "{options:?}: {refused}");
    }
    // For the key of another gateway.
    let certificate = signer.sign("renter", &FORWARD);
    let another = Signer::new();
    let refused = another.check(&certificate).unwrap_err();
    assert!(refused.to_string().contains("is for another key"), "{refused}");
    // Changed after it was signed.
    let mut forged = Certificate::from_openssh(&certificate)
        .unwrap()
        .to_bytes()
        .unwrap();
    let place = forged.windows(4).position(|bytes| bytes == b"0xab").unwrap();
    let mut grant = signer.grant(&certificate).unwrap();
    forged[place + 2..place + 66].copy_from_slice("cd".repeat(32).as_bytes());
    grant.certificate = Certificate::from_bytes(&forged).unwrap();
    let refused = grant.check(&signer.key, &[0xcd; 32], NOW).unwrap_err();
    assert!(refused.to_string().contains("wrong signature"), "{refused}");
}

#[test]
fn what_is_no_certificate_and_no_host_key_is_refused() {
    let signer = Signer::new();
    let certificate = signer.sign("renter", &FORWARD);
    let host_key = signer.line("renter.pub");
    let code = |port, certificate: &str, host_key: &str| {
        Grant::parse(port, certificate, host_key)
            .map_err(GrantError::code)
            .err()
    };
    assert_eq!(code(1, &certificate, &host_key), None);
    assert_eq!(code(0, &certificate, &host_key), Some("route_port_invalid"));
    let (kind, blob) = certificate.split_once(' ').unwrap();
    for wrong in [
        "",
        "ssh-ed25519-cert-v01@openssh.com",
        &host_key,
        &certificate.replace("ssh-ed25519-cert", "ssh-rsa-cert"),
        &format!("{kind} {}", &blob[4..]),
        &format!("{kind} {}", &blob[..blob.len() / 2]),
        &format!("{kind} {}", "A".repeat(3000)),
        &format!("{certificate}{certificate}"),
        &format!("{kind}{}{blob}", " ".repeat(MAX_CERTIFICATE)),
    ] {
        assert_eq!(
            code(1, wrong, &host_key),
            Some("route_certificate_invalid"),
            "{wrong}"
        );
    }
    signer.make("ecdsa", "ecdsa");
    for wrong in [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        &format!("rental {host_key}"),
        &signer.line("ecdsa.pub"),
        &certificate,
        &signer.line("renter"),
    ] {
        assert_eq!(
            code(1, &certificate, wrong),
            Some("route_host_key_invalid"),
            "{wrong}"
        );
    }
}

#[test]
fn the_key_of_a_folder_stays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let line = |path: &Path| RouteKey::of(path).unwrap().line().to_owned();
    assert_eq!(line(folder.path()), line(folder.path()));
    assert!(line(folder.path()).starts_with("ssh-ed25519 AAAA"));
    let kept = fs::read_to_string(folder.path().join(super::super::KEY_FILE)).unwrap();
    assert!(kept.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
    let other = key_file::generate().unwrap().to_openssh(LineEnding::LF).unwrap();
    assert_ne!(*other, kept);
}
