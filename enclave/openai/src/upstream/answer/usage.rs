//! What an answer took.

use serde::Deserialize;
use serde_json::{Value, json};

/// As an upstream counts it.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Usage {
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: Option<u32>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Clone, Copy, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Option<u32>,
}

impl Usage {
    /// Of an answer with text.
    pub(super) fn document(self) -> Value {
        let (prompt, completion) = (self.prompt_tokens, self.completion_tokens.unwrap_or(0));
        let cached = self
            .prompt_tokens_details
            .and_then(|details| details.cached_tokens);
        let mut document = json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": u64::from(prompt) + u64::from(completion),
            "prompt_tokens_details": {"cached_tokens": cached.unwrap_or(0)},
        });
        let details = self.completion_tokens_details;
        if let Some(reasoning) = details.and_then(|details| details.reasoning_tokens) {
            document["completion_tokens_details"] = json!({"reasoning_tokens": reasoning});
        }
        document
    }

    /// Of embeddings.
    pub(super) fn of_prompt(self) -> Value {
        json!({"prompt_tokens": self.prompt_tokens, "total_tokens": self.prompt_tokens})
    }
}
