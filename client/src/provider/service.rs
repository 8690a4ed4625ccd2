//! `jeju provider service`: models at a price, in `InferenceServing` where they are paid and `ComputeRegistry` where they are
//! found.

use clap::{Args, Subcommand};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::{MAX_TEXT_BYTES, Service};
use jeju_contracts::provider::{NewCapability, add_capability, set_capability_active};
use jeju_contracts::sender::Receipt;
use jeju_contracts::serving;
use serde_json::{Value, json};

use crate::deployment::Contract;
use crate::ledger::actor::{Acting, OnChainActor};
use crate::node_url::NodeUrl;
use crate::payment::PaymentError;
use crate::rental::RentalError;
use crate::rental::amount::Amount;
use crate::rental::command::change::with_transaction;
use crate::rental::command::{Printed, transaction, transaction_json};
use crate::trust::address;

/// Models at a price.
#[derive(Debug, Clone, Subcommand)]
pub enum ServiceCommand {
    /// Offer a model at a price, for good: another price is another service
    Add(Box<AddArguments>),
    /// End a service, or the one of a model
    End(Box<ChangeArguments>),
    /// Offer again what was ended
    Resume(Box<ChangeArguments>),
    /// List a provider's services
    List(Box<ListArguments>),
}

/// Options of `jeju provider service add`.
#[derive(Debug, Clone, Args)]
pub struct AddArguments {
    /// Model, as requests name it
    #[arg(long, value_name = "ID")]
    model: String,
    /// Price of a token of a prompt, as 100gwei
    #[arg(long, value_name = "AMOUNT")]
    price_in: Amount,
    /// Price of a token of an answer, as 300gwei
    #[arg(long, value_name = "AMOUNT")]
    price_out: Amount,
    /// Base URL of the API, as https://host:port [default: that of the provider's registration]
    #[arg(long, value_name = "URL")]
    endpoint: Option<NodeUrl>,
    /// Tokens of the longest context, for the list of models
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = clap::value_parser!(u64).range(1..))]
    max_context: u64,
    #[command(flatten)]
    actor: OnChainActor,
}

/// Options of `jeju provider service end` and `resume`.
#[derive(Debug, Clone, Args)]
pub struct ChangeArguments {
    /// The service's number
    #[arg(
        value_name = "INDEX",
        required_unless_present = "model",
        conflicts_with = "model"
    )]
    index: Option<u64>,
    /// The model instead
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    #[command(flatten)]
    actor: OnChainActor,
}

/// Options of `jeju provider service list`.
#[derive(Debug, Clone, Args)]
pub struct ListArguments {
    /// The provider [default: the account of the key]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    provider: Option<HexBytes<20>>,
    /// Ended ones too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    actor: OnChainActor,
}

impl ServiceCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            ServiceCommand::Add(arguments) => arguments.actor.json,
            ServiceCommand::End(arguments) | ServiceCommand::Resume(arguments) => arguments.actor.json,
            ServiceCommand::List(arguments) => arguments.actor.json,
        }
    }

    pub(super) async fn run(&self) -> Result<Printed, PaymentError> {
        match self {
            ServiceCommand::Add(arguments) => add(arguments).await,
            ServiceCommand::End(arguments) => change(arguments, false).await,
            ServiceCommand::Resume(arguments) => change(arguments, true).await,
            ServiceCommand::List(arguments) => list(arguments).await,
        }
    }
}

async fn add(arguments: &AddArguments) -> Result<Printed, PaymentError> {
    let AddArguments { model, actor, .. } = arguments;
    if model.is_empty() || model.len() > MAX_TEXT_BYTES {
        return Err(RentalError::Usage("--model is empty or longer than 256 bytes").into());
    }
    let acting = actor.acting(Contract::InferenceServing).await?;
    let endpoint = match &arguments.endpoint {
        Some(url) => url.to_string(),
        None => registered_endpoint(&acting, actor).await?,
    };
    let block = acting.block().await?;
    let there = acting
        .chain
        .reader
        .services_at(&block, &acting.contract, &acting.account.0)
        .await?;
    let (price_in, price_out) = (arguments.price_in, arguments.price_out);
    let mut transactions = Vec::new();
    let mut lines = vec![format!("model       {model}")];
    let index = match Service::first_active(&there, model) {
        // Run again after it was half done.
        Some(service)
            if (service.price_per_input_token, service.price_per_output_token)
                == (price_in.0, price_out.0) =>
        {
            service.index
        }
        Some(service) => {
            return Err(PaymentError::Nothing(format!(
                "service {} offers {model} at another price: end it first, nodes charge by the oldest",
                service.index
            )));
        }
        None => {
            let (index, receipt) = serving::register_service(
                &acting.sender(),
                acting.contract.into(),
                model,
                &endpoint,
                price_in.0,
                price_out.0,
            )
            .await?;
            note(&mut lines, &mut transactions, &receipt);
            index
        }
    };
    lines.push(format!(
        "service     {index}: {price_in} for a token of a prompt, {price_out} of an answer"
    ));
    if let Some(registry) = actor.on_chain.find(Contract::ComputeRegistry)? {
        let capability = NewCapability {
            model: model.clone(),
            price_per_input_token: price_in.0,
            price_per_output_token: price_out.0,
            max_context: arguments.max_context,
        };
        if let Some(receipt) = offer_capability(&acting, &registry, &capability).await? {
            lines.push("listed      among the provider's models".to_owned());
            note(&mut lines, &mut transactions, &receipt);
        }
    }
    let json = json!({
        "provider": acting.account.to_string(),
        "service": index,
        "model": model,
        "endpoint": endpoint,
        "pricePerInputTokenWei": price_in.0.to_string(),
        "pricePerOutputTokenWei": price_out.0.to_string(),
        "transactions": transactions,
    });
    Ok(Printed::report(lines, json))
}

/// Adds a model to the provider's list, if it isn't there with this price; another price of it is taken off.
pub(super) async fn offer_capability(
    acting: &Acting,
    registry: &[u8; 20],
    capability: &NewCapability,
) -> Result<Option<Receipt>, PaymentError> {
    let (reader, sender) = (&acting.chain.reader, acting.sender());
    let block = acting.block().await?;
    let known = reader
        .capabilities_at(&block, registry, &acting.account.0)
        .await?;
    let mut same = None;
    for (index, found) in (0..).zip(&known) {
        if found.model.as_bytes() != capability.model.as_bytes() {
            continue;
        }
        let is_same = (
            found.price_per_input_token,
            found.price_per_output_token,
            found.max_context,
        ) == (
            capability.price_per_input_token,
            capability.price_per_output_token,
            capability.max_context,
        );
        match (is_same, found.active) {
            (true, active) => same = same.or(Some((index, active))),
            (false, true) => drop(set_capability_active(&sender, (*registry).into(), index, false).await?),
            (false, false) => {}
        }
    }
    Ok(match same {
        Some((_, true)) => None,
        Some((index, false)) => Some(set_capability_active(&sender, (*registry).into(), index, true).await?),
        None => Some(add_capability(&sender, (*registry).into(), capability).await?),
    })
}

async fn registered_endpoint(acting: &Acting, actor: &OnChainActor) -> Result<String, PaymentError> {
    let registry = actor.on_chain.contract(Contract::ComputeRegistry)?;
    let block = acting.block().await?;
    let record = acting
        .chain
        .reader
        .provider_at(&block, &registry, &acting.account.0)
        .await?;
    record
        .and_then(|record| record.endpoint.as_str().map(str::to_owned))
        .ok_or_else(|| {
            PaymentError::Nothing(format!(
                "{} is no provider: jeju provider register",
                acting.account
            ))
        })
}

async fn change(arguments: &ChangeArguments, active: bool) -> Result<Printed, PaymentError> {
    let acting = arguments.actor.acting(Contract::InferenceServing).await?;
    let block = acting.block().await?;
    let services = acting
        .chain
        .reader
        .services_at(&block, &acting.contract, &acting.account.0)
        .await?;
    let found = services
        .iter()
        .find(|service| match (arguments.index, &arguments.model) {
            (Some(index), _) => service.index == index,
            (None, Some(model)) => service.model.as_bytes() == model.as_bytes() && service.active != active,
            (None, None) => false,
        });
    let service =
        found.ok_or_else(|| PaymentError::Nothing(format!("{} has no such service", acting.account)))?;
    let receipt =
        serving::set_service_active(&acting.sender(), acting.contract.into(), service.index, active).await?;
    let done = if active { "resumed" } else { "ended" };
    let lines = vec![
        format!("{done:<12}service {}: {}", service.index, service.model),
        format!("transaction {}", transaction(&receipt)),
    ];
    let json = json!({
        "provider": acting.account.to_string(),
        "service": service.index,
        "model": service.model.to_string(),
        "active": active,
    });
    Ok(Printed::report(lines, with_transaction(json, &receipt)))
}

async fn list(arguments: &ListArguments) -> Result<Printed, PaymentError> {
    let provider = arguments
        .actor
        .shown(arguments.provider.map(|provider| provider.0))?;
    let on_chain = &arguments.actor.on_chain;
    let contract = on_chain.contract(Contract::InferenceServing)?;
    let chain = on_chain.chain().await?;
    let block = chain.reader.newest_block().await?;
    let mut services = chain.reader.services_at(&block, &contract, &provider.0).await?;
    services.retain(|service| service.active || arguments.all);
    let lines = match services.is_empty() {
        true => vec![format!("{provider} offers no model")],
        false => services.iter().map(service_line).collect(),
    };
    let json = json!({
        "provider": provider.to_string(),
        "services": services.iter().map(service_json).collect::<Vec<_>>(),
    });
    Ok(Printed::report(lines, json))
}

pub(super) fn service_line(service: &Service) -> String {
    format!(
        "service     {}: {}, {} for a token of a prompt, {} of an answer{}",
        service.index,
        service.model,
        Amount(service.price_per_input_token),
        Amount(service.price_per_output_token),
        if service.active { "" } else { " (ended)" }
    )
}

pub(super) fn service_json(service: &Service) -> Value {
    json!({
        "service": service.index,
        "model": service.model.to_string(),
        "endpoint": service.endpoint.to_string(),
        "pricePerInputTokenWei": service.price_per_input_token.to_string(),
        "pricePerOutputTokenWei": service.price_per_output_token.to_string(),
        "active": service.active,
    })
}

fn note(lines: &mut Vec<String>, transactions: &mut Vec<Value>, receipt: &Receipt) {
    lines.push(format!("transaction {}", transaction(receipt)));
    transactions.push(transaction_json(receipt));
}
