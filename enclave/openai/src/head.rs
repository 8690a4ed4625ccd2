//! What all documents of one answer share, whoever made it.

use serde_json::{Value, json};

/// Under what name an answer goes to the client.
#[derive(Clone)]
pub struct Head {
    /// `id`.
    pub id: String,
    /// `model`.
    pub model: String,
    /// `created`, in seconds since 1970.
    pub created: u64,
    /// `system_fingerprint`, where one is known: changes whenever the same request would get another answer.
    pub fingerprint: Option<String>,
}

impl Head {
    pub(crate) fn document(&self, object: &str, choices: Value, usage: Value) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
            "usage": usage,
        })
    }
}
