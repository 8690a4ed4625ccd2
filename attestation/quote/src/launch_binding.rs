//! Binds the launch document to what the platform was started with, before any key exists (DESIGN §3.1).
//!
//! `launch` in the claims is the authoritative binding on every platform. This check is the earlier one: a node whose
//! host put a document in front of it that the launcher didn't name never makes a key at all.

use jeju_attestation::hash::is_zero;
use jeju_attestation::tee::Tee;
use sha2::{Digest, Sha384};
use thiserror::Error;

use crate::device::{Device, Kind, QuoteError, Quoter};
use crate::nsm::{Nsm, PCR_LEN};
use crate::tdx_guest::MeasurementRegisters;

/// The register that holds the launch document on Nitro: the first that the platform leaves to the enclave.
const LAUNCH_PCR: u16 = 16;
const RTMR3_TAG: &[u8] = b"jeju-launch-v1\0";
/// HOST_DATA of an SNP report (AMD 56860, table 23).
const SNP_HOST_DATA: usize = 0xC0;
/// Binding needs a report but vouches for nothing. No claims-buffer hashes to this.
const NO_REPORT_DATA: [u8; 64] = [0; 64];

/// How the launch document is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchBinding {
    /// The platform's own evidence carries the document's digest: HOST_DATA or MRCONFIGID, set by the launcher, equals
    /// it; on Nitro, where a launcher can set nothing, PCR16 now does, and is locked.
    Bound,
    /// HOST_DATA or MRCONFIGID is all zeros: not settable where this guest was launched. The verdict names it, and a
    /// policy must allow it.
    NotSettable,
}

/// Why the launch document isn't this guest's. PID 1 powers off.
#[derive(Debug, Error)]
pub enum LaunchBindingError {
    /// The launcher named another document.
    #[error("{register} is {found}, the launch document needs {expected}")]
    Mismatch {
        /// Which register of the platform.
        register: &'static str,
        /// What it must hold for this document, in hexadecimal.
        expected: String,
        /// What it holds, in hexadecimal.
        found: String,
    },
    /// RTMR3 or PCR16 was extended or locked before: something ran before PID 1, or this ran twice.
    #[error("{register} is {found} before its one event")]
    NotFresh {
        /// Which register.
        register: &'static str,
        /// What it holds, in hexadecimal, with `locked` if it is.
        found: String,
    },
    /// The register doesn't hold what extending it must give.
    #[error("{register} is {found} after its one event, not {expected}")]
    NotExtended {
        /// Which register.
        register: &'static str,
        /// SHA-384 over the old value and the event, in hexadecimal.
        expected: String,
        /// What it holds, in hexadecimal.
        found: String,
    },
    /// A report without the field, or that doesn't parse.
    #[error("{0} gave a malformed report")]
    Malformed(Tee),
    /// The platform gave no report.
    #[error(transparent)]
    Device(#[from] QuoteError),
}

/// Checks `digest`, the SHA-256 of the launch document's exact bytes, against the platform, and on TDX and Nitro
/// extends it into a register. Once per boot. Blocks.
///
/// # Errors
/// [`LaunchBindingError`].
pub fn bind(device: &Device, digest: &[u8; 32]) -> Result<LaunchBinding, LaunchBindingError> {
    match &device.0 {
        Kind::Tdx { module, .. } => bind_tdx(module, digest),
        Kind::SevSnp(_) => bind_snp(device, digest),
        Kind::Nitro(nsm) => bind_nitro(nsm, digest),
        #[cfg(feature = "sim")]
        Kind::Simulated(simulated) => {
            let described = simulated.describe()?;
            let report = device.quote(&NO_REPORT_DATA)?;
            let report = jeju_attestation::simulated::Report::parse(&report.cpu)
                .map_err(|_| LaunchBindingError::Malformed(Tee::Simulated))?;
            if described != report.host_data {
                return Err(mismatch(
                    "HOST_DATA of the simulated report",
                    &described,
                    &report.host_data,
                ));
            }
            compare("HOST_DATA", digest, &described)
        }
    }
}

fn bind_snp(snp: &impl Quoter, digest: &[u8; 32]) -> Result<LaunchBinding, LaunchBindingError> {
    let report = snp.quote(&NO_REPORT_DATA)?.cpu;
    let host_data = report
        .get(SNP_HOST_DATA..SNP_HOST_DATA + 32)
        .ok_or(LaunchBindingError::Malformed(Tee::SevSnp))?;
    compare("HOST_DATA", digest, host_data)
}

fn bind_tdx(
    module: &impl MeasurementRegisters,
    digest: &[u8; 32],
) -> Result<LaunchBinding, LaunchBindingError> {
    let before = module.read()?;
    let mut configured = [0; 48];
    configured[..32].copy_from_slice(digest);
    let binding = compare("MRCONFIGID", &configured, &before.mr_config_id)?;
    if !is_zero(&before.rtmr3) {
        return Err(LaunchBindingError::NotFresh {
            register: "RTMR3",
            found: hex::encode(before.rtmr3),
        });
    }
    let event = sha384(&[RTMR3_TAG, digest]);
    module.extend_rtmr3(&event)?;
    check_extended("RTMR3", &event, &module.read()?.rtmr3)?;
    Ok(binding)
}

fn bind_nitro(nsm: &Nsm, digest: &[u8; 32]) -> Result<LaunchBinding, LaunchBindingError> {
    let before = nsm.describe_pcr(LAUNCH_PCR)?;
    if before.locked || !is_zero(&before.value) {
        let locked = if before.locked { ", locked" } else { "" };
        let found = format!("{}{locked}", hex::encode(before.value));
        return Err(LaunchBindingError::NotFresh {
            register: "PCR16",
            found,
        });
    }
    check_extended("PCR16", digest, &nsm.extend_pcr(LAUNCH_PCR, digest)?)?;
    nsm.lock_pcr(LAUNCH_PCR)?;
    let after = nsm.describe_pcr(LAUNCH_PCR)?;
    check_extended("PCR16", digest, &after.value)?;
    if !after.locked {
        return Err(QuoteError::NsmAnswer("LockPCR").into());
    }
    Ok(LaunchBinding::Bound)
}

fn compare(
    register: &'static str,
    expected: &[u8],
    found: &[u8],
) -> Result<LaunchBinding, LaunchBindingError> {
    if found == expected {
        Ok(LaunchBinding::Bound)
    } else if is_zero(found) {
        Ok(LaunchBinding::NotSettable)
    } else {
        Err(mismatch(register, expected, found))
    }
}

fn mismatch(register: &'static str, expected: &[u8], found: &[u8]) -> LaunchBindingError {
    LaunchBindingError::Mismatch {
        register,
        expected: hex::encode(expected),
        found: hex::encode(found),
    }
}

/// Both registers start from zeros and are extended as SHA-384(old ‖ event).
fn check_extended(
    register: &'static str,
    event: &[u8],
    found: &[u8; PCR_LEN],
) -> Result<(), LaunchBindingError> {
    let expected = sha384(&[&[0; PCR_LEN], event]);
    if *found == expected {
        return Ok(());
    }
    Err(LaunchBindingError::NotExtended {
        register,
        expected: hex::encode(expected),
        found: hex::encode(found),
    })
}

fn sha384(inputs: &[&[u8]]) -> [u8; 48] {
    let mut hash = Sha384::new();
    inputs.iter().for_each(|input| hash.update(input));
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
