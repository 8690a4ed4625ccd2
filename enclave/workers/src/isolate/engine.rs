//! What an isolate does in a turn, inside its realm: jobs, timers, mail, handlers.

use std::time::Instant;

use jeju_worker_protocol::{BodyOf, Event, Failure, Form, Handlers, code as codes};
use rquickjs::object::Property;
use rquickjs::promise::PromiseState;
use rquickjs::{Ctx, Error, Function, IntoJs, Object, Persistent, Promise, Result, TypedArray, Value};

use super::code::{self, Loader};
use super::meter::{Meter, Stop};
use super::{Mail, Turn, Worker, failure};
use crate::host::{self, Host};

/// Jobs between two looks at the clocks.
const JOBS: u32 = 256;
/// Rounds in which rejections may lead to new ones.
const ROUNDS: usize = 8;

/// Whether a promise is settled.
pub(super) enum Settled {
    /// It isn't: what the isolate waits for, if anything can still come.
    Pending(std::result::Result<Turn, Failure>),
    Resolved,
    /// The reason is thrown.
    Rejected,
}

/// A realm at work.
pub(super) struct Engine<'a, 'js> {
    pub ctx: &'a Ctx<'js>,
    pub web: &'a Object<'js>,
    pub host: &'a Host,
    pub meter: &'a Meter,
}

impl<'js> Engine<'_, 'js> {
    /// Runs jobs until there are none, or the isolate has to stop.
    pub(super) fn run_jobs(&self) {
        for _ in 0..ROUNDS {
            let mut jobs = 0;
            while self.ctx.execute_pending_job() {
                jobs += 1;
                let look = jobs % JOBS == 0 && self.meter.check();
                if look || self.meter.stopped().is_some() {
                    return;
                }
            }
            let rejections = self.host.take_rejections();
            if rejections.is_empty() {
                return;
            }
            for (promise, reason) in rejections {
                let (Ok(promise), Ok(reason)) = (promise.restore(self.ctx), reason.restore(self.ctx)) else {
                    continue;
                };
                if self.rejected(promise, reason).is_err() {
                    self.host.caught(self.ctx, &self.ctx.catch());
                }
            }
        }
    }

    /// Tells the parts of a rejection that nobody handles, or the log.
    fn rejected(&self, promise: Value<'js>, reason: Value<'js>) -> Result<()> {
        match self.web.get::<_, Option<Function<'js>>>("rejected")? {
            Some(rejected) => rejected.call((promise, reason)),
            None => {
                self.host.caught(self.ctx, &reason);
                Ok(())
            }
        }
    }

    /// Delivers what came, each piece before the next.
    pub(super) fn deliver_all(&self, mail: Vec<Mail>) {
        for mail in mail {
            if self.meter.stopped().is_some() {
                return;
            }
            if self.deliver(mail).is_err() {
                self.host.caught(self.ctx, &self.ctx.catch());
            }
            self.run_jobs();
        }
    }

    pub(super) fn fire_timers(&self) {
        let now = Instant::now();
        for id in self.host.event(|running| running.due(now)) {
            if self.meter.stopped().is_some() {
                return;
            }
            // One before may have cleared it.
            if !self.host.event(|running| running.fire(id)) {
                continue;
            }
            if self.call(("timer", id)).is_err() {
                self.host.caught(self.ctx, &self.ctx.catch());
            }
            self.run_jobs();
        }
    }

    fn call<A: rquickjs::function::IntoArgs<'js>>(&self, arguments: A) -> Result<()> {
        let deliver: Function<'js> = self.web.get("deliver")?;
        deliver.call::<_, Value<'js>>(arguments).map(drop)
    }

    fn deliver(&self, mail: Mail) -> Result<()> {
        let number = |of| self.host.number(of);
        match mail {
            Mail::Body(of, data) => {
                let wanted = self.host.event(|running| running.came(of, data.len()));
                if of == BodyOf::Event && self.host.event(|running| running.request_too_long()) {
                    self.meter.stop(Stop::RequestBody);
                    return Ok(());
                }
                if !wanted {
                    return Ok(());
                }
                let data = TypedArray::<u8>::new_copy(self.ctx.clone(), data)?;
                self.call(("body", number(of), data))
            }
            Mail::BodyEnd(of, failure) => {
                if !self.host.event(|running| running.came_whole(of)) {
                    return Ok(());
                }
                let (code, message) = failure.map(|failure| (failure.code, failure.message)).unzip();
                self.call(("bodyEnd", number(of), OrNull(code), OrNull(message)))
            }
            Mail::Credit(of, bytes) => {
                self.host.event(|running| running.credit(of, bytes));
                match self.host.event(|running| running.is_open(of)) {
                    true => self.call(("credit", number(of), bytes)),
                    false => Ok(()),
                }
            }
            Mail::FetchHead(fetch, response) => {
                if !self.host.event(|running| running.fetched(fetch)) {
                    return Ok(());
                }
                let headers = host::flat(self.ctx, response.headers)?;
                let deliver: Function<'js> = self.web.get("deliver")?;
                let arguments = (
                    "fetchHead",
                    number(BodyOf::Fetch(fetch)),
                    response.status,
                    response.status_text,
                    headers,
                    response.url,
                    response.redirected,
                );
                deliver.call::<_, Value<'js>>(arguments).map(drop)
            }
            Mail::FetchFailed(fetch, failure) => {
                if !self.host.event(|running| running.fetch_failed(fetch)) {
                    return Ok(());
                }
                let id = number(BodyOf::Fetch(fetch));
                self.call(("fetchFailed", id, failure.code, failure.message))
            }
        }
    }

    /// What the worker asked to wait for after its answer, once.
    pub(super) fn late(&self) -> Result<Option<Promise<'js>>> {
        let late: Option<Promise<'js>> = self.web.get("late")?;
        if late.is_some() {
            self.web.set("late", Value::new_undefined(self.ctx.clone()))?;
        }
        Ok(late)
    }

    /// What a handler's promise came to. Without one, it is done.
    pub(super) fn outcome(&self, promise: Option<&Promise<'js>>) -> std::result::Result<Turn, Failure> {
        match promise.map_or(Settled::Resolved, |promise| self.settled(promise)) {
            Settled::Pending(turn) => turn,
            Settled::Rejected => Err(failure::pending(self.ctx, codes::EXCEPTION)),
            Settled::Resolved if self.host.event(|running| running.owes_answer()) => {
                let message = "the handler gave no answer";
                Err(Failure::new(codes::BAD_RESPONSE, message))
            }
            Settled::Resolved if self.host.event(|running| running.is_sending()) => Ok(Turn::Waits(None)),
            Settled::Resolved => Ok(Turn::Over(None)),
        }
    }

    pub(super) fn settled(&self, promise: &Promise<'js>) -> Settled {
        match promise.state() {
            PromiseState::Resolved => Settled::Resolved,
            PromiseState::Rejected => {
                // Throws the reason.
                let _ = promise.result::<Value<'js>>();
                Settled::Rejected
            }
            PromiseState::Pending => Settled::Pending(
                self.host
                    .event(|running| {
                        Some(match running.may_wake() {
                            true => Ok(Turn::Waits(running.next_timer())),
                            false => Err(running.caught.take().unwrap_or_else(|| {
                                Failure::new(
                                    codes::HANGS,
                                    "the handler waits for a promise that nothing can settle any more",
                                )
                            })),
                        })
                    })
                    .unwrap_or(Ok(Turn::Over(None))),
            ),
        }
    }

    pub(super) fn namespace(&self, module: Option<&Persistent<Value<'static>>>) -> Result<Object<'js>> {
        let module = module.cloned().ok_or(Error::Unknown)?.restore(self.ctx)?;
        code::namespace(self.ctx, &module)
    }

    /// What the main module exports.
    pub(super) fn handlers(
        &self,
        module: Option<&Persistent<Value<'static>>>,
        form: Form,
    ) -> Result<Handlers> {
        let inspect: Function<'js> = self.web.get("inspect")?;
        let found: Object<'js> = inspect.call((self.namespace(module)?, name(form)))?;
        Ok(Handlers {
            fetch: found.get("fetch")?,
            scheduled: found.get("scheduled")?,
            legacy: found.get("legacy")?,
        })
    }

    /// Calls the handler. The promise is settled when its answer is sent and all that it waits for is done; there is none
    /// where that is so at once.
    pub(super) fn dispatch(
        &self,
        namespace: &Object<'js>,
        handlers: Handlers,
        event: Event,
        worker: &Worker,
    ) -> std::result::Result<Option<Promise<'js>>, Failure> {
        let (there, name) = match &event {
            Event::Fetch(_) => (handlers.fetch, "fetch"),
            Event::Scheduled(_) => (handlers.scheduled, "scheduled"),
        };
        if !there {
            let message = format!("No {name} handler exported");
            return Err(Failure::new(codes::NO_HANDLER, message));
        }
        let promise = self.start(namespace, event, worker);
        promise.map_err(|_| failure::pending(self.ctx, codes::EXCEPTION))
    }

    fn start(&self, namespace: &Object<'js>, event: Event, worker: &Worker) -> Result<Option<Promise<'js>>> {
        let env = Object::new(self.ctx.clone())?;
        for (name, value) in &worker.env {
            // Not set: a variable may be called `__proto__`.
            env.prop(
                name.as_str(),
                Property::from(value.as_str())
                    .writable()
                    .configurable()
                    .enumerable(),
            )?;
        }
        match event {
            Event::Fetch(fetch) => {
                let headers = host::flat(self.ctx, fetch.headers)?;
                let body = match fetch.body {
                    None => Value::new_undefined(self.ctx.clone()),
                    Some(body) if body.is_empty() => Value::new_null(self.ctx.clone()),
                    Some(body) => TypedArray::<u8>::new_copy(self.ctx.clone(), body)?.into_value(),
                };
                let dispatch: Function<'js> = self.web.get("dispatchFetch")?;
                let form = name(worker.form);
                dispatch.call((
                    namespace.clone(),
                    env,
                    form,
                    fetch.method,
                    fetch.url,
                    headers,
                    body,
                ))
            }
            Event::Scheduled(scheduled) => {
                let object = Object::new(self.ctx.clone())?;
                object.set("cron", scheduled.cron)?;
                object.set("scheduledTime", scheduled.scheduled_time_ms as f64)?;
                let dispatch: Function<'js> = self.web.get("dispatchScheduled")?;
                dispatch.call((namespace.clone(), object, env))
            }
        }
    }
}

/// A value, or `null`: an absent one would be `undefined`.
struct OrNull<T>(Option<T>);

impl<'js, T: IntoJs<'js>> IntoJs<'js> for OrNull<T> {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        match self.0 {
            Some(value) => value.into_js(ctx),
            None => Ok(Value::new_null(ctx.clone())),
        }
    }
}

/// As parts call it.
const fn name(form: Form) -> &'static str {
    match form {
        Form::Detect => "detect",
        Form::Modules => "modules",
        Form::Legacy => "legacy",
    }
}

/// Why modules can't be loaded: what is thrown at the moment.
pub(super) fn load_failure(ctx: &Ctx<'_>, loader: &Loader) -> Failure {
    let failure = failure::pending(ctx, codes::MODULE);
    match loader.take_failure() {
        Some(own) => own,
        None => failure,
    }
}
