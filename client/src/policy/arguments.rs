//! What a command line says of reference values.

use std::path::PathBuf;

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::policy::{Policy, Registry, is_local_chain};

use super::{MAX_LEN, Memory, SignedSnapshot, Snapshot, SnapshotError};
use crate::files::{self, FileError};
use crate::trust::address;

/// Where reference values come from.
#[derive(Debug, Clone, Default, Args)]
pub struct ReferenceArguments {
    /// Signed snapshot of the measurement registry (jeju policy snapshot), in the place of endpoints and of the policy's
    /// own list
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    /// Account that signs snapshots
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub governance: Option<HexBytes<20>>,
    /// Accept reference values that a majority of endpoints agree on, which is no proof
    #[arg(long)]
    pub allow_rpc: bool,
    /// Folder that remembers the newest state of registries [default: $XDG_STATE_HOME/jeju/policy, or
    /// ~/.local/state/jeju/policy; on a local chain: none]
    #[arg(long, value_name = "DIR")]
    pub policy_state: Option<PathBuf>,
}

impl ReferenceArguments {
    /// Changes what a policy says of its registry.
    pub(crate) fn apply(&self, policy: &mut Policy) {
        if self.snapshot.is_some() {
            // Naming a snapshot asks for its answer, not for the file's list.
            policy.measurements.clear();
        }
        if let Some(registry) = &mut policy.registry {
            registry.allow_rpc |= self.allow_rpc;
            registry.governance = self.governance.or(registry.governance);
        }
    }

    /// The snapshot, verified, and as new as what was seen before; `None` if the command line names none.
    ///
    /// # Errors
    /// Where the file can't be read, isn't governance's word at `now` (seconds since 1970), or is older.
    pub(crate) fn snapshot(
        &self,
        registry: &Registry,
        memory: Option<&Memory>,
        now: u64,
    ) -> Result<Option<SignedSnapshot>, ReadSnapshotError> {
        let Some(path) = &self.snapshot else {
            return Ok(None);
        };
        let snapshot = Snapshot::parse(&files::text(path, MAX_LEN)?)?;
        let signed = SignedSnapshot::verify(snapshot, registry, now)?;
        if let Some(memory) = memory {
            memory.snapshot(&signed.block(), signed.policy_epoch())?;
        }
        Ok(Some(signed))
    }

    /// Where the registry's state is remembered; `None` where nothing comes from a registry, and on local chains, which
    /// begin anew all the time, unless the command line names a folder.
    ///
    /// # Errors
    /// [`SnapshotError::NoFolder`].
    pub(crate) fn memory(&self, policy: &Policy) -> Result<Option<Memory>, SnapshotError> {
        let Some(registry) = policy
            .registry
            .as_ref()
            .filter(|_| policy.measurements.is_empty())
        else {
            return Ok(None);
        };
        let folder = match &self.policy_state {
            Some(folder) => folder.clone(),
            None if is_local_chain(registry.chain_id) => return Ok(None),
            None => default_folder().ok_or(SnapshotError::NoFolder)?,
        };
        Ok(Some(Memory::new(&folder, registry.chain_id, &registry.address.0)))
    }
}

/// Why a snapshot that was named isn't used.
#[derive(Debug, thiserror::Error)]
pub enum ReadSnapshotError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is in it.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

fn default_folder() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(state.join("jeju/policy"))
}
