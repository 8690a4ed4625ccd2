//! One channel, as one end sees it.

mod outgoing;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::{FIRST_WINDOW, Inbound, MAX_WINDOW, Side, Verdict};
use crate::error::OpenError;
use crate::frame::{Body, cost};
use crate::request::{Exit, Open, Signal, Size};

/// What the server answers to a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Opened,
    Refused(OpenError),
}

/// How far the peer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    /// The server hasn't answered.
    Opening,
    Open,
    Closed,
}

/// A frame that is sent once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Once {
    No,
    Wanted,
    Sent,
}

pub(crate) struct Slot {
    // What goes out, in this order.
    request: Option<Open>,
    answer: Option<Answer>,
    answered: bool,
    grant: u32,
    resize: Option<Size>,
    signals: u16,
    queue: VecDeque<(bool, Bytes)>,
    queued: usize,
    eof: Once,
    exit: Option<Exit>,
    exited: bool,
    close: Once,
    /// What the peer still takes.
    credit: u32,
    pub(super) in_turn: bool,

    // What came in.
    peer: Peer,
    peer_eof: bool,
    peer_exited: bool,
    verdict: Option<Verdict>,
    inbound: VecDeque<Inbound>,
    peer_resize: Option<Size>,
    peer_signals: u16,
    /// What the peer may still send.
    allowance: u32,
    window: u32,
    consumed: u32,
    /// The connection's spare window, while this slot is worked on.
    spare: u32,
    discards: bool,

    abandoned: bool,
    pub(super) ended: bool,
    /// Something to read, a verdict, or the end.
    pub(crate) readable: Arc<Notify>,
    /// Room to write, or the end.
    pub(crate) writable: Arc<Notify>,
    /// A resize, a signal, or the end.
    pub(crate) controls: Arc<Notify>,
}

impl Slot {
    pub(super) fn opening(request: Open) -> Self {
        Slot {
            request: Some(request),
            ..Slot::requested()
        }
    }

    pub(super) fn requested() -> Self {
        Slot {
            request: None,
            answer: None,
            answered: false,
            grant: 0,
            resize: None,
            signals: 0,
            queue: VecDeque::new(),
            queued: 0,
            eof: Once::No,
            exit: None,
            exited: false,
            close: Once::No,
            credit: FIRST_WINDOW,
            in_turn: false,
            peer: Peer::Opening,
            peer_eof: false,
            peer_exited: false,
            verdict: None,
            inbound: VecDeque::new(),
            peer_resize: None,
            peer_signals: 0,
            allowance: FIRST_WINDOW,
            window: FIRST_WINDOW,
            consumed: 0,
            spare: 0,
            discards: false,
            abandoned: false,
            ended: false,
            readable: Arc::default(),
            writable: Arc::default(),
            controls: Arc::default(),
        }
    }

    pub(super) fn wake_all(&self) {
        self.readable.notify_waiters();
        self.writable.notify_waiters();
        self.controls.notify_waiters();
    }

    pub(super) fn lend(&mut self, spare: &mut u32) {
        self.spare = core::mem::take(spare);
    }

    pub(super) fn take_back(&mut self, spare: &mut u32) {
        *spare = core::mem::take(&mut self.spare);
    }

    /// What this channel has of the connection's spare window.
    pub(super) fn extra_window(&self) -> u32 {
        self.window - FIRST_WINDOW
    }

    /// Takes what the peer sent.
    pub(super) fn receive(&mut self, body: Body, side: Side) -> Result<(), &'static str> {
        if self.peer == Peer::Closed {
            return Err("was closed before");
        }
        match (self.peer, side, &body) {
            (Peer::Opening, Side::Opener, Body::Opened | Body::Refused(_)) => {}
            (Peer::Opening, Side::Opener, _) => return Err("wasn't answered yet"),
            (Peer::Opening, Side::Server, Body::Close) => {}
            (Peer::Opening, Side::Server, _) => return Err("wasn't answered yet"),
            (_, _, Body::Opened | Body::Refused(_)) => return Err("was answered before"),
            _ => {}
        }
        match body {
            Body::Opened => {
                self.peer = Peer::Open;
                self.verdict = Some(Ok(()));
                self.readable.notify_waiters();
            }
            Body::Refused(error) => {
                self.verdict = Some(Err(error));
                self.closed_by_peer(side);
            }
            Body::Data(data) => self.data(data.len(), Inbound::Data(data))?,
            Body::Stderr(data) => self.data(data.len(), Inbound::Stderr(data))?,
            Body::Eof => {
                if core::mem::replace(&mut self.peer_eof, true) {
                    return Err("was ended before");
                }
                self.keep(Inbound::Eof);
            }
            Body::Credit(more) => {
                let credit = self.credit.checked_add(more);
                self.credit = credit
                    .filter(|credit| *credit <= MAX_WINDOW)
                    .ok_or("got more credit than there may be")?;
                self.writable.notify_waiters();
            }
            Body::Resize(size) => {
                self.peer_resize = Some(size);
                self.controls.notify_waiters();
            }
            Body::Signal(signal) => {
                self.peer_signals |= 1 << signal as u8;
                self.controls.notify_waiters();
            }
            Body::Exit(exit) => {
                if core::mem::replace(&mut self.peer_exited, true) {
                    return Err("has exited before");
                }
                self.keep(Inbound::Exit(exit));
            }
            Body::Close => self.closed_by_peer(side),
            Body::Hello(_) | Body::Open(_) | Body::Alive => return Err("is no channel of its own"),
        }
        Ok(())
    }

    fn data(&mut self, len: usize, data: Inbound) -> Result<(), &'static str> {
        if self.peer_eof {
            return Err("was ended before");
        }
        self.allowance = self
            .allowance
            .checked_sub(cost(len))
            .ok_or("got data without credit")?;
        match self.discards {
            true => self.give_credit(cost(len)),
            false => self.keep(data),
        }
        Ok(())
    }

    fn keep(&mut self, event: Inbound) {
        if !self.discards {
            self.inbound.push_back(event);
            self.readable.notify_waiters();
        }
    }

    fn closed_by_peer(&mut self, side: Side) {
        self.peer = Peer::Closed;
        // The opener has nothing to wait for. The server first ends what it runs.
        if side == Side::Opener {
            self.queue.clear();
            self.queued = 0;
            self.want_close();
        }
        self.wake_all();
    }

    fn want_close(&mut self) {
        if self.close == Once::No {
            self.close = Once::Wanted;
        }
    }

    /// What the peer said, in its order. `None`: nothing now.
    pub(crate) fn read(&mut self) -> Option<Inbound> {
        let event = self.inbound.pop_front()?;
        if let Inbound::Data(data) | Inbound::Stderr(data) = &event {
            self.give_credit(cost(data.len()));
        }
        Some(event)
    }

    /// Lets the peer send as much as was taken, and more than before if the reader waits for it.
    fn give_credit(&mut self, taken: u32) {
        self.consumed += taken;
        if self.consumed < self.window / 2 || self.peer_eof || self.peer == Peer::Closed {
            return;
        }
        let mut more = self.consumed;
        if self.inbound.is_empty() && !self.discards {
            let growth = self.window.min(MAX_WINDOW - self.window).min(self.spare);
            self.spare -= growth;
            self.window += growth;
            more += growth;
        }
        self.consumed = 0;
        self.allowance += more;
        self.grant += more;
    }

    /// The server's answer to the opener's request.
    pub(crate) fn verdict(&mut self) -> Option<Verdict> {
        self.verdict.take()
    }

    /// Answers the opener's request, once.
    pub(crate) fn answer(&mut self, answer: Answer) {
        if core::mem::replace(&mut self.answered, true) {
            return;
        }
        if self.peer == Peer::Opening {
            self.peer = Peer::Open;
        }
        if matches!(answer, Answer::Refused(_)) {
            // The refusal closes the channel.
            self.close = Once::Sent;
        }
        self.answer = Some(answer);
    }

    /// The size that the peer asked for last.
    pub(crate) fn take_resize(&mut self) -> Option<Size> {
        self.peer_resize.take()
    }

    /// One of the signals that the peer asked for; the same one twice is one.
    pub(crate) fn take_signal(&mut self) -> Option<Signal> {
        let found = Signal::ALL
            .iter()
            .find(|signal| self.peer_signals & (1 << **signal as u8) != 0)?;
        self.peer_signals &= !(1 << *found as u8);
        Some(*found)
    }

    /// Nothing will be read any more: what comes is dropped, and its sender isn't held up.
    pub(crate) fn discard(&mut self) {
        self.discards = true;
        let unread: u32 = self
            .inbound
            .drain(..)
            .map(|event| match event {
                Inbound::Data(data) | Inbound::Stderr(data) => cost(data.len()),
                _ => 0,
            })
            .sum();
        self.give_credit(unread);
    }

    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
        self.inbound.clear();
        self.discards = true;
        self.want_close();
    }

    /// No frame can be sent on this channel.
    pub(crate) fn is_closed(&self) -> bool {
        self.ended || self.peer == Peer::Closed || self.close != Once::No
    }

    pub(crate) fn may_write(&self) -> bool {
        !self.is_closed() && self.eof == Once::No
    }

    /// Both ends are done, and nobody holds a handle.
    pub(super) fn is_over(&self) -> bool {
        let closed = self.peer == Peer::Closed && self.close == Once::Sent && self.answer.is_none();
        self.abandoned && (self.ended || closed)
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned
    }
}
