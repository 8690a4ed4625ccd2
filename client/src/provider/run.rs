//! `jeju provider run`: asks the node what its rentals need, and sends it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_contracts::sender::AccountKey;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::sleep;

use super::next::Next;
use super::wallet::{ProviderWallet, Step};
use crate::error::Class;
use crate::node_url::NodeUrl;
use crate::rental::command::{ActorArguments, Printed, transaction, transaction_json};
use crate::rental::market::sending_key;
use crate::rental::node::{Asked, chain_time};
use crate::rental::{RentalError, RentalNode};

/// Longest wait after rounds that failed.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Options of `jeju provider run`.
#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// The provider's node, as https://host:port
    #[arg(long, value_name = "URL")]
    node: NodeUrl,
    /// Seconds between two questions to the node
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Ask once, send what is needed, and end
    #[arg(long)]
    once: bool,
    /// The chain, and the provider's account.
    #[command(flatten)]
    pub(super) actor: ActorArguments,
}

/// The node and the wallet, once both could be reached.
struct Daemon {
    node: RentalNode,
    wallet: ProviderWallet,
    /// What the contract said last about a rental that it refuses, so that it is logged once.
    refused: HashMap<HexBytes<32>, String>,
    json: bool,
}

/// Runs until `stop` is ready. It may be stopped or killed at any moment: the next run goes on by the chain's state.
pub(super) async fn run(
    arguments: &RunArguments,
    stop: impl Future<Output = ()>,
) -> Result<Printed, RentalError> {
    // Read once: a password is asked for at the start, or never.
    let key = sending_key(&arguments.actor.account.read()?)?;
    tokio::select! {
        outcome = rounds(arguments, &key) => outcome?,
        () = stop => {}
    }
    Ok(Printed::report(Vec::new(), json!({ "stopped": true })))
}

async fn rounds(arguments: &RunArguments, key: &AccountKey) -> Result<(), RentalError> {
    let mut daemon = None;
    let mut failures = 0;
    loop {
        let wait = match round(&mut daemon, arguments, key).await {
            Ok(()) if arguments.once => return Ok(()),
            Ok(()) => {
                failures = 0;
                Duration::from_secs(arguments.interval)
            }
            Err(error) if arguments.once || is_final(&error, daemon.is_some()) => return Err(error),
            Err(error) => {
                let wait = back_off(failures);
                failures += 1;
                eprintln!(
                    "jeju provider: {error} ({}); again in {} s",
                    error.code(),
                    wait.as_secs()
                );
                wait
            }
        };
        sleep(wait).await;
    }
}

async fn round(
    daemon: &mut Option<Daemon>,
    arguments: &RunArguments,
    key: &AccountKey,
) -> Result<(), RentalError> {
    match daemon {
        Some(daemon) => daemon.round().await,
        None => {
            daemon
                .insert(Daemon::connect(arguments, key).await?)
                .round()
                .await
        }
    }
}

/// Before the node was reached for the first time, what the user got wrong ends the program; later everything may pass.
fn is_final(error: &RentalError, was_connected: bool) -> bool {
    !was_connected && matches!(error.class(), Class::Usage | Class::Policy)
}

pub(super) fn back_off(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(6)).min(MAX_WAIT)
}

impl Daemon {
    async fn connect(arguments: &RunArguments, key: &AccountKey) -> Result<Self, RentalError> {
        let (market, node) = arguments
            .actor
            .market
            .market_and_node(Some(&arguments.node))
            .await?;
        let node = node.ok_or(RentalError::Usage("name the node: --node URL"))?;
        let wallet = ProviderWallet::new(market, key.clone());
        node.check_provider(wallet.account())?;
        let (account, url) = (wallet.account(), node.url());
        eprintln!("jeju provider: {account} sends what the rentals of {url} need");
        Ok(Self {
            node,
            wallet,
            refused: HashMap::new(),
            json: arguments.actor.market.json,
        })
    }

    async fn round(&mut self) -> Result<(), RentalError> {
        let now = chain_time(self.wallet.market()).await;
        let document = self.node.document(&Asked::get("/v1/rentals"), now).await?;
        let all = Next::of(&document).map_err(|what| self.node.malformed(what))?;
        self.refused
            .retain(|rental, _| all.iter().any(|next| next.rental == *rental));
        let mut first = Ok(());
        for next in &all {
            match self.wallet.carry_out(next).await {
                Ok(step) => self.log(next, step),
                // No other transaction would get through.
                Err(error) if error.class() == Class::Network => return first.and(Err(error)),
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
    }

    /// One line for each transaction, and for each new refusal.
    fn log(&mut self, next: &Next, step: Step) {
        let (operation, rental) = (next.operation.name(), next.rental);
        let (text, more) = match step {
            Step::NotNeeded => return,
            Step::Sent(receipt) => {
                self.refused.remove(&rental);
                let text = format!("transaction {}", transaction(&receipt));
                (text, transaction_json(&receipt))
            }
            Step::NotOurs => match self.is_news(rental, "not ours") {
                true => (
                    "not sent: the rental is not this provider's".to_owned(),
                    json!({ "code": "rental_not_ours" }),
                ),
                false => return,
            },
            Step::Refused(reason) => match self.is_news(rental, &reason) {
                true => (
                    format!("refused by the contract: {reason}"),
                    json!({ "code": "contract_refused", "message": reason }),
                ),
                false => return,
            },
        };
        let time = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let line = match self.json {
            false => format!("{time} {operation} {rental} {text}"),
            true => {
                let mut line = json!({ "time": time, "operation": operation, "rentalId": rental });
                if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
                    line.extend(more);
                }
                line.to_string()
            }
        };
        let mut output = io::stdout().lock();
        // Whoever read the log is gone; the rentals still need their transactions.
        let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    }

    fn is_news(&mut self, rental: HexBytes<32>, reason: &str) -> bool {
        let before = self.refused.insert(rental, reason.to_owned());
        before.as_deref() != Some(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute() {
        let waits: Vec<u64> = (0..9).map(|failures| back_off(failures).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(back_off(u32::MAX), MAX_WAIT);
    }

    #[test]
    fn what_the_user_got_wrong_ends_the_program_at_the_start_only() {
        let wrong = RentalError::NoContract;
        assert!(is_final(&wrong, false) && !is_final(&wrong, true));
        assert!(!is_final(&RentalError::InFlight(1), false));
    }
}
