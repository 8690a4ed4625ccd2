//! One member, and the verified session with it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_mpc::configuration::Founding;
use jeju_wallet_auth::account::Account;
use serde_json::Value;

use super::error::MpcError;
use super::members::{Answer, NetworkFacts};
use crate::error::Error;
use crate::node_url::NodeUrl;
use crate::relying_party::RelyingParty;
use crate::session::{Limits, Session, SessionError, VerifiedBody};

/// A member that can be asked.
pub(super) struct Member {
    pub(super) url: NodeUrl,
    pub(super) session: Option<Session>,
    /// The latest that it may be, as this member said, and when it did.
    pub(super) clock: Option<(u64, Instant)>,
}

impl Member {
    pub(super) fn new(url: NodeUrl) -> Self {
        Self {
            url,
            session: None,
            clock: None,
        }
    }

    /// What it says of its network, and where the others are, while there is a session.
    pub(super) fn facts(&self) -> Option<(NetworkFacts, Vec<NodeUrl>)> {
        let launch = self.session.as_ref()?.launch();
        Some((facts(launch)?, addresses(launch)))
    }

    pub(super) async fn read_clock(&mut self) {
        self.clock = None;
        let Some(session) = &mut self.session else {
            return;
        };
        let asked = Instant::now();
        let answer = session.request(Method::GET, "/mpc/status", HeaderMap::new(), Bytes::new());
        // Who doesn't say is asked all the same.
        if let Ok(response) = answer.await
            && let VerifiedBody::Whole(body) = response.body
            && let Ok(status) = serde_json::from_slice::<Value>(&body)
        {
            self.clock = status["time"]["upper"].as_u64().map(|latest| (latest, asked));
        }
    }
}

/// A member that was taken out of the list to be asked beside others.
pub(super) struct Lent {
    /// Its place in the list.
    pub(super) at: usize,
    pub(super) member: Member,
    /// What it must be a member of, where that is known.
    pub(super) network: Option<NetworkFacts>,
    pub(super) party: Arc<RelyingParty>,
    pub(super) limits: Limits,
}

impl Lent {
    /// Makes sure that there is a session.
    pub(super) async fn opened(mut self) -> (Self, Result<NetworkFacts, MpcError>) {
        let outcome = self.open().await;
        (self, outcome)
    }

    /// Sends it a request.
    pub(super) async fn post(self, path: &str, body: &Bytes) -> (Self, Result<Answer, MpcError>) {
        self.ask(&Method::POST, path, body).await
    }

    pub(super) async fn ask(
        mut self,
        method: &Method,
        path: &str,
        body: &Bytes,
    ) -> (Self, Result<Answer, MpcError>) {
        let outcome = self.asked(method, path, body).await;
        (self, outcome)
    }

    async fn asked(&mut self, method: &Method, path: &str, body: &Bytes) -> Result<Answer, MpcError> {
        // A session that ended since it was used last is no reason to go elsewhere.
        for fresh in [false, true] {
            if fresh {
                self.member.session = None;
            }
            self.open().await?;
            let member = &mut self.member;
            let Some(session) = &mut member.session else {
                continue;
            };
            let headers = match body.is_empty() {
                true => HeaderMap::new(),
                false => HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]),
            };
            let url = member.url.clone();
            let agent = session.verdict().agent.0;
            match session.request(method.clone(), path, headers, body.clone()).await {
                Ok(response) => return answer(url, agent, response.status, response.body),
                Err(Error::Session(SessionError::SessionOver)) if !fresh => {}
                Err(source) => {
                    member.session = None;
                    member.clock = None;
                    return Err(node_error(&url, source));
                }
            }
        }
        Err(node_error(&self.member.url, SessionError::SessionOver.into()))
    }

    /// Makes sure that there is a verified session, with a member of the same network as all others.
    async fn open(&mut self) -> Result<NetworkFacts, MpcError> {
        let member = &mut self.member;
        let open = member.session.as_ref().is_some_and(|session| !session.is_over());
        if let (true, Some(network)) = (open, &self.network) {
            return Ok(network.clone());
        }
        member.session = None;
        let session = Session::connect(&member.url, self.party.clone(), self.limits)
            .await
            .map_err(|source| node_error(&member.url, source))?;
        let found = facts(session.launch()).ok_or_else(|| MpcError::NotASigner(member.url.to_string()))?;
        if let Some(expected) = &self.network {
            same(member, expected, &found)?;
        }
        member.session = Some(session);
        member.read_clock().await;
        Ok(found)
    }
}

/// Whether a member is of the network that it has to be of.
///
/// # Errors
/// [`MpcError::OtherNetwork`].
pub(super) fn same(member: &Member, expected: &NetworkFacts, found: &NetworkFacts) -> Result<(), MpcError> {
    match expected == found {
        true => Ok(()),
        false => Err(MpcError::OtherNetwork {
            node: member.url.to_string(),
            found: HexBytes(found.genesis).to_string(),
            expected: HexBytes(expected.genesis).to_string(),
        }),
    }
}

/// Where a launch document says that members are. Whether they are is for each one's own evidence to show.
fn addresses(launch: &[u8]) -> Vec<NodeUrl> {
    let mpc = LaunchDocument::parse(launch)
        .ok()
        .and_then(|document| document.mpc);
    let members = mpc.map(|mpc| mpc.members).unwrap_or_default();
    members
        .iter()
        .filter_map(|member| format!("https://{}", member.address).parse().ok())
        .collect()
}

/// What a launch document says of the network.
fn facts(launch: &[u8]) -> Option<NetworkFacts> {
    let document = LaunchDocument::parse(launch).ok()?;
    let mpc = document.mpc?;
    Some(NetworkFacts {
        genesis: mpc.genesis(),
        chain_id: document.chain.id,
        threshold: mpc.threshold,
        members: u16::try_from(mpc.members.len()).ok()?,
        wallet_factory: mpc.wallet_factory.map(|factory| Account(factory.0)),
        founding: Founding::of(&mpc),
        name: mpc.network,
    })
}

fn answer(
    node: NodeUrl,
    agent: [u8; 32],
    status: StatusCode,
    body: VerifiedBody,
) -> Result<Answer, MpcError> {
    let malformed = |what| MpcError::Answer {
        node: node.to_string(),
        what,
    };
    let VerifiedBody::Whole(bytes) = body else {
        return Err(malformed("a stream, which nobody asked for"));
    };
    let body: Value = serde_json::from_slice(&bytes).map_err(|_| malformed("not JSON"))?;
    if status == StatusCode::OK {
        return Ok(Answer { node, agent, body });
    }
    // Refusals have text and code on one level; errors of the HTTP layer have an object, as on port 4007.
    let error = &body["error"];
    let code = body["code"].as_str().or(error["code"].as_str());
    let message = error.as_str().or(error["message"].as_str());
    let printable = |text: &str| {
        text.chars()
            .filter(|c| !c.is_control())
            .take(300)
            .collect::<String>()
    };
    match (code, message) {
        (Some(code), Some(message)) => Err(MpcError::Refused {
            node: node.to_string(),
            status,
            code: printable(code),
            message: printable(message),
        }),
        _ => Err(malformed("an error without code and text")),
    }
}

fn node_error(url: &NodeUrl, source: Error) -> MpcError {
    MpcError::Node {
        node: url.to_string(),
        source: Box::new(source),
    }
}
