//! `jeju provider settle`: submits the newest voucher of each user, which pays for all answers since the last one.
//!
//! ```text
//! node ── verified session, provider's signature ──▶ vouchers ── user's signature, chain's state ──▶ settleVoucher
//! ```
//!
//! A voucher pays what the chain hasn't paid of it, so one that was submitted pays nothing more however often it comes. And nothing
//! is submitted that would pay nothing: gas would be lost.

mod cashier;
mod due;

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use jeju_contracts::sender::AccountKey as SendingKey;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::AccountKey;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::sleep;

pub use cashier::{Cashier, Outcome};
pub use due::{Due, Page};

use super::run::back_off;
use super::signer::{check, verified};
use crate::deployment::Contract;
use crate::error::Class;
use crate::ledger::actor::OnChainActor;
use crate::node_url::NodeUrl;
use crate::payment::PaymentError;
use crate::payment::asking::{Asker, VOUCHERS};
use crate::rental::RentalError;
use crate::rental::amount::Amount;
use crate::rental::command::{Printed, transaction, transaction_json};
use crate::rental::market::sending_key;
use crate::session::unix_now;

/// Most pages of one round.
const MAX_PAGES: usize = 1000;

/// Options of `jeju provider settle`.
#[derive(Debug, Clone, Args)]
pub struct SettleArguments {
    /// The provider's node, as https://host:port
    #[arg(long, value_name = "URL")]
    node: NodeUrl,
    /// Submit no voucher that pays less, unless it runs out within two days or its user takes money back
    #[arg(long, value_name = "AMOUNT", default_value = "0.001eth")]
    least: Amount,
    /// Seconds between two rounds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    interval: u64,
    /// Ask once, submit what is due, and end
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    pub(super) actor: OnChainActor,
}

/// Runs until `stop` is ready. It may be stopped or killed at any moment: the next run goes on by the chain's state.
pub(super) async fn settle(
    arguments: &SettleArguments,
    stop: impl Future<Output = ()>,
) -> Result<Printed, PaymentError> {
    // Read once: a password is asked for at the start, or never.
    let key = arguments.actor.account.read().map_err(RentalError::from)?;
    let sending = sending_key(&key)?;
    let mut total = Total::default();
    tokio::select! {
        outcome = rounds(arguments, &key, &sending, &mut total) => outcome?,
        () = stop => {}
    }
    let lines = vec![format!(
        "settled     {} by {} vouchers",
        Amount(total.wei),
        total.vouchers
    )];
    let json = json!({ "settledWei": total.wei.to_string(), "vouchers": total.vouchers });
    Ok(Printed::report(lines, json))
}

#[derive(Default)]
struct Total {
    wei: u128,
    vouchers: u64,
    /// What was said last about a user, so that it is logged once.
    said: HashMap<Account, String>,
}

async fn rounds(
    arguments: &SettleArguments,
    key: &AccountKey,
    sending: &SendingKey,
    total: &mut Total,
) -> Result<(), PaymentError> {
    let mut failures = 0;
    let mut has_worked = false;
    loop {
        let wait = match round(arguments, key, sending, total).await {
            Ok(()) if arguments.once => return Ok(()),
            Ok(()) => {
                (failures, has_worked) = (0, true);
                Duration::from_secs(arguments.interval)
            }
            Err(error) => {
                let is_final = !has_worked && matches!(error.class(), Class::Usage | Class::Policy);
                if arguments.once || is_final {
                    return Err(error);
                }
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

/// A session for each round: its verdict is no older than the round.
async fn round(
    arguments: &SettleArguments,
    key: &AccountKey,
    sending: &SendingKey,
    total: &mut Total,
) -> Result<(), PaymentError> {
    let on_chain = &arguments.actor.on_chain;
    let serving = on_chain.contract(Contract::InferenceServing)?;
    let chain = on_chain.chain().await?;
    let (mut session, facts) = verified(&arguments.node, &arguments.actor).await?;
    check(&facts, key.account(), Account(serving), chain.chain_id)?;
    let cashier = Cashier::new(chain, facts, sending.clone(), arguments.least.0);
    let mut path = VOUCHERS.to_owned();
    let mut first = Ok(());
    for _ in 0..MAX_PAGES {
        let asker = Asker {
            key,
            audience: &facts.audience,
            now: cashier.now().await.unwrap_or_else(|_| unix_now()),
        };
        let document = asker.document(&mut session, &path).await?;
        let page = Page::read(&document).map_err(PaymentError::Answer)?;
        for due in &page.due {
            match cashier.submit(due).await {
                Ok(outcome) => log(due, &outcome, arguments.actor.json, total),
                // No other transaction would get through.
                Err(error) if error.class() == Class::Network => return first.and(Err(error)),
                Err(error) => first = first.and(Err(error)),
            }
        }
        match page.next {
            Some(after) if !page.due.is_empty() => path = format!("{VOUCHERS}?after={after}"),
            _ => return first,
        }
    }
    first
}

/// One line for each voucher that was submitted, and for each new reason against one.
fn log(due: &Due, outcome: &Outcome, as_json: bool, total: &mut Total) {
    let voucher = &due.signed.voucher;
    let user = voucher.user;
    let (text, more) = match outcome {
        Outcome::Paid {
            amount,
            counted,
            receipt,
        } => {
            total.said.remove(&user);
            total.wei = total.wei.saturating_add(*amount);
            total.vouchers += 1;
            let mut more = transaction_json(receipt);
            more["paidWei"] = amount.to_string().into();
            more["receiptCounted"] = (*counted).into();
            (
                format!("paid {}, transaction {}", Amount(*amount), transaction(receipt)),
                more,
            )
        }
        Outcome::NotDue | Outcome::TooLittle(_) => return,
        other => {
            let (code, text) = other.reason();
            if total.said.insert(user, text.clone()).as_deref() == Some(&text) {
                return;
            }
            (
                format!("not submitted: {text}"),
                json!({ "code": code, "message": text }),
            )
        }
    };
    let time = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let line = match as_json {
        false => format!("{time} voucher {} of {user}: {text}", voucher.sequence),
        true => {
            let mut line = json!({ "time": time, "user": user.to_string(), "sequence": voucher.sequence });
            if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
                line.extend(more);
            }
            line.to_string()
        }
    };
    let mut output = io::stdout().lock();
    // Whoever read the log is gone; the vouchers still need to be submitted.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
