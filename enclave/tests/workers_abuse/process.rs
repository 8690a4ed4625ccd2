//! In a confined process with a broker, without a node around it: what the engine, its process and its sandbox do alone.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jeju_worker_broker::{Body, BoxFuture, CallContext, CallEvent, Loaded, Outbound, Process};
use jeju_worker_protocol::{
    Bundle, Event, Failure, FetchEvent, FetchRequest, FetchResponse, Form, Limits, Load, code,
};
use tokio::net::UnixStream;

use crate::scripts::{self, Script};

/// Nothing can be reached.
struct Nowhere;

impl Outbound for Nowhere {
    fn fetch(
        &self,
        _: Arc<CallContext>,
        _: FetchRequest,
        _: Option<Body>,
    ) -> BoxFuture<'static, Result<(FetchResponse, Body), Failure>> {
        Box::pin(async { Err(Failure::new(code::FETCH_REFUSED, "not from here")) })
    }
}

struct Worker {
    child: Child,
    process: Process,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn limits() -> Limits {
    Limits {
        wall_ms: 8000,
        cpu_ms: 300,
        memory: 48 << 20,
        response_body: 1 << 20,
        ..Limits::default()
    }
}

fn start() -> Worker {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let number = theirs.as_raw_fd();
    let mut command = Command::new(env!("CARGO_BIN_EXE_jeju-enclave"));
    command
        .args(["--role", "worker", "--channel", &number.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    // SAFETY: plain system calls between fork and exec, on a descriptor that is open.
    unsafe {
        command.pre_exec(move || {
            let bound = libc::rlimit {
                rlim_cur: 512 << 20,
                rlim_max: 512 << 20,
            };
            libc::setrlimit(libc::RLIMIT_DATA, &raw const bound);
            libc::fcntl(number, libc::F_SETFD, 0);
            Ok(())
        });
    }
    let child = command.spawn().unwrap();
    ours.set_nonblocking(true).unwrap();
    let (process, work) = Process::start(UnixStream::from_std(ours).unwrap(), Arc::new(Nowhere));
    tokio::spawn(work);
    Worker { child, process }
}

impl Worker {
    async fn load(&self, bundle: Bundle) -> Result<Loaded, String> {
        let load = Load {
            worker: 0,
            bundle,
            env: Vec::new(),
            limits: limits(),
            form: Form::Detect,
            max_concurrent: 4,
        };
        self.process.load(load).await.map_err(|failure| failure.code)
    }

    async fn ask(&self, loaded: Loaded, path: &str) -> Result<String, String> {
        let context = CallContext {
            owner: [1; 20],
            worker: "w".into(),
            version: 1,
        };
        let event = Event::Fetch(FetchEvent {
            method: "GET".into(),
            url: format!("https://w.example{path}"),
            headers: Vec::new(),
            body: None,
        });
        let mut call = self
            .process
            .call(Arc::new(context), loaded.worker, event, None, &limits());
        let mut text = Vec::new();
        let mut end = None;
        loop {
            match call.next().await.expect("an end") {
                CallEvent::Head { body, .. } => text.extend(body.unwrap_or_default()),
                CallEvent::Body(data) => text.extend(data),
                CallEvent::BodyEnd(failure) => end = failure,
                CallEvent::Log(_) => {}
                CallEvent::Done { failure, .. } => {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    return match failure.or(end) {
                        Some(failure) => Err(failure.code),
                        None => Ok(text),
                    };
                }
            }
            if text.len() as u64 > limits().response_body {
                // What the front does with an answer that is too long.
                return Err(code::RESPONSE_BODY.to_owned());
            }
        }
    }
}

/// Whether a script does what it says, and whether its worker answers afterwards, in a new process where the old one is
/// gone.
async fn judge(script: &Script) -> Vec<String> {
    let mut worker = start();
    let loaded = match worker.load(script.bundle()).await {
        Ok(loaded) => loaded,
        Err(code) => return vec![format!("{}: not loaded: {code}", script.name)],
    };
    let outcome = worker.ask(loaded, "/abuse").await;
    let mut wrong: Vec<String> = script.judge(&outcome).into_iter().collect();
    let mut after = worker.ask(loaded, "/ok").await;
    if after.as_ref().err().is_some_and(|code| code == code::CRASHED) {
        println!("{}: {:?}", script.name, worker.child.wait());
        worker = start();
        let loaded = worker.load(script.bundle()).await.unwrap();
        after = worker.ask(loaded, "/ok").await;
    }
    wrong.extend(script.judge_after(&after));
    if script.breaks_itself {
        let other = worker.load(Script::harmless()).await.unwrap();
        let other = worker.ask(other, "/").await;
        if other.as_deref() != Ok("fine") {
            wrong.push(format!("{}: another worker {other:?}", script.name));
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_and_the_next_event_answers() {
    let all = scripts::all("scripts");
    assert!(all.len() >= 40, "{}", all.len());
    let only = std::env::var("ABUSE_SCRIPT").ok();
    let mut wrong = Vec::new();
    for script in all {
        if only
            .as_ref()
            .is_some_and(|only| !script.name.starts_with(only.as_str()))
        {
            continue;
        }
        let begun = std::time::Instant::now();
        match tokio::time::timeout(Duration::from_secs(60), judge(&script)).await {
            Ok(found) => wrong.extend(found),
            Err(_) => wrong.push(format!("{}: no end", script.name)),
        }
        println!("{} {:?}", script.name, begun.elapsed());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_cannot_be_loaded_is_refused() {
    let mut wrong = Vec::new();
    for script in scripts::all("refused") {
        let worker = start();
        match tokio::time::timeout(Duration::from_secs(60), worker.load(script.alone())).await {
            Ok(outcome) => wrong.extend(script.judge(&outcome.map(|_| String::new()))),
            Err(_) => wrong.push(format!("{}: no end", script.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
