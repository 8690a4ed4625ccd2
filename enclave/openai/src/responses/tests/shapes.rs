//! Whatever comes, nothing breaks.

use serde_json::{Map, Value, json};

use super::super::*;
use super::head;
use crate::fields::Fields;

/// Values of every shape under the names that matter, by a generator with a fixed seed.
struct Shapes(u64);

impl Shapes {
    const NAMES: [&str; 34] = [
        "choices",
        "delta",
        "content",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "index",
        "id",
        "logprobs",
        "finish_reason",
        "reasoning_content",
        "refusal",
        "receipt",
        "usage",
        "message",
        "input",
        "role",
        "type",
        "call_id",
        "output",
        "text",
        "format",
        "tools",
        "tool_choice",
        "reasoning",
        "effort",
        "include",
        "image_url",
        "top_logprobs",
        "metadata",
        "instructions",
        "summary",
        "status",
    ];
    const TEXTS: [&str; 14] = [
        "",
        "a",
        "function",
        "message",
        "function_call",
        "function_call_output",
        "reasoning",
        "input_text",
        "input_image",
        "user",
        "json_schema",
        "length",
        "message.output_text.logprobs",
        "\u{0}\"\\",
    ];

    fn below(&mut self, count: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 11 }) {
            0 => Value::Null,
            1 => true.into(),
            2 => self.below(3).into(),
            3 | 4 => Self::TEXTS[self.below(Self::TEXTS.len())].into(),
            5 | 6 => {
                let count = self.below(3);
                (0..count)
                    .map(|_| self.value(depth - 1))
                    .collect::<Vec<_>>()
                    .into()
            }
            _ => self.object(depth - 1).into(),
        }
    }

    fn object(&mut self, depth: usize) -> Map<String, Value> {
        let count = self.below(5);
        (0..count)
            .map(|_| {
                (
                    Self::NAMES[self.below(Self::NAMES.len())].to_owned(),
                    self.value(depth),
                )
            })
            .collect()
    }
}

#[test]
fn whatever_a_chunk_or_a_request_holds_nothing_breaks() {
    let mut shapes = Shapes(1);
    for _ in 0..4_000 {
        stream_of(&mut shapes);
        let odd = Stream::new(head()).chunk(shapes.value(4));
        assert!(odd.is_none_or(|events| events.len() < 20));
        let _ = whole(head(), json!({"choices": [shapes.value(5)]}));
        let mut fields = shapes.object(5);
        fields.insert("input".to_owned(), vec![shapes.value(4)].into());
        let _ = parse(Fields(fields));
    }
}

/// A stream of three odd chunks ends one way or the other, its events in order.
fn stream_of(shapes: &mut Shapes) {
    let mut stream = Stream::new(head());
    let mut events = stream.start();
    for _ in 0..3 {
        let mut choice = shapes.object(3);
        choice.insert("delta".to_owned(), shapes.object(4).into());
        match stream.chunk(json!({"choices": [choice], "receipt": null})) {
            Some(more) => events.extend(more),
            None => {
                assert_eq!(stream.fail("code", "message").len(), 2);
                return;
            }
        }
    }
    events.extend(stream.end());
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event.document["sequence_number"], number);
    }
}
