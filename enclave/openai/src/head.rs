//! What all documents of one answer share, whoever made it.

use serde::Serialize;
use serde_json::{Value, json};

use crate::event::Open;

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

    /// A chunk without usage, as the event that it is sent in.
    pub(crate) fn chunk<C: Serialize>(&self, object: &'static str, choices: &[C]) -> Open {
        Open::new(&Chunk {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            system_fingerprint: self.fingerprint.as_deref(),
            choices,
            usage: (),
        })
    }
}

#[derive(Serialize)]
struct Chunk<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: Option<&'a str>,
    choices: &'a [C],
    /// Null.
    usage: (),
}
