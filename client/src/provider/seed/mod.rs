//! `jeju provider seed`: registers the nodes that the first Jeju Compute names on other networks, as far as their evidence
//! verifies.
//!
//! A node that runs this software on one of those networks verifies like any other. What the networks themselves attest with isn't
//! verified yet: such an endpoint is refused, by name. Each node is a provider of its own, with a key of its own: one account
//! can hold one registration.

mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use jeju_chain::Service;
use jeju_contracts::network::Network;
use jeju_contracts::provider::{NewCapability, update_endpoint};
use jeju_contracts::sender::Receipt;
use jeju_contracts::{rental, serving};
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::AccountKey;
use serde_json::{Value, json};

pub use table::{Choice, Entry, Kind};

use super::service::offer_capability;
use crate::chain::Chain;
use crate::deployment::{Contract, OnChainArguments};
use crate::error::Class;
use crate::ledger::actor::Acting;
use crate::node_url::NodeUrl;
use crate::payment::PaymentError;
use crate::rental::RentalError;
use crate::rental::amount::Amount;
use crate::rental::command::{Printed, transaction_json};
use crate::rental::market::sending_key;
use crate::session::{Limits, Session};
use crate::trust::address;
use crate::wallet::AccountArguments;

/// Variables that may hold the key where one provider is meant, the first one that is set; those of the first Jeju Compute.
const KEY_VARIABLES: [&str; 2] = ["PROVIDER_PRIVATE_KEY", "PRIVATE_KEY"];

/// Options of `jeju provider seed`.
#[derive(Debug, Clone, Args)]
pub struct SeedArguments {
    /// Kind of the chain: localnet, testnet or mainnet
    #[arg(long, value_name = "NETWORK", default_value = "testnet")]
    network: Network,
    /// Which nodes: phala, marlin, oasis or all
    #[arg(long, value_name = "KIND", default_value = "all")]
    provider: Choice,
    /// Verify and show what would be sent, and send nothing; takes no key
    #[arg(long)]
    dry_run: bool,
    /// Another endpoint of a node, as phala=https://host:port (may be given several times)
    #[arg(long = "endpoint", value_name = "KIND=URL", value_parser = endpoint)]
    endpoints: Vec<(Kind, NodeUrl)>,
    /// Folder with the keys of the providers, in files named phala, marlin and oasis that only their owner can read [default:
    /// PHALA_PROVIDER_PRIVATE_KEY and the like; for one provider PROVIDER_PRIVATE_KEY or PRIVATE_KEY]
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    on_chain: OnChainArguments,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// What became of a node.
struct Seeded {
    entry: Entry,
    endpoint: NodeUrl,
    stake: u128,
    outcome: Result<Done, PaymentError>,
}

#[derive(Default)]
struct Done {
    account: Option<Account>,
    steps: Vec<&'static str>,
    transactions: Vec<Receipt>,
}

pub(super) async fn seed(arguments: &SeedArguments) -> Result<Printed, PaymentError> {
    let entries = table::entries(arguments.network, arguments.provider);
    let keys = match arguments.dry_run {
        true => BTreeMap::new(),
        false => arguments.key_of_each(&entries)?,
    };
    let on_chain = arguments.of_the_network()?;
    let registry = on_chain.contract(Contract::ComputeRegistry)?;
    let chain = on_chain.chain().await?;
    arguments
        .network
        .check_chain_id(chain.chain_id)
        .map_err(|error| PaymentError::Nothing(error.to_string()))?;
    let block = chain.reader.newest_block().await?;
    let least = chain.reader.least_provider_stake_at(&block, &registry).await?;
    let mut all = Vec::new();
    for entry in entries {
        let stake = entry.stake.max(least);
        let endpoint = arguments.endpoint_of(&entry)?;
        eprintln!("jeju provider: {} at {endpoint}", entry.name);
        let outcome = async {
            arguments.verified(&entry, &endpoint).await?;
            match keys.get(&entry.kind) {
                None => Ok(Done {
                    steps: vec!["verified, and nothing was sent"],
                    ..Done::default()
                }),
                Some(key) => register(arguments, &on_chain, key, &entry, &endpoint, stake).await,
            }
        }
        .await;
        all.push(Seeded {
            entry,
            endpoint,
            stake,
            outcome,
        });
    }
    Ok(printed(&all))
}

impl SeedArguments {
    /// The variables of the network that the seed's script read, where nothing else is named.
    fn of_the_network(&self) -> Result<OnChainArguments, PaymentError> {
        let mut on_chain = self.on_chain.clone();
        let prefix = match self.network {
            Network::Localnet => return Ok(on_chain),
            Network::Testnet => "TESTNET",
            Network::Mainnet => "MAINNET",
        };
        let variable = |name: &str| {
            std::env::var(format!("{prefix}_{name}"))
                .ok()
                .filter(|value| !value.is_empty())
        };
        if on_chain.trust.rpc.is_empty()
            && on_chain.trust.policy.is_none()
            && let Some(url) = variable("RPC_URL")
        {
            on_chain.trust.rpc = vec![url];
        }
        if on_chain.contracts.compute_registry.is_none()
            && on_chain.contracts.contracts.is_none()
            && let Some(text) = variable("COMPUTE_REGISTRY_ADDRESS")
        {
            let found =
                address(&text).map_err(|_| RentalError::Usage("COMPUTE_REGISTRY_ADDRESS is no address"))?;
            on_chain.contracts.compute_registry = Some(found);
        }
        Ok(on_chain)
    }

    fn endpoint_of(&self, entry: &Entry) -> Result<NodeUrl, PaymentError> {
        let named = self.endpoints.iter().rev().find(|(kind, _)| *kind == entry.kind);
        match named {
            Some((_, url)) => Ok(url.clone()),
            None => Ok(entry.endpoint.parse::<NodeUrl>()?),
        }
    }

    fn key_of_each(&self, entries: &[Entry]) -> Result<BTreeMap<Kind, AccountKey>, PaymentError> {
        let mut keys: BTreeMap<Kind, AccountKey> = BTreeMap::new();
        for entry in entries {
            let key = self.key_of(entry.kind, entries.len() == 1)?;
            if keys.values().any(|other| other.account() == key.account()) {
                return Err(RentalError::Usage(
                    "two providers have one key: one account can hold one registration, so each needs its own",
                )
                .into());
            }
            keys.insert(entry.kind, key);
        }
        Ok(keys)
    }

    fn key_of(&self, kind: Kind, is_only_one: bool) -> Result<AccountKey, PaymentError> {
        if let Some(folder) = &self.keys {
            let file = AccountArguments {
                key: Some(folder.join(kind.name())),
                ..AccountArguments::default()
            };
            return Ok(file.read().map_err(RentalError::from)?);
        }
        let names = match is_only_one {
            true => vec![kind.variable(), KEY_VARIABLES[0], KEY_VARIABLES[1]],
            false => vec![kind.variable()],
        };
        let found = names.into_iter().find_map(|name| {
            let text = zeroize::Zeroizing::new(std::env::var(name).ok()?);
            Some(AccountKey::from_hex(text.as_bytes()))
        });
        match found {
            Some(Some(key)) => Ok(key),
            Some(None) => Err(RentalError::Usage("the provider's key is not 32 bytes in hexadecimal").into()),
            None => Err(RentalError::Usage(
                "each provider needs a key: --keys DIR, or PHALA_PROVIDER_PRIVATE_KEY, MARLIN_PROVIDER_PRIVATE_KEY and \
                 OASIS_PROVIDER_PRIVATE_KEY; --dry-run takes none",
            )
            .into()),
        }
    }

    /// Whether the endpoint is a node that the user's policy allows.
    async fn verified(&self, entry: &Entry, endpoint: &NodeUrl) -> Result<(), PaymentError> {
        let party = self.on_chain.trust.relying_party().map_err(RentalError::from)?;
        match Session::connect(endpoint, party, Limits::default()).await {
            Ok(_) => Ok(()),
            Err(source) => Err(PaymentError::Unverified {
                name: entry.name,
                native: entry.kind.native(),
                source: Box::new(source),
            }),
        }
    }
}

/// Registers the node, or brings what is registered up to date. Running it again sends what is missing.
async fn register(
    arguments: &SeedArguments,
    on_chain: &OnChainArguments,
    key: &AccountKey,
    entry: &Entry,
    endpoint: &NodeUrl,
    stake: u128,
) -> Result<Done, PaymentError> {
    let registry = on_chain.contract(Contract::ComputeRegistry)?;
    let acting = Acting {
        chain: Chain::connect(&on_chain.trust).await.map_err(RentalError::from)?,
        key: sending_key(key)?,
        account: key.account(),
        contract: registry,
    };
    let mut done = Done {
        account: Some(acting.account),
        ..Done::default()
    };
    let text = endpoint.to_string();
    let block = acting.block().await?;
    let reader = &acting.chain.reader;
    match reader.provider_at(&block, &registry, &acting.account.0).await? {
        None => {
            let sender = acting.sender();
            let receipt =
                rental::register_provider(&sender, registry.into(), entry.name, &text, None, stake).await?;
            done.add("registered", receipt);
        }
        Some(record) if record.endpoint.as_bytes() == text.as_bytes() => {
            done.steps.push("was registered before");
        }
        Some(_) => {
            let receipt = update_endpoint(&acting.sender(), registry.into(), &text).await?;
            done.add("endpoint changed", receipt);
        }
    }
    for model in entry.models {
        let capability = NewCapability {
            model: (*model).to_owned(),
            price_per_input_token: table::PRICE_INPUT,
            price_per_output_token: table::PRICE_OUTPUT,
            max_context: table::CONTEXT,
        };
        if let Some(receipt) = offer_capability(&acting, &registry, &capability).await? {
            done.add("model listed", receipt);
        }
    }
    if let Some(contract) = arguments.on_chain.find(Contract::InferenceServing)? {
        price(&acting, &contract, entry, &text, &mut done).await?;
    }
    Ok(done)
}

/// The same prices where vouchers are paid.
async fn price(
    acting: &Acting,
    contract: &[u8; 20],
    entry: &Entry,
    endpoint: &str,
    done: &mut Done,
) -> Result<(), PaymentError> {
    let block = acting.block().await?;
    let reader = &acting.chain.reader;
    let there = reader.services_at(&block, contract, &acting.account.0).await?;
    for model in entry.models {
        if Service::first_active(&there, model).is_some() {
            continue;
        }
        let (input, output) = (table::PRICE_INPUT, table::PRICE_OUTPUT);
        let (sender, contract) = (acting.sender(), (*contract).into());
        let made = serving::register_service(&sender, contract, model, endpoint, input, output);
        done.add("service added", made.await?.1);
    }
    Ok(())
}

impl Done {
    fn add(&mut self, step: &'static str, receipt: Receipt) {
        self.steps.push(step);
        self.transactions.push(receipt);
    }
}

/// What became of each; the exit code is that of the gravest failure.
fn printed(all: &[Seeded]) -> Printed {
    let failures = all.iter().filter_map(|seeded| seeded.outcome.as_ref().err());
    let exit_code = failures.map(|error| error.class().exit_code()).max().unwrap_or(0);
    let lines: Vec<_> = all.iter().flat_map(Seeded::lines).collect();
    Printed::Partly {
        lines,
        json: json!({ "providers": all.iter().map(Seeded::json).collect::<Vec<_>>() }),
        exit_code,
    }
}

impl Seeded {
    fn lines(&self) -> Vec<String> {
        let Entry {
            name,
            funding,
            purpose,
            ..
        } = self.entry;
        let mut lines = vec![
            format!("{name} ({})", self.entry.kind),
            format!("  endpoint  {}", self.endpoint),
            format!("  funding   {funding}: {purpose}"),
            format!("  stake     {}", Amount(self.stake)),
        ];
        lines.push(match &self.outcome {
            Ok(done) => format!("  done      {}", done.steps.join(", ")),
            Err(error) => format!("  refused   {error} ({})", error.code()),
        });
        lines
    }

    fn json(&self) -> Value {
        let mut json = json!({
            "name": self.entry.name,
            "kind": self.entry.kind.name(),
            "endpoint": self.endpoint.to_string(),
            "funding": { "amount": self.entry.funding, "purpose": self.entry.purpose },
            "stakeWei": self.stake.to_string(),
            "models": self.entry.models,
        });
        match &self.outcome {
            Ok(done) => {
                json["provider"] = done.account.map(|account| account.to_string()).into();
                json["done"] = done.steps.clone().into();
                json["transactions"] = done.transactions.iter().map(transaction_json).collect();
            }
            Err(error) => {
                json["code"] = error.code().into();
                json["class"] = Class::name(error.class()).into();
                json["message"] = error.to_string().into();
            }
        }
        json
    }
}

fn endpoint(text: &str) -> Result<(Kind, NodeUrl), String> {
    let (kind, url) = text.split_once('=').ok_or("KIND=URL is expected")?;
    let url: NodeUrl = url
        .parse()
        .map_err(|error: crate::error::Error| error.to_string())?;
    Ok((kind.parse()?, url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_of_a_kind() {
        let (kind, url) = endpoint("phala=https://127.0.0.1:4007").unwrap();
        assert_eq!(
            (kind, url.to_string()),
            (Kind::Phala, "https://127.0.0.1:4007".to_owned())
        );
        for wrong in ["phala", "near=https://a", "phala=http://a", "=https://a"] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }
}
