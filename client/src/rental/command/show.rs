//! `jeju rental list`, `show` and `wait`: what the chain says, and the node.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::{MAX_RENTAL_PAGE, RentalStatus};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::super::market::MarketArguments;
use super::super::node::{Asked, chain_time, words};
use super::super::{RentalError, shown};
use super::{ActorArguments, Printed, rental_id};
use crate::node_url::NodeUrl;
use crate::trust::address;
use crate::wallet::AccountArguments;

const POLL: Duration = Duration::from_secs(2);

/// Options of `jeju rental list`.
#[derive(Debug, Clone, Args)]
pub struct ListArguments {
    /// Whose rentals [default: those of the account that --wallet, --key or the environment names]
    #[arg(long, value_name = "ADDRESS", value_parser = address, conflicts_with = "provider")]
    user: Option<HexBytes<20>>,
    /// All of a provider's, instead
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    provider: Option<HexBytes<20>>,
    /// Those too that are over
    #[arg(long)]
    all: bool,
    /// Places in the account's list to pass over; it only grows
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// The chain.
    #[command(flatten)]
    pub(super) market: MarketArguments,
    #[command(flatten)]
    account: AccountArguments,
}

/// Options of `jeju rental show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArguments {
    /// The rental
    #[arg(value_name = "RENTAL", value_parser = rental_id)]
    rental: HexBytes<32>,
    /// Ask this node too, as https://host:port; signed with the account of --wallet or --key it tells all that it does the renter
    #[arg(long, value_name = "URL")]
    node: Option<NodeUrl>,
    #[command(flatten)]
    pub(super) actor: ActorArguments,
}

/// Options of `jeju rental wait`.
#[derive(Debug, Clone, Args)]
pub struct WaitArguments {
    /// The rental
    #[arg(value_name = "RENTAL", value_parser = rental_id)]
    rental: HexBytes<32>,
    /// Until it is
    #[arg(long, value_enum, default_value_t = Until::Active)]
    until: Until,
    /// Seconds until giving up
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// The chain.
    #[command(flatten)]
    pub(super) market: MarketArguments,
}

/// How a rental is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// Started; one that is over meanwhile never will be.
    Active,
    /// Completed, cancelled, expired or disputed.
    Over,
}

pub(super) async fn list(arguments: &ListArguments) -> Result<Printed, RentalError> {
    let user = match (arguments.user, arguments.provider) {
        (None, None) => Some(HexBytes(arguments.account.read()?.account().0)),
        (user, _) => user,
    };
    let market = arguments.market.market().await?;
    let block = market.block().await?;
    let (mut lines, mut all) = (Vec::new(), Vec::new());
    let mut cursor = arguments.from;
    loop {
        let (reader, contract) = (&market.reader, &market.contract);
        let page = match (user, arguments.provider) {
            (Some(user), _) => {
                reader
                    .user_rentals_at(&block, contract, &user.0, cursor, MAX_RENTAL_PAGE)
                    .await?
            }
            (None, Some(provider)) => {
                reader
                    .provider_rentals_at(&block, contract, &provider.0, cursor, MAX_RENTAL_PAGE)
                    .await?
            }
            (None, None) => Vec::new(),
        };
        for id in &page {
            let rental = market.rental(&block, HexBytes(*id)).await?;
            if arguments.all || !rental.status.is_over() {
                lines.push(shown::line(&rental, &block));
                all.push(shown::json(&rental, &block));
            }
        }
        cursor += page.len() as u64;
        if page.len() < MAX_RENTAL_PAGE {
            break;
        }
    }
    Ok(Printed::report(lines, json!({ "rentals": all, "next": cursor })))
}

pub(super) async fn show(arguments: &ShowArguments) -> Result<Printed, RentalError> {
    let actor = &arguments.actor;
    // An account that stands in the environment by chance is no reason to sign.
    let account = match (&actor.account.wallet, &actor.account.key) {
        (None, None) => None,
        _ => Some(actor.account.read()?),
    };
    let (market, node) = actor.market.market_and_node(arguments.node.as_ref()).await?;
    let block = market.block().await?;
    let rental = market.rental(&block, arguments.rental).await?;
    let head = market.reader.finalized_block().await?.block;
    let is_final = market
        .reader
        .rental_at(&head, &market.contract, &rental.id)
        .await?;
    let (mut lines, mut json) = (shown::lines(&rental, &block), shown::json(&rental, &block));
    if is_final.is_none() {
        lines.push("note        not final yet: nodes act on it once it is".to_owned());
    }
    json["final"] = is_final.is_some().into();
    if let Some(mut node) = node {
        let asked = Asked::get(format!("/v1/rentals/{}", arguments.rental));
        let asked = match &account {
            Some(account) => asked.by(account),
            None => asked,
        };
        let now = chain_time(&market).await;
        match node.document(&asked, now).await {
            Ok(document) => {
                lines.push(format!("node        {}", node.url()));
                lines.extend(flat(&document));
                json["node"] = document;
            }
            // What the chain says stands, whatever the node says.
            Err(error) => {
                lines.push(format!("node        {error} ({})", error.code()));
                json["node"] = json!({ "error": { "code": error.code(), "message": error.to_string() } });
            }
        }
    }
    Ok(Printed::report(lines, json))
}

pub(super) async fn wait(arguments: &WaitArguments) -> Result<Printed, RentalError> {
    let market = arguments.market.market().await?;
    let started = Instant::now();
    loop {
        let block = market.block().await?;
        let rental = market.rental(&block, arguments.rental).await?;
        let (reached, wanted) = match arguments.until {
            Until::Active => (rental.status == RentalStatus::Active, "active"),
            Until::Over => (rental.status.is_over(), "over"),
        };
        if reached {
            return Ok(Printed::report(
                shown::lines(&rental, &block),
                shown::json(&rental, &block),
            ));
        }
        let seconds = started.elapsed().as_secs();
        if rental.status.is_over() || seconds >= arguments.timeout {
            return Err(RentalError::Late {
                rental: arguments.rental,
                status: rental.status.name(),
                wanted,
                seconds,
            });
        }
        sleep(POLL).await;
    }
}

/// A node's document as lines, an object's members below each other.
fn flat(document: &Value) -> Vec<String> {
    let Some(object) = document.as_object() else {
        return Vec::new();
    };
    let line = |(name, value): (&String, &Value)| match value {
        Value::Null => None,
        Value::String(text) => Some(format!("  {} {}", words(name), words(text))),
        other => Some(format!("  {} {}", words(name), words(&other.to_string()))),
    };
    object.iter().filter_map(line).collect()
}
