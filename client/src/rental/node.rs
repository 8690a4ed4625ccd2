//! A verified session with a node that takes rentals.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::launch::rentals::Isolation;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::AccountKey;
use jeju_wallet_auth::v2::Audience;
use serde_json::Value;

use super::error::Fact;
use super::{Market, RentalError, authority};
use crate::error::Error;
use crate::node_url::NodeUrl;
use crate::relying_party::RelyingParty;
use crate::session::{Limits, Session, SessionError, VerifiedBody, unix_now};

/// Longest words of a node that are shown.
const MAX_WORDS: usize = 300;

/// What a verified node's launch document says of its rentals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RentalFacts {
    /// `ComputeRental`.
    pub contract: HexBytes<20>,
    /// Whose rentals it takes.
    pub provider: HexBytes<20>,
    /// Who can look into containers.
    pub isolation: Isolation,
    /// Whom signed requests are for.
    pub audience: Audience,
}

/// A request to a node.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// HTTP method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Body, and what it is.
    pub body: Option<(&'static str, Bytes)>,
    /// Whose request it is; none: nobody's.
    pub account: Option<&'a AccountKey>,
}

/// A node, and a session with it that is opened anew when it has ended.
pub struct RentalNode {
    url: NodeUrl,
    party: Arc<RelyingParty>,
    session: Session,
    facts: RentalFacts,
}

/// Commands in containers may take a while; what the node allows them is its own limit.
fn limits() -> Limits {
    Limits {
        response: Duration::from_secs(180),
        ..Limits::default()
    }
}

impl<'a> Asked<'a> {
    /// Something to read.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: None,
            account: None,
        }
    }

    /// The same by an account.
    pub fn by(self, account: &'a AccountKey) -> Self {
        Self {
            account: Some(account),
            ..self
        }
    }
}

impl RentalNode {
    /// Verifies the node, and reads what it says of rentals.
    ///
    /// # Errors
    /// Of each [`crate::error::Class`].
    pub async fn connect(url: &NodeUrl, party: Arc<RelyingParty>) -> Result<Self, RentalError> {
        let session = open(url, &party).await?;
        let facts = facts(&session).ok_or_else(|| RentalError::NotRented(url.to_string()))?;
        Ok(Self {
            url: url.clone(),
            party,
            session,
            facts,
        })
    }

    /// What its launch document says.
    pub fn facts(&self) -> &RentalFacts {
        &self.facts
    }

    /// Its address.
    pub fn url(&self) -> &NodeUrl {
        &self.url
    }

    /// Whether the node is of this contract and chain.
    ///
    /// # Errors
    /// [`RentalError::Other`].
    pub fn check(&self, market: &Market) -> Result<(), RentalError> {
        if self.facts.contract.0 != market.contract {
            let expected = HexBytes(market.contract);
            return Err(self.other(Fact::Contract, &self.facts.contract, &expected));
        }
        if self.facts.audience.chain_id != market.chain_id {
            return Err(self.other(Fact::Chain, &self.facts.audience.chain_id, &market.chain_id));
        }
        Ok(())
    }

    /// Whether the node takes the rentals of this provider.
    ///
    /// # Errors
    /// [`RentalError::Other`].
    pub fn check_provider(&self, provider: Account) -> Result<(), RentalError> {
        match self.facts.provider.0 == provider.0 {
            true => Ok(()),
            false => Err(self.other(Fact::Provider, &Account(self.facts.provider.0), &provider)),
        }
    }

    /// Asks, and returns the body of a good answer. `now` is the time by the chain's newest block, for signatures.
    ///
    /// # Errors
    /// [`RentalError::Refused`], or of each [`crate::error::Class`].
    pub async fn ask(&mut self, asked: &Asked<'_>, now: u64) -> Result<Bytes, RentalError> {
        // A session that ended since it was used last is opened anew, and nothing of the request was sent then.
        for fresh in [false, true] {
            if fresh || self.session.is_over() {
                self.session = open(&self.url, &self.party).await?;
                // Whoever answers there now may be of another launch document.
                let found =
                    facts(&self.session).ok_or_else(|| RentalError::NotRented(self.url.to_string()))?;
                if (found.contract, found.provider) != (self.facts.contract, self.facts.provider) {
                    return Err(self.other(Fact::Contract, &found.contract, &self.facts.contract));
                }
                self.facts = found;
            }
            let Asked { method, path, .. } = asked;
            let (kind, body) = asked.body.clone().unzip();
            let body = body.unwrap_or_default();
            let mut headers = match asked.account {
                Some(account) => authority::headers(account, &self.facts.audience, method, path, &body, now)?,
                None => HeaderMap::new(),
            };
            if let Some(kind) = kind {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            }
            match self.session.request(method.clone(), path, headers, body).await {
                Ok(response) => return self.answer(response.status, response.body),
                Err(Error::Session(SessionError::SessionOver)) if !fresh => {}
                Err(source) => return Err(node_error(&self.url, source)),
            }
        }
        Err(node_error(&self.url, SessionError::SessionOver.into()))
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// As [`RentalNode::ask`].
    pub async fn document(&mut self, asked: &Asked<'_>, now: u64) -> Result<Value, RentalError> {
        let body = self.ask(asked, now).await?;
        serde_json::from_slice(&body).map_err(|_| self.malformed("not JSON"))
    }

    /// An answer of another form than was asked for.
    pub fn malformed(&self, what: &'static str) -> RentalError {
        RentalError::Answer {
            node: self.url.to_string(),
            what,
        }
    }

    fn answer(&self, status: StatusCode, body: VerifiedBody) -> Result<Bytes, RentalError> {
        let VerifiedBody::Whole(body) = body else {
            return Err(self.malformed("a stream, which nobody asked for"));
        };
        if status.is_success() {
            return Ok(body);
        }
        let document: Value = serde_json::from_slice(&body).unwrap_or_default();
        let error = &document["error"];
        match (error["code"].as_str(), error["message"].as_str()) {
            (Some(code), Some(message)) => Err(RentalError::Refused {
                node: self.url.to_string(),
                status,
                code: words(code),
                message: words(message),
            }),
            _ => Err(self.malformed("an error without code and text")),
        }
    }

    fn other(&self, what: Fact, found: &dyn ToString, expected: &dyn ToString) -> RentalError {
        RentalError::Other {
            node: self.url.to_string(),
            what,
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}

/// A node's text, printable and cut.
pub(crate) fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
}

/// The time by the chain's newest block, which is what nodes judge signatures by; this machine's clock where the chain can't
/// be asked.
pub async fn chain_time(market: &Market) -> u64 {
    market
        .reader
        .newest_timestamp()
        .await
        .unwrap_or_else(|_| unix_now())
}

async fn open(url: &NodeUrl, party: &Arc<RelyingParty>) -> Result<Session, RentalError> {
    Session::connect(url, party.clone(), limits())
        .await
        .map_err(|source| node_error(url, source))
}

fn facts(session: &Session) -> Option<RentalFacts> {
    let document = LaunchDocument::parse(session.launch()).ok()?;
    let rentals = document.rentals?;
    Some(RentalFacts {
        contract: rentals.contract,
        provider: rentals.provider,
        isolation: rentals.isolation,
        audience: Audience {
            chain_id: document.chain.id,
            registry: Account(document.chain.registry.0),
            node: document.node.agent.0,
        },
    })
}

fn node_error(url: &NodeUrl, source: Error) -> RentalError {
    RentalError::Node {
        node: url.to_string(),
        source: Box::new(source),
    }
}
