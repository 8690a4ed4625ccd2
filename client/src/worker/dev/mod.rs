//! `jeju worker dev`: a project on this machine, in the engine of the enclave, and anew at each change.
//!
//! ```text
//! watch ── files changed ──▶ bundle ──▶ engine (a child process, as in the enclave) ◀── server ◀── HTTP on loopback
//!                                          └── fetch ──▶ outbound: directly, also to this machine
//! ```
//!
//! What it isn't: attested, signed, or bound by a node's launch document.

mod engine;
mod outbound;
mod server;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use jeju_worker_protocol::Schedule;

use super::WorkerError;
use super::bundle::bundle;
use super::command::ChangedArguments;
use super::project::{FILE, Project};
use engine::{Engine, Version};
use watch::Watch;

pub use engine::serve;

/// After an engine that broke.
const PAUSE: Duration = Duration::from_millis(200);

/// Options of `jeju worker dev`.
#[derive(Debug, Clone, Args)]
pub struct DevArguments {
    /// The project's folder, or one source file
    #[arg(value_name = "PROJECT", default_value = ".")]
    project: PathBuf,
    /// Loopback address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    #[command(flatten)]
    changed: ChangedArguments,
}

impl DevArguments {
    /// Serves the project until `stop`.
    ///
    /// # Errors
    /// Where it can't begin. What is wrong with code later is told, and the code before goes on.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<(), WorkerError> {
        if !self.listen.ip().is_loopback() {
            return Err(WorkerError::Usage(
                "--listen takes a loopback address: anybody else could use the worker's secrets",
            ));
        }
        let engine = Arc::new(Engine::start()?);
        let mut watch = self.load(&engine).await?;
        let bound = server::bind(self.listen).await?;
        eprintln!("jeju worker dev: http://{}", bound.address());
        let reloading = async {
            loop {
                tokio::select! {
                    () = watch.changed() => {}
                    () = engine.ended() => {
                        eprintln!("jeju worker dev: the engine ended, a new one begins");
                        tokio::time::sleep(PAUSE).await;
                        if let Err(error) = engine.restart() {
                            return error;
                        }
                    }
                }
                // Before it loads: what changes meanwhile is looked at again.
                watch.settle();
                match self.load(&engine).await {
                    Ok(next) => watch = next,
                    Err(error) => eprintln!("jeju worker dev: {error} ({})", error.code()),
                }
            }
        };
        tokio::select! {
            error = reloading => Err(error),
            () = bound.serve(engine.clone()) => Ok(()),
            () = run_schedule(&engine) => Ok(()),
            () = stop => Ok(()),
        }
    }

    /// Reads the project and hands it to the engine.
    async fn load(&self, engine: &Engine) -> Result<Watch, WorkerError> {
        let project = self.changed.apply(Project::read(&self.project)?);
        // Before it is read, so that a change meanwhile is seen.
        let mut watch = Watch::new([project.root.join(FILE), self.project.clone()]);
        let bundled = bundle(&project.root, &project.settings.main)?;
        watch.add(&bundled.files);
        for note in &bundled.notes {
            eprintln!("jeju worker dev: {note}");
        }
        let version = engine.load(&project.settings, &bundled).await?;
        let handlers = match (version.handlers.fetch, version.handlers.scheduled) {
            (true, true) => "fetch and scheduled",
            (true, false) => "fetch",
            (false, true) => "scheduled",
            (false, false) => "no handler at all",
        };
        eprintln!(
            "jeju worker dev: version {} of {} has {handlers}",
            version.number(),
            project.settings.name
        );
        Ok(watch)
    }
}

/// Runs `scheduled` whenever it is due. Never ends.
async fn run_schedule(engine: &Engine) {
    loop {
        let now = now();
        let due = engine.version().and_then(|version| {
            let cron = version.cron.clone()?;
            let next = Schedule::parse(&cron).ok()?.next_after(now)?;
            Some((version.number(), cron, next))
        });
        // A change of the schedule must be seen too.
        let wait = due.as_ref().map_or(1000, |(.., next)| (next - now).min(1000));
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let Some((number, cron, next)) = due else { continue };
        if let Some(version) = engine
            .version()
            .filter(|version| version.number() == number && self::now() >= next)
        {
            tokio::spawn(async move { scheduled(&version, cron, next).await });
        }
    }
}

/// Runs `scheduled` for a minute, and says how it went.
async fn scheduled(
    version: &Arc<Version>,
    cron: String,
    time: u64,
) -> Result<(), jeju_worker_protocol::Failure> {
    let outcome = version.run_scheduled(cron, time).await;
    match &outcome {
        Ok(()) => eprintln!("jeju worker dev: scheduled ran"),
        Err(failure) => eprintln!("jeju worker dev: scheduled: {}", engine::described(failure)),
    }
    outcome
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
