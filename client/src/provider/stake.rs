//! `jeju provider stake`: what stands for a provider in `ComputeRegistry`.

use clap::{Args, Subcommand};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_contracts::provider;

use super::update::Report;
use crate::deployment::Contract;
use crate::ledger::actor::OnChainActor;
use crate::payment::PaymentError;
use crate::rental::amount::Amount;
use crate::rental::command::Printed;
use crate::trust::address;

/// The provider's stake.
#[derive(Debug, Clone, Subcommand)]
pub enum StakeCommand {
    /// Add to it
    Add(Box<StakeArguments>),
    /// Start its way back: it can still be taken until it is unbound
    Remove(Box<StakeArguments>),
    /// Fetch what is unbound
    Withdraw(Box<FetchArguments>),
}

/// Options of `jeju provider stake add` and `remove`.
#[derive(Debug, Clone, Args)]
pub struct StakeArguments {
    /// How much, as 0.05eth
    #[arg(value_name = "AMOUNT")]
    amount: Amount,
    #[command(flatten)]
    actor: OnChainActor,
}

/// Options of `jeju provider stake withdraw`.
#[derive(Debug, Clone, Args)]
pub struct FetchArguments {
    /// Account that is paid [default: the provider's]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    to: Option<HexBytes<20>>,
    #[command(flatten)]
    actor: OnChainActor,
}

impl StakeCommand {
    fn actor(&self) -> &OnChainActor {
        match self {
            StakeCommand::Add(arguments) | StakeCommand::Remove(arguments) => &arguments.actor,
            StakeCommand::Withdraw(arguments) => &arguments.actor,
        }
    }

    pub(super) fn json(&self) -> bool {
        self.actor().json
    }

    pub(super) async fn run(&self) -> Result<Printed, PaymentError> {
        let acting = self.actor().acting(Contract::ComputeRegistry).await?;
        let (sender, registry) = (acting.sender(), acting.contract.into());
        let mut report = Report::new(acting.account.to_string());
        match self {
            StakeCommand::Add(arguments) => {
                let receipt = provider::add_stake(&sender, registry, arguments.amount.0).await?;
                report.done("added", arguments.amount.to_string(), &receipt);
            }
            StakeCommand::Remove(arguments) => {
                let receipt = provider::withdraw_stake(&sender, registry, arguments.amount.0).await?;
                report.done("unbinding", arguments.amount.to_string(), &receipt);
            }
            StakeCommand::Withdraw(arguments) => {
                let block = acting.block().await?;
                let (reader, account) = (&acting.chain.reader, &acting.account.0);
                let free = reader
                    .withdrawable_stake_at(&block, &acting.contract, account)
                    .await?;
                if free == 0 {
                    return Err(PaymentError::Nothing(format!(
                        "{} has no stake that is unbound",
                        acting.account
                    )));
                }
                let to = arguments.to.map(|to| to.0.into());
                let receipt = provider::withdraw(&sender, registry, to).await?;
                report.done("withdrawn", Amount(free).to_string(), &receipt);
            }
        }
        Ok(report.printed())
    }
}
