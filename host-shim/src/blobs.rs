//! The guest's blobs, in a directory: each answer to a write comes once the disk has it.
//!
//! A blob is the file `DIR/SPACE/LEAF`. A write goes to a file under a hidden name, which then takes the blob's: whatever
//! stops the shim or the machine, a blob is there as one write left it.

mod directory;

use std::sync::Arc;
use std::time::Duration;

use jeju_shim_protocol::blob::{BlobRequest, read_body, read_request, write_done, write_found};
use jeju_shim_protocol::line::ErrorCode;
use jeju_shim_protocol::transport::Stream;
use jeju_shim_protocol::{ExchangeError, Port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

pub use directory::OpenBlobsError;
pub(crate) use directory::{BlobDirectory, Usage};

use crate::metrics::PortMetrics;
use crate::shim::State;

/// Connections at once; each may hold a whole blob.
pub(crate) const MAX_CONNECTIONS: usize = 16;
/// Time for a blob to come or to go.
const TRANSFER_TIME: Duration = Duration::from_secs(60);

/// Serves one connection of the guest: requests until its end, or silence.
pub(crate) async fn serve(mut guest: Stream, state: Arc<State>, metrics: Arc<PortMetrics>) {
    loop {
        // Between requests a guest may be silent; within one it may not.
        let mut first = [0];
        match timeout(state.config.idle_timeout, guest.read(&mut first)).await {
            Ok(Ok(1)) => {}
            Ok(_) => return,
            Err(_) => return metrics.idle_timeouts.one(),
        }
        let mut line = (&first[..]).chain(&mut guest);
        let request = match timeout(state.config.request_timeout, read_request(&mut line)).await {
            Ok(Ok(request)) => request,
            Ok(Err(ExchangeError::Parse(error))) => {
                metrics.bad_requests.one();
                state
                    .events
                    .caused("bad_request", &[("port", &Port::Blobs), ("error", &error)]);
                return refuse(guest, ErrorCode::BadRequest).await;
            }
            Ok(Err(_)) => return,
            Err(_) => {
                metrics.bad_requests.one();
                return refuse(guest, ErrorCode::Timeout).await;
            }
        };
        if answer(&mut guest, request, &state, &metrics).await.is_err() {
            return;
        }
    }
}

/// Answers a connection that won't be served.
pub(crate) async fn refuse(mut guest: Stream, code: ErrorCode) {
    let _ = timeout(Duration::from_secs(5), guest.write_all(&code.encode())).await;
}

async fn answer(
    guest: &mut Stream,
    request: BlobRequest,
    state: &State,
    metrics: &PortMetrics,
) -> Result<(), ExchangeError> {
    // What follows a request is read in any case: the next request stands behind it.
    let body = match &request {
        BlobRequest::Put(_, len) => within(read_body(guest, *len)).await?,
        _ => Vec::new(),
    };
    metrics.from_guest.add(body.len() as u64);
    let outcome = match &state.blobs {
        None => Err(ErrorCode::Unavailable),
        Some(blobs) => perform(blobs, &request, body, metrics).await,
    };
    match &outcome {
        Ok(found) => metrics.to_guest.add(found.as_ref().map_or(0, Vec::len) as u64),
        // A guest asks for what may not be there.
        Err(ErrorCode::NotFound) => {}
        Err(code) => {
            metrics.denied.one();
            state.events.caused("blob_refused", &[("code", code)]);
        }
    }
    within(async {
        match outcome {
            Ok(None) => write_done(guest, Ok(())).await,
            Ok(Some(found)) => write_found(guest, Ok(&found)).await,
            Err(code) => write_done(guest, Err(code)).await,
        }
    })
    .await
}

/// `Some` bytes for a request that asks for them.
async fn perform(
    blobs: &BlobDirectory,
    request: &BlobRequest,
    body: Vec<u8>,
    metrics: &PortMetrics,
) -> Result<Option<Vec<u8>>, ErrorCode> {
    let outcome = match request {
        BlobRequest::Get(name) => blobs.get(name).await.map(Some),
        BlobRequest::List(request) => blobs.list(request).await.map(|page| Some(page.encode())),
        BlobRequest::Put(name, _) => blobs.put(name, body).await.map(|()| None),
        BlobRequest::Delete(name) => blobs.delete(name).await.map(|()| None),
    };
    let usage = blobs.usage();
    metrics.stored_bytes.set(usage.bytes);
    metrics.stored_blobs.set(usage.count);
    outcome
}

async fn within<T>(exchange: impl Future<Output = Result<T, ExchangeError>>) -> Result<T, ExchangeError> {
    match timeout(TRANSFER_TIME, exchange).await {
        Ok(outcome) => outcome,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}
