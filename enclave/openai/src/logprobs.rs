//! Log probabilities of tokens, as the two endpoints tell them.

use serde_json::{Map, Value, json};

/// What an API says of a probability that is too small for a number.
const LEAST: f32 = -9999.0;

/// A token that was chosen, with the most probable ones at its place.
pub struct Token<'a> {
    /// The token.
    pub chosen: Piece<'a>,
    /// Its natural logarithm of the probability that the model gave it.
    pub logprob: f32,
    /// The most probable tokens with theirs, in descending order.
    pub top: Vec<(Piece<'a>, f32)>,
}

/// A token's id and bytes. Holds what the model wrote: neither Debug nor Display.
#[derive(Clone, Copy)]
pub struct Piece<'a> {
    /// Number in the vocabulary.
    pub id: u32,
    /// Piece of UTF-8 that may start or end inside a character; empty for control tokens.
    pub bytes: &'a [u8],
}

impl Piece<'_> {
    /// The token as text. What is no text has the names that other servers give it: `bytes:\xe2\x82` and `token_id:2`.
    fn text(self) -> String {
        match std::str::from_utf8(self.bytes) {
            Ok("") => format!("token_id:{}", self.id),
            Ok(text) => text.to_owned(),
            Err(_) => self
                .bytes
                .iter()
                .fold("bytes:".to_owned(), |text, byte| text + &format!("\\x{byte:02x}")),
        }
    }

    fn document(self, logprob: f32) -> Map<String, Value> {
        Map::from_iter([
            ("token".to_owned(), self.text().into()),
            ("logprob".to_owned(), number(logprob)),
            ("bytes".to_owned(), self.bytes.into()),
        ])
    }
}

fn number(logprob: f32) -> Value {
    json!(if logprob.is_finite() { logprob } else { LEAST })
}

/// `logprobs` of a chat choice or chunk.
pub fn chat<'a>(tokens: impl IntoIterator<Item = Token<'a>>) -> Value {
    let entry = |token: Token<'a>| {
        let mut entry = token.chosen.document(token.logprob);
        let top = token.top.into_iter();
        let top: Vec<Value> = top
            .map(|(piece, logprob)| piece.document(logprob).into())
            .collect();
        entry.insert("top_logprobs".to_owned(), top.into());
        Value::Object(entry)
    };
    let content: Vec<Value> = tokens.into_iter().map(entry).collect();
    json!({"content": content, "refusal": null})
}

/// `logprobs` of a completion's choice or chunk. `offset`: characters of the text before these tokens; moved behind them.
pub fn completion<'a>(tokens: impl IntoIterator<Item = Token<'a>>, offset: &mut usize) -> Value {
    let (mut texts, mut logprobs, mut tops, mut offsets) = (vec![], vec![], vec![], vec![]);
    for token in tokens {
        texts.push(Value::from(token.chosen.text()));
        logprobs.push(number(token.logprob));
        offsets.push(Value::from(*offset));
        // Only the first byte of a character counts it.
        *offset += token
            .chosen
            .bytes
            .iter()
            .filter(|byte| **byte & 0xc0 != 0x80)
            .count();
        let mut top: Map<String, Value> = token
            .top
            .into_iter()
            .map(|(piece, logprob)| (piece.text(), number(logprob)))
            .collect();
        // The chosen token is always told, as OpenAI does.
        top.entry(token.chosen.text())
            .or_insert_with(|| number(token.logprob));
        tops.push(Value::Object(top));
    }
    json!({"tokens": texts, "token_logprobs": logprobs, "top_logprobs": tops, "text_offset": offsets})
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Piece<'static> = Piece { id: 5, bytes: b"a" };
    const EURO: [Piece<'static>; 2] = [
        Piece {
            id: 6,
            bytes: b"\xe2\x82",
        },
        Piece {
            id: 7,
            bytes: b"\xac",
        },
    ];
    const END: Piece<'static> = Piece { id: 2, bytes: b"" };

    fn token(chosen: Piece<'static>, logprob: f32, top: &[(Piece<'static>, f32)]) -> Token<'static> {
        let top = top.to_vec();
        Token { chosen, logprob, top }
    }

    #[test]
    fn chat_tells_bytes_and_the_most_probable() {
        let told = chat([
            token(A, -0.5, &[(A, -0.5), (END, f32::NEG_INFINITY)]),
            token(EURO[0], -1.0, &[]),
        ]);
        assert_eq!(
            told,
            json!({"content": [
                {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [
                    {"token": "a", "logprob": -0.5, "bytes": [97]},
                    {"token": "token_id:2", "logprob": -9999.0, "bytes": []},
                ]},
                {"token": "bytes:\\xe2\\x82", "logprob": -1.0, "bytes": [0xe2, 0x82], "top_logprobs": []},
            ], "refusal": null})
        );
    }

    #[test]
    fn completions_tell_where_in_the_text_a_token_starts() {
        let mut offset = 3;
        let tokens = [
            token(EURO[0], -1.0, &[]),
            token(EURO[1], -2.0, &[]),
            token(A, -3.0, &[(END, -0.5)]),
        ];
        assert_eq!(
            completion(tokens, &mut offset),
            json!({
                "tokens": ["bytes:\\xe2\\x82", "bytes:\\xac", "a"],
                "token_logprobs": [-1.0, -2.0, -3.0],
                "top_logprobs": [{"bytes:\\xe2\\x82": -1.0}, {"bytes:\\xac": -2.0}, {"token_id:2": -0.5, "a": -3.0}],
                "text_offset": [3, 4, 4],
            })
        );
        assert_eq!(offset, 5);
    }
}
