//! The work on a channel: messages out, messages in, and the time.

use std::sync::Arc;
use std::time::Duration;

use jeju_worker_protocol::{Frames, ToBroker};
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::pace::Pace;
use crate::process::Ended;
use crate::state::Shared;

/// Longest message from the process, in bytes.
pub(crate) const MAX_FROM_PROCESS: usize = 512 * 1024;
/// Bytes that are read at a time.
const READ: usize = 64 * 1024;
/// From so many on a read is part of something long, and counts for how fast the process is read from.
const LONG_READ: usize = READ / 4;
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
    bytes: Vec<u8>,
    sent: usize,
    since: Instant,
}

impl Sending {
    fn is_over(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Goes on with what waits, once all is sent.
    fn refill(&mut self, shared: &Shared) {
        if self.is_over() {
            shared.exchange(&mut self.bytes);
            self.sent = 0;
            self.since = Instant::now();
        }
    }
}

async fn work(channel: &UnixStream, shared: &Arc<Shared>) -> Ended {
    let mut frames = Frames::new(MAX_FROM_PROCESS);
    let mut buffer = vec![0; READ];
    let mut sending = Sending {
        bytes: Vec::new(),
        sent: 0,
        since: Instant::now(),
    };
    let tick = tokio::time::sleep(TICK);
    let mut pace = Pace::new(Instant::now());
    let mut rests = false;
    let rest = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(tick, rest);
    loop {
        if let Some(ended) = shared.ended() {
            return ended;
        }
        sending.refill(shared);
        let sends = !sending.is_over();
        let outcome = tokio::select! {
            ready = channel.readable(), if !rests => match ready {
                Ok(()) => {
                    let begun = Instant::now();
                    let was_long = read(channel, shared, &mut frames, &mut buffer);
                    if was_long == Ok(true) {
                        let now = Instant::now();
                        if let Some(time) = pace.rest_after(now, now - begun) {
                            rest.as_mut().reset(now + time);
                            rests = true;
                        }
                    }
                    was_long.map(drop)
                }
                Err(_) => Err(Ended::Closed),
            },
            () = &mut rest, if rests => {
                rests = false;
                Ok(())
            }
            ready = channel.writable(), if sends => match ready {
                Ok(()) => write(channel, &mut sending),
                Err(_) => Err(Ended::Closed),
            },
            () = shared.wake.notified() => Ok(()),
            () = &mut tick, if sends || shared.is_busy() => {
                let now = Instant::now();
                tick.as_mut().reset(now + TICK);
                if sends && now - sending.since > STALL {
                    Err(Ended::Hangs)
                } else {
                    shared.check_time(now)
                }
            }
        };
        if let Err(ended) = outcome {
            return ended;
        }
    }
}

/// Takes what is there, at most one buffer of it. Whether that was much.
fn read(
    channel: &UnixStream,
    shared: &Arc<Shared>,
    frames: &mut Frames,
    buffer: &mut [u8],
) -> Result<bool, Ended> {
    let len = match channel.try_read(buffer) {
        Ok(0) => return Err(Ended::Closed),
        Ok(len) => len,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
        Err(_) => return Err(Ended::Closed),
    };
    frames.buffer().extend_from_slice(&buffer[..len]);
    loop {
        match frames.take::<ToBroker>() {
            Ok(Some(message)) => shared.receive(message).map_err(Ended::Broke)?,
            Ok(None) => return Ok(len >= LONG_READ),
            Err(_) => return Err(Ended::Broke("a message that is none")),
        }
    }
}

/// Sends what the kernel takes.
fn write(channel: &UnixStream, sending: &mut Sending) -> Result<(), Ended> {
    match channel.try_write(&sending.bytes[sending.sent..]) {
        Ok(len) => {
            sending.sent += len;
            sending.since = Instant::now();
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
        Err(_) => Err(Ended::Closed),
    }
}
