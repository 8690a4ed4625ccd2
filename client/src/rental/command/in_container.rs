//! `jeju rental script`, `logs`, `metrics` and `exec`: what the renter asks of a verified node.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use http::{Method, StatusCode};
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::signature::AccountKey;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::super::node::{Asked, chain_time, words};
use super::super::{Market, RentalError, RentalNode};
use super::{ActorArguments, Printed, rental_id};
use crate::error::Class;
use crate::files;
use crate::node_url::NodeUrl;

/// Longest script that a node takes, in bytes.
pub(super) const MAX_UPLOAD: usize = 256 * 1024;
/// Between two tries to hand a script over.
const RETRY: Duration = Duration::from_secs(3);

/// The rental, its node, and the renter.
#[derive(Debug, Clone, Args)]
pub struct NodeArguments {
    /// The rental
    #[arg(value_name = "RENTAL", value_parser = rental_id)]
    rental: HexBytes<32>,
    /// Its node, as https://host:port
    #[arg(long, value_name = "URL")]
    node: NodeUrl,
    #[command(flatten)]
    pub(super) actor: ActorArguments,
}

/// Options of `jeju rental script`.
#[derive(Debug, Clone, Args)]
pub struct ScriptArguments {
    #[command(flatten)]
    pub(super) node: NodeArguments,
    /// The script; its digest must be the one on chain
    #[arg(long, value_name = "FILE")]
    script: PathBuf,
    /// Seconds to wait for the node to see the rental
    #[arg(long, value_name = "SECONDS", default_value_t = 1200)]
    timeout: u64,
}

/// Options of `jeju rental logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArguments {
    #[command(flatten)]
    pub(super) node: NodeArguments,
    /// How many lines
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    tail: u32,
}

/// Options of `jeju rental metrics`.
#[derive(Debug, Clone, Args)]
pub struct MetricsArguments {
    #[command(flatten)]
    pub(super) node: NodeArguments,
}

/// Options of `jeju rental exec`.
#[derive(Debug, Clone, Args)]
pub struct ExecArguments {
    #[command(flatten)]
    pub(super) node: NodeArguments,
    /// Program and arguments; no shell reads them
    #[arg(value_name = "CMD", required = true, last = true)]
    command: Vec<String>,
}

/// The renter at its rental's node.
struct Renter {
    market: Market,
    node: RentalNode,
    account: AccountKey,
    rental: HexBytes<32>,
}

impl NodeArguments {
    async fn renter(&self) -> Result<Renter, RentalError> {
        let account = self.actor.account.read()?;
        let (market, node) = self.actor.market.market_and_node(Some(&self.node)).await?;
        Ok(Renter {
            market,
            node: node.ok_or(RentalError::Usage("name the node: --node URL"))?,
            account,
            rental: self.rental,
        })
    }
}

impl Renter {
    async fn ask(
        &mut self,
        method: Method,
        what: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Bytes, RentalError> {
        let asked = Asked {
            method,
            path: format!("/v1/rentals/{}/{what}", self.rental),
            body,
            account: Some(&self.account),
        };
        let now = chain_time(&self.market).await;
        self.node.ask(&asked, now).await
    }

    async fn document(
        &mut self,
        method: Method,
        what: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Value, RentalError> {
        let bytes = self.ask(method, what, body).await?;
        serde_json::from_slice(&bytes).map_err(|_| self.node.malformed("not JSON"))
    }
}

pub(super) async fn script(arguments: &ScriptArguments) -> Result<Printed, RentalError> {
    let bytes = files::read(&arguments.script, MAX_UPLOAD)?;
    if bytes.len() > MAX_UPLOAD {
        return Err(RentalError::ScriptLength {
            found: bytes.len(),
            most: MAX_UPLOAD,
        });
    }
    let mut renter = arguments.node.renter().await?;
    let block = renter.market.block().await?;
    let rental = renter.market.rental(&block, renter.rental).await?;
    let digest = sha256(&bytes);
    if rental.startup_script.as_str() != Some(&digest_text(&digest)) {
        return Err(RentalError::OtherScript {
            found: hex::encode(digest),
            expected: words(&rental.startup_script.to_string()),
        });
    }
    let Renter {
        market,
        node,
        account,
        rental,
    } = &mut renter;
    hand_over(market, node, account, *rental, &bytes, arguments.timeout).await?;
    let lines = vec![format!(
        "script      taken by the node, sha256:{}",
        hex::encode(digest)
    )];
    let json = json!({ "rentalId": rental, "scriptUploaded": true, "startupScript": digest_text(&digest) });
    Ok(Printed::report(lines, json))
}

pub(super) async fn logs(arguments: &LogsArguments) -> Result<Printed, RentalError> {
    let mut renter = arguments.node.renter().await?;
    let what = format!("logs?tail={}", arguments.tail);
    let text = renter.ask(Method::GET, &what, None).await?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let json = json!({ "rentalId": renter.rental, "logs": text });
    Ok(Printed::Output {
        stdout: text,
        stderr: String::new(),
        exit_code: 0,
        json,
    })
}

pub(super) async fn metrics(arguments: &MetricsArguments) -> Result<Printed, RentalError> {
    let mut renter = arguments.node.renter().await?;
    let document = renter.document(Method::GET, "metrics", None).await?;
    let object = document["metrics"]
        .as_object()
        .ok_or_else(|| renter.node.malformed("metrics are missing"))?;
    let line = |(name, value): (&String, &Value)| format!("{:<16}{}", words(name), words(&value.to_string()));
    let lines = object.iter().map(line).collect();
    Ok(Printed::report(lines, document))
}

pub(super) async fn exec(arguments: &ExecArguments) -> Result<Printed, RentalError> {
    let mut renter = arguments.node.renter().await?;
    let body = json!({ "command": arguments.command }).to_string();
    let body = Some(("application/json", Bytes::from(body)));
    let document = renter.document(Method::POST, "exec", body).await?;
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    let code = document["exitCode"]
        .as_i64()
        .ok_or_else(|| renter.node.malformed("exitCode is missing"))?;
    let mut stderr = text("stderr");
    if document["truncated"] == true {
        stderr.push_str("jeju: the output was cut off at the node's limit\n");
    }
    Ok(Printed::Output {
        stdout: text("stdout"),
        stderr,
        // As a shell would show it: what isn't a status of a process is a failure.
        exit_code: u8::try_from(code).unwrap_or(u8::MAX),
        json: document,
    })
}

/// Brings a script to the node, and waits until the node knows the rental: it looks at final blocks.
pub(super) async fn hand_over(
    market: &Market,
    node: &mut RentalNode,
    account: &AccountKey,
    rental: HexBytes<32>,
    script: &[u8],
    timeout: u64,
) -> Result<(), RentalError> {
    let asked = Asked {
        method: Method::PUT,
        path: format!("/v1/rentals/{rental}/script"),
        body: Some(("application/octet-stream", Bytes::copy_from_slice(script))),
        account: Some(account),
    };
    let started = Instant::now();
    let mut lost = false;
    loop {
        let now = chain_time(market).await;
        let error = match node.ask(&asked, now).await {
            Ok(_) => return Ok(()),
            // The answer to an earlier try was lost: the container has the script, which is no other than the digest's.
            Err(RentalError::Refused { code, .. }) if lost && code == "rental_script_not_expected" => {
                return Ok(());
            }
            Err(error) => error,
        };
        if !may_come(&error) || started.elapsed().as_secs() >= timeout {
            return Err(error);
        }
        lost |= matches!(error, RentalError::Node { .. });
        sleep(RETRY).await;
    }
}

/// Whether the same may work later.
fn may_come(error: &RentalError) -> bool {
    match error {
        RentalError::Refused { status, .. } if *status == StatusCode::NOT_FOUND => true,
        error => error.class() == Class::Network,
    }
}

/// What stands on chain for a script.
pub(super) fn digest_text(digest: &[u8; 32]) -> String {
    format!("sha256:{}", hex::encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_does_not_know_the_rental_yet_is_asked_again() {
        let refused = |status: u16| RentalError::Refused {
            node: "https://a:1".into(),
            status: StatusCode::from_u16(status).unwrap(),
            code: "code".into(),
            message: "words".into(),
        };
        for (status, again) in [
            (404, true),
            (429, true),
            (503, true),
            (403, false),
            (409, false),
            (422, false),
        ] {
            assert_eq!(may_come(&refused(status)), again, "{status}");
        }
    }
}
