//! Bytes that nobody meant.

use super::*;

/// A small generator, so that a failure comes again.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

fn bodies() -> Vec<Vec<u8>> {
    let raw = KeyDocument {
        policy: Policy {
            raw: true,
            ..policy()
        },
        ..key()
    };
    let update = Asked::Policy {
        policy: Policy {
            version: 1,
            previous: HexBytes(policy().digest()),
            ..policy()
        },
        history: vec![],
    };
    vec![
        body(&draft(key(), Asked::Keygen {})),
        body(&draft(key(), sign(execute(token(), 5)))),
        body(&draft(key(), sign(typed(permit())))),
        body(&draft(
            raw,
            sign(Payload::Raw {
                hash: HexBytes([1; 32]),
            }),
        )),
        body(&draft(key(), update)),
    ]
}

/// Whoever changes a request gets nothing, or exactly what was asked.
#[test]
fn every_flipped_bit_is_refused_or_means_the_same() {
    let mut same = 0;
    for (which, body) in bodies().into_iter().enumerate() {
        let grant = granted(decide(&body));
        // A share of them, for time: every bit of some byte.
        let step = if which == 1 { 3 } else { 13 };
        for at in (0..body.len() * 8).step_by(step) {
            let mut flipped = body.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            match decide(&flipped) {
                Decision::Refused(_) => {}
                Decision::Allowed(mut other) => {
                    // The document is the bytes themselves.
                    if let (Action::SetPolicy(a), Action::SetPolicy(b)) = (&mut other.action, &grant.action) {
                        a.document.clone_from(&b.document);
                    }
                    assert_eq!(other, grant, "{}", String::from_utf8_lossy(&flipped));
                    same += 1;
                }
                Decision::AskContract(_) => panic!("{}", String::from_utf8_lossy(&flipped)),
            }
        }
    }
    // Such as an address whose only letter changed its case.
    assert!(same < 100, "{same}");
}

#[test]
fn random_bytes_are_refused() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for length in 0..2_000 {
        let bytes: Vec<u8> = (0..length % 300).map(|_| random.next(256) as u8).collect();
        assert!(matches!(decide(&bytes), Decision::Refused(Refusal::Malformed(_))));
    }
}

/// Pieces of real requests in any order.
#[test]
fn shuffled_requests_are_refused() {
    let bodies = bodies();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let authority = WalletAuthority::new(network());
    for _ in 0..5_000 {
        let mut bytes = bodies[random.next(bodies.len())].clone();
        for _ in 0..=random.next(3) {
            let other = &bodies[random.next(bodies.len())];
            let from = random.next(other.len());
            let to = (from + random.next(64)).min(other.len());
            let at = random.next(bytes.len());
            let end = (at + random.next(64)).min(bytes.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        if bodies.contains(&bytes) {
            continue;
        }
        if let Decision::Allowed(grant) = authority.decide(&bytes, Interval::exact(NOW), None) {
            let digests: Vec<_> = bodies.iter().map(|body| granted(decide(body)).digest).collect();
            assert!(digests.contains(&grant.digest));
        }
        authority.shown(&bytes, Some(true));
    }
}

#[test]
fn deep_and_wide_documents_are_refused_quickly() {
    let body = String::from_utf8(body(&draft(key(), sign(typed(permit()))))).unwrap();
    let started = std::time::Instant::now();
    let deep = format!("{}{}", "[".repeat(16_000), "]".repeat(16_000));
    let with = |spender: &str| {
        let changed = body.replacen("\"nonce\":0", &format!("\"nonce\":{spender}"), 1);
        assert_ne!(changed, body);
        refused(decide(changed.as_bytes()));
    };
    with(&deep);
    with(&"1".repeat(30_000));
    with(&format!("\"{}\"", "1".repeat(30_000)));
    // Types that all refer to one another, and a long list of the largest.
    let names: Vec<_> = (0..32).map(|at| format!("T{at}")).collect();
    let members: Vec<_> = (0..16)
        .map(|at| json!({"name": format!("m{at}"), "type": format!("T{}[]", at)}))
        .collect();
    let types: serde_json::Map<_, _> = names.iter().map(|name| (name.clone(), json!(members))).collect();
    let empty: serde_json::Map<_, _> = (0..16).map(|at| (format!("m{at}"), json!([]))).collect();
    let mut top = empty.clone();
    top["m0"] = json!(vec![empty; 60]);
    let mut value = permit();
    value["types"] = Value::Object(types);
    value["primaryType"] = json!("T31");
    value["message"] = Value::Object(top);
    if let Payload::TypedData { typed_data } = typed(value) {
        typed_data.hash().unwrap();
    }
    assert!(started.elapsed().as_secs() < 60);
}

/// A text can't pass for a line of the request's text, nor hide in it.
#[test]
fn foreign_texts_stay_on_their_line() {
    let hostile = "x\"\nnonce: 0x00\r\u{202e}evil\u{0}\\é";
    let draft = draft(key(), sign(text(hostile)));
    let shown = draft.text();
    assert!(
        shown
            .bytes()
            .all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte))
    );
    assert_eq!(shown.lines().count(), 12);
    let line = shown.lines().find(|line| line.starts_with("payload: ")).unwrap();
    assert_eq!(
        line,
        r#"payload: message: "x\u{22}\u{a}nonce: 0x00\u{d}\u{202e}evil\u{0}\u{5c}\u{e9}""#
    );
    let long = super::draft(key(), sign(text(&"é".repeat(201))));
    assert!(long.text().contains("\" and 1 more characters\n"));
}
