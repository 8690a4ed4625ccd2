//! What a rental's container is: a few values that differ, and many that are fixed here.

mod body;

use std::collections::BTreeMap;

use serde::Serialize;

use body::Body;

use super::json::Value;
use super::name::digits;
use super::{ContainerName, ImageReference, Refusal};

/// Further labels `jeju.*`, by their whole key; at most 8.
pub type Labels = BTreeMap<String, String>;

/// Label with the node's agent id.
pub(super) const AGENT_LABEL: &str = "jeju.agent";
/// Label with the rental's id.
pub(super) const RENTAL_LABEL: &str = "jeju.rental";

/// Least memory in bytes; the engine takes no less.
const MIN_MEMORY: u64 = 6 << 20;
/// Most memory and storage in bytes.
const MAX_BYTES: u64 = 1 << 50;
const NANO: u64 = 1_000_000_000;
/// Most arguments of a command.
const MAX_ARGUMENTS: usize = 256;
/// Most bytes of a command's arguments together.
const MAX_COMMAND: usize = 16 * 1024;
/// Most paths that are kept in memory.
const MAX_PATHS: usize = 16;

/// What to create a container from.
///
/// It runs [`super::ENTRYPOINT`] with `command` behind it, as the container's root, with [`super::CAPABILITIES`] and nothing else:
/// no privileges, devices, host paths, host namespaces, published ports or restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Name, from the rental's id.
    pub name: ContainerName,
    /// The node's agent id: label `jeju.agent`.
    pub agent: [u8; 32],
    /// The image.
    pub image: ImageReference,
    /// The image's own entrypoint and command, which the agent starts. At most 256 arguments and 16 KiB.
    pub command: Vec<String>,
    /// Further labels: keys `jeju.[a-z0-9-]{1,32}`, values of at most 256 printable ASCII characters.
    pub labels: Labels,
    /// Memory in bytes, from 6 MiB; there is no swap on top.
    pub memory: u64,
    /// Processor time in billionths of a core, from 10 million.
    pub nano_cpus: u64,
    /// Most processes and threads, from 16 to 65,536.
    pub pids: u32,
    /// Which network it has.
    pub network: Network,
    /// Quota of its writable layer in bytes. Only some storage drivers have one, and others refuse the container.
    pub storage: Option<u64>,
    /// Paths that the image declares as volumes. Each is memory (tmpfs), which counts as the container's: a volume on
    /// the host's disk would be outside every quota. Absolute, ascending, at most 16.
    pub memory_paths: Vec<String>,
}

/// Network of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// Loopback only.
    None,
    /// The network that has the container's name; see [`super::NetworkSpec`].
    Own,
}

impl ContainerSpec {
    /// Refuses values out of range.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let range = |what: &str, value: u64, low: u64, high: u64| match (low..=high).contains(&value) {
            true => Ok(()),
            false => Err(Refusal::value(format!("{what} is not from {low} to {high}"))),
        };
        range("HostConfig.Memory", self.memory, MIN_MEMORY, MAX_BYTES)?;
        range("HostConfig.NanoCpus", self.nano_cpus, NANO / 100, 4096 * NANO)?;
        range("HostConfig.PidsLimit", self.pids.into(), 16, 65_536)?;
        if let Some(storage) = self.storage {
            range("HostConfig.StorageOpt.size", storage, 1 << 20, MAX_BYTES)?;
        }
        check_command("Cmd", &self.command)?;
        check_labels(&self.labels)?;
        check_paths(&self.memory_paths)
    }

    pub(super) fn emit(&self) -> Vec<u8> {
        encode(&Body::of(self))
    }

    pub(super) fn parse(name: ContainerName, body: &[u8]) -> Result<Self, Refusal> {
        let given = Value::read(body)?;
        given.only_keys_of(&Value::read(&template().emit())?, &["Labels"])?;
        let labels = given.entries("Labels")?;
        let mut further = Labels::new();
        for (key, value) in labels {
            let Value::Text(value) = value else {
                return Err(Refusal::value("a label is not a string"));
            };
            if key != AGENT_LABEL && key != RENTAL_LABEL {
                further.insert(key.clone(), value.clone());
            }
        }
        let spec = Self {
            name,
            agent: agent_label(&given)?,
            image: given.text("Image")?.parse()?,
            command: given.texts("Cmd")?,
            labels: further,
            memory: given.number("HostConfig.Memory")?,
            nano_cpus: given.number("HostConfig.NanoCpus")?,
            pids: given
                .number("HostConfig.PidsLimit")?
                .try_into()
                .map_err(|_| Refusal::value("HostConfig.PidsLimit is too high"))?,
            network: match given.text("HostConfig.NetworkMode")? {
                "none" => Network::None,
                mode if mode == name.to_string() => Network::Own,
                _ => {
                    return Err(Refusal::value(
                        "HostConfig.NetworkMode is neither none nor the container's own network",
                    ));
                }
            },
            storage: match given.entries("HostConfig.StorageOpt")? {
                [] => None,
                _ => Some(size(given.text("HostConfig.StorageOpt.size")?)?),
            },
            memory_paths: given
                .list("HostConfig.Mounts")?
                .iter()
                .map(|mount| mount.text("Target").map(str::to_owned))
                .collect::<Result<_, _>>()?,
        };
        spec.check()?;
        same(&given, body, &spec.emit())?;
        Ok(spec)
    }
}

/// Refuses a body that isn't, byte by byte, what is emitted for it.
pub(super) fn same(given: &Value, body: &[u8], emitted: &[u8]) -> Result<(), Refusal> {
    if body == emitted {
        return Ok(());
    }
    match given.first_difference(&Value::read(emitted)?) {
        Some(path) => Err(Refusal::value(format!(
            "{path} has a value that is not allowed, or is missing"
        ))),
        None => Err(Refusal::body(
            "the body's keys or values are written in another way than ours",
        )),
    }
}

pub(super) fn agent_label(given: &Value) -> Result<[u8; 32], Refusal> {
    let labels = Value::Object(given.entries("Labels")?.to_vec());
    match labels.get(AGENT_LABEL) {
        Some(Value::Text(agent)) => digits(agent),
        _ => None,
    }
    .ok_or_else(|| Refusal::value("label jeju.agent is not 64 lower-case hex digits"))
}

pub(super) fn check_command(what: &str, command: &[String]) -> Result<(), Refusal> {
    let length: usize = command.iter().map(|argument| argument.len() + 1).sum();
    if command.len() > MAX_ARGUMENTS || length > MAX_COMMAND {
        return Err(Refusal::value(format!(
            "{what} has over {MAX_ARGUMENTS} arguments or over {MAX_COMMAND} bytes"
        )));
    }
    if command.iter().any(|argument| argument.contains('\0')) {
        return Err(Refusal::value(format!("{what} has a zero byte")));
    }
    Ok(())
}

fn check_labels(labels: &Labels) -> Result<(), Refusal> {
    if labels.len() > 8 {
        return Err(Refusal::value("there are over 8 further labels"));
    }
    for (key, value) in labels {
        let name = key.strip_prefix("jeju.").unwrap_or_default();
        let named = (1..=32).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !named || key == AGENT_LABEL || key == RENTAL_LABEL {
            return Err(Refusal::field("Labels"));
        }
        if value.len() > 256 || !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(Refusal::value(
                "a label's value is not 256 printable ASCII characters",
            ));
        }
    }
    Ok(())
}

fn check_paths(paths: &[String]) -> Result<(), Refusal> {
    let plain = |component: &str| {
        !component.is_empty()
            && component != "."
            && component != ".."
            && component.bytes().all(|byte| (0x21..0x7f).contains(&byte))
    };
    let fine = |path: &String| {
        path.len() <= 256
            && path.strip_prefix('/').is_some_and(|rest| {
                rest.split('/').all(plain)
                    && !matches!(
                        rest.split('/').next(),
                        Some(".jeju" | "dev" | "proc" | "sys") | None
                    )
            })
    };
    if paths.len() > MAX_PATHS || !paths.iter().all(fine) {
        return Err(Refusal::value(format!(
            "HostConfig.Mounts has over {MAX_PATHS} targets, or one that is no plain absolute path"
        )));
    }
    match paths.is_sorted_by(|a, b| a < b) {
        true => Ok(()),
        false => Err(Refusal::value("HostConfig.Mounts is not in ascending order")),
    }
}

/// A number of bytes without unit or leading zeros.
fn size(text: &str) -> Result<u64, Refusal> {
    crate::line::decimal(text)
        .map_err(|_| Refusal::value("HostConfig.StorageOpt.size is not a number of bytes"))
}

pub(super) fn encode(body: &impl Serialize) -> Vec<u8> {
    // Structs of strings, numbers and lists always have a JSON form.
    serde_json::to_vec(body).unwrap_or_default()
}

/// A spec in whose body every key is there.
fn template() -> ContainerSpec {
    ContainerSpec {
        name: ContainerName::from_id([0; 32]),
        agent: [0; 32],
        image: ImageReference::placeholder(),
        command: Vec::new(),
        labels: Labels::new(),
        memory: MIN_MEMORY,
        nano_cpus: NANO,
        pids: 16,
        network: Network::None,
        storage: Some(1 << 20),
        memory_paths: vec!["/template".to_owned()],
    }
}
