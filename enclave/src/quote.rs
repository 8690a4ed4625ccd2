//! The quote role: the only user of the quoting devices. It takes claims from the front and answers with evidence.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;

use jeju_attestation::claims::ClaimsBuffer;
use jeju_attestation::launch::LaunchDocument;
use jeju_quote::{Device, Limits, QuoteError, QuotingActor};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};

use crate::ipc::frame::{self, FrameError};
use crate::ipc::quote::{MAX_WAITING, QuoteAnswer, QuoteFailure, QuoteRequest};

/// Why the role can't go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The device's thread can't be started, or the socket can't be registered with the runtime.
    #[error("can't start: {0}")]
    Start(#[from] io::Error),
    /// The front sent something that isn't a request.
    #[error("the front broke the protocol")]
    Malformed,
}

/// Answers requests until the front closes its end.
///
/// `launch_document` is this boot's: claims that name another one are refused, so that not even a front that is taken
/// over can pass for a node with other settings.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(device: Device, socket: OwnedFd, launch_document: &[u8]) -> Result<(), ServeError> {
    let actor = QuotingActor::spawn(device, Limits::default()).map_err(io::Error::other)?;
    let launch = LaunchDocument::digest(launch_document);
    let socket = StdUnixStream::from(socket);
    socket.set_nonblocking(true)?;
    let (mut requests, mut answers) = UnixStream::from_std(socket)?.into_split();

    let (sender, mut finished) = mpsc::channel::<QuoteAnswer>(MAX_WAITING);
    let writer = tokio::spawn(async move {
        while let Some(answer) = finished.recv().await {
            let (kind, body) = answer.encode();
            if frame::write(&mut answers, kind, &body).await.is_err() {
                break;
            }
        }
    });

    // The front never has more requests open than this; one that floods waits at its socket.
    let places = Arc::new(Semaphore::new(MAX_WAITING));
    let outcome = loop {
        let frame = match frame::read(&mut requests).await {
            Ok(frame) => frame,
            Err(FrameError::Closed | FrameError::Socket(_)) => break Ok(()),
            Err(FrameError::Empty | FrameError::TooLong(_)) => break Err(ServeError::Malformed),
        };
        let Some(request) = QuoteRequest::parse(&frame) else {
            break Err(ServeError::Malformed);
        };
        let Ok(place) = places.clone().acquire_owned().await else {
            break Ok(());
        };
        let (actor, sender) = (actor.clone(), sender.clone());
        tokio::spawn(async move {
            let outcome = quote(&actor, &launch, &request.claims).await;
            let _ = sender
                .send(QuoteAnswer {
                    id: request.id,
                    outcome,
                })
                .await;
            drop(place);
        });
    };
    writer.abort();
    outcome
}

async fn quote(
    actor: &QuotingActor,
    launch: &[u8; 32],
    claims: &[u8],
) -> Result<crate::ipc::quote::QuotedEvidence, QuoteFailure> {
    let claims = ClaimsBuffer::parse(claims).map_err(|_| QuoteFailure::Malformed)?;
    if claims.claims().launch != *launch {
        return Err(QuoteFailure::Malformed);
    }
    match actor.quote(&claims).await {
        Ok(evidence) => Ok(Arc::unwrap_or_clone(evidence)),
        Err(QuoteError::QueueFull(_) | QuoteError::Busy(_)) => Err(QuoteFailure::Busy),
        Err(QuoteError::Timeout(_)) => Err(QuoteFailure::TimedOut),
        Err(_) => Err(QuoteFailure::Device),
    }
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use jeju_attestation::claims::{Claims, Mode, Receipts, Role};
    use jeju_attestation::simulated::Report;
    use jeju_shim_protocol::transport::GuestTransport;
    use jeju_simulated::Silicon;
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixListener;

    use super::*;
    use crate::ipc::quote::QuoteClient;

    const LAUNCH_DOCUMENT: &[u8] = b"any";

    /// A quote role on simulated silicon, and the front's end of its socket.
    struct Started {
        directory: tempfile::TempDir,
        front: StdUnixStream,
        role: tokio::task::JoinHandle<Result<(), ServeError>>,
    }

    fn start() -> Started {
        let directory = tempfile::tempdir().unwrap();
        let silicon = Silicon::open_or_create(&directory.path().join("silicon")).unwrap();
        let chip = silicon.chip([1; 32], LaunchDocument::digest(LAUNCH_DOCUMENT));
        let listener = UnixListener::bind(directory.path().join("5006.sock")).unwrap();
        tokio::spawn(jeju_simulated::serve(chip, listener));
        let device = Device::simulated(GuestTransport::Unix(directory.path().into()));
        let (front, ours) = StdUnixStream::pair().unwrap();
        let role = tokio::spawn(serve(device, ours.into(), LAUNCH_DOCUMENT));
        Started {
            directory,
            front,
            role,
        }
    }

    fn claims(launch: [u8; 32]) -> ClaimsBuffer {
        let mut evm = [7; 33];
        evm[0] = 2;
        let claims = Claims {
            pubkey_hash: [1; 32],
            mode: Mode::Epoch,
            role: Role::Server,
            resp: [2; 32],
            evm,
            keys: [3; 32],
            boot: [4; 16],
            epoch: 5,
            receipts: Receipts::default(),
            launch,
            agent: [8; 32],
            chain: (31337, [9; 20]),
            anchor: (10, [11; 32]),
            gpu: ([0; 32], 0),
            log: [0; 32],
            nonce: [0; 32],
            channel: [0; 32],
        };
        ClaimsBuffer::encode(claims).unwrap()
    }

    #[tokio::test]
    async fn evidence_is_over_the_claims() {
        let started = start();
        let client = QuoteClient::new(started.front.into()).unwrap();
        let claims = claims(LaunchDocument::digest(LAUNCH_DOCUMENT));
        let evidence = client.quote(claims.bytes().to_vec()).await.unwrap();
        assert_eq!(
            Report::parse(&evidence.cpu).unwrap().report_data,
            claims.report_data()
        );
    }

    #[tokio::test]
    async fn other_bytes_and_claims_of_another_launch_document_are_refused() {
        let started = start();
        let client = QuoteClient::new(started.front.into()).unwrap();
        let elsewhere = claims([6; 32]).bytes().to_vec();
        assert_eq!(client.quote(elsewhere).await, Err(QuoteFailure::Malformed));
        assert_eq!(client.quote(vec![0; 64]).await, Err(QuoteFailure::Malformed));
    }

    #[tokio::test]
    async fn silicon_that_is_gone_is_a_device_failure() {
        let started = start();
        std::fs::remove_file(started.directory.path().join("5006.sock")).unwrap();
        let client = QuoteClient::new(started.front.into()).unwrap();
        let claims = claims(LaunchDocument::digest(LAUNCH_DOCUMENT)).bytes().to_vec();
        assert_eq!(client.quote(claims).await, Err(QuoteFailure::Device));
    }

    #[tokio::test]
    async fn a_front_that_breaks_the_protocol_ends_the_role() {
        for bytes in [&[0, 0, 0, 0][..], &[0xff; 8], &[0, 0, 0, 2, 9, 9]] {
            let started = start();
            started.front.set_nonblocking(true).unwrap();
            UnixStream::from_std(started.front)
                .unwrap()
                .write_all(bytes)
                .await
                .unwrap();
            assert!(
                matches!(started.role.await.unwrap(), Err(ServeError::Malformed)),
                "{bytes:?}"
            );
        }
        let started = start();
        drop(started.front);
        assert!(started.role.await.unwrap().is_ok());
    }
}
