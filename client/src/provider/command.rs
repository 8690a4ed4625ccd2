//! `jeju provider`.

use clap::Subcommand;

use super::card::{self, CardArguments};
use super::key::KeyCommand;
use super::register::{self, OfferArguments, RegisterArguments};
use super::run::RunArguments;
use super::seed::{self, SeedArguments};
use super::service::ServiceCommand;
use super::settle::{self, SettleArguments};
use super::signer::SignerCommand;
use super::stake::StakeCommand;
use super::status::{self, StatusArguments};
use super::update::{self, AgentCommand, UpdateArguments};
use crate::payment::PaymentError;
use crate::rental::command::{Printed, WithdrawArguments, withdraw};

/// Serve models and rent out machines.
#[derive(Debug, Clone, Subcommand)]
pub enum ProviderCommand {
    /// Register the account as a provider, with stake
    Register(Box<RegisterArguments>),
    /// Change what the registration says
    Update(Box<UpdateArguments>),
    /// Show the registration, stake, services and earnings
    Status(Box<StatusArguments>),
    /// Add to the stake, or take it back
    #[command(subcommand)]
    Stake(StakeCommand),
    /// Offer models at a price
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Name who signs settlements
    #[command(subcommand)]
    Signer(SignerCommand),
    /// Register the key by which a node's enclave signs receipts
    #[command(subcommand)]
    Key(KeyCommand),
    /// Submit the vouchers that users gave the node, for as long as it runs
    Settle(Box<SettleArguments>),
    /// Write the registration of the agent, and the card by which agents find it
    Card(Box<CardArguments>),
    /// Make an agent, or move its registration
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Register the nodes that the first Jeju Compute names on Phala, Marlin and Oasis
    Seed(Box<SeedArguments>),
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
            ProviderCommand::Update(arguments) => arguments.actor.json,
            ProviderCommand::Status(arguments) => arguments.actor.json,
            ProviderCommand::Stake(command) => command.json(),
            ProviderCommand::Service(command) => command.json(),
            ProviderCommand::Signer(command) => command.json(),
            ProviderCommand::Key(command) => command.json(),
            ProviderCommand::Settle(arguments) => arguments.actor.json,
            ProviderCommand::Card(arguments) => arguments.json,
            ProviderCommand::Agent(command) => command.json(),
            ProviderCommand::Seed(arguments) => arguments.json,
            ProviderCommand::Offer(arguments) => arguments.actor.market.json,
            ProviderCommand::Run(arguments) => arguments.actor.market.json,
            ProviderCommand::Withdraw(arguments) => arguments.actor.market.json,
        }
    }

    /// Does it; [`ProviderCommand::Run`] and [`ProviderCommand::Settle`] until `stop` is ready.
    ///
    /// # Errors
    /// [`PaymentError`].
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<Printed, PaymentError> {
        match self {
            ProviderCommand::Register(arguments) => register::register(arguments).await,
            ProviderCommand::Update(arguments) => update::update(arguments).await,
            ProviderCommand::Status(arguments) => status::status(arguments).await,
            ProviderCommand::Stake(command) => command.run().await,
            ProviderCommand::Service(command) => command.run().await,
            ProviderCommand::Signer(command) => command.run().await,
            ProviderCommand::Key(command) => command.run().await,
            ProviderCommand::Settle(arguments) => settle::settle(arguments, stop).await,
            ProviderCommand::Card(arguments) => card::card(arguments),
            ProviderCommand::Agent(command) => command.run().await,
            ProviderCommand::Seed(arguments) => seed::seed(arguments).await,
            ProviderCommand::Offer(arguments) => Ok(register::offer(arguments).await?),
            ProviderCommand::Run(arguments) => Ok(super::run::run(arguments, stop).await?),
            ProviderCommand::Withdraw(arguments) => Ok(withdraw(arguments).await?),
        }
    }
}
