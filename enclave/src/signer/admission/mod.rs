//! Who may take part: a peer's evidence → the member that it is, or the reason why it is none.
//!
//! Bytes of the front are judged here and not there: a front that is taken over can keep members apart, and make nobody a
//! member. The chain's word, which the front carries too, can only take away.

mod policy;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use jeju_attestation::appraisal::{Anchor, Challenge, Inputs, Reference, appraise};
use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::{Mode, Role};
use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::evidence::{Genuine, NodeEvidence, Verifier};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::keys::{KeyList, MpcKeys};
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::launch::mpc::Mpc;
use jeju_attestation::policy::{Policy, PolicyError};
use jeju_attestation::rejection::Rejection;
use jeju_mpc::configuration::{Founding, Place};
use jeju_mpc::network::MemberIndex;
use jeju_mpc::time::Interval;

use crate::ipc::signer::{MeasurementStatus, PeerEvidence, PeerRole};

/// How long a nonce may be answered: longer than a quoting device may take.
pub const NONCE_LIFE: Duration = Duration::from_secs(120);
/// Most nonces that wait for their answer.
pub const MAX_NONCES: usize = 256;
/// Most boots of a member during one of this member's own. None is forgotten: channels count on no boot coming back.
const MAX_BOOTS: usize = 4096;
/// How much longer than an epoch an admission lasts, so that a peer can attest again in time: a quarter, within these.
const MARGIN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(120));

/// Why a peer isn't admitted. [`AdmissionError::code`] is stable; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// No random numbers.
    #[error("no nonce could be drawn")]
    Random,
    /// Too many connections wait at once.
    #[error("{MAX_NONCES} nonces wait for their answer")]
    Busy,
    /// No nonce was drawn for this connection, or it was answered before.
    #[error("no nonce waits for an answer on this connection")]
    NoNonce,
    /// It was drawn too long ago.
    #[error("the nonce is older than {} seconds", NONCE_LIFE.as_secs())]
    NonceExpired,
    /// The evidence is refused.
    #[error(transparent)]
    Evidence(#[from] Rejection),
    /// A genuine quote of another kind.
    #[error("the quote was not made for a peer")]
    Mode,
    /// The chain says that the measurement is no longer in force.
    #[error("the chain says that the measurement is revoked")]
    Revoked,
    /// The evidence is this member's own.
    #[error("the evidence is this member's own")]
    Own,
    /// Another agent has its place now.
    #[error("the network's configuration gives its place to another node")]
    NoPlace,
    /// Another machine than the one that the configuration names.
    #[error("this is not the machine that the network's configuration names")]
    Platform,
    /// Its launch document has no network of signers.
    #[error("the peer is no signer")]
    NoSigner,
    /// Its key list has no keys of a signer.
    #[error("the peer's key list has no keys of a signer")]
    NoKeys,
    /// A later boot of the member was admitted.
    #[error("a later boot of this member was admitted")]
    OldBoot,
    /// It was started more often than is remembered.
    #[error("this member was started more than {MAX_BOOTS} times")]
    TooManyBoots,
    /// This connection was admitted as another member.
    #[error("this connection is another member's")]
    OtherMember,
    /// No channel with the keys that the evidence vouches for.
    #[error(transparent)]
    Channel(#[from] super::channel::ChannelError),
    /// The admission ran out.
    #[error("the peer did not attest again in time")]
    Expired,
    /// A newer connection of the same member took its place.
    #[error("a newer connection of this member was admitted")]
    Replaced,
}

impl AdmissionError {
    /// Stable code: the evidence's own where that is refused.
    pub fn code(&self) -> &'static str {
        match self {
            AdmissionError::Random => "peer_no_random",
            AdmissionError::Busy => "peer_busy",
            AdmissionError::NoNonce => "peer_no_nonce",
            AdmissionError::NonceExpired => "peer_nonce_expired",
            AdmissionError::Evidence(rejection) => rejection.code(),
            AdmissionError::Mode => "peer_mode",
            AdmissionError::Revoked => "measurement_revoked",
            AdmissionError::Own => "peer_own_evidence",
            AdmissionError::NoPlace => "peer_no_place",
            AdmissionError::Platform => "peer_platform",
            AdmissionError::NoSigner => "peer_no_signer",
            AdmissionError::NoKeys => "peer_no_keys",
            AdmissionError::OldBoot => "peer_old_boot",
            AdmissionError::TooManyBoots => "peer_too_many_boots",
            AdmissionError::OtherMember => "peer_other_member",
            AdmissionError::Channel(_) => "peer_channel",
            AdmissionError::Expired => "peer_expired",
            AdmissionError::Replaced => "peer_replaced",
        }
    }
}

/// A peer that was found to be a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// Which.
    pub member: MemberIndex,
    /// Its keys, which its quote vouches for.
    pub keys: MpcKeys,
    /// Its boot.
    pub boot: [u8; 16],
    /// Until then it must have attested again.
    pub until: Instant,
}

/// Verifies peers' evidence as a member of the network in this launch document does, for whoever asks about it beforehand.
///
/// # Errors
/// When the document gives no policy.
pub fn verifier(own: &LaunchDocument) -> Result<Verifier, PolicyError> {
    Verifier::of_policy(&policy::of(own)?, Endorsements::default())
}

/// Admits members.
pub struct Admission {
    own: LaunchDocument,
    mpc: Mpc,
    /// Who has the places in the configuration in force.
    places: Vec<Place>,
    me: MemberIndex,
    policy: Policy,
    verifier: Verifier,
    nonces: BTreeMap<u32, ([u8; 32], Instant)>,
    boots: BTreeMap<MemberIndex, Boots>,
}

/// The boots of one member, each with its channel key.
#[derive(Default)]
struct Boots {
    current: Option<([u8; 16], [u8; 32])>,
    past: BTreeMap<[u8; 16], [u8; 32]>,
}

impl Admission {
    /// For the node with this launch document, which names a network and this node in it.
    ///
    /// # Errors
    /// When the document gives no policy.
    pub fn new(own: LaunchDocument) -> Result<Self, PolicyError> {
        let mpc = own.mpc.clone().ok_or(PolicyError::Nothing("network (mpc)"))?;
        let me = mpc
            .place_of(&own.node.agent.0)
            .map(MemberIndex)
            .ok_or(PolicyError::Nothing("member (mpc.members) of this node"))?;
        let policy = policy::of(&own)?;
        let verifier = Verifier::of_policy(&policy, Endorsements::default())?;
        Ok(Self {
            places: Founding::of(&mpc).places,
            own,
            mpc,
            me,
            policy,
            verifier,
            nonces: BTreeMap::new(),
            boots: BTreeMap::new(),
        })
    }

    /// Another configuration is in force: who has lost its place.
    pub fn configured(&mut self, places: Vec<Place>) -> Vec<MemberIndex> {
        let before = std::mem::replace(&mut self.places, places);
        self.policy.agents = self.places.iter().map(|place| place.agent).collect();
        let changed = before.iter().zip(&self.places).zip(1..);
        changed
            .filter(|((old, new), _)| old != new)
            .map(|(_, index)| MemberIndex(index))
            .collect()
    }

    /// This member.
    pub fn me(&self) -> MemberIndex {
        self.me
    }

    /// The network's genesis digest.
    pub fn genesis(&self) -> [u8; 32] {
        self.mpc.genesis()
    }

    /// Draws the nonce that the peer of a connection must answer; an older one of the same connection is void.
    ///
    /// # Errors
    /// [`AdmissionError::Random`] and [`AdmissionError::Busy`].
    pub fn challenge(&mut self, connection: u32, now: Instant) -> Result<[u8; 32], AdmissionError> {
        self.nonces
            .retain(|_, (_, drawn)| now.saturating_duration_since(*drawn) <= NONCE_LIFE);
        self.nonces.remove(&connection);
        if self.nonces.len() >= MAX_NONCES {
            return Err(AdmissionError::Busy);
        }
        let mut nonce = [0; 32];
        rand::fill(&mut nonce).map_err(|_| AdmissionError::Random)?;
        self.nonces.insert(connection, (nonce, now));
        Ok(nonce)
    }

    /// Forgets a connection.
    pub fn forget(&mut self, connection: u32) {
        self.nonces.remove(&connection);
    }

    /// Judges the evidence that the peer of a connection shows. Whatever the outcome, the connection's nonce is spent.
    ///
    /// # Errors
    /// See [`AdmissionError`].
    pub fn admit(
        &mut self,
        connection: u32,
        evidence: &PeerEvidence,
        time: Interval,
        now: Instant,
    ) -> Result<Admitted, AdmissionError> {
        let (nonce, drawn) = self.nonces.remove(&connection).ok_or(AdmissionError::NoNonce)?;
        if now.saturating_duration_since(drawn) > NONCE_LIFE {
            return Err(AdmissionError::NonceExpired);
        }
        let bundle = Bundle::parse(&evidence.bundle).map_err(Rejection::from)?;
        let challenge = Challenge {
            nonce,
            channel: Some(evidence.channel),
        };
        let genuine = self.verify(&bundle, evidence.role, time)?;
        self.appraise(&genuine, &bundle, challenge, time)?;
        // After the policy: what it pins is no matter of what the chain says beside it.
        if evidence.measurement == MeasurementStatus::Revoked {
            return Err(AdmissionError::Revoked);
        }
        let (member, keys) = self.member(&genuine, &bundle)?;
        let boot = genuine.claims.claims().boot;
        self.boots.entry(member).or_default().enter(boot, keys.channel)?;
        Ok(Admitted {
            member,
            keys,
            boot,
            until: now + self.life(),
        })
    }

    /// How long an admission lasts.
    pub fn life(&self) -> Duration {
        let epoch = Duration::from_secs(u64::from(self.own.node.epoch_seconds));
        epoch + (epoch / 4).clamp(MARGIN.0, MARGIN.1)
    }

    /// What expires is judged by the latest time that it may be. Nothing asks for an earliest one: that the quote is fresh,
    /// its nonce says.
    fn verify(&self, bundle: &Bundle, end: PeerRole, time: Interval) -> Result<Genuine, AdmissionError> {
        let end = match end {
            PeerRole::Server => Role::Server,
            PeerRole::Client => Role::Client,
        };
        let evidence = NodeEvidence::of(bundle);
        let genuine = self.verifier.verify_end(&evidence, end, time.upper)?;
        match genuine.claims.claims().mode {
            Mode::Peer => Ok(genuine),
            _ => Err(AdmissionError::Mode),
        }
    }

    fn appraise(
        &self,
        genuine: &Genuine,
        bundle: &Bundle,
        challenge: Challenge,
        time: Interval,
    ) -> Result<(), AdmissionError> {
        let document = LaunchDocument::parse(&bundle.launch).map_err(Rejection::from)?;
        let mut policy = self.policy.clone();
        policy.launch = policy::launch_rules(&self.own, &self.policy.launch, &document);
        let reference = Reference::pinned(&policy, &genuine.measurement);
        let inputs = Inputs {
            policy: &policy,
            reference,
            anchor: Anchor::Unchecked,
            challenge: Some(challenge),
            bundle,
            verifier: self.verifier.hardware(),
            now: time.upper,
        };
        appraise(genuine, &inputs)?;
        match document.mpc.map(|mpc| mpc.genesis()) {
            Some(genesis) if genesis == self.mpc.genesis() => Ok(()),
            // Without a network, no rule of the policy on networks was asked.
            _ => Err(AdmissionError::NoSigner),
        }
    }

    fn member(&self, genuine: &Genuine, bundle: &Bundle) -> Result<(MemberIndex, MpcKeys), AdmissionError> {
        let agent = genuine.claims.claims().agent;
        let at = self
            .places
            .iter()
            .position(|place| place.agent.0 == agent)
            .ok_or(Rejection::AgentNotAccepted(HexBytes(agent)))?;
        let member = MemberIndex(at as u16 + 1);
        if member == self.me {
            return Err(AdmissionError::Own);
        }
        let machine = self.places[at].machine();
        if machine.is_some_and(|named| genuine.platform != Some(named)) {
            return Err(AdmissionError::Platform);
        }
        let list = KeyList::parse(&bundle.keys).map_err(Rejection::from)?;
        Ok((member, list.mpc.ok_or(AdmissionError::NoKeys)?))
    }
}

impl Boots {
    /// Boot ids have no order, but a boot that was admitted after another one began after it: a copy of an old boot that
    /// comes back is refused.
    fn enter(&mut self, boot: [u8; 16], channel: [u8; 32]) -> Result<(), AdmissionError> {
        match self.current {
            Some((current, key)) if current == boot && key == channel => return Ok(()),
            // A boot has one key, and a key one boot.
            Some((current, key)) if current == boot || key == channel => return Err(AdmissionError::OldBoot),
            _ => {}
        }
        if self.past.contains_key(&boot) || self.past.values().any(|key| *key == channel) {
            return Err(AdmissionError::OldBoot);
        }
        if self.past.len() >= MAX_BOOTS {
            return Err(AdmissionError::TooManyBoots);
        }
        self.past.extend(self.current.replace((boot, channel)));
        Ok(())
    }
}
