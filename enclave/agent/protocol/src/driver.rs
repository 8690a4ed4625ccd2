//! Moves bytes between a stream and the rules.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::timeout;

use crate::error::MuxError;
use crate::frame::{self, HEADER_LEN, MAX_PAYLOAD};
use crate::state::Shared;

/// Time for the peer's greeting.
const GREETING_TIME: Duration = Duration::from_secs(10);
/// Silence after which an end says that it is there.
const ALIVE_EACH: Duration = Duration::from_secs(60);
/// Room for one read while little comes.
const SMALL_READ: usize = 8 * 1024;
/// Room for one read while much comes.
const LARGE_READ: usize = 2 * (MAX_PAYLOAD + HEADER_LEN);
/// A batch's buffer that is larger isn't kept while little is sent.
const KEPT_BATCH: usize = 16 * 1024;

/// Runs one end until the stream's end, an error, or the last handle's end.
pub(crate) async fn drive<S>(shared: Arc<Shared>, stream: S) -> Result<(), MuxError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Whatever ends this, a dropped future too, the handles learn it.
    let _end = EndOnDrop(&shared);
    let (reader, writer) = split(stream);
    tokio::select! {
        outcome = receive(&shared, reader) => outcome,
        outcome = transmit(&shared, writer) => outcome,
    }
}

struct EndOnDrop<'a>(&'a Shared);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

async fn receive(shared: &Shared, mut reader: impl AsyncRead + Unpin) -> Result<(), MuxError> {
    let mut buffer = BytesMut::new();
    let mut room = SMALL_READ;
    loop {
        buffer.reserve(room);
        let read = match shared.lock().greeted() {
            true => None,
            false => Some(GREETING_TIME),
        };
        let read = match read {
            None => reader.read_buf(&mut buffer).await?,
            Some(limit) => match timeout(limit, reader.read_buf(&mut buffer)).await {
                Ok(read) => read?,
                Err(_) => return Err(MuxError::Silent),
            },
        };
        if read == 0 {
            return match buffer.is_empty() {
                true => Ok(()),
                false => Err(MuxError::Truncated),
            };
        }
        room = if read >= SMALL_READ {
            LARGE_READ
        } else {
            SMALL_READ
        };
        while let Some(frame) = frame::take(&mut buffer)? {
            shared.receive(frame)?;
        }
    }
}

async fn transmit(shared: &Shared, mut writer: impl AsyncWrite + Unpin) -> Result<(), MuxError> {
    let mut batch = Vec::new();
    let mut last = 0;
    loop {
        let more = shared.lock().transmit(&mut batch);
        if !batch.is_empty() {
            writer.write_all(&batch).await?;
            writer.flush().await?;
            last = batch.len();
            batch.clear();
        } else if more {
            // While much is sent, the buffer is needed again at once.
            if last < KEPT_BATCH {
                batch.shrink_to(KEPT_BATCH);
            }
            if timeout(ALIVE_EACH, shared.outgoing.notified()).await.is_err() {
                writer.write_all(&frame::ALIVE).await?;
                writer.flush().await?;
            }
        } else {
            writer.shutdown().await?;
            return Ok(());
        }
    }
}
