//! The TDX module: whose it is, which version, and what Intel says of that version.

use super::TdxError;
use super::parse::TdReport;
use crate::intel::DcapError;
use crate::intel::pck::PckExtension;
use crate::intel::tcb::{Standing, SvnLevel, TcbStatus, domain_level, platform_level, svn_level};
use crate::intel::tcb_info::{TcbInfo, TdxModule, TdxModuleIdentity};

/// Checks signer and attributes of the module, and finds its level. `None`: modules of version 0 have no level of their
/// own, their SVN is among the platform's.
pub(super) fn standing<'a>(
    tcb_info: &'a TcbInfo,
    report: &TdReport,
) -> Result<Option<&'a Standing>, TdxError> {
    let [isv_svn, version, ..] = report.tee_tcb_svn;
    if version == 0 {
        let module = tcb_info.tdx_module.as_ref().ok_or(TdxError::ModuleUnknown(0))?;
        check_identity(module, report)?;
        return Ok(None);
    }
    let identity = identity(tcb_info, version).ok_or(TdxError::ModuleUnknown(version))?;
    check_identity(&identity.module, report)?;
    let level =
        svn_level(&identity.levels, isv_svn.into()).ok_or(TdxError::NoModuleTcbLevel { version, isv_svn })?;
    Ok(Some(&level.standing))
}

fn identity(tcb_info: &TcbInfo, version: u8) -> Option<&TdxModuleIdentity> {
    let id = format!("TDX_{version:02X}");
    tcb_info
        .tdx_module_identities
        .iter()
        .find(|identity| identity.id.eq_ignore_ascii_case(&id))
}

fn check_identity(module: &TdxModule, report: &TdReport) -> Result<(), TdxError> {
    if report.mr_signer_seam != module.mr_signer {
        return Err(TdxError::ModuleMrSigner {
            found: hex::encode(report.mr_signer_seam),
            expected: hex::encode(module.mr_signer),
        });
    }
    let masked: [u8; 8] =
        core::array::from_fn(|index| report.seam_attributes[index] & module.attributes_mask[index]);
    if masked != module.attributes {
        return Err(TdxError::ModuleAttributes {
            found: hex::encode(report.seam_attributes),
            expected: hex::encode(module.attributes),
            mask: hex::encode(module.attributes_mask),
        });
    }
    Ok(())
}

/// What is said of a domain that was launched under an older module than the one that runs now (TDX 1.5's
/// TD-preserving update): where the platform is current, and only the launch was not, launching it again is enough.
///
/// The conditions are those of Intel's Quote Verification Library, `checkForRelaunch`: quoting enclave not out of date;
/// platform's own level current; domain's level and module out of date; TEE_TCB_SVN_2 at the latest level. Otherwise
/// `domain` stays what it was.
pub(super) fn relaunch(
    tcb_info: &TcbInfo,
    pck: &PckExtension,
    report: &TdReport,
    domain: TcbStatus,
    module: Option<&Standing>,
    qe: &SvnLevel,
) -> Result<TcbStatus, TdxError> {
    let Some(current) = report.tee_tcb_svn_2 else {
        return Ok(domain);
    };
    let platform = platform_level(tcb_info, pck)?.standing.status;
    let only_the_launch_is_old = !matches!(qe.standing.status, TcbStatus::OutOfDate | TcbStatus::Revoked)
        && !matches!(
            platform,
            TcbStatus::OutOfDate | TcbStatus::OutOfDateConfigurationNeeded | TcbStatus::Revoked
        )
        && domain.out_of_date()
        && module.is_some_and(|module| module.status == TcbStatus::OutOfDate);
    if !only_the_launch_is_old {
        return Ok(domain);
    }
    // Levels are listed highest first.
    let latest = tcb_info
        .levels
        .first()
        .and_then(|level| level.tdx_components)
        .ok_or_else(|| DcapError::NoTcbLevel("TDX".to_owned()))?;
    let least_isv_svn = match current[1] {
        0 => latest[0].into(),
        version => {
            let identity = identity(tcb_info, version).ok_or(TdxError::ModuleUnknown(version))?;
            let level = identity.levels.first().ok_or(TdxError::NoModuleTcbLevel {
                version,
                isv_svn: current[0],
            })?;
            level.isv_svn
        }
    };
    if u16::from(current[0]) < least_isv_svn || current[2] < latest[2] {
        return Ok(domain);
    }
    let configuration = platform.configuration_needed() || domain.configuration_needed();
    Ok(match configuration {
        true => TcbStatus::TDRelaunchAdvisedConfigurationNeeded,
        false => TcbStatus::TDRelaunchAdvised,
    })
}

/// Whether the platform by itself, or the module that runs now, is at a level whose keys are compromised. The level that
/// both were at when the domain was launched doesn't tell.
pub(super) fn anything_revoked(tcb_info: &TcbInfo, pck: &PckExtension, report: &TdReport) -> bool {
    let revoked = |standing: &Standing| standing.status == TcbStatus::Revoked;
    let platform = platform_level(tcb_info, pck).is_ok_and(|level| revoked(&level.standing));
    let Some(current) = report.tee_tcb_svn_2 else {
        return platform;
    };
    let domain = domain_level(tcb_info, pck, &current).is_ok_and(|level| revoked(&level.standing));
    let module = identity(tcb_info, current[1])
        .and_then(|identity| svn_level(&identity.levels, current[0].into()))
        .is_some_and(|level| revoked(&level.standing));
    platform || domain || module
}
