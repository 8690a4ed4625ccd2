//! What the chain says of a peer's measurement. The signer decides what that means; here it is read, and kept for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jeju_attestation::launch::Chain;
use jeju_attestation::measurement::MeasurementId;
use jeju_chain::{ChainReader, Status};

use crate::ipc::signer::MeasurementStatus;

/// How long an answer is used: members come back together after a partition, and endpoints limit who asks.
const KEPT: Duration = Duration::from_secs(15);
/// Answers that are kept; more than a network may list.
const MAX_KEPT: usize = 128;

/// Reads the registry of the launch document.
pub(super) struct StatusReader {
    reader: Arc<ChainReader>,
    chain: Chain,
    kept: Mutex<BTreeMap<MeasurementId, (MeasurementStatus, Instant)>>,
}

impl StatusReader {
    pub(super) fn new(reader: Arc<ChainReader>, chain: Chain) -> Self {
        Self {
            reader,
            chain,
            kept: Mutex::new(BTreeMap::new()),
        }
    }

    /// What the registry says now, or said a moment ago.
    pub(super) async fn read(&self, id: &MeasurementId) -> MeasurementStatus {
        if let Some(kept) = self.kept(id) {
            return kept;
        }
        let read = self.ask(id).await;
        // An endpoint that can't be read is asked again the next time.
        if read != MeasurementStatus::Unreadable {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= MAX_KEPT {
                kept.retain(|_, (_, at)| at.elapsed() < KEPT);
            }
            if kept.len() < MAX_KEPT {
                kept.insert(*id, (read, Instant::now()));
            }
        }
        read
    }

    fn kept(&self, id: &MeasurementId) -> Option<MeasurementStatus> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, at) = kept.get(id)?;
        (at.elapsed() < KEPT).then_some(*status)
    }

    async fn ask(&self, id: &MeasurementId) -> MeasurementStatus {
        // Another chain has another registry at the address, or none.
        match self.reader.chain_id().await {
            Ok(found) if found == self.chain.id => {}
            _ => return MeasurementStatus::Unreadable,
        }
        match self.reader.measurement(&self.chain.registry.0, &id.0).await {
            Ok(reading) => meaning(reading.status()),
            Err(_) => MeasurementStatus::Unreadable,
        }
    }
}

/// A release below the floor is as good as revoked; one that waits for its activation is not known yet.
fn meaning(status: Status) -> MeasurementStatus {
    match status {
        Status::Active => MeasurementStatus::Active,
        Status::Unknown | Status::Pending => MeasurementStatus::Unknown,
        Status::Revoked { .. } | Status::BelowFloor => MeasurementStatus::Revoked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_active_is_active() {
        assert_eq!(meaning(Status::Active), MeasurementStatus::Active);
        assert_eq!(meaning(Status::Unknown), MeasurementStatus::Unknown);
        assert_eq!(meaning(Status::Pending), MeasurementStatus::Unknown);
        assert_eq!(meaning(Status::Revoked { at: 5 }), MeasurementStatus::Revoked);
        assert_eq!(meaning(Status::BelowFloor), MeasurementStatus::Revoked);
    }
}
