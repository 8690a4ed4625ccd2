//! Which TEE this is, by the devices that the kernel offers.
//!
//! A kernel registers these devices only after it has talked to the platform, but that platform is partly the host's:
//! detection decides whom to ask for evidence, and only the verifier of that evidence decides what to believe.

use std::path::{Path, PathBuf};

use jeju_attestation::tee::Tee;
use thiserror::Error;

/// Devices, relative to the root, of the TEEs that aren't simulated.
const DEVICES: [(Tee, &str); 3] = [
    (Tee::Tdx, "dev/tdx_guest"),
    (Tee::SevSnp, "dev/sev-guest"),
    (Tee::Nitro, "dev/nsm"),
];
const NVIDIA_CONTROL: &str = "dev/nvidiactl";
const TSM_REPORTS: &str = "sys/kernel/config/tsm/report";

/// Why there is no platform to make evidence on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DetectError {
    /// No TEE device.
    #[error("no TEE: none of /dev/tdx_guest, /dev/sev-guest, /dev/nsm exists")]
    None,
    /// More than one TEE device: one CPU can't be two TEEs, so the host is playing games.
    #[error("more than one TEE: {}", names(.0))]
    Several(Vec<Tee>),
    /// TDX or SEV-SNP without the kernel's report interface: no driver, or configfs isn't mounted.
    #[error("{0} without /{TSM_REPORTS}: CONFIG_TSM_REPORTS missing or configfs not mounted")]
    NoReportInterface(Tee),
}

/// What is known about GPUs before any evidence of them exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gpu {
    /// No NVIDIA driver is loaded: nothing was asked, so nothing is claimed, not even that there is none.
    NotExamined,
    /// An NVIDIA driver is loaded, so that its evidence can be asked for.
    DriverLoaded,
}

/// The platform that this guest runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// The CPU's TEE; never [`Tee::Simulated`], which no device shows.
    pub tee: Tee,
    /// GPUs.
    pub gpu: Gpu,
    root: PathBuf,
}

impl Platform {
    /// The device of [`Self::tee`].
    pub(crate) fn device(&self) -> PathBuf {
        let (_, device) = DEVICES
            .iter()
            .find(|(tee, _)| *tee == self.tee)
            .expect("detected by its device");
        self.root.join(device)
    }

    /// Where configfs-tsm makes report entries.
    pub(crate) fn tsm_reports(&self) -> PathBuf {
        self.root.join(TSM_REPORTS)
    }

    /// Where Linux 6.16 and later show TDX's measurement registers.
    pub(crate) fn tdx_measurements(&self) -> PathBuf {
        self.root.join("sys/devices/virtual/misc/tdx_guest/measurements")
    }
}

/// Looks for TEE devices under `root`: `/`, or a folder in tests.
///
/// # Errors
/// [`DetectError`] unless there is exactly one CPU TEE that can be asked for evidence.
pub fn detect(root: &Path) -> Result<Platform, DetectError> {
    let found: Vec<Tee> = DEVICES
        .iter()
        .filter(|(_, device)| root.join(device).exists())
        .map(|(tee, _)| *tee)
        .collect();
    let tee = match found.as_slice() {
        [] => return Err(DetectError::None),
        [tee] => *tee,
        _ => return Err(DetectError::Several(found)),
    };
    if tee != Tee::Nitro && !root.join(TSM_REPORTS).is_dir() {
        return Err(DetectError::NoReportInterface(tee));
    }
    let gpu = if root.join(NVIDIA_CONTROL).exists() {
        Gpu::DriverLoaded
    } else {
        Gpu::NotExamined
    };
    Ok(Platform {
        tee,
        gpu,
        root: root.into(),
    })
}

fn names(tees: &[Tee]) -> String {
    tees.iter().map(|tee| tee.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect_with(paths: &[&str]) -> Result<(Tee, Gpu), DetectError> {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            let path = root.path().join(path);
            if path.ends_with("report") {
                std::fs::create_dir_all(path).unwrap();
            } else {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
        }
        detect(root.path()).map(|platform| (platform.tee, platform.gpu))
    }

    #[test]
    fn one_tee_is_found() {
        assert_eq!(
            detect_with(&["dev/tdx_guest", TSM_REPORTS]),
            Ok((Tee::Tdx, Gpu::NotExamined))
        );
        assert_eq!(
            detect_with(&["dev/sev-guest", TSM_REPORTS]),
            Ok((Tee::SevSnp, Gpu::NotExamined))
        );
        assert_eq!(detect_with(&["dev/nsm"]), Ok((Tee::Nitro, Gpu::NotExamined)));
        assert_eq!(
            detect_with(&["dev/nsm", NVIDIA_CONTROL]),
            Ok((Tee::Nitro, Gpu::DriverLoaded))
        );
    }

    #[test]
    fn none_and_several_are_refused() {
        assert_eq!(detect_with(&[]), Err(DetectError::None));
        assert_eq!(
            detect_with(&[TSM_REPORTS, NVIDIA_CONTROL]),
            Err(DetectError::None)
        );
        assert_eq!(
            detect_with(&["dev/tdx-guest", TSM_REPORTS]),
            Err(DetectError::None),
            "the name has an underscore"
        );
        let devices = DEVICES.map(|(_, device)| device);
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            assert_eq!(
                detect_with(&[devices[one], devices[other], TSM_REPORTS]),
                Err(DetectError::Several(vec![DEVICES[one].0, DEVICES[other].0]))
            );
        }
        assert_eq!(
            DetectError::Several(vec![Tee::Tdx, Tee::SevSnp]).to_string(),
            "more than one TEE: tdx, sev-snp"
        );
    }

    #[test]
    fn a_tee_without_its_report_interface_is_refused() {
        assert_eq!(
            detect_with(&["dev/tdx_guest"]),
            Err(DetectError::NoReportInterface(Tee::Tdx))
        );
        assert_eq!(
            detect_with(&["dev/sev-guest"]),
            Err(DetectError::NoReportInterface(Tee::SevSnp))
        );
    }
}
