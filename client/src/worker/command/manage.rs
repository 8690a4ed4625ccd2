//! `jeju worker list`, `get`, `metrics`, `versions`, `rollback`, `pause`, `resume`, `delete` and `cron`.

use clap::Args;
use http::Method;
use jeju_worker_protocol::api::{
    self, Cron, Deployed, Execution, Listed, MetricsDocument, Rollback, Success, Versions, WorkerDocument,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::WorkerError;
use super::super::node::{Asked, WorkersNode};
use super::{NodeArguments, shown};
use crate::rental::command::Printed;

/// Options of `jeju worker list`.
#[derive(Debug, Clone, Args)]
pub struct ListArguments {
    #[command(flatten)]
    pub(super) node: NodeArguments,
}

/// A worker, and its node.
#[derive(Debug, Clone, Args)]
pub struct WorkerArguments {
    /// The worker's name or id
    #[arg(value_name = "WORKER")]
    pub(super) worker: String,
    #[command(flatten)]
    pub(super) node: NodeArguments,
}

/// Options of `jeju worker rollback`.
#[derive(Debug, Clone, Args)]
pub struct RollbackArguments {
    #[command(flatten)]
    pub(super) worker: WorkerArguments,
    /// The version that is to answer [default: the one before the one that answers now]
    #[arg(long = "to", value_name = "VERSION", value_parser = clap::value_parser!(u32).range(1..))]
    version: Option<u32>,
}

/// Options of `jeju worker cron`.
#[derive(Debug, Clone, Args)]
pub struct CronArguments {
    #[command(flatten)]
    pub(super) worker: WorkerArguments,
    /// Run it now, whenever it is due
    #[arg(long)]
    run: bool,
}

/// What is done to a worker without anything to say about it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Pause,
    Resume,
    Delete,
}

impl WorkerArguments {
    /// The verified node, and the account's worker there.
    pub(super) async fn find(&self) -> Result<(WorkersNode, Listed), WorkerError> {
        let mut node = self.node.as_owner().await?;
        let worker = node.worker(&self.worker).await?;
        Ok((node, worker))
    }
}

pub(super) async fn list(arguments: &ListArguments) -> Result<Printed, WorkerError> {
    let mut node = arguments.node.as_owner().await?;
    let workers = node.workers().await?;
    let row = |worker: &Listed| {
        let status = shown::status(worker.status);
        format!(
            "{:<32} {status:<7} v{:<4} {}",
            worker.worker_id, worker.version, worker.name
        )
    };
    let lines = match workers.is_empty() {
        true => vec!["no workers".to_owned()],
        false => workers.iter().map(row).collect(),
    };
    Ok(Printed::report(lines, json!({ "workers": workers })))
}

pub(super) async fn get(arguments: &WorkerArguments) -> Result<Printed, WorkerError> {
    let (mut node, found) = arguments.find().await?;
    let path = api::worker_path(&found.worker_id, "");
    let document: WorkerDocument = node.document(&Asked::owner(Method::GET, path)).await?;
    let config = &document.worker.config;
    let mut lines = shown::deployment(&document.worker.deployment);
    lines.extend([
        shown::line("name", &config.name),
        shown::line("main", &config.entrypoint),
        shown::line("limits", &limits(config)),
    ]);
    lines.extend(config.routes.iter().map(|route| shown::line("route", route)));
    lines.extend(config.cron_schedule.iter().map(|cron| shown::line("cron", cron)));
    lines.extend(config.env.keys().map(|name| shown::line("variable", name)));
    lines.extend(config.secrets.iter().map(|name| shown::line("secret", name)));
    Ok(Printed::report(
        lines,
        serde_json::to_value(&document).unwrap_or_default(),
    ))
}

fn limits(config: &api::Config) -> String {
    format!(
        "{} ms, {} ms on a CPU, {} MiB, {} at a time",
        config.timeout_ms, config.cpu_ms, config.memory_limit_mb, config.max_concurrent
    )
}

pub(super) async fn metrics(arguments: &WorkerArguments) -> Result<Printed, WorkerError> {
    let (mut node, found) = arguments.find().await?;
    let path = api::worker_path(&found.worker_id, "metrics");
    let document: MetricsDocument = node.document(&Asked::owner(Method::GET, path)).await?;
    let json = json!({ "metrics": document.metrics });
    let object = json["metrics"].as_object();
    let line = |(name, value): (&String, &Value)| format!("{name:<18}{value}");
    let lines = object
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "workerId")
        .map(line)
        .collect();
    Ok(Printed::report(lines, json))
}

pub(super) async fn versions(arguments: &WorkerArguments) -> Result<Printed, WorkerError> {
    let (mut node, found) = arguments.find().await?;
    let versions = all_versions(&mut node, &found).await?;
    let row = |version: &api::Version| {
        let active = if version.active { "  answers" } else { "" };
        let time = shown::time(version.deployed_at);
        format!("v{:<4} {time}  {}{active}", version.version, version.code_hash)
    };
    let lines = versions.versions.iter().map(row).collect();
    Ok(Printed::report(lines, json!(versions)))
}

async fn all_versions(node: &mut WorkersNode, worker: &Listed) -> Result<Versions, WorkerError> {
    let path = api::worker_path(&worker.worker_id, "versions");
    node.document(&Asked::owner(Method::GET, path)).await
}

pub(super) async fn rollback(arguments: &RollbackArguments) -> Result<Printed, WorkerError> {
    let (mut node, found) = arguments.worker.find().await?;
    let version = match arguments.version {
        Some(version) => version,
        None => {
            let versions = all_versions(&mut node, &found).await?.versions;
            let earlier = versions
                .iter()
                .map(|version| version.version)
                .filter(|version| *version < found.version);
            earlier.max().ok_or(WorkerError::Usage(
                "there is no earlier version that the node still has",
            ))?
        }
    };
    let path = api::worker_path(&found.worker_id, "rollback");
    let asked = Asked::owner(Method::POST, path).with(&Rollback { version });
    let Deployed { deployment } = node.document(&asked).await?;
    Ok(Printed::report(
        shown::deployment(&deployment),
        json!({ "deployment": deployment }),
    ))
}

pub(super) async fn simple(arguments: &WorkerArguments, change: Change) -> Result<Printed, WorkerError> {
    let (mut node, found) = arguments.find().await?;
    let (method, below, done) = match change {
        Change::Pause => (Method::POST, "pause", "paused"),
        Change::Resume => (Method::POST, "resume", "active"),
        Change::Delete => (Method::DELETE, "", "deleted"),
    };
    let path = api::worker_path(&found.worker_id, below);
    let answer: Success = node.document(&Asked::owner(method, path)).await?;
    if !answer.success {
        return Err(node.malformed("neither done nor refused"));
    }
    let lines = vec![
        shown::line("worker", &found.worker_id),
        shown::line("status", done),
    ];
    Ok(Printed::report(
        lines,
        json!({ "workerId": found.worker_id, "status": done }),
    ))
}

/// What running a schedule at once answers.
#[derive(Deserialize)]
struct Ran {
    #[serde(rename = "_execution")]
    execution: Execution,
}

pub(super) async fn cron(arguments: &CronArguments) -> Result<Printed, WorkerError> {
    let (mut node, found) = arguments.worker.find().await?;
    let path = api::worker_path(&found.worker_id, "cron");
    if arguments.run {
        let Ran { execution } = node.document(&Asked::owner(Method::POST, path)).await?;
        let lines = super::invoke::execution(&execution);
        return Ok(Printed::report(lines, json!({ "_execution": execution })));
    }
    let cron: Cron = node.document(&Asked::owner(Method::GET, path)).await?;
    let mut lines = vec![shown::line(
        "cron",
        cron.cron_schedule.as_deref().unwrap_or("none"),
    )];
    lines.extend(cron.next.map(|next| shown::line("next", &shown::time(next))));
    if let Some(last) = &cron.last {
        let outcome = last.code.as_deref().unwrap_or("ok");
        lines.push(shown::line(
            "last",
            &format!("{} {outcome}", shown::time(last.scheduled_time)),
        ));
    }
    Ok(Printed::report(lines, json!(cron)))
}
