//! A log as a stream: lines as they come, to a bounded count of readers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use jeju_attestation::response::EndReason;
use jeju_worker_protocol::api::LogEntry;
use tokio::sync::mpsc;

use super::super::super::error::ApiError;
use super::super::super::exchange::Answer;
use super::super::super::signing::{Part, received};
use super::super::Workers;
use super::super::worker::Worker;

/// Streams of an owner at a time.
const FOLLOWERS: usize = 8;
/// Lines that are read at once.
const LINES: usize = 64;
const PARTS: usize = 16;

/// A place among the readers of an owner's logs.
struct Place {
    followers: Arc<Mutex<HashMap<[u8; 20], usize>>>,
    owner: [u8; 20],
}

impl Place {
    fn take(followers: &Arc<Mutex<HashMap<[u8; 20], usize>>>, owner: [u8; 20]) -> Option<Self> {
        let mut counts = followers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(owner).or_default();
        if *count >= FOLLOWERS {
            return None;
        }
        *count += 1;
        Some(Self {
            followers: followers.clone(),
            owner,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.owner);
            }
        }
    }
}

impl Workers {
    /// Lines from number `since` on, or only those to come, until the client goes away or the worker is deleted.
    pub(super) fn follow(
        self: &Arc<Self>,
        worker: Arc<Worker>,
        since: Option<u64>,
    ) -> Result<Answer, ApiError> {
        let place = Place::take(&self.followers, worker.owner).ok_or_else(|| {
            let message = format!("An owner has at most {FOLLOWERS} logs as streams at a time.");
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "worker_log_streams", message).with_retry_after(5)
        })?;
        let (sender, parts) = mpsc::channel(PARTS);
        let since = since.unwrap_or_else(|| self.logs.read(&worker.id, Some(u64::MAX), 1).next);
        let workers = self.clone();
        tokio::spawn(async move {
            workers.send_lines(&worker, since, &sender).await;
            drop(place);
        });
        Ok(Answer::Stream(received(parts)))
    }

    async fn send_lines(&self, worker: &Worker, mut since: u64, parts: &mpsc::Sender<Part>) {
        loop {
            let wake = self.logs.wake(&worker.id);
            // Before reading, so that no line falls between.
            let woken = wake.notified();
            let read = self.logs.read(&worker.id, Some(since), LINES);
            for line in &read.logs {
                if parts.send(Part::Event(event(line))).await.is_err() {
                    return;
                }
            }
            since = read.next;
            let is_there = self
                .directory()
                .get(&worker.id)
                .is_some_and(|there| there.key == worker.key);
            if !is_there {
                self.logs.remove(&worker.id);
                let _ = parts.send(Part::End(EndReason::Stop)).await;
                return;
            }
            if read.logs.is_empty() {
                tokio::select! {
                    () = woken => {}
                    () = parts.closed() => return,
                }
            }
        }
    }
}

fn event(line: &LogEntry) -> Bytes {
    let json = serde_json::to_string(line).unwrap_or_default();
    format!("data: {json}\n\n").into()
}
