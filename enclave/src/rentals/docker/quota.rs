//! Whether the engine's storage holds the disk's limit.

use std::sync::atomic::{AtomicU8, Ordering};

use jeju_shim_protocol::docker::Request;
use jeju_shim_protocol::docker::answer::Info;

use super::ANSWER;
use super::client::Client;
use crate::rentals::backend::{BackendError, DiskLimit};

/// What is known of it. The engine says which driver it has, but not whether a file system is mounted for quotas, so the
/// first container tells.
#[derive(Debug, Default)]
pub(super) struct Quota(AtomicU8);

const UNKNOWN: u8 = 0;
const HOLDS: u8 = 1;
const REFUSED: u8 = 2;

impl Quota {
    /// How the limit holds. Where it isn't known yet whether there is a quota, the disk is measured.
    pub(super) async fn limit(&self, client: &Client) -> Result<DiskLimit, BackendError> {
        match self.0.load(Ordering::Relaxed) {
            HOLDS => Ok(DiskLimit::Quota),
            REFUSED => Ok(DiskLimit::Measured),
            _ => {
                // Asked all the same: an engine that isn't there is no answer.
                self.may_hold(client).await?;
                Ok(DiskLimit::Measured)
            }
        }
    }

    /// Whether a container may be asked for with a quota.
    pub(super) async fn may_hold(&self, client: &Client) -> Result<bool, BackendError> {
        match self.0.load(Ordering::Relaxed) {
            UNKNOWN => {
                let info: Info = client.read(&Request::Info, ANSWER).await?;
                if info.driver.is_empty() {
                    return Err(BackendError::Unavailable("it names no storage driver".to_owned()));
                }
                let may = may_hold(&info);
                if !may {
                    self.0.store(REFUSED, Ordering::Relaxed);
                }
                Ok(may)
            }
            known => Ok(known == HOLDS),
        }
    }

    /// A container was made with a quota.
    pub(super) fn held(&self) {
        self.0.store(HOLDS, Ordering::Relaxed);
    }

    /// The engine refused one for its quota.
    pub(super) fn refused(&self) {
        self.0.store(REFUSED, Ordering::Relaxed);
    }
}

/// Drivers whose writable layers can have a size (Docker's documentation of `--storage-opt`). `overlay2` can on XFS with
/// project quotas.
fn may_hold(info: &Info) -> bool {
    let on_xfs = || {
        info.driver_status
            .iter()
            .any(|[key, value]| key == "Backing Filesystem" && value == "xfs")
    };
    match info.driver.as_str() {
        "btrfs" | "zfs" => true,
        "overlay2" => on_xfs(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_drivers_have_a_quota() {
        let info = |driver: &str, file_system: &str| Info {
            driver: driver.to_owned(),
            driver_status: vec![["Backing Filesystem".to_owned(), file_system.to_owned()]],
            ..Info::default()
        };
        assert!(may_hold(&info("overlay2", "xfs")));
        assert!(may_hold(&info("btrfs", "")) && may_hold(&info("zfs", "")));
        assert!(!may_hold(&info("overlay2", "extfs")));
        assert!(!may_hold(&info("vfs", "xfs")) && !may_hold(&Info::default()));
    }
}
