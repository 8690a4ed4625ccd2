//! A stream on its way out: its pieces as they are made, and the signed end over all of their bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use jeju_attestation::response::{EndReason, StreamEnd};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};

use crate::front::epoch::Epoch;
use crate::front::receipts::Pending;

const DONE: &str = "data: [DONE]\n\n";
/// Keeps connections open while a long prompt is read; covered by the signature like all else.
const KEEP_ALIVE: &str = ": ka\n\n";
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);

/// A piece of a stream.
pub(in crate::front) enum Part {
    /// One event, with the blank line that ends it.
    Event(Bytes),
    /// The end; nothing comes after it.
    End(EndReason),
}

/// The pieces of a stream, made when the client's connection asks for the next, and on its task: none waits for another
/// task to be woken, and a client that leaves drops whoever makes them.
pub(in crate::front) type Parts = BoxStream<'static, Part>;

/// Pieces that another task makes.
pub(in crate::front) fn received(mut parts: mpsc::Receiver<Part>) -> Parts {
    stream::poll_fn(move |cx| parts.poll_recv(cx)).boxed()
}

/// What stands behind the signed end of a stream.
pub(super) enum Ending {
    /// `data: [DONE]`, as clients of models know it; before it is sent, the receipt is there to be asked for.
    Done(Pending),
    /// Nothing. What comes before may end anywhere: the signed comment begins a line of its own.
    Comment,
}

/// Hands on a stream's events, and signs all of its bytes at the end. Pieces that stop without an end leave an `error` end.
///
/// `start`: SHA-256 of the head's signature.
pub(super) fn signed(
    parts: Parts,
    epoch: Arc<Epoch>,
    start: [u8; 32],
    ending: Ending,
) -> BoxStream<'static, Bytes> {
    let signed = Box::new(Signed {
        parts,
        epoch,
        start,
        ending: Some(ending),
        hash: Sha256::new(),
        len: 0,
        begins_line: true,
        between_events: true,
        silence: Box::pin(sleep(KEEP_ALIVE_EVERY)),
    });
    stream::unfold(signed, |mut signed| async move {
        let chunk = signed.next().await?;
        Some((chunk, signed))
    })
    .boxed()
}

struct Signed {
    parts: Parts,
    epoch: Arc<Epoch>,
    start: [u8; 32],
    /// `None` once the end is told.
    ending: Option<Ending>,
    hash: Sha256,
    len: u64,
    begins_line: bool,
    between_events: bool,
    /// Set anew for each piece: a timer that is moved costs less than a new one.
    silence: Pin<Box<Sleep>>,
}

impl Signed {
    async fn next(&mut self) -> Option<Bytes> {
        self.ending.as_ref()?;
        let reason = loop {
            self.silence.as_mut().reset(Instant::now() + KEEP_ALIVE_EVERY);
            let part = tokio::select! {
                biased;
                part = self.parts.next() => part,
                () = self.silence.as_mut() => match self.between_events {
                    true => Some(Part::Event(Bytes::from_static(KEEP_ALIVE.as_bytes()))),
                    false => continue,
                },
            };
            match part {
                Some(Part::Event(event)) if event.is_empty() => {}
                Some(Part::Event(event)) => {
                    self.note(&event);
                    return Some(event);
                }
                Some(Part::End(reason)) => break reason,
                None => break EndReason::Error,
            }
        };
        Some(self.end(reason))
    }

    fn note(&mut self, chunk: &[u8]) {
        self.between_events = chunk.ends_with(b"\n\n") || (self.begins_line && chunk == b"\n");
        self.begins_line = chunk.ends_with(b"\n");
        self.hash.update(chunk);
        self.len += chunk.len() as u64;
    }

    /// One chunk, so that no client sees the end without its signature.
    fn end(&mut self, reason: EndReason) -> Bytes {
        let before = if self.begins_line { "" } else { "\n" };
        self.note(before.as_bytes());
        let end = StreamEnd {
            body_sha256: self.hash.clone().finalize().into(),
            len: self.len,
            start: self.start,
            reason,
        };
        let signature = self.epoch.key.sign(&end.signature_base());
        let behind = match self.ending.take() {
            Some(Ending::Done(receipt)) => {
                if matches!(reason, EndReason::Stop | EndReason::Length) {
                    receipt.close(end.body_sha256, &self.epoch);
                }
                DONE
            }
            Some(Ending::Comment) | None => "",
        };
        format!("{before}{}{behind}", end.render(&signature)).into()
    }
}
