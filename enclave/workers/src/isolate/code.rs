//! A worker's code: its modules, compiled once for all its isolates.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;

use jeju_worker_protocol::{Bundle, Failure, Resolver, code};
use rquickjs::{Ctx, Error, Exception, Object, Promise, Result, Value, qjs};

use crate::bytecode::{self, Compiler};
use crate::transform;

/// All modules of a bundle.
pub(crate) struct Code {
    main: String,
    modules: HashMap<String, std::result::Result<Vec<u8>, Failure>>,
    resolver: Resolver,
}

impl Code {
    /// Compiles a bundle. A module that can't be compiled fails when it is imported.
    ///
    /// # Errors
    /// The bundle isn't one, or the main module can't be compiled.
    pub(crate) fn new(bundle: &Bundle) -> std::result::Result<Self, Failure> {
        let refused = |error: &dyn ToString| Failure::new(code::SYNTAX, error.to_string());
        bundle.check().map_err(|error| refused(&error))?;
        let compiler = Compiler::new().map_err(|error| refused(&error))?;
        let modules: HashMap<_, _> = bundle
            .modules
            .iter()
            .map(|module| {
                let compiled = transform::prepare(module).and_then(|prepared| {
                    let compiled = compiler.module(&module.name, &prepared.source);
                    compiled.map_err(|error| refused(&error))
                });
                (module.name.clone(), compiled)
            })
            .collect();
        if let Some(Err(failure)) = modules.get(&bundle.main) {
            return Err(failure.clone());
        }
        Ok(Self {
            main: bundle.main.clone(),
            modules,
            resolver: Resolver::new(bundle),
        })
    }
}

/// How a realm finds modules: the engine holds on to its address.
pub(crate) struct Loader {
    code: Arc<Code>,
    /// Why the last import failed, which the exception alone doesn't say.
    failed: std::cell::RefCell<Option<Failure>>,
}

impl Loader {
    /// Gives a runtime a loader. It has to live as long as the runtime.
    pub(crate) fn install(runtime: &rquickjs::Context, code: Arc<Code>) -> Rc<Self> {
        let loader = Rc::new(Self {
            code,
            failed: std::cell::RefCell::default(),
        });
        runtime.with(|ctx| {
            // SAFETY: the loader lives as long as the runtime, as callers promise; the functions have the types that the engine
            // calls.
            unsafe {
                let runtime = qjs::JS_GetRuntime(ctx.as_raw().as_ptr());
                let opaque = Rc::as_ptr(&loader).cast_mut().cast();
                qjs::JS_SetModuleLoaderFunc2(runtime, None, Some(load), None, opaque);
                qjs::JS_SetModuleNormalizeFunc2(runtime, Some(normalize));
            }
        });
        loader
    }

    /// Why the last import failed, once.
    pub(crate) fn take_failure(&self) -> Option<Failure> {
        self.failed.take()
    }

    /// Reads the main module and starts to run it and what it imports. The module, and the promise of its end.
    ///
    /// # Errors
    /// What is thrown at once.
    pub(crate) fn start<'js>(&self, ctx: &Ctx<'js>) -> Result<(Value<'js>, Promise<'js>)> {
        let module = self.read(ctx, &self.code.main)?;
        // SAFETY: the value is a module of this context; evaluation takes a copy over.
        let promise = unsafe {
            let raw = ctx.as_raw().as_ptr();
            if qjs::JS_ResolveModule(raw, module.as_raw()) < 0 {
                return Err(Error::Exception);
            }
            let copy = qjs::JS_DupValue(raw, module.as_raw());
            bytecode::own(ctx, qjs::JS_EvalFunction(raw, copy))?
        };
        Ok((module, promise.get()?))
    }

    /// Reads a module's code; nothing of it runs yet.
    fn read<'js>(&self, ctx: &Ctx<'js>, name: &str) -> Result<Value<'js>> {
        let bytes = match self.code.modules.get(name) {
            Some(Ok(bytes)) => bytes,
            Some(Err(failure)) => return Err(self.fail(ctx, failure.clone())),
            None => {
                let message = format!("there is no module {name:?}");
                return Err(self.fail(ctx, Failure::new(code::IMPORT, message)));
            }
        };
        let module = bytecode::read(ctx, bytes)?;
        // SAFETY: the value is a module of this context.
        let meta = unsafe {
            let definition = definition(&module);
            bytecode::own(ctx, qjs::JS_GetImportMeta(ctx.as_raw().as_ptr(), definition))?
        };
        let meta: Object<'js> = meta.get()?;
        meta.set("url", format!("file:///{name}"))?;
        meta.set("main", name == self.code.main)?;
        Ok(module)
    }

    fn fail(&self, ctx: &Ctx<'_>, failure: Failure) -> Error {
        let error = match failure.code.as_str() {
            code::SYNTAX => Exception::throw_syntax(ctx, &failure.message),
            _ => Exception::throw_type(ctx, &failure.message),
        };
        self.failed.replace(Some(failure));
        error
    }
}

/// What a module exports.
pub(crate) fn namespace<'js>(ctx: &Ctx<'js>, module: &Value<'js>) -> Result<Object<'js>> {
    // SAFETY: the value is a module of this context.
    let namespace = unsafe {
        let definition = definition(module);
        bytecode::own(ctx, qjs::JS_GetModuleNamespace(ctx.as_raw().as_ptr(), definition))?
    };
    namespace.get()
}

/// # Safety
/// The value is a module.
unsafe fn definition(module: &Value<'_>) -> *mut qjs::JSModuleDef {
    // SAFETY: as the caller promises.
    unsafe { qjs::JS_VALUE_GET_PTR(module.as_raw()).cast() }
}

/// The name of the module that a specifier means.
unsafe extern "C" fn normalize(
    raw: *mut qjs::JSContext,
    base: *const c_char,
    name: *const c_char,
    _attributes: qjs::JSValue,
    opaque: *mut c_void,
) -> *mut c_char {
    // SAFETY: the engine calls with its context, with texts, and with the loader that it was given; it takes the text over.
    unsafe {
        let Some((ctx, loader)) = called(raw, opaque) else {
            return ptr::null_mut();
        };
        let base = CStr::from_ptr(base).to_string_lossy();
        let name = CStr::from_ptr(name).to_string_lossy();
        match loader.code.resolver.resolve(&name, &base) {
            Ok(found) => qjs::js_strndup(raw, found.as_ptr().cast(), found.len() as _),
            Err(error) => {
                loader.fail(&ctx, Failure::new(code::IMPORT, error.to_string()));
                ptr::null_mut()
            }
        }
    }
}

unsafe extern "C" fn load(
    raw: *mut qjs::JSContext,
    name: *const c_char,
    opaque: *mut c_void,
    _attributes: qjs::JSValue,
) -> *mut qjs::JSModuleDef {
    // SAFETY: as in `normalize`; the module stays in the context's list when the value is let go.
    unsafe {
        let Some((ctx, loader)) = called(raw, opaque) else {
            return ptr::null_mut();
        };
        let name = CStr::from_ptr(name).to_string_lossy();
        match loader.read(&ctx, &name) {
            Ok(module) => definition(&module),
            Err(_) => ptr::null_mut(),
        }
    }
}

/// # Safety
/// The engine calls with its context and the loader that it was given.
unsafe fn called<'js>(raw: *mut qjs::JSContext, opaque: *mut c_void) -> Option<(Ctx<'js>, &'js Loader)> {
    // SAFETY: as the caller promises.
    unsafe {
        let ctx = Ctx::from_raw(NonNull::new(raw)?);
        Some((ctx, opaque.cast::<Loader>().as_ref()?))
    }
}
