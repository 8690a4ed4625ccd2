//! What the guest logs: numbered fatal exits, printed with their meaning, and opaque bytes for a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jeju_shim_protocol::fatal::FatalCode;
use jeju_shim_protocol::log::{LogFrame, read_frame};
use jeju_shim_protocol::transport::Stream;
use jeju_shim_protocol::{ExchangeError, Port};
use tokio::time::timeout;

use crate::event::Field;
use crate::metrics::PortMetrics;
use crate::shim::State;

/// Connections at once: one for each process of the node, and some to spare.
pub(crate) const MAX_WRITERS: usize = 16;

/// Serves one connection of the guest until a fatal frame, its end, or silence.
pub(crate) async fn serve(mut guest: Stream, state: Arc<State>, metrics: Arc<PortMetrics>) {
    loop {
        match timeout(state.config.idle_timeout, read_frame(&mut guest)).await {
            Ok(Ok(Some(LogFrame::Fatal(code)))) => {
                let meaning = FatalCode::from_u16(code).map_or("unknown to this version", FatalCode::meaning);
                let fields: [Field<'_>; 2] = [("code", &code), ("meaning", &meaning)];
                // The first one is what an operator looks for, so no flood of other events may suppress it.
                match state.fatal.send_replace(Some(code)) {
                    None => state.events.note("guest_fatal", &fields),
                    Some(_) => state.events.caused("guest_fatal", &fields),
                }
                return;
            }
            Ok(Ok(Some(LogFrame::Opaque(bytes)))) => {
                let count = bytes.len() as u64;
                metrics.from_guest.add(count);
                if !state.log_file.append(bytes).await {
                    metrics.log_dropped.add(count);
                }
            }
            Ok(Err(ExchangeError::Parse(error))) => {
                metrics.bad_requests.one();
                state
                    .events
                    .caused("bad_request", &[("port", &Port::Log), ("error", &error)]);
                return;
            }
            Ok(Ok(None) | Err(_)) => return,
            Err(_) => return metrics.idle_timeouts.one(),
        }
    }
}

/// A file that grows up to a limit, or none.
#[derive(Clone, Default)]
pub(crate) struct LogFile(Option<Arc<Mutex<Bounded>>>);

struct Bounded {
    file: File,
    left: u64,
}

impl LogFile {
    /// Opens for appending, readable by its owner only. What is there already counts towards `limit` bytes.
    pub(crate) fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let left = limit.saturating_sub(file.metadata()?.len());
        Ok(Self(Some(Arc::new(Mutex::new(Bounded { file, left })))))
    }

    /// Whether the bytes were written. A frame that doesn't fit any more is left out whole.
    async fn append(&self, bytes: Vec<u8>) -> bool {
        let Some(bounded) = self.0.clone() else {
            return false;
        };
        let written = tokio::task::spawn_blocking(move || {
            let mut bounded = bounded.lock().unwrap_or_else(|e| e.into_inner());
            match bounded.left.checked_sub(bytes.len() as u64) {
                Some(left) if bounded.file.write_all(&bytes).is_ok() => {
                    bounded.left = left;
                    true
                }
                _ => false,
            }
        });
        written.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn the_file_stops_at_its_limit_also_across_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = LogFile::open(&path, 10).unwrap();
        assert!(log.append(vec![1; 6]).await);
        assert!(!log.append(vec![2; 6]).await);
        assert!(log.append(vec![3; 2]).await);
        let log = LogFile::open(&path, 10).unwrap();
        assert!(!log.append(vec![4; 3]).await);
        assert!(log.append(vec![5; 2]).await);
        assert_eq!(std::fs::read(&path).unwrap(), [1, 1, 1, 1, 1, 1, 3, 3, 5, 5]);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(!LogFile::default().append(vec![1]).await);
    }
}
