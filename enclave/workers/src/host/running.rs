//! An event that an isolate works on, towards the front: what was sent, what may be sent, and what may still come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jeju_worker_protocol::{
    BODY_WINDOW, BodyOf, CallId, Failure, FetchId, FetchRequest, Headers, Level, Limits, LogLine, MAX_CHUNK,
    ToBroker, Usage, code, frame,
};

use crate::isolate::failure::cut_at;
use crate::process::Writer;

/// Bytes that are gathered before they are written at once.
const BATCH: usize = 128 * 1024;
/// Longest head, names and values together, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Most header fields.
const MAX_FIELDS: usize = 128;
/// Longest method, URL and reason phrase, in bytes.
const MAX_URL: usize = 32 * 1024;

/// What is refused to a worker: thrown in it.
pub(crate) enum Refused {
    /// As `TypeError`.
    Type(String),
    /// As `RangeError`.
    Range(String),
}

/// A body that comes.
#[derive(Default)]
struct Incoming {
    /// What came and wasn't acknowledged, in bytes.
    unread: u32,
    total: u64,
}

/// A body that goes.
struct Outgoing {
    credit: u32,
    /// What waits for credit: of a body that the worker gave at once.
    waiting: Vec<u8>,
    /// Bytes of it that went.
    gone: usize,
    ends: bool,
}

/// Where what a worker does goes to.
pub(crate) struct Running {
    call: Option<CallId>,
    pub(crate) started: Instant,
    limits: Limits,
    writer: Option<Arc<Writer>>,
    out: Vec<u8>,
    /// Whether the modules are loaded.
    open: bool,
    answers: bool,
    head: bool,
    streams: bool,
    answered: u64,
    lines: u32,
    requests: u32,
    /// Fetches that have no head yet.
    asked: Vec<FetchId>,
    incoming: HashMap<BodyOf, Incoming>,
    outgoing: HashMap<BodyOf, Outgoing>,
    timers: HashMap<u32, Instant>,
    /// A limit that was hit and thrown.
    pub(crate) limit: Option<&'static str>,
    /// The first error that nobody caught.
    pub(crate) caught: Option<Failure>,
    /// Lines that were written without an event.
    pub(crate) early: Vec<LogLine>,
}

impl Running {
    /// Without an event: a module is loaded.
    pub(crate) fn loading(limits: &Limits) -> Self {
        Self {
            call: None,
            started: Instant::now(),
            limits: limits.clone(),
            writer: None,
            out: Vec::new(),
            open: false,
            answers: false,
            head: false,
            streams: false,
            answered: 0,
            lines: 0,
            requests: 0,
            asked: Vec::new(),
            incoming: HashMap::new(),
            outgoing: HashMap::new(),
            timers: HashMap::new(),
            limit: None,
            caught: None,
            early: Vec::new(),
        }
    }

    /// For an event. `answers`: it is a request, whose body follows if `streams_in`.
    pub(crate) fn event(
        limits: &Limits,
        call: CallId,
        started: Instant,
        writer: Arc<Writer>,
        answers: bool,
        streams_in: bool,
    ) -> Self {
        let mut running = Self::loading(limits);
        running.call = Some(call);
        running.started = started;
        running.writer = Some(writer);
        running.answers = answers;
        if streams_in {
            running.incoming.insert(BodyOf::Event, Incoming::default());
        }
        running
    }

    /// The modules are loaded: from now on the worker may answer and fetch.
    pub(crate) fn open(&mut self) {
        self.open = true;
    }

    fn send(&mut self, message: &ToBroker) {
        // What is too long for a frame was refused before.
        if let (Some(writer), Ok(bytes)) = (&self.writer, frame(message)) {
            self.out.extend_from_slice(&bytes);
            if self.out.len() >= BATCH {
                writer.write(&self.out);
                self.out.clear();
            }
        }
    }

    /// Writes what was gathered.
    pub(crate) fn flush(&mut self) {
        if let Some(writer) = self.writer.as_ref().filter(|_| !self.out.is_empty()) {
            writer.write(&self.out);
            self.out.clear();
        }
    }

    /// The event is over. What remains to be written, unless it was written `now`.
    pub(crate) fn end(mut self, usage: Usage, failure: Option<Failure>, now: bool) -> Vec<u8> {
        if let Some(call) = self.call {
            self.send(&ToBroker::Done { call, usage, failure });
        }
        if now {
            self.flush();
        }
        self.out
    }

    /// The head of the answer. `body`: all of it.
    pub(crate) fn head(
        &mut self,
        status: u16,
        status_text: String,
        headers: Headers,
        body: Option<Vec<u8>>,
    ) -> Result<(), Refused> {
        let Some(call) = self.call.filter(|_| self.open && self.answers && !self.head) else {
            return Err(Refused::Type("there is nothing to answer".to_owned()));
        };
        if !(200..=599).contains(&status) {
            return Err(Refused::Range(format!("status {status} isn't one of 200 to 599")));
        }
        check_head(&headers, status_text.len())?;
        self.streams = headers
            .iter()
            .any(|(name, value)| name == "content-type" && value.starts_with("text/event-stream"));
        self.head = true;
        let (whole, waiting) = match body {
            Some(body) if body.len() <= MAX_CHUNK => (Some(body), None),
            other => (None, other),
        };
        let streamed = whole.is_none();
        self.answered = whole
            .as_ref()
            .or(waiting.as_ref())
            .map_or(0, |body| body.len() as u64);
        self.send(&ToBroker::Head {
            call,
            status,
            status_text,
            headers,
            body: whole,
        });
        if streamed {
            let outgoing = Outgoing {
                credit: BODY_WINDOW,
                ends: waiting.is_some(),
                waiting: waiting.unwrap_or_default(),
                gone: 0,
            };
            self.outgoing.insert(BodyOf::Event, outgoing);
            self.pump(BodyOf::Event);
        }
        Ok(())
    }

    /// Whether a whole body of so many bytes is too long.
    pub(crate) fn too_long(&self, len: u64) -> bool {
        !self.streams && self.answered.saturating_add(len) > self.limits.response_body
    }

    /// A piece of a body.
    pub(crate) fn body(&mut self, of: BodyOf, data: &[u8]) -> Result<(), Refused> {
        let Some(outgoing) = self.outgoing.get_mut(&of).filter(|outgoing| !outgoing.ends) else {
            return Err(Refused::Type("the body isn't open".to_owned()));
        };
        let Some(rest) = (outgoing.credit as usize).checked_sub(data.len()) else {
            return Err(Refused::Range(
                "the body's reader didn't ask for so much".to_owned(),
            ));
        };
        outgoing.credit = rest as u32;
        if of == BodyOf::Event {
            self.answered += data.len() as u64;
        }
        let call = self.call.unwrap_or_default();
        for piece in data.chunks(MAX_CHUNK) {
            let data = piece.to_vec();
            self.send(&ToBroker::Body { call, of, data });
        }
        Ok(())
    }

    /// The end of a body.
    pub(crate) fn body_end(&mut self, of: BodyOf, message: Option<String>) {
        let Some(outgoing) = self.outgoing.get_mut(&of) else {
            return;
        };
        if message.is_some() {
            outgoing.waiting.clear();
            outgoing.gone = 0;
        }
        if outgoing.waiting.len() > outgoing.gone {
            outgoing.ends = true;
            return;
        }
        self.outgoing.remove(&of);
        let call = self.call.unwrap_or_default();
        let failure = message.map(|message| Failure::new(code::EXCEPTION, cut_at(message, MAX_CHUNK / 8)));
        self.send(&ToBroker::BodyEnd { call, of, failure });
    }

    /// The front may be sent more.
    pub(crate) fn credit(&mut self, of: BodyOf, bytes: u32) {
        if let Some(outgoing) = self.outgoing.get_mut(&of) {
            outgoing.credit = outgoing.credit.saturating_add(bytes).min(BODY_WINDOW);
            self.pump(of);
        }
    }

    /// Whether the worker may still write to a body.
    pub(crate) fn is_open(&self, of: BodyOf) -> bool {
        self.outgoing.get(&of).is_some_and(|outgoing| !outgoing.ends)
    }

    /// Sends what waits, as far as there is credit.
    fn pump(&mut self, of: BodyOf) {
        let call = self.call.unwrap_or_default();
        while let Some(outgoing) = self.outgoing.get_mut(&of) {
            let rest = &outgoing.waiting[outgoing.gone..];
            let len = rest.len().min(MAX_CHUNK).min(outgoing.credit as usize);
            if len == 0 {
                if rest.is_empty() && outgoing.ends {
                    outgoing.ends = false;
                    self.body_end(of, None);
                }
                return;
            }
            let data = rest[..len].to_vec();
            outgoing.gone += len;
            outgoing.credit -= len as u32;
            self.send(&ToBroker::Body { call, of, data });
        }
    }

    /// The worker read so much of a body.
    pub(crate) fn more(&mut self, of: BodyOf, bytes: u32) {
        let Some(incoming) = self.incoming.get_mut(&of) else {
            return;
        };
        let bytes = bytes.min(incoming.unread);
        incoming.unread -= bytes;
        if let Some(call) = self.call.filter(|_| bytes > 0) {
            self.send(&ToBroker::Credit { call, of, bytes });
        }
    }

    /// A piece of a body came. Whether the worker wants it.
    pub(crate) fn came(&mut self, of: BodyOf, len: usize) -> bool {
        let Some(incoming) = self.incoming.get_mut(&of) else {
            return false;
        };
        incoming.unread = incoming.unread.saturating_add(len as u32);
        incoming.total += len as u64;
        true
    }

    /// Whether the request is longer than it may be.
    pub(crate) fn request_too_long(&self) -> bool {
        let incoming = self.incoming.get(&BodyOf::Event);
        incoming.is_some_and(|incoming| incoming.total > self.limits.request_body)
    }

    /// A body is whole, or broke off. Whether the worker wants to know.
    pub(crate) fn came_whole(&mut self, of: BodyOf) -> bool {
        self.incoming.remove(&of).is_some()
    }

    /// Asks for something.
    pub(crate) fn fetch(&mut self, request: FetchRequest) -> Result<FetchId, Refused> {
        let Some(call) = self.call.filter(|_| self.open) else {
            let message = "fetch isn't there while modules are loaded";
            return Err(Refused::Type(message.to_owned()));
        };
        if self.requests >= self.limits.subrequests {
            self.limit = Some(code::SUBREQUESTS);
            let message = format!("an event may make {} requests", self.limits.subrequests);
            return Err(Refused::Range(message));
        }
        check_head(&request.headers, request.url.len() + request.method.len())?;
        self.requests += 1;
        let fetch = self.requests;
        self.asked.push(fetch);
        if request.has_body {
            let outgoing = Outgoing {
                credit: BODY_WINDOW,
                waiting: Vec::new(),
                gone: 0,
                ends: false,
            };
            self.outgoing.insert(BodyOf::Fetch(fetch), outgoing);
        }
        self.send(&ToBroker::Fetch { call, fetch, request });
        Ok(fetch)
    }

    /// A fetch has a head. Whether the worker wants it.
    pub(crate) fn fetched(&mut self, fetch: FetchId) -> bool {
        let wanted = self.forget(fetch);
        if wanted {
            self.incoming.insert(BodyOf::Fetch(fetch), Incoming::default());
        }
        wanted
    }

    /// A fetch failed. Whether the worker wants to know.
    pub(crate) fn fetch_failed(&mut self, fetch: FetchId) -> bool {
        self.outgoing.remove(&BodyOf::Fetch(fetch));
        self.forget(fetch)
    }

    /// The worker doesn't want an answer any more.
    pub(crate) fn fetch_cancel(&mut self, fetch: FetchId) {
        let of = BodyOf::Fetch(fetch);
        let asked = self.forget(fetch);
        let comes = self.incoming.remove(&of).is_some();
        let goes = self.outgoing.remove(&of).is_some();
        if let Some(call) = self.call.filter(|_| asked || comes || goes) {
            self.send(&ToBroker::FetchCancel { call, fetch });
        }
    }

    fn forget(&mut self, fetch: FetchId) -> bool {
        let before = self.asked.len();
        self.asked.retain(|asked| *asked != fetch);
        self.asked.len() < before
    }

    /// Writes a log line. What is above the limit is dropped, with one line that says so.
    pub(crate) fn log(&mut self, level: Level, text: String) {
        self.lines = self.lines.saturating_add(1);
        let line = match self.lines.cmp(&self.limits.log_lines.saturating_add(1)) {
            std::cmp::Ordering::Less => LogLine {
                level,
                text: cut_at(text, self.limits.log_line as usize),
            },
            std::cmp::Ordering::Equal => LogLine {
                level: Level::Warn,
                text: format!(
                    "an event may log {} lines: what follows is dropped",
                    self.limits.log_lines
                ),
            },
            std::cmp::Ordering::Greater => return,
        };
        self.put(line);
    }

    /// Writes a line that was counted.
    pub(crate) fn put(&mut self, line: LogLine) {
        match self.call {
            Some(call) => self.send(&ToBroker::Log { call, line }),
            None => self.early.push(line),
        }
    }

    /// Starts a timer.
    pub(crate) fn timer(&mut self, id: u32, after: Duration) -> Result<(), Refused> {
        if self.timers.len() >= self.limits.timers as usize {
            self.limit = Some(code::TIMERS);
            let message = format!("an event may have {} timers at a time", self.limits.timers);
            return Err(Refused::Range(message));
        }
        self.timers.insert(id, Instant::now() + after);
        Ok(())
    }

    /// Stops a timer.
    pub(crate) fn clear_timer(&mut self, id: u32) {
        self.timers.remove(&id);
    }

    /// When the next timer is due.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.values().min().copied()
    }

    /// Takes timers that are due, in the order of their times.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<u32> {
        let timers = self.timers.iter().filter(|(_, at)| **at <= now);
        let mut due: Vec<_> = timers.map(|(id, at)| (*at, *id)).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// Takes one timer. Whether it was still there.
    pub(crate) fn fire(&mut self, id: u32) -> bool {
        self.timers.remove(&id).is_some()
    }

    /// Whether anything may still wake the worker.
    pub(crate) fn may_wake(&self) -> bool {
        let waits = |outgoing: &Outgoing| outgoing.credit < BODY_WINDOW;
        !self.timers.is_empty()
            || !self.asked.is_empty()
            || !self.incoming.is_empty()
            || self.outgoing.values().any(waits)
    }

    /// Whether parts still know of something that comes to nothing when the event ends now.
    pub(crate) fn leaves(&self) -> bool {
        !self.timers.is_empty()
            || !self.asked.is_empty()
            || !self.incoming.is_empty()
            || !self.outgoing.is_empty()
    }

    /// Whether a body that the worker gave at once isn't sent yet.
    pub(crate) fn is_sending(&self) -> bool {
        self.outgoing.values().any(|outgoing| outgoing.ends)
    }

    /// Whether the worker owes an answer.
    pub(crate) fn owes_answer(&self) -> bool {
        self.answers && !self.head
    }

    /// How many requests it made.
    pub(crate) fn requests(&self) -> u32 {
        self.requests
    }
}

fn check_head(headers: &Headers, other: usize) -> Result<(), Refused> {
    let len: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > MAX_FIELDS || len > MAX_HEAD || other > MAX_URL {
        let message = format!("at most {MAX_FIELDS} header fields of {MAX_HEAD} bytes together are taken");
        return Err(Refused::Type(message));
    }
    Ok(())
}
