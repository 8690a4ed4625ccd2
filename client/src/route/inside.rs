//! Routes to a port of a rental's container: the node is verified, the gateway's key gets a certificate, and the gateway is told
//! by which host key it knows the rental's SSH server.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use http::{HeaderMap, Method};
use jeju_attestation::hex_bytes::HexBytes;
use serde_json::{Value, json};

use super::RouteError;
use super::certificate::{Permit, Signer};
use crate::node_url::NodeUrl;
use crate::session::Limits;
use crate::ssh::node::RentalNode;
use crate::trust::TrustArguments;
use crate::via::GatewayApi;

/// Longest route, in hours: ten years.
const MAX_HOURS: u64 = 87_600;

/// What it takes beside a gateway. It reads what goes through such a route.
#[derive(Debug, Args)]
pub struct InsideArguments {
    /// Key that logs in to the rental; the agent signs where only FILE.pub is there
    #[arg(long, value_name = "FILE")]
    ssh_key: Option<PathBuf>,
    /// The rental's node, as https://host:port
    #[arg(long, value_name = "URL")]
    node: Option<NodeUrl>,
    /// By which rules it is judged
    #[command(flatten)]
    trust: TrustArguments,
    /// Hours that the gateway may go in [default: to the rental's end]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=MAX_HOURS))]
    hours: Option<u64>,
    /// Seconds until giving up on verifying the node
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// OpenSSH's ssh-keygen, 8.1 or later
    #[arg(long, value_name = "FILE", default_value = "ssh-keygen")]
    ssh_keygen: PathBuf,
}

/// What lets a gateway in.
#[derive(Debug)]
pub(super) struct Entry {
    certificate: String,
    host_key: String,
    /// The node's verdict, to be printed.
    pub(super) lines: Vec<String>,
}

impl Entry {
    /// As the gateway's API takes it.
    pub(super) fn body(&self) -> Value {
        json!({ "certificate": self.certificate, "hostKey": self.host_key })
    }
}

impl InsideArguments {
    /// Whether something was named that only counts for ports.
    pub(super) fn is_empty(&self) -> bool {
        self.ssh_key.is_none() && self.node.is_none() && self.hours.is_none()
    }

    /// Verifies the node, and has a certificate signed for the gateway's key.
    ///
    /// # Errors
    /// [`RouteError`]; nothing was sent to the gateway.
    pub(super) async fn entry(
        &self,
        gateway: &GatewayApi,
        rental: &HexBytes<32>,
        port: u16,
    ) -> Result<Entry, RouteError> {
        let ssh_key = self
            .ssh_key
            .as_deref()
            .ok_or(RouteError::Missing("--ssh-key FILE"))?;
        let url = self.node.as_ref().ok_or(RouteError::Missing("--node URL"))?;
        let key = route_key(gateway).await?;
        let limits = Limits {
            attest: Duration::from_secs(self.timeout),
            ..Limits::default()
        };
        let party = self.trust.relying_party().map_err(Box::new)?;
        let mut node = RentalNode::connect(url, party, limits).await.map_err(Box::new)?;
        let ends_at = node.active_until(rental).await.map_err(Box::new)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let left = (ends_at / 1000).saturating_sub(since.as_secs());
        let seconds = self
            .hours
            .map_or(left, |hours| hours.saturating_mul(3600).min(left));
        let permit = Permit {
            key: &key,
            rental,
            port,
            seconds: seconds.max(1),
        };
        let signer = Signer {
            program: &self.ssh_keygen,
            key: ssh_key,
        };
        Ok(Entry {
            certificate: signer.sign(&permit)?,
            host_key: node.host_key().line(),
            lines: node.lines(),
        })
    }
}

/// The key with which a gateway goes into containers. Nothing is lost where it lies: it gets no further than the certificate.
async fn route_key(gateway: &GatewayApi) -> Result<String, RouteError> {
    let failed = |reason| RouteError::Gateway {
        gateway: gateway.authority(),
        reason,
    };
    let asked = gateway.ask(
        Method::GET,
        "/v1/gateway/info",
        HeaderMap::new(),
        bytes::Bytes::new(),
    );
    let (_, body) = asked
        .await
        .map_err(|reason| failed(super::error::shown(&reason)))?;
    let info: Value = serde_json::from_slice(&body).unwrap_or_default();
    let key = info["routeKey"].as_str().map(str::to_owned);
    key.ok_or_else(|| failed("it makes no routes into containers".to_owned()))
}
