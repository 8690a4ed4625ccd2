//! `jeju deposit`.

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_contracts::ledger;
use jeju_wallet_auth::account::Account;
use serde_json::json;

use super::actor::OnChainActor;
use crate::deployment::Contract;
use crate::payment::PaymentError;
use crate::rental::amount::Amount;
use crate::rental::command::{Printed, transaction, transaction_json};
use crate::trust::address;

/// Options of `jeju deposit`.
#[derive(Debug, Clone, Args)]
pub struct DepositArguments {
    /// How much, as 0.05eth
    #[arg(value_name = "AMOUNT")]
    amount: Amount,
    /// Set it aside for this provider
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    provider: Option<HexBytes<20>>,
    /// Pay nothing in: set aside what is deposited already
    #[arg(long, requires = "provider", conflicts_with = "account_credited")]
    from_balance: bool,
    /// Deposit for another account, whose it is from then on
    #[arg(long = "for", value_name = "ADDRESS", value_parser = address, conflicts_with = "provider")]
    account_credited: Option<HexBytes<20>>,
    #[command(flatten)]
    pub(super) actor: OnChainActor,
}

pub(super) async fn run(arguments: &DepositArguments) -> Result<Printed, PaymentError> {
    let acting = arguments.actor.acting(Contract::LedgerManager).await?;
    let (sender, contract) = (acting.sender(), acting.contract.into());
    let amount = arguments.amount;
    let (mut lines, mut transactions) = (Vec::new(), Vec::new());
    let user = arguments
        .account_credited
        .map_or(acting.account, |user| Account(user.0));
    if !arguments.from_balance {
        let block = acting.block().await?;
        let reader = &acting.chain.reader;
        let before = reader.ledger_at(&block, &acting.contract, &user.0).await?;
        let receipt = match (arguments.account_credited, before.created_at) {
            (Some(user), _) => ledger::deposit_for(&sender, contract, user.0.into(), amount.0).await?,
            (None, 0) => ledger::create(&sender, contract, amount.0).await?,
            (None, _) => ledger::deposit(&sender, contract, amount.0).await?,
        };
        lines.push(format!("deposited   {amount} for {user}"));
        lines.push(format!("transaction {}", transaction(&receipt)));
        transactions.push(transaction_json(&receipt));
    }
    if let Some(provider) = arguments.provider {
        let set_aside = ledger::transfer_to_provider(&sender, contract, provider.0.into(), amount.0).await;
        let receipt = set_aside.map_err(|error| match arguments.from_balance {
            true => error.into(),
            // What is done is said, so that nobody pays in twice.
            false => PaymentError::Half {
                done: format!("{amount} is deposited"),
                again: "--from-balance",
                source: Box::new(error.into()),
            },
        })?;
        lines.push(format!("set aside   {amount} for {}", Account(provider.0)));
        lines.push(format!("transaction {}", transaction(&receipt)));
        transactions.push(transaction_json(&receipt));
    }
    let json = json!({
        "account": user.to_string(),
        "amountWei": amount.0.to_string(),
        "depositedWei": if arguments.from_balance { "0".to_owned() } else { amount.0.to_string() },
        "provider": arguments.provider.map(|provider| Account(provider.0).to_string()),
        "transactions": transactions,
    });
    Ok(Printed::report(lines, json))
}
