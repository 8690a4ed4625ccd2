//! Who has the network's places: read from its members, and verified from the first configuration on.
//!
//! The first one stands in the launch document, whose digest the policy names. Each later one counts if governance signed it
//! and the network's root key approves it, whoever shows it. What no member of those that answered knows can't be found out.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::authority::payload::HexData;
use jeju_mpc::configuration::{Approved, Chain, Configuration, ConfigurationError, Place, Proposal};
use jeju_mpc::network::Scheme;
use serde::Deserialize;

use super::answer::{bytes_of, wrong};
use super::client::MpcClient;
use super::error::MpcError;
use super::members::{Answer, NetworkFacts};
use super::signature::GroupKey;
use crate::node_url::NodeUrl;

/// The configurations of a network, and who says what of them.
#[derive(Debug)]
pub struct Configurations {
    /// The network.
    pub facts: NetworkFacts,
    /// All of them, verified.
    pub chain: Chain,
    /// What each member says, or why it doesn't.
    pub nodes: Vec<(NodeUrl, Result<Said, MpcError>)>,
}

/// What a member says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its agent id, as its evidence says.
    pub agent: [u8; 32],
    /// Number of the configuration in force.
    pub number: u32,
    /// The root key, where it has a share of it.
    pub root_key: Option<[u8; 33]>,
    /// Digest of the next configuration that it approves, where it approved one.
    pub approves: Option<[u8; 32]>,
}

/// The key that approves, and by whose word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKey {
    /// Governance names it in each later configuration, and it approved them.
    Governance([u8; 33]),
    /// So many members name it.
    Members([u8; 33], usize),
}

impl RootKey {
    /// The key.
    pub fn bytes(&self) -> [u8; 33] {
        match self {
            RootKey::Governance(key) | RootKey::Members(key, _) => *key,
        }
    }
}

/// Answer to `GET /mpc/configuration`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    number: u32,
    digest: HexBytes<32>,
    root_key: Option<HexBytes<33>>,
    approves: Option<HexBytes<32>>,
    configurations: Vec<Shown>,
}

#[derive(Deserialize)]
struct Shown {
    proposal: Proposal,
    approval: HexBytes<65>,
}

impl Configurations {
    /// The root key: governance's where there is a later configuration, else the one that most members name.
    pub fn root_key(&self) -> Option<RootKey> {
        if let Some(key) = self.chain.root_key() {
            return Some(RootKey::Governance(key));
        }
        let votes = |key: &[u8; 33]| self.names(key);
        let said = self.nodes.iter().filter_map(|(_, said)| said.as_ref().ok());
        said.filter_map(|said| said.root_key)
            .max_by_key(votes)
            .map(|key| RootKey::Members(key, votes(&key)))
    }

    /// How many members with a place name this root key.
    fn names(&self, key: &[u8; 33]) -> usize {
        let places = self.chain.places();
        let said = self.nodes.iter().filter_map(|(_, said)| said.as_ref().ok());
        said.filter(|said| said.root_key == Some(*key))
            .map(|said| said.agent)
            .filter(|agent| places.iter().any(|place| place.agent.0 == *agent))
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// What governance is to sign so that these places pass to others next. Fewer members than must sign could make up a root
    /// key of their own.
    ///
    /// # Errors
    /// [`MpcError::NotConfirmed`], [`MpcError::Payload`], and [`MpcError::Configuration`] where no member would take it.
    pub fn draft(&self, changes: &[(u16, Place)]) -> Result<Configuration, MpcError> {
        let needed = usize::from(self.facts.threshold);
        let root_key = match self.root_key() {
            Some(RootKey::Members(_, confirmed)) if confirmed < needed => Err(confirmed),
            None => Err(0),
            Some(root_key) => Ok(root_key.bytes()),
        };
        let root_key = root_key.map_err(|confirmed| MpcError::NotConfirmed {
            confirmed,
            needed,
            last: None,
        })?;
        let mut places = self.chain.places().to_vec();
        let mut seen = BTreeSet::new();
        for (index, place) in changes {
            let at = usize::from(*index).checked_sub(1);
            match at.and_then(|at| places.get_mut(at)) {
                Some(changed) if seen.insert(index) => *changed = *place,
                _ => {
                    return Err(MpcError::Payload(format!(
                        "no place {index}, or it is given twice"
                    )));
                }
            }
        }
        let configuration = self.chain.draft(root_key, places);
        let unsigned = Proposal {
            configuration,
            signature: HexData(Vec::new()),
        };
        match self.chain.judge(&unsigned, Some(root_key)) {
            // All that is missing.
            Ok(()) | Err(ConfigurationError::Governance) => Ok(unsigned.configuration),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes in a configuration that a member shows: the next one, or one that is known.
    fn take(&mut self, answer: &Answer, proposal: Proposal, approval: [u8; 65]) -> Result<(), MpcError> {
        let next = &proposal.configuration;
        let (number, known) = (next.number, self.chain.digest_of(next.number));
        if known == Some(next.digest()) {
            return Ok(());
        }
        let approved = GroupKey::parse(&next.root_key.0)
            .and_then(|key| key.verify(Scheme::Secp256k1, &next.approved_message(), &approval));
        if approved.is_err() {
            return Err(wrong(answer, "a configuration is not approved by the root key"));
        }
        let next = Approved { proposal, approval };
        let adopted = match known {
            None => self.chain.adopt(next, None),
            Some(_) => self.before(number).adopt(next, None),
        };
        match adopted {
            Ok(()) if known.is_some() => Err(MpcError::Conflict {
                node: answer.node.to_string(),
                number,
            }),
            Ok(()) => Ok(()),
            Err(_) => Err(wrong(
                answer,
                "a configuration does not follow, or is not governance's",
            )),
        }
    }

    /// The chain before a number.
    fn before(&self, number: u32) -> Chain {
        let mut before = Chain::new(self.facts.network(), self.facts.founding.clone());
        for later in self
            .chain
            .all_later()
            .iter()
            .take(number.saturating_sub(1) as usize)
        {
            if before.adopt(later.clone(), None).is_err() {
                break;
            }
        }
        before
    }
}

impl MpcClient {
    /// What the members say of the network's configurations, verified.
    ///
    /// # Errors
    /// Of each [`crate::error::Class`]; [`MpcError::Conflict`] where two members have different ones in force.
    pub async fn configurations(&mut self) -> Result<Configurations, MpcError> {
        let facts = self.network().await?;
        let chain = Chain::new(facts.network(), facts.founding.clone());
        let nodes = Vec::new();
        let mut known = Configurations { facts, chain, nodes };
        for (at, answer) in self.members.ask_all("/mpc/configuration?from=1").await {
            let url = self.members.url(at).clone();
            let said = match answer {
                Ok(answer) => self.hear_all(at, answer, &mut known).await,
                Err(error) => Err(error),
            };
            match said {
                Err(conflict @ MpcError::Conflict { .. }) => return Err(conflict),
                said => known.nodes.push((url, said)),
            }
        }
        match known.nodes.iter().any(|(_, said)| said.is_ok()) {
            true => Ok(known),
            false => {
                let errors = known.nodes.into_iter().filter_map(|(_, said)| said.err());
                Err(errors.last().unwrap_or(MpcError::NoNode))
            }
        }
    }

    /// Takes in all that a member shows, page by page.
    async fn hear_all(
        &mut self,
        at: usize,
        mut answer: Answer,
        known: &mut Configurations,
    ) -> Result<Said, MpcError> {
        let mut shown = 0;
        loop {
            let page = Page::deserialize(&answer.body)
                .map_err(|_| wrong(&answer, "not a list of configurations"))?;
            let before = shown;
            for Shown { proposal, approval } in page.configurations {
                if proposal.configuration.number != shown + 1 {
                    return Err(wrong(&answer, "configurations are not in order"));
                }
                known.take(&answer, proposal, approval.0)?;
                shown += 1;
            }
            if shown == page.number {
                if known.chain.digest_of(shown) != Some(page.digest.0) {
                    return Err(wrong(&answer, "digest is not the configuration's"));
                }
                let root_key = page.root_key.map(|key| key.0);
                if let (Some(named), Some(found)) = (known.chain.root_key(), root_key)
                    && named != found
                {
                    return Err(wrong(&answer, "rootKey is another one than governance's"));
                }
                return Ok(Said {
                    agent: answer.agent,
                    number: shown,
                    root_key,
                    approves: page.approves.map(|digest| digest.0),
                });
            }
            if shown == before || shown > page.number {
                return Err(wrong(&answer, "number is not that of the last configuration"));
            }
            let path = format!("/mpc/configuration?from={}", shown + 1);
            answer = self
                .members
                .ask_member(at, &Method::GET, &path, &Bytes::new())
                .await?;
        }
    }

    /// Brings a configuration that governance signed to the members, until one of them shows it approved.
    ///
    /// # Errors
    /// [`MpcError`]: what no member would take isn't sent.
    pub async fn configure(&mut self, proposal: &Proposal) -> Result<Configurations, MpcError> {
        let known = self.configurations().await?;
        let configuration = &proposal.configuration;
        let (number, digest) = (configuration.number, configuration.digest());
        if number == known.chain.number() && digest == known.chain.digest() {
            return Ok(known);
        }
        let root_key = known.root_key().map(|key| key.bytes());
        known.chain.judge(proposal, root_key)?;
        let body = Bytes::from(proposal.to_bytes());
        let patience = self.members.patience;
        self.members
            .ask("/mpc/configure", &body, patience, |answer| {
                match bytes_of::<32>(&answer, "digest")? == digest && answer.body["number"] == number {
                    true => Ok(()),
                    false => Err(wrong(&answer, "another configuration than the proposed one")),
                }
            })
            .await?;
        let known = self.configurations().await?;
        match known.chain.digest_of(number) == Some(digest) {
            true => Ok(known),
            false => Err(ConfigurationError::Approval.into()),
        }
    }
}
