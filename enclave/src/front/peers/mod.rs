//! Connections with the other members of the network: TLS with both ends' certificates, an exchange of evidence that the
//! signers judge, and then sealed messages that pass both ways.
//!
//! Of two members, the one with the lower index dials, through the host's egress port and for ever. Addresses are no
//! identity: whoever answers there shows evidence or is left.

mod frame;
mod session;
mod status;
mod strangers;
mod tls;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jeju_attestation::claims::Role;
use jeju_attestation::evidence::Verifier;
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::launch::mpc::Mpc;
use jeju_attestation::policy::PolicyError;
use jeju_attestation::rejection::Rejection;
use jeju_attested_tls::{RotatingCertificate, peer_client_config, peer_name};
use jeju_chain::{ChainReader, Dial, Io};
use rustls::ClientConfig;
use serde::Serialize;
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsConnector, TlsStream, server};

use self::session::{Known, Session};
use self::status::StatusReader;
use self::strangers::Strangers;
use self::tls::Tls;
use super::identity::random;
use crate::ipc::signer::{SignerClient, SignerFailure};
use crate::signer::admission;

/// Connections that others opened and on which nobody was admitted yet. With one more the oldest is cut: a member needs a
/// moment to be admitted, and whoever holds places for longer can't keep it out.
const STRANGERS: usize = 64;
/// How long a connection may take to be made.
const DIAL: Duration = Duration::from_secs(10);
const HANDSHAKE: Duration = Duration::from_secs(20);
/// Pause before the next try: the first one, and the longest. Each is cut by up to a half, at random, so that members that
/// were parted don't come back all at once.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// The longest where one end refused the other: each try costs a quote.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// A connection that lasted this long was a good one.
const LASTED: Duration = Duration::from_secs(30);

/// Where this node's evidence comes from.
pub(super) trait PeerQuotes: Send + Sync {
    /// A bundle whose quote is for a peer: in mode `peer`, for this end of the connection that `channel` was exported from,
    /// and the peer's nonce. `Err` has a stable code.
    fn bundle(
        &self,
        end: Role,
        nonce: [u8; 32],
        channel: [u8; 32],
    ) -> BoxFuture<'_, Result<Bytes, &'static str>>;

    /// The latest time that it may be, in seconds since 1970.
    fn now(&self) -> u64;
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    /// The connection couldn't be made.
    #[error("the member can't be reached")]
    Unreachable,
    /// The handshake failed.
    #[error("TLS handshake failed")]
    Handshake,
    /// The connection broke, or the other end closed it.
    #[error("the connection is gone")]
    Gone,
    /// The other end was silent, or didn't read.
    #[error("the other end took too long")]
    TimedOut,
    /// Not the protocol.
    #[error("the other end broke the protocol")]
    Protocol,
    /// Another genesis digest.
    #[error("the other end is of another network")]
    OtherNetwork,
    /// Another member than the one that was dialled or announced.
    #[error("the other end is another member")]
    OtherMember,
    /// The evidence isn't genuine, or not of this connection's other end.
    #[error(transparent)]
    Evidence(#[from] Rejection),
    /// The signer doesn't admit it.
    #[error("the signer refuses the peer: {0}")]
    BySigner(String),
    /// The other end says that it refuses this one.
    #[error("the peer refuses this node: {0}")]
    ByPeer(String),
    /// The signer wants no more of this peer: it was replaced, or its admission ran out.
    #[error("the signer wants no more of the peer")]
    Unwanted,
    /// This node's own quote couldn't be made.
    #[error("no quote: {0}")]
    Quote(&'static str),
    /// The signer doesn't answer.
    #[error(transparent)]
    Signer(#[from] SignerFailure),
    /// Too many connections.
    #[error("too many connections")]
    Busy,
}

impl Closed {
    /// Stable code.
    pub(super) fn code(&self) -> String {
        let code = match self {
            Closed::Unreachable => "peer_unreachable",
            Closed::Handshake => "peer_handshake",
            Closed::Gone => "peer_gone",
            Closed::TimedOut => "peer_timed_out",
            Closed::Protocol => "peer_protocol",
            Closed::OtherNetwork => "peer_other_network",
            Closed::OtherMember => "peer_other_member",
            Closed::Evidence(rejection) => rejection.code(),
            Closed::BySigner(code) | Closed::ByPeer(code) => code,
            Closed::Unwanted => "peer_unwanted",
            Closed::Quote(code) => code,
            Closed::Signer(_) => "peer_signer",
            Closed::Busy => "peer_busy",
        };
        code.to_owned()
    }

    /// What the other end is told, where it is this end that refuses.
    fn refusal(&self) -> Option<String> {
        match self {
            Closed::Protocol
            | Closed::OtherNetwork
            | Closed::OtherMember
            | Closed::Evidence(_)
            | Closed::BySigner(_)
            | Closed::Unwanted
            | Closed::Busy => Some(self.code()),
            _ => None,
        }
    }

    /// The longest pause before the next try.
    fn pause(&self) -> Duration {
        match self {
            Closed::ByPeer(_) | Closed::BySigner(_) | Closed::Evidence(_) => REFUSED_PAUSE,
            _ => PAUSE.1,
        }
    }
}

/// How a member looks from here. No secret, and no proof: the signer alone knows who is admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PeerState {
    /// Index of the member.
    pub(super) member: u16,
    /// Name of its node in the launch document.
    pub(super) node: String,
    /// Whether messages pass.
    pub(super) connected: bool,
    /// Since how many seconds they do, or don't.
    pub(super) seconds: u64,
    /// Why the last connection ended, if one did.
    pub(super) last: Option<String>,
}

/// What peers need of the rest of the front.
pub(super) struct Parts {
    /// The signer.
    pub(super) signer: SignerClient,
    /// Where evidence comes from.
    pub(super) quotes: Arc<dyn PeerQuotes>,
    /// What this node shows in handshakes.
    pub(super) certificate: Arc<RotatingCertificate>,
    /// The way out.
    pub(super) egress: Arc<dyn Dial>,
    /// Reads the launch document's chain.
    pub(super) chain: Arc<ChainReader>,
}

/// Why there are no connections with peers.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeersError {
    /// The launch document names no network with this node.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// rustls refuses the parameters.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// The connections with all other members.
pub(super) struct Peers {
    mpc: Mpc,
    genesis: [u8; 32],
    me: u16,
    epoch: Duration,
    signer: SignerClient,
    quotes: Arc<dyn PeerQuotes>,
    egress: Arc<dyn Dial>,
    status: StatusReader,
    verifier: Verifier,
    tls: Arc<ClientConfig>,
    strangers: Strangers,
    states: Mutex<BTreeMap<u16, State>>,
}

struct State {
    /// A peer that comes back may do so before its last connection is seen to be over.
    connections: usize,
    since: Instant,
    last: Option<String>,
}

impl Peers {
    /// For the node with this launch document. Nothing is dialled yet.
    ///
    /// # Errors
    /// See [`PeersError`].
    pub(super) fn new(launch: &LaunchDocument, parts: Parts) -> Result<Arc<Self>, PeersError> {
        let mpc = launch.mpc.clone().ok_or(PolicyError::Nothing("network (mpc)"))?;
        let me = mpc
            .place_of(&launch.node.agent.0)
            .ok_or(PolicyError::Nothing("member (mpc.members) of this node"))?;
        let others = (1..=mpc.members.len() as u16).filter(|member| *member != me);
        let state = |member| {
            let state = State {
                connections: 0,
                since: Instant::now(),
                last: None,
            };
            (member, state)
        };
        Ok(Arc::new(Self {
            genesis: mpc.genesis(),
            me,
            epoch: Duration::from_secs(u64::from(launch.node.epoch_seconds)),
            signer: parts.signer,
            quotes: parts.quotes,
            egress: parts.egress,
            status: StatusReader::new(parts.chain, launch.chain.clone()),
            verifier: admission::verifier(launch)?,
            tls: Arc::new(peer_client_config(parts.certificate)?),
            strangers: Strangers::default(),
            states: Mutex::new(others.map(state).collect()),
            mpc,
        }))
    }

    /// Keeps connections with all members of a higher index, for ever.
    pub(super) fn dial(self: &Arc<Self>) {
        for member in self.me + 1..=self.mpc.members.len() as u16 {
            let peers = self.clone();
            tokio::spawn(async move { peers.keep(member).await });
        }
    }

    /// Serves a connection that a peer opened with the protocol [`jeju_attested_tls::PEER_ALPN`], until it ends.
    pub(super) async fn accept<S>(&self, stream: server::TlsStream<S>) -> Closed
    where
        S: Io + 'static,
    {
        let (place, cut) = self.strangers.enter();
        let tls = Tls::new(TlsStream::Server(stream));
        tokio::select! {
            closed = Session::run(self, tls, Role::Server, Known::Stranger(place)) => closed,
            () = cut => Closed::Busy,
        }
    }

    /// All other members.
    pub(super) fn states(&self) -> Vec<PeerState> {
        let states = self.lock();
        let shown = |(member, state): (&u16, &State)| PeerState {
            member: *member,
            node: self.mpc.members[usize::from(*member) - 1].node.clone(),
            connected: state.connections > 0,
            seconds: state.since.elapsed().as_secs(),
            last: state.last.clone(),
        };
        states.iter().map(shown).collect()
    }

    async fn keep(&self, member: u16) {
        let mut pause = PAUSE.0;
        loop {
            let started = Instant::now();
            let closed = self.connect(member).await;
            if let Some(state) = self.lock().get_mut(&member) {
                state.last = Some(closed.code());
            }
            if started.elapsed() > LASTED {
                pause = PAUSE.0;
            }
            sleep(cut(pause, 2)).await;
            pause = (pause * 2).min(closed.pause());
        }
    }

    async fn connect(&self, member: u16) -> Closed {
        let address = &self.mpc.members[usize::from(member) - 1].address;
        let stream = match timeout(DIAL, self.egress.dial(address)).await {
            Ok(Ok(stream)) => stream,
            _ => return Closed::Unreachable,
        };
        let connector = TlsConnector::from(self.tls.clone());
        match timeout(HANDSHAKE, connector.connect(peer_name(), stream)).await {
            Ok(Ok(stream)) => {
                let tls = Tls::new(TlsStream::Client(stream));
                Session::run(self, tls, Role::Client, Known::Member(member)).await
            }
            _ => Closed::Handshake,
        }
    }

    /// When to attest again: within the epoch, and not all connections at once.
    fn renewal(&self) -> Duration {
        cut(self.epoch, 5)
    }

    fn joined(&self, member: u16) {
        if let Some(state) = self.lock().get_mut(&member) {
            state.connections += 1;
            state.since = Instant::now();
        }
    }

    fn left(&self, member: u16, why: &Closed) {
        if let Some(state) = self.lock().get_mut(&member) {
            state.connections = state.connections.saturating_sub(1);
            state.since = Instant::now();
            state.last = Some(why.code());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A duration, cut by up to one part of `parts` of it at random.
fn cut(duration: Duration, parts: u32) -> Duration {
    let random = u16::from_be_bytes(random().unwrap_or([0; 2]));
    duration - duration / parts * u32::from(random) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests;
