//! A renter's permission to a gateway: a certificate and a host key. The first byte says whether both lines come as they are, or
//! the certificate's content by itself.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_gateway::inside::{Grant, RouteKey};
use libfuzzer_sys::fuzz_target;

const HOST_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

thread_local! {
    static KEY: RouteKey = RouteKey::generate().expect("random numbers");
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    let grant = match choice % 2 {
        0 => {
            let Ok(text) = std::str::from_utf8(bytes) else {
                return;
            };
            let (certificate, host_key) = text.split_once('\n').unwrap_or((text, HOST_KEY));
            Grant::parse(80, certificate, host_key)
        }
        _ => {
            let line = format!(
                "ssh-ed25519-cert-v01@openssh.com {} a comment",
                STANDARD.encode(bytes)
            );
            Grant::parse(80, &line, HOST_KEY)
        }
    };
    let Ok(grant) = grant else {
        return;
    };
    // What is kept of it is the same permission.
    let kept = Grant::parse(80, grant.certificate_line(), grant.host_key_line());
    assert!(kept.is_ok_and(|kept| kept == grant));
    // It is for another key, whatever it says.
    let counts = KEY.with(|key| grant.check(key, &[0xab; 32], grant.ends_at() / 1000));
    assert!(counts.is_err());
});
