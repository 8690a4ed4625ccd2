//! Bytes between a channel and a descriptor.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jeju_agent_protocol::frame::MAX_PAYLOAD;
use jeju_agent_protocol::{Reply, Stdin};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

/// A part of at least this length isn't copied. A shorter one would keep a whole buffer.
const SHARED_FROM: usize = MAX_PAYLOAD / 2;

/// How far a pump has come: odd while it waits for the peer's room.
#[derive(Default)]
pub(crate) struct Progress(AtomicU64);

impl Progress {
    fn step(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing came for `time`, though the peer had room for it. The pump has to be polled before this.
    pub(crate) async fn idle(&self, time: Duration) {
        /// A machine that stood still for all of `time` woke up in one part: the others are the pump's time to read.
        const PARTS: u32 = 4;
        let mut quiet = 0;
        while quiet < PARTS {
            let before = self.0.load(Ordering::Relaxed);
            sleep(time / PARTS).await;
            let is_quiet = before.is_multiple_of(2) && self.0.load(Ordering::Relaxed) == before;
            quiet = if is_quiet { quiet + 1 } else { 0 };
        }
    }
}

/// Everything that `from` says, to the peer.
pub(crate) async fn forward(
    mut from: impl AsyncRead + Unpin,
    reply: &Reply,
    stderr: bool,
    progress: &Progress,
) {
    let mut buffer = BytesMut::new();
    let mut has_failed = false;
    loop {
        buffer.reserve(MAX_PAYLOAD);
        match from.read_buf(&mut buffer).await {
            Ok(0) => return,
            Ok(_) => has_failed = false,
            // Linux looks whether a terminal has data and then whether it has ended: between the two, both can change.
            Err(_) if !has_failed => {
                has_failed = true;
                continue;
            }
            Err(_) => return,
        }
        let data = match buffer.len() {
            ..SHARED_FROM => {
                let data = Bytes::copy_from_slice(&buffer);
                buffer.clear();
                data
            }
            _ => buffer.split().freeze(),
        };
        progress.step();
        let said = match stderr {
            true => reply.stderr(data).await,
            false => reply.stdout(data).await,
        };
        progress.step();
        if said.is_err() {
            return;
        }
    }
}

/// Everything that the peer says, to `to`, until either has enough.
pub(crate) async fn feed(mut from: Stdin, mut to: impl AsyncWrite + Unpin) {
    while let Some(data) = from.next().await {
        if to.write_all(&data).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
