//! The worker part of the launch document: who may deploy code to the node, how much of it, and where it may connect to.

use serde::{Deserialize, Serialize};

use super::{LaunchError, split_authority};
use crate::hex_bytes::HexBytes;

/// Most workers that are deployed at a time.
pub const MAX_WORKERS: u32 = 100_000;
/// Most owners that have a process at a time.
pub const MAX_PROCESSES: u16 = 256;
/// Most accounts that a document lists.
pub const MAX_OWNERS: usize = 1024;
/// Most destinations that a document lists.
pub const MAX_FETCH: usize = 256;
/// Longest time for one event, in milliseconds.
pub const MAX_TIMEOUT_MS: u32 = 900_000;
/// Most memory of one isolate, in MiB.
pub const MAX_MEMORY_MB: u32 = 1024;

/// What a node runs for those who deploy workers to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workers {
    /// Where workers may connect to.
    pub reach: Reach,
    /// With `reach = "listed"`: `host:port`, or `*.domain:port` for every name below a domain.
    #[serde(default)]
    pub fetch: Vec<String>,
    /// Accounts that may deploy; none: any.
    #[serde(default)]
    pub owners: Vec<HexBytes<20>>,
    /// Most workers that are deployed at a time.
    #[serde(default = "default_max")]
    pub max: u32,
    /// Most workers of one owner.
    #[serde(default = "default_max_per_owner")]
    pub max_per_owner: u32,
    /// Most owners that have a process at a time.
    #[serde(default = "default_processes")]
    pub processes: u16,
    /// Time for one event where a worker doesn't say, in milliseconds; no worker may ask for more.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u32,
    /// Memory of one isolate where a worker doesn't say, in MiB; no worker may ask for more.
    #[serde(default = "default_memory_mb")]
    pub memory_mb: u32,
    /// `WorkerRegistry`, whose workers may be deployed from their code's URL.
    #[serde(default)]
    pub registry: Option<HexBytes<20>>,
}

/// Where workers may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// Nowhere.
    None,
    /// To the destinations that the document lists.
    Listed,
    /// To every public address.
    Public,
}

impl Reach {
    /// As policies and documents write it.
    pub const fn name(self) -> &'static str {
        match self {
            Reach::None => "none",
            Reach::Listed => "listed",
            Reach::Public => "public",
        }
    }
}

impl Workers {
    /// Whether the parts agree.
    pub(super) fn check(&self) -> Result<(), LaunchError> {
        let invalid = |field, value: &dyn ToString| {
            Err(LaunchError::Value {
                field,
                value: value.to_string(),
            })
        };
        if self.fetch.len() > MAX_FETCH || self.fetch.is_empty() != (self.reach != Reach::Listed) {
            return invalid("workers.fetch", &self.fetch.len());
        }
        if let Some(entry) = self.fetch.iter().find(|entry| !is_destination(entry)) {
            return invalid("workers.fetch", entry);
        }
        if self.owners.len() > MAX_OWNERS {
            return invalid("workers.owners", &self.owners.len());
        }
        let numbers = [
            ("workers.max", self.max, MAX_WORKERS),
            ("workers.max_per_owner", self.max_per_owner, self.max),
            ("workers.processes", self.processes.into(), MAX_PROCESSES.into()),
            ("workers.timeout_ms", self.timeout_ms, MAX_TIMEOUT_MS),
            ("workers.memory_mb", self.memory_mb, MAX_MEMORY_MB),
        ];
        match numbers
            .into_iter()
            .find(|(_, value, most)| !(1..=*most).contains(value))
        {
            Some((field, value, _)) => invalid(field, &value),
            None => Ok(()),
        }
    }
}

/// `host:port` or `*.domain:port`.
fn is_destination(entry: &str) -> bool {
    let host_and_port = entry.strip_prefix("*.").unwrap_or(entry);
    let parts = split_authority(host_and_port);
    // A number below a wildcard would be no name.
    parts.is_some_and(|(host, _)| {
        host_and_port.len() == entry.len() || host.contains(|c: char| c.is_ascii_alphabetic())
    })
}

fn default_max() -> u32 {
    10_000
}

fn default_max_per_owner() -> u32 {
    100
}

fn default_processes() -> u16 {
    32
}

fn default_timeout_ms() -> u32 {
    30_000
}

fn default_memory_mb() -> u32 {
    128
}

#[cfg(test)]
mod tests {
    use super::super::{LaunchDocument, SAMPLE};
    use super::*;

    const WORKERS: &str =
        "\n[workers]\nreach = \"listed\"\nfetch = [\"api.example:443\", \"*.example.org:443\"]\n";

    fn parse(workers: &str) -> Result<LaunchDocument, LaunchError> {
        let on = SAMPLE.replacen("inference = true", "inference = true\nworkers = true", 1);
        LaunchDocument::parse((on + workers).as_bytes())
    }

    #[test]
    fn reads_what_workers_may_do() {
        let document = parse(WORKERS).unwrap();
        assert_eq!(document.services.enabled(), ["inference", "workers"]);
        let workers = document.workers.unwrap();
        assert_eq!(
            (workers.max, workers.max_per_owner, workers.processes),
            (10_000, 100, 32)
        );
        assert_eq!((workers.timeout_ms, workers.memory_mb), (30_000, 128));
        assert_eq!(workers.reach.name(), "listed");
        for reach in ["none", "public"] {
            let document = parse(&format!("\n[workers]\nreach = \"{reach}\"\n")).unwrap();
            assert_eq!(document.workers.unwrap().reach.name(), reach);
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let refused = |from: &str, to: &str| {
            assert!(WORKERS.contains(from), "{from}");
            match parse(&WORKERS.replacen(from, to, 1)) {
                Err(LaunchError::Value { field, .. }) => field,
                other => panic!("{from} -> {to}: {other:?}"),
            }
        };
        assert_eq!(refused("\"listed\"", "\"public\""), "workers.fetch");
        assert_eq!(refused("\"listed\"", "\"none\""), "workers.fetch");
        assert_eq!(refused("api.example:443", "api.example"), "workers.fetch");
        assert_eq!(refused("api.example:443", "*:443"), "workers.fetch");
        assert_eq!(refused("*.example.org", "*.10"), "workers.fetch");
        assert_eq!(refused("*.example.org", "*.*.org"), "workers.fetch");
        for (line, field) in [
            ("max = 0", "workers.max"),
            ("max = 100001", "workers.max"),
            ("max = 10", "workers.max_per_owner"),
            ("max_per_owner = 0", "workers.max_per_owner"),
            ("processes = 0", "workers.processes"),
            ("processes = 257", "workers.processes"),
            ("timeout_ms = 900001", "workers.timeout_ms"),
            ("memory_mb = 1025", "workers.memory_mb"),
        ] {
            assert_eq!(refused("reach", &format!("{line}\nreach")), field, "{line}");
        }
        for wrong in ["", "reach = \"all\""] {
            let document = WORKERS.replacen("reach = \"listed\"", wrong, 1);
            assert!(matches!(parse(&document), Err(LaunchError::Toml(_))), "{wrong}");
        }
        let on = SAMPLE.replacen("inference = true", "workers = true", 1);
        let off = SAMPLE.to_owned() + WORKERS;
        for document in [on, off] {
            assert!(matches!(
                LaunchDocument::parse(document.as_bytes()),
                Err(LaunchError::Value { field: "workers", .. })
            ));
        }
    }
}
