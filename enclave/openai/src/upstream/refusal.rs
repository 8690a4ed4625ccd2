//! What an upstream's error means for the client, who never sees its text.

use serde::Deserialize;

/// Longest error body that is looked at, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// Why an upstream gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It can't serve the request as it is.
    Refused,
    /// The prompt, or prompt and answer together, are longer than the model takes.
    TooLong,
    /// It has no place now.
    Overloaded,
    /// It isn't there for now.
    Unavailable,
    /// It gave up waiting.
    TimedOut,
    /// Anything else: it failed, or this node asks it in a way that it doesn't understand.
    Failed,
}

/// What programs call a prompt that is too long, as code or type of the error.
const TOO_LONG: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];

/// Judges an answer that isn't 200 by its status, and by the code in its body's first [`MAX_BODY`] bytes.
pub fn judge(status: u16, body: &[u8]) -> Refusal {
    match status {
        400 | 413 | 422 if is_too_long(body) => Refusal::TooLong,
        400 | 413 | 422 => Refusal::Refused,
        429 => Refusal::Overloaded,
        503 => Refusal::Unavailable,
        408 | 504 => Refusal::TimedOut,
        _ => Refusal::Failed,
    }
}

#[derive(Deserialize)]
struct Body {
    error: Error,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    code: Option<Code>,
    #[serde(default)]
    r#type: Option<String>,
}

/// A text with some programs, a number with others.
#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Text(String),
    #[allow(dead_code, reason = "only told apart from text")]
    Number(i64),
}

fn is_too_long(body: &[u8]) -> bool {
    let Ok(Body { error }) = serde_json::from_slice(body) else {
        return false;
    };
    let code = match &error.code {
        Some(Code::Text(code)) => Some(code),
        _ => None,
    };
    code.into_iter()
        .chain(&error.r#type)
        .any(|text| TOO_LONG.contains(&text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_of_an_error_is_kept() {
        assert_eq!(judge(400, b""), Refusal::Refused);
        assert_eq!(judge(422, b"{}"), Refusal::Refused);
        assert_eq!(judge(429, b""), Refusal::Overloaded);
        assert_eq!(judge(503, b""), Refusal::Unavailable);
        assert_eq!(judge(504, b""), Refusal::TimedOut);
        for status in [401, 403, 404, 405, 301, 204, 206, 500, 502, 999] {
            assert_eq!(judge(status, b""), Refusal::Failed, "{status}");
        }
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_apart() {
        // llama.cpp, as answered by its server.
        let llama = br#"{"error":{"code":400,"message":"x","type":"exceed_context_size_error","n_ctx":64}}"#;
        assert_eq!(judge(400, llama), Refusal::TooLong);
        let openai =
            br#"{"error":{"message":"x","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
        assert_eq!(judge(400, openai), Refusal::TooLong);
        assert_eq!(judge(500, openai), Refusal::Failed);
        assert_eq!(judge(400, br#"{"error":{"code":null}}"#), Refusal::Refused);
        assert_eq!(
            judge(400, br#"{"error":"context_length_exceeded"}"#),
            Refusal::Refused
        );
    }
}
