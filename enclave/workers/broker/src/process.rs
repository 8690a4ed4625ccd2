//! A process that runs one owner's workers, as its front sees it.

use std::sync::Arc;

use jeju_worker_protocol::{Event, Failure, Handlers, Limits, Load, ToProcess, WorkerRef, code};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::call::{Call, CallContext, Inbox};
use crate::channel;
use crate::entry::Entry;
use crate::flow::crashed;
use crate::outbound::{Body, Outbound};
use crate::state::Shared;

/// An owner's process. Clones are the same process.
#[derive(Clone)]
pub struct Process {
    handle: Arc<Handle>,
}

/// Ends the work with the last [`Process`].
struct Handle {
    shared: Arc<Shared>,
}

/// Code that a process has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Names it to this process.
    pub worker: WorkerRef,
    /// What it can do.
    pub handlers: Handlers,
}

/// Why a process is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It closed the channel: it has ended.
    Closed,
    /// It sent what no process sends. Kill it.
    Broke(&'static str),
    /// It doesn't do what it must within its time. Kill it.
    Hangs,
    /// Nobody has a [`Process`] or a [`Call`] of it any more, or [`Process::stop`] was called.
    Stopped,
}

impl Process {
    /// Takes the front's end of a channel. The future does the work: it must be spawned on a tokio runtime, and says how
    /// it ended. Everything under way fails then. Dropping it is the same as [`Process::stop`].
    pub fn start(
        channel: UnixStream,
        outbound: Arc<dyn Outbound>,
    ) -> (Process, impl Future<Output = Ended> + Send + 'static) {
        let shared = Arc::new(Shared::new(outbound));
        let work = channel::run(channel, shared.clone());
        let handle = Arc::new(Handle { shared });
        (Process { handle }, work)
    }

    /// Hands code over. [`Load::worker`] is filled in here.
    ///
    /// # Errors
    /// What the process says is wrong with it, or [`code::CRASHED`].
    pub async fn load(&self, mut load: Load) -> Result<Loaded, Failure> {
        let shared = self.shared();
        let _place = shared.loads.acquire().await.map_err(|_| crashed())?;
        let (sender, answer) = oneshot::channel();
        let message = |worker| {
            load.worker = worker;
            ToProcess::Load(Box::new(load))
        };
        let too_long = |_| Failure::new(code::MODULE, "the code and its variables are too long together");
        let worker = shared.load(message, sender).map_err(too_long)?;
        match answer.await {
            Ok(handlers) => handlers.map(|handlers| Loaded { worker, handlers }),
            Err(_) => Err(crashed()),
        }
    }

    /// Takes code back.
    pub fn unload(&self, worker: WorkerRef) {
        self.shared().send(&ToProcess::Unload(worker));
    }

    /// Runs an event of code that was loaded with these limits. `body` is the body of a request whose event has none.
    /// A request with neither has an empty one. Must be called on a tokio runtime.
    pub fn call(
        &self,
        context: Arc<CallContext>,
        worker: WorkerRef,
        mut event: Event,
        body: Option<Body>,
        limits: &Limits,
    ) -> Call {
        let shared = self.shared();
        if let (Event::Fetch(request), None) = (&mut event, &body) {
            request.body.get_or_insert_default();
        }
        let awaits_head = matches!(event, Event::Fetch(_));
        let inbox = Arc::new(Inbox::new(shared.held.clone()));
        let entry = Entry::new(context, inbox.clone(), limits, awaits_head, Instant::now());
        let message = |call| ToProcess::Call { call, worker, event };
        let id = shared.begin(entry, message, body);
        Call::new(self.clone(), id, inbox)
    }

    /// Whether the process may still take events. Once it may not, it never does again; that is so before anybody hears
    /// how the events ended that it had.
    pub fn takes_events(&self) -> bool {
        self.shared().takes_events()
    }

    /// Drops isolates that do nothing.
    pub fn trim(&self) {
        self.shared().send(&ToProcess::Trim);
    }

    /// Ends the work: all that is under way fails.
    pub fn stop(&self) {
        self.shared().end(Ended::Stopped);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.end(Ended::Stopped);
    }
}
