//! `jeju refund`.

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::SubAccount;
use jeju_contracts::ledger;
use jeju_wallet_auth::account::Account;
use serde_json::json;

use super::actor::{Acting, OnChainActor};
use crate::deployment::Contract;
use crate::payment::PaymentError;
use crate::rental::amount::Amount;
use crate::rental::command::change::with_transaction;
use crate::rental::command::{Printed, transaction};
use crate::trust::address;

/// Options of `jeju refund`.
#[derive(Debug, Clone, Args)]
pub struct RefundArguments {
    /// The provider for which it is set aside
    #[arg(value_name = "PROVIDER", value_parser = address)]
    provider: HexBytes<20>,
    /// How much, as 0.05eth [default: all that is set aside]
    #[arg(value_name = "AMOUNT", conflicts_with_all = ["complete", "cancel"])]
    amount: Option<Amount>,
    /// Make available what was asked for before, once its lock has run out
    #[arg(long, conflicts_with = "cancel")]
    complete: bool,
    /// Leave set aside what was asked for before
    #[arg(long)]
    cancel: bool,
    #[command(flatten)]
    pub(super) actor: OnChainActor,
}

pub(super) async fn run(arguments: &RefundArguments) -> Result<Printed, PaymentError> {
    let acting = arguments.actor.acting(Contract::LedgerManager).await?;
    let before = part(&acting, &arguments.provider).await?;
    let (sender, contract) = (acting.sender(), acting.contract.into());
    let provider = arguments.provider.0.into();
    let (done, amount, receipt) = match (arguments.complete, arguments.cancel) {
        (true, _) => {
            let receipt = ledger::complete_refund(&sender, contract, provider).await?;
            ("refunded", before.pending_refund, receipt)
        }
        (_, true) => {
            let receipt = ledger::cancel_refund(&sender, contract, provider).await?;
            ("cancelled", before.pending_refund, receipt)
        }
        (false, false) => {
            let amount = arguments.amount.map_or(before.balance, |amount| amount.0);
            if amount == 0 {
                return Err(PaymentError::Nothing(format!(
                    "{} has nothing set aside for {}",
                    acting.account,
                    Account(arguments.provider.0)
                )));
            }
            let receipt = ledger::request_refund(&sender, contract, provider, amount).await?;
            ("asked for", amount, receipt)
        }
    };
    let after = part(&acting, &arguments.provider).await?;
    let mut lines = vec![
        format!(
            "{done:<12}{} of what is set aside for {}",
            Amount(amount),
            Account(arguments.provider.0)
        ),
        format!("transaction {}", transaction(&receipt)),
    ];
    if after.pending_refund > 0 {
        lines.push(format!(
            "unlocks     {} (unix seconds); until then the provider may submit what was promised to it",
            after.refund_unlock
        ));
    }
    let json = json!({
        "account": acting.account.to_string(),
        "provider": Account(arguments.provider.0).to_string(),
        "done": done,
        "amountWei": amount.to_string(),
        "setAsideWei": after.balance.to_string(),
        "pendingWei": after.pending_refund.to_string(),
        "unlocks": after.refund_unlock,
    });
    Ok(Printed::report(lines, with_transaction(json, &receipt)))
}

async fn part(acting: &Acting, provider: &HexBytes<20>) -> Result<SubAccount, PaymentError> {
    let reader = &acting.chain.reader;
    let block = acting.block().await?;
    Ok(reader
        .sub_account_at(&block, &acting.contract, &acting.account.0, &provider.0)
        .await?)
}
