//! The TDX module's own view of this trust domain: TDREPORT and RTMR3.
//!
//! A TDREPORT comes from the TDX module straight to the guest. A quote passes through the host, so this crate never
//! reads configuration back from an unverified quote.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::device::QuoteError;

/// Length of TDREPORT_STRUCT (Intel TDX Module ABI).
pub(crate) const REPORT_LEN: usize = 1024;
const REPORT_DATA_LEN: usize = 64;
const REGISTER_LEN: usize = 48;

/// `TDX_CMD_GET_REPORT0`: `_IOWR('T', 1, struct tdx_report_req)`, which has 64 + 1024 bytes.
const GET_REPORT0: u32 = 0xC440_5401;

/// What launch binding needs of a TDX module.
pub(crate) trait MeasurementRegisters {
    /// MRCONFIGID and RTMR3 as they are now.
    fn read(&self) -> Result<Registers, QuoteError>;
    /// Extends RTMR3: RTMR3 = SHA-384(RTMR3 ‖ `event`).
    fn extend_rtmr3(&self, event: &[u8; REGISTER_LEN]) -> Result<(), QuoteError>;
}

/// The measurement registers that launch binding reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) mr_config_id: [u8; REGISTER_LEN],
    pub(crate) rtmr3: [u8; REGISTER_LEN],
}

impl Registers {
    /// Offsets: REPORTMACSTRUCT 256 bytes, TEE_TCB_INFO 239, reserved 17, then TDINFO_STRUCT with ATTRIBUTES (8),
    /// XFAM (8), MRTD, MRCONFIGID, MROWNER, MROWNERCONFIG, RTMR0–3 (48 each).
    fn of_report(report: &[u8; REPORT_LEN]) -> Self {
        let register = |at: usize| {
            report[at..at + REGISTER_LEN]
                .try_into()
                .expect("inside the report")
        };
        Self {
            mr_config_id: register(576),
            rtmr3: register(864),
        }
    }
}

/// `/dev/tdx_guest`, and the folder in which Linux 6.16 and later show the measurement registers.
pub(crate) struct TdxGuest {
    device: File,
    measurements: PathBuf,
}

/// `struct tdx_report_req` of `linux/tdx-guest.h`.
#[repr(C)]
struct ReportRequest {
    report_data: [u8; REPORT_DATA_LEN],
    report: [u8; REPORT_LEN],
}

impl TdxGuest {
    pub(crate) fn open(device: &Path, measurements: PathBuf) -> Result<Self, QuoteError> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open(device)
            .map_err(|error| QuoteError::device(format!("open {}", device.display()), error))?;
        Ok(Self { device, measurements })
    }
}

impl MeasurementRegisters for TdxGuest {
    fn read(&self) -> Result<Registers, QuoteError> {
        let mut request = ReportRequest {
            report_data: [0; REPORT_DATA_LEN],
            report: [0; REPORT_LEN],
        };
        // SAFETY: the descriptor is open, and the kernel reads and writes exactly this struct, which outlives the call.
        let outcome = unsafe { libc::ioctl(self.device.as_raw_fd(), GET_REPORT0 as _, &raw mut request) };
        if outcome != 0 {
            return Err(QuoteError::device("get a TDREPORT", io::Error::last_os_error()));
        }
        Ok(Registers::of_report(&request.report))
    }

    fn extend_rtmr3(&self, event: &[u8; REGISTER_LEN]) -> Result<(), QuoteError> {
        let extend = || {
            let mut register = OpenOptions::new()
                .write(true)
                .open(self.measurements.join("rtmr3:sha384"))?;
            // The kernel takes the 48 bytes in one write or not at all.
            match register.write(event)? {
                REGISTER_LEN => Ok(()),
                _ => Err(io::Error::from(io::ErrorKind::WriteZero)),
            }
        };
        extend().map_err(|error| QuoteError::device("extend rtmr3:sha384", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_lie_where_the_abi_says() {
        let mut report = [0; REPORT_LEN];
        for register in 0u8..8 {
            let start = 528 + usize::from(register) * REGISTER_LEN;
            report[start..start + REGISTER_LEN].fill(register);
        }
        let registers = Registers::of_report(&report);
        assert_eq!(registers.mr_config_id, [1; 48], "MRTD, then MRCONFIGID");
        assert_eq!(registers.rtmr3, [7; 48], "the last of eight registers");
    }

    #[test]
    fn the_ioctl_number_is_the_headers() {
        let (read_write, size, group, number) = (
            3 << 30,
            size_of::<ReportRequest>() << 16,
            usize::from(b'T') << 8,
            1,
        );
        assert_eq!(GET_REPORT0 as usize, read_write | size | group | number);
    }

    #[test]
    fn a_file_that_is_no_tdx_module_fails() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("tdx_guest");
        std::fs::write(&device, "").unwrap();
        let guest = TdxGuest::open(&device, folder.path().into()).unwrap();
        assert_eq!(guest.read().unwrap_err().errno(), Some(libc::ENOTTY));
        let error = guest.extend_rtmr3(&[1; 48]).unwrap_err();
        assert_eq!(
            error.errno(),
            Some(libc::ENOENT),
            "Linux before 6.16 has no rtmr3:sha384"
        );
        std::fs::write(folder.path().join("rtmr3:sha384"), "").unwrap();
        guest.extend_rtmr3(&[1; 48]).unwrap();
        assert_eq!(
            std::fs::read(folder.path().join("rtmr3:sha384")).unwrap(),
            [1; 48]
        );
    }
}
