//! `jeju proxy`.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::rules::Files;
use super::{Market, Proxy, ProxyError};
use crate::deployment::{Contract, OnChainArguments};
use crate::discover::command::OffersArguments;
use crate::node_url::NodeUrl;
use crate::payment::{PayArguments, PaymentError, PriceLimit};
use crate::session::{Limits, Session};
use crate::verify;

/// Options of `jeju proxy`.
#[derive(Debug, Clone, Args)]
pub struct ProxyArguments {
    /// Node, as https://host:port
    #[arg(
        long,
        value_name = "URL",
        required_unless_present = "model",
        conflicts_with = "model"
    )]
    node: Option<NodeUrl>,
    /// Model: the providers on chain that offer it are asked, those that pass the policy, the cheapest first, of
    /// equally cheap ones the quickest
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    #[command(flatten)]
    offers: OffersArguments,
    /// How often a request that was sent, and to which nothing was answered, goes to another provider
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=16))]
    retries: u32,
    /// Loopback address to listen on
    #[arg(long, default_value = "127.0.0.1:4008")]
    listen: SocketAddr,
    /// Say on standard output where it listens, as one JSON line
    #[arg(long)]
    json: bool,
    // Last, because their headings go on.
    #[command(flatten)]
    on_chain: OnChainArguments,
    #[command(flatten)]
    pay: PayArguments,
}

impl ProxyArguments {
    /// Whether failures are to be printed as JSON too.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Serves until `stop` is ready.
    ///
    /// # Errors
    /// [`ProxyError`], before it serves.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<(), ProxyError> {
        let serving = self
            .on_chain
            .find(Contract::InferenceServing)
            .map_err(PaymentError::from)?;
        // A password is asked for before anything else is.
        let prices = PriceLimit {
            input: self.offers.max_price_in,
            output: self.offers.max_price_out,
        };
        let paying = self.pay.payments(&self.on_chain.trust, serving, prices);
        let payments = paying.await?;
        let mut proxy = match (&self.node, &self.model) {
            (Some(node), _) => self.one(node).await?,
            (None, Some(model)) => self.market(model).await?,
            (None, None) => return Err(ProxyError::Nothing),
        };
        if let Some(payments) = payments {
            eprintln!("jeju proxy: {} pays", payments.account());
            proxy = proxy.with_payer(Arc::new(payments));
        }
        proxy.with_retries(self.retries).serve(stop).await;
        Ok(())
    }

    async fn one(&self, node: &NodeUrl) -> Result<Proxy, ProxyError> {
        let files = Files::read(&self.on_chain.trust)?;
        let (rules, limits) = (files.rules(), Limits::default());
        let proxy = Proxy::bind(self.listen, node.clone(), rules.clone(), limits).await?;
        self.say(&proxy, &node.to_string());
        match Session::connect(node, rules.now(), limits).await {
            Ok(session) => eprintln!("{}", verify::lines(node, session.verdict()).join("\n")),
            // A node may come up later, or come back with another measurement: each request decides anew.
            Err(error) => eprintln!("jeju proxy: not verified yet ({}): {error}", error.code()),
        }
        Ok(proxy.following(files))
    }

    async fn market(&self, model: &str) -> Result<Proxy, ProxyError> {
        let files = Files::read(&self.on_chain.trust)?;
        let finder = self.offers.finder(&self.on_chain, Some(model)).await?.told();
        let market = Arc::new(Market::new(finder, files.rules(), Limits::default()));
        let proxy = Proxy::bind_market(self.listen, market.clone()).await?;
        eprintln!("jeju proxy: reading the providers of {model}, and verifying the cheapest");
        market.refresh().await?;
        let lines = market.lines();
        match lines.is_empty() {
            // One may come up later, or be registered.
            true => eprintln!("jeju proxy: none is verified yet: {}", market.summary()),
            false => eprintln!("{}", lines.join("\n")),
        }
        self.say(&proxy, model);
        Ok(proxy.following(files))
    }

    fn say(&self, proxy: &Proxy, to: &str) {
        let url = format!("http://{}/v1", proxy.address());
        eprintln!("jeju proxy: {url} -> {to}");
        if self.json {
            println!("{}", json!({ "status": "listening", "url": url, "to": to }));
        }
    }
}
