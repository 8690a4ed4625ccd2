//! `jeju worker`.

mod deploy;
mod init;
mod invoke;
mod logs;
mod manage;
mod secret;
mod shown;

use clap::{Args, Subcommand};

pub use deploy::ChangedArguments;
pub(super) use deploy::form;
pub(super) use shown::level;

use super::WorkerError;
use super::dev::{self, DevArguments};
use super::node::WorkersNode;
use crate::node_url::NodeUrl;
use crate::rental::command::Printed;
use crate::trust::TrustArguments;
use crate::wallet::{AccountArguments, AccountKeyError};

/// Code that a node runs inside its enclave.
#[derive(Debug, Clone, Subcommand)]
pub enum WorkerCommand {
    /// Begin a project from a template
    Init(init::InitArguments),
    /// Run a project on this machine, with the engine of the enclave, and again at each change
    Dev(Box<DevArguments>),
    /// Bring a project to a verified node: a new worker, or a new version of the one with its name
    Deploy(Box<deploy::DeployArguments>),
    /// List the account's workers
    List(Box<manage::ListArguments>),
    /// Show a worker
    Get(Box<manage::WorkerArguments>),
    /// Send a request to a worker, and show who is proved to have answered
    Invoke(Box<invoke::InvokeArguments>),
    /// Print a worker's log
    Logs(Box<logs::LogsArguments>),
    /// Print a worker's log as it is written
    Tail(Box<logs::TailArguments>),
    /// Show what a worker did since the node started
    Metrics(Box<manage::WorkerArguments>),
    /// List a worker's versions
    Versions(Box<manage::WorkerArguments>),
    /// Make an earlier version answer again
    Rollback(Box<manage::RollbackArguments>),
    /// Let a worker answer no more, until it is resumed
    Pause(Box<manage::WorkerArguments>),
    /// Let a paused worker answer again
    Resume(Box<manage::WorkerArguments>),
    /// Delete a worker with all its versions and secrets
    Delete(Box<manage::WorkerArguments>),
    /// Values that only the enclave reads
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Show when a worker's schedule is due, or run it now
    Cron(Box<manage::CronArguments>),
    /// The child process of `dev`
    #[command(hide = true)]
    Engine,
}

/// A node, and who asks.
#[derive(Debug, Clone, Args)]
pub struct NodeArguments {
    /// Node, as https://host:4020
    #[arg(long, value_name = "URL")]
    pub node: NodeUrl,
    /// What the user trusts.
    #[command(flatten)]
    pub trust: TrustArguments,
    /// Who asks.
    #[command(flatten)]
    pub account: AccountArguments,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl NodeArguments {
    /// Verifies the node; asked for an account, which there must be.
    async fn as_owner(&self) -> Result<WorkersNode, WorkerError> {
        let account = self.account.read()?;
        WorkersNode::connect(&self.node, self.trust.relying_party()?, Some(account)).await
    }

    /// Verifies the node; asked for an account where there is one.
    async fn as_anybody(&self) -> Result<WorkersNode, WorkerError> {
        let account = match self.account.read() {
            Ok(account) => Some(account),
            Err(AccountKeyError::Nothing) => None,
            Err(error) => return Err(error.into()),
        };
        WorkersNode::connect(&self.node, self.trust.relying_party()?, account).await
    }
}

impl WorkerCommand {
    /// Whether failures are to be printed as JSON too.
    pub fn json(&self) -> bool {
        match self {
            WorkerCommand::Init(arguments) => arguments.json,
            WorkerCommand::Dev(_) | WorkerCommand::Engine => false,
            WorkerCommand::Deploy(arguments) => arguments.node.json,
            WorkerCommand::List(arguments) => arguments.node.json,
            WorkerCommand::Invoke(arguments) => arguments.node.json,
            WorkerCommand::Logs(arguments) => arguments.worker.node.json,
            WorkerCommand::Tail(arguments) => arguments.worker.node.json,
            WorkerCommand::Rollback(arguments) => arguments.worker.node.json,
            WorkerCommand::Cron(arguments) => arguments.worker.node.json,
            WorkerCommand::Secret(command) => command.json(),
            WorkerCommand::Get(arguments)
            | WorkerCommand::Metrics(arguments)
            | WorkerCommand::Versions(arguments)
            | WorkerCommand::Pause(arguments)
            | WorkerCommand::Resume(arguments)
            | WorkerCommand::Delete(arguments) => arguments.node.json,
        }
    }

    /// Does it. What runs until it is stopped ends with `stop`.
    ///
    /// # Errors
    /// [`WorkerError`].
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<Printed, WorkerError> {
        match self {
            WorkerCommand::Init(arguments) => init::run(arguments),
            WorkerCommand::Dev(arguments) => arguments.run(stop).await.map(|()| nothing()),
            WorkerCommand::Deploy(arguments) => deploy::run(arguments).await,
            WorkerCommand::List(arguments) => manage::list(arguments).await,
            WorkerCommand::Get(arguments) => manage::get(arguments).await,
            WorkerCommand::Invoke(arguments) => invoke::run(arguments).await,
            WorkerCommand::Logs(arguments) => logs::logs(arguments).await,
            WorkerCommand::Tail(arguments) => tokio::select! {
                ended = logs::tail(arguments) => ended,
                () = stop => Ok(nothing()),
            },
            WorkerCommand::Metrics(arguments) => manage::metrics(arguments).await,
            WorkerCommand::Versions(arguments) => manage::versions(arguments).await,
            WorkerCommand::Rollback(arguments) => manage::rollback(arguments).await,
            WorkerCommand::Pause(arguments) => manage::simple(arguments, manage::Change::Pause).await,
            WorkerCommand::Resume(arguments) => manage::simple(arguments, manage::Change::Resume).await,
            WorkerCommand::Delete(arguments) => manage::simple(arguments, manage::Change::Delete).await,
            WorkerCommand::Secret(command) => command.run().await,
            WorkerCommand::Cron(arguments) => manage::cron(arguments).await,
            WorkerCommand::Engine => {
                let served = tokio::task::spawn_blocking(dev::serve).await;
                served.map_err(std::io::Error::other)??;
                Ok(nothing())
            }
        }
    }
}

/// For a command that has printed what there was.
fn nothing() -> Printed {
    Printed::Written
}
