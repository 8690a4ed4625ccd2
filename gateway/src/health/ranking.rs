//! Providers of a model, in the order in which they are worth trying.

use std::sync::Arc;

use super::{Health, Reading};
use crate::index::{Provider, Snapshot};

/// A provider of a model, with its prices and what the last check found.
#[derive(Debug, Clone)]
pub struct Ranked {
    /// The provider.
    pub provider: Arc<Provider>,
    /// Wei for each token of a prompt.
    pub price_per_input_token: u128,
    /// Wei for each token of an answer.
    pub price_per_output_token: u128,
    /// None where it was never checked.
    pub reading: Option<Reading>,
}

/// Active providers that offer `model` now, at most `limit` of them: by the sum of both prices, then by latency, those that
/// weren't checked last, then by account. With `healthy`, those alone that answered at their last check, or those alone that
/// didn't.
pub fn ranked(
    snapshot: &Snapshot,
    health: &Health,
    model: &str,
    healthy: Option<bool>,
    limit: usize,
) -> Vec<Ranked> {
    let mut all = Vec::new();
    for same_price in snapshot.priced(model) {
        let found = same_price.into_iter().map(|(provider, input, output)| Ranked {
            provider: provider.clone(),
            price_per_input_token: input,
            price_per_output_token: output,
            reading: health.of(&provider.record.account),
        });
        let mut found: Vec<_> = found
            .filter(|ranked| healthy.is_none_or(|healthy| healthy == ranked.is_healthy()))
            .collect();
        // The order of accounts stays where latencies are the same.
        found.sort_by_key(|ranked| ranked.reading.map_or(u32::MAX, |reading| reading.latency_ms));
        all.append(&mut found);
        if all.len() >= limit {
            all.truncate(limit);
            break;
        }
    }
    all
}

impl Ranked {
    /// Whether it answered at its last check.
    pub fn is_healthy(&self) -> bool {
        self.reading.is_some_and(|reading| reading.healthy)
    }
}

#[cfg(test)]
mod tests {
    use jeju_chain::{Block, Capability, ProviderRecord};

    use super::*;

    fn provider(number: u8, prices: &[(&str, u128)]) -> Arc<Provider> {
        let record = ProviderRecord {
            account: [number; 20],
            name: (&b"p"[..]).into(),
            endpoint: (&b"https://p.example"[..]).into(),
            attestation_hash: [0; 32],
            stake: 1,
            registered_at: 1,
            agent: [0; 32],
            active: true,
        };
        let capability = |(model, price): &(&str, u128)| Capability {
            model: model.as_bytes().into(),
            price_per_input_token: *price,
            price_per_output_token: *price,
            max_context: 1,
            active: true,
        };
        Arc::new(Provider::new(record, prices.iter().map(capability).collect()))
    }

    #[test]
    fn the_cheapest_comes_first_and_then_the_nearest() {
        let block = Block {
            number: 1,
            hash: [1; 32],
            timestamp: 1,
        };
        let providers = vec![
            provider(1, &[("m", u128::MAX)]),
            provider(2, &[("m", 5)]),
            provider(3, &[("m", 5)]),
            provider(4, &[("m", 7), ("m", 2)]),
            provider(5, &[("m", 5)]),
            provider(6, &[("n", 1)]),
        ];
        let snapshot = Snapshot::new(block, providers);
        let health = Health::default();
        let reading = |healthy, latency_ms| Reading {
            healthy,
            latency_ms,
            checked_at: 1,
        };
        health.note(&[[2; 20]], reading(true, 30));
        health.note(&[[3; 20]], reading(true, 20));
        health.note(&[[4; 20]], reading(false, 1));
        let numbers = |healthy| {
            let ranked = ranked(&snapshot, &health, "m", healthy, 10);
            ranked
                .iter()
                .map(|ranked| ranked.provider.record.account[0])
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(None), [4, 3, 2, 5, 1]);
        assert_eq!(numbers(Some(true)), [3, 2]);
        assert_eq!(
            numbers(Some(false)),
            [4, 5, 1],
            "who was never checked isn't known to be well"
        );
        assert_eq!(health.counts(), (3, 2));
        let first = super::ranked(&snapshot, &health, "m", None, 2);
        assert_eq!((first.len(), first[1].provider.record.account), (2, [3; 20]));
    }
}
