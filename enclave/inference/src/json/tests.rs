use super::*;
use crate::test_model;
use serde_json::Value;

/// The state after some bytes; None if one of them can't come.
fn read(bytes: &[u8]) -> Option<Json> {
    bytes
        .iter()
        .try_fold(Json::default(), |state, byte| state.after(*byte))
}

fn is_whole(bytes: &[u8]) -> bool {
    read(bytes).is_some_and(|state| matches!(state.place, Place::Done))
}

#[test]
fn objects_of_every_kind_come_through() {
    for text in [
        "{}",
        "{ }",
        r#"{"a":1}"#,
        "{\n  \"key\" : [ 1 , -0.5e-7 , true,false , null ],\r\n\t\"é😀\": {\"\": \"x\"}\n}",
        r#"{"escapes":"\" \\ \/ \b \f \n \r \t \u00e9 \uD7ff \uE000 \ufffD"}"#,
        r#"{"n":[0,-0,10,0.0,1E+99,123456789012345678.123456789012345678e-99]}"#,
        r#"{"a":[[],[{}],[[1]]]}"#,
    ] {
        assert!(is_whole(text.as_bytes()), "{text}");
        serde_json::from_str::<Value>(text).expect("JSON for serde too");
    }
    let deep = format!("{}{}", r#"{"a":"#.repeat(31), "{}") + &"}".repeat(31);
    assert!(is_whole(deep.as_bytes()));
}

#[test]
fn nothing_else_comes_through() {
    for text in [
        "",
        " {}",
        "[]",
        "1",
        "\"a\"",
        "{",
        "{}}",
        "{} ",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1 "b":2}"#,
        r#"{a:1}"#,
        r#"{'a':1}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[1}"#,
        r#"{"a":{]}"#,
        r#"{"a":01}"#,
        r#"{"a":+1}"#,
        r#"{"a":.5}"#,
        r#"{"a":1.}"#,
        r#"{"a":-}"#,
        r#"{"a":1e}"#,
        r#"{"a":1e+}"#,
        r#"{"a":1e100}"#,
        r#"{"a":1234567890123456789}"#,
        r#"{"a":tru}"#,
        r#"{"a":True}"#,
        r#"{"a":nan}"#,
        "{\"a\":\"\n\"}",
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12g4"}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\uDFFF"}"#,
    ] {
        assert!(!is_whole(text.as_bytes()), "{text}");
    }
    for bytes in [
        &b"{\"\x80"[..],
        b"{\"\xc1",
        b"{\"\xc3\"",
        b"{\"\xe0\x80",
        b"{\"\xed\xa0",
        b"{\"\xf4\x90",
        b"{\"\xf5",
        b"{\"\xff",
    ] {
        assert!(read(bytes).is_none(), "{bytes:x?}");
    }
    let spaces = |count| format!("{{{}}}", " ".repeat(count));
    assert!(is_whole(spaces(64).as_bytes()) && !is_whole(spaces(65).as_bytes()));
    assert!(read(r#"{"a":"#.repeat(32).as_bytes()).is_some());
    assert!(read(format!("{}{{", r#"{"a":"#.repeat(32)).as_bytes()).is_none());
}

/// Random walks through what is allowed, checked against another implementation.
#[test]
fn whatever_comes_through_whole_is_an_object_for_serde_too() {
    let mut random = 5_u64;
    let mut next = |limit: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % limit
    };
    let mut whole = 0;
    for _ in 0..20_000 {
        let (mut state, mut text) = (Json::default(), Vec::new());
        for _ in 0..300 {
            let allowed: Vec<u8> = (0..=255).filter(|byte| state.after(*byte).is_some()).collect();
            // What closes something is preferred, so that many come to an end.
            let closing: Vec<u8> = allowed
                .iter()
                .filter(|b| b"\"}]:,".contains(b))
                .copied()
                .collect();
            let from = if closing.is_empty() || next(3) == 0 {
                &allowed
            } else {
                &closing
            };
            assert!(!from.is_empty(), "a dead end");
            let byte = from[next(from.len())];
            text.push(byte);
            if state.push(&[byte]) {
                let text = std::str::from_utf8(&text).expect("UTF-8");
                let value: Value = serde_json::from_str(text).expect("JSON");
                assert!(value.is_object());
                whole += 1;
                break;
            }
        }
    }
    assert!(whole > 5_000, "{whole}");
}

#[test]
fn only_tokens_that_can_follow_stay() {
    let model = test_model::load(1);
    let tokenizer = model.tokenizer();
    let allowed = |before: &str| {
        let mut logits = vec![0.0; tokenizer.vocabulary_size()];
        read(before.as_bytes())
            .expect("a beginning")
            .mask(tokenizer, &mut logits);
        let tokens = (0..).zip(logits).filter(|(_, logit)| *logit == 0.0);
        tokens
            .map(|(token, _)| String::from_utf8_lossy(tokenizer.bytes(token)).into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(allowed(""), ["{"]);
    assert_eq!(allowed("{}"), [""; 0]);
    assert_eq!(allowed(r#"{"a":t"#), ["r"]);
    // Digits, ".eE", white space, and ",]".
    assert_eq!(allowed(r#"{"a":[1"#).len(), 10 + 3 + 4 + 2);
    let text = allowed(r#"{""#);
    assert!(
        ["hello", " w", "\"", "\\"]
            .iter()
            .all(|token| text.contains(&(*token).to_owned()))
    );
    assert!(!text.contains(&"\n".to_owned()));
}
