//! A connection to a node that was attested before anything else was sent.
//!
//! [`Session::connect`] does, in this order: TCP, TLS with the evidence of the certificate (which may be relayed), a
//! challenge that binds a fresh quote to this very connection, and the appraisal of that quote. A [`Session`] is the
//! proof that all of it passed, and the only way to send a request; each response is verified on its own.

mod signer;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Method};
use jeju_attestation::appraisal::Challenge;
use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::Claims;
use jeju_attestation::evidence::Genuine;
use jeju_attestation::keys::{KeyList, KeyListError};
use jeju_attestation::response::Session as AttestedKey;
use jeju_attestation::verdict::Verdict;
use jeju_session::{Bounds, Connection, Epochs, Exchange, attest, random_nonce, verified, within};
use rustls::pki_types::CertificateDer;

pub use jeju_session::{Error as SessionError, MAX_BODY_LEN, VerifiedBody, VerifiedResponse, VerifiedStream};

use crate::error::Error;
use crate::node_url::NodeUrl;
use crate::relying_party::{Documents, RelyingParty};
use crate::via::{self, Gateway};

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// TCP and TLS.
    pub connect: Duration,
    /// Everything from the first packet to the verdict, waits for a busy quoting device included.
    pub attest: Duration,
    /// From a request to the end of its response, or to the head where the response is a stream.
    pub response: Duration,
    /// Between two pieces of a stream.
    pub stall: Duration,
    /// How old an appraisal may be when a request is sent: a revocation on chain stops requests this soon.
    pub appraised_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            attest: Duration::from_secs(60),
            response: Duration::from_secs(600),
            stall: Duration::from_secs(180),
            appraised_within: Duration::from_secs(60),
        }
    }
}

/// An attested connection.
pub struct Session {
    connection: Connection,
    party: Arc<RelyingParty>,
    limits: Limits,
    epochs: Epochs,
    bundle: Bundle,
    verdict: Verdict,
    /// The newest evidence, and when it was appraised last.
    newest: Genuine,
    appraised: Instant,
    ends: Ends,
    broken: bool,
}

impl Session {
    /// Connects, attests and appraises. Where gateways lead to nodes, each is tried until one has led to this one.
    ///
    /// # Errors
    /// Of each [`crate::error::Class`], of several gateways the gravest; nothing but the challenge was sent then.
    pub async fn connect(url: &NodeUrl, party: Arc<RelyingParty>, limits: Limits) -> Result<Self, Error> {
        let mut gravest: Option<Error> = None;
        for gateway in party.via().ways() {
            let attesting = Self::attest(url, gateway, party.clone(), limits);
            let attested = within("attestation", limits.attest, attesting).await;
            match (attested.unwrap_or_else(|late| Err(late.into())), gateway) {
                (Ok(session), gateway) => {
                    if let Some(gateway) = gateway {
                        party.via().led(gateway);
                    }
                    return Ok(session);
                }
                (Err(error), None) => return Err(error),
                (Err(error), Some(gateway)) => {
                    let error = error.through(gateway);
                    gravest = gravest.filter(|known| known.is_graver(&error)).or(Some(error));
                }
            }
        }
        // There is always a way, so there is an error.
        Err(gravest.unwrap_or_else(|| SessionError::SessionOver.into()))
    }

    async fn attest(
        url: &NodeUrl,
        gateway: Option<&Gateway>,
        party: Arc<RelyingParty>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let connecting = via::connect(url, gateway, &party);
        let connection = within("connecting", limits.connect, connecting).await??;
        let ends = Ends::of(&party, connection.not_after());
        let attested = attest(connection, party.evidence_verifier(), unix_now).await?;
        let documents = Documents {
            bundle: &attested.bundle,
            challenge: attested.challenge,
        };
        let verdict = party.appraise(&attested.genuine, &documents).await?;
        Ok(Self {
            connection: attested.connection,
            party,
            limits,
            epochs: attested.epochs,
            bundle: attested.bundle,
            verdict,
            newest: attested.genuine,
            appraised: Instant::now(),
            ends,
            broken: false,
        })
    }

    /// What was established about the node.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Whether the node was judged by these rules, not by others that say the same.
    pub(crate) fn is_judged_by(&self, party: &Arc<RelyingParty>) -> bool {
        Arc::ptr_eq(&self.party, party)
    }

    /// What the newest quote of this session says of the node.
    pub fn claims(&self) -> &Claims {
        self.newest.claims.claims()
    }

    /// The node's launch document, exact bytes: what was appraised.
    pub fn launch(&self) -> &[u8] {
        &self.bundle.launch
    }

    /// The node's keys beside those in the claims, which name this list.
    ///
    /// # Errors
    /// None, since the list was appraised.
    pub fn keys(&self) -> Result<KeyList, KeyListError> {
        KeyList::parse(&self.bundle.keys)
    }

    /// The node's certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.connection.certificate()
    }

    /// Whether no request can be sent any more: closed, refused, or older than the policy allows.
    pub fn is_over(&self) -> bool {
        self.broken || self.ends.passed() || self.connection.is_closed()
    }

    /// Sends a request and verifies its response. `path_and_query` starts with `/`; `Host`, `Content-Length` and
    /// `Jeju-Nonce` are set here, and the headers given must be end-to-end ones.
    ///
    /// Dropping the future, or the stream of the response, ends the connection and so the work at the node.
    ///
    /// # Errors
    /// [`Error::SessionOver`] if nothing was sent: another session may be tried. After any other error the request may
    /// have reached the node.
    pub async fn request(
        &mut self,
        method: Method,
        path_and_query: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<VerifiedResponse, Error> {
        if self.is_over() {
            return Err(SessionError::SessionOver.into());
        }
        let nonce = random_nonce()?;
        let limit = self.limits.response;
        let exchange = async {
            if self.appraised.elapsed() >= self.limits.appraised_within {
                self.appraise_again(self.newest.clone()).await?;
            }
            let exchange = self
                .connection
                .exchange(method, path_and_query, headers, body, nonce)
                .await?;
            self.verified(exchange).await
        };
        let outcome = within("the response", limit, exchange)
            .await
            .unwrap_or_else(|late| Err(late.into()));
        self.broken |= outcome.is_err();
        outcome
    }

    async fn verified(&mut self, exchange: Exchange) -> Result<VerifiedResponse, Error> {
        let key = match self.epochs.known(&exchange.head)? {
            Some(key) => key,
            None => self.next_epoch(&exchange).await?,
        };
        let bounds = Bounds {
            body: MAX_BODY_LEN,
            stall: self.limits.stall,
        };
        Ok(verified(exchange, &key, &self.connection, bounds).await?)
    }

    /// A response that names claims not seen on this session: a later epoch of the same boot, appraised again, so that
    /// a revocation or a stopped chain view is noticed.
    async fn next_epoch(&mut self, exchange: &Exchange) -> Result<AttestedKey, Error> {
        let verifier = self.party.evidence_verifier();
        let genuine = self
            .epochs
            .verify_next(&exchange.head, &self.bundle, verifier, unix_now())?;
        self.appraise_again(genuine.clone()).await?;
        Ok(self.epochs.remember(genuine.tee, &genuine.claims))
    }

    /// Asks again for reference value and block, and judges by now.
    async fn appraise_again(&mut self, genuine: Genuine) -> Result<(), Error> {
        let claims = genuine.claims.claims();
        // This session's challenge vouches for the boot, which is the same, so an epoch's quote needs no nonce.
        let documents = Documents {
            bundle: &self.bundle,
            challenge: Challenge {
                nonce: claims.nonce,
                channel: Some(claims.channel),
            },
        };
        self.party.appraise(&genuine, &documents).await?;
        (self.newest, self.appraised) = (genuine, Instant::now());
        Ok(())
    }
}

/// When a session ends: attestation is no older than the policy's age, by a clock that doesn't stop in suspend too.
struct Ends {
    monotonic: Instant,
    wall: SystemTime,
}

impl Ends {
    fn of(party: &RelyingParty, not_after: i64) -> Self {
        let certificate = u64::try_from(not_after).unwrap_or(0).saturating_sub(unix_now());
        // A year is for ever here, and keeps the sums below in range.
        let seconds = party
            .policy()
            .max_age_seconds
            .min(certificate)
            .min(366 * 24 * 3600);
        let left = Duration::from_secs(seconds);
        Self {
            monotonic: Instant::now() + left,
            wall: SystemTime::now() + left,
        }
    }

    fn passed(&self) -> bool {
        Instant::now() >= self.monotonic || SystemTime::now() >= self.wall
    }
}

pub(crate) fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
