//! A realm: one QuickJS runtime with one context, and the global object that workers know.

mod parts;
mod script;

use rquickjs::{Context, Ctx, Object, Persistent, Result, Runtime, context::intrinsic, qjs};

use crate::{console, crypto, web};
pub(crate) use parts::Part;
pub(crate) use parts::compile as prepare;
pub use script::{TOO_LONG, eval_to_string, eval_within};

/// Stack of JavaScript, in bytes. Threads that run it have to have some more.
pub(crate) const STACK: usize = 1024 * 1024;

/// What a context has besides the base objects. No `eval`, and no `performance`, whose clock is too fine.
type Intrinsics = (
    intrinsic::Date,
    intrinsic::RegExpCompiler,
    intrinsic::RegExp,
    intrinsic::Json,
    intrinsic::Proxy,
    intrinsic::MapSet,
    intrinsic::TypedArrays,
    intrinsic::Promise,
    intrinsic::WeakRef,
    intrinsic::DOMException,
);

/// A runtime, its context, and what the engine calls in it.
pub(crate) struct Realm {
    web: Persistent<Object<'static>>,
    context: Context,
    runtime: Runtime,
}

impl Realm {
    /// Makes one. `host` puts the engine's own natives on the object that parts get.
    ///
    /// # Errors
    /// Memory, or what a part throws.
    pub(crate) fn new(
        runtime: Runtime,
        host: impl for<'js> FnOnce(&Ctx<'js>, &Object<'js>) -> Result<()>,
    ) -> Result<Self> {
        runtime.set_max_stack_size(STACK);
        let context = Context::builder().with::<Intrinsics>().build(&runtime)?;
        let web = context.with(|ctx| {
            // No threads, so no use; it would be a clock.
            ctx.globals().remove("SharedArrayBuffer")?;
            let natives = Object::new(ctx.clone())?;
            web::install(&natives)?;
            console::install(&ctx, &natives)?;
            crypto::install(&ctx, &natives)?;
            host(&ctx, &natives)?;
            let web = parts::install(&ctx, &natives)?;
            Ok::<_, rquickjs::Error>(Persistent::save(&ctx, web))
        })?;
        Ok(Self {
            web,
            context,
            runtime,
        })
    }

    /// Runs something in it, with `web`.
    pub(crate) fn with<R>(&self, f: impl for<'js> FnOnce(&Ctx<'js>, &Object<'js>) -> Result<R>) -> Result<R> {
        self.context.with(|ctx| {
            // The thread may be another than last time.
            // SAFETY: the runtime is this context's, and this thread's while it is locked.
            unsafe { qjs::JS_UpdateStackTop(qjs::JS_GetRuntime(ctx.as_raw().as_ptr())) };
            let web = self.web.clone().restore(&ctx)?;
            f(&ctx, &web)
        })
    }

    /// Its context.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Its runtime.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}
