//! What the front keeps of an event under way, and what the process may still send of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jeju_worker_protocol::{BodyOf, Failure, FetchId, Handlers, Headers, Limits, LogLine, Usage, code};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::call::{CallContext, CallEvent, Guard, Inbox};
use crate::check;
use crate::flow::{Credit, Task};
use crate::pipe::Pipe;

/// How long after its time an event may be unfinished before its sender is told that it timed out: the process tells it
/// itself, and knows better why.
const TIMEOUT_GRACE: Duration = Duration::from_secs(3);
/// How long, beside the CPU time that an event may have, the process may take to be done with an event that was
/// cancelled. One that takes longer doesn't answer to anything.
const CANCEL_GRACE: Duration = Duration::from_secs(15);
/// Log lines above the limit that are kept: a word that there were more, and errors that nobody caught.
const SPARE_LOG_LINES: u32 = 16;
/// Log lines above the limit that make a flood.
const LOG_FLOOD: u32 = 4096;

/// An event under way.
pub(crate) struct Entry {
    pub(crate) context: Arc<CallContext>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) fetches: HashMap<FetchId, Fetch>,
    /// Of the request's body, where it comes in pieces.
    pub(crate) upload: Option<Upload>,
    /// Given back when the process is done.
    pub(crate) guards: Vec<Guard>,
    limits: Limits,
    /// Whether an answer is expected, and none came yet.
    awaits_head: bool,
    begun: Instant,
    lines: u32,
    last_fetch: FetchId,
    /// When patience ends.
    due: Instant,
    cancelled: bool,
}

/// A body on its way to the process.
pub(crate) struct Upload {
    pub(crate) credit: Arc<Credit>,
    /// None when the process doesn't want it any more.
    pub(crate) task: Option<Task>,
}

/// A fetch of an event; kept until the event is over.
pub(crate) struct Fetch {
    /// What the worker sends.
    pub(crate) request: Option<Arc<Pipe>>,
    /// What it is sent.
    pub(crate) credit: Arc<Credit>,
    /// None when the worker doesn't want it any more.
    pub(crate) task: Option<Task>,
    /// Hands over what the worker sends.
    pub(crate) upload: Option<Task>,
}

/// What time did to an event.
pub(crate) enum Overdue {
    /// Its sender knows now that it is late; the process must be told to stop.
    Cancel,
    /// The process was told, and didn't.
    Kill,
}

impl Entry {
    pub(crate) fn new(
        context: Arc<CallContext>,
        inbox: Arc<Inbox>,
        limits: &Limits,
        awaits_head: bool,
        now: Instant,
    ) -> Self {
        Self {
            context,
            inbox,
            fetches: HashMap::new(),
            upload: None,
            guards: Vec::new(),
            limits: limits.clone(),
            awaits_head,
            begun: now,
            lines: 0,
            last_fetch: 0,
            due: now + Duration::from_millis(limits.wall_ms.into()) + TIMEOUT_GRACE,
            cancelled: false,
        }
    }

    /// Takes the head of an answer. Whether it is one: if not, the event has failed.
    ///
    /// # Errors
    /// What the process did wrong.
    pub(crate) fn head(
        &mut self,
        status: u16,
        status_text: String,
        headers: Headers,
        body: Option<Vec<u8>>,
    ) -> Result<bool, &'static str> {
        if !self.awaits_head {
            return Err("an answer that nobody asked for");
        }
        self.awaits_head = false;
        let is_head = check::is_head(status, &status_text, &headers);
        if !is_head {
            let failure = Failure::new(code::BAD_RESPONSE, "the answer's head isn't one of HTTP");
            self.inbox.done(self.usage(Usage::default()), Some(failure));
        }
        let whole = body.is_some();
        let head = CallEvent::Head {
            status,
            status_text,
            headers,
            body,
        };
        self.inbox.head(head, whole);
        Ok(is_head)
    }

    /// Takes a line of the log.
    ///
    /// # Errors
    /// A flood of them.
    pub(crate) fn log(&mut self, mut line: LogLine) -> Result<(), &'static str> {
        self.lines += 1;
        let above = self.lines.saturating_sub(self.limits.log_lines);
        if above > LOG_FLOOD {
            return Err("a flood of log lines");
        }
        if above <= SPARE_LOG_LINES {
            check::cut(&mut line.text, self.limits.log_line as usize);
            self.inbox.log(line);
        }
        Ok(())
    }

    /// Takes the number of a new fetch.
    ///
    /// # Errors
    /// One that was used, or more fetches than there may be.
    pub(crate) fn number_fetch(&mut self, fetch: FetchId) -> Result<(), &'static str> {
        if fetch <= self.last_fetch {
            return Err("a fetch's number was used before");
        }
        if self.fetches.len() >= self.limits.subrequests as usize {
            return Err("more fetches than there may be");
        }
        self.last_fetch = fetch;
        Ok(())
    }

    /// Takes the end.
    pub(crate) fn done(&mut self, usage: Usage, failure: Option<Failure>) {
        let missing = self.awaits_head && failure.is_none();
        let failure = match missing {
            true => Some(Failure::new(code::BAD_RESPONSE, "the handler gave no answer")),
            false => failure.map(check::failure),
        };
        self.inbox.done(self.usage(usage), failure);
    }

    /// Ends the event for its sender, who doesn't wait any more. The process may still send of it.
    pub(crate) fn cancel(&mut self, now: Instant) {
        self.cancelled = true;
        self.due = now + Duration::from_millis(self.limits.cpu_ms.into()) + CANCEL_GRACE;
        if let Some(upload) = &mut self.upload {
            upload.task = None;
        }
        self.fetches.values_mut().for_each(Fetch::cancel);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// What is to be done with the event at this time.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<Overdue> {
        if now < self.due {
            return None;
        }
        if self.cancelled {
            return Some(Overdue::Kill);
        }
        let message = format!("the event took longer than {} ms", self.limits.wall_ms);
        let failure = Failure::new(code::TIMEOUT, message);
        self.inbox.done(self.usage(Usage::default()), Some(failure));
        self.cancel(now);
        Some(Overdue::Cancel)
    }

    /// The body that the process may give credit for.
    pub(crate) fn credit(&self, of: BodyOf) -> Option<&Credit> {
        match of {
            BodyOf::Event => self.upload.as_ref().map(|upload| &*upload.credit),
            BodyOf::Fetch(fetch) => self.fetches.get(&fetch).map(|fetch| &*fetch.credit),
        }
    }

    /// Numbers that can be true.
    fn usage(&self, usage: Usage) -> Usage {
        let most = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        Usage {
            wall_us: usage.wall_us.min(most),
            cpu_us: usage.cpu_us.min(most),
            memory: usage.memory.min(self.limits.memory),
            cold: usage.cold,
        }
    }
}

impl Fetch {
    /// Nobody wants it any more.
    pub(crate) fn cancel(&mut self) {
        self.task = None;
        self.upload = None;
        self.request.iter().for_each(|request| request.close());
    }
}

/// Code on its way to the process.
pub(crate) struct Loading {
    pub(crate) answer: oneshot::Sender<Result<Handlers, Failure>>,
    pub(crate) due: Instant,
}
