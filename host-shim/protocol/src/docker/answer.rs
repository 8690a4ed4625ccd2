//! What the engine answers, as far as a rental needs it.
//!
//! The shim reads an answer of the engine into these types, which leave out all else, and writes it anew, so that
//! nothing of other containers on the machine gets into an enclave. The enclave reads them again: a host may lie in
//! each of them.

mod container;
mod network;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use container::{
    Container, ContainerConfig, ContainerLimits, ContainerState, CpuStats, CpuUsage, ListedContainer,
    MemoryStats, NetworkStats, PidsStats, Stats,
};
pub use network::ListedNetwork;

use super::ImageReference;
use super::container::encode;

/// Longest answer in bytes, streams aside.
pub const MAX_ANSWER: usize = 1 << 20;
/// Longest line of a pull's progress in bytes.
pub const MAX_PROGRESS_LINE: usize = 64 * 1024;
/// Longest text of the engine's that is passed on, in bytes.
const MAX_MESSAGE: usize = 512;

/// Reads an answer. Fields that aren't known are skipped.
///
/// # Errors
/// [`AnswerError`].
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, AnswerError> {
    if bytes.len() > MAX_ANSWER {
        return Err(AnswerError::TooLong);
    }
    serde_json::from_slice(bytes).map_err(|error| AnswerError::Json(error.to_string()))
}

/// Writes an answer.
pub fn write(answer: &impl Serialize) -> Vec<u8> {
    encode(answer)
}

/// Why an answer can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is over [`MAX_ANSWER`].
    #[error("the answer is over {MAX_ANSWER} bytes")]
    TooLong,
    /// It is no JSON, or lacks something.
    #[error("the answer is malformed: {0}")]
    Json(String),
}

/// A refusal or failure: any answer with a status from 400.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable code: that of a [`super::Refusal`], one of the shim's, or `docker_engine` for what the engine said.
    #[serde(default)]
    pub code: String,
    /// For people; at most 512 bytes.
    #[serde(default)]
    pub message: String,
}

impl Failure {
    /// The engine's own failure, its text cut short and without control characters.
    pub fn of_engine(body: &[u8]) -> Self {
        let said = read::<Self>(body).map_or_else(|_| String::new(), |said| short(&said.message));
        Self {
            code: "docker_engine".to_owned(),
            message: match said.is_empty() {
                true => "the engine gave no reason".to_owned(),
                false => said,
            },
        }
    }
}

/// Text of the engine's as it may be shown: short, one line, without control characters.
fn short(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if shown.len() + character.len_utf8() > MAX_MESSAGE {
            break;
        }
        shown.push(character);
    }
    shown
}

/// Answer to [`super::Request::Info`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Info {
    /// Version of the engine.
    pub server_version: String,
    /// Storage driver.
    #[serde(deserialize_with = "or_default")]
    pub driver: String,
    /// Details of the storage driver, such as `["Backing Filesystem", "xfs"]`.
    #[serde(deserialize_with = "or_default")]
    pub driver_status: Vec<[String; 2]>,
    /// Processors.
    #[serde(rename = "NCPU")]
    pub ncpu: u32,
    /// Memory in bytes.
    pub mem_total: u64,
    /// Whether memory can be limited.
    pub memory_limit: bool,
    /// Whether swap can be limited.
    pub swap_limit: bool,
    /// Whether the number of processes can be limited.
    pub pids_limit: bool,
    /// Whether processor time can be limited.
    pub cpu_cfs_quota: bool,
    /// Security features that are on, such as `name=seccomp,profile=default`.
    #[serde(deserialize_with = "or_default")]
    pub security_options: Vec<String>,
    /// Version of control groups, `1` or `2`.
    pub cgroup_version: String,
    /// Kernel.
    pub kernel_version: String,
    /// Machine, such as `x86_64`.
    pub architecture: String,
    /// `linux`.
    #[serde(rename = "OSType")]
    pub os_type: String,
}

/// Answer to calls that create something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Created {
    /// The engine's id.
    pub id: String,
    /// What the engine can't do and leaves out.
    #[serde(default, deserialize_with = "or_default")]
    pub warnings: Vec<String>,
}

/// Answer to [`super::Request::InspectImage`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Image {
    /// Digest of the image's configuration, `sha256:…`.
    pub id: String,
    /// Digests of manifests under the name that was asked for, `name@sha256:…`.
    #[serde(deserialize_with = "or_default")]
    pub repo_digests: Vec<String>,
    /// Machine, such as `amd64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Size in bytes.
    pub size: u64,
    /// What it runs.
    #[serde(deserialize_with = "or_default")]
    pub config: ImageConfig,
}

impl Image {
    /// Leaves out names that others gave the same image.
    pub fn only(mut self, image: &ImageReference) -> Self {
        let own = format!("{}@", image.familiar_name());
        self.repo_digests.retain(|digest| digest.starts_with(&own));
        self
    }
}

/// What an image runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// Entrypoint.
    #[serde(deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// Command.
    #[serde(deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    /// User that it asks for.
    pub user: String,
    /// Working directory.
    pub working_dir: String,
    /// Paths that it declares as volumes; see [`super::ContainerSpec::memory_paths`].
    #[serde(deserialize_with = "or_default")]
    pub volumes: BTreeMap<String, Empty>,
}

/// An object whose keys don't matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// Answer to [`super::Request::InspectExec`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Exec {
    /// The exec's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Whether it runs.
    pub running: bool,
    /// Exit code, once it has ended.
    pub exit_code: Option<i64>,
}

/// One line of the answer to [`super::Request::PullImage`]. The status is 200 as soon as the pull begins: it has failed
/// if a line has an `error`, or if the stream ends without one that says so but the image isn't there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PullProgress {
    /// What is done, such as `Downloading`; at most 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Layer, or tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How far.
    #[serde(rename = "progressDetail", skip_serializing_if = "Option::is_none")]
    pub progress_detail: Option<ProgressDetail>,
    /// Why the pull failed; at most 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl PullProgress {
    /// Cuts texts short.
    pub fn only(self) -> Self {
        let cut = |text: Option<String>| text.map(|text| short(&text));
        Self {
            status: cut(self.status),
            id: cut(self.id),
            error: cut(self.error),
            ..self
        }
    }
}

/// Bytes of a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressDetail {
    /// Done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    /// In all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// The engine writes `null` for empty lists and maps.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_writes_null_for_empty() {
        let image: Image = read(br#"{"Id":"sha256:1","RepoDigests":null,"Config":{"Cmd":null,"Volumes":null,"Labels":{"a":"b"}}}"#).unwrap();
        assert!(image.config.cmd.is_empty() && image.config.volumes.is_empty());
        let image: Image = read(br#"{"Config":null}"#).unwrap();
        assert_eq!(image.config, ImageConfig::default());
        let image: Image = read(br#"{"Config":{"Volumes":{"/data":{}}}}"#).unwrap();
        assert!(image.config.volumes.contains_key("/data"));
    }

    #[test]
    fn other_names_of_an_image_are_left_out() {
        let image: Image =
            read(br#"{"RepoDigests":["debian@sha256:1","secret/other@sha256:1","debian-x@sha256:2"]}"#)
                .unwrap();
        let reference: ImageReference = "docker.io/library/debian:12".parse().unwrap();
        assert_eq!(image.only(&reference).repo_digests, ["debian@sha256:1"]);
    }

    #[test]
    fn a_failure_is_short_and_one_line() {
        let failure = Failure::of_engine(br#"{"message":"no such\ncontainer\u001b[2J"}"#);
        assert_eq!(
            (&failure.code[..], &failure.message[..]),
            ("docker_engine", "no such container [2J")
        );
        let long = format!(r#"{{"message":"{}"}}"#, "\u{e9}".repeat(1000));
        assert_eq!(Failure::of_engine(long.as_bytes()).message.len(), 512);
        for body in [&b""[..], b"page not found", b"[]", b"{\"message\":1}"] {
            assert_eq!(Failure::of_engine(body).message, "the engine gave no reason");
        }
    }

    #[test]
    fn answers_are_bounded_and_whole() {
        assert_eq!(
            read::<Info>(&vec![b' '; MAX_ANSWER + 1]),
            Err(AnswerError::TooLong)
        );
        for body in [
            &b"{}{}"[..],
            b"{",
            b"[1]",
            b"{\"NCPU\":-1}",
            &b"[".repeat(100_000),
        ] {
            assert!(matches!(read::<Info>(body), Err(AnswerError::Json(_))));
        }
    }
}
