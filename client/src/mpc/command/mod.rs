//! `jeju mpc`.

mod configure;
mod keygen;
mod payload;
mod rules;
mod sign;
mod verify;

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{MpcClient, MpcError};
use crate::dev::signers::LocalArguments;
use crate::node_url::NodeUrl;
use crate::trust::TrustArguments;
use crate::wallet::AccountArguments;

/// Keys that no machine holds: made, used and checked with a network of signers.
#[derive(Debug, Clone, Subcommand)]
pub enum MpcCommand {
    /// Make a key, or find it made
    Keygen(keygen::KeygenArguments),
    /// Have something signed
    Sign(sign::SignArguments),
    /// Check a signature, without a network
    Verify(verify::VerifyArguments),
    /// Ask each member how it is
    Status(StatusArguments),
    /// Give all shares of a key new values
    Refresh(sign::RefreshArguments),
    /// Put another policy in force for a key
    Policy(sign::PolicyArguments),
    /// Show where a key's wallet contract is, and how to deploy it
    Wallet(verify::WalletArguments),
    /// Pass places of the network to other nodes
    #[command(subcommand)]
    Configure(configure::ConfigureCommand),
    /// Run a network on this machine, with simulated silicon
    Local(LocalArguments),
}

/// The network, and what the user trusts.
#[derive(Debug, Clone, Args)]
pub struct NetworkArguments {
    /// A member, as https://host:port (may be given several times; the others are found)
    #[arg(long = "node", value_name = "URL", required = true)]
    pub nodes: Vec<NodeUrl>,
    /// What the user trusts.
    #[command(flatten)]
    pub trust: TrustArguments,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// The same for what an account has a right to.
#[derive(Debug, Clone, Args)]
pub struct RequestArguments {
    /// The network.
    #[command(flatten)]
    pub network: NetworkArguments,
    /// The account.
    #[command(flatten)]
    pub account: AccountArguments,
}

/// Options of `jeju mpc status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArguments {
    #[command(flatten)]
    network: NetworkArguments,
}

/// What a command prints.
#[derive(Debug)]
pub struct Printed {
    /// For people.
    pub lines: Vec<String>,
    /// For programs.
    pub json: Value,
}

impl MpcCommand {
    /// Whether failures are to be printed as JSON too.
    pub fn json(&self) -> bool {
        match self {
            MpcCommand::Keygen(arguments) => arguments.request.network.json,
            MpcCommand::Sign(arguments) => arguments.request.network.json,
            MpcCommand::Verify(arguments) => arguments.json,
            MpcCommand::Status(arguments) => arguments.network.json,
            MpcCommand::Refresh(arguments) => arguments.request.network.json,
            MpcCommand::Policy(arguments) => arguments.request.network.json,
            MpcCommand::Wallet(arguments) => arguments.json,
            MpcCommand::Configure(command) => command.json(),
            MpcCommand::Local(_) => false,
        }
    }

    /// Does it; all but [`MpcCommand::Local`], which prints for itself and is [`crate::dev::signers::run`]'s.
    ///
    /// # Errors
    /// [`MpcError`].
    pub async fn run(&self) -> Result<Printed, MpcError> {
        match self {
            MpcCommand::Keygen(arguments) => keygen::run(arguments).await,
            MpcCommand::Sign(arguments) => sign::run(arguments).await,
            MpcCommand::Verify(arguments) => verify::run(arguments),
            MpcCommand::Status(arguments) => status(arguments).await,
            MpcCommand::Refresh(arguments) => sign::refresh(arguments).await,
            MpcCommand::Policy(arguments) => sign::policy(arguments).await,
            MpcCommand::Wallet(arguments) => verify::wallet(arguments),
            MpcCommand::Configure(command) => command.run().await,
            MpcCommand::Local(_) => Ok(Printed {
                lines: Vec::new(),
                json: Value::Null,
            }),
        }
    }
}

impl NetworkArguments {
    fn client(&self) -> Result<MpcClient, MpcError> {
        let party = self.trust.relying_party()?;
        MpcClient::new(&self.nodes, Arc::clone(&party))
    }
}

/// What each member says. A network of which nobody answers is an error.
async fn status(arguments: &StatusArguments) -> Result<Printed, MpcError> {
    let mut client = arguments.network.client()?;
    let facts = client.network().await?;
    let mut lines = vec![format!(
        "network {} ({}): {} of {} members sign together, chain {}",
        facts.name,
        super::answer::hex(&facts.genesis),
        facts.threshold,
        facts.members,
        facts.chain_id
    )];
    let mut nodes = Vec::new();
    for (url, answer) in client.status().await {
        match answer {
            Ok(answer) => {
                lines.push(format!("{url}: {}", one_line(&answer.body)));
                let mut body = answer.body;
                body["url"] = json!(url.to_string());
                nodes.push(body);
            }
            Err(error) => {
                lines.push(format!("{url}: {error} ({})", error.code()));
                nodes.push(
                    json!({ "url": url.to_string(), "error": error.to_string(), "code": error.code() }),
                );
            }
        }
    }
    let json = json!({
        "network": super::answer::hex(&facts.genesis),
        "networkId": facts.name,
        "chainId": facts.chain_id,
        "threshold": facts.threshold,
        "totalShares": facts.members,
        "nodes": nodes,
    });
    Ok(Printed { lines, json })
}

/// A flat object as `name value, name value`.
fn one_line(value: &Value) -> String {
    let Some(object) = value.as_object() else {
        return value.to_string();
    };
    let shown = object.iter().map(|(name, value)| match value.as_str() {
        Some(text) => format!(
            "{name} {}",
            text.chars()
                .filter(|c| !c.is_control())
                .take(100)
                .collect::<String>()
        ),
        None => format!("{name} {value}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}
