//! What the node answers. Times are milliseconds since 1970 by the chain's clock; hashes and addresses `0x` and digits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::message::{Form, Level};

/// `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// Workers that are deployed.
    pub workers: u64,
    /// Whether they outlive a restart: `sealed` or `volatile`.
    pub storage: String,
}

/// What every error answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For people.
    pub error: String,
    /// Stable.
    pub code: String,
    /// An exception's stack, for the worker's owner alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}

/// Done, and there is nothing more to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Success {
    /// True.
    pub success: bool,
}

/// Whether a worker answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It does.
    Active,
    /// It doesn't, until it is resumed.
    Paused,
}

/// `GET /api/v1/workers`: the caller's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerList {
    /// In the order in which they were deployed.
    pub workers: Vec<Listed>,
}

/// One of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Id.
    pub worker_id: String,
    /// Name.
    pub name: String,
    /// Whether it answers.
    pub status: Status,
    /// Path of the node that leads to it.
    pub endpoint: String,
    /// Version that answers.
    pub version: u32,
    /// Hash of its code.
    pub code_hash: String,
}

/// Answer of `POST` and `PUT`, and of a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// What is deployed now.
    pub deployment: Deployment,
}

/// The version of a worker that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// Id.
    pub worker_id: String,
    /// Id of this version of it.
    pub deployment_id: String,
    /// Counts from 1 and never back.
    pub version: u32,
    /// Hash of its code.
    pub code_hash: String,
    /// When the version came.
    pub deployed_at: u64,
    /// The owner's address.
    pub deployed_by: String,
    /// Whether it answers.
    pub status: Status,
    /// Path of the node that leads to it.
    pub endpoint: String,
}

/// `GET /api/v1/workers/{id}`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerDocument {
    /// The worker.
    pub worker: WorkerEntry,
    /// What it did since the node started.
    pub metrics: Metrics,
}

/// A worker with its code.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerEntry {
    /// How it runs.
    pub config: Config,
    /// What is deployed.
    pub deployment: Deployment,
}

/// What a worker's owner deployed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Name.
    pub name: String,
    /// The main module's source.
    pub code: String,
    /// What it is written in.
    pub runtime: String,
    /// The main module's name.
    pub entrypoint: String,
    /// All modules, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modules: Option<BTreeMap<String, String>>,
    /// Variables.
    pub env: BTreeMap<String, String>,
    /// Names of the secrets.
    pub secrets: Vec<String>,
    /// Routes under `/w`.
    pub routes: Vec<String>,
    /// Schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_schedule: Option<String>,
    /// Time for one event, in milliseconds.
    pub timeout_ms: u32,
    /// Time on a CPU for one event, in milliseconds.
    pub cpu_ms: u32,
    /// Memory of an isolate, in MiB.
    pub memory_limit_mb: u32,
    /// Events at a time.
    pub max_concurrent: u16,
    /// Form of the handlers.
    pub compatibility: Form,
    /// Where the code came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_url: Option<String>,
    /// The worker in the `WorkerRegistry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_id: Option<String>,
}

/// `GET /api/v1/workers/{id}/versions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Those that are kept, the newest first.
    pub versions: Vec<Version>,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Its number.
    pub version: u32,
    /// Hash of its code.
    pub code_hash: String,
    /// When it came.
    pub deployed_at: u64,
    /// Whether it is the one that answers.
    pub active: bool,
}

/// `GET /api/v1/workers/{id}/secrets`. Nobody reads a value back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// By name.
    pub secrets: Vec<SecretName>,
}

/// That there is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretName {
    /// Its name.
    pub name: String,
    /// When its value came.
    pub updated_at: u64,
}

/// `POST /api/v1/workers/{id}/invoke`. The HTTP status is the worker's too.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invoked {
    /// The worker's status.
    pub status: u16,
    /// Its reason phrase.
    pub status_text: String,
    /// Its header fields; several of one name are joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
    /// `base64` where the body is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_encoding: Option<String>,
    /// How it went.
    #[serde(rename = "_execution")]
    pub execution: Execution,
}

/// How an event went.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// Names it, also in the log.
    pub execution_id: String,
    /// From its start to its end.
    pub duration_ms: f64,
    /// Time on a CPU.
    pub cpu_ms: f64,
    /// Memory of the isolate at the end.
    pub memory_used_mb: f64,
    /// Whether an isolate was made for it.
    pub cold_start: bool,
    /// Version that ran.
    pub version: u32,
    /// Lines as `level text`; for the owner alone.
    pub logs: Vec<String>,
    /// What went wrong; an exception's message for the owner alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// An exception's stack; for the owner alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}

/// `GET /api/v1/workers/{id}/logs?since=&limit=`; with `follow=true` each entry is an event of a stream.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Logs {
    /// The oldest first.
    pub logs: Vec<LogEntry>,
    /// `since` of the next question.
    pub next: u64,
}

/// A line of a worker's log.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// Counts up for each worker, from 1, since the node started. A gap: lines that were thrown away.
    pub seq: u64,
    /// When.
    pub time: u64,
    /// How loud.
    pub level: Level,
    /// The text.
    pub text: String,
    /// Which event.
    pub execution_id: String,
    /// Which version.
    pub version: u32,
}

/// `GET /api/v1/workers/{id}/metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsDocument {
    /// The numbers.
    pub metrics: Metrics,
}

/// What a worker did since the node started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Id.
    pub worker_id: String,
    /// Requests.
    pub total_requests: u64,
    /// Those that failed.
    pub total_errors: u64,
    /// Mean time.
    pub avg_duration_ms: f64,
    /// Median of the last 1,024.
    pub p50_duration_ms: f64,
    /// 99th percentile of the last 1,024.
    pub p99_duration_ms: f64,
    /// Mean memory of the isolate at the end.
    pub avg_memory_mb: f64,
    /// Mean time on a CPU.
    pub avg_cpu_ms: f64,
    /// When the last one began.
    pub last_invoked: Option<u64>,
    /// Isolates that were made.
    pub cold_starts: u64,
    /// Cron triggers that ran.
    pub scheduled_runs: u64,
    /// Those that failed.
    pub scheduled_errors: u64,
}

/// `GET /api/v1/workers/{id}/cron`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cron {
    /// Schedule, if there is one.
    pub cron_schedule: Option<String>,
    /// The next minute that it names.
    pub next: Option<u64>,
    /// The last run since the node started.
    pub last: Option<CronRun>,
}

/// A run of a cron trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronRun {
    /// The minute that it was for.
    pub scheduled_time: u64,
    /// When it began.
    pub started_at: u64,
    /// Names it in the log.
    pub execution_id: String,
    /// What went wrong, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}
