//! Who is checked, and when.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::sleep;

use super::{Health, Probe, Reading};
use crate::index::{Endpoint, Index, Snapshot};
use crate::names::Resolver;

/// Endpoints of one host that are checked: who registers many of them makes no gateway knock at another's doors.
const MAX_OF_HOST: usize = 8;
/// Most rounds that an endpoint sits out that never answers.
const MAX_PAUSE: u32 = 15;

/// How often, and how many at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Between the starts of two rounds; a round that takes longer delays the next.
    pub interval: Duration,
    /// Checks at a time.
    pub at_once: usize,
}

/// Rounds of checks.
pub struct Rounds {
    index: Arc<Index>,
    health: Arc<Health>,
    resolver: Arc<Resolver>,
    probe: Arc<Probe>,
    pace: Pace,
    /// Of endpoints that failed.
    failing: HashMap<Endpoint, Failing>,
}

/// An endpoint's failures.
#[derive(Clone, Copy, Default)]
struct Failing {
    /// In a row.
    count: u32,
    /// Rounds that it sits out now.
    pause: u32,
}

impl Rounds {
    /// Of the providers in `index`.
    pub fn new(
        index: Arc<Index>,
        health: Arc<Health>,
        resolver: Arc<Resolver>,
        probe: Probe,
        pace: Pace,
    ) -> Self {
        Self {
            index,
            health,
            resolver,
            probe: Arc::new(probe),
            pace,
            failing: HashMap::new(),
        }
    }

    /// Goes on for ever.
    pub async fn run(mut self) {
        loop {
            let started = Instant::now();
            self.once().await;
            sleep(self.pace.interval.saturating_sub(started.elapsed())).await;
        }
    }

    /// One round: each distinct endpoint of active providers is checked once, unless it sits this one out.
    pub async fn once(&mut self) {
        let snapshot = self.index.now();
        let endpoints = endpoints(&snapshot);
        self.health.retain(|account| {
            snapshot
                .provider(account)
                .is_some_and(|provider| provider.record.active)
        });
        self.failing
            .retain(|endpoint, _| endpoints.contains_key(endpoint));
        let mut due = Vec::new();
        for (endpoint, accounts) in endpoints {
            if self.is_due(&endpoint) {
                due.push((endpoint, accounts));
            }
        }
        let check = |(endpoint, accounts): (Endpoint, Vec<[u8; 20]>)| {
            let (health, resolver, probe) = (self.health.clone(), self.resolver.clone(), self.probe.clone());
            async move {
                let addresses = resolver.addresses(&endpoint.host).await;
                let started = Instant::now();
                let healthy = probe.check(&endpoint, &addresses).await;
                let reading = Reading {
                    healthy,
                    latency_ms: u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX),
                    checked_at: now(),
                };
                health.note(&accounts, reading);
                (endpoint, healthy)
            }
        };
        let checked: Vec<_> = stream::iter(due)
            .map(check)
            .buffer_unordered(self.pace.at_once)
            .collect()
            .await;
        for (endpoint, healthy) in checked {
            match healthy {
                true => drop(self.failing.remove(&endpoint)),
                false => self.failing.entry(endpoint).or_default().again(),
            }
        }
    }

    fn is_due(&mut self, endpoint: &Endpoint) -> bool {
        match self.failing.get_mut(endpoint) {
            Some(failing) if failing.pause > 0 => {
                failing.pause -= 1;
                false
            }
            Some(_) | None => true,
        }
    }
}

impl Failing {
    /// The first failures are looked at again at once, then ever more rarely.
    fn again(&mut self) {
        self.count = self.count.saturating_add(1);
        self.pause = match self.count {
            0..=2 => 0,
            count => (1 << (count - 2).min(5)).min(MAX_PAUSE + 1) - 1,
        };
    }
}

/// Endpoints of active providers, and who names them: of each host those whose providers are the oldest.
fn endpoints(snapshot: &Snapshot) -> HashMap<Endpoint, Vec<[u8; 20]>> {
    let active = snapshot.all().iter().filter(|provider| provider.record.active);
    let mut providers: Vec<_> = active
        .filter_map(|provider| provider.endpoint.as_ref().map(|endpoint| (endpoint, provider)))
        .collect();
    providers.sort_by_key(|(_, provider)| (provider.record.registered_at, provider.record.account));
    let mut of_host: HashMap<&str, usize> = HashMap::new();
    let mut endpoints: HashMap<Endpoint, Vec<[u8; 20]>> = HashMap::new();
    for (endpoint, provider) in providers {
        if !endpoints.contains_key(endpoint) {
            let count = of_host.entry(&endpoint.host).or_default();
            if *count == MAX_OF_HOST {
                continue;
            }
            *count += 1;
        }
        endpoints
            .entry(endpoint.clone())
            .or_default()
            .push(provider.record.account);
    }
    endpoints
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_answers_is_asked_ever_more_rarely() {
        let mut failing = Failing::default();
        let pauses: Vec<u32> = (0..9)
            .map(|_| {
                failing.again();
                failing.pause
            })
            .collect();
        assert_eq!(pauses, [0, 0, 1, 3, 7, 15, 15, 15, 15]);
    }
}
