//! Compiled code: a script or module is parsed once in a process, and read by each realm that runs it.
//!
//! Realms have no compiler: that is what makes `eval` and `Function` fail in them.

use std::ffi::{CString, c_char, c_int, c_void};
use std::slice;

use rquickjs::{Context, Ctx, Error, Result, Runtime, Value, context::intrinsic, qjs};

/// Stack that the compiler may use, in bytes.
const STACK: usize = 512 * 1024;

/// Memory that the compiler may use, in bytes: a hundred times the longest bundle.
const MEMORY: usize = 400 << 20;

/// A realm that compiles and runs nothing.
pub(crate) struct Compiler {
    context: Context,
}

impl Compiler {
    /// # Errors
    /// Memory.
    pub(crate) fn new() -> Result<Self> {
        let runtime = Runtime::new()?;
        runtime.set_max_stack_size(STACK);
        runtime.set_memory_limit(MEMORY);
        let context = Context::builder()
            .with::<intrinsic::Eval>()
            .with::<intrinsic::RegExpCompiler>()
            .build(&runtime)?;
        context.with(|ctx| {
            // SAFETY: the functions have the types that the engine calls and use nothing but what they are called with.
            unsafe {
                let runtime = qjs::JS_GetRuntime(ctx.as_raw().as_ptr());
                qjs::JS_SetModuleLoaderFunc2(runtime, None, Some(any_module), None, std::ptr::null_mut());
            }
        });
        Ok(Self { context })
    }

    /// The code of a script, whose value is that of its last statement.
    ///
    /// # Errors
    /// The exception's text.
    pub(crate) fn script(&self, name: &str, source: &str) -> std::result::Result<Vec<u8>, String> {
        self.compile(
            name,
            source,
            qjs::JS_EVAL_TYPE_GLOBAL | qjs::JS_EVAL_FLAG_STRICT,
            0,
        )
    }

    /// As [`Compiler::script`]. Lines aren't in it but in development: they would take memory in each realm.
    ///
    /// # Errors
    /// The exception's text.
    pub(crate) fn part(&self, name: &str, source: &str) -> std::result::Result<Vec<u8>, String> {
        let strip = if cfg!(debug_assertions) {
            0
        } else {
            qjs::JS_WRITE_OBJ_STRIP_DEBUG
        };
        self.compile(
            name,
            source,
            qjs::JS_EVAL_TYPE_GLOBAL | qjs::JS_EVAL_FLAG_STRICT,
            strip,
        )
    }

    /// The code of a module. What it imports isn't looked for.
    ///
    /// # Errors
    /// The exception's text.
    pub(crate) fn module(&self, name: &str, source: &str) -> std::result::Result<Vec<u8>, String> {
        self.compile(name, source, qjs::JS_EVAL_TYPE_MODULE, 0)
    }

    fn compile(
        &self,
        name: &str,
        source: &str,
        flags: u32,
        strip: u32,
    ) -> std::result::Result<Vec<u8>, String> {
        self.context.with(|ctx| {
            let code = compile(&ctx, name, source, flags | qjs::JS_EVAL_FLAG_COMPILE_ONLY);
            code.and_then(|code| write(&ctx, &code, strip)).map_err(|error| {
                let thrown = ctx.catch();
                let Some(thrown) = thrown.as_exception() else {
                    return format!("{name}: {error}");
                };
                // The stack's first line says where.
                let place = thrown.stack().unwrap_or_default();
                let place = place
                    .lines()
                    .next()
                    .unwrap_or(name)
                    .trim()
                    .trim_start_matches("at ");
                format!("{}: {}", place, thrown.message().unwrap_or_default())
            })
        })
    }
}

fn compile<'js>(ctx: &Ctx<'js>, name: &str, source: &str, flags: u32) -> Result<Value<'js>> {
    let name = CString::new(name)?;
    let text = CString::new(source)?;
    // SAFETY: both strings end with a zero byte and live until the call is over; the value is owned by what is made of it.
    unsafe {
        let value = qjs::JS_Eval(
            ctx.as_raw().as_ptr(),
            text.as_ptr(),
            source.len() as _,
            name.as_ptr(),
            flags as _,
        );
        own(ctx, value)
    }
}

/// The bytes of compiled code. The source isn't in them, names of functions and lines are.
fn write(ctx: &Ctx<'_>, code: &Value<'_>, strip: u32) -> Result<Vec<u8>> {
    let flags = qjs::JS_WRITE_OBJ_BYTECODE | qjs::JS_WRITE_OBJ_STRIP_SOURCE | strip;
    let mut len = 0;
    // SAFETY: the buffer has `len` bytes, is copied before it is freed, and is freed once.
    unsafe {
        let buffer = qjs::JS_WriteObject(ctx.as_raw().as_ptr(), &mut len, code.as_raw(), flags as _);
        if buffer.is_null() {
            return Err(Error::Exception);
        }
        let bytes = slice::from_raw_parts(buffer, len as usize).to_vec();
        qjs::js_free(ctx.as_raw().as_ptr(), buffer.cast());
        Ok(bytes)
    }
}

/// Runs compiled code of a script. It has to be of this process's [`Compiler`].
pub(crate) fn run<'js>(ctx: &Ctx<'js>, code: &[u8]) -> Result<Value<'js>> {
    let script = read(ctx, code)?;
    // SAFETY: the value is of this context, and the call takes a copy over.
    unsafe {
        let raw = ctx.as_raw().as_ptr();
        own(
            ctx,
            qjs::JS_EvalFunction(raw, qjs::JS_DupValue(raw, script.as_raw())),
        )
    }
}

/// Reads compiled code. It has to be of this process's [`Compiler`].
pub(crate) fn read<'js>(ctx: &Ctx<'js>, code: &[u8]) -> Result<Value<'js>> {
    let flags = qjs::JS_READ_OBJ_BYTECODE;
    // SAFETY: the bytes come from `write` in this process, so that the engine may trust them.
    unsafe {
        let raw = ctx.as_raw().as_ptr();
        own(
            ctx,
            qjs::JS_ReadObject(raw, code.as_ptr(), code.len() as _, flags as _),
        )
    }
}

/// Stands for every module that is imported while code is compiled: imports are found when it runs.
unsafe extern "C" fn any_module(
    raw: *mut qjs::JSContext,
    name: *const c_char,
    _opaque: *mut c_void,
    _attributes: qjs::JSValue,
) -> *mut qjs::JSModuleDef {
    unsafe extern "C" fn nothing(_: *mut qjs::JSContext, _: *mut qjs::JSModuleDef) -> c_int {
        0
    }
    // SAFETY: the engine calls with its context and a text, which is copied.
    unsafe { qjs::JS_NewCModule(raw, name, Some(nothing)) }
}

/// # Safety
/// The value is of this context, and nobody else frees it.
pub(crate) unsafe fn own<'js>(ctx: &Ctx<'js>, value: qjs::JSValue) -> Result<Value<'js>> {
    // SAFETY: as the caller promises.
    unsafe {
        if qjs::JS_IsException(value) {
            return Err(Error::Exception);
        }
        Ok(Value::from_raw(ctx.clone(), value))
    }
}
