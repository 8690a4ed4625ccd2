//! Upstreams in the launch document: inference servers that the node passes prompts to, and who can read them there.

use serde::{Deserialize, Serialize};

use super::{LaunchError, is_model_id, url_authority};
use crate::hex_bytes::HexBytes;

/// Most upstreams of a node.
pub const MAX_UPSTREAMS: usize = 16;
/// Most models of an upstream.
pub const MAX_MODELS: usize = 64;
/// Longest name of a model at an upstream, and longest text of a probe, in bytes.
pub const MAX_TEXT: usize = 1024;
/// Most requests at a time to one upstream.
pub const MAX_CONCURRENT: u16 = 4096;

/// An inference server with OpenAI's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Name, for operators and metrics: `a-z`, `0-9` and `-`.
    pub name: String,
    /// Which program answers; decides what it is asked and what is kept from it.
    pub kind: Kind,
    /// Where: `http://` on loopback inside the guest, `https://` elsewhere, without a path.
    pub url: String,
    /// Requests at a time, at most.
    #[serde(default = "default_concurrent")]
    pub max_concurrent: u16,
    /// How to know that it is another node, and which.
    #[serde(default)]
    pub attested: Option<Attested>,
    /// What it serves.
    pub models: Vec<Model>,
}

/// Which program an upstream runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// vLLM.
    Vllm,
    /// llama.cpp's server.
    LlamaCpp,
    /// Ollama.
    Ollama,
    /// Any other with OpenAI's API; another node too.
    Openai,
}

/// Who can read what an upstream gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidentiality {
    /// Nobody outside this machine's TEE: it listens on the guest's own loopback.
    Loopback,
    /// Nobody outside the TEE of another node, whose evidence this node checks.
    Attested,
    /// Whoever runs it.
    External,
}

/// Another node, by what its evidence must say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attested {
    /// Agent id.
    pub agent: HexBytes<32>,
    /// Measurement ids that it may have; the chain can only take from them.
    pub measurements: Vec<HexBytes<32>>,
    /// Roots of simulated silicon; on `localnet` only.
    #[serde(default)]
    pub simulated_roots: Vec<HexBytes<65>>,
}

/// A model that an upstream serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name in this node's API.
    pub id: String,
    /// Name in the upstream's API, where it is another.
    #[serde(default)]
    pub name: Option<String>,
    /// What it answers.
    #[serde(default = "default_endpoints")]
    pub endpoints: Vec<Endpoint>,
    /// Longest prompt and answer together, in tokens.
    #[serde(default)]
    pub context_length: Option<u32>,
    /// SHA-256 of the weights, as the provider states it.
    #[serde(default)]
    pub weights: Option<HexBytes<32>>,
    /// What must come back before the node says that it is ready, and after each time that it was unreachable.
    #[serde(default)]
    pub probe: Option<Probe>,
}

/// What a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// `/v1/chat/completions`, and `/v1/responses` through it.
    Chat,
    /// `/v1/completions`.
    Completions,
    /// `/v1/embeddings`.
    Embeddings,
}

/// A prompt with a known answer at temperature 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The user's message.
    pub prompt: String,
    /// What the answer begins with, after white space.
    pub answer: String,
    /// Tokens that it may take.
    #[serde(default = "default_probe_tokens")]
    pub max_tokens: u16,
}

impl Confidentiality {
    /// As policies and documents write it.
    pub const fn name(self) -> &'static str {
        match self {
            Confidentiality::Loopback => "loopback",
            Confidentiality::Attested => "attested",
            Confidentiality::External => "external",
        }
    }

    /// Whether nobody outside a TEE that was verified can read what is sent there.
    pub const fn is_confidential(self) -> bool {
        !matches!(self, Confidentiality::External)
    }
}

impl Upstream {
    /// Who can read what it gets; follows from where it is.
    pub fn confidentiality(&self) -> Confidentiality {
        match (&self.attested, self.loopback_port()) {
            (Some(_), _) => Confidentiality::Attested,
            (None, Some(_)) => Confidentiality::Loopback,
            (None, None) => Confidentiality::External,
        }
    }

    /// Its port, where it listens on the guest's loopback.
    pub fn loopback_port(&self) -> Option<u16> {
        let port = self.url.strip_prefix("http://127.0.0.1:")?;
        super::split_authority(&format!("127.0.0.1:{port}")).map(|(_, port)| port)
    }

    /// `host:port`.
    pub fn authority(&self) -> Option<String> {
        url_authority(&self.url)
    }

    fn check(&self, egress: &[String], development: bool) -> Result<(), LaunchError> {
        let invalid = |field, value: &dyn ToString| {
            Err(LaunchError::Value {
                field,
                value: value.to_string(),
            })
        };
        let name_bytes = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=32).contains(&self.name.len()) || !self.name.bytes().all(name_bytes) {
            return invalid("upstreams.name", &self.name);
        }
        let whole = |rest: &str| !rest.is_empty() && !rest.contains(['/', '?', '#', '@']);
        let (plain, secure) = (
            self.url.strip_prefix("http://"),
            self.url.strip_prefix("https://"),
        );
        let allowed = match (plain, secure) {
            // Without TLS only where nobody can listen in.
            (Some(rest), None) => whole(rest) && self.loopback_port().is_some() && self.attested.is_none(),
            (None, Some(rest)) => whole(rest),
            _ => false,
        };
        let Some(authority) = self.authority().filter(|_| allowed) else {
            return invalid("upstreams.url", &self.url);
        };
        if self.loopback_port().is_none() && !egress.contains(&authority) {
            return Err(LaunchError::EndpointNotAllowed(authority));
        }
        if !(1..=MAX_CONCURRENT).contains(&self.max_concurrent) {
            return invalid("upstreams.max_concurrent", &self.max_concurrent);
        }
        if let Some(attested) = &self.attested {
            let count = attested.measurements.len();
            if !(1..=64).contains(&count) || attested.measurements.iter().any(|id| id.0 == [0; 32]) {
                return invalid("upstreams.attested.measurements", &count);
            }
            if !attested.simulated_roots.is_empty() && !development {
                return invalid(
                    "upstreams.attested.simulated_roots",
                    &attested.simulated_roots.len(),
                );
            }
        }
        if !(1..=MAX_MODELS).contains(&self.models.len()) {
            return invalid("upstreams.models", &self.models.len());
        }
        self.models.iter().try_for_each(Model::check)
    }
}

impl Model {
    /// Its name in the upstream's API.
    pub fn upstream_name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    fn check(&self) -> Result<(), LaunchError> {
        let invalid = |field, value: &str| {
            Err(LaunchError::Value {
                field,
                value: value.to_owned(),
            })
        };
        if !is_model_id(&self.id) {
            return invalid("upstreams.models.id", &self.id);
        }
        let printable =
            |text: &str| (1..=MAX_TEXT).contains(&text.len()) && !text.chars().any(char::is_control);
        if !printable(self.upstream_name()) {
            return invalid("upstreams.models.name", self.upstream_name());
        }
        let mut sorted = self.endpoints.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.is_empty() || sorted.len() != self.endpoints.len() {
            return invalid("upstreams.models.endpoints", "");
        }
        if self.context_length == Some(0) {
            return invalid("upstreams.models.context_length", "0");
        }
        match &self.probe {
            Some(probe) if !self.endpoints.contains(&Endpoint::Chat) => {
                invalid("upstreams.models.probe", &probe.prompt)
            }
            Some(probe)
                if !printable(&probe.prompt) || !printable(&probe.answer) || probe.max_tokens == 0 =>
            {
                invalid("upstreams.models.probe", &probe.prompt)
            }
            _ => Ok(()),
        }
    }
}

/// Whether all upstreams can be used, and no two things have one name.
pub(super) fn check(
    upstreams: &[Upstream],
    embedded: &[super::Model],
    egress: &[String],
    development: bool,
) -> Result<(), LaunchError> {
    if upstreams.len() > MAX_UPSTREAMS {
        return Err(LaunchError::Value {
            field: "upstreams",
            value: upstreams.len().to_string(),
        });
    }
    upstreams
        .iter()
        .try_for_each(|upstream| upstream.check(egress, development))?;
    let models = upstreams.iter().flat_map(|upstream| &upstream.models);
    let ids = embedded
        .iter()
        .map(|model| &model.id)
        .chain(models.map(|model| &model.id));
    let names = upstreams.iter().map(|upstream| &upstream.name);
    match (twice(ids), twice(names)) {
        (Some(value), _) => Err(LaunchError::Value {
            field: "models.id",
            value,
        }),
        (None, Some(value)) => Err(LaunchError::Value {
            field: "upstreams.name",
            value,
        }),
        (None, None) => Ok(()),
    }
}

fn twice<'a>(texts: impl Iterator<Item = &'a String>) -> Option<String> {
    let mut seen = std::collections::BTreeSet::new();
    texts.into_iter().find(|text| !seen.insert(*text)).cloned()
}

fn default_concurrent() -> u16 {
    64
}

fn default_endpoints() -> Vec<Endpoint> {
    vec![Endpoint::Chat, Endpoint::Completions]
}

fn default_probe_tokens() -> u16 {
    16
}

#[cfg(test)]
mod tests {
    use super::super::{LaunchDocument, SAMPLE};
    use super::*;

    const UPSTREAM: &str = r#"
[[upstreams]]
name = "vllm"
kind = "vllm"
url = "http://127.0.0.1:8000"
[[upstreams.models]]
id = "llama-3.1-8b"
name = "meta-llama/Llama-3.1-8B-Instruct"
endpoints = ["chat", "embeddings"]
[upstreams.models.probe]
prompt = "What is 2 + 2?"
answer = "4"
"#;

    fn parse(upstreams: &str) -> Result<LaunchDocument, LaunchError> {
        LaunchDocument::parse((SAMPLE.to_owned() + upstreams).as_bytes())
    }

    fn with(from: &str, to: &str) -> Result<LaunchDocument, LaunchError> {
        assert!(UPSTREAM.contains(from), "{from}");
        parse(&UPSTREAM.replacen(from, to, 1))
    }

    #[test]
    fn who_can_read_follows_from_where_it_is() {
        let class = |document: LaunchDocument| document.upstreams[0].confidentiality();
        assert_eq!(class(parse(UPSTREAM).unwrap()), Confidentiality::Loopback);
        let allowed = "[egress]\nallow = [\"127.0.0.1:8545\", \"api.example:443\"]";
        let elsewhere = UPSTREAM.replace("http://127.0.0.1:8000", "https://api.example");
        let document =
            (SAMPLE.to_owned() + &elsewhere).replace("[egress]\nallow = [\"127.0.0.1:8545\"]", allowed);
        let external = LaunchDocument::parse(document.as_bytes()).unwrap();
        assert_eq!(class(external), Confidentiality::External);
        let attested = format!(
            "[upstreams.attested]\nagent = \"0x{0}\"\nmeasurements = [\"0x{0}\"]\n[[upstreams.models]]",
            "05".repeat(32)
        );
        let document = document.replacen("[[upstreams.models]]", &attested, 1);
        let node = LaunchDocument::parse(document.as_bytes()).unwrap();
        assert_eq!(class(node), Confidentiality::Attested);
        assert!(!Confidentiality::External.is_confidential());
    }

    #[test]
    fn models_have_names_and_probes() {
        let document = parse(UPSTREAM).unwrap();
        let model = &document.upstreams[0].models[0];
        assert_eq!(model.upstream_name(), "meta-llama/Llama-3.1-8B-Instruct");
        assert_eq!(model.endpoints, [Endpoint::Chat, Endpoint::Embeddings]);
        assert_eq!(model.probe.as_ref().unwrap().max_tokens, 16);
        assert_eq!(document.upstreams[0].loopback_port(), Some(8000));
        // A node without a model of its own.
        let alone = SAMPLE.replace("[[models]]\nid = \"smollm2-135m-instruct\"\n", "");
        let alone = alone.replace(&format!("sha256 = \"0x{}\"\n", "07".repeat(32)), "");
        assert!(LaunchDocument::parse((alone + UPSTREAM).as_bytes()).is_ok());
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let refused = |from: &str, to: &str| match with(from, to) {
            Err(LaunchError::Value { field, .. }) => field,
            other => panic!("{from} -> {to}: {other:?}"),
        };
        assert_eq!(refused("name = \"vllm\"", "name = \"v LLM\""), "upstreams.name");
        for url in [
            "http://127.0.0.1",
            "http://127.0.0.2:8000",
            "http://api.example:8000",
            "http://localhost:8000",
            "http://127.0.0.1:8000/v1",
            "https://api.example/v1",
            "https://user@api.example",
            "unix:/run/vllm",
        ] {
            assert_eq!(refused("http://127.0.0.1:8000", url), "upstreams.url", "{url}");
        }
        assert_eq!(
            with("http://127.0.0.1:8000", "https://api.example"),
            Err(LaunchError::EndpointNotAllowed("api.example:443".to_owned()))
        );
        assert_eq!(
            refused("url =", "max_concurrent = 0\nurl ="),
            "upstreams.max_concurrent"
        );
        assert_eq!(
            refused("[\"chat\", \"embeddings\"]", "[]"),
            "upstreams.models.endpoints"
        );
        assert_eq!(
            refused("[\"chat\", \"embeddings\"]", "[\"chat\", \"chat\"]"),
            "upstreams.models.endpoints"
        );
        assert_eq!(
            refused("[\"chat\", \"embeddings\"]", "[\"embeddings\"]"),
            "upstreams.models.probe"
        );
        assert_eq!(
            refused("answer = \"4\"", "answer = \"\""),
            "upstreams.models.probe"
        );
        assert_eq!(refused("llama-3.1-8b\"", "smollm2-135m-instruct\""), "models.id");
        assert_eq!(
            refused("name = \"meta-llama/", "name = \"\\n"),
            "upstreams.models.name"
        );
        assert!(matches!(
            with("\"vllm\"\nurl", "\"tgi\"\nurl"),
            Err(LaunchError::Toml(_))
        ));
        assert_eq!(
            parse(&(UPSTREAM.to_owned() + &UPSTREAM.replace("llama-3", "llama-4"))),
            Err(LaunchError::Value {
                field: "upstreams.name",
                value: "vllm".to_owned()
            })
        );
        // Plain HTTP to another node, and one that anything may pretend to be.
        let attested = |measurements: &str| {
            format!(
                "[upstreams.attested]\nagent = \"0x{}\"\nmeasurements = [{measurements}]\n[[upstreams.models]]",
                "05".repeat(32)
            )
        };
        let id = format!("\"0x{}\"", "05".repeat(32));
        assert_eq!(refused("[[upstreams.models]]", &attested(&id)), "upstreams.url");
        let off = SAMPLE.replacen("inference = true", "inference = false", 1);
        assert_eq!(
            LaunchDocument::parse((off + UPSTREAM).as_bytes()),
            Err(LaunchError::Value {
                field: "upstreams",
                value: "services.inference is off".to_owned()
            })
        );
    }
}
