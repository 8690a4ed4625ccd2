//! The gateway's HTTP API: what the chain says, in the documents that Jeju clients know. Nothing here is a secret, and
//! nothing of it has to be believed: clients check evidence and chain by themselves.

mod documents;
mod serve;

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::index::{Index, ProviderFilter};
use crate::passthrough::Counters;

pub use serve::serve;

/// Who the gateway says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Display name.
    pub name: String,
    /// Port of this API.
    pub port: u16,
}

/// What the API answers from.
pub struct Api {
    info: Info,
    index: Arc<Index>,
    /// Of each listener.
    counters: Vec<Arc<Counters>>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

impl Answer {
    fn json(document: &Value) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "application/json",
            body: document.to_string(),
        }
    }

    fn error(status: StatusCode, code: &str, message: &str) -> Self {
        Self {
            status,
            ..Self::json(&json!({ "error": message, "code": code }))
        }
    }
}

impl Api {
    /// Of an index, and of listeners.
    pub fn new(info: Info, index: Arc<Index>, counters: Vec<Arc<Counters>>) -> Self {
        Self {
            info,
            index,
            counters,
        }
    }

    pub(crate) fn answer(&self, method: &Method, path: &str, query: &str) -> Answer {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let answer = match parts.as_slice() {
            ["health"] => self.health(),
            ["metrics"] => self.metrics(),
            ["v1", "providers"] => self.providers(query),
            ["v1", "providers", account] => self.provider(account),
            ["v1", "models"] => self.models(),
            ["v1", "gateway", "info"] => self.gateway(),
            ["v1", "stats"] => self.stats(),
            _ => {
                return Answer::error(
                    StatusCode::NOT_FOUND,
                    "not_found",
                    "There is nothing at this path.",
                );
            }
        };
        match *method {
            Method::GET | Method::HEAD => answer,
            _ => Answer::error(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Only GET is answered here.",
            ),
        }
    }

    fn health(&self) -> Answer {
        let snapshot = self.index.now();
        let block = snapshot
            .block()
            .map(|block| json!({ "number": block.number, "timestamp": block.timestamp }));
        let mut answer = Answer::json(&json!({
            "status": if block.is_some() { "ok" } else { "starting" },
            "type": "compute-gateway",
            "activeRoutes": 0,
            "activeSessions": self.active(),
            "block": block,
        }));
        if block.is_none() {
            answer.status = StatusCode::SERVICE_UNAVAILABLE;
        }
        answer
    }

    fn providers(&self, query: &str) -> Answer {
        match documents::filter(query) {
            Some(filter) => {
                let listing = self.index.now().list(&filter);
                let next = listing.next.as_ref().map(documents::account);
                let providers: Vec<_> = listing.providers.iter().map(|p| documents::provider(p)).collect();
                Answer::json(&json!({ "providers": providers, "next": next }))
            }
            None => Answer::error(
                StatusCode::BAD_REQUEST,
                "filter_invalid",
                "Providers are listed by model=NAME, active=true|false, after=ADDRESS and limit=1..1000, once each.",
            ),
        }
    }

    fn provider(&self, account: &str) -> Answer {
        let snapshot = self.index.now();
        match documents::parse_account(account).and_then(|account| snapshot.provider(&account)) {
            Some(provider) => Answer::json(&documents::whole_provider(provider)),
            None => Answer::error(StatusCode::NOT_FOUND, "provider_not_found", "Provider not found"),
        }
    }

    fn models(&self) -> Answer {
        let snapshot = self.index.now();
        let models: Vec<_> = snapshot
            .models()
            .into_iter()
            .flat_map(|(model, by)| {
                by.into_iter()
                    .filter_map(move |provider| documents::model(model, provider))
            })
            .take(documents::MAX_MODELS)
            .collect();
        Answer::json(&json!({ "count": models.len(), "models": models, "cloudEnabled": false }))
    }

    fn gateway(&self) -> Answer {
        Answer::json(&json!({
            "name": self.info.name,
            "agentId": null,
            "port": self.info.port,
            "sshProxyPort": null,
            "hasIdentityRegistry": false,
            "hasReputationRegistry": false,
        }))
    }

    fn stats(&self) -> Answer {
        let sum = |of: fn(&Counters) -> u64| self.counters.iter().map(|counters| of(counters)).sum::<u64>();
        let active = ProviderFilter {
            active: Some(true),
            ..ProviderFilter::default()
        };
        let snapshot = self.index.now();
        Answer::json(&json!({
            "totalProviders": snapshot.len(),
            "activeProviders": snapshot.count(&active),
            "activeRoutes": 0,
            "activeSessions": self.active(),
            "totalBytesIn": sum(Counters::bytes_in),
            "totalBytesOut": sum(Counters::bytes_out),
        }))
    }

    fn metrics(&self) -> Answer {
        Answer {
            status: StatusCode::OK,
            content_type: "text/plain; version=0.0.4",
            body: documents::metrics(&self.index.now(), &self.counters),
        }
    }

    fn active(&self) -> u64 {
        self.counters.iter().map(|counters| counters.active()).sum()
    }
}
