//! What goes out on a channel.

use bytes::Bytes;

use super::{Answer, Once, Peer, Slot};
use crate::frame::{Body, FRAME_COST, MAX_PAYLOAD, cost};
use crate::request::{Exit, Signal, Size};
use crate::state::MAX_QUEUED;

/// A frame of data isn't made shorter than this for want of credit: the rest of the credit is awaited.
const SMALLEST_PART: usize = 4096;

impl Slot {
    /// Queues as much of `data` as there is credit and room for, and takes that off its front.
    pub(crate) fn write(&mut self, stderr: bool, data: &mut Bytes) {
        while !data.is_empty() && self.queued < MAX_QUEUED {
            let room = (self.credit.saturating_sub(FRAME_COST) as usize).min(MAX_PAYLOAD);
            if room < data.len().min(SMALLEST_PART) {
                return;
            }
            let part = data.split_to(room.min(data.len()));
            self.credit -= cost(part.len());
            self.queued += cost(part.len()) as usize;
            self.queue.push_back((stderr, part));
        }
    }

    /// Nothing more will be written. Whether it could still be said.
    pub(crate) fn end_writing(&mut self) -> bool {
        let fresh = self.eof == Once::No;
        if fresh {
            self.eof = Once::Wanted;
        }
        fresh
    }

    pub(crate) fn resize(&mut self, size: Size) {
        self.resize = Some(size);
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.signals |= 1 << signal as u8;
    }

    pub(crate) fn exit(&mut self, exit: Exit) {
        if !core::mem::replace(&mut self.exited, true) {
            self.exit = Some(exit);
        }
    }

    pub(in crate::state) fn has_outgoing(&self) -> bool {
        if self.close == Once::Sent {
            return self.answer.is_some();
        }
        self.request.is_some()
            || self.answer.is_some()
            || self.grant > 0
            || self.resize.is_some()
            || self.signals != 0
            || !self.queue.is_empty()
            || self.eof == Once::Wanted
            || self.exit.is_some()
            || self.close == Once::Wanted
    }

    /// The next frame to send.
    pub(in crate::state) fn next_body(&mut self) -> Option<Body> {
        if let Some(request) = self.request.take() {
            return Some(Body::Open(request));
        }
        if let Some(answer) = self.answer.take() {
            return Some(match answer {
                Answer::Opened => Body::Opened,
                Answer::Refused(error) => Body::Refused(error),
            });
        }
        if self.close == Once::Sent {
            return None;
        }
        let grant = core::mem::take(&mut self.grant);
        if grant > 0 && self.peer != Peer::Closed && self.close == Once::No {
            return Some(Body::Credit(grant));
        }
        if let Some(size) = self.resize.take() {
            return Some(Body::Resize(size));
        }
        if let Some(signal) = Signal::ALL.iter().find(|s| self.signals & (1 << **s as u8) != 0) {
            self.signals &= !(1 << *signal as u8);
            return Some(Body::Signal(*signal));
        }
        if let Some((stderr, data)) = self.queue.pop_front() {
            self.queued -= cost(data.len()) as usize;
            self.writable.notify_waiters();
            return Some(match stderr {
                true => Body::Stderr(data),
                false => Body::Data(data),
            });
        }
        if self.eof == Once::Wanted {
            self.eof = Once::Sent;
            return Some(Body::Eof);
        }
        if let Some(exit) = self.exit.take() {
            return Some(Body::Exit(exit));
        }
        if self.close == Once::Wanted {
            self.close = Once::Sent;
            return Some(Body::Close);
        }
        None
    }
}
