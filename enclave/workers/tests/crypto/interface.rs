//! Names of errors, formats and results, beside those of Node.

use serde_json::{Map, Value};

use crate::run;

/// Where Node 20 answers otherwise, what is answered here, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    // Web IDL: not an ArrayBufferView at all.
    ("random ArrayBuffer", "throws TypeError"),
    // OpenSSL takes 12 to 128 bytes, the specification any number.
    (
        "AES-GCM with an IV of 1 byte",
        concat!(
            "\"a55dce90214be8f93836f1302b8d5e87281c46bc96b544ea1d493171750ebb90",
            "a8e7ea0a42708b4a1931aa2ce6a531f29d2d8e0dd28105\""
        ),
    ),
    // Node's name of it isn't one of the standard's.
    ("wraps what can't be exported", "throws InvalidAccessError"),
    ("exports what can't be exported", "throws InvalidAccessError"),
    // The algorithm has no such format; Deno says so too.
    ("exports an AES key as spki", "throws NotSupportedError"),
    // Web IDL: a BufferSource isn't a JsonWebKey. So does Deno.
    ("JSON Web Key of bytes", "throws TypeError"),
    // The specification asks whether the algorithm exports before it asks whether the key may be.
    ("PBKDF2 exports", "throws NotSupportedError"),
    // "The normalized value": each once, in the specification's order.
    ("usages in order", "[\"encrypt\",\"decrypt\",\"unwrapKey\"]"),
    // Ends Node's process.
    ("an algorithm can't be changed", "throws InvalidAccessError"),
];

#[test]
fn answers_and_errors_are_nodes_but_for_those_listed() {
    let mut expected: Map<String, Value> =
        serde_json::from_str(include_str!("../vectors/webcrypto/interface.json")).unwrap();
    for (name, answer) in DIFFERENCES {
        let nodes = expected.insert((*name).to_owned(), Value::from(*answer));
        assert_ne!(
            nodes,
            Some(Value::from(*answer)),
            "{name} doesn't differ any more"
        );
    }
    let scripts = [
        include_str!("scripts/interface.js"),
        include_str!("scripts/interface_public.js"),
    ];
    let answers = run(&[scripts[0], scripts[1], "cases()"]);
    let answers: Map<String, Value> = serde_json::from_str(&answers).unwrap();
    assert_eq!(answers.len(), 168);
    for (name, answer) in &answers {
        assert_eq!(Some(answer), expected.get(name), "{name}");
    }
    assert_eq!(answers.len(), expected.len());
}
