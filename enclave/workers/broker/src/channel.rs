//! The work on a channel: messages out, messages in, and the time.

use std::sync::Arc;
use std::time::Duration;

use jeju_worker_protocol::{Frames, ToBroker};
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::process::Ended;
use crate::state::Shared;

/// Longest message from the process, in bytes.
pub(crate) const MAX_FROM_PROCESS: usize = 512 * 1024;
/// Bytes that are read at a time.
const READ: usize = 64 * 1024;
/// How often the time is looked at while something is under way.
const TICK: Duration = Duration::from_millis(250);
/// How long a process may take to read something, in which time its reader does nothing else.
const STALL: Duration = Duration::from_secs(30);

/// Does the work until there is none any more.
pub(crate) async fn run(channel: UnixStream, shared: Arc<Shared>) -> Ended {
    // However this ends, also when it is dropped, nobody waits for ever.
    let _end = EndOnDrop(&shared);
    let ended = work(&channel, &shared).await;
    shared.end(ended);
    ended
}

struct EndOnDrop<'a>(&'a Shared);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end(Ended::Stopped);
    }
}

/// What is being sent, and since when nothing of it went out.
struct Sending {
    frame: Vec<u8>,
    sent: usize,
    since: Instant,
}

async fn work(channel: &UnixStream, shared: &Arc<Shared>) -> Ended {
    let mut frames = Frames::new(MAX_FROM_PROCESS);
    let mut buffer = vec![0; READ];
    let mut sending: Option<Sending> = None;
    let mut looked = Instant::now();
    loop {
        if let Some(ended) = shared.ended() {
            return ended;
        }
        if sending.is_none() {
            sending = shared.next_frame().map(|frame| Sending {
                frame,
                sent: 0,
                since: Instant::now(),
            });
        }
        let outcome = tokio::select! {
            ready = channel.readable() => match ready {
                Ok(()) => read(channel, shared, &mut frames, &mut buffer),
                Err(_) => Err(Ended::Closed),
            },
            ready = channel.writable(), if sending.is_some() => match ready {
                Ok(()) => write(channel, &mut sending),
                Err(_) => Err(Ended::Closed),
            },
            () = shared.wake.notified() => Ok(()),
            () = tokio::time::sleep(TICK), if sending.is_some() || shared.is_busy() => Ok(()),
        };
        if let Err(ended) = outcome {
            return ended;
        }
        let now = Instant::now();
        if now - looked < TICK {
            continue;
        }
        looked = now;
        if sending
            .as_ref()
            .is_some_and(|sending| now - sending.since > STALL)
        {
            return Ended::Hangs;
        }
        if let Err(ended) = shared.check_time(now) {
            return ended;
        }
    }
}

/// Takes what is there, at most one buffer of it.
fn read(
    channel: &UnixStream,
    shared: &Arc<Shared>,
    frames: &mut Frames,
    buffer: &mut [u8],
) -> Result<(), Ended> {
    let len = match channel.try_read(buffer) {
        Ok(0) => return Err(Ended::Closed),
        Ok(len) => len,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
        Err(_) => return Err(Ended::Closed),
    };
    frames.buffer().extend_from_slice(&buffer[..len]);
    loop {
        match frames.take::<ToBroker>() {
            Ok(Some(message)) => shared.receive(message).map_err(Ended::Broke)?,
            Ok(None) => return Ok(()),
            Err(_) => return Err(Ended::Broke("a message that is none")),
        }
    }
}

/// Sends what the kernel takes.
fn write(channel: &UnixStream, sending: &mut Option<Sending>) -> Result<(), Ended> {
    let Some(part) = sending else {
        return Ok(());
    };
    match channel.try_write(&part.frame[part.sent..]) {
        Ok(len) => {
            part.sent += len;
            part.since = Instant::now();
            if part.sent == part.frame.len() {
                *sending = None;
            }
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
        Err(_) => Err(Ended::Closed),
    }
}
