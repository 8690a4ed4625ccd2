//! Another node as upstream: attested TLS through egress, a challenge on that very connection, appraisal by the launch
//! document and the chain, and only then requests, of which each answer's signature is checked.
//!
//! The steps before the first request are those of a user's session ([`jeju_session`]); what differs is where policy
//! ([`policy`]) and time ([`chain`]) come from. [`session`] checks what comes back.

mod chain;
mod policy;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jeju_attestation::appraisal::{Inputs, Reference, appraise};
use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::evidence::Verifier;
use jeju_attestation::launch::upstreams::Upstream;
use jeju_attestation::launch::{LaunchDocument, split_authority};
use jeju_attestation::policy::Policy;
use jeju_attestation::rejection::Rejection;
use jeju_attestation::verdict::ReferenceMode;
use jeju_attested_tls::{AttestedVerifier, client_config_with_time};
use jeju_chain::{ChainReader, Dial};
use jeju_session::{Connection as Opened, Error as SessionError, Target, attest};
use jeju_shim_protocol::fatal::FatalCode;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::sync::Semaphore;

use super::connect::{Connect, ConnectError, Connection, Work};

use chain::{ChainClock, Registry};
use session::NodeSession;

/// Connections that are attested at a time: the other node makes one quote after the other, and refuses who waits beyond a
/// few.
const ATTESTING: usize = 4;
const INVALID: FatalCode = FatalCode::LaunchDocumentInvalid;

/// Opens connections with one other node.
pub(super) struct Attested {
    authority: String,
    server_name: ServerName<'static>,
    egress: Arc<dyn Dial>,
    certificates: Arc<AttestedVerifier>,
    tls: Arc<ClientConfig>,
    places: Semaphore,
    judge: Arc<Judge>,
}

/// What decides over the other node; its connections share it.
struct Judge {
    upstream: Upstream,
    policy: Policy,
    verifier: Arc<Verifier>,
    registry: Registry,
    clock: Arc<ChainClock>,
    limits: Limits,
}

/// How soon a revocation stops requests on connections that are open.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// How often the registry is read.
    watch_every: Duration,
    /// How old its last answer may be when a request is sent.
    in_force_within: Duration,
    /// How long one answer of it does for all connections.
    keep: Duration,
}

const LIMITS: Limits = Limits {
    watch_every: Duration::from_secs(20),
    in_force_within: Duration::from_secs(60),
    keep: Duration::from_secs(10),
};

impl Attested {
    /// For an upstream of the launch document that is another node.
    ///
    /// # Errors
    /// [`FatalCode::LaunchDocumentInvalid`] where the document gives no policy, [`FatalCode::Internal`] where TLS can't be
    /// set up.
    pub(super) fn new(
        upstream: &Upstream,
        launch: &LaunchDocument,
        egress: Arc<dyn Dial>,
        chain: Arc<ChainReader>,
    ) -> Result<Self, FatalCode> {
        let attested = upstream.attested.as_ref().ok_or(INVALID)?;
        let policy = policy::of(launch, attested).map_err(|_| INVALID)?;
        let registry = (launch, chain);
        Self::with(upstream, policy, egress, registry, LIMITS)
    }

    fn with(
        upstream: &Upstream,
        policy: Policy,
        egress: Arc<dyn Dial>,
        (launch, chain): (&LaunchDocument, Arc<ChainReader>),
        limits: Limits,
    ) -> Result<Self, FatalCode> {
        let verifier = Verifier::of_policy(&policy, Endorsements::default()).map_err(|_| INVALID)?;
        let verifier = Arc::new(verifier);
        let certificates = Arc::new(AttestedVerifier::new(verifier.clone()));
        let clock = ChainClock::new(chain.clone());
        let tls = client_config_with_time(certificates.clone(), clock.clone());
        let authority = upstream.authority().ok_or(INVALID)?;
        let (host, _) = split_authority(&authority).ok_or(INVALID)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self {
            server_name: ServerName::try_from(host).map_err(|_| INVALID)?,
            authority,
            egress,
            certificates,
            tls: Arc::new(tls.map_err(|_| FatalCode::Internal)?),
            places: Semaphore::new(ATTESTING),
            judge: Arc::new(Judge {
                registry: Registry::new(launch, chain, clock.clone(), limits.keep),
                upstream: upstream.clone(),
                policy,
                verifier,
                clock,
                limits,
            }),
        })
    }

    async fn open(&self) -> Result<Connection, Refusal> {
        let judge = &self.judge;
        let _place = self.places.acquire().await.map_err(|_| Refusal::Unreachable)?;
        // First, since the handshake asks how late it is.
        judge.clock.read().await?;
        let stream = self.egress.dial(&self.authority).await;
        let stream = stream.map_err(|_| Refusal::Unreachable)?;
        let target = Target {
            authority: &self.authority,
            server_name: self.server_name.clone(),
            certificates: &self.certificates,
            tls: self.tls.clone(),
        };
        let opened = Opened::open(stream, &target).await?;
        let attested = attest(opened, &judge.verifier, || judge.clock.now()).await?;
        let asked = judge.accept(&attested).await?;
        let (sender, session) = NodeSession::new(judge.clone(), attested, asked);
        Ok(Connection {
            sender,
            work: Work::elsewhere(),
            session: Some(Box::new(session)),
        })
    }
}

impl Connect for Attested {
    fn connect(&self) -> BoxFuture<'_, Result<Connection, ConnectError>> {
        Box::pin(async move { Ok(self.open().await?) })
    }
}

impl Judge {
    /// Whether the node that was attested is the one that the launch document names, and one to talk to. Returns when the
    /// registry was asked.
    async fn accept(&self, attested: &jeju_session::Attested) -> Result<Instant, Refusal> {
        let genuine = &attested.genuine;
        // The registry's answers are kept for the measurements of the launch document alone.
        if !self.policy.pins(&genuine.measurement) {
            return Err(Rejection::MeasurementUnknown(genuine.measurement).into());
        }
        let other = LaunchDocument::parse(&attested.bundle.launch).map_err(Rejection::from)?;
        let mut policy = self.policy.clone();
        policy.launch = policy::launch_rules(&policy.launch, &other);
        let (status, asked) = self.registry.status(&genuine.measurement, genuine.tee).await?;
        let inputs = Inputs {
            reference: Reference {
                mode: ReferenceMode::Pinned,
                status,
            },
            anchor: self.registry.anchor(genuine.claims.claims()).await?,
            challenge: Some(attested.challenge),
            bundle: &attested.bundle,
            verifier: self.verifier.hardware(),
            now: self.clock.now(),
            policy: &policy,
        };
        appraise(genuine, &inputs)?;
        policy::check_models(&self.upstream, &other).map_err(Refusal::Model)?;
        Ok(asked)
    }
}

/// Why the other node isn't talked to, or its answer not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// No connection, or it broke.
    #[error("the node can't be reached")]
    Unreachable,
    /// This node doesn't know how late it is, or what is revoked.
    #[error("the chain can't be read")]
    ChainUnreadable,
    /// Not attested.
    #[error(transparent)]
    Session(SessionError),
    /// Doesn't serve what it is to be asked for.
    #[error("the node serves other models: {0}")]
    Model(&'static str),
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Handshake(_) | SessionError::Http(_) | SessionError::SessionOver => {
                Refusal::Unreachable
            }
            other => Refusal::Session(other),
        }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Refusal::Session(rejection.into())
    }
}

impl From<Refusal> for ConnectError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Unreachable => return ConnectError::Unreachable,
            Refusal::ChainUnreadable => "chain_unreadable",
            Refusal::Session(error) => error.code(),
            Refusal::Model(code) => code,
        };
        ConnectError::NotVerified(code.to_owned())
    }
}
