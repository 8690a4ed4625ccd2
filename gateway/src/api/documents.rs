//! The API's documents.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use jeju_wallet_auth::account::Account;
use serde_json::{Value, json};

use crate::index::{Provider, ProviderFilter, Snapshot};
use crate::passthrough::Counters;

/// Most models of one answer.
pub(super) const MAX_MODELS: usize = 1000;

/// As EIP-55 writes it.
pub(super) fn account(account: &[u8; 20]) -> String {
    Account(*account).to_string()
}

pub(super) fn parse_account(text: &str) -> Option<[u8; 20]> {
    let mut account = [0; 20];
    hex::decode_to_slice(text.strip_prefix("0x")?, &mut account).ok()?;
    Some(account)
}

/// Reads `model=…&active=…&after=…&limit=…`; `None` for anything else.
pub(super) fn filter(query: &str) -> Option<ProviderFilter> {
    let mut filter = ProviderFilter::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let is_new = match name {
            "model" => filter.model.replace(decoded(value)?).is_none(),
            "active" => filter.active.replace(value.parse().ok()?).is_none(),
            "after" => filter.after.replace(parse_account(value)?).is_none(),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=1000).contains(limit))?;
                filter.limit.replace(limit).is_none()
            }
            _ => false,
        };
        if !is_new {
            return None;
        }
    }
    Some(filter)
}

/// A value of a query (`application/x-www-form-urlencoded`).
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let mut byte = [0];
                hex::decode_to_slice(digits, &mut byte).ok()?;
                byte[0]
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A provider in a list. What providers wrote is shown without control characters.
pub(super) fn provider(provider: &Provider) -> Value {
    let record = &provider.record;
    json!({
        "address": account(&record.account),
        "name": record.name.to_string(),
        "endpoint": record.endpoint.to_string(),
        "stake": record.stake.to_string(),
        "agentId": agent(&record.agent),
        "active": record.active,
    })
}

/// A provider by itself, with its models.
pub(super) fn whole_provider(of: &Provider) -> Value {
    let models = of.capabilities.iter().map(|capability| {
        json!({
            "model": capability.model.to_string(),
            "pricePerInputToken": capability.price_per_input_token.to_string(),
            "pricePerOutputToken": capability.price_per_output_token.to_string(),
            "maxContextLength": capability.max_context,
            "active": capability.active,
        })
    });
    let mut document = provider(of);
    document["models"] = models.collect();
    document["registeredAt"] = of.record.registered_at.into();
    document
}

/// A model of a provider; `None` where it doesn't offer it.
pub(super) fn model(model: &str, provider: &Provider) -> Option<Value> {
    let offered =
        |capability: &&jeju_chain::Capability| capability.active && capability.model.as_str() == Some(model);
    let capability = provider.capabilities.iter().find(offered)?;
    Some(json!({
        "id": model,
        "name": capability.model.to_string(),
        "provider": account(&provider.record.account),
        "type": "llm",
        "source": "decentralized",
        "contextWindow": capability.max_context,
        "pricing": {
            "input": capability.price_per_input_token.to_string(),
            "output": capability.price_per_output_token.to_string(),
        },
    }))
}

/// A number where it is one of JSON's clients, else decimal text.
fn agent(id: &[u8; 32]) -> Value {
    const SAFE: u64 = 1 << 53;
    let (high, low) = id.split_at(24);
    let low = u64::from_be_bytes(low.try_into().unwrap_or_default());
    match high.iter().all(|byte| *byte == 0) && low < SAFE {
        true => low.into(),
        false => format!("0x{}", hex::encode(id)).into(),
    }
}

/// Prometheus text exposition format.
pub(super) fn metrics(snapshot: &Snapshot, all: &[Arc<Counters>]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, kind: &str, value: u64| {
        let _ = writeln!(
            text,
            "# TYPE jeju_gateway_{name} {kind}\njeju_gateway_{name} {value}"
        );
    };
    let block = snapshot.block();
    line("block_number", "gauge", block.map_or(0, |block| block.number));
    line(
        "block_timestamp_seconds",
        "gauge",
        block.map_or(0, |block| block.timestamp),
    );
    line("providers", "gauge", snapshot.len() as u64);
    let sum = |of: &dyn Fn(&Counters) -> u64| all.iter().map(|counters| of(counters)).sum::<u64>();
    line("connections_active", "gauge", sum(&|c| c.active.load(Relaxed)));
    line("connections_total", "counter", sum(&|c| c.accepted.load(Relaxed)));
    line(
        "connections_without_name_total",
        "counter",
        sum(&|c| c.no_hello.load(Relaxed)),
    );
    line(
        "connections_unknown_name_total",
        "counter",
        sum(&|c| c.unknown.load(Relaxed)),
    );
    line(
        "connections_unreachable_total",
        "counter",
        sum(&|c| c.unreachable.load(Relaxed)),
    );
    line(
        "connections_broken_total",
        "counter",
        sum(&|c| c.broken.load(Relaxed)),
    );
    line(
        "connections_idle_total",
        "counter",
        sum(&|c| c.idle.load(Relaxed)),
    );
    line("to_providers_bytes_total", "counter", sum(&Counters::bytes_in));
    line("to_clients_bytes_total", "counter", sum(&Counters::bytes_out));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_strictly() {
        let read =
            filter("model=a%2Fb+c&active=true&limit=10&after=0x0101010101010101010101010101010101010101");
        let read = read.unwrap();
        assert_eq!(
            (read.model.as_deref(), read.active, read.limit),
            (Some("a/b c"), Some(true), Some(10))
        );
        assert_eq!(read.after, Some([1; 20]));
        assert_eq!(filter(""), Some(ProviderFilter::default()));
        for wrong in [
            "model",
            "model=%",
            "model=%zz",
            "model=%ff",
            "model=a&model=b",
            "active=yes",
            "limit=0",
            "limit=1001",
            "after=1",
            "colour=red",
        ] {
            assert_eq!(filter(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn agents_are_numbers_while_clients_can_read_them() {
        let mut id = [0; 32];
        id[31] = 7;
        assert_eq!(agent(&id), json!(7));
        id[0] = 1;
        assert_eq!(agent(&id), json!(format!("0x01{}07", "00".repeat(30))));
    }
}
