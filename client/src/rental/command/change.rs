//! `jeju rental extend`, `end`, `cancel`, `expire` and `withdraw`: transactions about what is there.

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_contracts::rental;
use jeju_contracts::sender::Receipt;
use serde_json::{Value, json};

use super::super::amount::Amount;
use super::super::market::sending_key;
use super::super::{Market, RentalError};
use super::{ActorArguments, Printed, rental_id, transaction, transaction_json};
use crate::trust::address;

/// Options of `jeju rental extend`.
#[derive(Debug, Clone, Args)]
pub struct ExtendArguments {
    /// The rental
    #[arg(value_name = "RENTAL", value_parser = rental_id)]
    rental: HexBytes<32>,
    /// How many hours more
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=720))]
    hours: u64,
    #[command(flatten)]
    pub(super) actor: ActorArguments,
}

/// Options of `jeju rental end`, `cancel` and `expire`.
#[derive(Debug, Clone, Args)]
pub struct ChangeArguments {
    /// The rental
    #[arg(value_name = "RENTAL", value_parser = rental_id)]
    rental: HexBytes<32>,
    #[command(flatten)]
    pub(super) actor: ActorArguments,
}

/// Options of `jeju rental withdraw`, and of a provider's.
#[derive(Debug, Clone, Args)]
pub struct WithdrawArguments {
    /// Account that is paid [default: the one that is owed]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    to: Option<HexBytes<20>>,
    /// The chain, and the account that is owed.
    #[command(flatten)]
    pub actor: ActorArguments,
}

/// What is done to a rental.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    End,
    Cancel,
    Expire,
}

pub(super) async fn extend(arguments: &ExtendArguments) -> Result<Printed, RentalError> {
    let key = sending_key(&arguments.actor.account.read()?)?;
    let market = arguments.actor.market.market().await?;
    let block = market.block().await?;
    let record = market.rental(&block, arguments.rental).await?;
    let hours = arguments.hours;
    let cost = record
        .rate
        .checked_mul(hours.into())
        .map(Amount)
        .ok_or(RentalError::Usage(
            "the price of so many hours is beyond all money",
        ))?;
    let sender = market.sender(&key);
    let id = arguments.rental.0.into();
    let receipt = rental::extend(&sender, market.contract.into(), id, hours, cost.0).await?;
    let lines = vec![
        format!("extended    {} by {hours} h", arguments.rental),
        format!("cost        {cost}"),
        format!("transaction {}", transaction(&receipt)),
    ];
    let json =
        json!({ "rentalId": arguments.rental, "additionalHours": hours, "costWei": cost.0.to_string() });
    Ok(Printed::report(lines, with_transaction(json, &receipt)))
}

pub(super) async fn change(arguments: &ChangeArguments, change: Change) -> Result<Printed, RentalError> {
    let key = sending_key(&arguments.actor.account.read()?)?;
    let market = arguments.actor.market.market().await?;
    let block = market.block().await?;
    // An id that was mistyped has a clearer name here than in the contract.
    market.rental(&block, arguments.rental).await?;
    let (sender, contract, id) = (
        market.sender(&key),
        market.contract.into(),
        arguments.rental.0.into(),
    );
    let (done, receipt) = match change {
        Change::End => ("ended", rental::complete(&sender, contract, id).await?),
        Change::Cancel => ("cancelled", rental::cancel(&sender, contract, id).await?),
        Change::Expire => ("expired", rental::expire(&sender, contract, id).await?),
    };
    let owed = owed(&market, sender.account().into_array()).await?;
    let lines = vec![
        format!("{done:<12}{}", arguments.rental),
        format!("transaction {}", transaction(&receipt)),
        format!("credited    {owed} to be withdrawn by {}", sender.account()),
    ];
    let json = json!({ "rentalId": arguments.rental, "done": done, "owedWei": owed.0.to_string() });
    Ok(Printed::report(lines, with_transaction(json, &receipt)))
}

/// Pays out what the contract owes the account. What there is to pay is told before, so that nothing is sent for nothing.
pub(crate) async fn withdraw(arguments: &WithdrawArguments) -> Result<Printed, RentalError> {
    let key = sending_key(&arguments.actor.account.read()?)?;
    let market = arguments.actor.market.market().await?;
    let sender = market.sender(&key);
    let account = sender.account();
    let owed = owed(&market, account.into_array()).await?;
    let to = arguments.to.map_or(account, |to| to.0.into());
    if owed == Amount(0) {
        let lines = vec![format!("withdrawn   nothing: {account} is owed nothing")];
        let json = json!({ "account": account.to_string(), "withdrawnWei": "0", "transaction": Value::Null });
        return Ok(Printed::report(lines, json));
    }
    let receipt = rental::withdraw(&sender, market.contract.into(), arguments.to.map(|_| to)).await?;
    let lines = vec![
        format!("withdrawn   {owed} to {to}"),
        format!("transaction {}", transaction(&receipt)),
    ];
    let json =
        json!({ "account": account.to_string(), "to": to.to_string(), "withdrawnWei": owed.0.to_string() });
    Ok(Printed::report(lines, with_transaction(json, &receipt)))
}

async fn owed(market: &Market, account: [u8; 20]) -> Result<Amount, RentalError> {
    let block = market.block().await?;
    let owed = market.reader.owed_at(&block, &market.contract, &account).await?;
    Ok(Amount(owed))
}

/// A report's object with the transaction's members.
pub(crate) fn with_transaction(mut json: Value, receipt: &Receipt) -> Value {
    if let (Some(json), Value::Object(more)) = (json.as_object_mut(), transaction_json(receipt)) {
        json.extend(more);
    }
    json
}
