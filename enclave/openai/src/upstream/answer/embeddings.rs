//! Embeddings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Number, Value, json};

use super::usage::Usage;
use super::whole::all_there;
use super::{Expected, Malformed};
use crate::Head;

const MAX_DIMENSIONS: usize = 65_536;

#[derive(Deserialize)]
struct Document {
    object: String,
    data: Vec<Entry>,
    usage: Usage,
}

#[derive(Deserialize)]
struct Entry {
    index: usize,
    embedding: Vec<Number>,
}

pub(super) fn document(head: &Head, expected: Expected, body: &[u8]) -> Result<Value, Malformed> {
    let mut document: Document = serde_json::from_slice(body).map_err(|_| Malformed)?;
    document.data.sort_by_key(|entry| entry.index);
    all_there(document.data.iter().map(|entry| entry.index), expected.choices)?;
    let dimensions = document.data.first().map_or(0, |entry| entry.embedding.len());
    let fits = |entry: &Entry| {
        entry.embedding.len() == dimensions && entry.embedding.iter().all(|number| single(number).is_finite())
    };
    if document.object != "list"
        || !(1..=MAX_DIMENSIONS).contains(&dimensions)
        || !document.data.iter().all(fits)
    {
        return Err(Malformed);
    }
    let data = document.data.into_iter().map(|entry| {
        let embedding = match expected.base64 {
            true => base64(&entry.embedding).into(),
            false => json!(entry.embedding),
        };
        json!({"object": "embedding", "index": entry.index, "embedding": embedding})
    });
    let data: Vec<Value> = data.collect();
    Ok(json!({"object": "list", "data": data, "model": head.model, "usage": document.usage.of_prompt()}))
}

/// Little-endian 32-bit floats, as OpenAI's clients read them.
fn base64(vector: &[Number]) -> String {
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|number| single(number).to_le_bytes())
        .collect();
    STANDARD.encode(bytes)
}

/// Not finite where it is beyond what 32 bits hold.
fn single(number: &Number) -> f32 {
    number.as_f64().map_or(f32::NAN, |number| number as f32)
}
