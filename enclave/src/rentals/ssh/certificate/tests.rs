use russh::keys::signature::{self, Signer};
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::public::{KeyData, SkEd25519};
use russh::keys::{Algorithm, PrivateKey};
use sha2::{Digest, Sha256};

use super::*;

const RENTAL: RentalId = [0xab; 32];

fn key(seed: u8) -> Ed25519Keypair {
    Ed25519Keypair::from_seed(&[seed; 32])
}

fn builder(principals: &[&str]) -> Builder {
    let mut builder = Builder::new([0; 16], key(2).public, 1000, 2000).unwrap();
    builder.all_principals_valid().unwrap();
    for principal in principals {
        builder.valid_principal(*principal).unwrap();
    }
    builder
}

fn read(builder: Builder) -> Result<Grant, Refusal> {
    Grant::read(&builder.sign(&PrivateKey::from(key(1))).unwrap())
}

/// Of a certificate with these critical options and extensions.
fn rights(options: &[(&str, &str)], extensions: &[(&str, &str)]) -> Result<Rights, Refusal> {
    let mut builder = builder(&[&hex::encode(RENTAL)]);
    for (name, value) in options {
        builder.critical_option(*name, *value).unwrap();
    }
    for (name, value) in extensions {
        builder.extension(*name, *value).unwrap();
    }
    read(builder).map(|grant| grant.rights)
}

#[test]
fn a_grant_is_by_the_signer_for_the_rentals_that_are_named() {
    let (lower, upper) = (hex::encode(RENTAL), hex::encode_upper([0xcd; 32]));
    let grant = read(builder(&["root", &lower, &format!("0x{upper}"), &lower[1..], ""])).unwrap();
    let authority = PublicKey::from(KeyData::from(key(1).public));
    assert_eq!(grant.authority, authority.to_bytes().unwrap());
    assert_eq!(grant.rentals, [RENTAL, [0xcd; 32]]);
    assert_eq!(grant.valid, 1000..2000);
    let nothing = Rights {
        sessions: true,
        ..Rights::NONE
    };
    assert_eq!(grant.rights, nothing, "no extension, but a shell");
}

#[test]
fn who_names_no_rental_names_nobody() {
    let id = hex::encode(RENTAL);
    for principals in [
        &[][..],
        &["root"],
        &["*"],
        &[&id[..62]],
        &[&format!("{id}00")],
        &[&format!("0x0x{id}")],
        &[&format!(" {id}")],
        &[&format!("{},{}", id, id)],
    ] {
        assert_eq!(
            read(builder(principals)),
            Err(Refusal::Principals),
            "{principals:?}"
        );
    }
    assert!(read(builder(&[&*id; PRINCIPALS])).is_ok());
    assert_eq!(read(builder(&[&*id; PRINCIPALS + 1])), Err(Refusal::Principals));
}

#[test]
fn extensions_allow_and_what_is_unknown_does_not_matter() {
    let (terminals, dials) = (("permit-pty", ""), ("permit-port-forwarding", ""));
    let all = [
        terminals,
        dials,
        ("permit-X11-forwarding", ""),
        ("x@example.org", "y"),
    ];
    assert_eq!(rights(&[], &all), Ok(Rights::ALL));
    for (extensions, terminals, dials) in [(&[terminals], true, Dials::NONE), (&[dials], false, Dials::All)] {
        let expected = Rights {
            sessions: true,
            terminals,
            dials,
        };
        assert_eq!(rights(&[], extensions), Ok(expected));
    }
    for name in ["permit-pty", "permit-port-forwarding"] {
        assert_eq!(rights(&[], &[(name, "x")]), Err(Refusal::Extension));
    }
}

#[test]
fn named_services_are_all_that_there_is_then() {
    let extensions = [("permit-pty", ""), ("permit-port-forwarding", "")];
    let services = ("permitopen@jeju.network", "localhost:80,[::1]:81");
    let rights_of = rights(&[services], &extensions).unwrap();
    assert!(!rights_of.sessions && !rights_of.terminals);
    assert!(rights_of.may_dial("localhost", 80) && rights_of.may_dial("::1", 81));
    assert!(!rights_of.may_dial("localhost", 81));
    assert_eq!(
        rights(&[services], &[]),
        Ok(Rights::NONE),
        "dialling isn't allowed"
    );
    let many = |count: usize| vec!["localhost:80"; count].join(",");
    assert!(rights(&[(PERMIT_OPEN, &many(SERVICES))], &extensions).is_ok());
    let too_many = many(SERVICES + 1);
    for value in [
        "",
        ",",
        "localhost:80,",
        "localhost:80 ,a:1",
        "localhost",
        "*:80",
        &too_many,
    ] {
        let refused = rights(&[(PERMIT_OPEN, value)], &extensions);
        assert_eq!(refused, Err(Refusal::CriticalOption), "{value}");
    }
}

#[test]
fn a_demand_that_is_not_known_is_refused() {
    for option in [
        ("force-command", "true"),
        ("source-address", "0.0.0.0/0"),
        ("verify-required", ""),
        ("x@example.org", ""),
        ("permitopen", "localhost:80"),
        ("permit-pty", ""),
    ] {
        assert_eq!(rights(&[option], &[]), Err(Refusal::CriticalOption), "{option:?}");
        let both = [option, (PERMIT_OPEN, "localhost:80")];
        assert_eq!(rights(&both, &[]), Err(Refusal::CriticalOption));
    }
}

#[test]
fn hosts_certificates_let_nobody_in() {
    let mut builder = builder(&[&hex::encode(RENTAL)]);
    builder.cert_type(CertType::Host).unwrap();
    assert_eq!(read(builder), Err(Refusal::NotForUsers));
}

/// A security key.
struct Hardware {
    flags: u8,
    /// What it calls its signatures.
    named: Algorithm,
}

impl Signer<Signature> for Hardware {
    fn try_sign(&self, message: &[u8]) -> signature::Result<Signature> {
        let trailer = [self.flags, 0, 0, 0, 7];
        let signed = [&Sha256::digest(b"ssh:")[..], &trailer, &Sha256::digest(message)].concat();
        let data = [key(1).sign(&signed).as_bytes(), &trailer].concat();
        Ok(Signature::new(self.named.clone(), data)?)
    }
}

impl From<&Hardware> for KeyData {
    fn from(_: &Hardware) -> Self {
        Self::SkEd25519(SkEd25519::new(key(1).public, "ssh:"))
    }
}

#[test]
fn a_signer_that_is_a_security_key_was_touched() {
    let invented = Algorithm::new("x@example.org").unwrap();
    for (flags, named, touched) in [
        (1, &Algorithm::SkEd25519, true),
        (0, &Algorithm::SkEd25519, false),
        (0, &invented, false),
        (1, &invented, false),
    ] {
        let named = named.clone();
        let certificate = builder(&[&hex::encode(RENTAL)]).sign(&Hardware { flags, named });
        let certificate = certificate.unwrap();
        assert!(certificate.verify_signature().is_ok());
        assert_eq!(Grant::read(&certificate).is_ok(), touched);
        // As it comes over the wire.
        let certificate = Certificate::from_bytes(&certificate.to_bytes().unwrap());
        let granted = certificate.is_ok_and(|certificate| Grant::read(&certificate).is_ok());
        assert_eq!(granted, touched);
    }
}
