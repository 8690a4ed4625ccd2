//! `jeju worker logs` and `tail`.

use std::io::Write;

use clap::Args;
use http::Method;
use jeju_attestation::response::EndReason;
use jeju_worker_protocol::api::{self, LogEntry, Logs};
use serde_json::json;

use super::super::WorkerError;
use super::super::events::Events;
use super::super::node::{Asked, node_error};
use super::manage::WorkerArguments;
use super::shown;
use crate::rental::command::Printed;
use crate::session::VerifiedBody;

/// Options of `jeju worker logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArguments {
    #[command(flatten)]
    pub(super) worker: WorkerArguments,
    /// Only what came after the line with this number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    since: u64,
    /// How many lines at most
    #[arg(long, value_name = "LINES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Options of `jeju worker tail`.
#[derive(Debug, Clone, Args)]
pub struct TailArguments {
    #[command(flatten)]
    pub(super) worker: WorkerArguments,
    /// Begin after the line with this number, instead of with what comes from now on
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
}

pub(super) async fn logs(arguments: &LogsArguments) -> Result<Printed, WorkerError> {
    let (mut node, found) = arguments.worker.find().await?;
    let query = format!("logs?since={}&limit={}", arguments.since, arguments.limit);
    let path = api::worker_path(&found.worker_id, &query);
    let logs: Logs = node.document(&Asked::owner(Method::GET, path)).await?;
    let lines = logs.logs.iter().map(shown::entry).collect();
    Ok(Printed::report(lines, json!(logs)))
}

/// Prints lines as they come, until the node ends the log: which is an error, since nobody asked for an end.
pub(super) async fn tail(arguments: &TailArguments) -> Result<Printed, WorkerError> {
    let (mut node, found) = arguments.worker.find().await?;
    let since = arguments
        .since
        .map_or_else(String::new, |since| format!("&since={since}"));
    let path = api::worker_path(&found.worker_id, &format!("logs?follow=true{since}"));
    let response = node.ask(&Asked::owner(Method::GET, path)).await?;
    let mut stream = match response.body {
        VerifiedBody::Stream(stream) if response.worker.is_none() => stream,
        VerifiedBody::Whole(body) if !response.status.is_success() => {
            return Err(node.refused(response.status, &body));
        }
        _ => return Err(node.malformed("no stream of the node's")),
    };
    let mut events = Events::default();
    while let Some(bytes) = stream
        .next()
        .await
        .map_err(|source| node_error(node.url(), source.into()))?
    {
        for data in events.push(&bytes) {
            if data == "[DONE]" {
                continue;
            }
            let entry: LogEntry = serde_json::from_str(&data)
                .map_err(|_| node.malformed("an event that is no line of a log"))?;
            let text = match arguments.worker.node.json {
                true => json!(entry).to_string(),
                false => shown::entry(&entry),
            };
            let mut output = std::io::stdout().lock();
            writeln!(output, "{text}")?;
            output.flush()?;
        }
    }
    Err(WorkerError::LogEnded {
        node: node.url().to_string(),
        why: stream.end().map_or("unknown", EndReason::name),
    })
}
