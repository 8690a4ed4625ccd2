//! Who the gateway is, for agents: an agent card of A2A 1.0, and a registration file of ERC-8004.
//!
//! For discovery alone: the gateway answers no A2A method. Its one interface is this API, whose binding is named by a URI
//! of its own, so that clients of the core bindings pass it by.

use serde_json::{Value, json};

use super::documents::account;
use super::{Answer, Api};

/// Version of A2A that the card follows.
const A2A: &str = "1.0";
/// Names this API where A2A names a binding.
const BINDING: &str = "urn:jeju:compute-gateway:http:1";
const REGISTRATION: &str = "https://eips.ethereum.org/EIPS/eip-8004#registration-v1";
const DESCRIPTION: &str = "Finds attested compute providers on chain, and carries TLS to them unopened. It has no key and \
                           answers no A2A method: the skills are paths of its HTTP API.";

/// Ids are the first Jeju Compute's; the last column is the request.
const SKILLS: [(&str, &str, &str, &str); 11] = [
    (
        "list-providers",
        "List providers",
        "GET /v1/providers",
        "Providers of the registry, by model and health.",
    ),
    (
        "get-provider",
        "Get a provider",
        "GET /v1/providers/ADDRESS",
        "A provider with its models, prices and reputation.",
    ),
    (
        "get-quote",
        "Quote a rental",
        "GET /v1/rentals/quote?provider=ADDRESS&duration=HOURS",
        "What hours of a machine cost.",
    ),
    (
        "create-rental",
        "Rent a machine",
        "POST /v1/rentals",
        "A transaction for the renter's wallet.",
    ),
    (
        "get-rental",
        "Get a rental",
        "GET /v1/rentals/ID",
        "A rental as it stands on chain.",
    ),
    (
        "get-ssh-access",
        "Reach a rental by SSH",
        "POST /v1/routes",
        "A way to the rental's own SSH server.",
    ),
    (
        "list-my-rentals",
        "List rentals",
        "GET /v1/rentals?user=ADDRESS",
        "Rentals that a user has made.",
    ),
    (
        "rate-rental",
        "Rate a rental",
        "POST /v1/rentals/ID/rate",
        "A transaction for the renter's wallet.",
    ),
    (
        "get-reputation",
        "Get a reputation",
        "GET /v1/reputation/provider/ADDRESS",
        "What the rental contract counted.",
    ),
    (
        "list-models",
        "List models",
        "GET /v1/models",
        "Models that are served now, with prices.",
    ),
    (
        "inference",
        "Reach a model",
        "TLS to the provider's server name",
        "An OpenAI API inside the provider's enclave; the gateway sees ciphertext only.",
    ),
];

impl Api {
    pub(super) fn agent_card(&self) -> Answer {
        let skills = SKILLS.map(|(id, name, request, description)| {
            json!({
                "id": id,
                "name": name,
                "description": format!("{description} {request}"),
                "tags": ["compute", "gateway", "jeju"],
            })
        });
        Answer::json(&json!({
            "name": self.parts.info.name,
            "description": DESCRIPTION,
            "version": env!("CARGO_PKG_VERSION"),
            "supportedInterfaces": [{
                "url": format!("{}/v1", self.base()),
                "protocolBinding": BINDING,
                "protocolVersion": A2A,
            }],
            "capabilities": { "streaming": false, "pushNotifications": false, "extendedAgentCard": false },
            "defaultInputModes": ["application/json"],
            "defaultOutputModes": ["application/json"],
            "skills": skills,
        }))
    }

    pub(super) fn agent_registration(&self) -> Answer {
        let (info, base) = (&self.parts.info, self.base());
        let registration = info
            .agent_id
            .zip(info.contracts.identity_registry)
            .map(|(agent, registry)| {
                json!({
                    "agentId": agent,
                    "agentRegistry": format!("eip155:{}:{}", info.chain_id, account(&registry)),
                })
            });
        Answer::json(&json!({
            "type": REGISTRATION,
            "name": info.name,
            "description": DESCRIPTION,
            "services": [
                { "name": "A2A", "endpoint": format!("{base}/.well-known/agent-card.json"), "version": A2A },
                { "name": "web", "endpoint": base },
            ],
            "x402Support": false,
            "active": true,
            "registrations": Value::from_iter(registration),
            "supportedTrust": [],
        }))
    }

    /// Where clients reach the API, without a slash at the end.
    fn base(&self) -> String {
        match &self.parts.info.url {
            Some(url) => url.clone(),
            None => format!("http://{}:{}", self.parts.ways.host, self.parts.info.port),
        }
    }
}
