//! What the chain says of a node's evidence, as appraisal asks for it.

use jeju_attestation::appraisal::{Anchor, MeasurementStatus};
use jeju_attestation::claims::Claims;
use jeju_attestation::tee::Tee;
use jeju_chain::{ChainReader, MeasurementReading, ReadError, Status};

/// What the registry's answer means for evidence of this platform at `now` (seconds since 1970).
pub fn measurement_status(reading: &MeasurementReading, tee: Tee, now: u64) -> MeasurementStatus {
    let Some(record) = &reading.record else {
        return MeasurementStatus::Unknown;
    };
    // The id's preimage names the platform; a record that says another was made for something else.
    if jeju_chain::platform::name(record.platform) != Some(tee.name()) {
        return MeasurementStatus::Unknown;
    }
    match reading.status_at(now) {
        Status::Active => MeasurementStatus::Active,
        Status::Unknown => MeasurementStatus::Unknown,
        Status::Pending => MeasurementStatus::Pending {
            active_from: record.valid_from,
        },
        Status::Revoked { at } => MeasurementStatus::Revoked { at },
        Status::BelowFloor => MeasurementStatus::BelowFloor {
            version: record.version,
            floor: reading.policy.version_floor,
        },
    }
}

/// Looks up the block that claims name.
///
/// # Errors
/// Where the endpoints give no answer.
pub async fn anchor(reader: &ChainReader, claims: &Claims) -> Result<Anchor, ReadError> {
    if !claims.has_anchor() {
        return Ok(Anchor::Unknown);
    }
    match reader.block_by_hash(&claims.anchor.1).await {
        Ok(block) if block.number == claims.anchor.0 => Ok(Anchor::Known(block.timestamp)),
        Ok(_) | Err(ReadError::BlockNotFound) => Ok(Anchor::Unknown),
        Err(error) => Err(error),
    }
}
