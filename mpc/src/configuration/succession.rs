//! A member's part in the succession: it approves what governance proposes, adopts what is approved, and passes it on.
//!
//! A proposal goes the way of a request to sign: any member coordinates it, and each judges it for itself. It never approves
//! two configurations of one number: which one it approves is durable before anything of its approval leaves.

use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;

use super::{Approved, Chain, Configuration, ConfigurationError, Founding, Proposal};
use crate::authority::{Action, Grant};
use crate::member::{Event, Member, Membership, Output, Response, Then, Turn};
use crate::message::{Message, Point};
use crate::network::{KeyId, KeyPath, MemberIndex, Network, Scheme};
use crate::record;
use crate::refusal::Refusal;
use crate::time::Interval;

/// A proposal that passed is tried for so long, in seconds; it may be made again.
const LIFE: u64 = 10 * 60;

/// Which configuration of a number this member approves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) number: u32,
    pub(crate) digest: [u8; 32],
}

/// What a member knows of its network's configurations.
pub(crate) struct Succession {
    agent: [u8; 32],
    chain: Chain,
    voted: Option<Vote>,
}

impl Succession {
    /// With the first configuration. `None` where it isn't one of this network.
    pub(crate) fn new(network: &Network, membership: Option<Membership>) -> Option<Self> {
        let Membership { agent, founding } = membership.unwrap_or_else(|| Membership::fixed(network));
        (founding.places.len() == usize::from(network.members)).then(|| Self {
            agent,
            chain: Chain::new(network.clone(), founding),
            voted: None,
        })
    }

    /// Takes over what a record holds, the lowest number first.
    pub(crate) fn restored(&mut self, approved: Approved, root_key: Option<Point>) -> bool {
        self.chain.adopt(approved, root_key).is_ok()
    }

    pub(crate) fn voted(&mut self, vote: Vote) {
        self.voted = Some(vote);
    }

    fn number(&self) -> u32 {
        self.chain.number()
    }

    /// Whether it is the one in force. One that was has no answer but that its number is past.
    fn has(&self, configuration: &Configuration) -> bool {
        self.chain
            .later(self.chain.number())
            .is_some_and(|newest| newest.proposal.configuration == *configuration)
    }
}

impl Membership {
    /// Of a network that never changes.
    fn fixed(network: &Network) -> Self {
        let place = super::Place {
            agent: HexBytes([0; 32]),
            platform: HexBytes([0; 32]),
        };
        Self {
            agent: [0; 32],
            founding: Founding {
                governance: None,
                places: vec![place; usize::from(network.members)],
            },
        }
    }
}

impl Member {
    /// The configurations of the network, as far as this member knows them.
    pub fn configurations(&self) -> &Chain {
        &self.succession.chain
    }

    /// Digest of the next configuration that this member approves, where it approved one.
    pub fn approves(&self) -> Option<[u8; 32]> {
        let vote = self.succession.voted?;
        (vote.number == self.succession.number() + 1).then_some(vote.digest)
    }

    /// Whether this member has a place in the configuration in force.
    pub(crate) fn has_place(&self) -> bool {
        let places = self.succession.chain.places();
        places
            .get(usize::from(self.me.0) - 1)
            .is_some_and(|place| place.agent.0 == self.succession.agent)
    }

    /// The network's root key, where this member has it.
    pub fn root_key(&self) -> Option<Point> {
        let root = self.roots.get(&self.network.root(Scheme::Secp256k1))?;
        root.confirmed().map(|sharing| sharing.public_key())
    }

    /// By what the key is found that approves. No request of a user has this path: see [`Member::is_reserved`].
    fn approving_path(&self) -> KeyPath {
        KeyPath {
            key: KeyId(self.network.root(Scheme::Secp256k1).0),
            scheme: Scheme::Secp256k1,
            dedicated: true,
        }
    }

    /// Whether a path leads to a root key of the network itself, which signs for no user. Users' keys are named by hashes,
    /// so none can be named like that; this is for an authority that errs.
    pub(crate) fn is_reserved(&self, path: &KeyPath) -> bool {
        Scheme::ALL
            .iter()
            .any(|scheme| self.network.root(*scheme).0 == path.key.0)
    }

    pub(crate) fn is_approving(&self, path: &KeyPath) -> bool {
        *path == self.approving_path()
    }

    /// A client or a peer brings a configuration.
    pub(crate) fn proposed(&mut self, request: &[u8], proposal: &Proposal, then: Then, turn: &mut Turn<'_>) {
        let configuration = &proposal.configuration;
        if let Then::Answer { ticket } = then
            && self.succession.has(configuration)
        {
            let outcome = Ok(configured(configuration));
            return turn.push(Output::Answer { ticket, outcome });
        }
        let judged = self.judge_proposal(proposal, turn.now);
        self.judged(request, then, judged, turn);
    }

    fn judge_proposal(&self, proposal: &Proposal, now: Interval) -> Result<Grant, Refusal> {
        let configuration = &proposal.configuration;
        let chain = &self.succession.chain;
        chain
            .judge(proposal, self.root_key())
            .map_err(Refusal::Configuration)?;
        let digest = configuration.digest();
        self.may_vote(&digest)?;
        Ok(Grant {
            digest,
            nonce: digest,
            account: [0; 20],
            issued: now.upper,
            expires: now.upper.saturating_add(LIFE),
            action: Action::Sign {
                path: self.approving_path(),
                message: configuration.approved_message(),
            },
        })
    }

    fn may_vote(&self, digest: &[u8; 32]) -> Result<(), Refusal> {
        match self.approves() {
            Some(voted) if voted != *digest => Err(Refusal::Configuration(ConfigurationError::Voted)),
            _ => Ok(()),
        }
    }

    /// This member is about to approve the next configuration. What it approves is kept before anything leaves.
    pub(crate) fn vote(&mut self, digest: [u8; 32], turn: &mut Turn<'_>) -> Result<(), Refusal> {
        self.may_vote(&digest)?;
        let number = self.succession.number() + 1;
        let vote = Vote { number, digest };
        if self.succession.voted != Some(vote) {
            self.succession.voted = Some(vote);
            turn.push(Output::Persist {
                name: record::VOTE_NAME.to_owned(),
                record: record::encode_vote(&self.network, &vote),
            });
        }
        Ok(())
    }

    /// The members' signature of a proposal that this member coordinated.
    pub(crate) fn approved(
        &mut self,
        request: &[u8],
        signature: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<Response, Refusal> {
        let proposal = Proposal::parse(request)?;
        let approval = signature
            .try_into()
            .map_err(|_| Refusal::Configuration(ConfigurationError::Approval))?;
        let response = configured(&proposal.configuration);
        self.adopt(Approved { proposal, approval }, turn)
            .map_err(Refusal::Configuration)?;
        Ok(response)
    }

    /// Puts the next configuration in force, if it is one.
    fn adopt(&mut self, next: Approved, turn: &mut Turn<'_>) -> Result<(), ConfigurationError> {
        let before = self.succession.chain.places().to_vec();
        self.succession.chain.adopt(next.clone(), self.root_key())?;
        let configuration = &next.proposal.configuration;
        turn.push(Output::Persist {
            name: record::configuration_name(configuration.number),
            record: record::encode_configuration(&self.network, &next),
        });
        turn.push(Output::Audit(Event::Configured {
            number: configuration.number,
            digest: configuration.digest(),
        }));
        let places = before.iter().zip(&configuration.places);
        let replaced: Vec<MemberIndex> = self
            .network
            .indices()
            .zip(places)
            .filter(|(_, (old, new))| old != new)
            .map(|(member, _)| member)
            .collect();
        // The last that whoever had the place hears: from then on it takes part in nothing by itself either.
        for member in replaced.iter().filter(|member| **member != self.me) {
            self.send(*member, shown(&next), turn);
        }
        turn.push(Output::Configured {
            places: configuration.places.clone(),
        });
        self.forget_rounds_of(self.approving_path().key);
        // Before anybody leaves: a proposal of a number that is past, tried again with other signers, would get the vote that is
        // the next number's.
        self.end_proposals(configuration, &configured(configuration), turn);
        for member in replaced {
            self.left(member, turn);
            self.marks.replaced(member);
        }
        if !self.has_place() {
            self.forget_all_rounds();
        }
        self.broadcast(&shown(&next), turn);
        self.rounds = 0;
        self.start_tending(turn);
        Ok(())
    }

    /// Whether this member has the newest configuration of so many peers that it and they could sign.
    pub(crate) fn knows_configuration(&self) -> bool {
        let here = self.succession.number();
        let known = |peer: &&crate::member::Peer| peer.configuration.is_some_and(|number| number <= here);
        !self.succession.chain.is_open()
            || self.peers.values().filter(known).count() + 1 >= usize::from(self.network.threshold)
    }

    /// Whether a peer hasn't said that it has the same configuration in force.
    pub(crate) fn configuration_unsettled(&self) -> bool {
        let here = Some(self.succession.number());
        self.succession.chain.is_open() && self.peers.values().any(|peer| peer.configuration != here)
    }

    /// Tells a peer which configuration is in force here, and asks it for the next.
    pub(crate) fn ask_configuration(&self, peer: MemberIndex, turn: &mut Turn<'_>) {
        let number = self.succession.number();
        let settled = self
            .peers
            .get(&peer)
            .is_some_and(|peer| peer.configuration == Some(number));
        if self.succession.chain.is_open() && !settled {
            self.send(peer, Message::ConfigurationQuery { number }, turn);
        }
    }

    pub(crate) fn configuration_asked(&mut self, from: MemberIndex, number: u32, turn: &mut Turn<'_>) {
        if !self.succession.chain.is_open() {
            return;
        }
        let here = self.succession.number();
        self.send(from, Message::ConfigurationAt { number: here }, turn);
        if let Some(next) = number
            .checked_add(1)
            .and_then(|next| self.succession.chain.later(next))
        {
            self.send(from, shown(next), turn);
        }
        self.configuration_told(from, number, turn);
        // Only one that asked is asked back, so that a peer which promises a next one and shows none isn't asked for ever.
        if number > here {
            self.ask_configuration(from, turn);
        }
    }

    pub(crate) fn configuration_told(&mut self, from: MemberIndex, number: u32, turn: &mut Turn<'_>) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.configuration = Some(number);
        }
        self.drive_jobs(turn);
    }

    /// A peer shows a configuration: it is taken for what it proves, whoever shows it.
    pub(crate) fn configuration_shown(
        &mut self,
        from: MemberIndex,
        proposal: &[u8],
        approval: [u8; 65],
        turn: &mut Turn<'_>,
    ) {
        let Ok(proposal) = Proposal::parse(proposal) else {
            return;
        };
        match self.adopt(Approved { proposal, approval }, turn) {
            Ok(()) => self.ask_configuration(from, turn),
            // What this member has already, or what comes after something that it hasn't, is asked for where it matters.
            Err(ConfigurationError::Number) => {}
            Err(reason) => turn.push(Output::Audit(Event::Refused {
                request: sha256(&approval),
                code: reason.code(),
                from: Some(from),
            })),
        }
    }
}

fn configured(configuration: &Configuration) -> Response {
    Response::Configured {
        number: configuration.number,
        digest: configuration.digest(),
    }
}

fn shown(approved: &Approved) -> Message {
    Message::ConfigurationShown {
        proposal: approved.proposal.to_bytes(),
        approval: approved.approval,
    }
}
