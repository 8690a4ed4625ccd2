//! What the front and an owner's process say to each other.

use serde::{Deserialize, Serialize};

use crate::bundle::Bundle;
use crate::limits::Limits;

/// Names a loaded version of a worker on one channel. The front gives it.
pub type WorkerRef = u32;
/// Names an event on one channel. The front gives it, and never twice.
pub type CallId = u64;
/// Names an outgoing request of one event. The process gives it, and never twice for an event.
pub type FetchId = u32;
/// Names and values in their order. Names are lower case; both are checked as header fields by the front.
pub type Headers = Vec<(String, String)>;

/// From the front to the process.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum ToProcess {
    /// Take code. Answered by [`ToBroker::Loaded`] or [`ToBroker::LoadFailed`].
    Load(Box<Load>),
    /// Forget code; its idle isolates go.
    Unload(WorkerRef),
    /// Run a handler. Ends with [`ToBroker::Done`], whatever happens in between.
    Call {
        /// Names it.
        call: CallId,
        /// Whose handler.
        worker: WorkerRef,
        /// What happened.
        event: Event,
    },
    /// A piece of a body that the worker reads: of the request, or of a fetch's response. At most
    /// [`MAX_CHUNK`](crate::MAX_CHUNK) bytes, and no more than there is credit for.
    Body {
        /// The event.
        call: CallId,
        /// Which body.
        of: BodyOf,
        /// The piece.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// The end of such a body.
    BodyEnd {
        /// The event.
        call: CallId,
        /// Which body.
        of: BodyOf,
        /// What went wrong, if it isn't whole.
        failure: Option<Failure>,
    },
    /// The worker may send this many bytes more of a body.
    Credit {
        /// The event.
        call: CallId,
        /// Which body.
        of: BodyOf,
        /// How many.
        bytes: u32,
    },
    /// The head of an answer to a fetch.
    FetchHead {
        /// The event.
        call: CallId,
        /// The fetch.
        fetch: FetchId,
        /// The head.
        response: FetchResponse,
    },
    /// A fetch that has no answer.
    FetchFailed {
        /// The event.
        call: CallId,
        /// The fetch.
        fetch: FetchId,
        /// Why.
        failure: Failure,
    },
    /// Nobody wants the event's answer any more. [`ToBroker::Done`] still comes.
    Cancel(CallId),
    /// Drop isolates that do nothing.
    Trim,
}

/// From the process to the front.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum ToBroker {
    /// The code was taken.
    Loaded {
        /// Which.
        worker: WorkerRef,
        /// What it can do.
        handlers: Handlers,
    },
    /// The code wasn't taken.
    LoadFailed {
        /// Which.
        worker: WorkerRef,
        /// Why.
        failure: Failure,
    },
    /// The head of the answer to a request. At most once, for [`Event::Fetch`] alone.
    Head {
        /// The event.
        call: CallId,
        /// 200 to 599.
        status: u16,
        /// Reason phrase; often empty.
        status_text: String,
        /// Header fields.
        headers: Headers,
        /// The whole body where it is short and known at once: no [`ToBroker::Body`] and no [`ToBroker::BodyEnd`] follow.
        #[serde(with = "serde_bytes")]
        body: Option<Vec<u8>>,
    },
    /// A piece of a body that the worker writes. As [`ToProcess::Body`].
    Body {
        /// The event.
        call: CallId,
        /// Which body.
        of: BodyOf,
        /// The piece.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// The end of such a body.
    BodyEnd {
        /// The event.
        call: CallId,
        /// Which body.
        of: BodyOf,
        /// What went wrong, if it isn't whole.
        failure: Option<Failure>,
    },
    /// The front may send this many bytes more of a body.
    Credit {
        /// The event.
        call: CallId,
        /// Which body.
        of: BodyOf,
        /// How many.
        bytes: u32,
    },
    /// The worker asks for something.
    Fetch {
        /// The event.
        call: CallId,
        /// Names it.
        fetch: FetchId,
        /// What.
        request: FetchRequest,
    },
    /// The worker doesn't want the answer to a fetch any more.
    FetchCancel {
        /// The event.
        call: CallId,
        /// The fetch.
        fetch: FetchId,
    },
    /// The worker wrote a log line.
    Log {
        /// The event.
        call: CallId,
        /// The line.
        line: LogLine,
    },
    /// The event is over: its answer and all that it waited for. The last message of the event.
    Done {
        /// The event.
        call: CallId,
        /// What it used.
        usage: Usage,
        /// Why it failed, if it did. Where a head was sent, the answer is cut off.
        failure: Option<Failure>,
    },
    /// The process is about to end: what is under way is lost, and an event that is sent after this too. Comes before the
    /// [`ToBroker::Done`] of the event that ends it, so that whoever hears of that doesn't find this process again.
    Ends,
}

/// Code and what it runs with.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Names it on this channel.
    pub worker: WorkerRef,
    /// The code.
    pub bundle: Bundle,
    /// Variables and secrets: members of `env`.
    pub env: Vec<(String, String)>,
    /// What each event may use.
    pub limits: Limits,
    /// Which form its handlers have.
    pub form: Form,
    /// Isolates at a time, so events at a time.
    pub max_concurrent: u16,
}

/// Which form a worker's handlers have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Find out: `fetch(request, env, ctx)`, whose request also reads as the plain object of the first nodes, and whose
    /// answer may be one.
    #[default]
    Detect,
    /// Standard handlers only.
    Modules,
    /// `fetch(request, env)` with plain objects: `{method, url, headers, body, cf}` in, `{status, headers, body}` out.
    Legacy,
}

/// What a worker's main module exports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handlers {
    /// `fetch`.
    pub fetch: bool,
    /// `scheduled`.
    pub scheduled: bool,
    /// Whether `fetch` is called in the legacy form.
    pub legacy: bool,
}

/// What a worker is woken for.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A request.
    Fetch(FetchEvent),
    /// A cron trigger.
    Scheduled(ScheduledEvent),
}

/// A request to a worker.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct FetchEvent {
    /// Method.
    pub method: String,
    /// Whole URL.
    pub url: String,
    /// Header fields.
    pub headers: Headers,
    /// The whole body where it is short and known at once; else [`ToProcess::Body`] follows.
    #[serde(with = "serde_bytes")]
    pub body: Option<Vec<u8>>,
}

/// A cron trigger.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledEvent {
    /// The schedule, as deployed.
    pub cron: String,
    /// The minute that it is for, in milliseconds since 1970.
    pub scheduled_time_ms: u64,
}

/// A body of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BodyOf {
    /// Of the request that the worker answers (to the process), or of its answer (to the front).
    Event,
    /// Of a fetch's request (to the front) or response (to the process).
    Fetch(FetchId),
}

/// What a worker asks for.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct FetchRequest {
    /// Method.
    pub method: String,
    /// Whole URL, `http` or `https`.
    pub url: String,
    /// Header fields.
    pub headers: Headers,
    /// Whether [`ToBroker::Body`] and [`ToBroker::BodyEnd`] of [`BodyOf::Fetch`] follow.
    pub has_body: bool,
    /// What is done with a redirection.
    pub redirect: Redirect,
}

/// What is done with a redirection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Redirect {
    /// Follow it, up to 20 times.
    Follow,
    /// Fail.
    Error,
    /// Hand it to the worker.
    Manual,
}

/// The head of an answer to a fetch. A body always follows, if an empty one.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct FetchResponse {
    /// 200 to 599.
    pub status: u16,
    /// Reason phrase.
    pub status_text: String,
    /// Header fields.
    pub headers: Headers,
    /// The URL that answered, after redirections.
    pub url: String,
    /// Whether there was a redirection.
    pub redirected: bool,
}

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// `console.debug`, `console.trace`.
    Debug,
    /// `console.log`, `console.dir`, `console.table` and the like.
    Log,
    /// `console.info`.
    Info,
    /// `console.warn`.
    Warn,
    /// `console.error`, `console.assert`, and errors that nobody caught.
    Error,
}

/// A line of a worker's log.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// How loud.
    pub level: Level,
    /// The text; it may have line breaks.
    pub text: String,
}

/// What an event used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Time from its start to its end, in microseconds.
    pub wall_us: u64,
    /// Time on a CPU, in microseconds.
    pub cpu_us: u64,
    /// Memory of the isolate at the end, in bytes.
    pub memory: u64,
    /// Whether an isolate was made for it.
    pub cold: bool,
}

/// Why something failed. Its text is the worker's owner's: it may hold what the worker was sent.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable: one of [`code`].
    pub code: String,
    /// For people: an exception's message.
    pub message: String,
    /// An exception's stack, in names and lines of the sources that were deployed.
    pub stack: Option<String>,
}

impl Failure {
    /// Without a stack.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            stack: None,
        }
    }
}

/// Stable codes of what goes wrong in a process.
pub mod code {
    /// Code that can't be parsed, as JavaScript or TypeScript.
    pub const SYNTAX: &str = "worker_syntax_error";
    /// An import of a module that isn't in the bundle.
    pub const IMPORT: &str = "worker_import_not_found";
    /// A module that threw, or took too long, while it was loaded.
    pub const MODULE: &str = "worker_module_failed";
    /// The main module exports no handler for the event.
    pub const NO_HANDLER: &str = "worker_no_handler";
    /// A handler threw, or its promise was rejected.
    pub const EXCEPTION: &str = "worker_exception";
    /// The handler's answer is none.
    pub const BAD_RESPONSE: &str = "worker_bad_response";
    /// Nothing is left that could settle what the handler waits for.
    pub const HANGS: &str = "worker_never_answers";
    /// [`Limits::wall_ms`](crate::Limits::wall_ms).
    pub const TIMEOUT: &str = "worker_timeout";
    /// [`Limits::cpu_ms`](crate::Limits::cpu_ms).
    pub const CPU: &str = "worker_cpu_limit";
    /// [`Limits::memory`](crate::Limits::memory).
    pub const MEMORY: &str = "worker_memory_limit";
    /// [`Limits::request_body`](crate::Limits::request_body).
    pub const REQUEST_BODY: &str = "worker_request_too_large";
    /// [`Limits::response_body`](crate::Limits::response_body).
    pub const RESPONSE_BODY: &str = "worker_response_too_large";
    /// [`Limits::subrequests`](crate::Limits::subrequests).
    pub const SUBREQUESTS: &str = "worker_subrequest_limit";
    /// [`Limits::timers`](crate::Limits::timers).
    pub const TIMERS: &str = "worker_timer_limit";
    /// Whoever sent the event is gone.
    pub const CANCELLED: &str = "worker_cancelled";
    /// A destination that the launch document doesn't allow.
    pub const FETCH_REFUSED: &str = "fetch_not_allowed";
    /// A destination that doesn't answer, or breaks off.
    pub const FETCH_FAILED: &str = "fetch_failed";
    /// A request that is none.
    pub const FETCH_INVALID: &str = "fetch_invalid";
    /// The process broke.
    pub const CRASHED: &str = "worker_crashed";
}
