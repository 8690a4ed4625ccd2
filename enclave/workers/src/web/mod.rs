//! What every worker finds on its global object, but for console and crypto: the common API of WinterTC.
//!
//! | module | natives | parts in `js/web` that use them |
//! |---|---|---|
//! | `url` | `host.url` | `url` |
//! | `pattern` | `host.pattern` | `urlpattern` |
//! | `encoding` | `host.encoding` | `encoding`, and all that has bodies |
//! | `multipart` | `host.multipart` | `formdata` |
//!
//! Streams are web-streams-polyfill's (`third_party`), and are read when a worker first uses one.

mod encoding;
mod multipart;
mod parts;
mod pattern;
mod url;

use rquickjs::{Ctx, Object, qjs};

pub(crate) use parts::PARTS;

/// Natives that the parts need.
pub(crate) fn install<'js>(ctx: &Ctx<'js>, host: &Object<'js>) -> rquickjs::Result<()> {
    // SAFETY: the context lives, and its global object is one's own.
    if unsafe { qjs::JS_AddIntrinsicAToB(ctx.as_raw().as_ptr()) } < 0 {
        return Err(rquickjs::Error::Exception);
    }
    url::install(ctx, host)?;
    pattern::install(ctx, host)?;
    encoding::install(ctx, host)?;
    multipart::install(host)
}
