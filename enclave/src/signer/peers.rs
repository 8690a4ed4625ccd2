//! The other members as this signer has them: admitted over a connection until a time, each behind its sealed channel.
//!
//! Pure: the caller brings connections, evidence, bytes and the time, and does what [`Peers::next_event`] says.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::policy::PolicyError;
use jeju_mpc::configuration::Place;
use jeju_mpc::network::MemberIndex;
use jeju_mpc::time::Interval;
use zeroize::Zeroizing;

use super::admission::{Admission, AdmissionError, Admitted};
use super::channel::{Channel, ChannelError, ChannelKey};
use crate::ipc::signer::PeerEvidence;

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// Tell the front that the connection's peer is a member.
    Admitted {
        /// Which connection.
        connection: u32,
        /// Which member.
        member: MemberIndex,
        /// Its identity key: compressed secp256k1 point.
        identity: [u8; 33],
        /// It only attested again; nothing changed for the protocol.
        again: bool,
    },
    /// Tell the front that the connection's peer is none, or none any more.
    Refused {
        /// Which connection.
        connection: u32,
        /// Why.
        reason: AdmissionError,
    },
    /// No message can go to this member, until it is admitted again.
    Left {
        /// Who.
        member: MemberIndex,
    },
}

/// Why a message can't go to, or come from, a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The connection's peer isn't admitted, or the member isn't.
    #[error("the peer is not admitted")]
    NotAdmitted,
    /// The channel refuses the message.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// All other members.
pub struct Peers {
    admission: Admission,
    key: ChannelKey,
    /// Who is admitted, over which connection.
    members: BTreeMap<MemberIndex, (u32, Admitted)>,
    /// One for each pair of keys, for as long as both live: connections come and go, and counters go on.
    channels: BTreeMap<MemberIndex, ([u8; 32], Channel)>,
    events: VecDeque<PeerEvent>,
}

impl Peers {
    /// For the node with this launch document, with its channel key of this boot.
    ///
    /// # Errors
    /// When the document names no network with this node, or gives no policy.
    pub fn new(own: LaunchDocument, key: ChannelKey) -> Result<Self, PolicyError> {
        Ok(Self {
            admission: Admission::new(own)?,
            key,
            members: BTreeMap::new(),
            channels: BTreeMap::new(),
            events: VecDeque::new(),
        })
    }

    /// This member.
    pub fn me(&self) -> MemberIndex {
        self.admission.me()
    }

    /// What is to be done next.
    pub fn next_event(&mut self) -> Option<PeerEvent> {
        self.events.pop_front()
    }

    /// A connection wants a nonce, for the first time or to attest again.
    ///
    /// # Errors
    /// [`AdmissionError::Random`] and [`AdmissionError::Busy`].
    pub fn challenge(&mut self, connection: u32, now: Instant) -> Result<[u8; 32], AdmissionError> {
        self.admission.challenge(connection, now)
    }

    /// The peer of a connection shows its evidence. A peer that was admitted and shows evidence that is refused isn't
    /// admitted any more.
    pub fn evidence(&mut self, connection: u32, evidence: &PeerEvidence, time: Interval, now: Instant) {
        let judged = self
            .admission
            .admit(connection, evidence, time, now)
            .and_then(|admitted| self.enter(connection, admitted));
        if let Err(reason) = judged {
            self.leave(connection);
            self.events.push_back(PeerEvent::Refused { connection, reason });
        }
    }

    /// A connection is gone.
    pub fn closed(&mut self, connection: u32) {
        self.admission.forget(connection);
        self.leave(connection);
    }

    /// When [`Peers::expire`] has something to do.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.members.values().map(|(_, admitted)| admitted.until).min()
    }

    /// Ends the admissions that ran out.
    pub fn expire(&mut self, now: Instant) {
        let over = |(_, admitted): &(u32, Admitted)| admitted.until <= now;
        let connections: Vec<u32> = self
            .members
            .values()
            .filter(|peer| over(peer))
            .map(|peer| peer.0)
            .collect();
        for connection in connections {
            self.leave(connection);
            let reason = AdmissionError::Expired;
            self.events.push_back(PeerEvent::Refused { connection, reason });
        }
    }

    /// Another configuration is in force: who lost its place is no member any more, and has to attest again as what it is
    /// now.
    pub fn configured(&mut self, places: Vec<Place>) {
        for member in self.admission.configured(places) {
            if let Some((connection, _)) = self.members.get(&member).copied() {
                self.leave(connection);
                let reason = AdmissionError::NoPlace;
                self.events.push_back(PeerEvent::Refused { connection, reason });
            }
        }
    }

    /// Members that are admitted.
    pub fn admitted(&self) -> impl Iterator<Item = MemberIndex> + '_ {
        self.members.keys().copied()
    }

    /// Seals a message for a member: over which connection it goes, and its bytes.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn seal(
        &mut self,
        member: MemberIndex,
        text: &[u8],
        now: Instant,
    ) -> Result<(u32, Vec<u8>), PeerError> {
        let (connection, admitted) = self.members.get(&member).ok_or(PeerError::NotAdmitted)?;
        if admitted.until <= now {
            return Err(PeerError::NotAdmitted);
        }
        let (_, channel) = self.channels.get_mut(&member).ok_or(PeerError::NotAdmitted)?;
        Ok((*connection, channel.seal(text)?))
    }

    /// Opens a message that came over a connection: whose it is, and its text.
    ///
    /// # Errors
    /// See [`PeerError`]. The connection stays as it is: the front, which may have made the bytes up, gains nothing.
    pub fn open(
        &mut self,
        connection: u32,
        sealed: &[u8],
        now: Instant,
    ) -> Result<(MemberIndex, Zeroizing<Vec<u8>>), PeerError> {
        let member = self.on(connection).ok_or(PeerError::NotAdmitted)?;
        if self
            .members
            .get(&member)
            .is_none_or(|(_, admitted)| admitted.until <= now)
        {
            return Err(PeerError::NotAdmitted);
        }
        let (_, channel) = self.channels.get_mut(&member).ok_or(PeerError::NotAdmitted)?;
        Ok((member, channel.open(sealed)?))
    }

    /// Takes a member in. The newest admitted connection of a member is the one that counts.
    fn enter(&mut self, connection: u32, admitted: Admitted) -> Result<(), AdmissionError> {
        let member = admitted.member;
        if self.on(connection).is_some_and(|known| known != member) {
            return Err(AdmissionError::OtherMember);
        }
        let public = admitted.keys.channel;
        if self
            .channels
            .get(&member)
            .is_none_or(|(known, _)| *known != public)
        {
            let own = (self.me(), &self.key);
            let channel = Channel::new(&self.admission.genesis(), own, (member, &public))?;
            self.channels.insert(member, (public, channel));
        }
        let before = self.members.insert(member, (connection, admitted));
        let again = before.is_some_and(|(on, known)| {
            (on, known.boot, known.keys) == (connection, admitted.boot, admitted.keys)
        });
        if let Some((replaced, _)) = before
            && replaced != connection
        {
            self.admission.forget(replaced);
            self.events.push_back(PeerEvent::Refused {
                connection: replaced,
                reason: AdmissionError::Replaced,
            });
        }
        self.events.push_back(PeerEvent::Admitted {
            connection,
            member,
            identity: admitted.keys.identity,
            again,
        });
        Ok(())
    }

    fn leave(&mut self, connection: u32) {
        if let Some(member) = self.on(connection) {
            self.members.remove(&member);
            self.events.push_back(PeerEvent::Left { member });
        }
    }

    fn on(&self, connection: u32) -> Option<MemberIndex> {
        let mut members = self.members.iter();
        members
            .find(|(_, (on, _))| *on == connection)
            .map(|(member, _)| *member)
    }
}

#[cfg(test)]
mod tests;
