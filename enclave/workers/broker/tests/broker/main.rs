//! The trusted end of a channel, with a process on the other end that does what it likes.

mod answers;
mod fetches;
mod hostile;
mod time;

use std::sync::{Arc, Mutex};

use jeju_worker_broker::{Body, BoxFuture, Call, CallContext, CallEvent, Ended, Outbound, Process};
use jeju_worker_protocol::{
    Bundle, Event, Failure, FetchEvent, FetchRequest, FetchResponse, Form, Frames, Handlers, Language,
    Limits, Load, MAX_FRAME, ScheduledEvent, ToBroker, ToProcess, Usage, code, frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// The process's end.
pub(crate) struct Other {
    channel: UnixStream,
    frames: Frames,
}

/// What was asked of an [`Outbound`], and what it answers.
#[derive(Default)]
pub(crate) struct Remote {
    pub(crate) asked: Mutex<Vec<(String, Option<Body>)>>,
    pub(crate) answer: Mutex<Option<Body>>,
}

pub(crate) struct Channel {
    pub(crate) process: Process,
    pub(crate) other: Other,
    pub(crate) ended: JoinHandle<Ended>,
    pub(crate) remote: Arc<Remote>,
}

impl Outbound for Remote {
    fn fetch(
        &self,
        _: Arc<CallContext>,
        request: FetchRequest,
        body: Option<Body>,
    ) -> BoxFuture<'static, Result<(FetchResponse, Body), Failure>> {
        let url = request.url.clone();
        self.asked.lock().unwrap().push((request.url, body));
        let answer = self.answer.lock().unwrap().take();
        Box::pin(async move {
            let response = FetchResponse {
                status: 200,
                status_text: String::new(),
                headers: Vec::new(),
                url,
                redirected: false,
            };
            match answer {
                Some(body) => Ok((response, body)),
                None => Err(Failure::new(code::FETCH_REFUSED, "not there")),
            }
        })
    }
}

impl Other {
    pub(crate) async fn take(&mut self) -> ToProcess {
        loop {
            if let Some(message) = self.frames.take().unwrap() {
                return message;
            }
            let mut buffer = [0; 4096];
            let len = self.channel.read(&mut buffer).await.unwrap();
            assert!(len > 0, "the broker closed the channel");
            self.frames.buffer().extend_from_slice(&buffer[..len]);
        }
    }

    pub(crate) async fn give(&mut self, message: ToBroker) {
        self.channel.write_all(&frame(&message).unwrap()).await.unwrap();
    }

    /// As [`Other::give`], where the broker may be gone before it is written.
    pub(crate) async fn give_anyway(&mut self, bytes: &[u8]) {
        let _ = self.channel.write_all(bytes).await;
    }

    pub(crate) async fn done(&mut self, call: u64) {
        self.give(ToBroker::Done {
            call,
            usage: Usage::default(),
            failure: None,
        })
        .await;
    }
}

pub(crate) fn channel() -> Channel {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let remote = Arc::new(Remote::default());
    let (process, work) = Process::start(ours, remote.clone());
    let other = Other {
        channel: theirs,
        frames: Frames::new(MAX_FRAME),
    };
    let ended = tokio::spawn(work);
    Channel {
        process,
        other,
        ended,
        remote,
    }
}

pub(crate) fn limits() -> Limits {
    Limits {
        wall_ms: 60_000,
        cpu_ms: 1000,
        subrequests: 3,
        log_lines: 4,
        log_line: 8,
        ..Limits::default()
    }
}

pub(crate) fn load(source: &str) -> Load {
    Load {
        worker: 0,
        bundle: Bundle::single(Language::JavaScript, source).unwrap(),
        env: Vec::new(),
        limits: limits(),
        form: Form::Detect,
        max_concurrent: 1,
    }
}

pub(crate) fn request(body: Option<&[u8]>) -> Event {
    Event::Fetch(FetchEvent {
        method: "GET".into(),
        url: "https://w.example/".into(),
        headers: Vec::new(),
        body: body.map(<[u8]>::to_vec),
    })
}

pub(crate) fn scheduled() -> Event {
    Event::Scheduled(ScheduledEvent {
        cron: "* * * * *".into(),
        scheduled_time_ms: 0,
    })
}

pub(crate) fn start(process: &Process, event: Event, body: Option<Body>) -> Call {
    let context = CallContext {
        owner: [1; 20],
        worker: "w".into(),
        version: 1,
    };
    process.call(Arc::new(context), 1, event, body, &limits())
}

/// A call that the process has taken, and its number.
pub(crate) async fn started(channel: &mut Channel, event: Event) -> (Call, u64) {
    let call = start(&channel.process, event, None);
    match channel.other.take().await {
        ToProcess::Call { call: id, .. } => (call, id),
        _ => panic!("no call"),
    }
}

pub(crate) fn head(call: u64, body: Option<&[u8]>) -> ToBroker {
    ToBroker::Head {
        call,
        status: 200,
        status_text: String::new(),
        headers: Vec::new(),
        body: body.map(<[u8]>::to_vec),
    }
}

/// The code of the failure that a call ends with.
pub(crate) async fn end_of(call: &mut Call) -> String {
    loop {
        match call.next().await.expect("an end") {
            CallEvent::Done { failure, .. } => {
                return failure.map(|failure| failure.code).unwrap_or_default();
            }
            _ => continue,
        }
    }
}

pub(crate) fn handlers() -> Handlers {
    Handlers {
        fetch: true,
        ..Handlers::default()
    }
}
