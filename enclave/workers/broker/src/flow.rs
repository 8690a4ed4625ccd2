//! Bytes of bodies on their way to the process, no faster than it reads.

use jeju_worker_protocol::{BODY_WINDOW, BodyOf, CallId, Failure, MAX_CHUNK, ToProcess, code};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::outbound::Body;
use crate::state::Shared;

/// How many bytes of a body the process takes.
pub(crate) struct Credit(Semaphore);

/// A task that ends with whoever holds this.
pub(crate) struct Task(AbortHandle);

impl Credit {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(BODY_WINDOW as usize))
    }

    /// The process read this many bytes.
    ///
    /// # Errors
    /// More than it was sent, or none.
    pub(crate) fn add(&self, bytes: u32) -> Result<(), &'static str> {
        let bytes = bytes as usize;
        if bytes == 0 || bytes > (BODY_WINDOW as usize).saturating_sub(self.0.available_permits()) {
            return Err("credit for more than was sent");
        }
        self.0.add_permits(bytes);
        Ok(())
    }

    /// Waits until the process takes this many bytes, [`MAX_CHUNK`] at most.
    async fn use_up(&self, bytes: usize) {
        if let Ok(permits) = self.0.acquire_many(bytes as u32).await {
            permits.forget();
        }
    }
}

impl Task {
    /// Runs on the runtime of whoever calls.
    pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Hands a body over to its end.
pub(crate) async fn send_body(
    shared: Arc<Shared>,
    call: CallId,
    of: BodyOf,
    mut body: Body,
    credit: Arc<Credit>,
) {
    let failure = loop {
        match body.recv().await {
            Some(Ok(data)) => {
                for piece in data.chunks(MAX_CHUNK) {
                    credit.use_up(piece.len()).await;
                    let data = piece.to_vec();
                    shared.send(&ToProcess::Body { call, of, data });
                }
            }
            Some(Err(failure)) => break Some(failure),
            None => break None,
        }
    };
    shared.send(&ToProcess::BodyEnd { call, of, failure });
}

/// What is said of a process that is gone.
pub(crate) fn crashed() -> Failure {
    Failure::new(code::CRASHED, "the process that ran this worker has ended")
}
