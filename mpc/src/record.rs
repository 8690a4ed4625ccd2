//! What a member keeps over a restart: one record for each key, each policy and each configuration, one of peers' marks and
//! one of what it approves. A record is replaced as a whole, so there is no state between two of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use frost_core::keys::{KeyPackage, PublicKeyPackage, VerifyingShare};
use jeju_attestation::hash::sha256;
use zeroize::Zeroizing;

use crate::authority::PolicyUpdate;
use crate::configuration::document::MAX_PROPOSAL;
use crate::configuration::{Approved, Proposal, Vote};
use crate::derive::{child, point};
use crate::key::{KeyOf, UserKey, verify};
use crate::marks::StateMark;
use crate::message::{Evidence, Level, Mark, Point, SessionId, read_scheme, scheme_number};
use crate::network::{KeyId, MAX_MEMBERS, MemberIndex, Network, RootId, Scheme};
use crate::suite::{Suite, for_scheme, identifier};
use crate::wire::{Reader, WireError, Writer};

const VERSION: u8 = 1;
/// Longest policy document that is kept, in bytes: it is the request that set it.
pub(crate) const MAX_POLICY: usize = crate::message::MAX_REQUEST;
const MAX_KEY_PACKAGE: usize = 1024;

/// One sharing of a key, as this member has it.
#[derive(Clone)]
pub(crate) struct Sharing {
    pub(crate) level: Level,
    pub(crate) generation: u32,
    pub(crate) session: SessionId,
    /// Key package as the library serialises it.
    key: Zeroizing<Vec<u8>>,
    /// Public key package as the library serialises it.
    public: Vec<u8>,
    /// Signature that shows it active; empty while pending, and for a key that has one share.
    pub(crate) evidence: Vec<u8>,
    digest: [u8; 32],
    public_key: Point,
}

impl Sharing {
    /// Takes serialised packages over, if they are this member's of this network and agree with each other.
    pub(crate) fn new<C: Suite>(
        network: &Network,
        me: MemberIndex,
        (level, generation, session): (Level, u32, SessionId),
        key: Zeroizing<Vec<u8>>,
        public: Vec<u8>,
        evidence: Vec<u8>,
    ) -> Option<Self> {
        let key_package = KeyPackage::<C>::deserialize(&key).ok()?;
        let public_package = public_package::<C>(network, &public)?;
        let share = public_package.verifying_shares().get(&identifier::<C>(me))?;
        let fits = *key_package.identifier() == identifier::<C>(me)
            && *key_package.min_signers() == network.threshold
            && key_package.verifying_key() == public_package.verifying_key()
            && key_package.verifying_share() == share
            && VerifyingShare::from(*key_package.signing_share()) == *share;
        if !fits || key_package.serialize().ok()? != *key {
            return None;
        }
        Some(Self {
            level,
            generation,
            session,
            digest: sha256(&public),
            public_key: point(public_package.verifying_key())?,
            key,
            public,
            evidence,
        })
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            level: self.level,
            generation: self.generation,
            session: self.session,
        }
    }

    pub(crate) fn public_key(&self) -> Point {
        self.public_key
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The packages. They were checked when the sharing was made.
    pub(crate) fn packages<C: Suite>(&self) -> Option<(KeyPackage<C>, PublicKeyPackage<C>)> {
        let key = KeyPackage::deserialize(&self.key).ok()?;
        let public = PublicKeyPackage::deserialize(&self.public).ok()?;
        Some((key, public))
    }

    /// The key itself, as all members generated it.
    pub(crate) fn root_key(&self, scheme: Scheme) -> Option<Arc<dyn UserKey>> {
        for_scheme!(scheme, C => {
            let (key, public) = self.packages::<C>()?;
            Some(Arc::new(KeyOf::<C>::new(key, public)))
        })
    }

    /// A user's key: derived, or for a dedicated one the key itself in the form in which it is published.
    pub(crate) fn user_key(
        &self,
        genesis: &[u8; 32],
        scheme: Scheme,
        id: KeyId,
        dedicated: bool,
    ) -> Option<Arc<dyn UserKey>> {
        for_scheme!(scheme, C => {
            let (key, public) = self.packages::<C>()?;
            let (key, public) = match dedicated {
                true => C::normalised(key, public),
                false => child::<C>(genesis, &key, &public, id)?,
            };
            Some(Arc::new(KeyOf::<C>::new(key, public)))
        })
    }

    pub(crate) fn evidence(&self, scheme: Scheme, root: RootId) -> Option<Evidence> {
        (!self.evidence.is_empty()).then(|| Evidence {
            scheme,
            root,
            generation: self.generation,
            session: self.session,
            digest: self.digest,
            signature: self.evidence.clone(),
        })
    }
}

/// Reads a public key package that has all members of the network and is the one encoding of itself.
pub(crate) fn public_package<C: Suite>(network: &Network, bytes: &[u8]) -> Option<PublicKeyPackage<C>> {
    let package = PublicKeyPackage::<C>::deserialize(bytes).ok()?;
    let fits = package.serialize().ok()? == bytes
        && package.min_signers() == Some(network.threshold)
        && package
            .verifying_shares()
            .keys()
            .copied()
            .eq(network.indices().map(identifier::<C>));
    fits.then_some(package)
}

/// Whether evidence is a signature by the key of this public key package.
pub(crate) fn evidence_holds(network: &Network, evidence: &Evidence, public: &[u8]) -> bool {
    if sha256(public) != evidence.digest {
        return false;
    }
    let bytes = Evidence::signed_bytes(
        &network.genesis,
        evidence.root,
        evidence.generation,
        &evidence.session,
        &evidence.digest,
    );
    for_scheme!(evidence.scheme, C => {
        public_package::<C>(network, public)
            .is_some_and(|package| verify::<C>(package.verifying_key(), &bytes, &evidence.signature))
    })
}

pub(crate) fn root_name(root: RootId) -> String {
    format!("root-{}", hex::encode(root.0))
}

pub(crate) fn policy_name(key: KeyId) -> String {
    format!("policy-{}", hex::encode(key.0))
}

/// A record, read.
pub(crate) enum Record {
    Root {
        root: RootId,
        scheme: Scheme,
        sharings: Vec<Sharing>,
    },
    Policy(PolicyUpdate),
    Marks(BTreeMap<MemberIndex, StateMark>),
    Configuration(Approved),
    Vote(Vote),
}

/// Name of the record of peers' marks. What it holds is no reason to tell peers of a new state.
pub const MARKS_NAME: &str = "marks";

/// Name of the record of what this member approves next.
pub(crate) const VOTE_NAME: &str = "configuration-vote";

pub(crate) fn configuration_name(number: u32) -> String {
    format!("configuration-{number:08x}")
}

pub(crate) fn encode_configuration(network: &Network, approved: &Approved) -> Zeroizing<Vec<u8>> {
    let mut to = Writer::with_capacity(4 * 1024);
    to.u8(VERSION)
        .u8(3)
        .fixed(&network.genesis)
        .bytes(&approved.proposal.to_bytes())
        .fixed(&approved.approval);
    to.finish()
}

pub(crate) fn encode_vote(network: &Network, vote: &Vote) -> Zeroizing<Vec<u8>> {
    let mut to = Writer::with_capacity(128);
    to.u8(VERSION)
        .u8(4)
        .fixed(&network.genesis)
        .u32(vote.number)
        .fixed(&vote.digest);
    to.finish()
}

pub(crate) fn encode_root(
    network: &Network,
    root: RootId,
    scheme: Scheme,
    sharings: &[Sharing],
) -> Zeroizing<Vec<u8>> {
    let mut to = Writer::with_capacity(20 * 1024);
    to.u8(VERSION)
        .u8(0)
        .fixed(&network.genesis)
        .fixed(&root.0)
        .u8(scheme_number(scheme))
        .count(sharings.len());
    for sharing in sharings {
        to.u8(sharing.level.number())
            .u32(sharing.generation)
            .fixed(&sharing.session)
            .bytes(&sharing.key)
            .bytes(&sharing.public)
            .bytes(&sharing.evidence);
    }
    to.finish()
}

pub(crate) fn encode_policy(network: &Network, policy: &PolicyUpdate) -> Zeroizing<Vec<u8>> {
    let mut to = Writer::with_capacity(policy.document.len() + 128);
    to.u8(VERSION)
        .u8(1)
        .fixed(&network.genesis)
        .fixed(&policy.key.0)
        .u32(policy.version)
        .bytes(&policy.document);
    to.finish()
}

pub(crate) fn encode_marks(
    network: &Network,
    marks: &BTreeMap<MemberIndex, StateMark>,
) -> Zeroizing<Vec<u8>> {
    let mut to = Writer::with_capacity(4 * 1024);
    to.u8(VERSION).u8(2).fixed(&network.genesis).count(marks.len());
    for (member, mark) in marks {
        to.member(*member).fixed(mark);
    }
    to.finish()
}

/// Reads a record. One of another network, or whose shares aren't this member's, is an error: a member that started without
/// what it had confirmed could be talked into a second key.
pub(crate) fn decode(
    network: &Network,
    me: MemberIndex,
    name: &str,
    bytes: &[u8],
) -> Result<Record, WireError> {
    let mut from = Reader::new(bytes);
    if from.u8()? != VERSION {
        return Err(WireError::Value("version"));
    }
    let kind = from.u8()?;
    if from.fixed::<32>()? != network.genesis {
        return Err(WireError::Value("network"));
    }
    let (record, expected) = match kind {
        0 => {
            let root = RootId(from.fixed()?);
            let scheme = read_scheme(&mut from)?;
            let mut sharings = Vec::new();
            for _ in 0..from.count("sharings", 3)? {
                sharings.push(read_sharing(&mut from, network, me, scheme)?);
            }
            if !sharings.is_sorted_by(|a, b| a.level < b.level) {
                return Err(WireError::Value("order of sharings"));
            }
            let name = root_name(root);
            (
                Record::Root {
                    root,
                    scheme,
                    sharings,
                },
                name,
            )
        }
        1 => {
            let policy = PolicyUpdate {
                key: KeyId(from.fixed()?),
                version: from.u32()?,
                document: from.bytes("policy", MAX_POLICY)?.to_vec(),
            };
            let name = policy_name(policy.key);
            (Record::Policy(policy), name)
        }
        2 => {
            let mut marks = BTreeMap::new();
            for _ in 0..from.count("marks", usize::from(MAX_MEMBERS))? {
                marks.insert(from.member()?, from.fixed()?);
            }
            (Record::Marks(marks), MARKS_NAME.to_owned())
        }
        3 => {
            let proposal = Proposal::parse(from.bytes("configuration", MAX_PROPOSAL)?)
                .map_err(|_| WireError::Value("configuration"))?;
            let name = configuration_name(proposal.configuration.number);
            let approval = from.fixed()?;
            (Record::Configuration(Approved { proposal, approval }), name)
        }
        4 => {
            let vote = Vote {
                number: from.u32()?,
                digest: from.fixed()?,
            };
            (Record::Vote(vote), VOTE_NAME.to_owned())
        }
        _ => return Err(WireError::Value("kind")),
    };
    from.end()?;
    match expected == name {
        true => Ok(record),
        false => Err(WireError::Value("name")),
    }
}

fn read_sharing(
    from: &mut Reader<'_>,
    network: &Network,
    me: MemberIndex,
    scheme: Scheme,
) -> Result<Sharing, WireError> {
    let name = (Level::read(from)?, from.u32()?, from.fixed()?);
    let key = Zeroizing::new(from.bytes("key package", MAX_KEY_PACKAGE)?.to_vec());
    let public = from
        .bytes("public key package", crate::message::MAX_PACKAGE)?
        .to_vec();
    let evidence = from.bytes("evidence", 65)?.to_vec();
    for_scheme!(scheme, C => Sharing::new::<C>(network, me, name, key, public, evidence))
        .ok_or(WireError::Value("sharing"))
}
