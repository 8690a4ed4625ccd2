//! `jeju provider card`: what an agent's URI leads to (ERC-8004), and the card by which agents find a node (A2A).

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::account::Account;
use serde_json::{Value, json};

use super::register::agent_id;
use crate::node_url::NodeUrl;
use crate::payment::PaymentError;
use crate::rental::command::Printed;
use crate::trust::address;

/// What a registration file says that it is.
const REGISTRATION: &str = "https://eips.ethereum.org/EIPS/eip-8004#registration-v1";
/// Version of A2A whose card is written.
const A2A_VERSION: &str = "1.0";
/// Name of a node's own protocol where a card has one: the API is OpenAI's, over attested TLS.
const BINDING: &str = "https://platform.openai.com/docs/api-reference";
/// Where agents look for a card (RFC 8615).
const WELL_KNOWN: &str = "/.well-known/agent-card.json";

/// Options of `jeju provider card`.
#[derive(Debug, Clone, Args)]
pub struct CardArguments {
    /// The provider's node, as https://host:port
    #[arg(long, value_name = "URL")]
    endpoint: NodeUrl,
    /// Display name
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// What the node is for
    #[arg(long, value_name = "TEXT")]
    description: String,
    /// Model that it serves (may be given several times)
    #[arg(long = "model", value_name = "ID")]
    models: Vec<String>,
    /// URL of a picture
    #[arg(long, value_name = "URL")]
    image: Option<String>,
    /// Where the card will be served [default: the well-known path of the endpoint]
    #[arg(long, value_name = "URL")]
    card_url: Option<String>,
    /// The provider's agent, once it is registered: its number, or 0x and 32 bytes
    #[arg(long, value_name = "ID", value_parser = agent_id, requires = "identity_registry", requires = "chain")]
    agent: Option<[u8; 32]>,
    /// IdentityRegistry in which the agent is
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    identity_registry: Option<HexBytes<20>>,
    /// Id of its chain
    #[arg(long, value_name = "ID")]
    chain: Option<u64>,
    /// File for the agent's registration (ERC-8004), which its URI leads to
    #[arg(long, value_name = "FILE")]
    registration: Option<PathBuf>,
    /// File for the card (A2A)
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn card(arguments: &CardArguments) -> Result<Printed, PaymentError> {
    let (registration, card) = (arguments.registration_document(), arguments.card_document());
    let mut lines = Vec::new();
    for (path, document) in [(&arguments.registration, &registration), (&arguments.card, &card)] {
        if let Some(path) = path {
            write(path, document)?;
            lines.push(format!("written     {}", path.display()));
        }
    }
    // For agents whose document is to be on chain itself.
    let uri = format!(
        "data:application/json;base64,{}",
        STANDARD.encode(registration.to_string())
    );
    if lines.is_empty() {
        lines = vec![pretty(&registration), pretty(&card)];
    }
    let json = json!({ "registration": registration, "card": card, "dataUri": uri });
    Ok(Printed::report(lines, json))
}

impl CardArguments {
    fn card_url(&self) -> String {
        self.card_url
            .clone()
            .unwrap_or_else(|| format!("{}{WELL_KNOWN}", self.endpoint))
    }

    fn registration_document(&self) -> Value {
        let mut services = vec![
            json!({ "name": "web", "endpoint": self.endpoint.to_string() }),
            json!({ "name": "A2A", "endpoint": self.card_url(), "version": A2A_VERSION }),
        ];
        services.extend(self.models.iter().map(
            |model| json!({ "name": "OpenAI", "endpoint": format!("{}/v1", self.endpoint), "model": model }),
        ));
        let registrations: Vec<_> = self
            .agent
            .iter()
            .zip(self.identity_registry)
            .zip(self.chain)
            .map(|((agent, registry), chain)| {
                json!({
                    "agentId": decimal(agent),
                    "agentRegistry": format!("eip155:{chain}:{}", Account(registry.0)),
                })
            })
            .collect();
        let mut document = json!({
            "type": REGISTRATION,
            "name": self.name,
            "description": self.description,
            "services": services,
            "x402Support": true,
            "active": true,
            "registrations": registrations,
            "supportedTrust": ["reputation", "crypto-economic", "tee-attestation"],
        });
        if let Some(image) = &self.image {
            document["image"] = image.as_str().into();
        }
        document
    }

    fn card_document(&self) -> Value {
        let mut skills = vec![json!({
            "id": "attestation",
            "name": "Attestation",
            "description": "Evidence of hardware, image and launch document, bound to the connection: \
                            POST /.well-known/jeju/attest",
            "tags": ["attestation", "tee"],
        })];
        skills.extend(self.models.iter().map(|model| {
            json!({
                "id": format!("inference-{model}"),
                "name": format!("Inference with {model}"),
                "description": format!("OpenAI's API for {model}: POST /v1/chat/completions"),
                "tags": ["inference", "openai", model],
            })
        }));
        json!({
            "name": self.name,
            "description": self.description,
            "supportedInterfaces": [{
                "url": format!("{}/v1", self.endpoint),
                "protocolBinding": BINDING,
                "protocolVersion": A2A_VERSION,
            }],
            "version": env!("CARGO_PKG_VERSION"),
            "capabilities": { "streaming": true, "pushNotifications": false },
            "defaultInputModes": ["application/json"],
            "defaultOutputModes": ["application/json", "text/event-stream"],
            "skills": skills,
        })
    }
}

fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).expect("a document is JSON")
}

/// A new file: a card that was published is never changed unseen.
fn write(path: &Path, document: &Value) -> Result<(), PaymentError> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
        .and_then(|mut file| {
            file.write_all(pretty(document).as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        });
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => PaymentError::Exists(path.to_owned()),
        _ => PaymentError::Record {
            path: path.to_owned(),
            source,
        },
    })
}

/// A number that JSON's readers keep exact where it is small, and its digits where it isn't.
fn decimal(id: &[u8; 32]) -> Value {
    let (high, low) = id.split_at(24);
    match (high.iter().all(|byte| *byte == 0), low.try_into()) {
        (true, Ok(low)) if u64::from_be_bytes(low) < 1 << 53 => u64::from_be_bytes(low).into(),
        _ => HexBytes(*id).to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> CardArguments {
        let mut agent = [0; 32];
        agent[31] = 7;
        CardArguments {
            endpoint: "https://node.example:4007".parse().unwrap(),
            name: "n".into(),
            description: "d".into(),
            models: vec!["m".into()],
            image: None,
            card_url: None,
            agent: Some(agent),
            identity_registry: Some(HexBytes([9; 20])),
            chain: Some(5),
            registration: None,
            card: None,
            json: true,
        }
    }

    #[test]
    fn a_registration_has_what_erc_8004_asks_for() {
        let document = arguments().registration_document();
        assert_eq!(document["type"], REGISTRATION);
        let registered = &document["registrations"][0];
        assert_eq!(registered["agentId"], 7);
        assert_eq!(
            registered["agentRegistry"],
            "eip155:5:0x0909090909090909090909090909090909090909"
        );
        let services = document["services"].as_array().unwrap();
        assert_eq!(
            services[1]["endpoint"],
            "https://node.example:4007/.well-known/agent-card.json"
        );
        assert_eq!(services[2]["model"], "m");
        assert!(document.get("image").is_none());
        let anew = CardArguments {
            agent: None,
            ..arguments()
        };
        assert_eq!(anew.registration_document()["registrations"], json!([]));
    }

    #[test]
    fn a_card_has_what_a2a_requires() {
        let card = arguments().card_document();
        for member in [
            "name",
            "description",
            "supportedInterfaces",
            "version",
            "capabilities",
            "defaultInputModes",
            "defaultOutputModes",
            "skills",
        ] {
            assert!(!card[member].is_null(), "{member}");
        }
        for skill in card["skills"].as_array().unwrap() {
            for member in ["id", "name", "description", "tags"] {
                assert!(!skill[member].is_null(), "{member}");
            }
        }
        assert_eq!(card["skills"][1]["id"], "inference-m");
    }

    #[test]
    fn files_are_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = CardArguments {
            registration: Some(folder.path().join("agent.json")),
            ..arguments()
        };
        card(&arguments).unwrap();
        let written = std::fs::read(folder.path().join("agent.json")).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&written).unwrap(),
            arguments.registration_document()
        );
        assert_eq!(card(&arguments).unwrap_err().code(), "file_exists");
    }

    #[test]
    fn large_ids_keep_their_bytes() {
        assert_eq!(decimal(&[1; 32]), json!(HexBytes([1; 32]).to_string()));
    }
}
