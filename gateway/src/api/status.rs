//! How the gateway is, and what it counted.

use std::sync::atomic::Ordering::Relaxed;

use http::StatusCode;
use serde_json::json;

use super::{Answer, Api, documents};
use crate::index::ProviderFilter;
use crate::passthrough::Counters;

impl Api {
    pub(super) fn health(&self) -> Answer {
        let snapshot = self.parts.index.now();
        let block = snapshot
            .block()
            .map(|block| json!({ "number": block.number, "timestamp": block.timestamp }));
        let mut answer = Answer::json(&json!({
            "status": if block.is_some() { "ok" } else { "starting" },
            "type": "compute-gateway",
            "activeRoutes": self.parts.routes.len(),
            "activeSessions": self.active(),
            "block": block,
        }));
        if block.is_none() {
            answer.status = StatusCode::SERVICE_UNAVAILABLE;
        }
        answer
    }

    pub(super) fn gateway(&self) -> Answer {
        let (info, ways) = (&self.parts.info, &self.parts.ways);
        let contracts = &info.contracts;
        let address = |contract: &Option<[u8; 20]>| contract.as_ref().map(documents::account);
        Answer::json(&json!({
            "name": info.name,
            "agentId": info.agent_id.map(|agent| agent.to_string()),
            "port": info.port,
            "sshProxyPort": ways.ssh,
            "hasIdentityRegistry": contracts.identity_registry.is_some(),
            "hasReputationRegistry": contracts.reputation_registry.is_some(),
            "host": ways.host,
            "routeKey": self.parts.inside.as_ref().map(|inside| inside.key().line()),
            "domains": info.domains,
            "version": env!("CARGO_PKG_VERSION"),
            "chainId": info.chain_id,
            "contracts": {
                "computeRegistry": documents::account(&contracts.compute_registry),
                "computeRental": address(&contracts.compute_rental),
                "identityRegistry": address(&contracts.identity_registry),
                "reputationRegistry": address(&contracts.reputation_registry),
            },
        }))
    }

    pub(super) fn stats(&self) -> Answer {
        let counters = &self.parts.counters;
        let sum = |of: fn(&Counters) -> u64| counters.iter().map(|counters| of(counters)).sum::<u64>();
        let active = ProviderFilter {
            active: Some(true),
            ..ProviderFilter::default()
        };
        let snapshot = self.parts.index.now();
        Answer::json(&json!({
            "totalProviders": snapshot.len(),
            "activeProviders": snapshot.count(&active),
            "activeRoutes": self.parts.routes.len(),
            "activeSessions": self.active(),
            "totalBytesIn": sum(Counters::bytes_in),
            "totalBytesOut": sum(Counters::bytes_out),
        }))
    }

    pub(super) fn metrics(&self) -> Answer {
        let parts = &self.parts;
        let mut body = documents::metrics(&parts.index.now(), &parts.health, &parts.counters);
        let answered = &self.answered;
        let inside = parts.inside.as_ref();
        let logins = inside.map_or(0, |inside| inside.logins.load(Relaxed));
        let failed = inside.map_or(0, |inside| inside.failed.load(Relaxed));
        for (name, kind, value) in [
            ("routes", "gauge", parts.routes.len() as u64),
            ("route_sessions", "gauge", parts.routes.sessions()),
            ("route_logins_total", "counter", logins),
            ("route_logins_failed_total", "counter", failed),
            (
                "api_connections_total",
                "counter",
                self.connections.accepted.load(Relaxed),
            ),
            (
                "api_connections_refused_total",
                "counter",
                self.connections.refused.load(Relaxed),
            ),
            ("api_answers_total", "counter", answered.success.load(Relaxed)),
            ("api_refused_total", "counter", answered.refused.load(Relaxed)),
            (
                "api_rate_limited_total",
                "counter",
                answered.rate_limited.load(Relaxed),
            ),
            ("api_failed_total", "counter", answered.failed.load(Relaxed)),
        ] {
            documents::metric(&mut body, name, kind, value);
        }
        Answer {
            content_type: "text/plain; version=0.0.4",
            ..Answer::text(body.into_bytes())
        }
    }

    /// Connections through the gateway that go on now, to providers and rentals.
    fn active(&self) -> u64 {
        let counters = self.parts.counters.iter();
        counters.map(|counters| counters.active()).sum()
    }
}
