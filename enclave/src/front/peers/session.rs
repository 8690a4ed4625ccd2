//! One connection with a peer: both ends attest to each other's signer, sealed messages pass, and before the admission
//! runs out both attest again.
//!
//! A round is: both say a nonce (the first time in their hello), the end that dialled shows evidence, and only when that
//! made it a member does the other end ask its quoting device for its own. Whoever connects without being a member so
//! costs a verification and no quote.

use std::sync::Arc;
use std::time::Duration;

use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::Role;
use jeju_attestation::evidence::NodeEvidence;
use jeju_attestation::rejection::Rejection;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::frame::{MAX_EVIDENCE_FRAME, MAX_FRAME, PeerFrame};
use super::strangers::Place;
use super::tls::Tls;
use super::{Closed, Peers};
use crate::ipc::frame;
use crate::ipc::signer::{PeerEvidence, PeerInbox, PeerLink, PeerRole};

/// How long the other end may take for its hello.
const HELLO: Duration = Duration::from_secs(10);
/// How long a round may take: two quotes, two verifications, and what the chain says.
const ROUND: Duration = Duration::from_secs(90);
/// How long one write may take.
const WRITE: Duration = Duration::from_secs(20);
/// How often an end says that it is still there, and how long it may say nothing.
const PING: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(30);
/// Least time between two rounds that the other end asks for: each costs a quote.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// What is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Await {
    Hello,
    Challenge,
    Evidence,
    /// Nothing but messages.
    Nothing,
}

/// What is known of the other end at first.
pub(super) enum Known {
    /// It was dialled as this member.
    Member(u16),
    /// Nothing; it has a place until it is admitted.
    Stranger(Place),
}

/// One end of a connection.
pub(super) struct Session<'a> {
    peers: &'a Peers,
    tls: Tls,
    /// Which end this is.
    end: Role,
    /// The key that the other end proved to hold.
    key: [u8; 32],
    link: PeerLink,
    writer: Writer,
    /// Which member the other end says it is.
    member: Option<u16>,
    awaits: Await,
    /// This signer's nonce and the other one's, of the round under way.
    nonce: [u8; 32],
    theirs: [u8; 32],
    until: Instant,
    renew: Instant,
    paused: Instant,
    relay: Option<Relay>,
    inbox: Option<PeerInbox>,
    place: Option<Place>,
}

impl<'a> Session<'a> {
    /// Speaks on a connection until it is over.
    pub(super) async fn run(peers: &'a Peers, tls: Tls, end: Role, other: Known) -> Closed {
        let mut session = match Self::open(peers, tls, end, other) {
            Ok(session) => session,
            Err(closed) => return closed,
        };
        let closed = match session.speak().await {
            Ok(never) => match never {},
            Err(closed) => closed,
        };
        if session.relay.take().is_some()
            && let Some(member) = session.member
        {
            peers.left(member, &closed);
        }
        if let Some(code) = closed.refusal() {
            let _ = session.writer.send(PeerFrame::Refused { code }).await;
        }
        closed
    }

    fn open(peers: &'a Peers, tls: Tls, end: Role, other: Known) -> Result<Self, Closed> {
        let (member, place) = match other {
            Known::Member(member) => (Some(member), None),
            Known::Stranger(place) => (None, Some(place)),
        };
        let key = tls.peer_key()?;
        let (link, inbox) = peers.signer.open_peer()?;
        let now = Instant::now();
        Ok(Self {
            peers,
            end,
            key,
            link,
            writer: Writer(Arc::new(Mutex::new(tls.clone()))),
            tls,
            member,
            awaits: Await::Hello,
            nonce: [0; 32],
            theirs: [0; 32],
            until: now + HELLO,
            renew: now,
            paused: now,
            relay: None,
            inbox: Some(inbox),
            place,
        })
    }

    async fn speak(&mut self) -> Result<core::convert::Infallible, Closed> {
        self.nonce = self.link.nonce().await?;
        let hello = PeerFrame::Hello {
            genesis: self.peers.genesis,
            member: self.peers.me,
            nonce: self.nonce,
        };
        self.writer.send(hello).await?;
        let mut read = Box::pin(next(self.tls.clone(), MAX_FRAME));
        let mut silence = Instant::now() + SILENCE;
        loop {
            let idle = self.awaits == Await::Nothing;
            let until = if idle { silence } else { self.until };
            tokio::select! {
                biased;
                frame = &mut read => {
                    self.take(frame?).await?;
                    // What took long here was no silence of the other end.
                    silence = Instant::now() + SILENCE;
                    read = Box::pin(next(self.tls.clone(), self.limit()));
                }
                ended = relayed(&mut self.relay) => return Err(ended),
                () = sleep_until(self.renew), if idle => self.challenge().await?,
                () = sleep_until(until) => return Err(Closed::TimedOut),
            }
        }
    }

    /// Evidence is the one thing that may be long, and only where it is awaited.
    fn limit(&self) -> usize {
        match self.awaits {
            Await::Evidence => MAX_EVIDENCE_FRAME,
            _ => MAX_FRAME,
        }
    }

    async fn take(&mut self, frame: PeerFrame) -> Result<(), Closed> {
        match (frame, self.awaits) {
            (
                PeerFrame::Hello {
                    genesis,
                    member,
                    nonce,
                },
                Await::Hello,
            ) => {
                self.greet(genesis, member)?;
                self.begin(nonce).await
            }
            (PeerFrame::Challenge { nonce }, Await::Challenge) => self.begin(nonce).await,
            (PeerFrame::Challenge { nonce }, Await::Nothing) if Instant::now() >= self.paused => {
                self.challenge().await?;
                self.begin(nonce).await
            }
            (PeerFrame::Evidence { bundle }, Await::Evidence) => {
                self.judge(bundle).await?;
                if self.end == Role::Server {
                    self.prove().await?;
                }
                self.end_round();
                Ok(())
            }
            // Before both are members of each other there is nothing to say.
            (PeerFrame::Sealed { bytes }, _) if self.relay.is_some() => {
                self.link.received(bytes).await.map_err(Closed::from)
            }
            (PeerFrame::Ping, Await::Challenge | Await::Evidence | Await::Nothing) => Ok(()),
            (PeerFrame::Refused { code }, _) => Err(Closed::ByPeer(code)),
            _ => Err(Closed::Protocol),
        }
    }

    fn greet(&mut self, genesis: [u8; 32], member: u16) -> Result<(), Closed> {
        if genesis != self.peers.genesis {
            return Err(Closed::OtherNetwork);
        }
        let expected = match self.member {
            Some(dialled) => member == dialled,
            // Of two members, the one with the lower index dials, so that two connections never race.
            None => (1..self.peers.me).contains(&member),
        };
        if !expected {
            return Err(Closed::OtherMember);
        }
        self.member = Some(member);
        Ok(())
    }

    /// Asks the other end to attest again, and so begins a round.
    async fn challenge(&mut self) -> Result<(), Closed> {
        self.nonce = self.link.nonce().await?;
        self.awaits = Await::Challenge;
        self.until = Instant::now() + ROUND;
        self.writer.send(PeerFrame::Challenge { nonce: self.nonce }).await
    }

    /// Both nonces are known.
    async fn begin(&mut self, theirs: [u8; 32]) -> Result<(), Closed> {
        // From here on, so that an end which is slower doesn't take the other one for too early.
        self.paused = Instant::now() + LEAST_PAUSE;
        self.theirs = theirs;
        self.awaits = Await::Evidence;
        self.until = Instant::now() + ROUND;
        match self.end {
            Role::Client => self.prove().await,
            Role::Server => Ok(()),
        }
    }

    /// Shows this node's evidence, made for the other signer's nonce and this connection.
    async fn prove(&mut self) -> Result<(), Closed> {
        let channel = self.tls.challenge(&self.theirs).map_err(|_| Closed::Gone)?;
        let bundle = self
            .peers
            .quotes
            .bundle(self.end, self.theirs, channel)
            .await
            .map_err(Closed::Quote)?;
        self.writer
            .send(PeerFrame::Evidence {
                bundle: bundle.to_vec(),
            })
            .await
    }

    /// Has the signer judge the other end's evidence. What the front can tell itself, it tells first.
    async fn judge(&mut self, bundle: Vec<u8>) -> Result<(), Closed> {
        let member = self.member.ok_or(Closed::Protocol)?;
        let parsed = Bundle::parse(&bundle).map_err(Rejection::from)?;
        let (role, other) = match self.end {
            Role::Client => (PeerRole::Server, Role::Server),
            Role::Server => (PeerRole::Client, Role::Client),
        };
        let now = self.peers.quotes.now();
        let genuine = self
            .peers
            .verifier
            .verify_end(&NodeEvidence::of(&parsed), other, now)?;
        let claims = genuine.claims.claims();
        // The signer doesn't see the connection: that the other end of it is who the evidence is of, only the front can say.
        if claims.pubkey_hash != self.key {
            return Err(Rejection::CertificateKey.into());
        }
        let evidence = PeerEvidence {
            role,
            channel: self.tls.challenge(&self.nonce).map_err(|_| Closed::Gone)?,
            bundle,
            measurement: self.peers.status.read(&genuine.measurement).await,
        };
        match self.link.evidence(evidence).await? {
            Ok(found) if found == member => Ok(()),
            Ok(_) => Err(Closed::OtherMember),
            Err(code) => Err(Closed::BySigner(code)),
        }
    }

    /// Both are members of each other: messages pass, until it is time for the next round.
    fn end_round(&mut self) {
        self.awaits = Await::Nothing;
        self.renew = Instant::now() + self.peers.renewal();
        self.place = None;
        if let Some(inbox) = self.inbox.take() {
            self.relay = Some(Relay(tokio::spawn(relay(inbox, self.writer.clone()))));
            self.member
                .into_iter()
                .for_each(|member| self.peers.joined(member));
        }
    }
}

/// Ends with the reason for which no more messages go out.
async fn relayed(relay: &mut Option<Relay>) -> Closed {
    match relay {
        Some(relay) => (&mut relay.0).await.unwrap_or(Closed::Gone),
        None => core::future::pending().await,
    }
}

/// Hands the signer's messages on, on a task of its own, so that a quote that takes its time holds up none.
async fn relay(mut inbox: PeerInbox, writer: Writer) -> Closed {
    loop {
        let frame = match timeout(PING, inbox.next()).await {
            Ok(Some(bytes)) => PeerFrame::Sealed { bytes },
            Ok(None) => return Closed::Unwanted,
            Err(_) => PeerFrame::Ping,
        };
        if let Err(closed) = writer.send(frame).await {
            return closed;
        }
    }
}

struct Relay(JoinHandle<Closed>);

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Clone)]
struct Writer(Arc<Mutex<Tls>>);

impl Writer {
    async fn send(&self, frame: PeerFrame) -> Result<(), Closed> {
        let written = timeout(WRITE, async {
            let mut tls = self.0.lock().await;
            let (kind, body) = frame.encode();
            frame::write_within(&mut *tls, kind, &body, MAX_EVIDENCE_FRAME)
                .await
                .map_err(|_| Closed::Gone)?;
            tls.flush().await.map_err(|_| Closed::Gone)
        });
        written.await.unwrap_or(Err(Closed::TimedOut))
    }
}

async fn next(mut tls: Tls, limit: usize) -> Result<PeerFrame, Closed> {
    let frame = frame::read_within(&mut tls, limit)
        .await
        .map_err(|error| match error {
            frame::FrameError::TooLong(_) | frame::FrameError::Empty => Closed::Protocol,
            frame::FrameError::Closed | frame::FrameError::Socket(_) => Closed::Gone,
        })?;
    PeerFrame::parse(frame).ok_or(Closed::Protocol)
}
