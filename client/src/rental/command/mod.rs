//! `jeju rental`.

pub(crate) mod change;
mod create;
mod dispute;
mod in_container;
mod show;

use std::io::{self, IsTerminal, Write};

use clap::{Args, Subcommand};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_contracts::sender::Receipt;
use serde_json::{Value, json};

use super::RentalError;
use super::market::MarketArguments;
use crate::wallet::AccountArguments;

pub use change::WithdrawArguments;
pub(crate) use change::withdraw;

/// Machines by the hour, paid on chain.
#[derive(Debug, Clone, Subcommand)]
pub enum RentalCommand {
    /// Rent a provider's machine and pay for it
    Create(Box<create::CreateArguments>),
    /// List an account's or a provider's rentals
    List(Box<show::ListArguments>),
    /// Show a rental, as the chain and the node know it
    Show(Box<show::ShowArguments>),
    /// Wait until a rental is started, or over
    Wait(Box<show::WaitArguments>),
    /// Add hours to an active rental
    Extend(Box<change::ExtendArguments>),
    /// End an active rental; what isn't used is credited to the user
    End(Box<change::ChangeArguments>),
    /// Give up a rental that wasn't started; all that was paid is credited
    Cancel(Box<change::ChangeArguments>),
    /// End a rental that the provider didn't start in time; anyone may
    Expire(Box<change::ChangeArguments>),
    /// Dispute an active rental, which ends its use, or close a dispute whose time has come
    Dispute(Box<dispute::DisputeArguments>),
    /// Fetch what the contract has credited to the account
    Withdraw(Box<change::WithdrawArguments>),
    /// Hand over the start-up script whose digest is on chain
    Script(Box<in_container::ScriptArguments>),
    /// Print the end of the container's log
    Logs(Box<in_container::LogsArguments>),
    /// Print what the container uses
    Metrics(Box<in_container::MetricsArguments>),
    /// Run a command in the container, to its end
    Exec(Box<in_container::ExecArguments>),
}

/// The chain, and the account that acts.
#[derive(Debug, Clone, Args)]
pub struct ActorArguments {
    /// The chain, and what the user trusts.
    #[command(flatten)]
    pub market: MarketArguments,
    /// The account.
    #[command(flatten)]
    pub account: AccountArguments,
}

/// What a command prints.
#[derive(Debug)]
pub enum Printed {
    /// A report.
    Report {
        /// For people.
        lines: Vec<String>,
        /// For programs.
        json: Value,
    },
    /// A report on several things, of which some may have failed.
    Partly {
        /// For people.
        lines: Vec<String>,
        /// For programs.
        json: Value,
        /// Exit code, in either form.
        exit_code: u8,
    },
    /// Nothing: it has written by itself.
    Written,
    /// What a command in a container wrote, and its exit code.
    Output {
        /// To standard output.
        stdout: String,
        /// To standard error.
        stderr: String,
        /// The process's exit code.
        exit_code: u8,
        /// For programs.
        json: Value,
    },
}

impl RentalCommand {
    /// Whether failures are to be printed as JSON too.
    pub fn json(&self) -> bool {
        match self {
            RentalCommand::Create(arguments) => arguments.actor.market.json,
            RentalCommand::List(arguments) => arguments.market.json,
            RentalCommand::Show(arguments) => arguments.actor.market.json,
            RentalCommand::Wait(arguments) => arguments.market.json,
            RentalCommand::Extend(arguments) => arguments.actor.market.json,
            RentalCommand::End(arguments)
            | RentalCommand::Cancel(arguments)
            | RentalCommand::Expire(arguments) => arguments.actor.market.json,
            RentalCommand::Dispute(arguments) => arguments.actor.market.json,
            RentalCommand::Withdraw(arguments) => arguments.actor.market.json,
            RentalCommand::Script(arguments) => arguments.node.actor.market.json,
            RentalCommand::Logs(arguments) => arguments.node.actor.market.json,
            RentalCommand::Metrics(arguments) => arguments.node.actor.market.json,
            RentalCommand::Exec(arguments) => arguments.node.actor.market.json,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// [`RentalError`].
    pub async fn run(&self) -> Result<Printed, RentalError> {
        match self {
            RentalCommand::Create(arguments) => create::run(arguments).await,
            RentalCommand::List(arguments) => show::list(arguments).await,
            RentalCommand::Show(arguments) => show::show(arguments).await,
            RentalCommand::Wait(arguments) => show::wait(arguments).await,
            RentalCommand::Extend(arguments) => change::extend(arguments).await,
            RentalCommand::End(arguments) => change::change(arguments, change::Change::End).await,
            RentalCommand::Cancel(arguments) => change::change(arguments, change::Change::Cancel).await,
            RentalCommand::Expire(arguments) => change::change(arguments, change::Change::Expire).await,
            RentalCommand::Dispute(arguments) => dispute::run(arguments).await,
            RentalCommand::Withdraw(arguments) => change::withdraw(arguments).await,
            RentalCommand::Script(arguments) => in_container::script(arguments).await,
            RentalCommand::Logs(arguments) => in_container::logs(arguments).await,
            RentalCommand::Metrics(arguments) => in_container::metrics(arguments).await,
            RentalCommand::Exec(arguments) => in_container::exec(arguments).await,
        }
    }
}

impl Printed {
    /// A report.
    pub fn report(lines: Vec<String>, json: Value) -> Self {
        Printed::Report { lines, json }
    }

    /// Prints it, and returns the process's exit code. Terminals get no control characters of a container's.
    ///
    /// # Errors
    /// Where standard output is gone.
    pub fn print(self, as_json: bool) -> io::Result<u8> {
        let mut output = io::stdout().lock();
        let code = match self {
            Printed::Report { json, .. } if as_json => {
                writeln!(output, "{json}")?;
                0
            }
            Printed::Output { json, .. } if as_json => {
                writeln!(output, "{json}")?;
                0
            }
            Printed::Partly {
                lines,
                json,
                exit_code,
            } => {
                match as_json {
                    true => writeln!(output, "{json}")?,
                    false => writeln!(output, "{}", lines.join("\n"))?,
                }
                exit_code
            }
            Printed::Written => 0,
            Printed::Report { lines, .. } => {
                if !lines.is_empty() {
                    writeln!(output, "{}", lines.join("\n"))?;
                }
                0
            }
            Printed::Output {
                stdout,
                stderr,
                exit_code,
                ..
            } => {
                write!(output, "{}", shown(stdout, output.is_terminal()))?;
                let mut errors = io::stderr().lock();
                write!(errors, "{}", shown(stderr, errors.is_terminal()))?;
                exit_code
            }
        };
        output.flush()?;
        Ok(code)
    }
}

fn shown(text: String, on_terminal: bool) -> String {
    match on_terminal {
        true => text
            .chars()
            .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
            .collect(),
        false => text,
    }
}

/// A rental's id, as commands take it.
pub(crate) fn rental_id(text: &str) -> Result<HexBytes<32>, String> {
    HexBytes::parse(&text.to_ascii_lowercase()).ok_or_else(|| "0x and 64 hex digits are expected".to_owned())
}

/// A transaction as reports show it.
pub(crate) fn transaction(receipt: &Receipt) -> String {
    format!(
        "{} in block {}, {} gas",
        receipt.transaction, receipt.block, receipt.gas_used
    )
}

/// The same for programs.
pub(crate) fn transaction_json(receipt: &Receipt) -> Value {
    json!({ "transaction": receipt.transaction, "block": receipt.block, "gasUsed": receipt.gas_used })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_no_escape_sequences_of_containers() {
        let text = "a\u{1b}[2Jb\tc\r\n".to_owned();
        assert_eq!(shown(text.clone(), true), "a[2Jb\tc\n");
        assert_eq!(shown(text.clone(), false), text);
    }

    #[test]
    fn ids_are_32_bytes() {
        assert!(rental_id(&format!("0x{}", "Ab".repeat(32))).is_ok());
        for text in ["", "0x", &"ab".repeat(32), &format!("0x{}", "ab".repeat(31))] {
            assert!(rental_id(text).is_err(), "{text}");
        }
    }
}
