//! The front's end of a process's channel, for tests: one thread, no runtime, real time.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jeju_worker_protocol::{
    BodyOf, Bundle, CallId, Event, Failure, FetchEvent, FetchId, FetchRequest, FetchResponse, Form, Frames,
    Handlers, Headers, Language, Limits, Load, LogLine, MAX_FRAME, Module, ScheduledEvent, ToBroker,
    ToProcess, Usage, WorkerRef, frame,
};
use jeju_workers::{ServeError, serve};

/// Longest that a test waits for one message.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process, and what its front knows.
pub struct Process {
    channel: Option<UnixStream>,
    frames: Frames,
    serves: Option<JoinHandle<Result<(), ServeError>>>,
    next_call: CallId,
    next_worker: WorkerRef,
    /// Messages that came while others were waited for.
    waiting: VecDeque<ToBroker>,
    answers: HashMap<CallId, Answer>,
    /// Whether it said that it is about to end.
    pub ends: bool,
}

/// What came of an event.
#[derive(Default)]
pub struct Answer {
    pub head: Option<(u16, String, Headers)>,
    pub body: Vec<u8>,
    /// Whether the body is whole.
    pub whole: bool,
    pub body_failure: Option<Failure>,
    pub logs: Vec<LogLine>,
    pub fetches: Vec<(FetchId, FetchRequest)>,
    /// Bodies of fetches, as far as they came.
    pub sent: HashMap<FetchId, Vec<u8>>,
    pub cancelled: Vec<FetchId>,
    pub done: Option<(Usage, Option<Failure>)>,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.as_ref().map_or(0, |head| head.0)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = &self.head.as_ref()?.2;
        headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// The failure's code, or "".
    pub fn code(&self) -> &str {
        self.failure().map_or("", |failure| failure.code.as_str())
    }

    pub fn failure(&self) -> Option<&Failure> {
        self.done.as_ref()?.1.as_ref()
    }

    pub fn usage(&self) -> Usage {
        self.done.as_ref().expect("the event is over").0
    }

    pub fn log(&self) -> Vec<&str> {
        self.logs.iter().map(|line| line.text.as_str()).collect()
    }

    /// Status and body, or the failure's code and message.
    pub fn outcome(&self) -> String {
        match self.failure() {
            Some(failure) => format!("{}: {}", failure.code, failure.message),
            None => format!("{} {}", self.status(), self.text()),
        }
    }
}

/// A request without a body.
pub fn get(url: &str) -> Event {
    request("GET", url, &[], Some(b""))
}

/// A request; without a body in it, the body follows.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Event {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Event::Fetch(FetchEvent {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: headers.collect(),
        body: body.map(<[u8]>::to_vec),
    })
}

pub fn scheduled(cron: &str, scheduled_time_ms: u64) -> Event {
    Event::Scheduled(ScheduledEvent {
        cron: cron.to_owned(),
        scheduled_time_ms,
    })
}

/// A bundle: the first module is the main one.
pub fn bundle(modules: &[(&str, &str)]) -> Bundle {
    let module = |(name, source): &(&str, &str)| Module {
        name: (*name).to_owned(),
        language: Language::of(name).expect("an ending"),
        source: (*source).to_owned(),
    };
    Bundle::new(modules[0].0, modules.iter().map(module).collect()).expect("a bundle")
}

/// What is loaded for tests, to be changed where a test needs something else.
pub fn load(modules: &[(&str, &str)]) -> Load {
    Load {
        worker: 0,
        bundle: bundle(modules),
        env: Vec::new(),
        limits: Limits::default(),
        form: Form::Detect,
        max_concurrent: 8,
    }
}

impl Process {
    pub fn start() -> Self {
        let (channel, theirs) = UnixStream::pair().expect("a pair of sockets");
        channel.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let serves = std::thread::Builder::new().name("process".to_owned());
        Self {
            channel: Some(channel),
            frames: Frames::new(MAX_FRAME),
            serves: Some(serves.spawn(move || serve(theirs)).expect("a thread")),
            next_call: 1,
            next_worker: 1,
            waiting: VecDeque::new(),
            answers: HashMap::new(),
            ends: false,
        }
    }

    pub fn send(&mut self, message: &ToProcess) {
        let bytes = frame(message).expect("a frame");
        self.channel
            .as_mut()
            .expect("open")
            .write_all(&bytes)
            .expect("the process reads");
    }

    /// Closes the channel: how the process ended.
    pub fn end(mut self) -> Result<(), ServeError> {
        self.channel = None;
        self.serves.take().expect("once").join().expect("no panic")
    }

    /// Loads a worker of one module.
    pub fn worker(&mut self, source: &str) -> WorkerRef {
        self.load(load(&[("index.js", source)])).0
    }

    /// Loads a worker that is taken.
    pub fn load(&mut self, load: Load) -> (WorkerRef, Handlers) {
        match self.try_load(load) {
            Ok(loaded) => loaded,
            Err(failure) => panic!("{}: {}", failure.code, failure.message),
        }
    }

    /// Loads a worker.
    pub fn try_load(&mut self, mut load: Load) -> Result<(WorkerRef, Handlers), Failure> {
        let worker = self.next_worker;
        self.next_worker += 1;
        load.worker = worker;
        self.send(&ToProcess::Load(Box::new(load)));
        loop {
            match self.receive() {
                ToBroker::Loaded {
                    worker: which,
                    handlers,
                } if which == worker => return Ok((worker, handlers)),
                ToBroker::LoadFailed {
                    worker: which,
                    failure,
                } if which == worker => return Err(failure),
                other => self.waiting.push_back(other),
            }
        }
    }

    /// Starts an event.
    pub fn call(&mut self, worker: WorkerRef, event: Event) -> CallId {
        let call = self.next_call;
        self.next_call += 1;
        self.answers.insert(call, Answer::default());
        self.send(&ToProcess::Call { call, worker, event });
        call
    }

    /// Runs an event to its end.
    pub fn run(&mut self, worker: WorkerRef, event: Event) -> Answer {
        let call = self.call(worker, event);
        self.finish(call)
    }

    /// Runs a request to its end.
    pub fn get(&mut self, worker: WorkerRef, path: &str) -> Answer {
        self.run(worker, get(&format!("https://worker.example{path}")))
    }

    /// Waits for an event's end. Bodies are acknowledged as they come.
    pub fn finish(&mut self, call: CallId) -> Answer {
        self.until(call, |answer| answer.done.is_some());
        self.answers.remove(&call).expect("a call")
    }

    /// Takes messages until the answer of an event is as wanted.
    pub fn until(&mut self, call: CallId, wanted: impl Fn(&Answer) -> bool) -> &Answer {
        let end = Instant::now() + PATIENCE;
        while !wanted(&self.answers[&call]) {
            assert!(
                Instant::now() < end,
                "the process doesn't do what the test waits for"
            );
            self.step();
        }
        &self.answers[&call]
    }

    /// Waits for the next fetch of an event.
    pub fn fetch(&mut self, call: CallId) -> (FetchId, FetchRequest) {
        self.until(call, |answer| !answer.fetches.is_empty());
        self.answers.get_mut(&call).expect("a call").fetches.remove(0)
    }

    /// Answers a fetch at once.
    pub fn answer(
        &mut self,
        call: CallId,
        fetch: FetchId,
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        self.answer_head(call, fetch, status, headers);
        for piece in body.chunks(60_000) {
            let of = BodyOf::Fetch(fetch);
            self.send(&ToProcess::Body {
                call,
                of,
                data: piece.to_vec(),
            });
        }
        self.body_end(call, BodyOf::Fetch(fetch), None);
    }

    pub fn answer_head(&mut self, call: CallId, fetch: FetchId, status: u16, headers: &[(&str, &str)]) {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let response = FetchResponse {
            status,
            status_text: String::new(),
            headers: headers.collect(),
            url: "https://upstream.example/".to_owned(),
            redirected: false,
        };
        self.send(&ToProcess::FetchHead {
            call,
            fetch,
            response,
        });
    }

    pub fn body_end(&mut self, call: CallId, of: BodyOf, failure: Option<Failure>) {
        self.send(&ToProcess::BodyEnd { call, of, failure });
    }

    /// Takes one message.
    pub fn step(&mut self) {
        let message = match self.waiting.pop_front() {
            Some(message) => message,
            None => self.receive(),
        };
        let call = match &message {
            ToBroker::Head { call, .. }
            | ToBroker::Body { call, .. }
            | ToBroker::BodyEnd { call, .. }
            | ToBroker::Credit { call, .. }
            | ToBroker::Fetch { call, .. }
            | ToBroker::FetchCancel { call, .. }
            | ToBroker::Log { call, .. }
            | ToBroker::Done { call, .. } => *call,
            ToBroker::Loaded { .. } | ToBroker::LoadFailed { .. } => panic!("nothing is loaded"),
            ToBroker::Ends => {
                self.ends = true;
                return;
            }
        };
        let answer = self.answers.get_mut(&call).expect("a call that is known");
        assert!(answer.done.is_none(), "a message after the end");
        match message {
            ToBroker::Head {
                status,
                status_text,
                headers,
                body,
                ..
            } => {
                assert!(answer.head.is_none(), "two heads");
                answer.head = Some((status, status_text, headers));
                answer.whole = body.is_some();
                answer.body = body.unwrap_or_default();
            }
            ToBroker::Body { of, data, .. } => {
                let bytes = data.len() as u32;
                match of {
                    BodyOf::Event => answer.body.extend(data),
                    BodyOf::Fetch(fetch) => answer.sent.entry(fetch).or_default().extend(data),
                }
                self.send(&ToProcess::Credit { call, of, bytes });
            }
            ToBroker::BodyEnd {
                of: BodyOf::Event,
                failure,
                ..
            } => {
                answer.whole = failure.is_none();
                answer.body_failure = failure;
            }
            ToBroker::BodyEnd { .. } | ToBroker::Credit { .. } => {}
            ToBroker::Fetch { fetch, request, .. } => answer.fetches.push((fetch, request)),
            ToBroker::FetchCancel { fetch, .. } => answer.cancelled.push(fetch),
            ToBroker::Log { line, .. } => answer.logs.push(line),
            ToBroker::Done { usage, failure, .. } => answer.done = Some((usage, failure)),
            ToBroker::Loaded { .. } | ToBroker::LoadFailed { .. } | ToBroker::Ends => {}
        }
    }

    /// Takes pieces of an answer and acknowledges none, until nothing comes for a while.
    pub fn without_credit(&mut self, call: CallId, least: usize, mut each: impl FnMut(&[u8])) {
        let mut len = 0;
        while let Some(message) = self.try_receive() {
            match message {
                ToBroker::Body {
                    call: which, data, ..
                } if which == call => {
                    each(&data);
                    len += data.len();
                    if len >= least {
                        self.wait_for(Duration::from_millis(300));
                    }
                }
                ToBroker::Head { call: which, .. } if which == call => {}
                _ => panic!("something else"),
            }
        }
        self.wait_for(PATIENCE);
    }

    fn wait_for(&self, time: Duration) {
        let channel = self.channel.as_ref().expect("open");
        channel.set_read_timeout(Some(time)).expect("a timeout");
    }

    fn receive(&mut self) -> ToBroker {
        self.try_receive().expect("something comes in time")
    }

    fn try_receive(&mut self) -> Option<ToBroker> {
        loop {
            if let Some(message) = self.frames.take().expect("messages") {
                return Some(message);
            }
            let mut bytes = vec![0; 64 * 1024];
            let channel = self.channel.as_mut().expect("open");
            let len = channel.read(&mut bytes).ok()?;
            assert!(len > 0, "the process is gone");
            self.frames.buffer().extend_from_slice(&bytes[..len]);
        }
    }
}
