//! A process that runs workers, as PID 1 starts it: confined, with a broker at the other end of its channel.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jeju_worker_broker::{Body, BoxFuture, Call, CallContext, CallEvent, Ended, Loaded, Outbound, Process};
use jeju_worker_protocol::{
    Bundle, Event, Failure, FetchEvent, FetchRequest, FetchResponse, Form, Language, Limits, Load, code,
};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// Answers whatever is asked for with the URL.
struct Echo;

impl Outbound for Echo {
    fn fetch(
        &self,
        _: Arc<CallContext>,
        request: FetchRequest,
        _: Option<Body>,
    ) -> BoxFuture<'static, Result<(FetchResponse, Body), Failure>> {
        Box::pin(async move {
            let (sender, body) = tokio::sync::mpsc::channel(1);
            let _ = sender.try_send(Ok(request.url.clone().into_bytes()));
            let response = FetchResponse {
                status: 200,
                status_text: "OK".into(),
                headers: vec![("content-type".into(), "text/plain".into())],
                url: request.url,
                redirected: false,
            };
            Ok((response, body))
        })
    }
}

struct Worker {
    child: Child,
    process: Process,
    ended: JoinHandle<Ended>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start() -> Worker {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let number = theirs.as_raw_fd();
    let mut command = Command::new(env!("CARGO_BIN_EXE_jeju-enclave"));
    command
        .args(["--role", "worker", "--channel", &number.to_string()])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // SAFETY: plain system calls between fork and exec, on a descriptor that is open.
    unsafe {
        command.pre_exec(move || {
            // As PID 1 does, whatever this test was started with.
            libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int);
            match libc::fcntl(number, libc::F_SETFD, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let child = command.spawn().unwrap();
    ours.set_nonblocking(true).unwrap();
    let (process, work) = Process::start(UnixStream::from_std(ours).unwrap(), Arc::new(Echo));
    let ended = tokio::spawn(work);
    Worker {
        child,
        process,
        ended,
    }
}

fn limits() -> Limits {
    Limits {
        wall_ms: 60_000,
        cpu_ms: 30_000,
        ..Limits::default()
    }
}

impl Worker {
    async fn load(&self, source: &str) -> Loaded {
        let load = Load {
            worker: 0,
            bundle: Bundle::single(Language::JavaScript, source).unwrap(),
            env: vec![("NAME".into(), "value".into())],
            limits: limits(),
            form: Form::Detect,
            max_concurrent: 4,
        };
        match self.process.load(load).await {
            Ok(loaded) => loaded,
            Err(failure) => panic!("{}: {}", failure.code, failure.message),
        }
    }

    fn call(&self, loaded: Loaded) -> Call {
        let context = CallContext {
            owner: [1; 20],
            worker: "w".into(),
            version: 1,
        };
        let event = Event::Fetch(FetchEvent {
            method: "GET".into(),
            url: "https://w.example/a?b=c".into(),
            headers: Vec::new(),
            body: None,
        });
        self.process
            .call(Arc::new(context), loaded.worker, event, None, &limits())
    }

    async fn answer(&self, source: &str) -> Result<String, Failure> {
        let loaded = self.load(source).await;
        answer_of(self.call(loaded)).await
    }
}

async fn answer_of(mut call: Call) -> Result<String, Failure> {
    let mut text = Vec::new();
    loop {
        match call.next().await.expect("an end") {
            CallEvent::Head { body, .. } => text.extend(body.unwrap_or_default()),
            CallEvent::Body(data) => text.extend(data),
            CallEvent::BodyEnd(_) | CallEvent::Log(_) => {}
            CallEvent::Done { failure, .. } => {
                let text = String::from_utf8(text).unwrap();
                return failure.map_or(Ok(text), Err);
            }
        }
    }
}

#[tokio::test]
async fn a_worker_answers_in_a_confined_process() {
    let worker = start();
    let source =
        "export default { async fetch(request, env) { return new Response(request.url + ' ' + env.NAME) } }";
    let loaded = worker.load(source).await;
    assert!(loaded.handlers.fetch && !loaded.handlers.scheduled);
    for _ in 0..2 {
        let text = answer_of(worker.call(loaded)).await.ok().unwrap();
        assert_eq!(text, "https://w.example/a?b=c value");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.child.id())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
    assert!(status.contains("Seccomp:\t2\n"), "{status}");
    let files = std::fs::read_dir(format!("/proc/{}/fd", worker.child.id())).unwrap();
    let files = files.map(|file| std::fs::read_link(file.unwrap().path()).unwrap());
    let files: Vec<_> = files
        .filter(|file| *file != std::path::Path::new("/dev/null"))
        .collect();
    // The channel and nothing else.
    let channel: std::collections::BTreeSet<_> = files
        .iter()
        .filter(|file| file.to_string_lossy().starts_with("socket:"))
        .collect();
    assert_eq!(channel.len(), 1, "{files:?}");
    assert!(files.len() <= 5, "{files:?}");
}

/// Whatever natives ask the kernel for, the sandbox lets them have: else the process would die.
#[tokio::test]
async fn the_whole_api_lives_in_the_sandbox() {
    let worker = start();
    let source = include_str!("everything.js");
    match worker.answer(source).await {
        Ok(text) => assert_eq!(text, "all done"),
        Err(failure) => panic!("{}: {} {:?}", failure.code, failure.message, failure.stack),
    }
    assert!(!worker.ended.is_finished());
}

#[tokio::test]
async fn many_events_at_once_and_one_that_never_yields() {
    let worker = start();
    let busy = worker.load("export default { fetch() { for (;;) {} } }").await;
    let quick = worker
        .load("export default { async fetch() { return await fetch('https://a.example/') } }")
        .await;
    let busy = tokio::spawn(answer_of(worker.call(busy)));
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(tokio::spawn(answer_of(worker.call(quick))));
    }
    for call in calls {
        assert_eq!(call.await.unwrap().ok().unwrap(), "https://a.example/");
    }
    assert!(!busy.is_finished(), "the quick ones waited for the busy one");
    worker.process.stop();
    assert!(busy.await.unwrap().is_err());
}

#[tokio::test]
async fn a_killed_process_fails_its_events_and_nothing_else() {
    let mut worker = start();
    let loaded = worker
        .load("export default { async fetch() { await new Promise(done => setTimeout(done, 50000)) } }")
        .await;
    let call = tokio::spawn(answer_of(worker.call(loaded)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    worker.child.kill().unwrap();
    assert_eq!(call.await.unwrap().err().unwrap().code, code::CRASHED);
    let ended = (&mut worker.ended).await.unwrap();
    assert_eq!(ended, Ended::Closed);
}

#[tokio::test]
async fn the_process_ends_with_its_channel() {
    let mut worker = start();
    let loaded = worker.load("export default { fetch() { for (;;) {} } }").await;
    let _call = worker.call(loaded);
    worker.process.stop();
    assert_eq!((&mut worker.ended).await.unwrap(), Ended::Stopped);
    let deadline = Instant::now() + Duration::from_secs(60);
    while worker.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it goes on without a front");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_process_without_a_channel_does_not_start() {
    for arguments in [
        &["--role", "worker"][..],
        &["--role", "worker", "--channel", "0"],
        &["--role", "worker", "--channel", "900"],
        &["--role", "worker", "--channel", "3", "--control", "4"],
    ] {
        let status = Command::new(env!("CARGO_BIN_EXE_jeju-enclave"))
            .args(arguments)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(!status.success(), "{arguments:?}");
    }
}
