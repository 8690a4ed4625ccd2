//! What the chain says: how late it is, and which measurements are in force. The host carries the answers, so that no
//! answer is a refusal, and a chain that goes back or stands still is none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jeju_attestation::appraisal::{Anchor, MeasurementStatus};
use jeju_attestation::claims::Claims;
use jeju_attestation::launch::{Chain, LaunchDocument};
use jeju_attestation::measurement::MeasurementId;
use jeju_attestation::tee::Tee;
use jeju_chain::{ChainReader, GuardLimits, HeadGuard};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tokio::sync::Mutex as AsyncMutex;

use crate::newest::{NewestTime, Reading};
use crate::node_policy::is_development;

use super::Refusal;

/// How far the newest block may lie behind the present, in seconds.
const SLACK: u64 = 30;

/// What the registry said of a measurement, and when it was asked.
pub(super) type Said = (MeasurementStatus, Instant);

/// The chain of the launch document.
pub(super) struct Registry {
    reader: Arc<ChainReader>,
    chain: Chain,
    guard: HeadGuard,
    clock: Arc<ChainClock>,
    /// How long an answer is used by all connections.
    keep: Duration,
    /// At most the measurements of the launch document.
    kept: AsyncMutex<BTreeMap<MeasurementId, Said>>,
}

impl Registry {
    pub(super) fn new(
        own: &LaunchDocument,
        reader: Arc<ChainReader>,
        clock: Arc<ChainClock>,
        keep: Duration,
    ) -> Self {
        let limits = match is_development(own) {
            true => GuardLimits::LOCAL,
            false => GuardLimits::default(),
        };
        Self {
            guard: HeadGuard::new(own.chain.id, limits, None),
            chain: own.chain.clone(),
            kept: AsyncMutex::new(BTreeMap::new()),
            reader,
            clock,
            keep,
        }
    }

    /// What the registry says of a measurement that the launch document names, now or a moment ago.
    ///
    /// # Errors
    /// Where it can't be read, or the chain isn't one to rest on.
    pub(super) async fn status(&self, id: &MeasurementId, tee: Tee) -> Result<Said, Refusal> {
        // One question for all who wait.
        let mut kept = self.kept.lock().await;
        if let Some(said) = kept.get(id)
            && said.1.elapsed() < self.keep
        {
            return Ok(*said);
        }
        kept.remove(id);
        let asked = Instant::now();
        let now = self.clock.read().await?;
        let head = self.guard.check(&self.reader, Some(now)).await;
        let head = head.map_err(|_| Refusal::ChainUnreadable)?;
        let reading = self.reader.measurement_at(head, &self.chain.registry.0, &id.0);
        let reading = reading.await.map_err(|_| Refusal::ChainUnreadable)?;
        let said = (jeju_session::measurement_status(&reading, tee, now), asked);
        kept.insert(*id, said);
        Ok(said)
    }

    /// The block that evidence names.
    ///
    /// # Errors
    /// Where it can't be looked up.
    pub(super) async fn anchor(&self, claims: &Claims) -> Result<Anchor, Refusal> {
        let anchor = jeju_session::anchor(&self.reader, claims).await;
        anchor.map_err(|_| Refusal::ChainUnreadable)
    }
}

/// How late it is at most: the newest block, what this machine counted since, and [`SLACK`]. The wall clock is the host's.
pub(super) struct ChainClock {
    newest: NewestTime,
    /// For who can't wait.
    known: Mutex<Option<Reading>>,
}

impl ChainClock {
    pub(super) fn new(reader: Arc<ChainReader>) -> Arc<Self> {
        Arc::new(Self {
            newest: NewestTime::new(reader),
            known: Mutex::new(None),
        })
    }

    /// Reads the chain, unless that was done a moment ago. Seconds since 1970.
    ///
    /// # Errors
    /// Where no block was ever read.
    pub(super) async fn read(&self) -> Result<u64, Refusal> {
        let newest = self.newest.now().await.ok_or(Refusal::ChainUnreadable)?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Reading::new(newest));
        Ok(newest.saturating_add(SLACK))
    }

    /// The same by what was read last; the end of time where nothing was.
    pub(super) fn now(&self) -> u64 {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.map_or(u64::MAX, |known| known.now().saturating_add(SLACK))
    }
}

impl std::fmt::Debug for ChainClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChainClock")
    }
}

impl TimeProvider for ChainClock {
    fn current_time(&self) -> Option<UnixTime> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (*known)?.now().saturating_add(SLACK);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(now)))
    }
}
