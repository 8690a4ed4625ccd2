//! The stored form of the index: JSON. What stands on chain as text may be any bytes, and is kept as hexadecimal digits.

use std::sync::Arc;

use jeju_chain::{Block, Capability, ChainText, Cursor, ProviderRecord};
use serde::{Deserialize, Serialize};

use super::Kept;
use crate::index::Provider;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    chain_id: u64,
    registry: String,
    block_number: u64,
    block_hash: String,
    block_timestamp: u64,
    /// The cursor's own stored form.
    cursor: String,
    providers: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    account: String,
    name: String,
    endpoint: String,
    attestation_hash: String,
    stake: String,
    registered_at: u64,
    agent: String,
    active: bool,
    models: Vec<Model>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Model {
    name: String,
    input: String,
    output: String,
    context: u64,
    active: bool,
}

pub(super) fn text(kept: &Kept) -> Vec<u8> {
    let document = Document {
        chain_id: kept.chain_id,
        registry: hex::encode(kept.registry),
        block_number: kept.block.number,
        block_hash: hex::encode(kept.block.hash),
        block_timestamp: kept.block.timestamp,
        cursor: kept.cursor.to_json(),
        providers: kept.providers.iter().map(|provider| entry(provider)).collect(),
    };
    serde_json::to_vec(&document).unwrap_or_default()
}

pub(super) fn parse(body: &[u8]) -> Option<Kept> {
    let document: Document = serde_json::from_slice(body).ok()?;
    let providers: Option<_> = document.providers.iter().map(provider).collect();
    Some(Kept {
        chain_id: document.chain_id,
        registry: array(&document.registry)?,
        block: Block {
            number: document.block_number,
            hash: array(&document.block_hash)?,
            timestamp: document.block_timestamp,
        },
        cursor: Cursor::from_json(&document.cursor).ok()?,
        providers: providers?,
    })
}

fn entry(provider: &Provider) -> Entry {
    let record = &provider.record;
    let model = |capability: &Capability| Model {
        name: hex::encode(capability.model.as_bytes()),
        input: capability.price_per_input_token.to_string(),
        output: capability.price_per_output_token.to_string(),
        context: capability.max_context,
        active: capability.active,
    };
    Entry {
        account: hex::encode(record.account),
        name: hex::encode(record.name.as_bytes()),
        endpoint: hex::encode(record.endpoint.as_bytes()),
        attestation_hash: hex::encode(record.attestation_hash),
        stake: record.stake.to_string(),
        registered_at: record.registered_at,
        agent: hex::encode(record.agent),
        active: record.active,
        models: provider.capabilities.iter().map(model).collect(),
    }
}

fn provider(entry: &Entry) -> Option<Arc<Provider>> {
    let record = ProviderRecord {
        account: array(&entry.account)?,
        name: chain_text(&entry.name)?,
        endpoint: chain_text(&entry.endpoint)?,
        attestation_hash: array(&entry.attestation_hash)?,
        stake: entry.stake.parse().ok()?,
        registered_at: entry.registered_at,
        agent: array(&entry.agent)?,
        active: entry.active,
    };
    let capability = |model: &Model| {
        Some(Capability {
            model: chain_text(&model.name)?,
            price_per_input_token: model.input.parse().ok()?,
            price_per_output_token: model.output.parse().ok()?,
            max_context: model.context,
            active: model.active,
        })
    };
    let capabilities: Option<_> = entry.models.iter().map(capability).collect();
    Some(Arc::new(Provider::new(record, capabilities?)))
}

pub(super) fn array<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

fn chain_text(digits: &str) -> Option<ChainText> {
    Some(hex::decode(digits).ok()?.as_slice().into())
}
