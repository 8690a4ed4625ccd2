//! `jeju provider signer`: who signs the provider's settlements. A node signs them with a key of its boot, so it is named again
//! after each boot.

use std::time::Duration;

use clap::{Args, Subcommand};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_contracts::serving;
use jeju_wallet_auth::account::Account;
use serde_json::json;

use super::update::Report;
use crate::deployment::Contract;
use crate::ledger::actor::OnChainActor;
use crate::node_url::NodeUrl;
use crate::payment::{Facts, PaymentError};
use crate::rental::command::Printed;
use crate::session::{Limits, Session};
use crate::trust::address;

/// Who signs the provider's settlements.
#[derive(Debug, Clone, Subcommand)]
pub enum SignerCommand {
    /// Name the key of a node's boot, or another account
    Set(Box<SetArguments>),
    /// Show who is named
    Show(Box<ShowArguments>),
}

/// Options of `jeju provider signer set`.
#[derive(Debug, Clone, Args)]
#[group(id = "signer", required = true, multiple = false, args = ["node", "address", "none"])]
pub struct SetArguments {
    /// The key that this node's evidence names, as https://host:port; the node is verified, and must be this provider's
    #[arg(long, value_name = "URL")]
    node: Option<NodeUrl>,
    /// This account
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    address: Option<HexBytes<20>>,
    /// The provider itself
    #[arg(long)]
    none: bool,
    #[command(flatten)]
    actor: OnChainActor,
}

/// Options of `jeju provider signer show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArguments {
    /// The provider [default: the account of the key]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    provider: Option<HexBytes<20>>,
    #[command(flatten)]
    actor: OnChainActor,
}

impl SignerCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            SignerCommand::Set(arguments) => arguments.actor.json,
            SignerCommand::Show(arguments) => arguments.actor.json,
        }
    }

    pub(super) async fn run(&self) -> Result<Printed, PaymentError> {
        match self {
            SignerCommand::Set(arguments) => set(arguments).await,
            SignerCommand::Show(arguments) => show(arguments).await,
        }
    }
}

async fn set(arguments: &SetArguments) -> Result<Printed, PaymentError> {
    let acting = arguments.actor.acting(Contract::InferenceServing).await?;
    let signer = match (&arguments.node, arguments.address) {
        (Some(url), _) => {
            let (session, facts) = verified(url, &arguments.actor).await?;
            check(
                &facts,
                acting.account,
                Account(acting.contract),
                acting.chain.chain_id,
            )?;
            Some(session.signer()?)
        }
        (None, address) => address.map(|address| Account(address.0)),
    };
    let named = signer.unwrap_or(acting.account);
    let block = acting.block().await?;
    let reader = &acting.chain.reader;
    let now = reader
        .settlement_signer_at(&block, &acting.contract, &acting.account.0)
        .await?;
    if now == named.0 {
        let lines = vec![format!(
            "signer      {named}: it was named before, and nothing was sent"
        )];
        let json = json!({ "provider": acting.account.to_string(), "signer": named.to_string(), "transactions": [] });
        return Ok(Printed::report(lines, json));
    }
    let to = signer.map(|signer| signer.0.into());
    let receipt = serving::set_signer(&acting.sender(), acting.contract.into(), to).await?;
    let mut report = Report::new(acting.account.to_string());
    report.done("signer", named.to_string(), &receipt);
    Ok(report.printed())
}

async fn show(arguments: &ShowArguments) -> Result<Printed, PaymentError> {
    let provider = arguments
        .actor
        .shown(arguments.provider.map(|provider| provider.0))?;
    let on_chain = &arguments.actor.on_chain;
    let contract = on_chain.contract(Contract::InferenceServing)?;
    let reader = on_chain.chain().await?.reader;
    let block = reader.newest_block().await?;
    let signer = Account(
        reader
            .settlement_signer_at(&block, &contract, &provider.0)
            .await?,
    );
    let lines = vec![format!("provider    {provider}"), format!("signer      {signer}")];
    let json = json!({ "provider": provider.to_string(), "signer": signer.to_string() });
    Ok(Printed::report(lines, json))
}

/// A session with a node that takes payments.
pub(super) async fn verified(url: &NodeUrl, actor: &OnChainActor) -> Result<(Session, Facts), PaymentError> {
    let party = actor
        .on_chain
        .trust
        .relying_party()
        .map_err(crate::rental::RentalError::from)?;
    let limits = Limits {
        response: Duration::from_secs(120),
        ..Limits::default()
    };
    let session = Session::connect(url, party, limits).await?;
    let facts = Facts::read(session.launch()).ok_or_else(|| PaymentError::NotPaid(url.to_string()))?;
    Ok((session, facts))
}

/// Whether a node is this provider's, on this chain, and paid through this contract.
pub(super) fn check(
    facts: &Facts,
    provider: Account,
    serving: Account,
    chain: u64,
) -> Result<(), PaymentError> {
    let other = |what, found: &dyn ToString, expected: &dyn ToString| {
        Err(PaymentError::Other {
            what,
            found: found.to_string(),
            expected: expected.to_string(),
        })
    };
    if facts.audience.chain_id != chain {
        return other("chain", &facts.audience.chain_id, &chain);
    }
    if facts.serving != serving {
        return other("contract", &facts.serving, &serving);
    }
    if facts.provider != provider {
        return other("provider", &facts.provider, &provider);
    }
    Ok(())
}
