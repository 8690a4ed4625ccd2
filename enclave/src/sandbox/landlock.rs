//! The files that a role may reach: none, but for those listed here. Signals to other processes and abstract Unix sockets
//! are refused to all, and so is TCP, but for connections of the front to the ports of upstreams.
//!
//! A rule on TCP names a port and no address. A guest has no network but its own loopback; in process mode the same port
//! of another machine could be reached, by a front that was taken over.

use std::path::{Path, PathBuf};

use ::landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags,
};
use jeju_attestation::tee::Tee;

use super::{Files, Needs, SandboxError};
use crate::supervise::Role;

/// What Linux 6.12 knows, the kernel of the image.
const LANDLOCK_ABI: ABI = ABI::V6;

/// Where configfs-tsm makes reports (kernel documentation, `ABI/testing/configfs-tsm`).
const TSM_REPORTS: &str = "/sys/kernel/config/tsm/report";

/// The Nitro Security Module.
const NSM: &str = "/dev/nsm";

/// Restricts this process.
///
/// # Errors
/// When a listed path is missing, or the kernel refuses the rules. A kernel without Landlock is no error here.
pub fn restrict(needs: &Needs) -> Result<Files, SandboxError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK_ABI))?
        .handle_access(AccessNet::from_all(LANDLOCK_ABI))?
        .scope(Scope::from_all(LANDLOCK_ABI))?
        .create()?;
    for (path, access) in reachable(needs) {
        rules = rules.add_rule(PathBeneath::new(PathFd::new(path)?, access))?;
    }
    for port in needs.loopback_ports() {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Files::Enforced,
        RulesetStatus::PartiallyEnforced | RulesetStatus::NotEnforced => Files::Partial,
    })
}

/// A listener makes its socket, and removes the one that a former run left.
fn listening_in(sockets: &Path) -> (PathBuf, BitFlags<AccessFs>) {
    (
        sockets.to_owned(),
        make_bitflags!(AccessFs::{MakeSock | RemoveFile}),
    )
}

fn reachable(needs: &Needs) -> Vec<(PathBuf, BitFlags<AccessFs>)> {
    let mut paths = Vec::new();
    match needs.role {
        Role::Quote => match needs.tee {
            Tee::Tdx | Tee::SevSnp => paths.push((
                TSM_REPORTS.into(),
                make_bitflags!(AccessFs::{ReadFile | WriteFile | ReadDir | MakeDir | RemoveDir}),
            )),
            Tee::Nitro => paths.push((
                NSM.into(),
                make_bitflags!(AccessFs::{ReadFile | WriteFile | IoctlDev}),
            )),
            Tee::Simulated => {}
        },
        // The signer's records go through the front to the host, and so does all that a worker reaches.
        Role::Signer | Role::Worker => {}
        Role::Rentals => paths.extend(needs.sockets.as_deref().map(listening_in)),
        Role::Front => {
            paths.extend(needs.sockets.as_deref().map(listening_in));
            if let Some(state) = &needs.state {
                let access = make_bitflags!(AccessFs::{
                    ReadFile | WriteFile | ReadDir | MakeReg | MakeDir | RemoveFile | RemoveDir | Truncate | Refer
                });
                paths.push((state.clone(), access));
            }
        }
    }
    paths
}
