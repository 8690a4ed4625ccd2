//! Evidence on time and on demand: a quote per epoch, and fresh ones for verifiers' nonces within a budget.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jeju_attestation::certificate::CertificateEvidence;
use jeju_attestation::claims::{self, Claims, ClaimsBuffer, Mode, Role};
use jeju_attestation::launch;
use jeju_attested_tls::{CertificateFields, RotatingCertificate};
use jeju_shim_protocol::fatal::FatalCode;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::anchor::{Anchor, AnchorReader};
use crate::ipc::quote::{QuoteClient, QuoteFailure};

use super::epoch::{self, Epoch, Quoted, ResponseKey};
use super::error::ApiError;
use super::identity::Identity;
use super::peers::PeerQuotes;
use super::receipts::Receipts;

/// How long the first block may take: without one, no certificate can say when it begins.
const FIRST_ANCHOR: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(1);
/// A certificate begins before its anchor, since verifiers' clocks differ.
const BEFORE: i64 = 3600;
/// A certificate ends late: the anchor lags behind the present by the chain's finality, and verifiers judge age by the
/// anchor, not by this date.
const AFTER: i64 = 3600;
/// Fresh bundles that stay addressable.
const FRESH_KEPT: usize = 32;
/// Fresh quotes that may be asked for at once, and how many a second are given back.
const BURST: f64 = 16.0;
const PER_SECOND: f64 = 2.0;
/// Verifiers that may wait for the one quoting device.
const WAITING: usize = 8;
/// Quotes for peers that are made at once.
const PEERS: usize = 4;
/// How far the newest finalised block may lie behind the present, in seconds.
const LAG: u64 = 1800;
const PEER_QUOTE_UNAVAILABLE: &str = "peer_quote_unavailable";

/// Makes and keeps evidence.
pub(super) struct Attester {
    identity: Arc<Identity>,
    /// What is said of answers.
    pub(super) receipts: Arc<Receipts>,
    node: launch::Node,
    anchors: AnchorReader,
    quotes: QuoteClient,
    certificate: Arc<RotatingCertificate>,
    epochs: RwLock<Epochs>,
    fresh: Mutex<VecDeque<([u8; 32], Bytes)>>,
    budget: Mutex<Budget>,
    waiting: Semaphore,
    peers: Semaphore,
}

struct Epochs {
    current: Arc<Epoch>,
    /// Responses under way when an epoch ends are still signed by its key.
    previous: Option<Arc<Epoch>>,
}

impl Attester {
    /// Makes the first epoch.
    ///
    /// # Errors
    /// The fatal code of what failed.
    pub(super) async fn start(
        identity: Identity,
        receipts: Option<launch::payments::Receipts>,
        node: launch::Node,
        anchors: AnchorReader,
        quotes: QuoteClient,
    ) -> Result<Arc<Self>, FatalCode> {
        let identity = Arc::new(identity);
        let keys = receipts.map(|receipts| receipts.keys.0);
        let receipts = Arc::new(Receipts::new(identity.clone(), keys));
        let anchor = first_anchor(&anchors).await?;
        let epoch = quote_epoch(&identity, &quotes, anchor, 0, claims::Receipts::default())
            .await
            .map_err(|_| FatalCode::QuotingFailed)?;
        let evidence = certificate_evidence(&epoch);
        let fields = certificate_fields(&node, &anchor, &evidence);
        let certificate =
            RotatingCertificate::new(&identity.tls, &fields).map_err(|_| FatalCode::Internal)?;
        Ok(Arc::new(Self {
            certificate: Arc::new(certificate),
            epochs: RwLock::new(Epochs {
                current: Arc::new(epoch),
                previous: None,
            }),
            fresh: Mutex::new(VecDeque::with_capacity(FRESH_KEPT)),
            budget: Mutex::new(Budget {
                tokens: BURST,
                at: Instant::now(),
            }),
            waiting: Semaphore::new(WAITING),
            peers: Semaphore::new(PEERS),
            identity,
            receipts,
            node,
            anchors,
            quotes,
        }))
    }

    /// Goes on for ever: a new key, quote and certificate per epoch. Where the chain can't be read, the old block stays
    /// and verifiers call the node stale; where the device makes no quote, the old epoch goes on until it does.
    pub(super) async fn rotate_epochs(self: Arc<Self>) {
        let length = Duration::from_secs(u64::from(self.node.epoch_seconds));
        loop {
            sleep(length).await;
            while self.rotate().await.is_none() {
                sleep(RETRY).await;
            }
        }
    }

    async fn rotate(&self) -> Option<()> {
        let old = self.current();
        let anchor = match self.anchors.read().await {
            Some(read) => old.anchor.newer(read),
            None => old.anchor,
        };
        let number = old.reference.epoch.checked_add(1)?;
        let ended = old.reference.epoch;
        let receipts = self.receipts.close(ended);
        let epoch = quote_epoch(&self.identity, &self.quotes, anchor, number, receipts)
            .await
            .ok()?;
        let evidence = certificate_evidence(&epoch);
        let fields = certificate_fields(&self.node, &anchor, &evidence);
        self.certificate.rotate(&self.identity.tls, &fields).ok()?;
        self.receipts.quoted(ended, &epoch.quoted);
        let mut epochs = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        epochs.previous = Some(std::mem::replace(&mut epochs.current, Arc::new(epoch)));
        Some(())
    }

    /// The epoch that signs now.
    pub(super) fn current(&self) -> Arc<Epoch> {
        self.epochs
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .current
            .clone()
    }

    /// What new handshakes get.
    pub(super) fn certificate(&self) -> Arc<RotatingCertificate> {
        self.certificate.clone()
    }

    /// The identity of this boot.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The bundle with this digest, while it is kept.
    pub(super) fn bundle(&self, digest: &[u8; 32]) -> Option<Bytes> {
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bundle)) = fresh.iter().find(|(kept, _)| kept == digest) {
            return Some(bundle.clone());
        }
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        let kept = [Some(&epochs.current), epochs.previous.as_ref()];
        kept.into_iter()
            .flatten()
            .find(|epoch| epoch.quoted.digest == *digest)
            .map(|epoch| epoch.quoted.bundle.clone())
            .or_else(|| self.receipts.bundle(digest))
    }

    /// A bundle with a quote made for `nonce` and for the connection that `channel` was exported from.
    pub(super) async fn attest(&self, nonce: [u8; 32], channel: [u8; 32]) -> Result<Bytes, ApiError> {
        let _place = self
            .waiting
            .try_acquire()
            .map_err(|_| ApiError::quotes_over_budget(1))?;
        self.budget
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .map_err(ApiError::quotes_over_budget)?;
        let epoch = self.current();
        let claims = Claims {
            mode: Mode::FreshChannel,
            nonce,
            channel,
            ..epoch.quoted.claims.claims().clone()
        };
        let claims = ClaimsBuffer::encode(claims).map_err(|_| ApiError::invalid_nonce())?;
        let evidence = self
            .quotes
            .quote(claims.bytes().to_vec())
            .await
            .map_err(|failure| match failure {
                QuoteFailure::Busy => ApiError::quotes_over_budget(1),
                _ => ApiError::quote_unavailable(),
            })?;
        let quoted = Quoted::new(&self.identity, claims, evidence);
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        if fresh.len() == FRESH_KEPT {
            fresh.pop_front();
        }
        fresh.push_back((quoted.digest, quoted.bundle.clone()));
        Ok(quoted.bundle)
    }
}

impl PeerQuotes for Attester {
    /// Apart from the budget for strangers, who could use it up: a peer was admitted before it is shown a quote, or was dialled.
    fn bundle(
        &self,
        end: Role,
        nonce: [u8; 32],
        channel: [u8; 32],
    ) -> BoxFuture<'_, Result<Bytes, &'static str>> {
        Box::pin(async move {
            let _place = self.peers.acquire().await.map_err(|_| PEER_QUOTE_UNAVAILABLE)?;
            let claims = Claims {
                mode: Mode::Peer,
                role: end,
                nonce,
                channel,
                ..self.current().quoted.claims.claims().clone()
            };
            let claims = ClaimsBuffer::encode(claims).map_err(|_| "peer_nonce_invalid")?;
            let quoted = self.quotes.quote(claims.bytes().to_vec()).await;
            let evidence = quoted.map_err(|_| PEER_QUOTE_UNAVAILABLE)?;
            Ok(Quoted::new(&self.identity, claims, evidence).bundle)
        })
    }

    fn now(&self) -> u64 {
        self.current().anchor.now().saturating_add(LAG)
    }
}

/// A token bucket: quoting devices are slow, and hosts limit them.
struct Budget {
    tokens: f64,
    at: Instant,
}

impl Budget {
    /// Takes a token, or says in how many seconds there will be one.
    fn take(&mut self) -> Result<(), u32> {
        let now = Instant::now();
        self.tokens = (self.tokens + now.duration_since(self.at).as_secs_f64() * PER_SECOND).min(BURST);
        self.at = now;
        if self.tokens < 1.0 {
            return Err(((1.0 - self.tokens) / PER_SECOND).ceil().max(1.0) as u32);
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

async fn first_anchor(anchors: &AnchorReader) -> Result<Anchor, FatalCode> {
    let started = Instant::now();
    loop {
        if let Some(anchor) = anchors.read().await {
            return Ok(anchor);
        }
        if started.elapsed() > FIRST_ANCHOR {
            return Err(FatalCode::ChainUnavailable);
        }
        sleep(RETRY).await;
    }
}

async fn quote_epoch(
    identity: &Identity,
    quotes: &QuoteClient,
    anchor: Anchor,
    number: u32,
    receipts: claims::Receipts,
) -> Result<Epoch, QuoteFailure> {
    let key = ResponseKey::generate().map_err(|_| QuoteFailure::Malformed)?;
    let claims = Claims {
        receipts,
        ..epoch::claims(identity, &anchor, number, key.public())
    };
    let claims = ClaimsBuffer::encode(claims).map_err(|_| QuoteFailure::Malformed)?;
    let evidence = quotes.quote(claims.bytes().to_vec()).await?;
    Epoch::new(key, Quoted::new(identity, claims, evidence), anchor).map_err(|_| QuoteFailure::Device)
}

fn certificate_evidence(epoch: &Epoch) -> CertificateEvidence {
    let quoted = &epoch.quoted;
    CertificateEvidence {
        tee: quoted.evidence.tee,
        quote: epoch.stripped_quote.clone(),
        claims: quoted.claims.bytes().to_vec(),
    }
}

fn certificate_fields<'a>(
    node: &'a launch::Node,
    anchor: &Anchor,
    evidence: &'a CertificateEvidence,
) -> CertificateFields<'a> {
    let seconds = |value: u64| i64::try_from(value).unwrap_or(i64::MAX / 2);
    CertificateFields {
        common_name: format!("{}.node.jeju", hex::encode(&node.agent.0[..16])),
        names: &node.names,
        not_before: seconds(anchor.block.timestamp) - BEFORE,
        not_after: seconds(anchor.now()) + 2 * i64::from(node.epoch_seconds) + AFTER,
        evidence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_runs_out_and_comes_back() {
        let mut budget = Budget {
            tokens: BURST,
            at: Instant::now(),
        };
        for _ in 0..16 {
            assert_eq!(budget.take(), Ok(()));
        }
        assert_eq!(budget.take(), Err(1));
        budget.at -= Duration::from_secs(1);
        assert_eq!(budget.take(), Ok(()));
    }
}
