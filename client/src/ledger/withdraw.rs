//! `jeju withdraw`.

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_contracts::ledger;
use serde_json::json;

use super::actor::OnChainActor;
use crate::deployment::Contract;
use crate::payment::PaymentError;
use crate::rental::amount::Amount;
use crate::rental::command::change::with_transaction;
use crate::rental::command::{Printed, transaction};
use crate::trust::address;

/// Options of `jeju withdraw`.
#[derive(Debug, Clone, Args)]
pub struct WithdrawArguments {
    /// How much, as 0.05eth [default: all that is available]
    #[arg(value_name = "AMOUNT", conflicts_with = "earned")]
    amount: Option<Amount>,
    /// What the account has earned as a provider, all of it, instead of what it deposited
    #[arg(long)]
    earned: bool,
    /// Account that is paid [default: the one that acts]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    to: Option<HexBytes<20>>,
    #[command(flatten)]
    pub(super) actor: OnChainActor,
}

pub(super) async fn run(arguments: &WithdrawArguments) -> Result<Printed, PaymentError> {
    let acting = arguments.actor.acting(Contract::LedgerManager).await?;
    let (reader, account) = (&acting.chain.reader, acting.account);
    let block = acting.block().await?;
    // What there is is told before, so that nothing is sent for nothing.
    let there = match arguments.earned {
        true => reader.owed_at(&block, &acting.contract, &account.0).await?,
        false => {
            let ledger = reader.ledger_at(&block, &acting.contract, &account.0).await?;
            ledger.available
        }
    };
    let amount = arguments.amount.unwrap_or(Amount(there));
    if amount.0 == 0 || amount.0 > there {
        return Err(PaymentError::Nothing(format!(
            "{account} has {} to withdraw",
            Amount(there)
        )));
    }
    let (sender, contract) = (acting.sender(), acting.contract.into());
    let to = arguments.to.map(|to| to.0.into());
    let receipt = match arguments.earned {
        true => ledger::withdraw_earned(&sender, contract, to).await?,
        false => ledger::withdraw(&sender, contract, to, amount.0).await?,
    };
    let to = arguments.to.map_or(account.to_string(), |to| to.to_string());
    let lines = vec![
        format!("withdrawn   {amount} to {to}"),
        format!("transaction {}", transaction(&receipt)),
    ];
    let json = json!({ "account": account.to_string(), "to": to, "withdrawnWei": amount.0.to_string() });
    Ok(Printed::report(lines, with_transaction(json, &receipt)))
}
