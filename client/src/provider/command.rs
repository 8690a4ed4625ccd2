//! `jeju provider`.

use clap::Subcommand;

use super::register::{self, OfferArguments, RegisterArguments};
use super::run::RunArguments;
use crate::rental::RentalError;
use crate::rental::command::{Printed, WithdrawArguments, withdraw};

/// Rent out a machine.
#[derive(Debug, Clone, Subcommand)]
pub enum ProviderCommand {
    /// Register the account as a provider, with stake
    Register(Box<RegisterArguments>),
    /// Make or change the offer of rentals
    Offer(Box<OfferArguments>),
    /// Send what the node's rentals need, for as long as it runs
    Run(Box<RunArguments>),
    /// Fetch what rentals have earned
    Withdraw(Box<WithdrawArguments>),
}

impl ProviderCommand {
    /// Whether failures are to be printed as JSON too.
    pub fn json(&self) -> bool {
        match self {
            ProviderCommand::Register(arguments) => arguments.actor.market.json,
            ProviderCommand::Offer(arguments) => arguments.actor.market.json,
            ProviderCommand::Run(arguments) => arguments.actor.market.json,
            ProviderCommand::Withdraw(arguments) => arguments.actor.market.json,
        }
    }

    /// Does it; [`ProviderCommand::Run`] until `stop` is ready.
    ///
    /// # Errors
    /// [`RentalError`].
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<Printed, RentalError> {
        match self {
            ProviderCommand::Register(arguments) => register::register(arguments).await,
            ProviderCommand::Offer(arguments) => register::offer(arguments).await,
            ProviderCommand::Run(arguments) => super::run::run(arguments, stop).await,
            ProviderCommand::Withdraw(arguments) => withdraw(arguments).await,
        }
    }
}
