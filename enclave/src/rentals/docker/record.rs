//! What a container's labels say of it, which is all that a node knows of its containers after a restart.

use std::collections::BTreeMap;

use jeju_shim_protocol::docker::answer::{self, ListedContainer};
use jeju_shim_protocol::docker::{ContainerName, ImageReference, Labels};

use super::text::printable;
use crate::rentals::backend::{BackendError, Container, ContainerState, Resources};

const AGENT: &str = "jeju.agent";
const RENTAL: &str = "jeju.rental";
const IMAGE: &str = "jeju.image";
const CPU: &str = "jeju.cpu";
const MEMORY: &str = "jeju.memory";
const STORAGE: &str = "jeju.storage";
const BANDWIDTH: &str = "jeju.bandwidth";
const ADDRESS: &str = "jeju.address";

/// Labels of a container, beside those of agent and rental that every request sets.
pub(super) fn labels(image: &ImageReference, resources: &Resources, address: &str) -> Labels {
    let Resources {
        cpu_cores,
        memory_gib,
        storage_gb,
        bandwidth_mbps,
    } = resources;
    [
        (IMAGE, image.to_string()),
        (CPU, cpu_cores.to_string()),
        (MEMORY, memory_gib.to_string()),
        (STORAGE, storage_gb.to_string()),
        (BANDWIDTH, bandwidth_mbps.to_string()),
        (ADDRESS, address.to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Reads one container of a list, which holds those of this agent alone. The exit code isn't in it.
pub(super) fn listed(
    agent: [u8; 32],
    name: ContainerName,
    found: &ListedContainer,
) -> Result<Container, BackendError> {
    let record = Record {
        labels: &found.labels,
        id: &found.id,
        image: &found.image_id,
        state: &found.state,
        exit_code: 0,
    };
    record.read(agent, name)
}

/// Reads the answer to a question for one container.
pub(super) fn inspected(
    agent: [u8; 32],
    name: ContainerName,
    found: &answer::Container,
) -> Result<Container, BackendError> {
    if found.name.strip_prefix('/') != Some(&name.to_string()) {
        return Err(malformed(name, "it is another one"));
    }
    let record = Record {
        labels: &found.config.labels,
        id: &found.id,
        image: &found.image,
        state: &found.state.status,
        exit_code: found.state.exit_code,
    };
    record.read(agent, name)
}

struct Record<'a> {
    labels: &'a BTreeMap<String, String>,
    id: &'a str,
    image: &'a str,
    state: &'a str,
    exit_code: i64,
}

impl Record<'_> {
    fn read(&self, agent: [u8; 32], name: ContainerName) -> Result<Container, BackendError> {
        let is = |key, id: [u8; 32]| self.labels.get(key) == Some(&hex::encode(id));
        if !is(AGENT, agent) || !is(RENTAL, name.id()) {
            return Err(malformed(name, "its labels name another agent or rental"));
        }
        if !is_digest(self.id) || !self.image.strip_prefix("sha256:").is_some_and(is_digest) {
            return Err(malformed(name, "its ids are none"));
        }
        let image = self.labels.get(IMAGE).filter(|image| {
            let read: Result<ImageReference, _> = image.parse();
            read.is_ok_and(|read| read.to_string() == **image)
        });
        Ok(Container {
            rental: name.id(),
            id: self.id.to_owned(),
            image: image
                .ok_or_else(|| malformed(name, "its label jeju.image is no image"))?
                .clone(),
            image_digest: self.image.to_owned(),
            state: self.state(name)?,
            resources: Resources {
                cpu_cores: self
                    .number(name, CPU)?
                    .try_into()
                    .map_err(|_| malformed(name, "its label jeju.cpu is too high"))?,
                memory_gib: self.number(name, MEMORY)?,
                storage_gb: self.number(name, STORAGE)?,
                bandwidth_mbps: self.number(name, BANDWIDTH)?,
            },
            address: self.labels.get(ADDRESS).cloned(),
        })
    }

    fn number(&self, name: ContainerName, key: &str) -> Result<u32, BackendError> {
        let value = self.labels.get(key);
        value
            .and_then(|value| {
                value
                    .parse::<u32>()
                    .ok()
                    .filter(|read| read.to_string() == *value)
            })
            .ok_or_else(|| malformed(name, &format!("its label {key} is no number")))
    }

    fn state(&self, name: ContainerName) -> Result<ContainerState, BackendError> {
        Ok(match self.state {
            "created" => ContainerState::Created,
            "running" | "paused" | "restarting" => ContainerState::Running,
            "exited" => ContainerState::Exited { code: self.exit_code },
            "removing" | "dead" => ContainerState::Dead,
            other => {
                let state = format!("its state is {:?}", printable(other, 32));
                return Err(malformed(name, &state));
            }
        })
    }
}

fn malformed(name: ContainerName, what: &str) -> BackendError {
    BackendError::Unavailable(format!("what it says of container {name} is wrong: {what}"))
}

/// 64 lower-case hexadecimal digits.
pub(super) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: ContainerName = ContainerName::from_id([2; 32]);
    const RESOURCES: Resources = Resources {
        cpu_cores: 2,
        memory_gib: 4,
        storage_gb: 0,
        bandwidth_mbps: u32::MAX,
    };

    fn found() -> answer::Container {
        let image: ImageReference = "busybox".parse().unwrap();
        let mut found = answer::Container {
            id: "ab".repeat(32),
            name: format!("/{NAME}"),
            image: format!("sha256:{}", "cd".repeat(32)),
            ..answer::Container::default()
        };
        found.state.status = "exited".to_owned();
        found.state.exit_code = 137;
        found.config.labels = labels(&image, &RESOURCES, "ssh.example:2222");
        for (key, id) in [(AGENT, [1; 32]), (RENTAL, NAME.id())] {
            found.config.labels.insert(key.to_owned(), hex::encode(id));
        }
        found
    }

    #[test]
    fn what_was_written_is_read_again() {
        let container = inspected([1; 32], NAME, &found()).unwrap();
        assert_eq!(container.rental, [2; 32]);
        assert_eq!(container.image, "busybox:latest");
        assert_eq!(container.resources, RESOURCES);
        assert_eq!(container.address.as_deref(), Some("ssh.example:2222"));
        let mut earlier = found();
        earlier.config.labels.remove(ADDRESS);
        assert_eq!(inspected([1; 32], NAME, &earlier).unwrap().address, None);
        assert_eq!(container.state, ContainerState::Exited { code: 137 });
    }

    #[test]
    fn an_answer_for_another_container_or_without_sense_is_an_error() {
        type Change = fn(&mut answer::Container);
        let label = |found: &mut answer::Container, key: &str, value: &str| {
            found.config.labels.insert(key.to_owned(), value.to_owned());
        };
        let changes: [(&str, Change); 5] = [
            ("name", |found| {
                found.name = format!("/{}", ContainerName::from_id([3; 32]))
            }),
            ("no slash", |found| found.name = NAME.to_string()),
            ("id", |found| found.id = "x".repeat(1 << 20)),
            ("image", |found| found.image = "sha256:".to_owned()),
            ("state", |found| found.state.status = "fine\n".to_owned()),
        ];
        for (what, change) in changes {
            let mut found = found();
            change(&mut found);
            let error = inspected([1; 32], NAME, &found).unwrap_err();
            assert!(matches!(error, BackendError::Unavailable(_)), "{what}: {error}");
        }
        for (key, value) in [
            (AGENT, hex::encode([9; 32])),
            (RENTAL, hex::encode([9; 32])),
            (IMAGE, "--privileged".to_owned()),
            (IMAGE, "busybox".to_owned()),
            (CPU, "65536".to_owned()),
            (CPU, "+1".to_owned()),
            (MEMORY, "01".to_owned()),
            (STORAGE, "4294967296".to_owned()),
            (BANDWIDTH, String::new()),
        ] {
            let mut found = found();
            label(&mut found, key, &value);
            assert!(inspected([1; 32], NAME, &found).is_err(), "{key} {value}");
            found.config.labels.remove(key);
            assert!(inspected([1; 32], NAME, &found).is_err(), "no {key}");
        }
    }
}
