//! The launch document and collateral, as the guest asks for them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jeju_shim_protocol::document::{
    CollateralName, DocumentRequest, MAX_COLLATERAL, read_request, write_reply,
};
use jeju_shim_protocol::line::ErrorCode;
use jeju_shim_protocol::transport::Stream;
use jeju_shim_protocol::{ExchangeError, Port};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::metrics::PortMetrics;
use crate::shim::State;

/// Connections at once; each may hold a whole document.
pub(crate) const MAX_READERS: usize = 8;
/// Time for the guest to take a document.
const TRANSFER_TIME: Duration = Duration::from_secs(60);

/// Serves one connection of the guest: one request.
pub(crate) async fn serve(mut guest: Stream, state: Arc<State>, metrics: Arc<PortMetrics>) {
    let request = match timeout(state.config.request_timeout, read_request(&mut guest)).await {
        Ok(Ok(request)) => request,
        Ok(Err(ExchangeError::Parse(error))) => {
            metrics.bad_requests.one();
            state
                .events
                .caused("bad_request", &[("port", &Port::Documents), ("error", &error)]);
            return refuse(guest, ErrorCode::BadRequest).await;
        }
        Ok(Err(_)) => return,
        Err(_) => {
            metrics.bad_requests.one();
            return refuse(guest, ErrorCode::Timeout).await;
        }
    };
    let loaded;
    let document = match &request {
        DocumentRequest::Launch => Ok(&state.launch[..]),
        DocumentRequest::Collateral(name) => {
            loaded = collateral(state.config.collateral_dir.as_deref(), name).await;
            loaded.as_deref().map_err(|code| *code)
        }
    };
    match document {
        Ok(bytes) => metrics.to_guest.add(bytes.len() as u64),
        Err(code) => {
            metrics.denied.one();
            state.events.caused("document_refused", &[("code", &code)]);
        }
    }
    let _ = timeout(TRANSFER_TIME, write_reply(&mut guest, &request, document)).await;
}

/// Answers a connection that won't be served.
pub(crate) async fn refuse(mut guest: Stream, code: ErrorCode) {
    let _ = timeout(Duration::from_secs(5), guest.write_all(&code.encode())).await;
}

async fn collateral(dir: Option<&Path>, name: &CollateralName) -> Result<Vec<u8>, ErrorCode> {
    let path = dir.ok_or(ErrorCode::NotFound)?.join(name.as_str());
    let read = tokio::task::spawn_blocking(move || read_file(&path, MAX_COLLATERAL)).await;
    match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(ErrorCode::TooLarge),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ErrorCode::NotFound),
        Err(_) => Err(ErrorCode::Internal),
    }
}

/// A regular file of at most `limit` bytes; `None` when it is longer. Other kinds of file, which could block or never
/// end, count as not found.
pub(crate) fn read_file(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, [1; 10]).unwrap();
        assert_eq!(read_file(&path, 10).unwrap(), Some(vec![1; 10]));
        assert_eq!(read_file(&path, 9).unwrap(), None);
        for other in [dir.path(), Path::new("/dev/zero"), &dir.path().join("missing")] {
            assert_eq!(read_file(other, 10).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}
