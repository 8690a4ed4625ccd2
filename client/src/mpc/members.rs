//! Verified sessions with the members of one network: whichever answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_wallet_auth::account::Account;
use serde_json::Value;

use super::error::MpcError;
use crate::error::Error;
use crate::node_url::NodeUrl;
use crate::relying_party::RelyingParty;
use crate::session::{Limits, Session, SessionError, VerifiedBody, unix_now};

/// How long before the latest that it may be a request is issued, in seconds: members read the chain at different moments.
const CLOCK_MARGIN: u64 = 4;
/// How far from this machine's clock that may be, in seconds.
const CLOCK_DISTANCE: u64 = 120;

/// What the verified launch document of a member says of its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFacts {
    /// Its name, for people.
    pub name: String,
    /// Its name for ever.
    pub genesis: [u8; 32],
    /// Chain that requests are bound to.
    pub chain_id: u64,
    /// How many members must sign.
    pub threshold: u16,
    /// How many there are.
    pub members: u16,
    /// The contract that makes wallets.
    pub wallet_factory: Option<Account>,
}

/// A member's answer: a JSON object, signed by the member's verified key.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Who gave it.
    pub node: NodeUrl,
    /// The member, by its agent id, as its evidence says. Two addresses may be one member's.
    pub agent: [u8; 32],
    /// What it says.
    pub body: Value,
}

/// Members that can be asked.
pub struct Members {
    party: Arc<RelyingParty>,
    limits: Limits,
    members: Vec<Member>,
    /// Who answered last.
    preferred: usize,
    network: Option<NetworkFacts>,
}

struct Member {
    url: NodeUrl,
    session: Option<Session>,
    /// The latest that it may be, as this member said, and when it did.
    clock: Option<(u64, Instant)>,
}

impl Member {
    fn new(url: NodeUrl) -> Self {
        Self {
            url,
            session: None,
            clock: None,
        }
    }
}

/// Shorter than for inference, since another member can be asked instead.
pub fn limits() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        attest: Duration::from_secs(20),
        response: Duration::from_secs(40),
        ..Limits::default()
    }
}

impl Members {
    /// The members at these addresses, under what the party trusts.
    ///
    /// # Errors
    /// [`MpcError::NoNode`].
    pub fn new(nodes: &[NodeUrl], party: Arc<RelyingParty>, limits: Limits) -> Result<Self, MpcError> {
        if nodes.is_empty() {
            return Err(MpcError::NoNode);
        }
        Ok(Self {
            party,
            limits,
            members: nodes.iter().cloned().map(Member::new).collect(),
            preferred: 0,
            network: None,
        })
    }

    /// How many addresses there are: those given, and once a member was verified those that it names.
    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// Address of a member, by its place in the list.
    pub(super) fn url(&self, at: usize) -> &NodeUrl {
        &self.members[at].url
    }

    /// What the first member that can be reached and passes says of the network.
    pub async fn network(&mut self) -> Result<NetworkFacts, MpcError> {
        if let Some(network) = &self.network {
            return Ok(network.clone());
        }
        let mut first = None;
        for at in self.order() {
            match self.open(at).await {
                Ok(facts) => return Ok(facts),
                Err(error) => worst(&mut first, error),
            }
        }
        Err(first.unwrap_or(MpcError::NoNode))
    }

    /// Asks the members in turn until one answers; who answered last is the first. A member that can't be reached, isn't
    /// what the policy asks for, can't do it now, or answers something that `check` doesn't accept, is passed over.
    pub async fn ask<T>(
        &mut self,
        path: &str,
        body: &Bytes,
        check: impl Fn(Answer) -> Result<T, MpcError>,
    ) -> Result<T, MpcError> {
        let mut first = None;
        for at in self.order() {
            let outcome = self.ask_member(at, &Method::POST, path, body).await;
            match outcome.and_then(&check) {
                Ok(checked) => {
                    self.preferred = at;
                    return Ok(checked);
                }
                Err(error) if error.is_of_one_member() => worst(&mut first, error),
                Err(error) => return Err(error),
            }
        }
        Err(first.unwrap_or(MpcError::NoNode))
    }

    /// Asks one member, by its place in the list.
    pub async fn ask_member(
        &mut self,
        at: usize,
        method: &Method,
        path: &str,
        body: &Bytes,
    ) -> Result<Answer, MpcError> {
        // A session that ended since it was used last is no reason to go elsewhere.
        for fresh in [false, true] {
            if fresh {
                self.members[at].session = None;
            }
            self.open(at).await?;
            let member = &mut self.members[at];
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
        Err(node_error(
            &self.members[at].url,
            SessionError::SessionOver.into(),
        ))
    }

    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, count) = (self.preferred, self.members.len());
        (0..count).map(move |at| (first + at) % count)
    }

    /// Makes sure that there is a verified session, with a member of the same network as all others.
    async fn open(&mut self, at: usize) -> Result<NetworkFacts, MpcError> {
        let member = &mut self.members[at];
        let open = member.session.as_ref().is_some_and(|session| !session.is_over());
        if let (true, Some(network)) = (open, &self.network) {
            return Ok(network.clone());
        }
        member.session = None;
        let session = Session::connect(&member.url, self.party.clone(), self.limits)
            .await
            .map_err(|source| node_error(&member.url, source))?;
        let found = facts(session.launch()).ok_or_else(|| MpcError::NotASigner(member.url.to_string()))?;
        match &self.network {
            Some(expected) if *expected != found => {
                return Err(MpcError::OtherNetwork {
                    node: member.url.to_string(),
                    found: HexBytes(found.genesis).to_string(),
                    expected: HexBytes(expected.genesis).to_string(),
                });
            }
            Some(_) => {}
            None => {
                self.network = Some(found.clone());
                let named = addresses(session.launch());
                for url in named {
                    if self.members.iter().all(|member| member.url != url) {
                        self.members.push(Member::new(url));
                    }
                }
            }
        }
        self.members[at].session = Some(session);
        self.read_clock(at).await;
        Ok(found)
    }

    /// When a request is to be issued so that members take it: they remember nothing of what was issued before they started,
    /// by the latest that it may have been then, and nothing is issued later than it may be now. So the latest is best, a
    /// little before that of each member that was heard. No member's word moves it far from this machine's own clock.
    pub(super) fn time_of_issue(&self) -> u64 {
        let now = unix_now();
        let clocks = self.members.iter().filter_map(|member| member.clock);
        let latest = clocks
            .map(|(latest, at)| latest.saturating_add(at.elapsed().as_secs()))
            .min();
        latest.map_or(now, |latest| {
            latest
                .saturating_sub(CLOCK_MARGIN)
                .clamp(now.saturating_sub(CLOCK_DISTANCE), now + CLOCK_DISTANCE)
        })
    }

    /// Asks all members that are connected anew what time it is.
    pub(super) async fn read_clocks(&mut self) {
        for at in 0..self.members.len() {
            self.read_clock(at).await;
        }
    }

    async fn read_clock(&mut self, at: usize) {
        let member = &mut self.members[at];
        member.clock = None;
        let Some(session) = &mut member.session else {
            return;
        };
        let asked = Instant::now();
        let answer = session.request(Method::GET, "/mpc/status", HeaderMap::new(), Bytes::new());
        // Who doesn't say is asked all the same.
        if let Ok(response) = answer.await
            && let VerifiedBody::Whole(body) = response.body
            && let Ok(status) = serde_json::from_slice::<Value>(&body)
        {
            member.clock = status["time"]["upper"].as_u64().map(|latest| (latest, asked));
        }
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

/// Of several errors the one that says most: a refusal by the network before one that kept us from asking it.
fn worst(first: &mut Option<MpcError>, error: MpcError) {
    let refused = matches!(error, MpcError::Refused { .. });
    match first {
        Some(MpcError::Refused { .. }) => {}
        Some(_) if !refused => {}
        _ => *first = Some(error),
    }
}
