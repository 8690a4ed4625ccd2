//! Verified sessions with the members of one network: whichever answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use http::Method;
use jeju_mpc::configuration::Founding;
use jeju_mpc::network::Network;
use jeju_wallet_auth::account::Account;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::error::MpcError;
use super::member::{Lent, Member, same};
use crate::node_url::NodeUrl;
use crate::relying_party::RelyingParty;
use crate::session::{Limits, unix_now};

/// How long before the latest that it may be a request is issued, in seconds: members read the chain at different moments.
const CLOCK_MARGIN: u64 = 4;
/// How far from this machine's clock that may be, in seconds.
const CLOCK_DISTANCE: u64 = 120;

/// How long a silent member is waited for: it costs a caller no more than this that one stands still.
const PATIENCE: Duration = Duration::from_secs(2);

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
    /// Who has the places in the first configuration, and who signs later ones.
    pub founding: Founding,
}

impl NetworkFacts {
    /// The network, as its members' own library knows it.
    pub(super) fn network(&self) -> Network {
        Network {
            genesis: self.genesis,
            chain_id: self.chain_id,
            threshold: self.threshold,
            members: self.members,
        }
    }
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
    /// After a silence of this long another member is asked as well.
    pub(super) patience: Duration,
    members: Vec<Member>,
    /// Who answered last.
    preferred: usize,
    network: Option<NetworkFacts>,
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
            patience: PATIENCE,
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
        let mut order = self.order();
        let mut opening = FuturesUnordered::new();
        let mut first = None;
        loop {
            if opening.is_empty() {
                let Some(at) = order.next() else { break };
                opening.push(self.lend(at).opened());
            }
            tokio::select! {
                Some((asked, outcome)) = opening.next() => match outcome {
                    Ok(facts) => {
                        self.preferred = asked.at;
                        self.take_back(asked)?;
                        return Ok(facts);
                    }
                    Err(error) => worst(&mut first, error),
                },
                () = sleep(self.patience) => opening.extend(order.next().map(|at| self.lend(at).opened())),
            }
        }
        Err(first.unwrap_or(MpcError::NoNode))
    }

    /// Asks the members in turn until one answers; who answered last is the first. A member that can't be reached, isn't
    /// what the policy asks for, can't do it now, or answers something that `check` doesn't accept, is passed over; where one
    /// is silent for `patience`, the next is asked beside it.
    pub async fn ask<T>(
        &mut self,
        path: &str,
        body: &Bytes,
        patience: Duration,
        check: impl Fn(Answer) -> Result<T, MpcError>,
    ) -> Result<T, MpcError> {
        let mut order = self.order();
        let mut asking = FuturesUnordered::new();
        let mut first = None;
        loop {
            if asking.is_empty() {
                let Some(at) = order.next() else { break };
                asking.push(self.lend(at).post(path, body));
            }
            tokio::select! {
                Some((asked, outcome)) = asking.next() => {
                    let at = asked.at;
                    match self.take_back(asked).and(outcome).and_then(&check) {
                        Ok(checked) => {
                            self.preferred = at;
                            return Ok(checked);
                        }
                        Err(error) if error.is_of_one_member() => worst(&mut first, error),
                        Err(error) => return Err(error),
                    }
                }
                () = sleep(patience) => asking.extend(order.next().map(|at| self.lend(at).post(path, body))),
            }
        }
        Err(first.unwrap_or(MpcError::NoNode))
    }

    /// Takes a member out to be asked beside others. Its place keeps its address, so that one that never answers is just one
    /// without a session.
    pub(super) fn lend(&mut self, at: usize) -> Lent {
        let url = self.members[at].url.clone();
        Lent {
            at,
            member: std::mem::replace(&mut self.members[at], Member::new(url)),
            network: self.network.clone(),
            party: self.party.clone(),
            limits: self.limits,
        }
    }

    /// Puts a member back. The first one that was verified says what the network is, and who else is in it.
    ///
    /// # Errors
    /// [`MpcError::OtherNetwork`], of members that were asked at the same time before any was known.
    pub(super) fn take_back(&mut self, lent: Lent) -> Result<(), MpcError> {
        let Lent { at, member, .. } = lent;
        if let Some((found, named)) = member.facts() {
            match &self.network {
                Some(expected) => same(&member, expected, &found)?,
                None => {
                    self.network = Some(found);
                    for url in named {
                        if self.members.iter().all(|member| member.url != url) {
                            self.members.push(Member::new(url));
                        }
                    }
                }
            }
        }
        self.members[at] = member;
        Ok(())
    }

    /// Asks one member, by its place in the list.
    pub async fn ask_member(
        &mut self,
        at: usize,
        method: &Method,
        path: &str,
        body: &Bytes,
    ) -> Result<Answer, MpcError> {
        let (asked, outcome) = self.lend(at).ask(method, path, body).await;
        self.take_back(asked).and(outcome)
    }

    /// Asks all members the same thing at the same time.
    pub(super) async fn ask_all(&mut self, path: &str) -> Vec<(usize, Result<Answer, MpcError>)> {
        let lent: Vec<_> = (0..self.members.len()).map(|at| self.lend(at)).collect();
        let nothing = Bytes::new();
        let asking = lent
            .into_iter()
            .map(|lent| lent.ask(&Method::GET, path, &nothing));
        let mut answers = Vec::new();
        for (lent, outcome) in join_all(asking).await {
            let at = lent.at;
            answers.push((at, self.take_back(lent).and(outcome)));
        }
        answers
    }

    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, count) = (self.preferred, self.members.len());
        (0..count).map(move |at| (first + at) % count)
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
        let patience = self.patience;
        let lent: Vec<_> = (0..self.members.len()).map(|at| self.lend(at)).collect();
        let reading = lent.into_iter().map(|mut lent| async move {
            let read = timeout(patience, lent.member.read_clock()).await;
            (lent, read)
        });
        for (mut lent, read) in join_all(reading).await {
            if read.is_err() {
                lent.member.session = None;
            }
            // It was of this network before.
            let _ = self.take_back(lent);
        }
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
