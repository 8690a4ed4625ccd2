//! One event.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jeju_worker_protocol::{BodyOf, CallId, Failure, Headers, LogLine, Usage};
use tokio::sync::Notify;

use crate::flow::crashed;
use crate::pipe::{Held, Piece, Pipe};
use crate::process::Process;

/// Whose event it is, for whoever carries out its fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// The owner's account.
    pub owner: [u8; 20],
    /// The worker's id.
    pub worker: String,
    /// Its version.
    pub version: u32,
}

/// Something that is held until the process is done with an event, and then dropped.
pub type Guard = Box<dyn Any + Send>;

/// What comes of an event.
pub enum CallEvent {
    /// The head of the answer. At most once, and before any body.
    Head {
        /// 200 to 599.
        status: u16,
        /// Reason phrase; often empty.
        status_text: String,
        /// Header fields, checked: lower-case names, and values without line breaks whose characters are bytes.
        headers: Headers,
        /// The whole body where it is known at once: no [`CallEvent::Body`] and [`CallEvent::BodyEnd`] follow.
        body: Option<Vec<u8>>,
    },
    /// A piece of the answer's body.
    Body(Vec<u8>),
    /// The end of the body, and what cut it off if it isn't whole.
    BodyEnd(Option<Failure>),
    /// A line of the worker's log.
    Log(LogLine),
    /// The event is over. Always the last.
    Done {
        /// What it used. The process says so: no more than the time that went by, but not to be trusted below that.
        usage: Usage,
        /// Why it failed, if it did.
        failure: Option<Failure>,
    },
}

/// An event under way. Dropping it cancels it.
pub struct Call {
    process: Process,
    id: CallId,
    inbox: Arc<Inbox>,
}

impl Call {
    pub(crate) fn new(process: Process, id: CallId, inbox: Arc<Inbox>) -> Self {
        Self { process, id, inbox }
    }

    /// What comes next; `None` after [`CallEvent::Done`]. May be dropped and called again.
    ///
    /// Log lines come before the parts of the answer that were sent after them.
    pub async fn next(&mut self) -> Option<CallEvent> {
        loop {
            match self.inbox.try_next() {
                Next::Event(event) => {
                    if let CallEvent::Body(data) = &event {
                        self.process.shared().credit(self.id, BodyOf::Event, data.len());
                    }
                    return Some(event);
                }
                Next::Over => return None,
                Next::Nothing => self.inbox.wake.notified().await,
            }
        }
    }

    /// Keeps `guard` until the process is done with the event, even if this call is dropped before.
    pub fn hold(&self, guard: Guard) {
        self.process.shared().hold(self.id, guard);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.inbox.close();
        self.process.shared().cancel(self.id);
    }
}

/// What came of an event and wasn't taken yet.
pub(crate) struct Inbox {
    parts: Mutex<Parts>,
    wake: Notify,
    held: Arc<Held>,
}

#[derive(Default)]
struct Parts {
    logs: VecDeque<LogLine>,
    head: Option<CallEvent>,
    body: Option<Pipe>,
    done: Option<(Usage, Option<Failure>)>,
    over: bool,
    closed: bool,
}

enum Next {
    Event(CallEvent),
    Nothing,
    Over,
}

impl Inbox {
    pub(crate) fn new(held: Arc<Held>) -> Self {
        Self {
            parts: Mutex::default(),
            wake: Notify::new(),
            held,
        }
    }

    pub(crate) fn log(&self, line: LogLine) {
        self.change(|parts| {
            if !parts.closed && parts.done.is_none() {
                parts.logs.push_back(line);
            }
        });
    }

    /// A head, which must be the first. Where it doesn't bring the body, that comes next.
    pub(crate) fn head(&self, head: CallEvent, whole: bool) {
        self.change(|parts| {
            let unwanted = parts.closed || parts.done.is_some();
            if !whole {
                let body = Pipe::new(self.held.clone());
                if unwanted {
                    body.close();
                }
                parts.body = Some(body);
            }
            if !unwanted {
                parts.head = Some(head);
            }
        });
    }

    /// A piece of the body.
    ///
    /// # Errors
    /// What the process did wrong.
    pub(crate) fn body(&self, data: Vec<u8>) -> Result<(), &'static str> {
        self.change(|parts| match &parts.body {
            Some(body) => body.push(data),
            None => Err("a body without a head"),
        })
    }

    /// The end of the body.
    ///
    /// # Errors
    /// What the process did wrong.
    pub(crate) fn body_end(&self, failure: Option<Failure>) -> Result<(), &'static str> {
        self.change(|parts| match &parts.body {
            Some(body) => body.end(failure),
            None => Err("a body without a head"),
        })
    }

    /// The end of the event, unless it has ended.
    pub(crate) fn done(&self, usage: Usage, failure: Option<Failure>) {
        self.change(|parts| {
            if parts.done.is_none() {
                if let Some(body) = &parts.body {
                    body.cut(|| failure.clone().unwrap_or_else(crashed));
                }
                parts.done = Some((usage, failure));
            }
        });
    }

    fn close(&self) {
        self.change(|parts| {
            parts.closed = true;
            parts.logs.clear();
            parts.head = None;
            parts.body.iter().for_each(|body| body.close());
        });
    }

    fn try_next(&self) -> Next {
        let mut parts = self.parts();
        if let Some(line) = parts.logs.pop_front() {
            return Next::Event(CallEvent::Log(line));
        }
        if let Some(head) = parts.head.take() {
            return Next::Event(head);
        }
        match parts.body.as_ref().and_then(|body| body.try_take()) {
            Some(Piece::Data(data)) => return Next::Event(CallEvent::Body(data)),
            Some(Piece::End(failure)) => return Next::Event(CallEvent::BodyEnd(failure)),
            None => {}
        }
        if parts.over {
            return Next::Over;
        }
        // A body that was begun has been ended by now: `done` cuts off what is open.
        match parts.done.clone() {
            Some((usage, failure)) => {
                parts.over = true;
                Next::Event(CallEvent::Done { usage, failure })
            }
            None => Next::Nothing,
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Parts) -> T) -> T {
        let outcome = change(&mut self.parts());
        self.wake.notify_one();
        outcome
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
