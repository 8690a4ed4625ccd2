//! `jeju provider register` and `offer`.

use clap::Args;
use jeju_chain::{GpuType, MAX_IMAGE_BYTES, MAX_RENTAL_HOURS, Offer, RentalResources};
use jeju_contracts::rental::{self, Registries};
use serde_json::{Value, json};

use crate::chain::Chain;
use crate::deployment::{Contract, ContractsArguments, OnChainArguments};
use crate::payment::PaymentError;
use crate::rental::amount::Amount;
use crate::rental::command::{ActorArguments, Printed, transaction, transaction_json};
use crate::rental::market::sending_key;
use crate::rental::{Market, RentalError};

/// Options of `jeju provider register`.
#[derive(Debug, Clone, Args)]
pub struct RegisterArguments {
    /// Display name
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// Base URL of the API, as https://host:port
    #[arg(long, value_name = "URL")]
    endpoint: String,
    /// Stake, as 0.05eth [default: the least that the registry takes]
    #[arg(long, value_name = "AMOUNT")]
    stake: Option<Amount>,
    /// Agent that the account owns: its number, or 0x and 32 bytes
    #[arg(long, value_name = "ID", value_parser = agent_id, conflicts_with = "new_agent")]
    agent: Option<[u8; 32]>,
    /// Make an agent first, with the document at this URL
    #[arg(long, value_name = "URL")]
    new_agent: Option<String>,
    /// Where contracts are.
    #[command(flatten)]
    contracts: ContractsArguments,
    #[command(flatten)]
    pub(super) actor: ActorArguments,
}

/// Options of `jeju provider offer`.
#[derive(Debug, Clone, Args)]
pub struct OfferArguments {
    /// CPU cores of a rental
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    cpu_cores: u16,
    /// Memory of a rental, in GB
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    memory_gb: u32,
    /// Storage of a rental, in GB
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    storage_gb: u32,
    /// Bandwidth, in megabits per second; what a provider says of itself
    #[arg(long, value_name = "N", default_value_t = 1000)]
    bandwidth_mbps: u32,
    /// Kind of the GPUs
    #[arg(long, value_name = "KIND", default_value = "none", value_parser = gpu_type)]
    gpu: GpuType,
    /// Number of GPUs
    #[arg(long, value_name = "N", default_value_t = 0)]
    gpu_count: u8,
    /// Memory of each GPU, in GB
    #[arg(long, value_name = "N", default_value_t = 0)]
    gpu_vram_gb: u16,
    /// The machine runs confidential guests; what a provider says of itself
    #[arg(long)]
    tee: bool,
    /// Price of an hour, as 0.01eth
    #[arg(long, value_name = "AMOUNT")]
    price: Amount,
    /// Price of an hour for each GPU, on top
    #[arg(long, value_name = "AMOUNT", default_value = "0eth")]
    gpu_price: Amount,
    /// Shortest rental, in hours
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=720))]
    min_hours: u16,
    /// Longest rental, in hours, extensions included
    #[arg(long, value_name = "N", default_value_t = MAX_RENTAL_HOURS, value_parser = clap::value_parser!(u16).range(1..=720))]
    max_hours: u16,
    /// Most rentals that run at a time
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    max: u32,
    /// Image that tenants may choose, letter for letter (may be given up to 64 times; none: any)
    #[arg(long = "image", value_name = "REF")]
    images: Vec<String>,
    /// Tenants choose no image
    #[arg(long, conflicts_with = "images")]
    no_docker: bool,
    /// Tenants don't log in
    #[arg(long)]
    no_ssh: bool,
    /// Link the offer to this agent of the account, so that it ends when the agent is sold
    #[arg(long, value_name = "ID", value_parser = agent_id)]
    agent: Option<[u8; 32]>,
    #[command(flatten)]
    pub(super) actor: ActorArguments,
}

pub(super) async fn register(arguments: &RegisterArguments) -> Result<Printed, PaymentError> {
    let key = sending_key(&arguments.actor.account.read().map_err(RentalError::from)?)?;
    let (chain, registries) = arguments.registries().await?;
    let sender = chain.sender(&key);
    let (mut lines, mut transactions) = (vec![format!("provider    {}", sender.account())], Vec::new());
    let mut agent = arguments.agent.map(Into::into);
    if let Some(uri) = &arguments.new_agent {
        let (made, receipt) = rental::register_agent(&sender, registries.identities, uri).await?;
        lines.push(format!(
            "agent       {made}, transaction {}",
            transaction(&receipt)
        ));
        transactions.push(transaction_json(&receipt));
        agent = Some(made);
    }
    let stake = arguments.stake.unwrap_or(Amount(registries.minimum_stake));
    let (name, endpoint) = (&arguments.name, &arguments.endpoint);
    let receipt =
        rental::register_provider(&sender, registries.providers, name, endpoint, agent, stake.0).await?;
    lines.push(format!("stake       {stake}"));
    lines.push(format!("transaction {}", transaction(&receipt)));
    transactions.push(transaction_json(&receipt));
    let json = json!({
        "provider": sender.account().to_string(),
        "agent": agent,
        "stakeWei": stake.0.to_string(),
        "transactions": transactions,
    });
    Ok(Printed::report(lines, json))
}

pub(super) async fn offer(arguments: &OfferArguments) -> Result<Printed, RentalError> {
    let offer = arguments.offer()?;
    let key = sending_key(&arguments.actor.account.read()?)?;
    let market = arguments.actor.market.market().await?;
    let (sender, contract) = (market.sender(&key), market.contract.into());
    let receipt = rental::set_provider_resources(&sender, contract, &offer, &arguments.images).await?;
    let mut lines = vec![
        format!("provider    {}", sender.account()),
        format!(
            "offer       {} an hour, {} to {} h, {} at a time",
            Amount(offer.hourly_rate()),
            offer.minimum_hours,
            offer.maximum_hours,
            offer.max_concurrent
        ),
        format!("transaction {}", transaction(&receipt)),
    ];
    let mut transactions = vec![transaction_json(&receipt)];
    if let Some(agent) = arguments.agent {
        match rental::link_provider_agent(&sender, contract, agent.into()).await {
            Ok(receipt) => {
                lines.push(format!("linked      transaction {}", transaction(&receipt)));
                transactions.push(transaction_json(&receipt));
            }
            Err(error) if error.is_refusal("AgentAlreadyLinked") => {}
            Err(error) => return Err(error.into()),
        }
    }
    let json = json!({
        "provider": sender.account().to_string(),
        "hourlyRateWei": offer.hourly_rate().to_string(),
        "images": arguments.images,
        "agent": arguments.agent.map_or(Value::Null, |agent| format!("0x{}", hex::encode(agent)).into()),
        "transactions": transactions,
    });
    Ok(Printed::report(lines, json))
}

impl RegisterArguments {
    /// The registries by name; those of `ComputeRental` where none is named.
    async fn registries(&self) -> Result<(Chain, Registries), PaymentError> {
        let on_chain = OnChainArguments {
            trust: self.actor.market.trust.clone(),
            contracts: self.contracts.clone(),
        };
        let Some(providers) = on_chain.find(Contract::ComputeRegistry)? else {
            let market = self.actor.market.market().await?;
            let registries = market.registries().await?;
            let Market {
                reader,
                rpc,
                chain_id,
                ..
            } = market;
            let chain = Chain {
                reader,
                rpc,
                chain_id,
            };
            return Ok((chain, registries));
        };
        let identities = match self.new_agent {
            Some(_) => on_chain.contract(Contract::IdentityRegistry)?,
            None => [0; 20],
        };
        let chain = on_chain.chain().await?;
        let block = chain.reader.newest_block().await?;
        let registries = Registries {
            providers: providers.into(),
            identities: identities.into(),
            minimum_stake: chain.reader.least_provider_stake_at(&block, &providers).await?,
        };
        Ok((chain, registries))
    }
}

impl OfferArguments {
    fn offer(&self) -> Result<Offer, RentalError> {
        if self.min_hours > self.max_hours {
            return Err(RentalError::Usage("--min-hours is more than --max-hours"));
        }
        if (self.gpu == GpuType::None) != (self.gpu_count == 0) {
            return Err(RentalError::Usage("--gpu and --gpu-count go together"));
        }
        if self
            .images
            .iter()
            .any(|image| image.is_empty() || image.len() > MAX_IMAGE_BYTES)
        {
            return Err(RentalError::Usage("an --image is empty or longer than 256 bytes"));
        }
        Ok(Offer {
            resources: RentalResources {
                gpu_type: self.gpu,
                gpu_count: self.gpu_count,
                gpu_vram_gb: self.gpu_vram_gb,
                cpu_cores: self.cpu_cores,
                memory_gb: self.memory_gb,
                storage_gb: self.storage_gb,
                bandwidth_mbps: self.bandwidth_mbps,
                tee_capable: self.tee,
            },
            price_per_hour: self.price.0,
            price_per_gpu_hour: self.gpu_price.0,
            minimum_hours: self.min_hours,
            maximum_hours: self.max_hours,
            max_concurrent: self.max,
            active: 0,
            ssh_enabled: !self.no_ssh,
            docker_enabled: !self.no_docker,
        })
    }
}

fn gpu_type(text: &str) -> Result<GpuType, String> {
    GpuType::from_name(text).ok_or_else(|| {
        let names: Vec<_> = GpuType::ALL.iter().map(|kind| kind.name()).collect();
        format!("one of {} is expected", names.join(", "))
    })
}

/// An agent's number in decimal digits, or its 32 bytes.
pub(super) fn agent_id(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "a number, or 0x and 64 hex digits, is expected".to_owned();
    let mut id = [0; 32];
    match text.strip_prefix("0x") {
        Some(digits) => hex::decode_to_slice(digits, &mut id).map_err(|_| wrong())?,
        None => id[16..].copy_from_slice(&text.parse::<u128>().map_err(|_| wrong())?.to_be_bytes()),
    }
    match id == [0; 32] {
        true => Err("zero is no agent".to_owned()),
        false => Ok(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_have_numbers() {
        let mut seven = [0; 32];
        seven[31] = 7;
        assert_eq!(agent_id("7"), Ok(seven));
        assert_eq!(agent_id(&format!("0x{}", hex::encode(seven))), Ok(seven));
        for text in [
            "",
            "0",
            "-1",
            "0x07",
            "0x",
            "x",
            &format!("0x{}", "00".repeat(32)),
        ] {
            assert!(agent_id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn gpus_have_names() {
        assert_eq!(gpu_type("h100"), Ok(GpuType::NvidiaH100));
        assert!(gpu_type("H-100").unwrap_err().contains("h200"));
    }
}
