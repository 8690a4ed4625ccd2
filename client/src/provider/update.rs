//! `jeju provider update` and `agent`: what a registration says.

use clap::{Args, Subcommand};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_contracts::sender::Receipt;
use jeju_contracts::{agent, provider};
use serde_json::{Value, json};

use super::register::agent_id;
use crate::deployment::Contract;
use crate::ledger::actor::OnChainActor;
use crate::node_url::NodeUrl;
use crate::payment::PaymentError;
use crate::rental::RentalError;
use crate::rental::command::{Printed, transaction, transaction_json};
use crate::trust::address;

/// Options of `jeju provider update`.
#[derive(Debug, Clone, Args)]
pub struct UpdateArguments {
    /// Base URL of the API, as https://host:port
    #[arg(long, value_name = "URL")]
    endpoint: Option<NodeUrl>,
    /// Take work
    #[arg(long, conflicts_with = "inactive")]
    active: bool,
    /// Take no work any more
    #[arg(long)]
    inactive: bool,
    /// Link the provider to this agent of the account: its number, or 0x and 32 bytes
    #[arg(long, value_name = "ID", value_parser = agent_id)]
    agent: Option<[u8; 32]>,
    /// Answer for this attested key of the agent, for good, and show it to clients
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    attested_key: Option<HexBytes<20>>,
    #[command(flatten)]
    pub(super) actor: OnChainActor,
}

pub(super) async fn update(arguments: &UpdateArguments) -> Result<Printed, PaymentError> {
    let UpdateArguments {
        endpoint,
        active,
        inactive,
        agent,
        attested_key,
        actor,
    } = arguments;
    let is_nothing = endpoint.is_none() && agent.is_none() && attested_key.is_none();
    if is_nothing && !active && !inactive {
        return Err(RentalError::Usage(
            "say what is to change: --endpoint, --active, --inactive, --agent or --attested-key",
        )
        .into());
    }
    let acting = actor.acting(Contract::ComputeRegistry).await?;
    let (sender, registry) = (acting.sender(), acting.contract.into());
    let mut report = Report::new(acting.account.to_string());
    if let Some(endpoint) = endpoint {
        let text = endpoint.to_string();
        let receipt = provider::update_endpoint(&sender, registry, &text).await?;
        report.done("endpoint", text, &receipt);
    }
    if let Some(id) = agent {
        let receipt = provider::link_agent(&sender, registry, Some((*id).into())).await?;
        report.done("agent", HexBytes(*id).to_string(), &receipt);
    }
    if let Some(key) = attested_key {
        let receipt = provider::set_attested_key(&sender, registry, Some(key.0.into())).await?;
        report.done("attestedKey", key.to_string(), &receipt);
    }
    if *active || *inactive {
        let receipt = provider::set_active(&sender, registry, *active).await?;
        report.done("active", active.to_string(), &receipt);
    }
    Ok(report.printed())
}

/// The account's agents (ERC-8004).
#[derive(Debug, Clone, Subcommand)]
pub enum AgentCommand {
    /// Make an agent whose registration is at a URL, as `jeju provider card` writes it
    Register(Box<UriArguments>),
    /// Move the registration of an agent
    SetUri(Box<SetUriArguments>),
}

/// Options of `jeju provider agent register`.
#[derive(Debug, Clone, Args)]
pub struct UriArguments {
    /// URL of the registration (https, ipfs, or data: with the file itself)
    #[arg(long, value_name = "URL")]
    uri: String,
    #[command(flatten)]
    actor: OnChainActor,
}

/// Options of `jeju provider agent set-uri`.
#[derive(Debug, Clone, Args)]
pub struct SetUriArguments {
    /// The agent: its number, or 0x and 32 bytes
    #[arg(value_name = "ID", value_parser = agent_id)]
    agent: [u8; 32],
    #[command(flatten)]
    uri: UriArguments,
}

impl AgentCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            AgentCommand::Register(arguments) => arguments.actor.json,
            AgentCommand::SetUri(arguments) => arguments.uri.actor.json,
        }
    }

    pub(super) async fn run(&self) -> Result<Printed, PaymentError> {
        let arguments = match self {
            AgentCommand::Register(arguments) => arguments.as_ref(),
            AgentCommand::SetUri(arguments) => &arguments.uri,
        };
        let acting = arguments.actor.acting(Contract::IdentityRegistry).await?;
        let (sender, identities) = (acting.sender(), acting.contract.into());
        let mut report = Report::new(acting.account.to_string());
        let (id, receipt) = match self {
            AgentCommand::Register(_) => agent::register(&sender, identities, &arguments.uri, &[]).await?,
            AgentCommand::SetUri(of) => {
                let id = of.agent.into();
                (id, agent::set_uri(&sender, identities, id, &arguments.uri).await?)
            }
        };
        report.done("agent", id.to_string(), &receipt);
        Ok(report.printed())
    }
}

/// What was done, one line for each transaction.
pub(super) struct Report {
    lines: Vec<String>,
    json: Value,
    transactions: Vec<Value>,
}

impl Report {
    pub(super) fn new(account: String) -> Self {
        Self {
            lines: vec![format!("provider    {account}")],
            json: json!({ "provider": account }),
            transactions: Vec::new(),
        }
    }

    pub(super) fn done(&mut self, what: &str, value: String, receipt: &Receipt) {
        self.lines.push(format!("{what:<12}{value}"));
        self.lines.push(format!("transaction {}", transaction(receipt)));
        self.json[what] = value.into();
        self.transactions.push(transaction_json(receipt));
    }

    pub(super) fn printed(mut self) -> Printed {
        self.json["transactions"] = self.transactions.into();
        Printed::report(self.lines, self.json)
    }
}
