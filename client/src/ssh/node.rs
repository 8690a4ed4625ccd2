//! A node that rents out machines, verified: its host key, where one logs in, and who can look into the containers.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::launch::rentals::{Isolation, Rentals};
use jeju_attestation::policy::Kind;
use serde_json::Value;

use super::SshError;
use super::host_key::{HostKey, KnownName};
use super::place::Place;
use crate::node_url::NodeUrl;
use crate::relying_party::RelyingParty;
use crate::session::{Limits, Session, VerifiedBody};
use crate::verify;

/// Status on chain of a rental that one can log in to.
const ACTIVE: &str = "active";

/// A verified node with an SSH host key.
pub struct RentalNode {
    url: NodeUrl,
    session: Session,
    rentals: Rentals,
    key: HostKey,
}

impl RentalNode {
    /// Verifies a node as `jeju verify` does. That policy accepts rentals, and where they run, is part of that.
    ///
    /// # Errors
    /// [`SshError::Refused`]; [`SshError::NoRentals`] and [`SshError::NoHostKey`] for a node that is verified and rents out nothing.
    pub async fn connect(url: &NodeUrl, party: Arc<RelyingParty>, limits: Limits) -> Result<Self, SshError> {
        let session = Session::connect(url, party, limits).await?;
        // Appraised, so that neither can fail.
        let document = LaunchDocument::parse(session.launch()).map_err(|_| SshError::NoRentals)?;
        let keys = session.keys().map_err(|_| SshError::NoHostKey)?;
        Ok(Self {
            url: url.clone(),
            session,
            rentals: document.rentals.ok_or(SshError::NoRentals)?,
            key: HostKey(keys.ssh.ok_or(SshError::NoHostKey)?),
        })
    }

    /// The host key that the evidence names.
    pub fn host_key(&self) -> HostKey {
        self.key
    }

    /// The name under which OpenSSH knows the key: made from the agent, whatever address leads there.
    pub fn alias(&self) -> KnownName {
        let agent = hex::encode(&self.session.verdict().agent.0[..8]);
        let name = format!("jeju-{agent}");
        name.parse().expect("letters, digits and a hyphen")
    }

    /// Where one logs in, as the launch document says.
    ///
    /// # Errors
    /// [`SshError::Place`].
    pub fn place(&self) -> Result<Place, SshError> {
        Place::new(&self.rentals.host, self.rentals.port)
    }

    /// Whether one can log in to a rental now, as the node says of it.
    ///
    /// # Errors
    /// [`SshError::UnknownRental`], [`SshError::NotActive`], and others where the node doesn't answer.
    pub async fn check_active(&mut self, rental: &HexBytes<32>) -> Result<(), SshError> {
        self.active(rental).await.map(drop)
    }

    /// The same, and when its time ends, in milliseconds since 1970.
    ///
    /// # Errors
    /// As [`RentalNode::check_active`].
    pub async fn active_until(&mut self, rental: &HexBytes<32>) -> Result<u64, SshError> {
        let said = self.active(rental).await?;
        said["endTime"].as_u64().ok_or(SshError::Answer("without an end"))
    }

    async fn active(&mut self, rental: &HexBytes<32>) -> Result<Value, SshError> {
        let path = format!("/v1/rentals/{rental}");
        let asking = self
            .session
            .request(Method::GET, &path, HeaderMap::new(), Bytes::new());
        let response = asking.await?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(SshError::UnknownRental(rental.to_string())),
            status => return Err(SshError::Status(status)),
        }
        let VerifiedBody::Whole(body) = response.body else {
            return Err(SshError::Answer("a stream"));
        };
        let said: Value = serde_json::from_slice(&body).map_err(|_| SshError::Answer("not JSON"))?;
        let status = said["statusName"].as_str();
        let status = status.ok_or(SshError::Answer("without a status"))?;
        if status == ACTIVE {
            return Ok(said);
        }
        // How far the node has come with one that isn't on chain yet.
        let state = said["state"].as_str().unwrap_or("state unknown");
        Err(SshError::NotActive {
            rental: rental.to_string(),
            status: printable(&format!("{status} ({state})")),
        })
    }

    /// The verdict's lines, the host key, and who can look into the containers.
    pub fn lines(&self) -> Vec<String> {
        let verdict = self.session.verdict();
        let mark = match verdict.kind {
            Kind::Production => "",
            Kind::Development => "[development] ",
        };
        let mut lines = verify::lines(&self.url, verdict);
        lines.push(format!(
            "{mark}{:<12}{}  <- key list, named in the quote's claims",
            "ssh key",
            self.key.fingerprint()
        ));
        let who = match self.rentals.isolation {
            Isolation::Host => {
                "host: who runs the machine can read and change everything in the container; not confidential"
            }
        };
        lines.push(format!("{mark}{:<12}{who}  <- launch document", "isolation"));
        lines
    }
}

fn printable(text: &str) -> String {
    let known = |c: &char| c.is_ascii_alphanumeric() || " -_()".contains(*c);
    text.chars().filter(known).take(60).collect()
}
