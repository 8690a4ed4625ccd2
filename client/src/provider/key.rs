//! `jeju provider key`: registers the key by which a node's enclave signs receipts, so that contracts know whose they are. The
//! committee verifies the node's evidence, and the agent's owner, which this account is, agrees to the key.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{HeaderMap, Method};
use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::ClaimsBuffer;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::{Block, CallData};
use jeju_contracts::attested_keys::{self, Registration};
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::{Domain, address as word_of, hash_struct, number};
use serde_json::json;

use super::update::Report;
use crate::committee::{CommitteeError, KeyRequest, Proof};
use crate::deployment::Contract;
use crate::ledger::actor::{Acting, OnChainActor};
use crate::node_url::NodeUrl;
use crate::payment::PaymentError;
use crate::rental::RentalError;
use crate::rental::command::Printed;
use crate::session::{Limits, Session, VerifiedBody, unix_now};
use crate::trust::address;

const EVIDENCE: &str = "/.well-known/jeju/evidence";
const CONSENT: &str = "KeyConsent(uint256 agentId,uint64 agentEpoch,address key,bytes32 claimsDigest,uint64 expiry,uint32 nonce)";
/// What `causeOfDeath` counts, in its order.
const CAUSES: [&str; 10] = [
    "live",
    "unknown",
    "revoked",
    "recorded",
    "agent",
    "measurement",
    "hardware",
    "verifier",
    "tcb",
    "expiry",
];

/// The key by which a node's enclave signs receipts.
#[derive(Debug, Clone, Subcommand)]
pub enum KeyCommand {
    /// Write what the committee is asked for: a node's evidence, and until when its key is to count
    Request(Box<RequestArguments>),
    /// Register the key that the committee vouches for
    Register(Box<RegisterArguments>),
    /// Show whether a key is live
    Show(Box<ShowArguments>),
}

/// Options of `jeju provider key request`.
#[derive(Debug, Clone, Args)]
pub struct RequestArguments {
    /// The provider's node, as https://host:port; it is verified
    #[arg(long, value_name = "URL")]
    node: NodeUrl,
    /// Hours for which the key is to count; contracts allow 168 at most
    #[arg(long, value_name = "HOURS", default_value_t = 144, value_parser = clap::value_parser!(u64).range(1..=168))]
    hours: u64,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    actor: OnChainActor,
}

/// Options of `jeju provider key register`.
#[derive(Debug, Clone, Args)]
pub struct RegisterArguments {
    /// What the committee was asked for
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// What it signed, as `jeju committee sign` writes it
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    #[command(flatten)]
    actor: OnChainActor,
}

/// Options of `jeju provider key show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArguments {
    /// Account of the key
    #[arg(value_name = "ADDRESS", value_parser = address)]
    signer: HexBytes<20>,
    #[command(flatten)]
    actor: OnChainActor,
}

impl KeyCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            KeyCommand::Request(arguments) => arguments.actor.json,
            KeyCommand::Register(arguments) => arguments.actor.json,
            KeyCommand::Show(arguments) => arguments.actor.json,
        }
    }

    pub(super) async fn run(&self) -> Result<Printed, PaymentError> {
        match self {
            KeyCommand::Request(arguments) => request(arguments).await,
            KeyCommand::Register(arguments) => register(arguments).await,
            KeyCommand::Show(arguments) => show(arguments).await,
        }
    }
}

async fn request(arguments: &RequestArguments) -> Result<Printed, PaymentError> {
    let on_chain = &arguments.actor.on_chain;
    let party = on_chain.trust.relying_party().map_err(RentalError::from)?;
    let mut session = Session::connect(&arguments.node, party.clone(), Limits::default()).await?;
    let response = session
        .request(Method::GET, EVIDENCE, HeaderMap::new(), Bytes::new())
        .await?;
    let VerifiedBody::Whole(evidence) = response.body else {
        return Err(PaymentError::Answer("evidence as a stream"));
    };
    let claims = claims(&evidence)?;
    if claims.claims().boot != session.claims().boot {
        return Err(PaymentError::Answer("evidence of another boot"));
    }
    let now = match on_chain.chain().await {
        Ok(chain) => chain.reader.newest_timestamp().await?,
        Err(_) => unix_now(),
    };
    let request = KeyRequest {
        evidence: evidence.to_vec(),
        expiry: now + arguments.hours * 3600,
    };
    request.write(&arguments.out)?;
    let key = session.signer()?;
    let lines = vec![
        format!("key         {key}"),
        format!("agent       {}", HexBytes(claims.claims().agent)),
        format!(
            "request     {}, until {}",
            arguments.out.display(),
            request.expiry
        ),
    ];
    let json = json!({
        "key": key.to_string(),
        "agent": HexBytes(claims.claims().agent),
        "claimsDigest": HexBytes(claims.digest()),
        "expiry": request.expiry,
    });
    Ok(Printed::report(lines, json))
}

async fn register(arguments: &RegisterArguments) -> Result<Printed, PaymentError> {
    let request = KeyRequest::read(&arguments.request)?;
    let Proof { statement, signature } = Proof::read(&arguments.proof)?;
    let claims = claims(&request.evidence)?;
    if claims.digest() != statement.claims_digest.0 {
        return Err(CommitteeError::Request("the proof is of another request").into());
    }
    let acting = arguments.actor.acting(Contract::AttestedKeyRegistry).await?;
    let key = arguments.actor.account.read().map_err(RentalError::from)?;
    let registry = Registry {
        acting: &acting,
        block: acting.block().await?,
    };
    // What is signed is made up here, of two numbers that the chain has: no endpoint says what this account signs.
    let consent = Domain {
        name: "Jeju AttestedKeyRegistry",
        version: "1",
        chain_id: acting.chain.chain_id,
        contract: Account(acting.contract),
    };
    let members = [
        statement.agent_id.0,
        registry.agent_epoch(&statement.agent_id.0).await?,
        word_of(&Account(statement.key.0)),
        statement.claims_digest.0,
        number(statement.expiry),
        registry.nonce(&statement.key.0).await?,
    ];
    let consent = key.sign(&consent.digest(&hash_struct(CONSENT, &members)));
    let registration = Registration {
        platform: statement.platform,
        measurement: statement.measurement.0,
        hardware: statement.hardware.0,
        agent: statement.agent_id.0,
        claims_digest: statement.claims_digest.0,
        launch_digest: statement.launch_digest.0,
        key: statement.key.0,
        tcb_status: statement.tcb_status,
        expiry: statement.expiry,
        claims: claims.bytes(),
        proof: &signature.0,
        consent: &consent.0,
    };
    let sender = acting.sender();
    let receipt = attested_keys::register(&sender, acting.contract.into(), &registration).await?;
    let mut report = Report::new(acting.account.to_string());
    report.done("key", Account(statement.key.0).to_string(), &receipt);
    Ok(report.printed())
}

async fn show(arguments: &ShowArguments) -> Result<Printed, PaymentError> {
    let on_chain = &arguments.actor.on_chain;
    let contract = on_chain.contract(Contract::AttestedKeyRegistry)?;
    let reader = on_chain.chain().await?.reader;
    let block = reader.newest_block().await?;
    let call = CallData::new("causeOfDeath(address)").address(&arguments.signer.0);
    let answer = reader.call_at(&block, &contract, &call.encode(), 64).await?;
    let cause = answer.as_deref().and_then(|answer| answer.get(31)).copied();
    let cause = cause.and_then(|cause| CAUSES.get(usize::from(cause)));
    let cause =
        *cause.ok_or_else(|| PaymentError::Nothing("no AttestedKeyRegistry answers there".to_owned()))?;
    let key = Account(arguments.signer.0);
    let live = cause == CAUSES[0];
    let lines = vec![match live {
        true => format!("key         {key}: live"),
        false => format!("key         {key}: dead ({cause})"),
    }];
    let cause = (!live).then_some(cause);
    Ok(Printed::report(
        lines,
        json!({ "key": key.to_string(), "live": live, "cause": cause }),
    ))
}

/// The claims-buffer of an evidence bundle.
fn claims(evidence: &[u8]) -> Result<ClaimsBuffer, PaymentError> {
    let bundle = Bundle::parse(evidence).map_err(|_| PaymentError::Answer("not an evidence bundle"))?;
    ClaimsBuffer::parse(&bundle.claims).map_err(|_| PaymentError::Answer("not a claims-buffer"))
}

/// `AttestedKeyRegistry` at one block.
struct Registry<'a> {
    acting: &'a Acting,
    block: Block,
}

impl Registry<'_> {
    /// The agent's epoch.
    async fn agent_epoch(&self, agent: &[u8; 32]) -> Result<[u8; 32], PaymentError> {
        let identity = self
            .word(&self.acting.contract, CallData::new("identity()"), 0)
            .await?;
        let mut at = [0; 20];
        at.copy_from_slice(&identity[12..]);
        self.word(&at, CallData::new("agentEpoch(uint256)").word(*agent), 0)
            .await
    }

    /// How often the key was registered before: the last word of its record.
    async fn nonce(&self, key: &[u8; 20]) -> Result<[u8; 32], PaymentError> {
        let call = CallData::new("recordOf(address)").address(key);
        self.word(&self.acting.contract, call, 12).await
    }

    async fn word(&self, contract: &[u8; 20], call: CallData, at: usize) -> Result<[u8; 32], PaymentError> {
        let reader = &self.acting.chain.reader;
        let answer = reader.call_at(&self.block, contract, &call.encode(), 512).await?;
        let word = answer
            .as_deref()
            .and_then(|answer| answer.as_chunks::<32>().0.get(at).copied());
        word.ok_or_else(|| PaymentError::Nothing("no AttestedKeyRegistry answers there".to_owned()))
    }
}
