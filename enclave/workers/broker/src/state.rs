//! What is under way on a channel, and what is done with each message from the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jeju_worker_protocol::{
    BodyOf, CallId, Failure, FetchId, FetchRequest, FrameError, Handlers, ToBroker, ToProcess, Usage,
    WorkerRef, append_frame,
};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;

use crate::call::Guard;
use crate::check;
use crate::entry::{Entry, Fetch, Loading, Overdue, Upload};
use crate::fetch::carry_out;
use crate::flow::{Credit, Task, crashed, send_body};
use crate::outbound::{Body, Outbound};
use crate::pipe::{Held, Pipe};
use crate::process::Ended;
use crate::uploading::Uploading;

/// Most bytes that wait until the process reads them.
const MAX_QUEUED: usize = 32 << 20;
/// Most bytes from the process that wait until somebody reads them.
const MAX_HELD: usize = 32 << 20;
/// Most bundles on their way at a time.
const LOADS: usize = 4;
/// How long a process may take to take code.
const LOAD_WAIT: Duration = Duration::from_secs(60);
/// How long a process that is about to end may take for it.
const END_WAIT: Duration = Duration::from_secs(5);
/// Memory for what is sent that is kept for what is sent next, in bytes.
const KEPT: usize = 256 * 1024;
/// Pieces of a fetch's body that wait for whoever sends them on.
const PIECES: usize = 2;

/// Both ends of a [`Process`](crate::Process): handles that give it work, and the future that does it.
pub(crate) struct Shared {
    state: Mutex<State>,
    outbound: Arc<dyn Outbound>,
    /// Wakes the future when there is something to send, or an end.
    pub(crate) wake: Notify,
    pub(crate) held: Arc<Held>,
    pub(crate) loads: Semaphore,
}

#[derive(Default)]
struct State {
    /// Frames, oldest first.
    outbox: Vec<u8>,
    /// Bytes in it, and of what is being sent.
    queued: usize,
    /// Why no more is done, once that is so.
    ended: Option<Ended>,
    /// When the process said that it is about to end.
    ends: Option<Instant>,
    /// Whether it let an event's time pass and didn't say so: something holds it up, and it may well have to end.
    held_up: bool,
    last_worker: WorkerRef,
    last_call: CallId,
    loading: HashMap<WorkerRef, Loading>,
    calls: HashMap<CallId, Entry>,
}

/// What a message asks for that is better done without the lock.
type Leftovers = Vec<Guard>;

impl Shared {
    pub(crate) fn new(outbound: Arc<dyn Outbound>) -> Self {
        Self {
            state: Mutex::default(),
            outbound,
            wake: Notify::new(),
            held: Arc::default(),
            loads: Semaphore::new(LOADS),
        }
    }

    pub(crate) fn outbound(&self) -> &dyn Outbound {
        &*self.outbound
    }

    /// Queues a message. Nothing happens where the channel has ended.
    pub(crate) fn send(&self, message: &ToProcess) {
        // What is sent here is bounded by whoever made it, well below the longest frame.
        let _ = self.state().queue(message);
        self.wake.notify_one();
    }

    /// Queues code. The sender of the answer is dropped where the channel has ended.
    ///
    /// # Errors
    /// [`FrameError::TooLong`].
    pub(crate) fn load(
        &self,
        message: impl FnOnce(WorkerRef) -> ToProcess,
        answer: oneshot::Sender<Result<Handlers, Failure>>,
    ) -> Result<WorkerRef, FrameError> {
        let mut state = self.state();
        state.last_worker += 1;
        let worker = state.last_worker;
        state.queue(&message(worker))?;
        if state.ended.is_none() {
            let due = Instant::now() + LOAD_WAIT;
            state.loading.insert(worker, Loading { answer, due });
        }
        drop(state);
        self.wake.notify_one();
        Ok(worker)
    }

    /// Begins an event. `entry` is dropped where the channel has ended, after its inbox was told.
    pub(crate) fn begin(
        self: &Arc<Self>,
        mut entry: Entry,
        message: impl FnOnce(CallId) -> ToProcess,
        body: Option<Body>,
    ) -> CallId {
        let mut state = self.state();
        state.last_call += 1;
        let call = state.last_call;
        if state.ended.is_some() || state.queue(&message(call)).is_err() {
            drop(state);
            entry.done(Usage::default(), Some(crashed()));
            return call;
        }
        if let Some(body) = body {
            let credit = Arc::new(Credit::new());
            let task = send_body(self.clone(), call, BodyOf::Event, body, credit.clone());
            entry.upload = Some(Upload {
                credit,
                task: Some(Task::spawn(task)),
            });
        }
        state.calls.insert(call, entry);
        drop(state);
        self.wake.notify_one();
        call
    }

    /// The reader of a body took bytes of it.
    pub(crate) fn credit(&self, call: CallId, of: BodyOf, bytes: usize) {
        let mut state = self.state();
        if state.calls.get(&call).is_some_and(|entry| !entry.is_cancelled()) {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            let _ = state.queue(&ToProcess::Credit { call, of, bytes });
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Keeps a guard as long as the process is at an event.
    pub(crate) fn hold(&self, call: CallId, guard: Guard) {
        let mut state = self.state();
        let left = match state.calls.get_mut(&call) {
            Some(entry) => {
                entry.guards.push(guard);
                None
            }
            None => Some(guard),
        };
        drop(state);
        drop(left);
    }

    /// Nobody waits for an event any more.
    pub(crate) fn cancel(&self, call: CallId) {
        let mut state = self.state();
        let Some(entry) = state.calls.get_mut(&call) else {
            return;
        };
        if !entry.is_cancelled() {
            entry.cancel(Instant::now());
            let _ = state.queue(&ToProcess::Cancel(call));
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Ends everything, once.
    pub(crate) fn end(&self, ended: Ended) {
        let mut state = self.state();
        if state.ended.is_some() {
            return;
        }
        state.ended = Some(ended);
        state.outbox.clear();
        state.queued = 0;
        let loading = std::mem::take(&mut state.loading);
        let calls = std::mem::take(&mut state.calls);
        drop(state);
        self.loads.close();
        for (_, mut entry) in calls {
            entry.done(Usage::default(), Some(crashed()));
        }
        drop(loading);
        self.wake.notify_one();
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        self.state().ended
    }

    pub(crate) fn takes_events(&self) -> bool {
        let state = self.state();
        state.ended.is_none() && state.ends.is_none() && !state.held_up
    }

    /// All frames that wait to be sent, in the place of those that are sent.
    pub(crate) fn exchange(&self, sent: &mut Vec<u8>) {
        let mut state = self.state();
        state.queued = state.queued.saturating_sub(sent.len());
        sent.clear();
        sent.shrink_to(KEPT);
        std::mem::swap(sent, &mut state.outbox);
    }

    /// Whether there is anything whose time can run out.
    pub(crate) fn is_busy(&self) -> bool {
        let state = self.state();
        !state.calls.is_empty() || !state.loading.is_empty() || state.ends.is_some()
    }

    /// Looks at the time.
    ///
    /// # Errors
    /// The process didn't do in time what it must.
    pub(crate) fn check_time(&self, now: Instant) -> Result<(), Ended> {
        let mut state = self.state();
        let mut late = Vec::new();
        for (call, entry) in &mut state.calls {
            match entry.overdue(now) {
                Some(Overdue::Kill) => return Err(Ended::Hangs),
                Some(Overdue::Cancel) => late.push(*call),
                None => {}
            }
        }
        let stays = state.ends.is_some_and(|since| now - since > END_WAIT);
        let loads_for_long = state.loading.values().any(|loading| loading.due <= now);
        if stays || loads_for_long || state.queued > MAX_QUEUED {
            return Err(Ended::Hangs);
        }
        state.held_up |= !late.is_empty();
        for call in late {
            let _ = state.queue(&ToProcess::Cancel(call));
        }
        Ok(())
    }

    /// Takes one message from the process.
    ///
    /// # Errors
    /// Why no process sends that.
    pub(crate) fn receive(self: &Arc<Self>, message: ToBroker) -> Result<(), &'static str> {
        let mut state = self.state();
        let leftovers = self.take(&mut state, message);
        let is_full = state.queued > MAX_QUEUED;
        drop(state);
        drop(leftovers?);
        match is_full || self.held.bytes() > MAX_HELD {
            true => Err("more bytes wait than may"),
            false => Ok(()),
        }
    }

    fn take(self: &Arc<Self>, state: &mut State, message: ToBroker) -> Result<Leftovers, &'static str> {
        match message {
            ToBroker::Loaded { worker, handlers } => state.loaded(worker, Ok(handlers))?,
            ToBroker::LoadFailed { worker, failure } => state.loaded(worker, Err(check::failure(failure)))?,
            ToBroker::Head {
                call,
                status,
                status_text,
                headers,
                body,
            } => {
                let entry = state.entry(call)?;
                let is_head = entry.head(status, status_text, headers, body)?;
                if !is_head && !entry.is_cancelled() {
                    entry.cancel(Instant::now());
                    let _ = state.queue(&ToProcess::Cancel(call));
                    self.wake.notify_one();
                }
            }
            ToBroker::Body { call, of, data } => match of {
                BodyOf::Event => state.entry(call)?.inbox.body(data)?,
                BodyOf::Fetch(fetch) => state.request(call, fetch)?.push(data)?,
            },
            ToBroker::BodyEnd { call, of, failure } => {
                let failure = failure.map(check::failure);
                match of {
                    BodyOf::Event => state.entry(call)?.inbox.body_end(failure)?,
                    BodyOf::Fetch(fetch) => state.request(call, fetch)?.end(failure)?,
                }
            }
            ToBroker::Credit { call, of, bytes } => match state.entry(call)?.credit(of) {
                Some(credit) => credit.add(bytes)?,
                None => return Err("credit for no body"),
            },
            ToBroker::Fetch { call, fetch, request } => self.fetch(state, call, fetch, request)?,
            ToBroker::FetchCancel { call, fetch } => match state.entry(call)?.fetches.get_mut(&fetch) {
                Some(fetch) => fetch.cancel(),
                None => return Err("a fetch that isn't there is cancelled"),
            },
            ToBroker::Log { call, line } => state.entry(call)?.log(line)?,
            ToBroker::Done { call, usage, failure } => {
                let mut entry = state.calls.remove(&call).ok_or("an event that isn't there")?;
                entry.done(usage, failure);
                return Ok(entry.guards);
            }
            ToBroker::Ends => {
                state.ends.get_or_insert_with(Instant::now);
            }
        }
        Ok(Vec::new())
    }

    fn fetch(
        self: &Arc<Self>,
        state: &mut State,
        call: CallId,
        fetch: FetchId,
        request: FetchRequest,
    ) -> Result<(), &'static str> {
        let entry = state.entry(call)?;
        entry.number_fetch(fetch)?;
        let mut sent = None;
        let credit = Arc::new(Credit::new());
        let mut under_way = Fetch {
            request: None,
            credit: credit.clone(),
            task: None,
            upload: None,
        };
        if request.has_body {
            let pipe = Arc::new(Pipe::new(self.held.clone()));
            let (uploading, body) = Uploading::new(PIECES);
            under_way.request = Some(pipe.clone());
            if !entry.is_cancelled() {
                let task = uploading.run(self.clone(), call, BodyOf::Fetch(fetch), pipe);
                under_way.upload = Some(Task::spawn(task));
            }
            sent = Some(body);
        }
        if entry.is_cancelled() {
            under_way.cancel();
        } else {
            let context = entry.context.clone();
            under_way.task = Some(Task::spawn(carry_out(
                self.clone(),
                context,
                (call, fetch),
                request,
                sent,
                credit,
            )));
        }
        entry.fetches.insert(fetch, under_way);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn queue(&mut self, message: &ToProcess) -> Result<(), FrameError> {
        if self.ended.is_none() {
            let before = self.outbox.len();
            append_frame(message, &mut self.outbox)?;
            self.queued += self.outbox.len() - before;
        }
        Ok(())
    }

    fn loaded(&mut self, worker: WorkerRef, outcome: Result<Handlers, Failure>) -> Result<(), &'static str> {
        let loading = self
            .loading
            .remove(&worker)
            .ok_or("code that wasn't sent was taken")?;
        let taken = outcome.is_ok();
        if loading.answer.send(outcome).is_err() && taken {
            // Whoever asked is gone.
            let _ = self.queue(&ToProcess::Unload(worker));
        }
        Ok(())
    }

    fn entry(&mut self, call: CallId) -> Result<&mut Entry, &'static str> {
        self.calls.get_mut(&call).ok_or("an event that isn't there")
    }

    fn request(&mut self, call: CallId, fetch: FetchId) -> Result<&Pipe, &'static str> {
        let fetch = self.entry(call)?.fetches.get(&fetch);
        let request = fetch.and_then(|fetch| fetch.request.as_deref());
        request.ok_or("a body of a fetch that has none")
    }
}
