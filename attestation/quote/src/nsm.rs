//! The Nitro Secure Module: attestation documents, PCR16 and random bytes.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::path::Path;

use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use aws_nitro_enclaves_nsm_api::driver::nsm_process_request;
use jeju_attestation::tee::Tee;
use zeroize::{Zeroize, Zeroizing};

use crate::device::{Evidence, QuoteError, Quoter};

/// Length of a PCR: SHA-384.
pub(crate) const PCR_LEN: usize = 48;
const MAX_DOCUMENT: usize = 16 * 1024;
/// GetRandom gives 256 bytes a call, and may give fewer.
const MAX_RANDOM_CALLS: usize = 64;

/// A Nitro Secure Module.
pub(crate) struct Nsm {
    call: Box<dyn Fn(Request) -> Response + Send>,
}

/// A platform configuration register.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pcr {
    pub(crate) value: [u8; PCR_LEN],
    pub(crate) locked: bool,
}

impl Nsm {
    /// Opens `/dev/nsm`.
    pub(crate) fn open(device: &Path) -> Result<Self, QuoteError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(device)
            .map_err(|error| QuoteError::device(format!("open {}", device.display()), error))?;
        Ok(Self::over(move |request| {
            nsm_process_request(file.as_raw_fd(), request)
        }))
    }

    pub(crate) fn over(call: impl Fn(Request) -> Response + Send + 'static) -> Self {
        Self { call: Box::new(call) }
    }

    /// DescribePCR.
    pub(crate) fn describe_pcr(&self, index: u16) -> Result<Pcr, QuoteError> {
        match self.request("DescribePCR", Request::DescribePCR { index })? {
            Response::DescribePCR { lock, data } => {
                let value = data
                    .try_into()
                    .map_err(|_| QuoteError::NsmAnswer("DescribePCR"))?;
                Ok(Pcr { value, locked: lock })
            }
            _ => Err(QuoteError::NsmAnswer("DescribePCR")),
        }
    }

    /// ExtendPCR; returns the register's new value.
    pub(crate) fn extend_pcr(&self, index: u16, data: &[u8]) -> Result<[u8; PCR_LEN], QuoteError> {
        match self.request(
            "ExtendPCR",
            Request::ExtendPCR {
                index,
                data: data.to_vec(),
            },
        )? {
            Response::ExtendPCR { data } => data.try_into().map_err(|_| QuoteError::NsmAnswer("ExtendPCR")),
            _ => Err(QuoteError::NsmAnswer("ExtendPCR")),
        }
    }

    /// LockPCR: the register can't change until the enclave ends.
    pub(crate) fn lock_pcr(&self, index: u16) -> Result<(), QuoteError> {
        match self.request("LockPCR", Request::LockPCR { index })? {
            Response::LockPCR => Ok(()),
            _ => Err(QuoteError::NsmAnswer("LockPCR")),
        }
    }

    /// Fills `bytes` by GetRandom.
    pub(crate) fn random(&self, bytes: &mut [u8]) -> Result<(), QuoteError> {
        let mut filled = 0;
        for _ in 0..MAX_RANDOM_CALLS {
            let random = match self.request("GetRandom", Request::GetRandom)? {
                Response::GetRandom { random } => Zeroizing::new(random),
                _ => return Err(QuoteError::NsmAnswer("GetRandom")),
            };
            let length = random.len().min(bytes.len() - filled);
            bytes[filled..filled + length].copy_from_slice(&random[..length]);
            filled += length;
            if filled == bytes.len() {
                return Ok(());
            }
        }
        bytes.zeroize();
        Err(QuoteError::NsmAnswer("GetRandom"))
    }

    fn request(&self, name: &'static str, request: Request) -> Result<Response, QuoteError> {
        match (self.call)(request) {
            Response::Error(code) => Err(QuoteError::Nsm {
                request: name,
                code: format!("{code:?}"),
            }),
            response => Ok(response),
        }
    }
}

impl Quoter for Nsm {
    fn tee(&self) -> Tee {
        Tee::Nitro
    }

    fn quote(&self, report_data: &[u8; 64]) -> Result<Evidence, QuoteError> {
        // The claims carry every other nonce and key, so the document's own fields for them stay empty.
        let request = Request::Attestation {
            user_data: Some(report_data.to_vec().into()),
            nonce: None,
            public_key: None,
        };
        match self.request("Attestation", request)? {
            Response::Attestation { document } if document.len() > MAX_DOCUMENT => {
                Err(QuoteError::Oversize {
                    what: "Nitro document",
                    limit: MAX_DOCUMENT,
                })
            }
            Response::Attestation { document } => Ok(Evidence {
                tee: Tee::Nitro,
                cpu: document,
                endorsements: Vec::new(),
            }),
            _ => Err(QuoteError::NsmAnswer("Attestation")),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_nitro_enclaves_nsm_api::api::ErrorCode;

    use super::*;

    #[test]
    fn report_data_is_user_data_and_nothing_else_is_set() {
        let nsm = Nsm::over(|request| match request {
            Request::Attestation {
                user_data,
                nonce: None,
                public_key: None,
            } => Response::Attestation {
                document: user_data.unwrap().into_vec(),
            },
            _ => Response::Error(ErrorCode::InvalidArgument),
        });
        let evidence = nsm.quote(&[7; 64]).unwrap();
        assert_eq!(
            evidence,
            Evidence {
                tee: Tee::Nitro,
                cpu: vec![7; 64],
                endorsements: vec![]
            }
        );
    }

    #[test]
    fn errors_and_answers_to_other_questions_are_refused() {
        let failing = Nsm::over(|_| Response::Error(ErrorCode::InternalError));
        let error = failing.quote(&[7; 64]).unwrap_err();
        assert_eq!(error.to_string(), "NSM refused Attestation: InternalError");
        let confused = Nsm::over(|_| Response::LockPCRs);
        assert!(matches!(
            confused.quote(&[7; 64]),
            Err(QuoteError::NsmAnswer("Attestation"))
        ));
        assert!(matches!(
            confused.describe_pcr(16),
            Err(QuoteError::NsmAnswer("DescribePCR"))
        ));
        assert!(matches!(
            confused.extend_pcr(16, &[0; 32]),
            Err(QuoteError::NsmAnswer("ExtendPCR"))
        ));
        assert!(matches!(
            confused.lock_pcr(16),
            Err(QuoteError::NsmAnswer("LockPCR"))
        ));
        assert!(matches!(
            confused.random(&mut [0; 64]),
            Err(QuoteError::NsmAnswer("GetRandom"))
        ));
        let short = Nsm::over(|_| Response::DescribePCR {
            lock: false,
            data: vec![0; 32],
        });
        assert!(matches!(
            short.describe_pcr(16),
            Err(QuoteError::NsmAnswer("DescribePCR"))
        ));
        let long = Nsm::over(|_| Response::Attestation {
            document: vec![0; MAX_DOCUMENT + 1],
        });
        assert!(matches!(long.quote(&[7; 64]), Err(QuoteError::Oversize { .. })));
    }

    #[test]
    fn random_bytes_are_gathered_with_a_bound() {
        let sparse = Nsm::over(|_| Response::GetRandom { random: vec![5; 7] });
        let mut bytes = [0; 64];
        sparse.random(&mut bytes).unwrap();
        assert_eq!(bytes, [5; 64]);
        let empty = Nsm::over(|_| Response::GetRandom { random: vec![] });
        assert!(matches!(
            empty.random(&mut bytes),
            Err(QuoteError::NsmAnswer("GetRandom"))
        ));
    }

    #[test]
    fn a_file_that_is_no_nsm_fails() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Nsm::open(file.path()).unwrap().quote(&[7; 64]).unwrap_err();
        assert!(
            matches!(
                error,
                QuoteError::Nsm {
                    request: "Attestation",
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(matches!(
            Nsm::open(Path::new("/nonexistent/nsm")),
            Err(QuoteError::Device { .. })
        ));
    }
}
