//! From the chain to a snapshot.

use futures_util::{StreamExt, TryStreamExt, stream};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::{ChainReader, Head, ReadError, Status, platform};

use super::SnapshotError;
use super::snapshot::{Entry, MAX_ENTRIES, Snapshot};

/// Measurements that are asked for at a time.
const AT_ONCE: usize = 8;

/// What the registry accepts at `head`, by k of n endpoints, to mean something for `life` seconds from the time of that
/// block.
///
/// # Errors
/// Where the endpoints give no k equal answers, or the registry has too many measurements.
pub async fn take(
    reader: &ChainReader,
    head: Head,
    chain_id: u64,
    registry: &[u8; 20],
    life: u64,
) -> Result<Snapshot, SnapshotError> {
    let count = reader.measurement_count_at(&head.block, registry).await?;
    if usize::try_from(count).map_or(true, |count| count > MAX_ENTRIES) {
        return Err(SnapshotError::TooMany(count));
    }
    // The zero id is never known; its reading has the policy all the same.
    let policy = reader.measurement_at(head, registry, &[0; 32]).await?.policy;
    let found: Vec<Option<Entry>> = stream::iter(1..=count)
        .map(|serial| entry(reader, head, registry, serial))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut entries: Vec<Entry> = found.into_iter().flatten().collect();
    entries.sort_by_key(|entry| entry.id);
    Ok(Snapshot {
        policy_epoch: policy.epoch,
        version_floor: policy.version_floor,
        entries,
        ..Snapshot::new(
            chain_id,
            *registry,
            &head.block,
            head.block.timestamp.saturating_add(life),
        )
    })
}

/// A measurement that may be accepted; `None` for any other.
async fn entry(
    reader: &ChainReader,
    head: Head,
    registry: &[u8; 20],
    serial: u32,
) -> Result<Option<Entry>, ReadError> {
    let id = reader.measurement_id_at(&head.block, registry, serial).await?;
    let reading = reader.measurement_at(head, registry, &id).await?;
    let (Status::Active, Some(record)) = (reading.status(), reading.record) else {
        return Ok(None);
    };
    // A platform that this software doesn't know is one whose evidence it can't verify either.
    Ok(platform::name(record.platform).map(|platform| Entry {
        id: HexBytes(id),
        platform: platform.to_owned(),
        version: record.version,
        valid_from: record.valid_from,
        valid_until: record.valid_until,
        release_digest: HexBytes(record.release_digest),
    }))
}
