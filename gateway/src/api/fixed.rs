//! What this gateway doesn't do, said as clients expect it.

use serde_json::json;

use super::refusal::Refusal;
use super::{Answer, Api};

impl Api {
    /// Requests to providers aren't forwarded: who opens them reads prompts.
    pub(super) fn proxy(&self) -> Refusal {
        let host = &self.parts.ways.host;
        Refusal::Proxy(format!(
            "This gateway doesn't forward requests: it would read prompts. Connect to {host} by TLS, to the port of its \
             listener, with the provider's own host as server name, or its address without 0x below a domain of \
             /v1/gateway/info; check the certificate's evidence, and send the request through it. \
             `jeju proxy --via {host}:PORT` does that."
        ))
    }
}

pub(super) fn cloud_status() -> Answer {
    Answer::json(&json!({ "enabled": false, "endpoint": null, "modelCount": 0 }))
}

pub(super) fn cloud_skills() -> Answer {
    Answer::json(&json!({ "skills": [], "count": 0 }))
}
