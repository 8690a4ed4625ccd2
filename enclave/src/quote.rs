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

use crate::ipc::frame;
use crate::ipc::quote::{MAX_WAITING, QuoteAnswer, QuoteFailure, QuoteRequest};

/// Answers requests until the front is gone, or breaks the protocol.
///
/// `launch_document` is this boot's: claims that name another one are refused, so that not even a front that is taken
/// over can pass for a node with other settings.
///
/// # Errors
/// When the device's thread can't be started, or the socket can't be registered with the runtime.
pub async fn serve(device: Device, socket: OwnedFd, launch_document: &[u8]) -> io::Result<()> {
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
    while let Ok(frame) = frame::read(&mut requests).await {
        let Some(request) = QuoteRequest::parse(&frame) else {
            break;
        };
        let Ok(place) = places.clone().acquire_owned().await else {
            break;
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
    }
    drop(sender);
    writer.abort();
    Ok(())
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
