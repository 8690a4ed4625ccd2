//! The engine's own natives: what parts call to answer, to fetch, to wait and to log.

mod running;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use jeju_worker_protocol::{BodyOf, FetchRequest, Headers, Level, LogLine, Redirect, code};
use rquickjs::function::IntoJsFunc;
use rquickjs::{Array, Ctx, Error, Exception, Function, Object, Persistent, Result, Type, TypedArray, Value};

pub(crate) use running::{Refused, Running};

use crate::isolate::failure;
use crate::isolate::meter::{Meter, Stop};
use crate::text::lossy;

/// Longest time of a timer, as browsers have it: 2^31 - 1 ms.
const MAX_TIMER_MS: f64 = 2_147_483_647.0;
/// Most random bytes at a time.
const MAX_RANDOM: usize = 64 * 1024;
/// Most rejections that are looked at in one turn.
const MAX_REJECTIONS: usize = 256;

/// A promise that was rejected, and why.
type Rejection = (Persistent<Value<'static>>, Persistent<Value<'static>>);

/// What an isolate's natives share.
pub(crate) struct Host {
    meter: Rc<Meter>,
    running: RefCell<Option<Running>>,
    /// Counts timers of the isolate.
    timers: Cell<u32>,
    /// Numbers of the isolate's earlier fetches: those of an event follow them.
    fetches: Cell<u32>,
    rejections: RefCell<Vec<Rejection>>,
}

impl Host {
    /// For an isolate.
    pub(crate) fn new(meter: &Rc<Meter>) -> Rc<Self> {
        Rc::new(Self {
            meter: Rc::clone(meter),
            running: RefCell::default(),
            timers: Cell::new(0),
            fetches: Cell::new(0),
            rejections: RefCell::default(),
        })
    }

    /// An event starts.
    pub(crate) fn start(&self, running: Running) {
        self.running.replace(Some(running));
    }

    /// The event is over.
    pub(crate) fn end(&self) -> Option<Running> {
        self.rejections.take();
        let running = self.running.take()?;
        self.fetches
            .set(self.fetches.get().saturating_add(running.requests()));
        Some(running)
    }

    /// Something with the event, if there is one.
    pub(crate) fn event<R: Default>(&self, f: impl FnOnce(&mut Running) -> R) -> R {
        match self.running.borrow_mut().as_mut() {
            Some(running) => f(running),
            None => R::default(),
        }
    }

    /// What parts call a body.
    pub(crate) fn number(&self, of: BodyOf) -> u32 {
        match of {
            BodyOf::Event => 0,
            BodyOf::Fetch(fetch) => self.fetches.get().saturating_add(fetch),
        }
    }

    /// What the front calls it.
    fn of(&self, number: u32) -> BodyOf {
        match number {
            0 => BodyOf::Event,
            // No fetch of this event has number 0.
            number => BodyOf::Fetch(number.saturating_sub(self.fetches.get())),
        }
    }

    /// Promises that were rejected and that nobody waits for.
    pub(crate) fn take_rejections(&self) -> Vec<Rejection> {
        self.rejections.take()
    }

    /// Something was thrown that nobody caught.
    pub(crate) fn caught(&self, ctx: &Ctx<'_>, value: &Value<'_>) {
        if self.meter.stopped().is_some() {
            return;
        }
        let failure = failure::thrown(ctx, value, code::EXCEPTION);
        self.event(|running| {
            running.log(Level::Error, failure::line(&failure));
            running.caught.get_or_insert(failure);
        });
    }

    /// Keeps track of promises that are rejected.
    fn rejected<'js>(&self, ctx: &Ctx<'js>, promise: Value<'js>, reason: Value<'js>, handled: bool) {
        let promise = Persistent::save(ctx, promise);
        let mut rejections = self.rejections.borrow_mut();
        if handled {
            rejections.retain(|(other, _)| *other != promise);
        } else if rejections.len() < MAX_REJECTIONS {
            rejections.push((promise, Persistent::save(ctx, reason)));
        }
    }

    fn refused<R>(&self, ctx: &Ctx<'_>, result: std::result::Result<R, Refused>) -> Result<R> {
        result.map_err(|refused| match refused {
            Refused::Type(message) => Exception::throw_type(ctx, &message),
            Refused::Range(message) => Exception::throw_range(ctx, &message),
        })
    }

    fn try_event<R>(
        &self,
        ctx: &Ctx<'_>,
        f: impl FnOnce(&mut Running) -> std::result::Result<R, Refused>,
    ) -> Result<R> {
        let result = match self.running.borrow_mut().as_mut() {
            Some(running) => f(running),
            None => Err(Refused::Type("no event is under way".to_owned())),
        };
        self.refused(ctx, result)
    }

    /// Stops the isolate for too long an answer.
    fn check_answer(&self, ctx: &Ctx<'_>, len: usize) -> Result<()> {
        if self.event(|running| running.too_long(len as u64)) {
            self.meter.stop(Stop::ResponseBody);
            return Err(Exception::throw_range(ctx, "the answer is too long"));
        }
        Ok(())
    }
}

/// Follows rejections of promises.
pub(crate) fn track(host: &Rc<Host>, runtime: &rquickjs::Runtime) {
    let host = Rc::clone(host);
    runtime.set_host_promise_rejection_tracker(Some(Box::new(move |ctx, promise, reason, handled| {
        host.rejected(&ctx, promise, reason, handled);
    })));
}

/// Puts the natives on the object that parts get.
pub(crate) fn install<'js>(ctx: &Ctx<'js>, object: &Object<'js>, host: &Rc<Host>) -> Result<()> {
    answering(ctx, object, host)?;
    fetching(ctx, object, host)?;
    waiting(ctx, object, host)
}

fn put<'js, P>(
    ctx: &Ctx<'js>,
    object: &Object<'js>,
    name: &str,
    f: impl IntoJsFunc<'js, P> + 'js,
) -> Result<()> {
    object.set(name, Function::new(ctx.clone(), f)?)
}

/// `head`, `body`, `bodyEnd`, `more`, `log`, `caught`.
fn answering<'js>(ctx: &Ctx<'js>, object: &Object<'js>, host: &Rc<Host>) -> Result<()> {
    let own = Rc::clone(host);
    let head =
        move |ctx: Ctx<'js>, status: f64, status_text: Value<'js>, headers: Array<'js>, body: Value<'js>| {
            let body = match body.type_of() {
                Type::Null => None,
                Type::String => Some(lossy(&body)?.into_bytes()),
                _ => Some(bytes(&ctx, &body)?),
            };
            own.check_answer(&ctx, body.as_ref().map_or(0, Vec::len))?;
            let (status_text, headers) = (lossy(&status_text)?, fields(&headers)?);
            own.try_event(&ctx, |running| {
                running.head(status as u16, status_text, headers, body)
            })
        };
    put(ctx, object, "head", head)?;
    let own = Rc::clone(host);
    let body = move |ctx: Ctx<'js>, number: u32, data: Value<'js>| {
        let data = bytes(&ctx, &data)?;
        if number == 0 {
            own.check_answer(&ctx, data.len())?;
        }
        let of = own.of(number);
        own.try_event(&ctx, |running| running.body(of, &data))
    };
    put(ctx, object, "body", body)?;
    let own = Rc::clone(host);
    let body_end = move |number: u32, message: Value<'js>| {
        let message = (!message.is_null()).then(|| lossy(&message)).transpose()?;
        let of = own.of(number);
        // Where the isolate was stopped, the event's end says why: what the stream made of it doesn't.
        if message.is_none() || own.meter.stopped().is_none() {
            own.event(|running| running.body_end(of, message));
        }
        Ok::<_, Error>(())
    };
    put(ctx, object, "bodyEnd", body_end)?;
    let own = Rc::clone(host);
    let more = move |number: u32, bytes: f64| {
        let of = own.of(number);
        own.event(|running| running.more(of, bytes as u32));
    };
    put(ctx, object, "more", more)?;
    let own = Rc::clone(host);
    let log = move |level: u32, text: Value<'js>| {
        let text = lossy(&text)?;
        own.event(|running| running.log(self::level(level), text));
        Ok::<_, Error>(())
    };
    put(ctx, object, "log", log)?;
    let own = Rc::clone(host);
    put(ctx, object, "caught", move |ctx: Ctx<'js>, value: Value<'js>| {
        own.caught(&ctx, &value)
    })
}

/// `fetch`, `fetchCancel`.
fn fetching<'js>(ctx: &Ctx<'js>, object: &Object<'js>, host: &Rc<Host>) -> Result<()> {
    let own = Rc::clone(host);
    let fetch = move |ctx: Ctx<'js>,
                      method: Value<'js>,
                      url: Value<'js>,
                      headers: Array<'js>,
                      has_body: bool,
                      redirect: Value<'js>| {
        let redirect = match lossy(&redirect)?.as_str() {
            "follow" => Redirect::Follow,
            "error" => Redirect::Error,
            "manual" => Redirect::Manual,
            other => {
                return Err(Exception::throw_type(
                    &ctx,
                    &format!("redirect {other:?} is unknown"),
                ));
            }
        };
        let request = FetchRequest {
            method: lossy(&method)?,
            url: lossy(&url)?,
            headers: fields(&headers)?,
            has_body,
            redirect,
        };
        let fetch = own.try_event(&ctx, |running| running.fetch(request))?;
        Ok(own.number(BodyOf::Fetch(fetch)))
    };
    put(ctx, object, "fetch", fetch)?;
    let own = Rc::clone(host);
    put(ctx, object, "fetchCancel", move |number: u32| {
        if let BodyOf::Fetch(fetch) = own.of(number) {
            own.event(|running| running.fetch_cancel(fetch));
        }
    })
}

/// `timer`, `clearTimer`, `now`, `random`.
fn waiting<'js>(ctx: &Ctx<'js>, object: &Object<'js>, host: &Rc<Host>) -> Result<()> {
    let own = Rc::clone(host);
    let timer = move |ctx: Ctx<'js>, ms: f64| {
        let id = own.timers.get().wrapping_add(1);
        own.timers.set(id);
        // Not a number is 0.
        let after = Duration::from_millis(ms.clamp(0.0, MAX_TIMER_MS) as u64);
        own.try_event(&ctx, |running| running.timer(id, after))?;
        Ok::<_, Error>(id)
    };
    put(ctx, object, "timer", timer)?;
    let own = Rc::clone(host);
    put(ctx, object, "clearTimer", move |id: u32| {
        own.event(|running| running.clear_timer(id))
    })?;
    let own = Rc::clone(host);
    // Coarse on purpose: a finer clock would show what caches hold.
    put(ctx, object, "now", move || {
        own.event(|running| running.started.elapsed().as_millis() as f64)
    })?;
    put(ctx, object, "random", random)
}

fn random<'js>(ctx: Ctx<'js>, len: usize) -> Result<TypedArray<'js, u8>> {
    if len > MAX_RANDOM {
        return Err(Exception::throw_range(&ctx, "too many random bytes at a time"));
    }
    let mut bytes = vec![0; len];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Exception::throw_internal(&ctx, "no random numbers"))?;
    TypedArray::new_copy(ctx, bytes)
}

/// A `Uint8Array`'s bytes.
fn bytes(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<Vec<u8>> {
    let array = value.as_object().and_then(|object| object.as_typed_array::<u8>());
    // SAFETY: nothing of the realm runs until the bytes are copied.
    let copy = array.and_then(|array| unsafe { array.as_bytes() }.map(<[u8]>::to_vec));
    match copy {
        Some(bytes) => Ok(bytes),
        None => Err(Exception::throw_type(ctx, "a Uint8Array is wanted")),
    }
}

/// Names and values, which follow each other in an array.
fn fields(flat: &Array<'_>) -> Result<Headers> {
    (0..flat.len() / 2)
        .map(|at| {
            let text = |at| lossy(&flat.get::<Value<'_>>(at)?);
            Ok((text(2 * at)?, text(2 * at + 1)?))
        })
        .collect()
}

/// Names and values in an array, one after the other.
pub(crate) fn flat<'js>(ctx: &Ctx<'js>, headers: Headers) -> Result<Array<'js>> {
    let array = Array::new(ctx.clone())?;
    for (at, text) in headers
        .into_iter()
        .flat_map(|(name, value)| [name, value])
        .enumerate()
    {
        array.set(at, text)?;
    }
    Ok(array)
}

fn level(number: u32) -> Level {
    match number {
        0 => Level::Debug,
        2 => Level::Info,
        3 => Level::Warn,
        4 => Level::Error,
        _ => Level::Log,
    }
}

/// Lines that were written while a module was loaded.
pub(crate) fn early(host: &Host) -> Vec<LogLine> {
    host.event(|running| std::mem::take(&mut running.early))
}
