//! The user's configuration: what stands for options that a command line leaves out.
//!
//! ```toml
//! rpc = ["https://a.example", "https://b.example", "https://c.example"]
//! quorum = 2
//! chain_id = 1
//! registry = "0x…"                   # the measurement registry
//! policy = "policy.toml"
//! snapshot = "snapshot.json"         # of the registry, signed by
//! governance = "0x…"
//! contracts = "mainnet.json"         # as `jeju-contracts deploy` writes it
//! gateways = ["gateway.example:443"]
//! ```
//!
//! Files are named from the configuration's folder. The command line wins over the environment, which wins over this.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::Command;
use jeju_attestation::hex_bytes::HexBytes;
use serde::Deserialize;
use thiserror::Error;

use crate::files::{self, FileError};
use crate::via::Gateway;

/// Variable that names the file.
const FILE_VARIABLE: &str = "JEJU_CONFIG";
/// Longest file, in bytes.
const MAX_LEN: usize = 64 * 1024;

/// What the file says; whatever it doesn't is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// JSON-RPC endpoints of the chain.
    pub rpc: Vec<String>,
    /// How many of them must agree; more than half where it says nothing.
    pub quorum: Option<usize>,
    /// Chain id.
    pub chain_id: Option<u64>,
    /// Address of the measurement registry.
    pub registry: Option<HexBytes<20>>,
    /// Appraisal policy.
    pub policy: Option<PathBuf>,
    /// Signed snapshot of the measurement registry.
    pub snapshot: Option<PathBuf>,
    /// Account that signs snapshots.
    pub governance: Option<HexBytes<20>>,
    /// Whether endpoints that agree are enough for reference values.
    pub allow_rpc: bool,
    /// Record of a deployment.
    pub contracts: Option<PathBuf>,
    /// Gateways that lead to nodes.
    pub gateways: Vec<Gateway>,
}

/// Why the configuration is of no use.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It isn't what it should be.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl ConfigError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ConfigError::File(error) => error.code(),
            ConfigError::Malformed { .. } => "config_invalid",
        }
    }
}

impl Config {
    /// Reads a file; of none, nothing.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let malformed = |reason: String| ConfigError::Malformed {
            path: path.to_owned(),
            reason,
        };
        let text = files::text(path, MAX_LEN)?;
        if text.len() > MAX_LEN {
            return Err(malformed(format!("longer than {MAX_LEN} bytes")));
        }
        let mut config: Self =
            toml::from_str(&text).map_err(|error| malformed(error.message().to_owned()))?;
        if config.rpc.is_empty() && config.quorum.is_some() {
            return Err(malformed("quorum is said without rpc".to_owned()));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        for file in [&mut config.policy, &mut config.snapshot, &mut config.contracts]
            .into_iter()
            .flatten()
        {
            *file = folder.join(&file);
        }
        Ok(config)
    }

    /// How many of the file's endpoints must agree.
    pub fn quorum(&self) -> usize {
        self.quorum.unwrap_or(self.rpc.len() / 2 + 1)
    }
}

/// A program's commands with the configuration file in their options `--config`, where there is one.
pub fn with_default(command: Command) -> Command {
    match default_path() {
        // For as long as the program runs, and once.
        Some(path) => with(command, Box::leak(path.into_os_string().into_boxed_os_str())),
        None => command,
    }
}

fn with(command: Command, path: &'static OsStr) -> Command {
    command
        .mut_args(|argument| match argument.get_id() == "config" {
            true => argument.default_value(path).hide_default_value(true),
            false => argument,
        })
        .mut_subcommands(|command| with(command, path))
}

/// The file that `JEJU_CONFIG` names, whether it is there or not; else that of the user's folder, if it is there.
fn default_path() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(path) = set(FILE_VARIABLE) {
        return Some(path);
    }
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("jeju/config.toml")).filter(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let config = Config::read(Some(&path))?;
        if let Some(policy) = &config.policy {
            assert_eq!(policy, &dir.path().join("policy.toml"));
        }
        Ok(config)
    }

    #[test]
    fn a_configuration_says_what_it_likes() {
        assert_eq!(Config::read(None).unwrap(), Config::default());
        assert_eq!(read("").unwrap(), Config::default());
        let config = read(
            "rpc = [\"https://a\", \"https://b\", \"https://c\"]\npolicy = \"policy.toml\"\ncontracts = \"/d.json\"\n\
             gateways = [\"gateway.example\"]\nchain_id = 1\n",
        )
        .unwrap();
        assert_eq!(
            (config.rpc.len(), config.quorum(), config.chain_id),
            (3, 2, Some(1))
        );
        assert_eq!(config.contracts, Some("/d.json".into()));
        assert_eq!(config.gateways.len(), 1);
        assert_eq!(read("rpc = [\"https://a\"]\nquorum = 1").unwrap().quorum(), 1);
    }

    #[test]
    fn what_it_should_not_say_is_refused() {
        for text in [
            "unknown = 1",
            "rpc = \"https://a\"",
            "quorum = 2",
            "registry = \"0x12\"",
            "gateways = [\"http://gateway\"]",
            "= 1",
        ] {
            assert_eq!(read(text).unwrap_err().code(), "config_invalid", "{text}");
        }
        let none = Config::read(Some(Path::new("/nowhere/config.toml")));
        assert_eq!(none.unwrap_err().code(), "file_unreadable");
    }
}
