//! Answers about networks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::container::{agent_of, keep_ours, rental_of};
use super::or_default;
use crate::docker::ContainerName;

/// One item of the answer to [`crate::docker::Request::ListNetworks`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListedNetwork {
    /// Name, that of its container.
    pub name: String,
    /// Labels `jeju.*`.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
}

impl ListedNetwork {
    /// Whose it is, if it is a rental's of this agent.
    pub fn of(&self, agent: [u8; 32]) -> Option<ContainerName> {
        let name: ContainerName = self.name.parse().ok()?;
        (agent_of(&self.labels) == Some(agent) && rental_of(&self.labels) == Some(name.id())).then_some(name)
    }

    /// Leaves out what others wrote on it, and the whole network unless it is one of a rental of this agent.
    pub fn only(mut self, agent: [u8; 32]) -> Option<Self> {
        self.of(agent)?;
        keep_ours(&mut self.labels);
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_networks_of_the_agent_are_listed() {
        let network = |name: &str, labels: &[(&str, &str)]| ListedNetwork {
            name: name.to_owned(),
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let (own, agent, other) = ("ab".repeat(32), "cd".repeat(32), "ee".repeat(32));
        let name = format!("jeju-{own}");
        let labels = [
            ("jeju.agent", &agent[..]),
            ("jeju.rental", &own),
            ("maintainer", "x"),
        ];
        let shown = network(&name, &labels).only([0xcd; 32]).unwrap();
        assert_eq!(shown.of([0xcd; 32]).unwrap().id(), [0xab; 32]);
        assert!(!shown.labels.contains_key("maintainer"));
        for (name, labels) in [
            ("bridge", &labels[..]),
            (&name, &[("jeju.agent", &other[..]), ("jeju.rental", &own)]),
            (&name, &[("jeju.agent", &agent[..]), ("jeju.rental", &other)]),
            (&name, &[("jeju.agent", &agent[..])]),
            (&name, &[]),
        ] {
            assert_eq!(network(name, labels).only([0xcd; 32]), None, "{name} {labels:?}");
        }
    }
}
