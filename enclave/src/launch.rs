//! Gets the launch document from the host: once, in a bounded time, and the same bytes ever after.

use std::time::Duration;

use jeju_attestation::launch::{DEVELOPMENT_PROFILE, LaunchDocument};
use jeju_shim_protocol::Port;
use jeju_shim_protocol::document::{self, DocumentRequest, MAX_LAUNCH};
use jeju_shim_protocol::fatal::FatalCode;
use jeju_shim_protocol::transport::GuestTransport;
use tokio::time::{Instant, sleep, timeout};

/// How long the host may take to deliver, all attempts together: its shim may start after the guest.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(4);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// The exact bytes of a launch document that this build may run under.
///
/// # Errors
/// [`FatalCode::LaunchDocumentUnavailable`], [`FatalCode::LaunchDocumentInvalid`], or
/// [`FatalCode::DevelopmentInRelease`].
pub async fn fetch(transport: &GuestTransport) -> Result<Vec<u8>, FatalCode> {
    let deadline = Instant::now() + PATIENCE;
    let bytes = loop {
        if let Ok(Some(bytes)) = timeout(ATTEMPT, attempt(transport)).await {
            break bytes;
        }
        if Instant::now() + PAUSE > deadline {
            return Err(FatalCode::LaunchDocumentUnavailable);
        }
        sleep(PAUSE).await;
    };
    check(&bytes)?;
    Ok(bytes)
}

async fn attempt(transport: &GuestTransport) -> Option<Vec<u8>> {
    let mut stream = transport.dial(Port::Documents).await.ok()?;
    document::fetch(&mut stream, &DocumentRequest::Launch, MAX_LAUNCH)
        .await
        .ok()
}

fn check(bytes: &[u8]) -> Result<(), FatalCode> {
    let document = LaunchDocument::parse(bytes).map_err(|_| FatalCode::LaunchDocumentInvalid)?;
    if document.chain.profile == DEVELOPMENT_PROFILE && !cfg!(feature = "sim") {
        return Err(FatalCode::DevelopmentInRelease);
    }
    Ok(())
}
