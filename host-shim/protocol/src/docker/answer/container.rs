//! Answers about a container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{or_default, short};
use crate::docker::ContainerName;
use crate::docker::container::{AGENT_LABEL, RENTAL_LABEL};
use crate::docker::name::digits;

/// Answer to [`crate::docker::Request::InspectContainer`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Name, with a slash in front.
    pub name: String,
    /// When it was created (RFC 3339).
    pub created: String,
    /// Id of its image, `sha256:…`.
    pub image: String,
    /// What it does now.
    pub state: ContainerState,
    /// What it was created from.
    pub config: ContainerConfig,
    /// Its limits.
    pub host_config: ContainerLimits,
    /// Storage driver.
    #[serde(deserialize_with = "or_default")]
    pub driver: String,
    /// Bytes that it has written, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_rw: Option<u64>,
    /// Bytes of it and its image, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_root_fs: Option<u64>,
}

/// State of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerState {
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    pub status: String,
    /// Whether it runs.
    pub running: bool,
    /// Whether memory ran out.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// Exit code of its first process.
    pub exit_code: i64,
    /// Why it didn't start.
    pub error: String,
    /// When it started (RFC 3339); year 1 if it never did.
    pub started_at: String,
    /// When it ended (RFC 3339); year 1 if it never did.
    pub finished_at: String,
}

/// What a container was created from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// Image reference.
    pub image: String,
    /// Labels `jeju.*`.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
}

/// Limits of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerLimits {
    /// Memory in bytes.
    pub memory: u64,
    /// Billionths of a core.
    pub nano_cpus: u64,
    /// Processes.
    #[serde(deserialize_with = "or_default")]
    pub pids_limit: i64,
    /// `none`, or the network's name.
    pub network_mode: String,
    /// Quota, if any: key `size`.
    #[serde(deserialize_with = "or_default")]
    pub storage_opt: BTreeMap<String, String>,
}

/// One item of the answer to [`crate::docker::Request::ListContainers`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListedContainer {
    /// The engine's id.
    pub id: String,
    /// Names, each with a slash in front.
    pub names: Vec<String>,
    /// Image reference.
    pub image: String,
    /// Id of its image.
    #[serde(rename = "ImageID")]
    pub image_id: String,
    /// When it was created, in seconds of Unix time.
    pub created: i64,
    /// As [`ContainerState::status`].
    pub state: String,
    /// Labels `jeju.*`.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
}

impl Container {
    /// Leaves out labels of the image.
    pub fn only(mut self) -> Self {
        keep_ours(&mut self.config.labels);
        self.state.error = short(&self.state.error);
        self
    }

    /// The agent id that its label names.
    pub fn agent(&self) -> Option<[u8; 32]> {
        agent_of(&self.config.labels)
    }
}

impl ListedContainer {
    /// Its name, if it is a rental's.
    pub fn name(&self) -> Option<ContainerName> {
        self.names
            .iter()
            .find_map(|name| name.strip_prefix('/')?.parse().ok())
    }

    /// Leaves out labels of the image, and the whole container unless it is one of a rental of this agent.
    pub fn only(mut self, agent: [u8; 32]) -> Option<Self> {
        let name = self.name()?;
        if agent_of(&self.labels) != Some(agent) || rental_of(&self.labels) != Some(name.id()) {
            return None;
        }
        self.names = vec![format!("/{name}")];
        keep_ours(&mut self.labels);
        Some(self)
    }
}

pub(super) fn agent_of(labels: &BTreeMap<String, String>) -> Option<[u8; 32]> {
    digits(labels.get(AGENT_LABEL)?)
}

pub(super) fn rental_of(labels: &BTreeMap<String, String>) -> Option<[u8; 32]> {
    digits(labels.get(RENTAL_LABEL)?)
}

pub(super) fn keep_ours(labels: &mut BTreeMap<String, String>) {
    labels.retain(|key, value| key.starts_with("jeju.") && key.len() <= 37 && value.len() <= 256);
}

/// Answer to [`crate::docker::Request::Stats`]: what a container uses at one moment. Processor load is the difference of two
/// answers. All zeros for a container that doesn't run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// When (RFC 3339).
    pub read: String,
    /// Processor.
    pub cpu_stats: CpuStats,
    /// Memory.
    pub memory_stats: MemoryStats,
    /// Processes.
    pub pids_stats: PidsStats,
    /// Network, by interface.
    #[serde(deserialize_with = "or_default")]
    pub networks: BTreeMap<String, NetworkStats>,
}

/// Processor time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuStats {
    /// Of the container.
    pub cpu_usage: CpuUsage,
    /// Of the whole machine, in nanoseconds.
    pub system_cpu_usage: u64,
    /// Processors that it may run on.
    pub online_cpus: u32,
}

/// Processor time of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuUsage {
    /// In nanoseconds, since it started.
    pub total_usage: u64,
}

/// Memory of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryStats {
    /// In bytes, caches of files included.
    pub usage: u64,
    /// Limit in bytes.
    pub limit: u64,
}

/// Processes of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PidsStats {
    /// Now.
    pub current: u64,
    /// Limit.
    pub limit: u64,
}

/// Bytes over an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkStats {
    /// Received.
    pub rx_bytes: u64,
    /// Sent.
    pub tx_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(names: &[&str], labels: &[(&str, &str)]) -> ListedContainer {
        ListedContainer {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..ListedContainer::default()
        }
    }

    #[test]
    fn only_containers_of_the_agent_are_listed() {
        let (own, agent, other) = ("ab".repeat(32), "cd".repeat(32), "ee".repeat(32));
        let name = format!("/jeju-{own}");
        let labels = [
            ("jeju.agent", &agent[..]),
            ("jeju.rental", &own),
            ("maintainer", "x"),
        ];
        let shown = listed(&["/alias", &name], &labels).only([0xcd; 32]).unwrap();
        assert_eq!(shown.names, [&name[..]]);
        assert_eq!(shown.name().unwrap().id(), [0xab; 32]);
        assert!(!shown.labels.contains_key("maintainer"));
        for (names, labels) in [
            (&["/postgres"][..], &labels[..]),
            (&[&name[..]], &[("jeju.agent", &other[..]), ("jeju.rental", &own)]),
            (
                &[&name[..]],
                &[("jeju.agent", &agent[..]), ("jeju.rental", &other)],
            ),
            (&[&name[..]], &[("jeju.agent", &agent[..])]),
            (&[&name[..]], &[]),
            (&[&name[1..]], &labels[..]),
            (&[], &labels[..]),
        ] {
            assert_eq!(
                listed(names, labels).only([0xcd; 32]),
                None,
                "{names:?} {labels:?}"
            );
        }
    }
}
