//! The command: fetch, compare, and say what the receipt rests on.

use std::path::PathBuf;

use clap::Args;
use jeju_attestation::policy::Kind;
use serde_json::{Value, json};

use super::given::Given;
use super::{AnswerReceipt, Quoted, ReceiptError};
use crate::deployment::{Contract, OnChainArguments};
use crate::node_url::NodeUrl;
use crate::rental::command::Printed;
use crate::session::{Limits, Session};

/// Arguments of `jeju receipt`.
#[derive(Debug, Args)]
pub struct ReceiptArguments {
    /// Node, as https://host:port
    url: NodeUrl,
    /// Id of the answer, as the answer has it
    #[arg(required_unless_present = "exchange")]
    id: Option<String>,
    /// Compare with the answer that `jeju chat --save` has saved, and take the id from it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["request", "response"])]
    exchange: Option<PathBuf>,
    /// Compare with the request's body
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// Compare with the response's body, of a stream all of it
    #[arg(long, value_name = "FILE")]
    response: Option<PathBuf>,
    /// Fail unless a later quote vouches for the answer already
    #[arg(long)]
    quoted: bool,
    /// Ask AttestedKeyRegistry whether it takes the signature
    #[arg(long)]
    on_chain: bool,
    #[command(flatten)]
    place: OnChainArguments,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl ReceiptArguments {
    /// Fetches and checks the receipt.
    ///
    /// # Errors
    /// [`ReceiptError`]: the first check that fails.
    pub async fn run(&self) -> Result<Printed, ReceiptError> {
        let given = match &self.exchange {
            Some(path) => Given::exchange(path)?,
            None => Given::files(self.request.as_deref(), self.response.as_deref())?,
        };
        let id = self.id.clone().or_else(|| given.id()).ok_or(ReceiptError::NoId)?;
        let party = self.place.trust.relying_party()?;
        let mut session = Session::connect(&self.url, party.clone(), Limits::default()).await?;
        let receipt = AnswerReceipt::fetch(&mut session, &id).await?;
        let compared = given.compare(&receipt)?;
        let quoted = receipt.quoted(&mut session, &party).await?;
        if quoted.is_none() && self.quoted {
            return Err(ReceiptError::NotQuoted);
        }
        if self.on_chain {
            let chain = self.place.chain().await?;
            let keys = self.place.contract(Contract::AttestedKeyRegistry)?;
            receipt.on_chain(&chain, &keys).await?;
        }
        let found = Found {
            receipt,
            compared,
            quoted,
            on_chain: self.on_chain,
        };
        let mark = match session.verdict().kind {
            Kind::Production => "",
            Kind::Development => "[development] ",
        };
        let lines = found.lines().into_iter();
        let lines = lines.map(|(name, value)| format!("{mark}{name:<12}{value}"));
        Ok(Printed::Report {
            lines: lines.collect(),
            json: found.json(&self.url),
        })
    }
}

/// What was established.
struct Found {
    receipt: AnswerReceipt,
    compared: Vec<&'static str>,
    quoted: Option<Quoted>,
    on_chain: bool,
}

impl Found {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let AnswerReceipt {
            id,
            receipt,
            signature,
            signer,
            at,
            ..
        } = &self.receipt;
        let mut lines = vec![
            (
                "receipt",
                format!(
                    "{id}, {} tokens in, {} out",
                    receipt.input_units, receipt.output_units
                ),
            ),
            (
                "request",
                format!("sha-256 {}", hex::encode(receipt.request_digest)),
            ),
            (
                "response",
                format!("sha-256 {}", hex::encode(receipt.response_digest)),
            ),
            (
                "signer",
                format!(
                    "{signer}, epoch {}, block {}  <- the node's evidence",
                    receipt.epoch, receipt.anchor_block
                ),
            ),
        ];
        lines.push(match (at, signature) {
            (Some(at), Some(_)) => (
                "signed for",
                format!("AttestedKeyRegistry {} on chain {}", at.contract, at.chain_id),
            ),
            _ => ("signed for", "no contract".to_owned()),
        });
        if !self.compared.is_empty() {
            lines.push((
                "compared",
                format!("{}: the same bytes", self.compared.join(" and ")),
            ));
        }
        lines.push(match &self.quoted {
            Some(quoted) => (
                "quoted",
                format!(
                    "answer {} of {} in epoch {}  <- the quote of epoch {}",
                    quoted.index + 1,
                    quoted.count,
                    quoted.epoch,
                    u64::from(quoted.epoch) + 1
                ),
            ),
            None => ("quoted", "not yet: its epoch has not ended".to_owned()),
        });
        if self.on_chain {
            lines.push((
                "on chain",
                "the key is registered for the agent, and lives".to_owned(),
            ));
        }
        lines
    }

    fn json(&self, node: &NodeUrl) -> Value {
        let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
        let receipt = &self.receipt.receipt;
        json!({
            "status": "affirming",
            "node": node.to_string(),
            "id": self.receipt.id,
            "agentId": hex(&receipt.agent),
            "boot": hex(&receipt.boot),
            "requestId": hex(&receipt.request_id),
            "requestDigest": hex(&receipt.request_digest),
            "responseDigest": hex(&receipt.response_digest),
            "inputUnits": receipt.input_units,
            "outputUnits": receipt.output_units,
            "epoch": receipt.epoch,
            "anchorBlock": receipt.anchor_block,
            "signature": self.receipt.signature.map(|signature| signature.to_string()),
            "signer": self.receipt.signer.to_string(),
            "chainId": self.receipt.at.map(|at| at.chain_id),
            "keys": self.receipt.at.map(|at| at.contract.to_string()),
            "compared": self.compared,
            "quoted": self.quoted,
            "onChain": self.on_chain,
        })
    }
}
