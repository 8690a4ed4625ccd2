//! Documents as the bytes that are sent: whole, or as server-sent events whose lengths tell nothing.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

/// What the length of a padded event is a multiple of, in bytes.
pub const BUCKET: usize = 256;
/// What every padded event has at least. A chunk with one token takes 220 to 400 bytes by what its id and its model's name
/// take: with this all tokens of an answer come in events of one length, and none is at the edge of a bucket.
pub const LEAST: usize = 2 * BUCKET;

/// Most documents are shorter.
const ROOM: usize = 1024;
const DATA: &[u8] = b"data: ";
const PADDING: &str = ",\"obfuscation\":\"";
/// Ends the padding, the document and the event.
const END: &str = "\"}\n\n";

/// A document as JSON. Nothing of it is left behind: neither in the document nor in what the buffer outgrew.
pub fn json(document: Value) -> Zeroizing<Vec<u8>> {
    let mut out = Wiping(Zeroizing::new(Vec::with_capacity(ROOM)));
    out.json(document);
    out.0
}

/// A document as an event, of this type if it has one. `obfuscate` adds the field `obfuscation` to an object, as long as it
/// takes for the event to fill whole [`BUCKET`]s.
pub fn render(name: Option<&str>, document: Value, obfuscate: bool) -> Zeroizing<Vec<u8>> {
    let obfuscate = obfuscate && document.as_object().is_some_and(|document| !document.is_empty());
    let mut out = Wiping(Zeroizing::new(Vec::with_capacity(ROOM)));
    if let Some(name) = name {
        out.put(b"event: ");
        out.put(name.as_bytes());
        out.put(b"\n");
    }
    out.put(DATA);
    out.json(document);
    out.close(obfuscate)
}

/// An event without a type whose document, an object with fields, is written, and which isn't padded yet.
pub struct Open(Wiping);

impl Open {
    /// Writes the document, of which no tree is made.
    pub(crate) fn new(document: &impl Serialize) -> Self {
        let mut out = Wiping(Zeroizing::new(Vec::with_capacity(ROOM)));
        out.put(DATA);
        out.write(document);
        Self(out)
    }

    /// The event, as of [`render`].
    pub fn close(self, obfuscate: bool) -> Zeroizing<Vec<u8>> {
        self.0.close(obfuscate)
    }

    /// The document as a tree.
    pub fn document(&self) -> Value {
        // It was written as JSON.
        serde_json::from_slice(&self.0.0[DATA.len()..]).unwrap_or_default()
    }
}

/// Wipes the texts of a document.
pub fn wipe(document: &mut Value) {
    match document {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A buffer that leaves no copies behind where it grows.
struct Wiping(Zeroizing<Vec<u8>>);

impl Wiping {
    fn put(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut grown = Zeroizing::new(Vec::with_capacity(needed.max(2 * self.0.capacity())));
            grown.extend_from_slice(&self.0);
            self.0 = grown;
        }
        self.0.extend_from_slice(bytes);
    }

    fn json(&mut self, mut document: Value) {
        self.write(&document);
        wipe(&mut document);
    }

    /// Of documents without a key that isn't text: nothing here fails then, as a buffer takes all.
    fn write(&mut self, document: &impl Serialize) {
        let _ = serde_json::to_writer(&mut *self, document);
    }

    /// Ends an event, whose document is an object with fields if it is to be padded.
    fn close(mut self, obfuscate: bool) -> Zeroizing<Vec<u8>> {
        if !obfuscate {
            self.put(b"\n\n");
            return self.0;
        }
        // The object's closing brace comes after the padding.
        self.0.pop();
        self.put(PADDING.as_bytes());
        let length = self.0.len() + END.len();
        let filler = length.next_multiple_of(BUCKET).max(LEAST) - length;
        self.put(&[b'0'; LEAST][..filler]);
        self.put(END.as_bytes());
        self.0
    }
}

impl Write for Wiping {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Head;
    use crate::answer::{Answer, Form};

    fn data(event: &[u8]) -> Value {
        let text = std::str::from_utf8(event).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn events_for_different_tokens_have_one_length() {
        let texts = [
            "",
            "a",
            " the",
            "\n",
            "\"",
            "é",
            "😀",
            " internationalization",
            "\u{0}",
            "----------------",
        ];
        for (form, model) in [
            (Form::Chat, "m"),
            (
                Form::Chat,
                "a-model-with-a-name-as-long-as-such-names-can-well-be-in-the-end",
            ),
            (Form::Completion, "m"),
            (Form::Completion, "smollm2-135m-instruct"),
        ] {
            let head = Head {
                id: format!("chatcmpl-{}", "a".repeat(24)),
                model: model.to_owned(),
                created: 1_700_000_000,
                fingerprint: Some("fp_0123456789ab".to_owned()),
            };
            let answer = Answer { form, head };
            let lengths = texts.map(|text| render(None, answer.piece(0, text, Value::Null), true).len());
            assert_eq!(lengths, [512; 10], "{form:?} {model}");
            let finish = render(None, answer.finish(0, "stop"), true);
            assert_eq!(finish.len(), 512);
            assert_eq!(data(&finish)["choices"][0]["finish_reason"], "stop");
        }
    }

    #[test]
    fn padding_fills_every_length_and_changes_nothing_else() {
        for length in 0..600 {
            let document = json!({"a": "x".repeat(length), "b": [1]});
            for name in [None, Some("response.created")] {
                let event = render(name, document.clone(), true);
                assert_eq!(event.len() % BUCKET, 0, "{length}");
                assert!(event.len() >= LEAST, "{length}");
                assert!(event.ends_with(b"}\n\n"));
                assert_eq!(
                    event.starts_with(b"event: response.created\ndata: {"),
                    name.is_some()
                );
                let mut read = data(&event);
                assert!(
                    read.as_object_mut()
                        .unwrap()
                        .remove("obfuscation")
                        .unwrap()
                        .is_string()
                );
                assert_eq!(read, document);
            }
        }
    }

    #[test]
    fn without_padding_an_event_is_the_document() {
        assert_eq!(&**render(None, json!({"a": 1}), false), b"data: {\"a\":1}\n\n");
        assert_eq!(&**render(Some("x"), json!({}), true), b"event: x\ndata: {}\n\n");
        assert_eq!(&**json(json!({"a": "\n"})), b"{\"a\":\"\\n\"}");
    }

    #[test]
    fn long_documents_are_whole() {
        let document = json!({"text": "0123456789".repeat(10_000)});
        assert_eq!(
            serde_json::from_slice::<Value>(&json(document.clone())).unwrap(),
            document
        );
        let mut wiped = document;
        wipe(&mut wiped);
        assert_eq!(wiped, json!({"text": ""}));
    }
}
