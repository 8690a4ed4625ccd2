//! `jeju provider status`.

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::account::Account;
use serde_json::json;

use super::service::{service_json, service_line};
use crate::deployment::Contract;
use crate::ledger::actor::OnChainActor;
use crate::payment::PaymentError;
use crate::rental::amount::Amount;
use crate::rental::command::Printed;
use crate::trust::address;

/// Options of `jeju provider status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArguments {
    /// The provider [default: the account of the key]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    provider: Option<HexBytes<20>>,
    #[command(flatten)]
    pub(super) actor: OnChainActor,
}

pub(super) async fn status(arguments: &StatusArguments) -> Result<Printed, PaymentError> {
    let account = arguments
        .actor
        .shown(arguments.provider.map(|provider| provider.0))?;
    let on_chain = &arguments.actor.on_chain;
    let registry = on_chain.contract(Contract::ComputeRegistry)?;
    let (ledger, serving) = (
        on_chain.find(Contract::LedgerManager)?,
        on_chain.find(Contract::InferenceServing)?,
    );
    let reader = on_chain.chain().await?.reader;
    let block = reader.newest_block().await?;
    let record = reader.provider_at(&block, &registry, &account.0).await?;
    let Some(record) = record else {
        return Err(PaymentError::Nothing(format!("{account} is no provider")));
    };
    let leaving = reader.leaving_stake_at(&block, &registry, &account.0).await?;
    let free = reader
        .withdrawable_stake_at(&block, &registry, &account.0)
        .await?;
    let least = reader.least_provider_stake_at(&block, &registry).await?;
    let shown = reader.shown_key_at(&block, &registry, &account.0).await?;
    let agent = (record.agent != [0; 32]).then_some(HexBytes(record.agent));
    let key = shown.key.map(|key| Account(key).to_string());
    let mut lines = vec![
        format!("provider    {account}: {}", record.name),
        format!("endpoint    {}", record.endpoint),
        format!("active      {}", if record.active { "yes" } else { "no" }),
        format!(
            "stake       {} (an active provider has {} at least)",
            Amount(record.stake),
            Amount(least)
        ),
    ];
    if leaving.amount > 0 {
        let at = leaving.free_at;
        lines.push(format!(
            "unbinding   {}, free from {at} on (unix seconds)",
            Amount(leaving.amount)
        ));
    }
    if free > 0 {
        lines.push(format!("withdrawable {}", Amount(free)));
    }
    lines.push(match &agent {
        Some(agent) => format!("agent       {agent}"),
        None => "agent       none".to_owned(),
    });
    if let Some(key) = &key {
        let state = if shown.live { "" } else { " (not live)" };
        lines.push(format!("attested    {key}{state}"));
    }
    let mut json = json!({
        "provider": account.to_string(),
        "name": record.name.to_string(),
        "endpoint": record.endpoint.to_string(),
        "active": record.active,
        "stakeWei": record.stake.to_string(),
        "leastStakeWei": least.to_string(),
        "unbindingWei": leaving.amount.to_string(),
        "withdrawableWei": free.to_string(),
        "agent": agent,
        "attestedKey": key,
        "block": block.number,
    });
    if let Some(serving) = serving {
        let services = reader.services_at(&block, &serving, &account.0).await?;
        let signer = Account(reader.settlement_signer_at(&block, &serving, &account.0).await?);
        let active: Vec<_> = services.iter().filter(|service| service.active).collect();
        lines.push(format!("signer      {signer}"));
        lines.extend(active.iter().map(|service| service_line(service)));
        json["signer"] = signer.to_string().into();
        json["services"] = active.iter().map(|service| service_json(service)).collect();
    }
    if let Some(ledger) = ledger {
        let earned = reader.owed_at(&block, &ledger, &account.0).await?;
        lines.push(format!(
            "earned      {} to be withdrawn: jeju withdraw --earned",
            Amount(earned)
        ));
        json["earnedWei"] = earned.to_string().into();
    }
    Ok(Printed::report(lines, json))
}
