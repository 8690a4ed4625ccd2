//! What a verifier reads of a response: headers, and the event stream in pieces of any size.
#![no_main]

use jeju_attestation::response::{Headers, RequestFields, ResponseFields, Session, StreamVerifier};
use jeju_attestation::response::{parse_quote, render_quote, verify_answer};
use jeju_attestation::tee::Tee;
use libfuzzer_sys::fuzz_target;

/// Public key of RFC 8032 §7.1, test 1: a real one, so that signatures are really checked. No seed is signed by it.
const KEY: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e,
    0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

/// `name: value` lines; a name that stands twice has no value, as in the client.
struct Lines<'a>(&'a str);

impl Headers for Lines<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut found = self
            .0
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(key, _)| *key == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    match choice % 3 {
        0 => head(bytes),
        1 => stream(bytes, StreamVerifier::new(KEY, [1; 32])),
        _ => stream(bytes, StreamVerifier::of_worker(KEY, [1; 32])),
    }
});

fn head(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else {
        return;
    };
    let headers = Lines(text);
    if let Some((quote, full)) = headers.get("jeju-quote").and_then(parse_quote) {
        assert_eq!(parse_quote(&render_quote(&quote, full)), Some((quote, full)));
    }
    if let Ok((fields, signature)) = ResponseFields::parse(200, &headers) {
        for (name, value) in fields.headers(&signature) {
            assert_eq!(headers.get(name), Some(value.as_str()), "one spelling per value");
        }
        let request = RequestFields {
            method: "POST".to_owned(),
            path: "/v1/chat/completions".to_owned(),
            query: "?".to_owned(),
            body_sha256: fields.request_sha256,
            nonce: None,
        };
        let session = Session {
            key: KEY,
            tee: Tee::Simulated,
            epoch: fields.evidence.epoch,
            channel: None,
        };
        assert!(verify_answer(&request, 200, &headers, &session).is_err());
    }
}

fn stream(bytes: &[u8], mut verifier: StreamVerifier) {
    let Some((size, bytes)) = bytes.split_first() else {
        return;
    };
    let mut passed = Vec::new();
    for piece in bytes.chunks(usize::from(*size) + 1) {
        match verifier.push(piece) {
            Ok(more) => passed.extend_from_slice(&more),
            Err(_) => return,
        }
    }
    assert!(bytes.starts_with(&passed), "what passes is what came");
    assert!(verifier.finish().is_err(), "no input is signed");
}
