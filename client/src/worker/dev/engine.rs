//! The engine in a child process, as the enclave has it, and the version of the worker that it runs.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jeju_worker_broker::{Body, Call, CallContext, CallEvent, Ended, Process};
use jeju_worker_protocol::{
    Event, Failure, FetchEvent, Form, Handlers, Limits, Load, LogLine, ScheduledEvent, WorkerRef, code,
};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, Semaphore};

use super::outbound::Direct;
use crate::worker::WorkerError;
use crate::worker::bundle::Bundled;
use crate::worker::command::{form, level};
use crate::worker::node::words;
use crate::worker::project::Settings;

/// Events at a time, where a project doesn't say.
const MAX_CONCURRENT: u16 = 10;

/// A process that runs workers, until another takes its place.
pub(super) struct Engine {
    running: Mutex<Running>,
    version: Mutex<Option<Arc<Version>>>,
    versions: AtomicU32,
    ended: Arc<Notify>,
}

struct Running {
    process: Process,
    _child: Child,
}

/// Code that the engine has taken.
pub(super) struct Version {
    process: Process,
    worker: WorkerRef,
    context: Arc<CallContext>,
    limits: Limits,
    places: Arc<Semaphore>,
    /// What the code can do.
    pub(super) handlers: Handlers,
    /// Its schedule.
    pub(super) cron: Option<String>,
}

/// The child's part: runs workers for whoever started this program, over its standard input.
///
/// # Errors
/// Where that is no channel, or breaks.
pub fn serve() -> io::Result<()> {
    let channel = io::stdin().as_fd().try_clone_to_owned()?;
    jeju_workers::serve(StdUnixStream::from(channel)).map_err(io::Error::other)
}

impl Engine {
    /// Starts the process.
    ///
    /// # Errors
    /// [`WorkerError::System`].
    pub(super) fn start() -> Result<Self, WorkerError> {
        let ended = Arc::new(Notify::new());
        Ok(Self {
            running: Mutex::new(run(&ended)?),
            version: Mutex::new(None),
            versions: AtomicU32::new(0),
            ended,
        })
    }

    /// Starts another one in its place.
    ///
    /// # Errors
    /// [`WorkerError::System`].
    pub(super) fn restart(&self) -> Result<(), WorkerError> {
        *lock(&self.version) = None;
        *lock(&self.running) = run(&self.ended)?;
        Ok(())
    }

    /// Waits until the process is of no use any more.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// The version that answers.
    pub(super) fn version(&self) -> Option<Arc<Version>> {
        lock(&self.version).clone()
    }

    /// Takes code, which answers from now on.
    ///
    /// # Errors
    /// What the engine, or the project, says is wrong with it.
    pub(super) async fn load(
        &self,
        settings: &Settings,
        bundled: &Bundled,
    ) -> Result<Arc<Version>, WorkerError> {
        let limits = limits(settings);
        let max_concurrent = settings.max_concurrent.unwrap_or(MAX_CONCURRENT).max(1);
        let form = match &settings.compatibility {
            Some(text) => form(text).map_err(|message| WorkerError::Engine {
                code: "project_invalid".to_owned(),
                message,
            })?,
            None => Form::default(),
        };
        let load = Load {
            worker: 0,
            bundle: bundled.bundle.clone(),
            env: settings.env.clone().into_iter().collect(),
            limits: limits.clone(),
            form,
            max_concurrent,
        };
        let process = lock(&self.running).process.clone();
        let loaded = process.load(load).await.map_err(|failure| WorkerError::Engine {
            message: described(&failure),
            code: failure.code,
        })?;
        let version = Arc::new(Version {
            process,
            worker: loaded.worker,
            context: Arc::new(CallContext {
                owner: [0; 20],
                worker: settings.name.clone(),
                version: 1 + self.versions.fetch_add(1, Ordering::Relaxed),
            }),
            limits,
            places: Arc::new(Semaphore::new(max_concurrent.into())),
            handlers: loaded.handlers,
            cron: settings.cron.clone(),
        });
        *lock(&self.version) = Some(version.clone());
        Ok(version)
    }
}

impl Version {
    /// Counts from 1.
    pub(super) fn number(&self) -> u32 {
        self.context.version
    }

    /// What one event may use.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Runs `fetch`, once it is its turn.
    ///
    /// # Errors
    /// Where the engine has gone.
    pub(super) async fn fetch(&self, event: FetchEvent, body: Option<Body>) -> Result<Call, Failure> {
        self.call(Event::Fetch(event), body).await
    }

    /// Runs `scheduled` to its end.
    ///
    /// # Errors
    /// What went wrong.
    pub(super) async fn run_scheduled(&self, cron: String, scheduled_time_ms: u64) -> Result<(), Failure> {
        let event = ScheduledEvent {
            cron,
            scheduled_time_ms,
        };
        let mut call = self.call(Event::Scheduled(event), None).await?;
        while let Some(event) = call.next().await {
            match event {
                CallEvent::Log(line) => show(&line),
                CallEvent::Done {
                    failure: Some(failure),
                    ..
                } => return Err(failure),
                _ => {}
            }
        }
        Ok(())
    }

    async fn call(&self, event: Event, body: Option<Body>) -> Result<Call, Failure> {
        let place = self.places.clone().acquire_owned().await;
        let place = place.map_err(|_| Failure::new(code::CRASHED, "the engine has gone"))?;
        let call = self
            .process
            .call(self.context.clone(), self.worker, event, body, &self.limits);
        call.hold(Box::new(place));
        Ok(call)
    }
}

impl Drop for Version {
    fn drop(&mut self) {
        self.process.unload(self.worker);
    }
}

/// Starts a process; `ended` is told when it is of no use any more.
fn run(ended: &Arc<Notify>) -> Result<Running, WorkerError> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let child = Command::new(std::env::current_exe()?)
        .args(["worker", "engine"])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        // Nothing of this program's is its business.
        .env_clear()
        .kill_on_drop(true)
        .spawn()?;
    let (process, work) = Process::start(UnixStream::from_std(ours)?, Arc::new(Direct::new()));
    let ended = ended.clone();
    tokio::spawn(async move {
        if work.await != Ended::Stopped {
            ended.notify_one();
        }
    });
    Ok(Running {
        process,
        _child: child,
    })
}

fn limits(settings: &Settings) -> Limits {
    let default = Limits::default();
    Limits {
        wall_ms: settings.timeout_ms.unwrap_or(default.wall_ms),
        cpu_ms: settings.cpu_ms.unwrap_or(default.cpu_ms),
        memory: settings
            .memory_mb
            .map_or(default.memory, |mebibytes| u64::from(mebibytes) << 20),
        ..default
    }
}

/// A failure, with the stack where there is one.
pub(super) fn described(failure: &Failure) -> String {
    let stack = failure
        .stack
        .as_deref()
        .map(|stack| format!("\n{}", words(stack)));
    format!("{}{}", words(&failure.message), stack.unwrap_or_default())
}

/// A line of the worker's log.
pub(super) fn show(line: &LogLine) {
    eprintln!("{:<5} {}", level(line.level), words(&line.text));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
