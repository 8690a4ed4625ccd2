//! The SSH server's end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::driver::drive;
use crate::error::{Closed, MuxError, OpenCode, OpenError};
use crate::request::{Exit, Open, Signal, Size};
use crate::state::{Inbound, MAX_CHANNELS, Shared, Side};

/// Time for the container's answer to a request. Longer than the agent waits for a connection.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// A connection to the agent in a container. A clone is another handle of the same connection, which ends when its
/// driver does, or once the last handle and the last channel are dropped.
#[derive(Clone)]
pub struct Agent(Arc<Opener>);

struct Opener(Arc<Shared>);

impl Drop for Opener {
    fn drop(&mut self) {
        self.0.retire();
    }
}

impl Agent {
    /// Takes `stream`, which is the exec's stdio (its output demultiplexed already). The future moves the bytes and must
    /// be polled, say by a task of its own: it returns once the stream ends, once no handle is left, or with what the
    /// container did wrong. Dropping it ends the connection.
    pub fn connect<S>(stream: S) -> (Agent, impl Future<Output = Result<(), MuxError>> + Send)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let shared = Shared::new(Side::Opener);
        (Agent(Arc::new(Opener(shared.clone()))), drive(shared, stream))
    }

    /// Opens a channel. Errors: what the container answered; [`OpenCode::TimedOut`] after 30 s without an answer;
    /// [`OpenCode::TooManyChannels`] with [`MAX_CHANNELS`] open; [`OpenCode::InvalidRequest`] for one that can't be
    /// carried; [`OpenCode::ConnectionLost`].
    pub async fn open(&self, request: Open) -> Result<Channel, OpenError> {
        request.encode()?;
        let shared = self.0.0.clone();
        let channel = {
            let mut state = shared.lock();
            if state.ended {
                return Err(OpenError::lost());
            }
            let opened = state.open(request);
            opened.ok_or_else(|| {
                OpenError::new(
                    OpenCode::TooManyChannels,
                    format!("the connection has {MAX_CHANNELS} channels already"),
                )
            })?
        };
        shared.outgoing.notify_one();
        // Dropped with this future, it closes the channel.
        let held = Arc::new(Held {
            shared,
            channel,
            _opener: self.0.clone(),
        });
        match timeout(ANSWER_TIME, held.verdict()).await {
            Ok(Ok(())) => Ok(Channel(held)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(OpenError::new(
                OpenCode::TimedOut,
                "the container didn't answer in time",
            )),
        }
    }
}

/// Keeps a channel, and its connection, open.
struct Held {
    shared: Arc<Shared>,
    channel: u32,
    _opener: Arc<Opener>,
}

impl Held {
    async fn verdict(&self) -> Result<(), OpenError> {
        loop {
            let readable = self.shared.with(self.channel, |slot| slot.readable.clone());
            let Ok(readable) = readable else {
                return Err(OpenError::lost());
            };
            let changed = readable.notified();
            let found = self
                .shared
                .with(self.channel, |slot| (slot.verdict(), slot.is_closed()));
            match found {
                Ok((Some(verdict), _)) => return verdict,
                Ok((None, false)) => changed.await,
                _ => return Err(OpenError::lost()),
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.abandon(self.channel);
    }
}

/// An open channel. Dropping it closes it, and hangs up what it started.
pub struct Channel(Arc<Held>);

impl Channel {
    /// Its two directions. The channel is closed once both are dropped.
    pub fn split(self) -> (Input, Output) {
        (Input(self.0.clone()), Output(self.0))
    }
}

/// What goes to the container. Dropped, it ends the standard input.
pub struct Input(Arc<Held>);

impl Input {
    /// Writes all of `data`, and waits while the other end has no room. Dropped before its end, it may have written a part.
    pub async fn write(&mut self, data: Bytes) -> Result<(), Closed> {
        write_all(&self.0.shared, self.0.channel, false, data).await
    }

    /// Ends the standard input, or the sending half of a TCP connection. A second one changes nothing.
    pub async fn eof(&mut self) -> Result<(), Closed> {
        self.act(|slot| {
            slot.end_writing();
        })
    }

    /// The terminal's new size. Of several that aren't sent yet, the last one counts.
    pub async fn resize(&mut self, size: Size) -> Result<(), Closed> {
        self.act(|slot| slot.resize(size))
    }

    /// Sends a signal to the process group, named as in RFC 4254 §6.10 (`TERM`). A name that isn't there is ignored.
    pub async fn signal(&mut self, name: &str) -> Result<(), Closed> {
        match Signal::parse(name) {
            Some(signal) => self.act(|slot| slot.signal(signal)),
            None => Ok(()),
        }
    }

    fn act(&self, act: impl FnOnce(&mut crate::state::Slot)) -> Result<(), Closed> {
        self.0
            .shared
            .with(self.0.channel, |slot| match slot.is_closed() {
                true => Err(Closed),
                false => {
                    act(slot);
                    Ok(())
                }
            })?
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let _ = self.act(|slot| {
            slot.end_writing();
        });
    }
}

/// What comes from the container.
pub struct Output(Arc<Held>);

/// What a container says on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Of standard output, the terminal, SFTP or the TCP connection: 1 to 32768 bytes.
    Stdout(Bytes),
    /// Of standard error: 1 to 32768 bytes.
    Stderr(Bytes),
    /// Neither will say more.
    Eof,
    /// The process ended: at most once, before or after [`Event::Eof`].
    Exit(Exit),
}

impl Output {
    /// The next event, in the container's order. `None` once the channel is closed or the connection is gone, and all that
    /// came before has been returned. May be dropped before its end without loss.
    pub async fn next(&mut self) -> Option<Event> {
        match read(&self.0.shared, self.0.channel).await? {
            Inbound::Data(data) => Some(Event::Stdout(data)),
            Inbound::Stderr(data) => Some(Event::Stderr(data)),
            Inbound::Eof => Some(Event::Eof),
            Inbound::Exit(exit) => Some(Event::Exit(exit)),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let _ = self.0.shared.with(self.0.channel, |slot| slot.discard());
    }
}

/// The next of a channel's queue; `None` once there will be no more.
pub(crate) async fn read(shared: &Shared, channel: u32) -> Option<Inbound> {
    let readable = shared.with(channel, |slot| slot.readable.clone()).ok()?;
    loop {
        let changed = readable.notified();
        let found = shared.with(channel, |slot| (slot.read(), slot.is_closed()));
        match found.ok()? {
            (Some(event), _) => return Some(event),
            (None, true) => return None,
            (None, false) => changed.await,
        }
    }
}

/// Queues all of `data`, as credit and room allow.
pub(crate) async fn write_all(
    shared: &Shared,
    channel: u32,
    stderr: bool,
    mut data: Bytes,
) -> Result<(), Closed> {
    let writable = shared.with(channel, |slot| slot.writable.clone())?;
    while !data.is_empty() {
        let changed = writable.notified();
        shared.with(channel, |slot| match slot.may_write() {
            true => {
                slot.write(stderr, &mut data);
                Ok(())
            }
            false => Err(Closed),
        })??;
        if !data.is_empty() {
            changed.await;
        }
    }
    Ok(())
}
