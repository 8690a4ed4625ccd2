//! A snapshot that is governance's word, and what it says of a measurement.

use jeju_attestation::appraisal::{MeasurementStatus, Reference};
use jeju_attestation::measurement::MeasurementId;
use jeju_attestation::policy::Registry;
use jeju_attestation::tee::Tee;
use jeju_attestation::verdict::ReferenceMode;
use jeju_chain::Block;
use jeju_wallet_auth::account::Account;

use super::SnapshotError;
use super::snapshot::{Entry, MAX_LIFE, Snapshot};

/// How far this machine's clock may lie behind the chain's, in seconds.
const CLOCK_SKEW: u64 = 600;

/// A snapshot of the policy's registry, signed by the policy's governance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedSnapshot(Snapshot);

impl SignedSnapshot {
    /// Takes a snapshot for what it is to be: signed by the policy's key, of its registry, and in force at `now` (seconds
    /// since 1970).
    ///
    /// # Errors
    /// What of this doesn't hold.
    pub fn verify(snapshot: Snapshot, registry: &Registry, now: u64) -> Result<Self, SnapshotError> {
        let wanted = registry.governance.ok_or(SnapshotError::NoGovernance)?;
        if snapshot.signature.is_none() {
            return Err(SnapshotError::Unsigned);
        }
        let wanted = Account(wanted.0);
        match snapshot.signer() {
            Some(found) if found == wanted => {}
            other => {
                let found = other.unwrap_or(Account([0; 20]));
                return Err(SnapshotError::Signer { found, wanted });
            }
        }
        if (snapshot.chain_id, snapshot.registry) != (registry.chain_id, registry.address) {
            return Err(SnapshotError::OtherRegistry {
                chain_id: snapshot.chain_id,
                registry: snapshot.registry,
            });
        }
        let life = snapshot.not_after.saturating_sub(snapshot.timestamp);
        if life > MAX_LIFE {
            return Err(SnapshotError::Life(life));
        }
        if snapshot.timestamp > now.saturating_add(CLOCK_SKEW) {
            return Err(SnapshotError::NotYet {
                timestamp: snapshot.timestamp,
            });
        }
        let signed = Self(snapshot);
        signed.check_in_force(now)?;
        Ok(signed)
    }

    /// The block that it was read at.
    pub fn block(&self) -> Block {
        Block {
            number: self.0.block,
            hash: self.0.block_hash.0,
            timestamp: self.0.timestamp,
        }
    }

    /// The registry's count of changes then.
    pub fn policy_epoch(&self) -> u64 {
        self.0.policy_epoch
    }

    /// What it says of a measurement of this platform at `now` (seconds since 1970): a process may outlive it.
    ///
    /// # Errors
    /// [`SnapshotError::Expired`].
    pub fn reference(&self, id: &MeasurementId, tee: Tee, now: u64) -> Result<Reference, SnapshotError> {
        self.check_in_force(now)?;
        let entries = &self.0.entries;
        let status = match entries.binary_search_by(|entry| entry.id.0.cmp(&id.0)) {
            // The id's preimage names the platform; an entry that says another was made for something else.
            Ok(at) if entries[at].platform == tee.name() => self.status(&entries[at], now),
            _ => MeasurementStatus::Unknown,
        };
        let mode = ReferenceMode::Snapshot {
            block: self.0.block,
            policy_epoch: self.0.policy_epoch,
            not_after: self.0.not_after,
        };
        Ok(Reference { mode, status })
    }

    fn status(&self, entry: &Entry, now: u64) -> MeasurementStatus {
        let floor = self.0.version_floor;
        if entry.valid_from > now {
            MeasurementStatus::Pending {
                active_from: entry.valid_from,
            }
        } else if entry.valid_until != 0 && now >= entry.valid_until {
            MeasurementStatus::Revoked {
                at: entry.valid_until,
            }
        } else if entry.version < floor {
            MeasurementStatus::BelowFloor {
                version: entry.version,
                floor,
            }
        } else {
            MeasurementStatus::Active
        }
    }

    fn check_in_force(&self, now: u64) -> Result<(), SnapshotError> {
        let not_after = self.0.not_after;
        match now > not_after {
            true => Err(SnapshotError::Expired { not_after }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use jeju_attestation::hex_bytes::HexBytes;
    use jeju_wallet_auth::signature::AccountKey;

    use super::super::snapshot::tests::snapshot;
    use super::*;

    const NOW: u64 = 1_000_100;

    fn key(byte: u8) -> AccountKey {
        AccountKey::from_bytes(&[byte; 32]).unwrap()
    }

    fn registry() -> Registry {
        Registry {
            chain_id: 1,
            address: HexBytes([9; 20]),
            rpc: Vec::new(),
            quorum: 1,
            allow_rpc: false,
            governance: Some(HexBytes(key(1).account().0)),
        }
    }

    fn signed(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
        let mut snapshot = snapshot();
        change(&mut snapshot);
        snapshot.signature = Some(HexBytes(key(1).sign(&snapshot.digest()).0));
        snapshot
    }

    fn code(snapshot: Snapshot, now: u64) -> &'static str {
        SignedSnapshot::verify(snapshot, &registry(), now)
            .unwrap_err()
            .code()
    }

    #[test]
    fn only_governances_word_on_the_policys_registry_counts() {
        assert!(SignedSnapshot::verify(signed(|_| {}), &registry(), NOW).is_ok());
        assert_eq!(code(snapshot(), NOW), "snapshot_unsigned");
        let mut other = snapshot();
        other.signature = Some(HexBytes(key(2).sign(&other.digest()).0));
        assert_eq!(code(other, NOW), "snapshot_signature_invalid");
        let mut changed = signed(|_| {});
        changed.policy_epoch += 1;
        assert_eq!(code(changed, NOW), "snapshot_signature_invalid");
        let mut high_v = signed(|_| {});
        high_v.signature.as_mut().unwrap().0[64] -= 27;
        assert_eq!(code(high_v, NOW), "snapshot_signature_invalid");
        assert_eq!(
            code(signed(|snapshot| snapshot.chain_id = 2), NOW),
            "snapshot_other_registry"
        );
        let elsewhere = signed(|snapshot| snapshot.registry = HexBytes([8; 20]));
        assert_eq!(code(elsewhere, NOW), "snapshot_other_registry");
        let nobody = Registry {
            governance: None,
            ..registry()
        };
        let refused = SignedSnapshot::verify(signed(|_| {}), &nobody, NOW).unwrap_err();
        assert_eq!(refused.code(), "snapshot_without_governance");
    }

    #[test]
    fn a_snapshot_ends() {
        let last = 1_000_000 + MAX_LIFE;
        let kept = SignedSnapshot::verify(signed(|_| {}), &registry(), last).unwrap();
        assert_eq!(code(signed(|_| {}), last + 1), "snapshot_expired");
        // Whoever keeps it in memory is told as well.
        let id = MeasurementId([1; 32]);
        assert!(kept.reference(&id, Tee::Tdx, last).is_ok());
        let over = kept.reference(&id, Tee::Tdx, last + 1).unwrap_err();
        assert_eq!((over.code(), over.class().exit_code()), ("snapshot_expired", 4));
        assert_eq!(
            code(signed(|snapshot| snapshot.not_after += 1), NOW),
            "snapshot_life_too_long"
        );
        assert_eq!(
            code(signed(|_| {}), 1_000_000 - CLOCK_SKEW - 1),
            "snapshot_not_yet"
        );
        assert!(SignedSnapshot::verify(signed(|_| {}), &registry(), 1_000_000 - CLOCK_SKEW).is_ok());
    }

    #[test]
    fn what_is_not_listed_is_not_accepted() {
        let snapshot = signed(|snapshot| {
            let mut later = snapshot.entries[1].clone();
            later.id = HexBytes([3; 32]);
            later.valid_from = NOW + 1;
            let mut over = later.clone();
            over.id = HexBytes([4; 32]);
            (over.valid_from, over.valid_until) = (0, NOW);
            let mut old = over.clone();
            old.id = HexBytes([5; 32]);
            (old.valid_until, old.version) = (NOW + 1, 1);
            snapshot.entries.extend([later, over, old]);
        });
        let snapshot = SignedSnapshot::verify(snapshot, &registry(), NOW).unwrap();
        let status = |id: u8, tee| {
            let reference = snapshot.reference(&MeasurementId([id; 32]), tee, NOW).unwrap();
            reference.status
        };
        assert_eq!(status(1, Tee::Tdx), MeasurementStatus::Active);
        assert_eq!(status(2, Tee::SevSnp), MeasurementStatus::Active);
        assert_eq!(
            status(1, Tee::SevSnp),
            MeasurementStatus::Unknown,
            "another platform's"
        );
        assert_eq!(status(6, Tee::Tdx), MeasurementStatus::Unknown);
        assert_eq!(
            status(3, Tee::SevSnp),
            MeasurementStatus::Pending { active_from: NOW + 1 }
        );
        assert_eq!(status(4, Tee::SevSnp), MeasurementStatus::Revoked { at: NOW });
        assert_eq!(
            status(5, Tee::SevSnp),
            MeasurementStatus::BelowFloor { version: 1, floor: 2 }
        );
    }
}
