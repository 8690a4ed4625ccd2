//! An isolate: one realm with a worker's modules in it. It works on one event at a time, so that limits are exact, and is
//! used again for the next, unless something went wrong.
//!
//! It does its work in turns: [`Isolate::turn`] delivers what came, and runs code until nothing is left to run. Between
//! turns it needs no thread.

pub(crate) mod clock;
pub(crate) mod code;
mod engine;
pub(crate) mod failure;
pub(crate) mod meter;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use jeju_worker_protocol::{
    BodyOf, CallId, Event, Failure, FetchId, FetchResponse, Form, Handlers, Limits, LogLine, Usage,
    WorkerRef, code as codes,
};
use rquickjs::promise::PromiseState;
use rquickjs::{Error, Function, Persistent, Promise, Runtime, Value};

use crate::host::{self, Host, Running};
use crate::process::{Writer, held};
use crate::realm::Realm;
use clock::thread_cpu;
use code::{Code, Loader};
use engine::{Engine, Settled, load_failure};
use meter::{Heap, Meter, Stop};

/// Least memory above which garbage is looked for after an event, in bytes.
const GARBAGE: usize = 4 << 20;

/// A worker: its code and what it runs with.
pub(crate) struct Worker {
    pub reference: WorkerRef,
    pub code: Arc<Code>,
    pub env: Vec<(String, String)>,
    pub limits: Limits,
    pub form: Form,
    pub max_concurrent: u16,
}

/// What comes for an event.
pub(crate) enum Mail {
    Body(BodyOf, Vec<u8>),
    BodyEnd(BodyOf, Option<Failure>),
    Credit(BodyOf, u32),
    FetchHead(FetchId, FetchResponse),
    FetchFailed(FetchId, Failure),
}

/// What a turn came to.
pub(crate) enum Turn {
    /// Nothing to do until mail comes, or until then.
    Waits(Option<Instant>),
    /// The event is over, or the modules are loaded.
    Over(Option<Failure>),
}

/// What an isolate is at.
enum Phase {
    /// Its modules run.
    Loads(Persistent<Promise<'static>>),
    /// Nothing.
    Rests,
    /// An event, until a promise is settled, if there is one.
    Works(Option<Persistent<Promise<'static>>>),
}

/// A realm with a worker's modules.
pub(crate) struct Isolate {
    phase: Phase,
    module: Option<Persistent<Value<'static>>>,
    handlers: Handlers,
    event: Option<Event>,
    /// What came before the handler ran.
    held: Vec<Mail>,
    realm: Realm,
    // The runtime has its address: it goes after the realm.
    loader: Rc<Loader>,
    host: Rc<Host>,
    meter: Rc<Meter>,
    worker: Arc<Worker>,
    cancelled: Arc<AtomicBool>,
    wall_end: Instant,
    cpu: Duration,
    cold: bool,
    spoiled: bool,
    /// Memory above which garbage is looked for.
    garbage: usize,
    early: Vec<LogLine>,
}

// SAFETY: all that isn't `Send` in it, reference counts and the engine's heap, is reachable from the isolate alone, and moves
// with it as a whole: natives keep nothing elsewhere, and the engine has no thread-local state but the stack's end, which
// `Realm::with` sets anew. Only one thread has it at a time.
unsafe impl Send for Isolate {}

impl Drop for Isolate {
    fn drop(&mut self) {
        // What refers to the realm goes before it.
        self.host.end();
    }
}

impl Isolate {
    /// Makes a realm and starts to load the modules.
    ///
    /// # Errors
    /// Too little memory for that.
    pub(crate) fn new(worker: &Arc<Worker>) -> std::result::Result<Self, Failure> {
        let meter = Meter::new(worker.limits.memory);
        let failed = |error: &dyn ToString| match meter.stopped() {
            Some(stop) => stop_failure(stop, &worker.limits),
            None => Failure::new(codes::CRASHED, error.to_string()),
        };
        let runtime = Runtime::new_with_alloc(Heap(Rc::clone(&meter))).map_err(|error| failed(&error))?;
        let host = Host::new(&meter);
        let (checked, own) = (Rc::clone(&meter), Rc::clone(&host));
        runtime.set_interrupt_handler(Some(Box::new(move || {
            // Answers of other events don't wait for code that runs for long, nor does the event's own for what runs behind it.
            held::release();
            own.event(Running::flush);
            checked.check()
        })));
        host::track(&host, &runtime);
        host.start(Running::loading(&worker.limits));
        let realm = Realm::new(runtime, |ctx, object| host::install(ctx, object, &host));
        let realm = realm.map_err(|error| failed(&error))?;
        let loader = Loader::install(realm.context(), Arc::clone(&worker.code));
        Ok(Self {
            phase: Phase::Rests,
            module: None,
            handlers: Handlers::default(),
            event: None,
            held: Vec::new(),
            realm,
            loader,
            host,
            meter,
            worker: Arc::clone(worker),
            cancelled: Arc::default(),
            wall_end: Instant::now() + Duration::from_millis(worker.limits.wall_ms.into()),
            cpu: Duration::ZERO,
            cold: true,
            spoiled: false,
            garbage: GARBAGE,
            early: Vec::new(),
        })
    }

    /// What its main module exports, once it is loaded.
    pub(crate) fn handlers(&self) -> Handlers {
        self.handlers
    }

    /// Takes an event, which started at `started`. The next turn works on it.
    pub(crate) fn take(
        &mut self,
        call: CallId,
        event: Event,
        started: Instant,
        writer: Arc<Writer>,
        cancelled: Arc<AtomicBool>,
    ) {
        let (answers, streams_in) = match &event {
            Event::Fetch(fetch) => (true, fetch.body.is_none()),
            Event::Scheduled(_) => (false, false),
        };
        self.early.extend(host::early(&self.host));
        let mut running = Running::event(&self.worker.limits, call, started, writer, answers, streams_in);
        for line in self.early.drain(..) {
            running.put(line);
        }
        self.host.end();
        self.host.start(running);
        self.event = Some(event);
        self.wall_end = started + Duration::from_millis(self.worker.limits.wall_ms.into());
        self.cancelled = cancelled;
        self.cpu = Duration::ZERO;
    }

    /// When the event has to be over.
    pub(crate) fn wall_end(&self) -> Instant {
        self.wall_end
    }

    /// Time on a CPU that is left.
    pub(crate) fn cpu_left(&self) -> Duration {
        Duration::from_millis(self.worker.limits.cpu_ms.into()).saturating_sub(self.cpu)
    }

    /// Delivers what came, and runs code until there is nothing to run.
    /// `cpu` is what the thread's clock shows. What is to be written of an event that is over comes with its end.
    pub(crate) fn turn(&mut self, mail: Vec<Mail>, cpu: Duration) -> Turn {
        let (left, cancelled) = (self.cpu_left(), Arc::clone(&self.cancelled));
        let result = match self.meter.start(cpu, left, self.wall_end, cancelled) {
            true => Ok(Turn::Over(None)),
            false => self.work(mail),
        };
        self.cpu += thread_cpu().saturating_sub(cpu);
        let failure = match (self.meter.stopped(), result) {
            (Some(stop), _) => Some(stop_failure(stop, &self.worker.limits)),
            (None, Ok(turn @ Turn::Waits(_))) => {
                self.host.event(Running::flush);
                return turn;
            }
            (None, Ok(Turn::Over(failure))) => failure,
            (None, Err(failure)) => Some(failure),
        };
        let limit = self.host.event(|running| running.limit);
        self.spoiled |= self.meter.stopped().is_some() || limit.is_some();
        let failure = failure.map(|failure| match limit {
            Some(limit) if failure.code == codes::EXCEPTION => Failure {
                code: limit.to_owned(),
                ..failure
            },
            _ => failure,
        });
        Turn::Over(failure)
    }

    /// Ends the event. Whether the isolate may be used again, and what has to be written to the front then.
    pub(crate) fn finish(&mut self, failure: Option<Failure>) -> (bool, Vec<u8>) {
        let hangs = failure
            .as_ref()
            .is_some_and(|failure| failure.code == codes::HANGS);
        let loaded = self.module.is_some() && !matches!(self.phase, Phase::Loads(_));
        self.phase = Phase::Rests;
        self.event = None;
        self.held.clear();
        let usage = Usage {
            wall_us: self
                .host
                .event(|running| running.started.elapsed().as_micros() as u64),
            cpu_us: self.cpu.as_micros() as u64,
            memory: self.meter.memory() as u64,
            cold: std::mem::take(&mut self.cold),
        };
        let mut last = Vec::new();
        let mut leaves = false;
        if let Some(mut running) = self.host.end() {
            leaves = running.leaves();
            self.early.append(&mut running.early);
            last = running.end(usage, failure, self.meter.memory() > self.garbage);
        }
        let keep = !self.spoiled && !hangs && loaded && (!leaves || self.forget()) && self.tidy();
        (keep, last)
    }

    /// Has the parts forget timers, bodies and fetches of an event that is over: nothing will come for them. Whether they did.
    fn forget(&self) -> bool {
        let forgotten = self.realm.with(|_, web| {
            web.get::<_, Function<'_>>("ended")?
                .call::<_, Value<'_>>(())
                .map(drop)
        });
        forgotten.is_ok()
    }

    /// Clears up after an event. Whether enough memory is left for the next.
    fn tidy(&mut self) -> bool {
        if self.meter.memory() > self.garbage {
            self.realm.runtime().run_gc();
            self.garbage = (self.meter.memory() / 4 * 5).max(GARBAGE);
        }
        self.meter.memory() < self.meter.memory_limit() / 4 * 3
    }

    fn work(&mut self, mut mail: Vec<Mail>) -> std::result::Result<Turn, Failure> {
        let Self {
            phase,
            module,
            handlers,
            event,
            held,
            realm,
            loader,
            host,
            meter,
            worker,
            ..
        } = self;
        let done = realm.with(|ctx, web| {
            let engine = Engine {
                ctx,
                web,
                host,
                meter,
            };
            if module.is_none() && matches!(phase, Phase::Rests) {
                match loader.start(ctx) {
                    Ok((loaded, promise)) => {
                        *module = Some(Persistent::save(ctx, loaded));
                        *phase = Phase::Loads(Persistent::save(ctx, promise));
                    }
                    Err(_) => return Ok(Err(load_failure(ctx, loader))),
                }
            }
            if let Phase::Loads(promise) = phase {
                engine.run_jobs();
                engine.fire_timers();
                match engine.settled(&promise.clone().restore(ctx)?) {
                    Settled::Pending(Ok(turn)) => {
                        // It is for the handler, which doesn't run yet.
                        held.append(&mut mail);
                        return Ok(Ok(turn));
                    }
                    Settled::Pending(Err(failure)) => {
                        let code = codes::MODULE.to_owned();
                        return Ok(Err(Failure { code, ..failure }));
                    }
                    Settled::Rejected => return Ok(Err(load_failure(ctx, loader))),
                    Settled::Resolved => {}
                }
                *phase = Phase::Rests;
                *handlers = engine.handlers(module.as_ref(), worker.form)?;
            }
            if let (Phase::Rests, Some(event)) = (&phase, event.take()) {
                host.event(Running::open);
                let namespace = engine.namespace(module.as_ref())?;
                match engine.dispatch(&namespace, *handlers, event, worker) {
                    Ok(promise) => {
                        *phase = Phase::Works(promise.map(|promise| Persistent::save(ctx, promise)));
                    }
                    Err(failure) => {
                        engine.run_jobs();
                        return Ok(Err(failure));
                    }
                }
                engine.run_jobs();
            }
            let Phase::Works(promise) = phase else {
                return Ok(Ok(Turn::Over(None)));
            };
            held.append(&mut mail);
            engine.deliver_all(std::mem::take(held));
            let mut outcome = || -> rquickjs::Result<std::result::Result<Turn, Failure>> {
                let mut awaited = promise.clone().map(|promise| promise.restore(ctx)).transpose()?;
                let is_over = |promise: &Promise<'_>| promise.state() == PromiseState::Resolved;
                if awaited.as_ref().is_none_or(is_over)
                    && let Some(late) = engine.late()?
                {
                    *promise = Some(Persistent::save(ctx, late.clone()));
                    awaited = Some(late);
                }
                Ok(engine.outcome(awaited.as_ref()))
            };
            // Timers of an event that is over don't fire any more.
            match outcome()? {
                Ok(Turn::Waits(_)) => {
                    // Those that are due already may have natives called that take long.
                    host.event(Running::flush);
                    engine.fire_timers();
                    outcome()
                }
                over => Ok(over),
            }
        });
        match done {
            Ok(done) => done,
            Err(error) => Err(self.broke(&error)),
        }
    }

    /// What the engine itself says.
    fn broke(&mut self, error: &Error) -> Failure {
        self.spoiled = true;
        if !error.is_exception() {
            return Failure::new(codes::CRASHED, error.to_string());
        }
        let failure = self
            .realm
            .with(|ctx, _| Ok(failure::pending(ctx, codes::EXCEPTION)));
        failure.unwrap_or_else(|error| Failure::new(codes::CRASHED, error.to_string()))
    }
}

fn stop_failure(stop: Stop, limits: &Limits) -> Failure {
    let message = match stop {
        Stop::Cpu => format!("the event used up its {} ms on a CPU", limits.cpu_ms),
        Stop::Wall => format!("Worker timeout: the event took longer than {} ms", limits.wall_ms),
        Stop::Memory => format!("the isolate used up its {} bytes of memory", limits.memory),
        Stop::Cancelled => "nobody waits for the answer any more".to_owned(),
        Stop::RequestBody => format!("the request has more than {} bytes", limits.request_body),
        Stop::ResponseBody => format!("the answer has more than {} bytes", limits.response_body),
    };
    Failure::new(stop.code(), message)
}
