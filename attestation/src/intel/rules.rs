//! Rules on the TCB of Intel's platforms, which policies for TDX and SGX share.

use serde::{Deserialize, Serialize};

use super::DcapError;
use super::pck::PckExtension;
use super::tcb::{TcbAssessment, TcbStatus};

/// An advisory that a policy tolerates for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToleratedAdvisory {
    /// Intel's id, such as `INTEL-SA-00615`.
    pub id: String,
    /// Last moment at which it is tolerated, in seconds since 1970.
    pub until: u64,
}

/// What a platform's TCB may be.
///
/// `UpToDate` passes. Any other status passes only if it is among `statuses` **and** each advisory that Intel lists for
/// the levels at hand is tolerated and not past its date: a status that is accepted today for one weakness isn't
/// accepted tomorrow for another. `Revoked` never passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcbRules {
    /// Lowest `tcbEvaluationDataNumber` of TCB info and QE identity. It rises with each of Intel's TCB recovery events,
    /// so that collateral from before one can't be passed off as current.
    pub least_evaluation_data_number: u32,
    /// Statuses that pass beside `UpToDate`.
    #[serde(default)]
    pub statuses: Vec<TcbStatus>,
    /// Advisories that may apply to a level whose status isn't `UpToDate`.
    #[serde(default)]
    pub tolerated_advisories: Vec<ToleratedAdvisory>,
    /// Whether platforms pass to which further processor packages can be added.
    #[serde(default)]
    pub dynamic_platform: bool,
    /// Whether platforms pass whose keys Intel's registration service keeps.
    #[serde(default)]
    pub cached_keys: bool,
    /// Whether platforms pass that have simultaneous multithreading on.
    #[serde(default)]
    pub smt_enabled: bool,
}

impl TcbRules {
    /// What holds where there is no policy: only `UpToDate`, on a platform of any configuration.
    pub fn strict() -> Self {
        Self {
            least_evaluation_data_number: 0,
            statuses: Vec::new(),
            tolerated_advisories: Vec::new(),
            dynamic_platform: true,
            cached_keys: true,
            smt_enabled: true,
        }
    }

    /// Judges a platform at `now` (seconds since 1970).
    pub(crate) fn check(
        &self,
        tcb: &TcbAssessment,
        platform: &PckExtension,
        now: i64,
    ) -> Result<(), DcapError> {
        let found = tcb.evaluation_data_number;
        if found < self.least_evaluation_data_number {
            return Err(DcapError::EvaluationDataNumber {
                found,
                least: self.least_evaluation_data_number,
            });
        }
        self.check_status(tcb)?;
        if tcb.status != TcbStatus::UpToDate {
            for id in &tcb.advisories {
                self.check_advisory(id, tcb.status, now)?;
            }
        }
        if let Some(configuration) = platform.configuration {
            // A flag that the certificate doesn't have says nothing, which is not "off".
            let on = |flag: Option<bool>| flag != Some(false);
            if on(configuration.dynamic_platform) && !self.dynamic_platform {
                return Err(DcapError::DynamicPlatform);
            }
            if on(configuration.cached_keys) && !self.cached_keys {
                return Err(DcapError::CachedKeys);
            }
            if on(configuration.smt_enabled) && !self.smt_enabled {
                return Err(DcapError::SmtEnabled);
            }
        }
        Ok(())
    }

    fn check_status(&self, tcb: &TcbAssessment) -> Result<(), DcapError> {
        let advisories = || match tcb.advisories.is_empty() {
            true => "no advisory".to_owned(),
            false => tcb.advisories.join(", "),
        };
        let accepted = self.statuses.contains(&tcb.status);
        let advisories = match tcb.status {
            TcbStatus::UpToDate => return Ok(()),
            TcbStatus::Revoked => advisories(),
            _ if accepted => return Ok(()),
            _ => advisories(),
        };
        Err(match tcb.status {
            TcbStatus::SWHardeningNeeded => DcapError::TcbSwHardeningNeeded { advisories },
            TcbStatus::ConfigurationNeeded => DcapError::TcbConfigurationNeeded { advisories },
            TcbStatus::ConfigurationAndSWHardeningNeeded => {
                DcapError::TcbConfigurationAndSwHardeningNeeded { advisories }
            }
            TcbStatus::TDRelaunchAdvised => DcapError::TcbTdRelaunchAdvised { advisories },
            TcbStatus::TDRelaunchAdvisedConfigurationNeeded => {
                DcapError::TcbTdRelaunchAdvisedConfigurationNeeded { advisories }
            }
            TcbStatus::OutOfDate => DcapError::TcbOutOfDate { advisories },
            TcbStatus::OutOfDateConfigurationNeeded => {
                DcapError::TcbOutOfDateConfigurationNeeded { advisories }
            }
            TcbStatus::UpToDate | TcbStatus::Revoked => DcapError::TcbRevoked { advisories },
        })
    }

    fn check_advisory(&self, id: &str, status: TcbStatus, now: i64) -> Result<(), DcapError> {
        let tolerated = self.tolerated_advisories.iter().filter(|of| of.id == id);
        let Some(until) = tolerated.map(|of| of.until).max() else {
            return Err(DcapError::AdvisoryNotTolerated {
                id: id.to_owned(),
                status: status.name(),
            });
        };
        // A time before 1970 is not after anything.
        if u64::try_from(now).is_ok_and(|now| now > until) {
            return Err(DcapError::AdvisoryOverdue {
                id: id.to_owned(),
                until,
                now,
            });
        }
        Ok(())
    }
}
