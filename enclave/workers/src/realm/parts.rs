//! Parts of the global object: JavaScript that comes with the engine. Each is compiled once in a process, when the first
//! realm needs it, and runs in a realm when it is first needed there.

use std::cell::RefCell;
use std::ffi::{CString, c_int};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::{LazyLock, OnceLock};

use rquickjs::{Ctx, Error, Exception, Function, JsLifetime, Object, Persistent, Result, Value, qjs};

use crate::bytecode::{self, Compiler};
use crate::{console, crypto, web};

/// A piece of JavaScript: one function expression of `host`, the natives, and `web`, what parts give to each other.
pub(crate) struct Part {
    /// Its name, for `web.need`.
    pub name: &'static str,
    /// Its source.
    pub source: &'static str,
    /// Names that it puts on `web` and that become members of the global object.
    pub globals: &'static [&'static str],
    /// Whether it runs when a realm is made.
    pub eager: bool,
}

/// A part, and its code once somebody needed it.
struct Compiled {
    part: &'static Part,
    code: OnceLock<Vec<u8>>,
}

/// All parts, in the order in which eager ones run.
static PARTS: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    let parts = web::PARTS.iter().chain(console::PARTS).chain(crypto::PARTS);
    #[cfg(test)]
    let parts = parts.chain(tests::PARTS);
    let compiled = |part| Compiled {
        part,
        code: OnceLock::new(),
    };
    parts.map(compiled).collect()
});

/// Parts that nearly every worker needs: compiled together.
const USUAL: [&str; 4] = ["headers", "body", "request", "response"];

impl Compiled {
    /// Its code. What it takes to compile it counts as nobody's memory, and as the time of who needs it first.
    fn code(&self) -> std::result::Result<&[u8], String> {
        match self.code.get() {
            Some(code) => Ok(code),
            None => self.compile(&Compiler::new().map_err(|error| error.to_string())?),
        }
    }

    fn compile(&self, compiler: &Compiler) -> std::result::Result<&[u8], String> {
        let code = compiler.part(&format!("jeju:{}", self.part.name), self.part.source)?;
        Ok(self.code.get_or_init(|| code))
    }
}

/// Global names, and which part has them.
static GLOBALS: LazyLock<Vec<(usize, CString)>> = LazyLock::new(|| {
    let of = |(at, compiled): (usize, &Compiled)| {
        let globals = compiled.part.globals;
        globals
            .iter()
            .map(move |name| (at, CString::new(*name).expect("a name")))
    };
    PARTS.iter().enumerate().flat_map(of).collect()
});

/// What a realm knows of its parts.
struct State {
    host: Persistent<Object<'static>>,
    web: Persistent<Object<'static>>,
    ran: RefCell<Vec<bool>>,
}

/// [`State`], where the getters of globals find it.
#[derive(Clone)]
struct Shared(Rc<State>);

// SAFETY: it has no value that is tied to a lifetime: persistent ones are checked when they are restored.
unsafe impl<'js> JsLifetime<'js> for Shared {
    type Changed<'to> = Shared;
}

/// Compiles what nearly every worker needs, once in a process.
pub(crate) fn compile() {
    LazyLock::force(&GLOBALS);
    let compiler = Compiler::new().expect("the engine's own code is compiled before there is little memory");
    for compiled in PARTS.iter() {
        let part = compiled.part;
        if compiled.code.get().is_none() && (part.eager || USUAL.contains(&part.name)) {
            let code = compiled.compile(&compiler);
            code.unwrap_or_else(|error| panic!("part {}: {error}", part.name));
        }
    }
}

/// Makes `web`: runs eager parts, and puts getters for the globals of all others on the global object.
///
/// # Errors
/// What an eager part throws, or memory.
pub(super) fn install<'js>(ctx: &Ctx<'js>, host: &Object<'js>) -> Result<Object<'js>> {
    let web = Object::new(ctx.clone())?;
    let state = Shared(Rc::new(State {
        host: Persistent::save(ctx, host.clone()),
        web: Persistent::save(ctx, web.clone()),
        ran: RefCell::new(vec![false; PARTS.len()]),
    }));
    ctx.store_userdata(state).map_err(|_| Error::Unknown)?;
    let need = Function::new(ctx.clone(), |ctx: Ctx<'js>, name: String| {
        match PARTS.iter().position(|compiled| compiled.part.name == name) {
            Some(at) => run(&ctx, at),
            None => Err(Exception::throw_internal(
                &ctx,
                &format!("there is no part {name}"),
            )),
        }
    })?;
    web.set("need", need)?;
    for (at, _) in PARTS
        .iter()
        .enumerate()
        .filter(|(_, compiled)| compiled.part.eager)
    {
        run(ctx, at)?;
    }
    let globals = ctx.globals();
    for (magic, (at, name)) in GLOBALS.iter().enumerate() {
        if !PARTS[*at].part.eager {
            define_lazy(ctx, &globals, magic, name)?;
        }
    }
    Ok(web)
}

/// Runs a part if it didn't run yet.
fn run(ctx: &Ctx<'_>, at: usize) -> Result<()> {
    let state = state(ctx)?;
    if state.ran.borrow().get(at).is_none_or(|ran| *ran) {
        return Ok(());
    }
    let set = |ran| state.ran.borrow_mut()[at] = ran;
    // Before it runs, as parts may need each other.
    set(true);
    run_now(ctx, &state, at).inspect_err(|_| set(false))
}

fn run_now(ctx: &Ctx<'_>, state: &State, at: usize) -> Result<()> {
    let web = state.web.clone().restore(ctx)?;
    let host = state.host.clone().restore(ctx)?;
    let Compiled { part, .. } = &PARTS[at];
    let code = PARTS[at].code();
    let code =
        code.map_err(|error| Exception::throw_internal(ctx, &format!("part {}: {error}", part.name)))?;
    let part_function: Function<'_> = bytecode::run(ctx, code)?.get()?;
    part_function.call::<_, Value<'_>>((host, web.clone()))?;
    if part.eager {
        for name in part.globals {
            define(ctx, &ctx.globals(), name, web.get::<_, Value<'_>>(*name)?)?;
        }
    }
    Ok(())
}

fn state(ctx: &Ctx<'_>) -> Result<Rc<State>> {
    match ctx.userdata::<Shared>() {
        Some(shared) => Ok(Rc::clone(&shared.0)),
        None => Err(Exception::throw_internal(ctx, "the realm is going")),
    }
}

/// A property as those of the global object are: writable, configurable, not enumerable.
fn define(ctx: &Ctx<'_>, object: &Object<'_>, name: &str, value: Value<'_>) -> Result<()> {
    let flags = qjs::JS_PROP_C_W_E & !qjs::JS_PROP_ENUMERABLE;
    let name = CString::new(name)?;
    // SAFETY: object and value are of this context; the value's copy is taken over by the call.
    let done = unsafe {
        let raw = ctx.as_raw().as_ptr();
        let value = qjs::JS_DupValue(raw, value.as_raw());
        qjs::JS_DefinePropertyValueStr(raw, object.as_raw(), name.as_ptr(), value, flags as _)
    };
    if done < 0 { Err(Error::Exception) } else { Ok(()) }
}

/// A getter and setter, one function for both, that makes itself a plain property.
fn define_lazy(ctx: &Ctx<'_>, globals: &Object<'_>, magic: usize, name: &CString) -> Result<()> {
    // SAFETY: the function has the shape that its kind is called with, which C's union of function pointers expresses; the
    // call takes both references over; the atom is freed once.
    let done = unsafe {
        let raw = ctx.as_raw().as_ptr();
        let kinds = qjs::JSCFunctionType {
            generic_magic: Some(access),
        };
        let kind = qjs::JSCFunctionEnum_JS_CFUNC_generic_magic;
        let function = qjs::JS_NewCFunction2(raw, kinds.generic, name.as_ptr(), 0, kind, magic as c_int);
        let again = qjs::JS_DupValue(raw, function);
        let atom = qjs::JS_NewAtom(raw, name.as_ptr());
        let flags = qjs::JS_PROP_CONFIGURABLE | qjs::JS_PROP_HAS_CONFIGURABLE;
        let done = qjs::JS_DefinePropertyGetSet(raw, globals.as_raw(), atom, function, again, flags as _);
        qjs::JS_FreeAtom(raw, atom);
        done
    };
    if done < 0 { Err(Error::Exception) } else { Ok(()) }
}

/// Reads a global for the first time, or with a value writes it.
unsafe extern "C" fn access(
    raw: *mut qjs::JSContext,
    _this: qjs::JSValue,
    count: c_int,
    values: *mut qjs::JSValue,
    magic: c_int,
) -> qjs::JSValue {
    // SAFETY: the engine calls with its context and as many values as it says; those are copied before they are owned, and
    // the caller takes a copy of the result over.
    unsafe {
        with(raw, |ctx| {
            let (at, name) = global(ctx, magic)?;
            if count > 0 {
                let value = Value::from_raw(ctx.clone(), qjs::JS_DupValue(raw, *values));
                define(ctx, &ctx.globals(), name, value)?;
                return Ok(qjs::JS_UNDEFINED);
            }
            run(ctx, at)?;
            let web = state(ctx)?.web.clone().restore(ctx)?;
            let value: Value<'_> = web.get(name)?;
            define(ctx, &ctx.globals(), name, value.clone())?;
            Ok(qjs::JS_DupValue(raw, value.as_raw()))
        })
    }
}

fn global(ctx: &Ctx<'_>, magic: c_int) -> Result<(usize, &'static str)> {
    let global = usize::try_from(magic).ok().and_then(|magic| GLOBALS.get(magic));
    match global {
        Some((at, name)) => Ok((*at, name.to_str()?)),
        None => Err(Exception::throw_internal(ctx, "there is no such global")),
    }
}

/// Runs what the engine called for; what fails is thrown.
///
/// # Safety
/// The context is the one that the engine called with.
unsafe fn with(
    raw: *mut qjs::JSContext,
    f: impl for<'js> FnOnce(&Ctx<'js>) -> Result<qjs::JSValue>,
) -> qjs::JSValue {
    let Some(raw) = NonNull::new(raw) else {
        return qjs::JS_EXCEPTION;
    };
    // SAFETY: as the caller promises; no value outlives the call but the one that is handed back.
    let ctx = unsafe { Ctx::from_raw(raw) };
    match f(&ctx) {
        Ok(value) => value,
        Err(Error::Exception) => qjs::JS_EXCEPTION,
        Err(error) => {
            Exception::throw_internal(&ctx, &error.to_string());
            qjs::JS_EXCEPTION
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Part;
    use crate::realm::eval_to_string;

    pub(super) const PARTS: &[Part] = &[
        Part {
            name: "test-eager",
            source: "(function (host, web) { 'use strict'; web.eagerTest = typeof host + web.ranLazy; })",
            globals: &["eagerTest"],
            eager: true,
        },
        Part {
            name: "test-lazy",
            source: "(function (host, web) { 'use strict'; web.need('test-third');
                     web.ranLazy = 1; web.lazyTest = () => web.eagerTest + web.third; web.lazyOther = 2; })",
            globals: &["lazyTest", "lazyOther"],
            eager: false,
        },
        Part {
            name: "test-third",
            source: "(function (host, web) { web.third = web.ranLazy + '!'; })",
            globals: &[],
            eager: false,
        },
    ];

    #[test]
    fn a_part_runs_when_one_of_its_globals_is_read() {
        let descriptor =
            "const d = (name) => JSON.stringify(Object.getOwnPropertyDescriptor(globalThis, name));";
        let eval = |source: &str| eval_to_string(&format!("{descriptor}{source}")).unwrap();
        assert_eq!(eval("eagerTest"), "objectundefined");
        assert_eq!(eval("lazyTest()"), "objectundefinedundefined!");
        let plain = r#"{"value":2,"writable":true,"enumerable":false,"configurable":true}"#;
        assert_eq!(eval("lazyOther; d('lazyOther')"), plain);
        assert_eq!(eval("lazyOther = 2; d('lazyOther')"), plain);
        assert_eq!(
            eval("lazyTest; d('lazyOther')"),
            r#"{"enumerable":false,"configurable":true}"#
        );
        assert_eq!(eval("Object.keys(globalThis).length"), "0");
        assert_eq!(eval("delete globalThis.lazyTest; typeof lazyTest"), "undefined");
    }
}
