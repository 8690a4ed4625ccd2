//! A script in a realm of its own, for tests of the parts: no worker, no limits, no events.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rquickjs::convert::Coerced;
use rquickjs::promise::PromiseState;
use rquickjs::{Ctx, Error, Function, Object, Promise, Result, Runtime, TypedArray, Value};

use super::Realm;
use crate::bytecode::{self, Compiler};

/// Longest time that a script runs or waits for its timers.
const PATIENCE: Duration = Duration::from_secs(60);
/// What [`eval_within`] says of a script that took longer than it may.
pub const TOO_LONG: &str = "it takes too long";

/// When timers are due, by number.
type Timers = Rc<RefCell<BTreeMap<u32, Instant>>>;

/// Runs a script in strict mode, for a minute at most. If its value is a promise, jobs and timers run until it is settled.
/// What comes back is the value as `String` makes it text, or the exception's text and stack.
pub fn eval_to_string(source: &str) -> std::result::Result<String, String> {
    eval_within(PATIENCE, source)
}

/// [`eval_to_string`] for a time of the caller's.
///
/// # Errors
/// As there, and [`TOO_LONG`].
pub fn eval_within(patience: Duration, source: &str) -> std::result::Result<String, String> {
    let end = Instant::now() + patience;
    let compiler = Compiler::new().map_err(|error| error.to_string())?;
    let code = compiler.script("script.js", source)?;
    let timers = Timers::default();
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    runtime.set_interrupt_handler(Some(Box::new(move || Instant::now() >= end)));
    let realm = Realm::new(runtime, |ctx, host| natives(ctx, host, &timers));
    let realm = realm.map_err(|error| format!("the realm can't be made: {error}"))?;
    let answer = realm.with(|ctx, web| {
        let answer = bytecode::run(ctx, &code).and_then(|value| settle(ctx, web, value, &timers, end));
        Ok(answer.map_err(|error| describe(ctx, &error)))
    });
    // However the engine tells of it.
    let late = |error| {
        if Instant::now() < end {
            error
        } else {
            TOO_LONG.to_owned()
        }
    };
    answer
        .unwrap_or_else(|error| Err(error.to_string()))
        .map_err(late)
}

fn settle<'js>(
    ctx: &Ctx<'js>,
    web: &Object<'js>,
    value: Value<'js>,
    timers: &Timers,
    end: Instant,
) -> Result<String> {
    let value = match value.clone().into_promise() {
        Some(promise) => wait(ctx, web, &promise, timers, end)?,
        None => {
            while ctx.execute_pending_job() {}
            value
        }
    };
    Ok(value.get::<Coerced<String>>()?.0)
}

fn wait<'js>(
    ctx: &Ctx<'js>,
    web: &Object<'js>,
    promise: &Promise<'js>,
    timers: &Timers,
    end: Instant,
) -> Result<Value<'js>> {
    loop {
        while ctx.execute_pending_job() {}
        if promise.state() != PromiseState::Pending {
            return promise.result().unwrap_or(Err(Error::Unknown));
        }
        let next = timers
            .borrow()
            .iter()
            .min_by_key(|(_, due)| **due)
            .map(|(id, due)| (*id, *due));
        let Some((id, due)) = next.filter(|(_, due)| *due < end) else {
            return Err(Error::new_from_js_message(
                "promise",
                "value",
                "it is never settled",
            ));
        };
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        timers.borrow_mut().remove(&id);
        web.get::<_, Function<'_>>("deliver")?
            .call::<_, Value<'_>>(("timer", id))?;
    }
}

fn describe(ctx: &Ctx<'_>, error: &Error) -> String {
    if !error.is_exception() {
        return error.to_string();
    }
    let thrown = ctx.catch();
    match thrown.as_exception() {
        Some(exception) => exception.to_string(),
        None => match thrown.get::<Coerced<String>>() {
            Ok(text) => text.0,
            Err(_) => format!("{:?}", thrown.type_of()),
        },
    }
}

fn natives<'js>(ctx: &Ctx<'js>, host: &Object<'js>, timers: &Timers) -> Result<()> {
    let start = Instant::now();
    let function = |name: &str, function: Function<'js>| host.set(name, function);
    function(
        "now",
        Function::new(ctx.clone(), move || start.elapsed().as_millis() as f64)?,
    )?;
    let shared = Rc::clone(timers);
    let timer = move |ms: f64| {
        let mut timers = shared.borrow_mut();
        let id = timers.last_key_value().map_or(1, |(id, _)| id + 1);
        timers.insert(
            id,
            Instant::now() + Duration::from_millis(ms.clamp(0.0, 1e9) as u64),
        );
        id
    };
    function("timer", Function::new(ctx.clone(), timer)?)?;
    let shared = Rc::clone(timers);
    let clear = move |id: u32| {
        shared.borrow_mut().remove(&id);
    };
    function("clearTimer", Function::new(ctx.clone(), clear)?)?;
    let random = |ctx: Ctx<'js>, len: usize| {
        let mut bytes = vec![0; len];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Unknown)?;
        TypedArray::new(ctx, bytes)
    };
    function("random", Function::new(ctx.clone(), random)?)?;
    let log = |level: u32, text: String| eprintln!("[{level}] {text}");
    function("log", Function::new(ctx.clone(), log)?)?;
    let caught = |ctx: Ctx<'js>, error: Value<'js>| {
        ctx.throw(error);
        eprintln!("not caught: {}", describe(&ctx, &Error::Exception));
    };
    function("caught", Function::new(ctx.clone(), caught)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_a_value() {
        assert_eq!(eval_to_string("[1, 2].map((n) => n + 1)").unwrap(), "2,3");
        assert_eq!(eval_to_string("(async () => 1 + await 2)()").unwrap(), "3");
        assert_eq!(
            eval_to_string("typeof host + typeof web").unwrap(),
            "undefinedundefined"
        );
    }

    #[test]
    fn a_script_that_does_not_end_is_ended() {
        let within = |source: &str| eval_within(Duration::from_millis(50), source);
        assert_eq!(within("for (;;) {}"), Err(TOO_LONG.to_owned()));
        assert_eq!(
            within("(async () => { await 0; for (;;) {} })()"),
            Err(TOO_LONG.to_owned())
        );
        // As a pattern of a URL may be: each group may end anywhere.
        let angry = "new URLPattern({ pathname: '/:a+:b+:c+!' }).test({ pathname: '/' + 'a'.repeat(200) })";
        assert_eq!(within(angry), Err(TOO_LONG.to_owned()));
    }

    #[test]
    fn what_a_script_throws_comes_back_with_its_stack() {
        let error = eval_to_string("function f() { throw new TypeError('no'); }\nf()").unwrap_err();
        assert!(error.contains("TypeError: no") || error.contains("no"), "{error}");
        assert!(error.contains("script.js:1"), "{error}");
        assert_eq!(eval_to_string("throw 7").unwrap_err(), "7");
        assert!(
            eval_to_string("Promise.reject(new Error('late'))")
                .unwrap_err()
                .contains("late")
        );
        assert!(
            eval_to_string("new Promise(() => {})")
                .unwrap_err()
                .contains("never")
        );
        assert!(eval_to_string("1 +").unwrap_err().contains("script.js"));
    }

    #[test]
    fn nothing_makes_code_of_text() {
        for source in [
            "eval('1')",
            "(0, eval)('1')",
            "new Function('return 1')()",
            "(async () => {}).constructor('return 1')()",
            "(function* () {}).constructor('yield 1')()",
        ] {
            let error = eval_to_string(source).unwrap_err();
            assert!(error.contains("eval"), "{source}: {error}");
        }
        assert_eq!(eval_to_string("typeof SharedArrayBuffer").unwrap(), "undefined");
    }
}
