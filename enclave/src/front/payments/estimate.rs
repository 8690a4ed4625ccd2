//! What an answer may cost, before it is made: as the first clients estimate it.

use jeju_openai::fields::Fields;
use serde_json::Value;

/// Characters that count as a token of a prompt.
const CHARACTERS: u64 = 4;
/// Tokens of an answer whose request sets no limit.
const OUTPUT: u64 = 500;
/// Names of that limit, by route.
const LIMITS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// Tokens that a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::front) struct Estimate {
    pub(super) input: u64,
    pub(super) output: u64,
}

impl Estimate {
    /// Of a request for so many answers. Texts of messages count, and those of a prompt or input.
    pub(in crate::front) fn new(fields: &Fields, answers: usize, writes: bool) -> Self {
        let fields = &fields.0;
        let input = match fields.get("messages") {
            Some(messages) => contents(messages),
            None => ["prompt", "input", "instructions"]
                .into_iter()
                .filter_map(|name| fields.get(name))
                .map(content)
                .fold(0, u64::saturating_add),
        };
        let limit = LIMITS.into_iter().find_map(|name| fields.get(name)?.as_u64());
        let output = if writes { limit.unwrap_or(OUTPUT) } else { 0 };
        Self {
            input: input.div_ceil(CHARACTERS),
            output: output.saturating_mul(answers as u64),
        }
    }
}

fn contents(messages: &Value) -> u64 {
    let messages = messages.as_array().map_or(&[][..], Vec::as_slice);
    let texts = messages.iter().filter_map(|message| message.get("content"));
    texts.map(content).fold(0, u64::saturating_add)
}

/// Characters of a text, of the texts of a list's parts, or what token ids stand for.
fn content(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.chars().count() as u64,
        Value::Number(_) => CHARACTERS,
        Value::Array(parts) => parts.iter().map(content).fold(0, u64::saturating_add),
        Value::Object(part) => ["text", "content"]
            .into_iter()
            .filter_map(|name| part.get(name))
            .map(content)
            .fold(0, u64::saturating_add),
        Value::Null | Value::Bool(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn estimate(body: Value, answers: usize) -> (u64, u64) {
        let fields = Fields::parse(body.to_string().as_bytes()).ok().unwrap();
        let Estimate { input, output } = Estimate::new(&fields, answers, true);
        (input, output)
    }

    #[test]
    fn prompts_count_by_their_characters() {
        let chat =
            json!({"messages": [{"role": "system", "content": "abcd"}, {"role": "user", "content": "é"}]});
        assert_eq!(estimate(chat, 1), (2, 500));
        let parts = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "abcde"}]}]});
        assert_eq!(estimate(parts, 1), (2, 500));
        assert_eq!(estimate(json!({"prompt": [[1, 2], [3]]}), 2), (3, 1000));
        assert_eq!(estimate(json!({"prompt": ["abcd", "efgh"]}), 1), (2, 500));
        let input = json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "abcd"}]}]});
        assert_eq!(estimate(input, 1), (1, 500));
        assert_eq!(estimate(json!({"messages": 7}), 1), (0, 500));
    }

    #[test]
    fn answers_count_by_their_limit() {
        for name in LIMITS {
            assert_eq!(estimate(json!({"prompt": "", name: 7}), 2), (0, 14));
        }
        assert_eq!(
            estimate(json!({"prompt": "", "max_tokens": u64::MAX}), 2),
            (0, u64::MAX)
        );
        assert_eq!(estimate(json!({"prompt": "", "max_tokens": -1}), 1), (0, 500));
        let fields = Fields::parse(br#"{"input": "abcd"}"#).ok().unwrap();
        assert_eq!(Estimate::new(&fields, 1, false), Estimate { input: 1, output: 0 });
    }
}
