//! Documents of the HTTP API on 4020 (`docs/wire-formats.md`, "Workers"), for node and client alike. Their names are those
//! of the first nodes, and new ones beside them.
//!
//! | module | what it holds |
//! |---|---|
//! | `deploy` | what an owner sends: code, and how it runs |
//! | `answer` | what the node answers |
//! | `secret` | how a secret's value travels |
//!
//! What holds code, variables or log lines has no Debug.

mod answer;
mod deploy;
mod secret;

pub use answer::{
    Config, Cron, CronRun, Deployed, Deployment, ErrorBody, Execution, Health, Invoked, Listed, LogEntry,
    Logs, Metrics, MetricsDocument, SecretName, Secrets, Status, Success, Version, Versions, WorkerDocument,
    WorkerEntry, WorkerList,
};
pub use deploy::{
    Deploy, DeployError, MAX_ENV, MAX_NAME, MAX_ROUTE, MAX_ROUTES, MAX_SECRETS, MAX_VALUE, is_variable,
};
pub use secret::{MAX_SEALED, SealedSecret, secret_aad, secret_info};

use serde::{Deserialize, Serialize};

/// Where workers are.
pub const WORKERS: &str = "/api/v1/workers";
/// Where requests go to the routes of workers.
pub const ROUTES: &str = "/w";
/// Where requests go to one worker, by its id.
pub const DIRECT: &str = "/workers";

/// `POST /api/v1/workers/{id}/rollback`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The version that answers from now on.
    pub version: u32,
}

/// Path of a worker, or of something below it: `worker_path(id, "logs")`; `""` for the worker itself.
pub fn worker_path(id: &str, below: &str) -> String {
    match below {
        "" => format!("{WORKERS}/{id}"),
        below => format!("{WORKERS}/{id}/{below}"),
    }
}

/// `0x` and lower-case digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
        }
    }
    text
}

/// The inverse of [`hex`], for exactly `N` bytes; upper-case digits are taken too.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
