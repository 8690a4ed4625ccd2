//! The rules of a connection, without I/O: frames go in, frames come out, handles ask and wait.

mod slot;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::error::{Closed, MuxError, OpenError};
use crate::frame::{Body, Frame, VERSION};
use crate::request::Open;
pub(crate) use slot::{Answer, Slot};

/// Most channels of one connection at once.
pub const MAX_CHANNELS: usize = 256;
/// What each direction of a new channel may carry before the first credit, in bytes.
pub const FIRST_WINDOW: u32 = 64 * 1024;
/// What a direction may ever carry ahead of its reader, in bytes.
pub const MAX_WINDOW: u32 = 1024 * 1024;
/// By how much all windows of a connection's end may together exceed [`FIRST_WINDOW`], in bytes.
pub const SPARE_WINDOW: u32 = 8 * 1024 * 1024;
/// What a channel may have waiting for the stream, in bytes.
pub const MAX_QUEUED: usize = 128 * 1024;
/// Bytes that are given to the stream at once; one frame more may be.
const BATCH: usize = 128 * 1024;

/// Which end this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The SSH server's.
    Opener,
    /// The container's.
    Server,
}

/// One end of a connection.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// There is something to send, or nobody is left.
    pub(crate) outgoing: Notify,
    /// There is a request, or there won't be another.
    pub(crate) requests: Notify,
}

impl Shared {
    pub(crate) fn new(side: Side) -> Arc<Self> {
        Arc::new(Shared {
            state: Mutex::new(State::new(side)),
            outgoing: Notify::new(),
            requests: Notify::new(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// What came from the peer.
    pub(crate) fn receive(&self, frame: Frame) -> Result<(), MuxError> {
        let mut state = self.lock();
        let is_request = matches!(frame.body, Body::Open(_));
        state.receive(frame)?;
        if state.has_outgoing() || state.is_over() {
            self.outgoing.notify_one();
        }
        if is_request {
            self.requests.notify_one();
        }
        Ok(())
    }

    /// The connection is gone: every handle learns it.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.requests.clear();
        for slot in state.slots.values() {
            slot.wake_all();
        }
        self.requests.notify_one();
        self.outgoing.notify_one();
    }

    /// Nobody will open another channel, or ask for another request.
    pub(crate) fn retire(&self) {
        self.lock().retired = true;
        self.outgoing.notify_one();
    }

    /// Acts on an open channel; [`Closed`] where it is no longer.
    pub(crate) fn with<T>(&self, channel: u32, act: impl FnOnce(&mut Slot) -> T) -> Result<T, Closed> {
        let mut state = self.lock();
        let State {
            slots, spare, ended, ..
        } = &mut *state;
        let slot = slots.get_mut(&channel).ok_or(Closed)?;
        slot.ended |= *ended;
        slot.lend(spare);
        let outcome = act(slot);
        slot.take_back(spare);
        if state.schedule(channel) {
            self.outgoing.notify_one();
        }
        Ok(outcome)
    }

    /// The last handle of a channel is gone.
    pub(crate) fn abandon(&self, channel: u32) {
        let _ = self.with(channel, Slot::abandon);
        self.lock().forget(channel);
        self.outgoing.notify_one();
    }
}

pub(crate) struct State {
    side: Side,
    greeted: bool,
    greeting_sent: bool,
    slots: HashMap<u32, Slot>,
    /// Channels that have something to send, in turn.
    turns: VecDeque<u32>,
    /// The opener's next channel; the server's lowest that may come.
    next: u32,
    requests: VecDeque<(u32, Open)>,
    /// What remains of [`SPARE_WINDOW`].
    spare: u32,
    pub(crate) ended: bool,
    retired: bool,
}

impl State {
    fn new(side: Side) -> Self {
        State {
            side,
            greeted: false,
            greeting_sent: false,
            slots: HashMap::new(),
            turns: VecDeque::new(),
            next: 1,
            requests: VecDeque::new(),
            spare: SPARE_WINDOW,
            ended: false,
            retired: false,
        }
    }

    /// The peer's greeting has come.
    pub(crate) fn greeted(&self) -> bool {
        self.greeted
    }

    /// A new channel of the opener, asked for by `request` (which can be encoded).
    pub(crate) fn open(&mut self, request: Open) -> Option<u32> {
        if self.slots.len() >= MAX_CHANNELS || self.next == u32::MAX {
            return None;
        }
        let channel = self.next;
        self.next += 1;
        self.slots.insert(channel, Slot::opening(request));
        self.schedule(channel);
        Some(channel)
    }

    /// The server's next request, and whether the opener still waits for it.
    pub(crate) fn request(&mut self) -> Option<(u32, Open, bool)> {
        let (channel, open) = self.requests.pop_front()?;
        let waits = self.slots.get(&channel).is_some_and(|slot| !slot.is_closed());
        Some((channel, open, waits))
    }

    fn receive(&mut self, frame: Frame) -> Result<(), MuxError> {
        let Frame { channel, body } = frame;
        if let Body::Hello(version) = body {
            return self.hello(version);
        }
        if !self.greeted {
            return Err(MuxError::NotThisProtocol);
        }
        if body == Body::Alive {
            return Ok(());
        }
        let kind = body.kind();
        let allowed = match self.side {
            Side::Opener => !matches!(body, Body::Open(_) | Body::Resize(_) | Body::Signal(_)),
            Side::Server => !matches!(
                body,
                Body::Opened | Body::Refused(_) | Body::Stderr(_) | Body::Exit(_)
            ),
        };
        if !allowed {
            return Err(MuxError::Kind(kind));
        }
        if let Body::Open(request) = body {
            return self.opened_by_peer(channel, request);
        }
        let Some(slot) = self.slots.get_mut(&channel) else {
            return Err(MuxError::Order {
                channel,
                reason: "isn't open",
            });
        };
        slot.lend(&mut self.spare);
        let outcome = slot.receive(body, self.side);
        slot.take_back(&mut self.spare);
        outcome.map_err(|reason| MuxError::Order { channel, reason })?;
        self.schedule(channel);
        self.forget(channel);
        Ok(())
    }

    fn hello(&mut self, version: u16) -> Result<(), MuxError> {
        if self.greeted {
            return Err(MuxError::Malformed("a second greeting"));
        }
        if version != VERSION {
            return Err(MuxError::Version {
                found: version,
                expected: VERSION,
            });
        }
        self.greeted = true;
        Ok(())
    }

    fn opened_by_peer(&mut self, channel: u32, request: Open) -> Result<(), MuxError> {
        // Numbers only grow: no frame of an old channel is taken for one of its successor.
        if channel < self.next || channel == u32::MAX {
            return Err(MuxError::Order {
                channel,
                reason: "was opened before",
            });
        }
        if self.slots.len() >= MAX_CHANNELS {
            return Err(MuxError::TooManyChannels);
        }
        self.next = channel + 1;
        self.slots.insert(channel, Slot::requested());
        self.requests.push_back((channel, request));
        Ok(())
    }

    /// Gives the channel a turn if it has something to send.
    fn schedule(&mut self, channel: u32) -> bool {
        let Some(slot) = self.slots.get_mut(&channel) else {
            return false;
        };
        if slot.in_turn || !slot.has_outgoing() {
            return false;
        }
        slot.in_turn = true;
        self.turns.push_back(channel);
        true
    }

    /// Drops the channel once both ends and all handles are done with it.
    fn forget(&mut self, channel: u32) {
        if self.slots.get(&channel).is_some_and(Slot::is_over)
            && let Some(slot) = self.slots.remove(&channel)
        {
            self.spare += slot.extra_window();
        }
    }

    fn has_outgoing(&self) -> bool {
        !self.greeting_sent || !self.turns.is_empty()
    }

    /// Fills `out` with what is to be sent next. `false`: there will never be more.
    pub(crate) fn transmit(&mut self, out: &mut Vec<u8>) -> bool {
        if !self.greeting_sent {
            self.greeting_sent = true;
            let greeting = Frame {
                channel: 0,
                body: Body::Hello(VERSION),
            };
            greeting.encode(out).expect("a greeting can be encoded");
        }
        while out.len() < BATCH {
            let Some(channel) = self.turns.pop_front() else {
                break;
            };
            let Some(slot) = self.slots.get_mut(&channel) else {
                continue;
            };
            slot.in_turn = false;
            if let Some(body) = slot.next_body() {
                let frame = Frame { channel, body };
                frame.encode(out).expect("requests were encoded before");
            }
            self.schedule(channel);
            self.forget(channel);
        }
        !out.is_empty() || !self.is_over()
    }

    /// Nothing is left to say, and nobody to say it.
    fn is_over(&self) -> bool {
        let idle = || self.turns.is_empty() && self.slots.values().all(Slot::is_abandoned);
        self.ended || self.retired && idle()
    }
}

/// What a reader finds in a channel's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inbound {
    Data(Bytes),
    Stderr(Bytes),
    Eof,
    Exit(crate::request::Exit),
}

/// Why the server refused; what the opener waits for.
pub(crate) type Verdict = Result<(), OpenError>;
