//! Log probabilities of tokens.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;

/// Of chat.
#[derive(Deserialize, Serialize)]
pub(super) struct ChatLogprobs {
    #[serde(default)]
    content: Option<Vec<Token>>,
    #[serde(default)]
    refusal: Option<Vec<Token>>,
}

#[derive(Deserialize, Serialize)]
struct Token {
    token: String,
    logprob: Number,
    #[serde(default)]
    bytes: Option<Vec<u8>>,
    #[serde(default)]
    top_logprobs: Vec<Top>,
}

#[derive(Deserialize, Serialize)]
struct Top {
    token: String,
    logprob: Number,
    #[serde(default)]
    bytes: Option<Vec<u8>>,
}

impl ChatLogprobs {
    /// As many other tokens as were asked for: some programs send more.
    pub(super) fn cut(mut self, top: usize) -> Self {
        let tokens = self.content.iter_mut().chain(&mut self.refusal).flatten();
        tokens.for_each(|token| token.top_logprobs.truncate(top));
        self
    }
}

/// Of completions. An echoed prompt's first token has none.
#[derive(Deserialize, Serialize)]
pub(super) struct TextLogprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<Number>>,
    #[serde(default)]
    top_logprobs: Option<Vec<Option<BTreeMap<String, Number>>>>,
    #[serde(default)]
    text_offset: Vec<u64>,
}

/// The same from llama.cpp, which writes those of chat here too.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum AnyTextLogprobs {
    Text(TextLogprobs),
    Chat(ChatLogprobs),
}

impl AnyTextLogprobs {
    /// With so many other tokens. Offsets count from `start`, in characters.
    pub(super) fn into_text(self, start: u64, top: usize) -> TextLogprobs {
        let tokens = match self {
            AnyTextLogprobs::Text(logprobs) => return logprobs,
            AnyTextLogprobs::Chat(logprobs) => logprobs.cut(top).content.unwrap_or_default(),
        };
        let mut text = TextLogprobs {
            tokens: Vec::new(),
            token_logprobs: Vec::new(),
            top_logprobs: Some(Vec::new()),
            text_offset: Vec::new(),
        };
        let mut offset = start;
        for token in tokens {
            text.text_offset.push(offset);
            offset += token.token.chars().count() as u64;
            let top = token.top_logprobs.into_iter().map(|top| (top.token, top.logprob));
            if let Some(tops) = &mut text.top_logprobs {
                tops.push(Some(top.collect()));
            }
            text.token_logprobs.push(Some(token.logprob));
            text.tokens.push(token.token);
        }
        text
    }
}
