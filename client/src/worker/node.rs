//! A verified session with a node that takes workers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jeju_attestation::launch::LaunchDocument;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::AccountKey;
use jeju_wallet_auth::v2::Audience;
use jeju_worker_protocol::api::{ErrorBody, Listed, WORKERS, WorkerList};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::WorkerError;
use crate::error::Error;
use crate::node_url::NodeUrl;
use crate::relying_party::RelyingParty;
use crate::rental::authority;
use crate::session::{Limits, Session, SessionError, VerifiedBody, VerifiedResponse};

/// Longest words of a node that are shown, in characters.
const MAX_WORDS: usize = 2000;
const JSON: &str = "application/json";

/// A node, and a session with it that is opened anew when it has ended.
pub struct WorkersNode {
    url: NodeUrl,
    party: Arc<RelyingParty>,
    session: Session,
    audience: Audience,
    /// Who asks, where somebody must.
    account: Option<AccountKey>,
}

/// What a node is asked.
pub struct Asked {
    /// HTTP method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// End-to-end header fields.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Whether the account signs it.
    pub signed: bool,
}

impl Asked {
    /// Something that only a worker's owner may ask.
    pub fn owner(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            signed: true,
        }
    }

    /// The same with a document.
    pub fn with(self, document: &impl Serialize) -> Self {
        let mut headers = self.headers;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        Self {
            headers,
            // Strings, numbers, lists and maps with text as keys always are JSON.
            body: serde_json::to_vec(document).unwrap_or_default().into(),
            ..self
        }
    }
}

/// What a worker has time for may be long.
fn limits() -> Limits {
    Limits {
        response: Duration::from_secs(960),
        // A log may say nothing for long; its keep-alive comments come sooner.
        stall: Duration::from_secs(120),
        ..Limits::default()
    }
}

impl WorkersNode {
    /// Verifies the node.
    ///
    /// # Errors
    /// Of each [`crate::error::Class`].
    pub async fn connect(
        url: &NodeUrl,
        party: Arc<RelyingParty>,
        account: Option<AccountKey>,
    ) -> Result<Self, WorkerError> {
        let session = open(url, &party).await?;
        Ok(Self {
            audience: audience(url, &session)?,
            url: url.clone(),
            party,
            session,
            account,
        })
    }

    /// Its address.
    pub fn url(&self) -> &NodeUrl {
        &self.url
    }

    /// What was established about it.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Who asks.
    ///
    /// # Errors
    /// Where nobody does.
    pub fn account(&self) -> Result<Account, WorkerError> {
        let key = self
            .account
            .as_ref()
            .ok_or(crate::wallet::AccountKeyError::Nothing)?;
        Ok(key.account())
    }

    /// The key that secrets are sealed to: of this boot of the node, as its evidence has it.
    ///
    /// # Errors
    /// [`WorkerError::NoSealingKey`].
    pub fn sealing_key(&self) -> Result<[u8; 32], WorkerError> {
        let keys = self.session.keys().ok();
        keys.map(|keys| keys.hpke)
            .filter(|key| *key != [0; 32])
            .ok_or_else(|| WorkerError::NoSealingKey(self.url.to_string()))
    }

    /// Asks, and returns the answer, whatever its status.
    ///
    /// # Errors
    /// Of each [`crate::error::Class`].
    pub async fn ask(&mut self, asked: &Asked) -> Result<VerifiedResponse, WorkerError> {
        // A session that ended since it was used last is opened anew, and nothing of the request was sent then.
        for fresh in [false, true] {
            if fresh || self.session.is_over() {
                self.session = open(&self.url, &self.party).await?;
                self.audience = audience(&self.url, &self.session)?;
            }
            let mut headers = asked.headers.clone();
            if asked.signed {
                headers.extend(self.signature(asked).await?);
            }
            let body = asked.body.clone();
            match self
                .session
                .request(asked.method.clone(), &asked.path, headers, body)
                .await
            {
                Ok(response) => return Ok(response),
                Err(Error::Session(SessionError::SessionOver)) if !fresh => {}
                Err(source) => return Err(node_error(&self.url, source)),
            }
        }
        Err(node_error(&self.url, SessionError::SessionOver.into()))
    }

    async fn signature(&self, asked: &Asked) -> Result<HeaderMap, WorkerError> {
        let account = self
            .account
            .as_ref()
            .ok_or(crate::wallet::AccountKeyError::Nothing)?;
        let now = self.party.chain_time().await;
        authority::headers(
            account,
            &self.audience,
            &asked.method,
            &asked.path,
            &asked.body,
            now,
        )
        .map_err(|_| WorkerError::Random)
    }

    /// Asks the node itself for a document.
    ///
    /// # Errors
    /// [`WorkerError::Refused`], or of each [`crate::error::Class`].
    pub async fn document<T: DeserializeOwned>(&mut self, asked: &Asked) -> Result<T, WorkerError> {
        let response = self.ask(asked).await?;
        if response.worker.is_some() {
            return Err(self.malformed("a worker's, where the node was asked"));
        }
        let VerifiedBody::Whole(body) = response.body else {
            return Err(self.malformed("a stream, which nobody asked for"));
        };
        if !response.status.is_success() {
            return Err(self.refused(response.status, &body));
        }
        serde_json::from_slice(&body).map_err(|_| self.malformed("another document than was asked for"))
    }

    /// The account's workers.
    ///
    /// # Errors
    /// As [`WorkersNode::document`].
    pub async fn workers(&mut self) -> Result<Vec<Listed>, WorkerError> {
        let list: WorkerList = self.document(&Asked::owner(Method::GET, WORKERS)).await?;
        Ok(list.workers)
    }

    /// The account's worker of this id or name.
    ///
    /// # Errors
    /// [`WorkerError::Unknown`], or as [`WorkersNode::document`].
    pub async fn worker(&mut self, named: &str) -> Result<Listed, WorkerError> {
        let workers = self.workers().await?;
        let by = |fits: fn(&Listed, &str) -> bool| workers.iter().find(|worker| fits(worker, named));
        by(|worker, id| worker.worker_id == id)
            .or_else(|| by(|worker, name| worker.name == name))
            .cloned()
            .ok_or_else(|| WorkerError::Unknown(words(named)))
    }

    /// Why the node refuses.
    pub fn refused(&self, status: StatusCode, body: &[u8]) -> WorkerError {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(ErrorBody { error, code, stack }) => WorkerError::Refused {
                node: self.url.to_string(),
                status,
                code: words(&code),
                message: match stack {
                    Some(stack) => format!("{}\n{}", words(&error), words(&stack)),
                    None => words(&error),
                },
            },
            Err(_) => self.malformed("an error without code and text"),
        }
    }

    /// An answer of another form than was asked for.
    pub fn malformed(&self, what: &'static str) -> WorkerError {
        WorkerError::Malformed {
            node: self.url.to_string(),
            what,
        }
    }
}

/// A node's text, cut, and without what could play tricks on a terminal.
pub fn words(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .take(MAX_WORDS)
        .collect()
}

async fn open(url: &NodeUrl, party: &Arc<RelyingParty>) -> Result<Session, WorkerError> {
    Session::connect(url, party.clone(), limits())
        .await
        .map_err(|source| node_error(url, source))
}

fn audience(url: &NodeUrl, session: &Session) -> Result<Audience, WorkerError> {
    let document = LaunchDocument::parse(session.launch()).ok();
    let document = document.filter(|document| document.workers.is_some());
    let document = document.ok_or_else(|| WorkerError::NotTaken(url.to_string()))?;
    Ok(Audience {
        chain_id: document.chain.id,
        registry: Account(document.chain.registry.0),
        node: document.node.agent.0,
    })
}

/// What kept the node from answering.
pub fn node_error(url: &NodeUrl, source: Error) -> WorkerError {
    WorkerError::Node {
        node: url.to_string(),
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_no_escape_sequences() {
        assert_eq!(words("a\u{1b}[2J\nb\tc\r"), "a[2J\nb\tc");
        assert_eq!(words(&"a".repeat(MAX_WORDS + 1)).len(), MAX_WORDS);
    }
}
