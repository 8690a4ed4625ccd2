//! `jeju providers` and `jeju models`.

use std::collections::BTreeMap;

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::account::Account;
use serde_json::{Value, json};

use super::DiscoverError;
use super::finder::{Finder, Limits, Provider};
use super::offer::Offer;
use crate::deployment::OnChainArguments;
use crate::rental::amount::Amount;
use crate::rental::command::Printed;
use crate::trust::address;
use crate::via::GatewayApi;

/// Which offers are wanted.
#[derive(Debug, Clone, Default, Args)]
pub struct OffersArguments {
    /// Most wei for a token of a prompt
    #[arg(long, value_name = "WEI")]
    pub max_price_in: Option<u128>,
    /// Most wei for a token of an answer
    #[arg(long, value_name = "WEI")]
    pub max_price_out: Option<u128>,
    /// Account of a provider that may be asked (may be given several times) [default: all]
    #[arg(long = "provider", value_name = "ADDRESS", value_parser = address)]
    pub providers: Vec<HexBytes<20>>,
    /// API of a gateway that says whom to look at on chain, as https://host[:port]; is not trusted [default: all providers]
    #[arg(long, value_name = "URL")]
    pub gateway: Option<GatewayApi>,
}

/// Options of `jeju providers`.
#[derive(Debug, Clone, Args)]
pub struct ProvidersArguments {
    /// Of this model only
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    #[command(flatten)]
    offers: OffersArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    on_chain: OnChainArguments,
}

/// Options of `jeju models`.
#[derive(Debug, Clone, Args)]
pub struct ModelsArguments {
    #[command(flatten)]
    offers: OffersArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    on_chain: OnChainArguments,
}

impl OffersArguments {
    /// Finds offers of a model, or of all.
    ///
    /// # Errors
    /// [`DiscoverError::Deployment`].
    pub async fn finder(
        &self,
        on_chain: &OnChainArguments,
        model: Option<&str>,
    ) -> Result<Finder, DiscoverError> {
        let limits = Limits {
            model: model.map(str::to_owned),
            max_price_in: self.max_price_in,
            max_price_out: self.max_price_out,
            providers: self.providers.iter().map(|provider| provider.0).collect(),
        };
        Finder::new(on_chain, limits, self.gateway.clone()).await
    }
}

impl ProvidersArguments {
    /// Whether failures are to be printed as JSON too.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Providers with what they offer.
    ///
    /// # Errors
    /// [`DiscoverError`].
    pub async fn run(&self) -> Result<Printed, DiscoverError> {
        let finder = self
            .offers
            .finder(&self.on_chain, self.model.as_deref())
            .await?
            .told();
        let offers = &self.offers;
        let is_limited =
            self.model.is_some() || offers.max_price_in.is_some() || offers.max_price_out.is_some();
        let (mut lines, mut all) = (Vec::new(), Vec::new());
        for provider in finder.providers().await? {
            let offers = finder.offers_of(&provider);
            // Who was asked for by model or price has one that fits.
            if offers.is_empty() && is_limited {
                continue;
            }
            lines.extend(provider_lines(&provider, &offers));
            all.push(provider_json(&provider, &offers));
        }
        Ok(Printed::report(lines, json!({ "providers": all })))
    }
}

impl ModelsArguments {
    /// Whether failures are to be printed as JSON too.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Models with who offers them, the cheapest first.
    ///
    /// # Errors
    /// [`DiscoverError`].
    pub async fn run(&self) -> Result<Printed, DiscoverError> {
        let finder = self.offers.finder(&self.on_chain, None).await?.told();
        let mut models: BTreeMap<String, Vec<Offer>> = BTreeMap::new();
        for offer in finder.offers().await? {
            models.entry(offer.model.clone()).or_default().push(offer);
        }
        let (mut lines, mut all) = (Vec::new(), Vec::new());
        for (model, offers) in &models {
            let cheapest = offers.first().map(price).unwrap_or_default();
            let count = match offers.len() {
                1 => "1 provider".to_owned(),
                count => format!("{count} providers"),
            };
            lines.push(format!("{}  {count}, from {cheapest}", shown(model)));
            let offers: Vec<Value> = offers.iter().map(Offer::json).collect();
            all.push(json!({ "id": model, "providers": offers }));
        }
        Ok(Printed::report(lines, json!({ "models": all })))
    }
}

fn provider_lines(provider: &Provider, offers: &[Offer]) -> Vec<String> {
    let record = &provider.record;
    let mut lines = vec![format!(
        "{}  {}  {}  stake {}",
        Account(record.account),
        record.endpoint,
        record.name,
        Amount(record.stake)
    )];
    lines.extend(
        offers
            .iter()
            .map(|offer| format!("  {}  {}", shown(&offer.model), price(offer))),
    );
    lines
}

fn provider_json(provider: &Provider, offers: &[Offer]) -> Value {
    let record = &provider.record;
    let offers: Vec<Value> = offers.iter().map(Offer::json).collect();
    json!({
        "address": Account(record.account).to_string(),
        "name": record.name.to_string(),
        "endpoint": record.endpoint.to_string(),
        "agent": format!("0x{}", hex::encode(record.agent)),
        "stakeWei": record.stake.to_string(),
        "registeredAt": record.registered_at,
        "offers": offers,
    })
}

fn price(offer: &Offer) -> String {
    let note = if offer.price.of_service {
        ""
    } else {
        " (announced)"
    };
    format!("{} + {} wei a token{note}", offer.price.input, offer.price.output)
}

/// A provider's text; a terminal would obey escape sequences.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
