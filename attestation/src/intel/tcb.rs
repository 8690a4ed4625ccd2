//! TCB levels: what Intel says of the firmware that a platform runs.

use serde::{Deserialize, Serialize};

use super::DcapError;
use super::pck::PckExtension;
use super::tcb_info::TcbInfo;
use crate::verdict::Check;

/// Status of a TCB level (PCS API v4, "TCB Info V3", `tcbStatus`; the last two come from comparing a trust domain's TCB
/// at launch with the current one).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TcbStatus {
    /// Nothing is missing.
    UpToDate,
    /// Software inside must have mitigations.
    SWHardeningNeeded,
    /// The platform's settings may need a change.
    ConfigurationNeeded,
    /// Both.
    ConfigurationAndSWHardeningNeeded,
    /// The platform was updated, but the domain was launched before, and has to be launched again.
    TDRelaunchAdvised,
    /// The same, and the platform's settings may need a change.
    TDRelaunchAdvisedConfigurationNeeded,
    /// Updates are missing.
    OutOfDate,
    /// Updates are missing, and the platform's settings may need a change.
    OutOfDateConfigurationNeeded,
    /// Keys of this level are compromised.
    Revoked,
}

/// What a status says, as independent statements.
#[derive(Clone, Copy, Default)]
struct Statements {
    revoked: bool,
    out_of_date: bool,
    relaunch: bool,
    configuration: bool,
    hardening: bool,
}

impl TcbStatus {
    /// All of them.
    pub const ALL: [TcbStatus; 9] = [
        TcbStatus::UpToDate,
        TcbStatus::SWHardeningNeeded,
        TcbStatus::ConfigurationNeeded,
        TcbStatus::ConfigurationAndSWHardeningNeeded,
        TcbStatus::TDRelaunchAdvised,
        TcbStatus::TDRelaunchAdvisedConfigurationNeeded,
        TcbStatus::OutOfDate,
        TcbStatus::OutOfDateConfigurationNeeded,
        TcbStatus::Revoked,
    ];

    /// Intel's spelling.
    pub const fn name(self) -> &'static str {
        match self {
            TcbStatus::UpToDate => "UpToDate",
            TcbStatus::SWHardeningNeeded => "SWHardeningNeeded",
            TcbStatus::ConfigurationNeeded => "ConfigurationNeeded",
            TcbStatus::ConfigurationAndSWHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            TcbStatus::TDRelaunchAdvised => "TDRelaunchAdvised",
            TcbStatus::TDRelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
            TcbStatus::OutOfDate => "OutOfDate",
            TcbStatus::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            TcbStatus::Revoked => "Revoked",
        }
    }

    /// Status of a level in collateral, which has all but the relaunch ones.
    pub(crate) fn of_level(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .filter(|status| !status.statements().relaunch)
            .find(|status| status.name() == name)
    }

    fn statements(self) -> Statements {
        let none = Statements::default();
        let (configuration, hardening) = (true, true);
        let (out_of_date, relaunch, revoked) = (true, true, true);
        match self {
            TcbStatus::UpToDate => none,
            TcbStatus::SWHardeningNeeded => Statements { hardening, ..none },
            TcbStatus::ConfigurationNeeded => Statements {
                configuration,
                ..none
            },
            TcbStatus::ConfigurationAndSWHardeningNeeded => Statements {
                configuration,
                hardening,
                ..none
            },
            TcbStatus::TDRelaunchAdvised => Statements { relaunch, ..none },
            TcbStatus::TDRelaunchAdvisedConfigurationNeeded => Statements {
                relaunch,
                configuration,
                ..none
            },
            TcbStatus::OutOfDate => Statements { out_of_date, ..none },
            TcbStatus::OutOfDateConfigurationNeeded => Statements {
                out_of_date,
                configuration,
                ..none
            },
            TcbStatus::Revoked => Statements { revoked, ..none },
        }
    }

    /// Whether the platform's settings may need a change.
    pub fn configuration_needed(self) -> bool {
        self.statements().configuration
    }

    /// Whether updates are missing.
    pub fn out_of_date(self) -> bool {
        self.statements().out_of_date
    }

    /// The status of two parts together: what is wrong with either is wrong with both. A part that is current hides
    /// nothing of one that isn't.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let (a, b) = (self.statements(), other.statements());
        let configuration = a.configuration || b.configuration;
        if a.revoked || b.revoked {
            TcbStatus::Revoked
        } else if a.out_of_date || b.out_of_date {
            match configuration {
                true => TcbStatus::OutOfDateConfigurationNeeded,
                false => TcbStatus::OutOfDate,
            }
        } else if a.relaunch || b.relaunch {
            match configuration {
                true => TcbStatus::TDRelaunchAdvisedConfigurationNeeded,
                false => TcbStatus::TDRelaunchAdvised,
            }
        } else {
            match (configuration, a.hardening || b.hardening) {
                (false, false) => TcbStatus::UpToDate,
                (false, true) => TcbStatus::SWHardeningNeeded,
                (true, false) => TcbStatus::ConfigurationNeeded,
                (true, true) => TcbStatus::ConfigurationAndSWHardeningNeeded,
            }
        }
    }
}

/// What Intel says of one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its status.
    pub status: TcbStatus,
    /// When its updates were published, in seconds since 1970.
    pub tcb_date: i64,
    /// Advisories that apply to it.
    pub advisories: Vec<String>,
}

/// A level of a QE identity or of a TDX module's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SvnLevel {
    /// Lowest ISVSVN of the level.
    pub isv_svn: u16,
    /// What is said of it.
    pub standing: Standing,
}

/// The first level that `isv_svn` reaches; they are listed highest first.
pub(crate) fn svn_level(levels: &[SvnLevel], isv_svn: u16) -> Option<&SvnLevel> {
    levels.iter().find(|level| isv_svn >= level.isv_svn)
}

/// A level of a TCB info.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcbLevel {
    /// Lowest SVN of each SGX TCB component.
    pub sgx_components: [u8; 16],
    /// Lowest PCESVN.
    pub pce_svn: u16,
    /// Lowest SVN of each TDX TCB component; TDX only.
    pub tdx_components: Option<[u8; 16]>,
    /// What is said of it.
    pub standing: Standing,
}

impl TcbLevel {
    fn reached_by_platform(&self, pck: &PckExtension) -> bool {
        reaches(&pck.tcb_svn, &self.sgx_components) && pck.pce_svn >= self.pce_svn
    }

    /// Components 0 and 1 are the TDX module's SVN and version; they are judged by the module's own identity where it
    /// has one (version above 0).
    fn reached_by_domain(&self, tee_tcb_svn: &[u8; 16]) -> bool {
        let from = if tee_tcb_svn[1] > 0 { 2 } else { 0 };
        self.tdx_components
            .is_some_and(|components| reaches(&tee_tcb_svn[from..], &components[from..]))
    }
}

fn reaches(svns: &[u8], least: &[u8]) -> bool {
    svns.iter().zip(least).all(|(svn, least)| svn >= least)
}

/// The level of an enclave's platform (PCS API v4, "How to determine the TCB status", steps 1–2).
pub(crate) fn platform_level<'a>(
    tcb_info: &'a TcbInfo,
    pck: &PckExtension,
) -> Result<&'a TcbLevel, DcapError> {
    tcb_info
        .levels
        .iter()
        .find(|level| level.reached_by_platform(pck))
        .ok_or_else(|| {
            DcapError::NoTcbLevel(format!(
                "SGX components {}, PCESVN {}",
                hex::encode(pck.tcb_svn),
                pck.pce_svn
            ))
        })
}

/// The level of a trust domain's platform: the first that both the platform and TEE_TCB_SVN reach (step 3).
pub(crate) fn domain_level<'a>(
    tcb_info: &'a TcbInfo,
    pck: &PckExtension,
    tee_tcb_svn: &[u8; 16],
) -> Result<&'a TcbLevel, DcapError> {
    tcb_info
        .levels
        .iter()
        .find(|level| level.reached_by_platform(pck) && level.reached_by_domain(tee_tcb_svn))
        .ok_or_else(|| {
            DcapError::NoTcbLevel(format!(
                "SGX components {}, PCESVN {}, TEE_TCB_SVN {}",
                hex::encode(pck.tcb_svn),
                pck.pce_svn,
                hex::encode(tee_tcb_svn)
            ))
        })
}

/// What Intel says of everything that a quote rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcbAssessment {
    /// All of it together.
    pub status: TcbStatus,
    /// Advisories that apply to any of it, sorted.
    pub advisories: Vec<String>,
    /// The platform: microcode, firmware, PCE.
    pub platform: Standing,
    /// The TDX module; `None` for SGX, and for a module that has no identity of its own.
    pub module: Option<Standing>,
    /// The quoting enclave.
    pub qe: Standing,
    /// The lower `tcbEvaluationDataNumber` of TCB info and QE identity.
    pub evaluation_data_number: u32,
}

impl TcbAssessment {
    /// Merges what is said of the parts.
    pub(crate) fn merge(
        platform: &Standing,
        module: Option<&Standing>,
        qe: &Standing,
        evaluation_data_number: u32,
    ) -> Self {
        let parts = [Some(platform), module, Some(qe)];
        let mut advisories: Vec<String> = parts
            .iter()
            .flatten()
            .flat_map(|part| part.advisories.iter().cloned())
            .collect();
        advisories.sort_unstable();
        advisories.dedup();
        Self {
            status: parts
                .iter()
                .flatten()
                .fold(TcbStatus::UpToDate, |status, part| status.merge(part.status)),
            advisories,
            platform: platform.clone(),
            module: module.cloned(),
            qe: qe.clone(),
            evaluation_data_number,
        }
    }
}

impl TcbAssessment {
    /// Lines of a verdict.
    pub(crate) fn checks(&self, root: &'static str) -> Vec<Check> {
        let anchor = format!("{root}, Intel SGX TCB Signing");
        let line = |claim, value: String, check| Check::new(claim, value, &anchor, check);
        let mut checks = vec![
            line(
                "tcbStatus",
                self.status.name().to_owned(),
                "worst of platform, module and quoting enclave, accepted by rule",
            ),
            line(
                "tcbStatus of the platform",
                self.platform.status.name().to_owned(),
                "first level of the TCB info that the platform reaches",
            ),
        ];
        if let Some(module) = &self.module {
            checks.push(line(
                "tcbStatus of the TDX module",
                module.status.name().to_owned(),
                "first level of the module's identity that it reaches",
            ));
        }
        checks.extend([
            line(
                "tcbStatus of the quoting enclave",
                self.qe.status.name().to_owned(),
                "first level of the QE identity that it reaches",
            ),
            line("advisoryIDs", self.advisories.join(" "), "of all these levels"),
            line(
                "tcbEvaluationDataNumber",
                self.evaluation_data_number.to_string(),
                "lower one of TCB info and QE identity, floor by rule",
            ),
        ]);
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_in_a_merge() {
        for a in TcbStatus::ALL {
            assert_eq!(a.merge(a), a);
            assert_eq!(a.merge(TcbStatus::UpToDate), a);
            assert_eq!(a.merge(TcbStatus::Revoked), TcbStatus::Revoked);
            for b in TcbStatus::ALL {
                let both = a.merge(b);
                assert_eq!(both, b.merge(a));
                let (of_a, of_both) = (a.statements(), both.statements());
                assert!(both == TcbStatus::Revoked || of_both.configuration >= of_a.configuration);
                assert!(both == TcbStatus::Revoked || of_both.out_of_date >= of_a.out_of_date);
            }
        }
        assert_eq!(
            TcbStatus::ConfigurationAndSWHardeningNeeded.merge(TcbStatus::OutOfDate),
            TcbStatus::OutOfDateConfigurationNeeded
        );
    }

    #[test]
    fn collateral_has_no_relaunch_status() {
        assert_eq!(TcbStatus::of_level("Revoked"), Some(TcbStatus::Revoked));
        assert_eq!(TcbStatus::of_level("TDRelaunchAdvised"), None);
        assert_eq!(TcbStatus::of_level("uptodate"), None);
    }
}
