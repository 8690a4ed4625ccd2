//! `jeju deposit`, `withdraw`, `refund` and `ledger`.

use clap::Subcommand;

use super::deposit::{self, DepositArguments};
use super::refund::{self, RefundArguments};
use super::show::{self, LedgerArguments};
use super::withdraw::{self, WithdrawArguments};
use crate::payment::PaymentError;
use crate::rental::command::Printed;

/// What is done with the account's money.
#[derive(Debug, Clone, Subcommand)]
pub enum LedgerCommand {
    /// Deposit money to pay providers with
    Deposit(Box<DepositArguments>),
    /// Withdraw what isn't set aside, or what was earned
    Withdraw(Box<WithdrawArguments>),
    /// Take back what is set aside for a provider
    Refund(Box<RefundArguments>),
    /// Show deposits, what is set aside, and what vouchers have paid
    Ledger(Box<LedgerArguments>),
}

impl LedgerCommand {
    /// Whether failures are to be printed as JSON too.
    pub fn json(&self) -> bool {
        match self {
            LedgerCommand::Deposit(arguments) => arguments.actor.json,
            LedgerCommand::Withdraw(arguments) => arguments.actor.json,
            LedgerCommand::Refund(arguments) => arguments.actor.json,
            LedgerCommand::Ledger(arguments) => arguments.actor.json,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// [`PaymentError`].
    pub async fn run(&self) -> Result<Printed, PaymentError> {
        match self {
            LedgerCommand::Deposit(arguments) => deposit::run(arguments).await,
            LedgerCommand::Withdraw(arguments) => withdraw::run(arguments).await,
            LedgerCommand::Refund(arguments) => refund::run(arguments).await,
            LedgerCommand::Ledger(arguments) => show::run(arguments).await,
        }
    }
}
