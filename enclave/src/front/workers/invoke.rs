//! One event of a worker: what comes of it becomes an answer, log lines and numbers.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode};
use jeju_attestation::response::EndReason;
use jeju_worker_broker::{Body, Call, CallEvent};
use jeju_worker_protocol::api::{Execution, Invoked};
use jeju_worker_protocol::{
    Event, Failure, FetchEvent, Headers, Level, LogLine, MAX_CHUNK, ScheduledEvent, Usage, code,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::super::error::ApiError;
use super::super::exchange::{Answer, WorkerAnswer, WorkerBody};
use super::super::identity::random;
use super::super::signing::Part;
use super::logs::Source;
use super::metrics::{Kind, round};
use super::processes::{ALL_OVERLOADED, OVERLOADED};
use super::worker::Worker;
use super::{Workers, failure, fields};

/// Pieces of a stream under way to a slow client.
const PARTS: usize = 16;
/// How long a worker's `waitUntil` may go on behind its answer, beside the limit that its process keeps.
const GRACE: std::time::Duration = std::time::Duration::from_secs(5);
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An event under way.
struct Run {
    workers: Arc<Workers>,
    worker: Arc<Worker>,
    execution: String,
    kind: Kind,
    /// Milliseconds since 1970.
    time: u64,
    began: Instant,
    call: Call,
    /// For a caller who gets the lines with the answer.
    lines: Vec<String>,
    keeps_lines: bool,
    done: Option<(Usage, Option<Failure>)>,
}

/// A body, and its place among the long ones, until it is sent.
struct Long {
    bytes: BytesMut,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Long {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a worker answered.
enum Reply {
    Whole(Head, Bytes),
    Stream(Head),
    Failed(Failure),
}

struct Head {
    status: StatusCode,
    status_text: String,
    headers: Headers,
}

impl Workers {
    /// Answers a request as the worker does.
    pub(super) async fn answer(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        event: FetchEvent,
    ) -> Result<Answer, ApiError> {
        let mut run = match self
            .start(worker, Event::Fetch(event), Kind::Request, false)
            .await
        {
            Ok(run) => run,
            Err(failure) => return failed(worker, &failure, false),
        };
        let (head, body) = match run.reply(true).await {
            Reply::Failed(failure) => {
                tokio::spawn(run.finish());
                return failed(worker, &failure, false);
            }
            Reply::Whole(head, body) => {
                tokio::spawn(run.finish());
                (head, WorkerBody::Whole(body))
            }
            Reply::Stream(head) => {
                let (sender, parts) = mpsc::channel(PARTS);
                tokio::spawn(run.stream(sender));
                (head, WorkerBody::Stream(parts))
            }
        };
        let (content_type, headers) = fields::of_answer(&head.headers);
        answer(worker, head.status, content_type, headers, body)
    }

    /// Answers with a document that has the worker's answer in it. `owner` is whether its owner asks.
    pub(super) async fn invoke(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        event: FetchEvent,
        owner: bool,
    ) -> Result<Answer, ApiError> {
        let started = self
            .start(worker, Event::Fetch(event), Kind::Request, owner)
            .await;
        let (reply, execution) = match started {
            Ok(mut run) => {
                let reply = run.reply(false).await;
                run.end().await;
                (reply, run.execution(owner))
            }
            Err(failure) => {
                let execution = refused(worker, &failure, owner);
                (Reply::Failed(failure), execution)
            }
        };
        let invoked = invoked(reply, execution, owner);
        let status = StatusCode::from_u16(invoked.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&invoked).unwrap_or_default().into();
        answer(worker, status, JSON, HeaderMap::new(), WorkerBody::Whole(body))
    }

    /// Runs `scheduled`, and says how it went.
    pub(super) async fn invoke_scheduled(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        event: ScheduledEvent,
        owner: bool,
    ) -> Execution {
        let scheduled_time = event.scheduled_time_ms;
        let started = self
            .start(worker, Event::Scheduled(event), Kind::Scheduled, owner)
            .await;
        match started {
            Ok(mut run) => {
                run.end().await;
                let execution = run.execution(owner);
                self.ran(worker, scheduled_time, run.time, &execution);
                execution
            }
            Err(failure) => {
                let execution = refused(worker, &failure, owner);
                self.ran(worker, scheduled_time, self.about_now(), &execution);
                execution
            }
        }
    }

    async fn start(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        event: Event,
        kind: Kind,
        keeps_lines: bool,
    ) -> Result<Run, Failure> {
        let execution = random::<16>().map_err(|_| Failure::new(code::CRASHED, ""))?;
        let time = self.about_now();
        let loading = self.loading(worker);
        let (event, body) = split(event);
        let call = self.processes.call(&worker.running(), loading, event, body).await;
        let call = call.inspect_err(|failure| self.note(worker, failure, time))?;
        Ok(Run {
            workers: self.clone(),
            worker: worker.clone(),
            execution: hex::encode(execution),
            kind,
            time,
            began: Instant::now(),
            call,
            lines: Vec::new(),
            keeps_lines,
            done: None,
        })
    }

    /// Code that can't be loaded is in the owner's log too; that there was no place isn't.
    fn note(&self, worker: &Worker, failure: &Failure, time: u64) {
        if [OVERLOADED, ALL_OVERLOADED].contains(&failure.code.as_str()) {
            return;
        }
        let source = Source {
            worker: &worker.id,
            execution: "",
            version: worker.active,
            time,
        };
        self.logs.push(&source, line_of(failure));
    }
}

impl Run {
    /// What comes next beside log lines.
    async fn next(&mut self) -> Option<CallEvent> {
        loop {
            match self.call.next().await {
                Some(CallEvent::Log(line)) => self.log(line),
                Some(CallEvent::Done { usage, failure }) => {
                    self.done(usage, failure);
                    return None;
                }
                None => {
                    self.done(Usage::default(), Some(Failure::new(code::CRASHED, "")));
                    return None;
                }
                other => return other,
            }
        }
    }

    fn log(&mut self, line: LogLine) {
        if self.keeps_lines {
            self.lines.push(format!("{} {}", level(line.level), line.text));
        }
        let source = Source {
            worker: &self.worker.id,
            execution: &self.execution,
            version: self.worker.active,
            time: self.time + self.began.elapsed().as_millis() as u64,
        };
        self.workers.logs.push(&source, line);
    }

    fn done(&mut self, usage: Usage, failure: Option<Failure>) {
        if self.done.is_some() {
            return;
        }
        if let Some(failure) = &failure {
            self.log(line_of(failure));
        }
        self.workers
            .metrics
            .record(&self.worker.id, self.kind, self.time, &usage, failure.is_some());
        self.done = Some((usage, failure));
    }

    /// The answer; with `streams` that of a stream of events is only its head.
    async fn reply(&mut self, streams: bool) -> Reply {
        let Some(CallEvent::Head {
            status,
            status_text,
            headers,
            body,
        }) = self.next().await
        else {
            let failure = self.done.as_ref().and_then(|(_, failure)| failure.clone());
            return Reply::Failed(failure.unwrap_or_else(|| Failure::new(code::BAD_RESPONSE, "")));
        };
        let Ok(status) = StatusCode::from_u16(status) else {
            return Reply::Failed(Failure::new(code::BAD_RESPONSE, ""));
        };
        let head = Head {
            status,
            status_text,
            headers,
        };
        if let Some(body) = body {
            return Reply::Whole(head, body.into());
        }
        if streams && fields::is_event_stream(&fields::of_answer(&head.headers).0) {
            return Reply::Stream(head);
        }
        match self.whole_body().await {
            Ok(body) => Reply::Whole(head, body),
            Err(failure) => Reply::Failed(failure),
        }
    }

    async fn whole_body(&mut self) -> Result<Bytes, Failure> {
        let most = self
            .worker
            .version()
            .map_or(0, |version| version.limits().response_body) as usize;
        let mut whole = Long {
            bytes: BytesMut::new(),
            _place: None,
        };
        loop {
            match self.next().await {
                Some(CallEvent::Body(piece)) if whole.bytes.len() + piece.len() > most => {
                    return Err(Failure::new(code::RESPONSE_BODY, ""));
                }
                Some(CallEvent::Body(piece)) => {
                    if whole._place.is_none() && whole.bytes.len() + piece.len() > MAX_CHUNK {
                        let place = self.workers.answers.clone().try_acquire_owned();
                        whole._place = Some(place.map_err(|_| Failure::new(ALL_OVERLOADED, ""))?);
                        // Once: to grow piece by piece is to copy all of it again and again, while others wait. What isn't
                        // written takes no memory.
                        whole.bytes.reserve(most - whole.bytes.len());
                    }
                    whole.bytes.extend_from_slice(&piece);
                }
                Some(CallEvent::BodyEnd(None)) => return Ok(Bytes::from_owner(whole)),
                Some(CallEvent::BodyEnd(Some(failure))) => return Err(failure),
                _ => {
                    let failure = self.done.as_ref().and_then(|(_, failure)| failure.clone());
                    return Err(failure.unwrap_or_else(|| Failure::new(code::BAD_RESPONSE, "")));
                }
            }
        }
    }

    /// Hands the pieces of a stream on. A client that goes away ends the event.
    async fn stream(mut self, parts: mpsc::Sender<Part>) {
        let most = self
            .worker
            .version()
            .map_or(0, |version| version.limits().response_body) as usize;
        let mut len = 0;
        let reason = loop {
            let next = tokio::select! {
                next = self.next() => next,
                () = parts.closed() => return,
            };
            match next {
                Some(CallEvent::Body(piece)) => {
                    len += piece.len();
                    if len > most {
                        break EndReason::Error;
                    }
                    if parts.send(Part::Event(piece.into())).await.is_err() {
                        return;
                    }
                }
                Some(CallEvent::BodyEnd(None)) => break EndReason::Stop,
                _ => break EndReason::Error,
            }
        };
        let _ = parts.send(Part::End(reason)).await;
        drop(parts);
        self.finish().await;
    }

    /// Waits for the end of the event, behind its answer.
    async fn end(&mut self) {
        while self.done.is_none() {
            self.next().await;
        }
    }

    /// The same, with nobody waiting for it.
    async fn finish(mut self) {
        let wall = self.worker.version().map_or(0, |version| version.timeout_ms);
        let most = std::time::Duration::from_millis(wall.into()) + GRACE;
        let _ = timeout(most, self.end()).await;
    }

    fn execution(&mut self, owner: bool) -> Execution {
        let (usage, failure) = match &self.done {
            Some((usage, failure)) => (*usage, failure.as_ref()),
            None => (Usage::default(), None),
        };
        Execution {
            execution_id: self.execution.clone(),
            duration_ms: round(usage.wall_us as f64 / 1e3),
            cpu_ms: round(usage.cpu_us as f64 / 1e3),
            memory_used_mb: round(usage.memory as f64 / f64::from(1 << 20)),
            cold_start: usage.cold,
            version: self.worker.active,
            logs: std::mem::take(&mut self.lines),
            error: failure.map(|failure| failure::text(failure, owner)),
            code: failure.map(|failure| failure::of(failure).code.to_owned()),
            stack: failure
                .and_then(|failure| failure.stack.clone())
                .filter(|_| owner),
        }
    }
}

impl Drop for Run {
    /// Who gives up an event counts as one that failed.
    fn drop(&mut self) {
        if self.done.is_none() {
            let usage = Usage {
                wall_us: self.began.elapsed().as_micros() as u64,
                ..Usage::default()
            };
            self.done(usage, Some(Failure::new(code::CANCELLED, "")));
        }
    }
}

/// A request's body goes with it where it is short, and behind it in pieces where it is long.
fn split(event: Event) -> (Event, Option<Body>) {
    let Event::Fetch(mut event) = event else {
        return (event, None);
    };
    let Some(long) = event.body.take_if(|body| body.len() > MAX_CHUNK) else {
        return (Event::Fetch(event), None);
    };
    let (sender, body) = mpsc::channel(PARTS);
    tokio::spawn(async move {
        for piece in long.chunks(MAX_CHUNK) {
            if sender.send(Ok(piece.to_vec())).await.is_err() {
                return;
            }
        }
    });
    (Event::Fetch(event), Some(body))
}

/// How an event went that found no place, or whose worker can't be loaded.
fn refused(worker: &Worker, failure: &Failure, owner: bool) -> Execution {
    Execution {
        execution_id: String::new(),
        duration_ms: 0.0,
        cpu_ms: 0.0,
        memory_used_mb: 0.0,
        cold_start: false,
        version: worker.active,
        logs: Vec::new(),
        error: Some(failure::text(failure, owner)),
        code: Some(failure::of(failure).code.to_owned()),
        stack: failure.stack.clone().filter(|_| owner),
    }
}

fn invoked(reply: Reply, execution: Execution, owner: bool) -> Invoked {
    let (status, status_text, headers, body) = match reply {
        Reply::Whole(head, body) => {
            let (content_type, mut headers) = fields::of_answer(&head.headers);
            if head.headers.iter().any(|(name, _)| name == "content-type") {
                headers.insert(http::header::CONTENT_TYPE, content_type);
            }
            (head.status, head.status_text, headers, body)
        }
        Reply::Failed(failure) => {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::CONTENT_TYPE, JSON);
            let status = failure::of(&failure).status;
            (status, String::new(), headers, failure::body(&failure, owner))
        }
        // Asked for with the body whole.
        Reply::Stream(head) => (head.status, head.status_text, HeaderMap::new(), Bytes::new()),
    };
    let (body, body_encoding) = match String::from_utf8(body.to_vec()) {
        Ok(text) => (text, None),
        Err(error) => (STANDARD.encode(error.as_bytes()), Some("base64".to_owned())),
    };
    let mut joined = std::collections::BTreeMap::<String, String>::new();
    for (name, value) in &headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let there = joined.entry(name.as_str().to_owned()).or_default();
        if !there.is_empty() {
            there.push_str(", ");
        }
        there.push_str(&value);
    }
    Invoked {
        status: status.as_u16(),
        status_text: match status_text.as_str() {
            "" => status.canonical_reason().unwrap_or_default().to_owned(),
            _ => status_text,
        },
        headers: joined,
        body,
        body_encoding,
        execution,
    }
}

/// An answer for an event that failed.
fn failed(worker: &Worker, failure: &Failure, owner: bool) -> Result<Answer, ApiError> {
    let known = failure::of(failure);
    let mut headers = HeaderMap::new();
    if matches!(known.status.as_u16(), 429 | 503) {
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    let body = WorkerBody::Whole(failure::body(failure, owner));
    answer(worker, known.status, JSON, headers, body)
}

fn answer(
    worker: &Worker,
    status: StatusCode,
    content_type: HeaderValue,
    mut headers: HeaderMap,
    body: WorkerBody,
) -> Result<Answer, ApiError> {
    let signed = worker.signed().ok_or_else(super::change::not_found)?;
    if !headers.contains_key(http::header::CACHE_CONTROL) {
        let never = HeaderValue::from_static("no-store, no-transform");
        headers.insert(http::header::CACHE_CONTROL, never);
    }
    Ok(Answer::Worker(Box::new(WorkerAnswer {
        status,
        content_type,
        headers,
        body,
        worker: signed,
    })))
}

fn line_of(failure: &Failure) -> LogLine {
    let mut text = failure::text(failure, true);
    if let Some(stack) = &failure.stack {
        text.push('\n');
        text.push_str(stack);
    }
    LogLine {
        level: Level::Error,
        text,
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Log => "log",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}
