use jeju_chain::{ChainText, GpuType, RentalStatus};

use super::*;
use crate::rentals::manager::tests::chain::offer;
use crate::rentals::manager::tests::{KEY, rules};

/// From OpenSSH's ssh-keygen.
const P256: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBLe8DfiHnZS9rwSzJj3ehmcA9FAFdGnV67exz/tw1T/NoBmxmIjtnrKpw5uGrSNMuyhzDY+FPQq83Rvx2GJF7yo= tenant";
const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDcbKcZZ/wVWReceXUZEEOQMlI9e9unYW/P6n6RyWBJmCLn7hRneBJYhAyvto0igvKGS+osCBNrOFix98LsM7PKjEuJldLtMVgoaY3O3oTDCQ7d0E1oE+/0WmeZlQIshn2hjTKOj4hLukgLqfzbbtrPA1FnPpiaNW+d9KgzjugvRqFTKPL0bLupt0YeBF5o2UPUfMNAi2flORaMVX08yvURQob8848cjR2dD4mVOxmpOTM9P9pBXwdNhcf9LsPq7Vi7YhxqD2cG5x9zHZu5LMuHZlBdMsqjQQSlq5qUGJJAGWJXj9Kv6XyzZSd6f3R2vtnAXCWQIK3JxHtWjG/nAT5L tenant";

fn record(key: &[u8], image: &[u8], script: &[u8]) -> RentalRecord {
    RentalRecord {
        id: [1; 32],
        user: [2; 20],
        provider: [3; 20],
        status: RentalStatus::Pending,
        start_time: 0,
        end_time: 0,
        paid: 0,
        refunded: 0,
        ssh_public_key: ChainText::from(key),
        container_image: ChainText::from(image),
        startup_script: ChainText::from(script),
        ssh_host: ChainText::default(),
        ssh_port: 0,
        rate: 0,
        start_deadline: 1,
        ended_at: 0,
        fee_bps: 0,
    }
}

fn read(record: &RentalRecord) -> Result<Order, &'static str> {
    Order::read(record, &rules()).map_err(|refusal| refusal.code)
}

#[test]
fn keys_are_single_lines_of_modern_kinds() {
    let key = |line: &[u8]| key(&record(line, b"", b""));
    let wire = key(KEY.as_bytes()).unwrap();
    assert_eq!(wire[..15], *b"\0\0\0\x0bssh-ed25519");
    assert_eq!(wire.len(), 4 + 11 + 4 + 32);
    assert!(key(P256.as_bytes()).is_some());
    assert_eq!(key(format!("{KEY}\n").as_bytes()), Some(wire), "as a file has it");
    let base64 = KEY.split(' ').nth(1).unwrap();
    for wrong in [
        RSA.to_owned(),
        String::new(),
        base64.to_owned(),
        format!("command=\"sh\" {KEY}"),
        format!("{KEY}\n{P256}"),
        format!("ssh-ed25519 {}", &base64[..40]),
        format!("ecdsa-sha2-nistp256 {base64}"),
        "ssh-ed25519-cert-v01@openssh.com AAAA".to_owned(),
    ] {
        assert_eq!(key(wrong.as_bytes()), None, "{wrong}");
        let read = read(&record(wrong.as_bytes(), b"busybox", b""));
        let expected = if wrong.is_empty() {
            None
        } else {
            Some("key_unsupported")
        };
        assert_eq!(read.err(), expected, "{wrong}");
    }
    assert_eq!(key(b"ssh-ed25519 \xff"), None);
}

#[test]
fn images_are_those_that_the_node_allows() {
    let image = |image: &str, change: fn(&mut Rentals)| {
        let mut rules = rules();
        change(&mut rules);
        let read = Order::read(&record(KEY.as_bytes(), image.as_bytes(), b""), &rules);
        read.map(|order| order.image).map_err(|refusal| refusal.code)
    };
    let any: fn(&mut Rentals) = |_| {};
    assert_eq!(image("busybox", any), Ok("busybox:latest".into()));
    assert_eq!(image("", any), Ok("debian:13".into()));
    assert_eq!(
        image("", |rules| rules.default_image = None),
        Err("image_not_allowed")
    );
    let listed: fn(&mut Rentals) = |rules| rules.images = vec!["busybox".into()];
    assert_eq!(image("busybox:latest", listed), Ok("busybox:latest".into()));
    assert_eq!(
        image("debian:13", listed),
        Ok("debian:13".into()),
        "the default too"
    );
    assert_eq!(image("busybox:1", listed), Err("image_not_allowed"));
    let none: fn(&mut Rentals) = |rules| rules.docker = false;
    assert_eq!(image("", none), Ok("debian:13".into()));
    assert_eq!(image("debian:13", none), Ok("debian:13".into()));
    assert_eq!(image("busybox", none), Err("image_not_allowed"));
    for wrong in [
        "--privileged",
        "a b",
        "UPPER",
        "busybox@sha256:12",
        "a/../b",
        "bu\0sy",
    ] {
        assert_eq!(image(wrong, any), Err("image_invalid"), "{wrong}");
    }
    let bytes = Order::read(&record(KEY.as_bytes(), b"\xff", b""), &rules());
    assert_eq!(bytes.unwrap_err().code, "image_invalid");
}

#[test]
fn scripts_are_text_or_a_digest() {
    let script = |script: &[u8]| read(&record(b"", b"", script)).map(|order| order.script);
    assert_eq!(script(b""), Ok(Script::None));
    assert_eq!(
        script(b"#!/bin/sh\n\xff"),
        Ok(Script::Public(b"#!/bin/sh\n\xff".to_vec()))
    );
    // echo -n hello | sha256sum
    let digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let read = script(digest.as_bytes()).unwrap();
    assert!(read.is(b"hello") && !read.is(b"hello\n"));
    assert_eq!(script(format!("{digest}\n").as_bytes()), Ok(read));
    assert!(!Script::None.is(b"") && !Script::Public(Vec::new()).is(b""));
    for wrong in ["sha256:", "sha256:12", &digest[..70], &format!("{digest} #")] {
        assert_eq!(script(wrong.as_bytes()), Err("script_invalid"), "{wrong}");
    }
}

#[test]
fn a_machine_is_what_is_offered_and_can_be() {
    let code = |change: fn(&mut Offer)| {
        let mut offer = offer();
        change(&mut offer);
        resources(Some(&offer)).map_err(|refusal| refusal.code)
    };
    assert_eq!(
        code(|_| {}),
        Ok(Resources {
            cpu_cores: 2,
            memory_gib: 4,
            storage_gb: 10,
            bandwidth_mbps: 100,
        })
    );
    assert_eq!(
        code(|offer| offer.resources.gpu_count = 1),
        Err("gpu_unavailable")
    );
    assert!(code(|offer| offer.resources.gpu_type = GpuType::NvidiaH100).is_ok());
    assert_eq!(code(|offer| offer.resources.cpu_cores = 0), Err("offer_invalid"));
    assert_eq!(code(|offer| offer.resources.memory_gb = 0), Err("offer_invalid"));
    assert_eq!(
        code(|offer| offer.resources.memory_gb = u32::MAX),
        Err("offer_invalid")
    );
    assert_eq!(code(|offer| offer.resources.storage_gb = 0), Err("offer_invalid"));
    assert_eq!(resources(None).unwrap_err().code, "offer_missing");
}
