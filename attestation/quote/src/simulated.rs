//! The guest's end of simulated silicon, on port 5006 (`docs/wire-formats.md` §6). Development builds only.

use std::time::Duration;

use jeju_attestation::tee::Tee;
use jeju_shim_protocol::silicon::{DerivedKey, SiliconAnswer, SiliconRequest, read_frame};
use jeju_shim_protocol::transport::GuestTransport;
use jeju_shim_protocol::{ExchangeError, Port};
use tokio::io::AsyncWriteExt;
use zeroize::Zeroizing;

use crate::device::{Evidence, QuoteError, Quoter};

/// Stands in every binary that takes simulated silicon, so that `jeju-image audit` can tell one from a release build.
static MARKER: [u8; 26] = *b"JEJU-DEVELOPMENT-SIMULATED";
const WAIT: Duration = Duration::from_secs(10);

/// Simulated silicon behind a transport. Each request dials anew, so that a restarted host is no error.
pub(crate) struct Simulated {
    transport: GuestTransport,
}

impl Simulated {
    pub(crate) fn new(transport: GuestTransport) -> Self {
        // Used, so that compiler and linker keep it.
        std::hint::black_box(&MARKER);
        Self { transport }
    }

    /// HOST_DATA as the launcher set it.
    pub(crate) fn describe(&self) -> Result<[u8; 32], QuoteError> {
        match self.ask(SiliconRequest::Describe)? {
            SiliconAnswer::HostData(host_data) => Ok(host_data),
            other => Err(unexpected(&other)),
        }
    }

    /// The key that the silicon derives for this image and launch document.
    pub(crate) fn sealing_key(&self) -> Result<Zeroizing<[u8; 32]>, QuoteError> {
        match self.ask(SiliconRequest::SealingKey)? {
            SiliconAnswer::DerivedKey(DerivedKey(key)) => Ok(Zeroizing::new(key)),
            other => Err(unexpected(&other)),
        }
    }

    /// Blocks on a runtime of its own, on a thread of its own: the caller may be inside another runtime.
    fn ask(&self, request: SiliconRequest) -> Result<SiliconAnswer, QuoteError> {
        let exchange = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                tokio::time::timeout(WAIT, self.exchange(request))
                    .await
                    .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
            })
        };
        let answer = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().spawn_scoped(scope, exchange)?;
            thread
                .join()
                .unwrap_or_else(|_| Err(std::io::Error::other("the request's thread panicked").into()))
        });
        answer.map_err(|error: ExchangeError| QuoteError::Simulated(error.to_string()))
    }

    async fn exchange(&self, request: SiliconRequest) -> Result<SiliconAnswer, ExchangeError> {
        let mut stream = self.transport.dial(Port::Silicon).await?;
        stream.write_all(&request.encode()).await?;
        let frame = read_frame(&mut stream).await?.ok_or(ExchangeError::Closed)?;
        Ok(SiliconAnswer::parse(&frame)?)
    }
}

impl Quoter for Simulated {
    fn tee(&self) -> Tee {
        Tee::Simulated
    }

    fn quote(&self, report_data: &[u8; 64]) -> Result<Evidence, QuoteError> {
        match self.ask(SiliconRequest::Report(*report_data))? {
            SiliconAnswer::Evidence(report) => Ok(Evidence {
                tee: Tee::Simulated,
                cpu: report.to_vec(),
                endorsements: Vec::new(),
            }),
            other => Err(unexpected(&other)),
        }
    }
}

fn unexpected(answer: &SiliconAnswer) -> QuoteError {
    QuoteError::Simulated(match answer {
        SiliconAnswer::Error(code) => format!("refused with code {code}"),
        _ => "answered another question".into(),
    })
}
