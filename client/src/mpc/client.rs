//! Asks a network for keys and signatures, and believes no answer that it can't check.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::Method;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::authority::build::Draft;
use jeju_mpc::authority::document::{Address, KeyDocument, Policy};
use jeju_mpc::authority::payload::Payload;
use jeju_mpc::authority::request::Asked;
use jeju_wallet_auth::signature::AccountKey;

use super::answer::{bytes_of, checked_key, checked_signature, wallet, wrong};
use super::error::MpcError;
use super::key::Key;
use super::member::Lent;
use super::members::{Answer, Members, NetworkFacts, limits};
use super::votes::Votes;
use crate::node_url::NodeUrl;
use crate::relying_party::RelyingParty;

/// How long a request lives, in seconds.
const LIFE: u64 = 300;
/// What a member says of a request whose answer was lost on its way back.
const REPLAYED: &str = "mpc_request_replayed";
/// What a member says of a request that was issued too late, or before it started.
const ISSUED: &str = "mpc_request_time";
/// What it says where others refuse for that or another passing reason.
const OTHERS_REFUSE: &str = "mpc_members_refuse";
/// How often a request is made anew, and how long after a member that had just started refused it.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(3);
/// How long another member isn't asked beside one for what takes all of them.
const ALL_MEMBERS: Duration = Duration::from_secs(25);

/// A network of signers, as a user trusts it.
pub struct MpcClient {
    pub(super) members: Members,
}

/// A signature that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The 32 bytes that were signed.
    pub message: [u8; 32],
    /// 65 bytes (R compressed, z), or 64 of BIP-340.
    pub signature: Vec<u8>,
    /// The same as contracts take it, 96 bytes; not of BIP-340.
    pub contract_signature: Option<[u8; 96]>,
    /// Places of the members that signed, by the word of the one that answered.
    pub signers: Vec<u16>,
    /// Members that broke the protocol meanwhile, by the same word.
    pub culprits: Vec<u16>,
}

impl MpcClient {
    /// For the nodes at these addresses, and those that they name as members.
    ///
    /// # Errors
    /// [`MpcError::NoNode`].
    pub fn new(nodes: &[NodeUrl], party: Arc<RelyingParty>) -> Result<Self, MpcError> {
        Ok(Self {
            members: Members::new(nodes, party, limits())?,
        })
    }

    /// How long a member may be silent before another one is asked beside it; 2 s otherwise.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.members.patience = patience;
        self
    }

    /// What the network is.
    ///
    /// # Errors
    /// Of each [`crate::error::Class`].
    pub async fn network(&mut self) -> Result<NetworkFacts, MpcError> {
        self.members.network().await
    }

    /// Finds or makes a key. As many members as must sign are asked, and have to name the same public key: fewer could
    /// name one of their own.
    ///
    /// # Errors
    /// [`MpcError`].
    pub async fn keygen(&mut self, account: &AccountKey, document: &KeyDocument) -> Result<Key, MpcError> {
        let facts = self.network().await?;
        let mut votes = Votes::new(facts.threshold);
        let (first, public_key, id) = self
            .ask(
                "/mpc/keygen",
                document,
                &Asked::Keygen {},
                &[account],
                |answer, draft| {
                    let key = checked_key(&answer, draft, document, &facts)?;
                    Ok((answer, key, draft.key_id()))
                },
            )
            .await?;
        votes.add(&first, Ok(public_key));
        self.hear_others(&mut votes, &first.node, &facts, document, account)
            .await?;
        let public_key = votes.count()?;
        Ok(Key {
            version: 1,
            network: HexBytes(facts.genesis),
            chain_id: facts.chain_id,
            key: document.clone(),
            policies: Vec::new(),
            key_id: HexBytes(id.0),
            public_key: HexBytes(*public_key.bytes()),
            wallet_address: wallet(&facts, document.scheme, &public_key).map(Address),
        })
    }

    /// Has something signed.
    ///
    /// # Errors
    /// [`MpcError`]; a signature that doesn't verify under the key is never handed on.
    pub async fn sign(
        &mut self,
        account: &AccountKey,
        key: &Key,
        payload: &Payload,
    ) -> Result<Signed, MpcError> {
        self.same_network(key).await?;
        let action = Asked::Sign {
            payload: payload.clone(),
            policy_version: key.policy().version,
        };
        self.ask("/mpc/sign", &key.key, &action, &[account], |answer, draft| {
            checked_signature(&answer, draft, key)
        })
        .await
    }

    /// Gives all shares of the key's root new values. Returns how often that was done.
    ///
    /// # Errors
    /// [`MpcError`].
    pub async fn refresh(&mut self, account: &AccountKey, key: &Key) -> Result<u32, MpcError> {
        self.same_network(key).await?;
        self.ask(
            "/mpc/refresh",
            &key.key,
            &Asked::Refresh {},
            &[account],
            |answer, _| {
                if bytes_of::<33>(&answer, "publicKey")? != key.public_key.0 {
                    return Err(wrong(&answer, "publicKey is another one than the key's"));
                }
                answer.body["generation"]
                    .as_u64()
                    .and_then(|generation| u32::try_from(generation).ok())
                    .ok_or_else(|| wrong(&answer, "generation is missing"))
            },
        )
        .await
    }

    /// Puts another policy in force: the version after the key's, with what follows from that filled in. Returns the key
    /// with it.
    ///
    /// # Errors
    /// [`MpcError`]; [`MpcError::Refused`] with `mpc_owners_missing` unless as many owners sign as the key asks for.
    pub async fn set_policy(
        &mut self,
        owners: &[&AccountKey],
        key: &Key,
        policy: Policy,
    ) -> Result<Key, MpcError> {
        self.same_network(key).await?;
        let before = key.policy();
        let policy = Policy {
            version: before.version + 1,
            previous: HexBytes(before.digest()),
            ..policy
        };
        let history = &key.policies[key.policies.len().saturating_sub(MAX_HISTORY)..];
        let action = Asked::Policy {
            policy: policy.clone(),
            history: history.to_vec(),
        };
        self.ask("/mpc/policy", &key.key, &action, owners, |answer, _| {
            match answer.body["policyVersion"] == policy.version {
                true => Ok(()),
                false => Err(wrong(&answer, "policyVersion is another one than the policy's")),
            }
        })
        .await?;
        let mut key = key.clone();
        key.policies.push(policy);
        Ok(key)
    }

    /// What each member says of itself, or why it doesn't.
    pub async fn status(&mut self) -> Vec<(NodeUrl, Result<Answer, MpcError>)> {
        let mut all = Vec::new();
        // The list grows with the members that the first answer names.
        let mut at = 0;
        while at < self.members.count() {
            let answer = self
                .members
                .ask_member(at, &Method::GET, "/mpc/status", &Bytes::new())
                .await;
            all.push((self.members.url(at).clone(), answer));
            at += 1;
        }
        all
    }

    async fn same_network(&mut self, key: &Key) -> Result<(), MpcError> {
        let facts = self.network().await?;
        match key.is_of(&facts) {
            true => Ok(()),
            false => Err(MpcError::OtherNetwork {
                node: facts.name,
                found: HexBytes(facts.genesis).to_string(),
                expected: key.network.to_string(),
            }),
        }
    }

    /// Sends a request to whichever member answers. Members know a request by its nonce, so that bringing it to a second one
    /// does nothing twice; where its answer was lost, it is made anew.
    async fn ask<T>(
        &mut self,
        path: &str,
        document: &KeyDocument,
        action: &Asked,
        owners: &[&AccountKey],
        check: impl Fn(Answer, &Draft) -> Result<T, MpcError>,
    ) -> Result<T, MpcError> {
        let facts = self.network().await?;
        // New shares take all members, so that one which stands still is missing whoever is asked; and two that coordinate
        // might both give new ones.
        let patience = match action {
            Asked::Refresh {} => ALL_MEMBERS,
            _ => self.members.patience,
        };
        let mut attempts = 1;
        loop {
            let draft = self.draft(&facts, document, action)?;
            let body = body(&draft, owners)?;
            let outcome = self
                .members
                .ask(path, &body, patience, |answer| check(answer, &draft))
                .await;
            match outcome {
                Err(MpcError::Refused { code, .. }) if code == REPLAYED && attempts < ATTEMPTS => {}
                Err(MpcError::Refused { code, .. })
                    if (code == ISSUED || code == OTHERS_REFUSE) && attempts < ATTEMPTS =>
                {
                    tokio::time::sleep(PAUSE).await;
                    self.members.read_clocks().await;
                }
                outcome => return outcome,
            }
            attempts += 1;
        }
    }

    /// Asks the other members which key they name, each by a request of its own, until as many name the same as must sign. One
    /// that is silent isn't waited for.
    async fn hear_others(
        &mut self,
        votes: &mut Votes,
        heard: &NodeUrl,
        facts: &NetworkFacts,
        document: &KeyDocument,
        account: &AccountKey,
    ) -> Result<(), MpcError> {
        let others = (0..self.members.count()).filter(|at| self.members.url(*at) != heard);
        let mut waiting: VecDeque<(usize, u32)> = others.map(|at| (at, 1)).collect();
        let mut asking = FuturesUnordered::new();
        while votes.winner().is_none() {
            tokio::select! {
                biased;
                Some(answered) = asking.next() => {
                    let ((lent, outcome), draft, attempts): (Heard, Draft, u32) = answered;
                    let at = lent.at;
                    match self.members.take_back(lent).and(outcome) {
                        Err(MpcError::Refused { code, .. }) if code == ISSUED && attempts < ATTEMPTS => {
                            tokio::time::sleep(PAUSE).await;
                            self.members.read_clocks().await;
                            waiting.push_front((at, attempts + 1));
                        }
                        Ok(answer) => {
                            let key = checked_key(&answer, &draft, document, facts);
                            votes.add(&answer, key);
                        }
                        Err(error) if error.is_of_one_member() => votes.failed = Some(error),
                        Err(error) => return Err(error),
                    }
                    if !asking.is_empty() {
                        continue;
                    }
                }
                () = tokio::time::sleep(self.members.patience), if !asking.is_empty() => {}
                () = std::future::ready(()), if asking.is_empty() => {}
            }
            if votes.winner().is_some() {
                break;
            }
            let Some((at, attempts)) = waiting.pop_front() else {
                match asking.is_empty() {
                    true => break,
                    false => continue,
                }
            };
            let draft = self.draft(facts, document, &Asked::Keygen {})?;
            let body = body(&draft, &[account])?;
            let lent = self.members.lend(at);
            asking.push(async move { (lent.post("/mpc/keygen", &body).await, draft, attempts) });
        }
        Ok(())
    }

    fn draft(&self, facts: &NetworkFacts, document: &KeyDocument, action: &Asked) -> Result<Draft, MpcError> {
        let mut nonce = [0; 32];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| MpcError::Random)?;
        let issued = self.members.time_of_issue();
        Draft::new(&facts.network(), document.clone(), action.clone(), issued, nonce)
            .map(|draft| draft.expiring(issued + LIFE))
            .map_err(|refusal| MpcError::Payload(refusal.to_string()))
    }
}

/// A member that was asked, and what it said.
type Heard = (Lent, Result<Answer, MpcError>);

/// Most earlier versions that go along with a policy.
const MAX_HISTORY: usize = jeju_mpc::authority::request::MAX_HISTORY;

fn body(draft: &Draft, owners: &[&AccountKey]) -> Result<Bytes, MpcError> {
    let signed: Vec<_> = owners.iter().map(|owner| draft.authorize(owner)).collect();
    draft
        .body(&signed)
        .map(Bytes::from)
        .map_err(|refusal| MpcError::Payload(refusal.to_string()))
}
