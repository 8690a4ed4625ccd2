//! The quoting device of a platform, and what it can say.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jeju_attestation::tee::Tee;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::configfs_tsm::ConfigfsTsm;
use crate::detect::Platform;
use crate::nsm::Nsm;
#[cfg(feature = "sim")]
use crate::simulated::Simulated;
use crate::tdx_guest::TdxGuest;

/// Evidence of the CPU's TEE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Which platform made it.
    pub tee: Tee,
    /// TDX quote, SNP report, Nitro document or simulated report, as the platform gave it.
    pub cpu: Vec<u8>,
    /// What the platform gave beside it: SNP's certificate table, else empty. Carried by the host, so untrusted.
    pub endorsements: Vec<u8>,
}

/// Why there is no quote.
#[derive(Debug, Clone, Error)]
pub enum QuoteError {
    /// The kernel refused an operation on the quoting device.
    #[error("{operation}: {source}")]
    Device {
        /// What was tried, naming the device or attribute.
        operation: String,
        /// What the kernel said.
        source: Arc<io::Error>,
    },
    /// The device stayed busy.
    #[error("quoting device still busy after {0:?}")]
    Busy(Duration),
    /// configfs-tsm speaks for another platform than the one that was detected.
    #[error("configfs-tsm provider is {found:?}, not {expected:?}")]
    Provider {
        /// Provider of the detected TEE.
        expected: &'static str,
        /// What the attribute said.
        found: String,
    },
    /// Someone else wrote to our report entry, twice: the report may be over their data.
    #[error("configfs-tsm generation is {found}, not {expected}: another writer interfered")]
    Generation {
        /// The generation after our own writes.
        expected: u64,
        /// What the attribute said after the report was read.
        found: u64,
    },
    /// An attribute that should hold a number doesn't.
    #[error("configfs-tsm attribute {0} holds no number")]
    NotANumber(&'static str),
    /// The device answered with more than any report needs.
    #[error("{what} is longer than {limit} bytes")]
    Oversize {
        /// Which answer.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The evidence isn't over the REPORT_DATA that was asked for, or too short to hold one. On TDX the quote passes
    /// through the host, which can hand back another one.
    #[error("{0} evidence does not carry the requested REPORT_DATA")]
    Foreign(Tee),
    /// The Nitro Secure Module answered with an error code.
    #[error("NSM refused {request}: {code}")]
    Nsm {
        /// The request.
        request: &'static str,
        /// The module's error code, by its name in the API.
        code: String,
    },
    /// The Nitro Secure Module answered a different question.
    #[error("NSM answered {0} with something else")]
    NsmAnswer(&'static str),
    /// Simulated silicon can't be reached, or answered against its protocol.
    #[cfg(feature = "sim")]
    #[error("simulated silicon: {0}")]
    Simulated(String),
    /// Too many requests wait already. The caller may retry later.
    #[error("{0} quotes are already waiting")]
    QueueFull(usize),
    /// No quote within the bounded wait: the device, and on TDX the host behind it, is slow or hangs.
    #[error("no quote within {0:?}")]
    Timeout(Duration),
    /// The quoting thread has ended.
    #[error("the quoting actor has stopped")]
    Stopped,
}

impl QuoteError {
    pub(crate) fn device(operation: impl Into<String>, source: io::Error) -> Self {
        Self::Device {
            operation: operation.into(),
            source: Arc::new(source),
        }
    }

    /// The kernel's error number, if it refused.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Self::Device { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

/// What makes quotes. Private, so that nothing outside this crate can choose REPORT_DATA.
pub(crate) trait Quoter {
    fn tee(&self) -> Tee;

    /// Asks the platform for evidence over `report_data`. Blocks.
    fn quote(&self, report_data: &[u8; 64]) -> Result<Evidence, QuoteError>;
}

/// A platform's quoting device. Give it to [`crate::launch_binding::bind`] first and to the
/// [`crate::QuotingActor`] then.
pub struct Device(pub(crate) Kind);

pub(crate) enum Kind {
    Tdx {
        reports: ConfigfsTsm,
        module: TdxGuest,
    },
    SevSnp(ConfigfsTsm),
    Nitro(Nsm),
    #[cfg(feature = "sim")]
    Simulated(Simulated),
}

impl Device {
    /// Opens the device of a detected platform.
    ///
    /// # Errors
    /// [`QuoteError::Device`].
    pub fn open(platform: &Platform) -> Result<Self, QuoteError> {
        Ok(Self(match platform.tee {
            Tee::Tdx => Kind::Tdx {
                reports: ConfigfsTsm::new(platform.tsm_reports(), Tee::Tdx),
                module: TdxGuest::open(&platform.device(), platform.tdx_measurements())?,
            },
            Tee::SevSnp => Kind::SevSnp(ConfigfsTsm::new(platform.tsm_reports(), Tee::SevSnp)),
            Tee::Nitro => Kind::Nitro(Nsm::open(&platform.device())?),
            Tee::Simulated => unreachable!("simulated silicon has no device, so it is never detected"),
        }))
    }

    /// Simulated silicon, dialled on port 5006 for each request.
    #[cfg(feature = "sim")]
    pub fn simulated(transport: jeju_shim_protocol::transport::GuestTransport) -> Self {
        Self(Kind::Simulated(Simulated::new(transport)))
    }

    /// The platform.
    pub fn tee(&self) -> Tee {
        self.quoter().tee()
    }

    /// A secret that only this image gets, on this machine, and the same one at each boot; `None` where the platform
    /// has none. What is sealed is to be bound to the launch digest too, which not every platform mixes in.
    ///
    /// TDX and Nitro have none. SEV-SNP's comes with SNP_GET_DERIVED_KEY (AMD 56860, MSG_KEY_REQ) over MEASUREMENT,
    /// GUEST_POLICY and TCB_VERSION, which isn't asked for yet: state there is volatile as well.
    ///
    /// # Errors
    /// [`QuoteError::Simulated`].
    pub fn sealing_secret(&self) -> Result<Option<Zeroizing<[u8; 32]>>, QuoteError> {
        match &self.0 {
            Kind::Tdx { .. } | Kind::SevSnp(_) | Kind::Nitro(_) => Ok(None),
            #[cfg(feature = "sim")]
            Kind::Simulated(simulated) => simulated.sealing_key().map(Some),
        }
    }

    fn quoter(&self) -> &dyn Quoter {
        match &self.0 {
            Kind::Tdx { reports, .. } | Kind::SevSnp(reports) => reports,
            Kind::Nitro(nsm) => nsm,
            #[cfg(feature = "sim")]
            Kind::Simulated(simulated) => simulated,
        }
    }
}

impl Quoter for Device {
    fn tee(&self) -> Tee {
        self.quoter().tee()
    }

    fn quote(&self, report_data: &[u8; 64]) -> Result<Evidence, QuoteError> {
        let evidence = self.quoter().quote(report_data)?;
        check_report_data(&evidence, report_data)?;
        Ok(evidence)
    }
}

/// Looks for REPORT_DATA where the platform's format has it. The verifier does the same and more; seeing it here
/// turns a swapped quote into an error of this node instead of a rejection at every user.
fn check_report_data(evidence: &Evidence, report_data: &[u8; 64]) -> Result<(), QuoteError> {
    let offset = match evidence.tee {
        // Intel TDX DCAP Quoting Library API, A.3: header 48 bytes, in version 5 a body descriptor of 6; REPORTDATA
        // is at 520 of the body.
        Tee::Tdx if evidence.cpu.starts_with(&[5, 0]) => 48 + 6 + 520,
        Tee::Tdx => 48 + 520,
        // AMD 56860, table 23.
        Tee::SevSnp => 0x50,
        // The document's CBOR map has no fixed offsets; NSM is part of the platform and not carried by the host.
        Tee::Nitro => return Ok(()),
        Tee::Simulated => 70,
    };
    match evidence.cpu.get(offset..offset + 64) {
        Some(found) if found == report_data => Ok(()),
        _ => Err(QuoteError::Foreign(evidence.tee)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_over_other_report_data_is_refused() {
        let check = |tee, offset: usize, version: u8| {
            let mut cpu = vec![0; offset + 64];
            cpu[0] = version;
            cpu[offset..].fill(9);
            let mut evidence = Evidence {
                tee,
                cpu,
                endorsements: vec![],
            };
            assert!(check_report_data(&evidence, &[9; 64]).is_ok());
            assert!(
                matches!(check_report_data(&evidence, &[8; 64]), Err(QuoteError::Foreign(found)) if found == tee)
            );
            evidence.cpu.pop();
            assert!(check_report_data(&evidence, &[9; 64]).is_err(), "truncated");
        };
        check(Tee::Tdx, 568, 4);
        check(Tee::Tdx, 574, 5);
        check(Tee::SevSnp, 80, 2);
        check(Tee::Simulated, 70, b'J');
    }

    /// A real SNP report whose REPORT_DATA its maker has written down, and a real TDX quote beside the TDREPORT that it
    /// was made of (see the vectors' provenance).
    #[test]
    fn offsets_agree_with_real_evidence() {
        let vectors = std::env::var("JEJU_VECTORS").unwrap_or_else(|_| "../../../shared/vectors".into());
        let read = |path: &str| std::fs::read(format!("{vectors}/{path}")).unwrap();
        if !std::path::Path::new(&vectors).is_dir() {
            eprintln!("skipped: no vectors under {vectors} (set JEJU_VECTORS)");
            return;
        }
        let check = |tee, cpu, report_data: &[u8; 64]| {
            check_report_data(
                &Evidence {
                    tee,
                    cpu,
                    endorsements: vec![],
                },
                report_data,
            )
            .unwrap();
        };
        let mut written_down = [0; 64];
        written_down[..5].copy_from_slice(&[1, 2, 3, 4, 5]);
        check(
            Tee::SevSnp,
            read("snp/google-milan-v2/attestation.bin"),
            &written_down,
        );

        let hcl_report = read("azure-vtpm/trustee-tdx/hcl-report.bin");
        let td_report = hcl_report[32..].first_chunk::<1024>().unwrap();
        check(
            Tee::Tdx,
            read("azure-vtpm/trustee-tdx/td-quote.bin"),
            &td_report[128..192].try_into().unwrap(),
        );
    }
}
