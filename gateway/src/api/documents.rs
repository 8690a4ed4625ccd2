//! The API's documents.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use jeju_wallet_auth::account::Account;
use serde::Serialize;
use serde_json::{Value, json};

use crate::health::{Health, Ranked, Reading};
use crate::index::{Provider, Snapshot};
use crate::passthrough::Counters;

/// Most models of one answer.
pub(super) const MAX_MODELS: usize = 1000;
/// What models are here.
pub(super) const MODEL_TYPE: &str = "llm";
/// Where they are from.
pub(super) const MODEL_SOURCE: &str = "decentralized";

/// As EIP-55 writes it.
pub(super) fn account(account: &[u8; 20]) -> String {
    Account(*account).to_string()
}

/// What a list says of a provider beside its record.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Beside {
    healthy: Option<bool>,
    latency_ms: Option<u32>,
    checked_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price_per_input_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price_per_output_token: Option<String>,
}

impl Beside {
    /// What the last check found.
    pub(super) fn new(reading: Option<Reading>) -> Self {
        Self {
            healthy: reading.map(|reading| reading.healthy),
            latency_ms: reading.map(|reading| reading.latency_ms),
            checked_at: reading.map(|reading| reading.checked_at.saturating_mul(1000)),
            price_per_input_token: None,
            price_per_output_token: None,
        }
    }

    /// The same with the prices of one model.
    pub(super) fn priced(ranked: &Ranked) -> Self {
        Self {
            price_per_input_token: Some(ranked.price_per_input_token.to_string()),
            price_per_output_token: Some(ranked.price_per_output_token.to_string()),
            ..Self::new(ranked.reading)
        }
    }
}

/// A page of providers. It is written as text at once: pages are long, and most of each is known before.
pub(super) fn providers<'a>(
    found: impl Iterator<Item = (&'a Provider, Beside)>,
    next: Option<&[u8; 20]>,
) -> Vec<u8> {
    let mut text = b"{\"providers\":[".to_vec();
    for (place, (of, beside)) in found.enumerate() {
        if place != 0 {
            text.push(b',');
        }
        provider(&mut text, of, &beside);
    }
    text.extend_from_slice(b"],\"next\":");
    write_json(&mut text, &next.map(account));
    text.push(b'}');
    text
}

/// A provider in a list. What providers wrote is shown without control characters.
fn provider(text: &mut Vec<u8>, of: &Provider, beside: &Beside) {
    let listed = of.listed(|record| {
        let document = json!({
            "address": account(&record.account),
            "name": record.name.to_string(),
            "endpoint": record.endpoint.to_string(),
            "stake": record.stake.to_string(),
            "agentId": agent(&record.agent),
            "active": record.active,
        });
        document.to_string().into_bytes()
    });
    // Two objects become one.
    text.extend_from_slice(&listed[..listed.len() - 1]);
    let place = text.len();
    write_json(text, beside);
    text[place] = b',';
}

/// Into memory, which never fails.
fn write_json(text: &mut Vec<u8>, value: &impl Serialize) {
    let _ = serde_json::to_writer(text, value);
}

/// A provider by itself, with its models.
pub(super) fn whole_provider(of: &Provider, health: &Health) -> Value {
    let models = of.capabilities.iter().map(|capability| {
        json!({
            "model": capability.model.to_string(),
            "pricePerInputToken": capability.price_per_input_token.to_string(),
            "pricePerOutputToken": capability.price_per_output_token.to_string(),
            "maxContextLength": capability.max_context,
            "active": capability.active,
        })
    });
    let mut text = Vec::new();
    provider(&mut text, of, &Beside::new(health.of(&of.record.account)));
    let mut document: Value = serde_json::from_slice(&text).unwrap_or_default();
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
        "type": MODEL_TYPE,
        "source": MODEL_SOURCE,
        "contextWindow": capability.max_context,
        "pricing": {
            "input": capability.price_per_input_token.to_string(),
            "output": capability.price_per_output_token.to_string(),
        },
    }))
}

/// A number where it is one of JSON's clients, else decimal text.
pub(super) fn agent(id: &[u8; 32]) -> Value {
    const SAFE: u64 = 1 << 53;
    let (high, low) = id.split_at(24);
    let low = u64::from_be_bytes(low.try_into().unwrap_or_default());
    match high.iter().all(|byte| *byte == 0) && low < SAFE {
        true => low.into(),
        false => format!("0x{}", hex::encode(id)).into(),
    }
}

/// Prometheus text exposition format.
pub(super) fn metrics(snapshot: &Snapshot, health: &Health, all: &[Arc<Counters>]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, kind: &str, value: u64| metric(&mut text, name, kind, value);
    let block = snapshot.block();
    line("block_number", "gauge", block.map_or(0, |block| block.number));
    line(
        "block_timestamp_seconds",
        "gauge",
        block.map_or(0, |block| block.timestamp),
    );
    line("providers", "gauge", snapshot.len() as u64);
    let (checked, healthy) = health.counts();
    line("providers_checked", "gauge", checked as u64);
    line("providers_healthy", "gauge", healthy as u64);
    let sum = |of: &dyn Fn(&Counters) -> u64| all.iter().map(|counters| of(counters)).sum::<u64>();
    line("connections_active", "gauge", sum(&|c| c.active.load(Relaxed)));
    line("connections_total", "counter", sum(&|c| c.accepted.load(Relaxed)));
    line(
        "connections_refused_total",
        "counter",
        sum(&|c| c.refused.load(Relaxed)),
    );
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
    line(
        "connections_refused_total",
        "counter",
        sum(&|c| c.refused.load(Relaxed)),
    );
    line("to_providers_bytes_total", "counter", sum(&Counters::bytes_in));
    line("to_clients_bytes_total", "counter", sum(&Counters::bytes_out));
    text
}

/// One number of it.
pub(super) fn metric(text: &mut String, name: &str, kind: &str, value: u64) {
    let _ = writeln!(
        text,
        "# TYPE jeju_gateway_{name} {kind}\njeju_gateway_{name} {value}"
    );
}

/// Wei as ether, as ethers writes it: no zeros at the end but one behind the point.
pub(super) fn ether(wei: u128) -> String {
    const ETHER: u128 = 1_000_000_000_000_000_000;
    let fraction = format!("{:018}", wei % ETHER);
    let fraction = match fraction.trim_end_matches('0') {
        "" => "0",
        fraction => fraction,
    };
    format!("{}.{fraction}", wei / ETHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ether_is_written_as_ethers_does() {
        for (wei, text) in [
            (0, "0.0"),
            (1, "0.000000000000000001"),
            (20_000_000_000_000_000, "0.02"),
            (1_000_000_000_000_000_000, "1.0"),
            (u128::MAX, "340282366920938463463.374607431768211455"),
        ] {
            assert_eq!(ether(wei), text);
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
