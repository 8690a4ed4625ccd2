//! The launch document: all that a provider chooses about a node, measured before any key exists.
//!
//! TOML, unknown keys refused. Its digest is SHA-256 of the exact bytes; nothing re-serialises it.

pub mod mpc;
pub mod payments;
pub mod rentals;
pub mod upstreams;
pub mod workers;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hash::sha256;
use crate::hex_bytes::HexBytes;
use crate::reasons::shown;
use crate::toml_items::{self, MAX_ITEMS};

/// Longest launch document, in bytes.
pub const MAX_LEN: usize = 256 * 1024;

/// Chain profile of development: its chain is whatever the host says it is.
pub const DEVELOPMENT_PROFILE: &str = "localnet";

const MAX_ENTRIES: usize = 64;
const EPOCH_SECONDS: core::ops::RangeInclusive<u32> = 30..=86_400;

/// Why bytes aren't a launch document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LaunchError {
    /// Longer than [`MAX_LEN`].
    #[error("launch document of {0} bytes is longer than {MAX_LEN}")]
    TooLong(usize),
    /// More keys, values and lines than any node needs.
    #[error("launch document may have more than {MAX_ITEMS} keys, values and lines")]
    TooManyItems,
    /// Not UTF-8.
    #[error("launch document is not UTF-8")]
    NotUtf8,
    /// Not the TOML of the format; the message names the line and the key.
    #[error("launch document: {0}")]
    Toml(String),
    /// Another version.
    #[error("launch document version {0} is not known, this software reads version 1")]
    Version(u32),
    /// A field whose value means nothing.
    #[error("launch document: {field} has the invalid value {value:?}")]
    Value {
        /// Path of the field.
        field: &'static str,
        /// What it held.
        value: String,
    },
    /// A list that is longer than any node needs.
    #[error("launch document: {field} has {len} entries, at most {MAX_ENTRIES} are read")]
    TooMany {
        /// Path of the list.
        field: &'static str,
        /// Its length.
        len: usize,
    },
    /// A chain endpoint that the node couldn't reach under its own egress list.
    #[error("launch document: chain endpoint {0:?} is not in egress.allow")]
    EndpointNotAllowed(String),
}

/// A parsed launch document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchDocument {
    /// Format version, 1.
    pub version: u32,
    /// Who this node is.
    pub node: Node,
    /// The chain that it reads.
    pub chain: Chain,
    /// What it serves; everything is off unless named.
    #[serde(default)]
    pub services: Services,
    /// Models that inference serves, embedded in the image.
    #[serde(default)]
    pub models: Vec<Model>,
    /// Inference servers that it passes prompts to.
    #[serde(default)]
    pub upstreams: Vec<upstreams::Upstream>,
    /// The network of signers that it is a member of, where it signs.
    #[serde(default)]
    pub mpc: Option<mpc::Mpc>,
    /// What it rents out, where it does.
    #[serde(default)]
    pub rentals: Option<rentals::Rentals>,
    /// Whose code it runs and how much of it, where it does.
    #[serde(default)]
    pub workers: Option<workers::Workers>,
    /// Who is paid for inference, where somebody is.
    #[serde(default)]
    pub payments: Option<payments::Payments>,
    /// Where its receipts can be checked on chain, where they can.
    #[serde(default)]
    pub receipts: Option<payments::Receipts>,
    /// Where the node may connect to.
    #[serde(default)]
    pub egress: Egress,
    /// What may leave as logs.
    #[serde(default)]
    pub log: Log,
}

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Agent id on chain.
    pub agent: HexBytes<32>,
    /// Subject alternative names of the certificate: DNS names and IP addresses.
    pub names: Vec<String>,
    /// Length of an epoch, in seconds.
    #[serde(default = "default_epoch_seconds")]
    pub epoch_seconds: u32,
}

/// The chain that a node reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Name of a chain profile that is compiled into the image.
    pub profile: String,
    /// Chain id.
    pub id: u64,
    /// Address of the measurement registry.
    pub registry: HexBytes<20>,
    /// JSON-RPC endpoints, as URLs.
    pub rpc: Vec<String>,
    /// How many endpoints must agree.
    #[serde(default = "one")]
    pub quorum: u8,
}

/// What a node serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Services {
    /// OpenAI-compatible inference.
    pub inference: bool,
    /// The threshold signer.
    pub mpc: bool,
    /// Machines by the hour, reached by SSH.
    pub rentals: bool,
    /// Serverless workers.
    pub workers: bool,
}

impl Services {
    /// Names of what is switched on, as policies write them.
    pub fn enabled(&self) -> Vec<&'static str> {
        let all = [
            ("inference", self.inference),
            ("mpc", self.mpc),
            ("rentals", self.rentals),
            ("workers", self.workers),
        ];
        all.into_iter()
            .filter(|(_, on)| *on)
            .map(|(name, _)| name)
            .collect()
    }
}

/// An embedded model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name in the API.
    pub id: String,
    /// SHA-256 of the file.
    pub sha256: HexBytes<32>,
}

/// Where a node may connect to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Egress {
    /// `host:port` entries.
    pub allow: Vec<String>,
}

/// What may leave as logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Whether operational log lines go to the host's log sink. Prompts and responses never do.
    pub sink: bool,
}

impl LaunchDocument {
    /// Reads a launch document and checks each field.
    pub fn parse(bytes: &[u8]) -> Result<Self, LaunchError> {
        if bytes.len() > MAX_LEN {
            return Err(LaunchError::TooLong(bytes.len()));
        }
        let text = core::str::from_utf8(bytes).map_err(|_| LaunchError::NotUtf8)?;
        if toml_items::too_many(text) {
            return Err(LaunchError::TooManyItems);
        }
        let document: Self = toml_items::read(text).map_err(|error| LaunchError::Toml(shown(error)))?;
        document.check()?;
        Ok(document)
    }

    /// Names of all models that are served, as the API has them.
    pub fn model_ids(&self) -> impl Iterator<Item = &str> {
        let passed_on = self.upstreams.iter().flat_map(|upstream| &upstream.models);
        let embedded = self.models.iter().map(|model| model.id.as_str());
        embedded.chain(passed_on.map(|model| model.id.as_str()))
    }

    /// Those whose prompts somebody outside a TEE can read.
    pub fn external_model_ids(&self) -> impl Iterator<Item = &str> {
        let external = |upstream: &&upstreams::Upstream| !upstream.confidentiality().is_confidential();
        let models = self
            .upstreams
            .iter()
            .filter(external)
            .flat_map(|upstream| &upstream.models);
        models.map(|model| model.id.as_str())
    }

    /// SHA-256 of the exact bytes.
    pub fn digest(bytes: &[u8]) -> [u8; 32] {
        sha256(bytes)
    }

    fn check(&self) -> Result<(), LaunchError> {
        if self.version != 1 {
            return Err(LaunchError::Version(self.version));
        }
        let lists = [
            ("node.names", self.node.names.len()),
            ("chain.rpc", self.chain.rpc.len()),
            ("models", self.models.len()),
            ("egress.allow", self.egress.allow.len()),
        ];
        if let Some((field, len)) = lists.into_iter().find(|(_, len)| *len > MAX_ENTRIES) {
            return Err(LaunchError::TooMany { field, len });
        }
        let invalid = |field, value: &dyn ToString| {
            Err(LaunchError::Value {
                field,
                value: value.to_string(),
            })
        };
        if let Some(name) = self.node.names.iter().find(|name| !is_host(name)) {
            return invalid("node.names", name);
        }
        if self.node.names.is_empty() {
            return invalid("node.names", &"");
        }
        if !EPOCH_SECONDS.contains(&self.node.epoch_seconds) {
            return invalid("node.epoch_seconds", &self.node.epoch_seconds);
        }
        if usize::from(self.chain.quorum) > self.chain.rpc.len() || self.chain.quorum == 0 {
            return invalid("chain.quorum", &self.chain.quorum);
        }
        if let Some(entry) = self
            .egress
            .allow
            .iter()
            .find(|entry| split_authority(entry).is_none())
        {
            return invalid("egress.allow", entry);
        }
        for url in &self.chain.rpc {
            let Some(authority) = url_authority(url) else {
                return invalid("chain.rpc", url);
            };
            if !self.egress.allow.contains(&authority) {
                return Err(LaunchError::EndpointNotAllowed(authority));
            }
        }
        if let Some(model) = self.models.iter().find(|model| !is_model_id(&model.id)) {
            return invalid("models.id", &model.id);
        }
        if self.services.inference && self.models.is_empty() && self.upstreams.is_empty() {
            return invalid("models", &"");
        }
        if !self.services.inference && !self.upstreams.is_empty() {
            return invalid("upstreams", &"services.inference is off");
        }
        let development = self.chain.profile == DEVELOPMENT_PROFILE;
        upstreams::check(&self.upstreams, &self.models, &self.egress.allow, development)?;
        match &self.mpc {
            Some(mpc) if self.services.mpc => {
                mpc.check(&self.egress.allow, &self.node.agent.0, development)?;
            }
            // A network without its service, or the service without a network.
            Some(_) => return invalid("mpc", &"services.mpc is off"),
            None if self.services.mpc => return invalid("mpc", &""),
            None => {}
        }
        match &self.rentals {
            Some(rentals) if self.services.rentals => rentals.check()?,
            Some(_) => return invalid("rentals", &"services.rentals is off"),
            None if self.services.rentals => return invalid("rentals", &""),
            None => {}
        }
        match &self.workers {
            Some(workers) if self.services.workers => workers.check()?,
            Some(_) => return invalid("workers", &"services.workers is off"),
            None if self.services.workers => return invalid("workers", &""),
            None => {}
        }
        match &self.payments {
            Some(payments) if self.services.inference => payments.check(),
            Some(_) => invalid("payments", &"services.inference is off"),
            None => Ok(()),
        }
    }
}

/// `host:port` of an `http` or `https` URL, with the scheme's port where none is written.
pub fn url_authority(url: &str) -> Option<String> {
    let (rest, default_port) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), None) => (rest, 80),
        (None, Some(rest)) => (rest, 443),
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    match split_authority(authority) {
        Some(_) => Some(authority.to_owned()),
        None if is_host(authority) => Some(format!("{authority}:{default_port}")),
        None => None,
    }
}

/// Splits `host:port`; `None` for anything else.
pub fn split_authority(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = authority.rsplit_once(':')?;
    let canonical = !port.starts_with(['0', '+']);
    let port = port.parse().ok().filter(|_| canonical)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let valid = match bare {
        Some(v6) => v6.parse::<core::net::Ipv6Addr>().is_ok(),
        None => is_host(host) && !host.contains(':'),
    };
    valid.then_some((host, port))
}

fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.parse::<core::net::IpAddr>().is_ok() || (name.len() <= 253 && name.split('.').all(label))
}

fn is_model_id(id: &str) -> bool {
    (1..=96).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./:".contains(&b))
}

fn default_epoch_seconds() -> u32 {
    600
}

fn one() -> u8 {
    1
}

/// A document for tests of this crate.
#[cfg(test)]
pub(crate) const SAMPLE: &str = r#"
version = 1
[node]
agent = "0x0808080808080808080808080808080808080808080808080808080808080808"
names = ["localhost", "127.0.0.1"]
[chain]
profile = "localnet"
id = 31337
registry = "0x0909090909090909090909090909090909090909"
rpc = ["http://127.0.0.1:8545"]
[services]
inference = true
[[models]]
id = "smollm2-135m-instruct"
sha256 = "0x0707070707070707070707070707070707070707070707070707070707070707"
[egress]
allow = ["127.0.0.1:8545"]
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_document() {
        let document = LaunchDocument::parse(SAMPLE.as_bytes()).unwrap();
        assert_eq!(document.node.epoch_seconds, 600);
        assert_eq!(document.services.enabled(), ["inference"]);
        assert!(!document.log.sink);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let with = |from: &str, to: &str| {
            assert!(SAMPLE.contains(from));
            LaunchDocument::parse(SAMPLE.replacen(from, to, 1).as_bytes()).unwrap_err()
        };
        assert_eq!(with("version = 1", "version = 2"), LaunchError::Version(2));
        assert!(matches!(
            with("inference = true", "inference = true\nshell = true"),
            LaunchError::Toml(_)
        ));
        assert!(matches!(
            with("[egress]", "[debug]\n[egress]"),
            LaunchError::Toml(_)
        ));
        assert!(matches!(with("0x0808", "0x08"), LaunchError::Toml(_)));
        assert!(matches!(
            with("\"localhost\"", "\"Local host\""),
            LaunchError::Value {
                field: "node.names",
                ..
            }
        ));
        assert!(matches!(
            with("\"localhost\", \"127.0.0.1\"", ""),
            LaunchError::Value {
                field: "node.names",
                ..
            }
        ));
        assert!(matches!(
            with("allow = [\"127.0.0.1:8545\"]", "allow = []"),
            LaunchError::EndpointNotAllowed(_)
        ));
        assert!(matches!(
            with("allow = [\"127.0.0.1:8545\"]", "allow = [\"*\"]"),
            LaunchError::Value {
                field: "egress.allow",
                ..
            }
        ));
        assert!(matches!(
            with("http://127", "ftp://127"),
            LaunchError::Value {
                field: "chain.rpc",
                ..
            }
        ));
        assert!(matches!(
            with("id = \"smol", "id = \"sm\\nol"),
            LaunchError::Value {
                field: "models.id",
                ..
            }
        ));
        let epoch = "[node]\nepoch_seconds = 1";
        assert!(matches!(
            with("[node]", epoch),
            LaunchError::Value {
                field: "node.epoch_seconds",
                ..
            }
        ));
        let quorum = "id = 31337\nquorum = 2";
        assert!(matches!(
            with("id = 31337", quorum),
            LaunchError::Value {
                field: "chain.quorum",
                ..
            }
        ));
        assert_eq!(LaunchDocument::parse(&[0xFF]), Err(LaunchError::NotUtf8));
        assert_eq!(
            LaunchDocument::parse(&vec![b' '; MAX_LEN + 1]),
            Err(LaunchError::TooLong(MAX_LEN + 1))
        );
        let lines = |count| LaunchDocument::parse((SAMPLE.to_owned() + &"\n".repeat(count)).as_bytes());
        assert!(lines(MAX_ITEMS / 2).is_ok());
        assert_eq!(lines(MAX_ITEMS), Err(LaunchError::TooManyItems));
        let many = format!("[\"localhost\"{}]", ", \"a\"".repeat(64));
        assert_eq!(
            with("[\"localhost\", \"127.0.0.1\"]", &many),
            LaunchError::TooMany {
                field: "node.names",
                len: 65
            }
        );
        let no_models =
            SAMPLE.split("[[models]]").next().unwrap().to_owned() + "[egress]\nallow = [\"127.0.0.1:8545\"]";
        assert!(matches!(
            LaunchDocument::parse(no_models.as_bytes()),
            Err(LaunchError::Value { field: "models", .. })
        ));
    }

    #[test]
    fn authorities() {
        assert_eq!(split_authority("a.b:80"), Some(("a.b", 80)));
        assert_eq!(split_authority("[::1]:80"), Some(("[::1]", 80)));
        for bad in [
            "a.b",
            "a.b:",
            "a.b:080",
            "a.b:70000",
            "a b:80",
            ":80",
            "::1:80",
            "a.b:+8",
            "A.b:80",
            "a.b:0",
        ] {
            assert_eq!(split_authority(bad), None, "{bad}");
        }
        assert_eq!(
            url_authority("https://rpc.example/v1"),
            Some("rpc.example:443".to_owned())
        );
        assert_eq!(url_authority("http://user@rpc.example/"), None);
    }
}
