//! The card by which agents find the node: A2A 1.0, discovery only. It says what the launch document says, so that a client
//! that verified the node can believe it.

use jeju_attestation::launch::Services;
use jeju_shim_protocol::Port;
use serde_json::{Value, json};

use crate::front::Node;
use crate::front::error::ApiError;
use crate::front::exchange::Answer;

/// Version of A2A whose card this is.
const A2A: &str = "1.0";
/// Name of the API's form where a card has one: OpenAI's, over attested TLS.
const BINDING: &str = "https://platform.openai.com/docs/api-reference";

pub(super) fn card(node: &Node) -> Result<Answer, ApiError> {
    let models = node.inference.models().map(|model| model.id.as_str());
    let launch = &node.launch;
    Ok(Answer::json(&document(
        &launch.node.names,
        &launch.services,
        models,
    )))
}

/// Of a node with these names in its certificate.
fn document<'a>(names: &[String], services: &Services, models: impl Iterator<Item = &'a str>) -> Value {
    let host = names.first().map_or("localhost", String::as_str);
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    let skill = |id: String, name: String, tag: &str, description: &str| json!({ "id": id, "name": name, "description": description, "tags": ["jeju", tag] });
    let attestation = "Evidence of hardware, image and launch document, bound to the connection: POST \
                       /.well-known/jeju/attest";
    let mut skills = vec![skill(
        "attestation".to_owned(),
        "Attestation".to_owned(),
        "attestation",
        attestation,
    )];
    skills.extend(models.map(|model| {
        skill(
            format!("inference-{model}"),
            format!("Inference with {model}"),
            "inference",
            "OpenAI's API: POST /v1/chat/completions",
        )
    }));
    for (is_on, id, name, description) in [
        (
            services.mpc,
            "mpc",
            "Threshold signing",
            "Keys that no node has whole, on port 4010",
        ),
        (
            services.rentals,
            "rentals",
            "Machines by the hour",
            "Rented on chain, reached by SSH: GET /v1/resources",
        ),
        (
            services.workers,
            "workers",
            "Serverless workers",
            "JavaScript inside the enclave, on port 4020",
        ),
    ] {
        if is_on {
            skills.push(skill(id.to_owned(), name.to_owned(), id, description));
        }
    }
    json!({
        "name": format!("Jeju Compute node {host}"),
        "description": "A confidential node: what it runs is measured, and its answers are signed inside the enclave.",
        "version": env!("CARGO_PKG_VERSION"),
        "supportedInterfaces": [{
            "url": format!("https://{host}:{}/v1", Port::Node.number()),
            "protocolBinding": BINDING,
            "protocolVersion": A2A,
        }],
        "capabilities": { "streaming": true, "pushNotifications": false, "extendedAgentCard": false },
        "defaultInputModes": ["application/json"],
        "defaultOutputModes": ["application/json", "text/event-stream"],
        "skills": skills,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_has_what_a2a_requires_and_no_more_than_the_node_does() {
        let services = Services {
            inference: true,
            workers: true,
            ..Services::default()
        };
        let names = ["2001:db8::1".to_owned(), "node.example".to_owned()];
        let card = document(&names, &services, ["m"].into_iter());
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
        let skills = card["skills"].as_array().unwrap();
        for skill in skills {
            for member in ["id", "name", "description", "tags"] {
                assert!(!skill[member].is_null(), "{member}");
            }
        }
        let ids: Vec<_> = skills.iter().map(|skill| skill["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["attestation", "inference-m", "workers"]);
        assert_eq!(
            card["supportedInterfaces"][0]["url"],
            "https://[2001:db8::1]:4007/v1"
        );
    }
}
