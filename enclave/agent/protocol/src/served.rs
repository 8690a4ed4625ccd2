//! The container's end.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::agent::{read, write_all};
use crate::driver::drive;
use crate::error::{Closed, MuxError, OpenCode, OpenError};
use crate::request::{Exit, Open, Signal, Size};
use crate::state::{Answer, Inbound, Shared, Side};

/// Takes a stream whose other end is [`crate::Agent`]. The future moves the bytes; see [`crate::Agent::connect`].
pub fn serve<S>(stream: S) -> (Requests, impl Future<Output = Result<(), MuxError>> + Send)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let shared = Shared::new(Side::Server);
    (Requests(shared.clone()), drive(shared, stream))
}

/// The requests of a connection.
pub struct Requests(Arc<Shared>);

impl Requests {
    /// The next one; `None` once the connection is gone.
    pub async fn next(&mut self) -> Option<Request> {
        loop {
            let (next, ended) = {
                let mut state = self.0.lock();
                (state.request(), state.ended)
            };
            match next {
                Some((channel, open, waits)) => {
                    let held = Arc::new(Held {
                        shared: self.0.clone(),
                        channel,
                    });
                    if waits {
                        return Some(Request { open, held });
                    }
                }
                None if ended => return None,
                None => self.0.requests.notified().await,
            }
        }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.0.retire();
    }
}

/// A channel that the peer asks for. Dropped without an answer, it is refused.
pub struct Request {
    /// What for.
    pub open: Open,
    held: Arc<Held>,
}

struct Held {
    shared: Arc<Shared>,
    channel: u32,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Counts for a request that nobody answered: the opener's end knows no other first answer.
        let unanswered = OpenError::new(OpenCode::Failed, "the request was dropped");
        let _ = self
            .shared
            .with(self.channel, |slot| slot.answer(Answer::Refused(unanswered)));
        self.shared.abandon(self.channel);
    }
}

impl Request {
    /// Opens the channel.
    pub fn accept(self) -> Served {
        self.answer(Answer::Opened);
        Served {
            stdin: Stdin(self.held.clone()),
            controls: Controls(self.held.clone()),
            reply: Reply(self.held),
        }
    }

    /// Refuses it.
    pub fn refuse(self, error: OpenError) {
        self.answer(Answer::Refused(error));
    }

    fn answer(&self, answer: Answer) {
        let _ = self
            .held
            .shared
            .with(self.held.channel, |slot| slot.answer(answer));
    }
}

/// An open channel: it is closed, after all that was written, once each part is dropped.
pub struct Served {
    /// Data of the peer.
    pub stdin: Stdin,
    /// Resizes, signals and the channel's end.
    pub controls: Controls,
    /// What is said to the peer.
    pub reply: Reply,
}

/// Data of the peer.
pub struct Stdin(Arc<Held>);

impl Stdin {
    /// The next part, 1 to 32768 bytes; `None` at its end, or once the channel is closed. May be dropped before its end
    /// without loss.
    pub async fn next(&mut self) -> Option<Bytes> {
        match read(&self.0.shared, self.0.channel).await? {
            Inbound::Data(data) => Some(data),
            _ => None,
        }
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        let _ = self.0.shared.with(self.0.channel, |slot| slot.discard());
    }
}

/// Resizes and signals. Of those that weren't taken, the last size and each signal once are kept.
pub struct Controls(Arc<Held>);

/// What [`Controls::next`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The terminal's new size.
    Resize(Size),
    /// A signal to the process group.
    Signal(Signal),
}

impl Controls {
    /// The next one; `None` once the peer closed the channel, or the connection is gone.
    pub async fn next(&mut self) -> Option<Control> {
        let Held { shared, channel } = &*self.0;
        let controls = shared.with(*channel, |slot| slot.controls.clone()).ok()?;
        loop {
            let changed = controls.notified();
            let found = shared.with(*channel, |slot| {
                let resize = slot.take_resize().map(Control::Resize);
                let control = resize.or_else(|| slot.take_signal().map(Control::Signal));
                (control, slot.is_closed())
            });
            match found.ok()? {
                (Some(control), _) => return Some(control),
                (None, true) => return None,
                (None, false) => changed.await,
            }
        }
    }
}

/// What is said to the peer. A clone speaks on the same channel.
#[derive(Clone)]
pub struct Reply(Arc<Held>);

impl Reply {
    /// Writes all of `data` as standard output, and waits while the peer has no room.
    pub async fn stdout(&self, data: Bytes) -> Result<(), Closed> {
        write_all(&self.0.shared, self.0.channel, false, data).await
    }

    /// The same as standard error.
    pub async fn stderr(&self, data: Bytes) -> Result<(), Closed> {
        write_all(&self.0.shared, self.0.channel, true, data).await
    }

    /// Neither will say more.
    pub fn eof(&self) {
        let _ = self.0.shared.with(self.0.channel, |slot| {
            slot.end_writing();
        });
    }

    /// How the process ended. Only the first one counts.
    pub fn exit(&self, exit: Exit) {
        let _ = self.0.shared.with(self.0.channel, |slot| slot.exit(exit));
    }
}
