//! What every worker finds on its global object, but for console and crypto: the common API of WinterTC.
//!
//! | module | natives | parts in `js/web` that use them |
//! |---|---|---|
//! | `base64` | | none: `atob` and `btoa` |
//! | `url` | `host.url` | `url` |
//! | `pattern` | `host.pattern` | `urlpattern` |
//! | `encoding` | `host.encoding` | `encoding`, and all that has bodies |
//! | `multipart` | `host.multipart` | `formdata` |
//!
//! Streams are web-streams-polyfill's (`third_party`), and are read when a worker first uses one.

mod base64;
mod encoding;
mod multipart;
mod parts;
mod pattern;
mod url;

use rquickjs::function::This;
use rquickjs::object::{Accessor, Property};
use rquickjs::{Ctx, Error, Object, Result, qjs};

pub(crate) use parts::PARTS;

/// Natives that the parts need.
pub(crate) fn install<'js>(host: &Object<'js>) -> Result<()> {
    // SAFETY: the context lives, and its global object is one's own.
    if unsafe { qjs::JS_AddIntrinsicAToB(host.ctx().as_raw().as_ptr()) } < 0 {
        return Err(Error::Exception);
    }
    base64::install(host.ctx())?;
    lazy(host, "encoding", encoding::natives)?;
    lazy(host, "pattern", pattern::natives)?;
    lazy(host, "url", url::natives)?;
    multipart::install(host)
}

/// A group of natives that is made when a part first asks for it: each function takes memory of each realm.
fn lazy<'js>(
    host: &Object<'js>,
    name: &'static str,
    make: for<'a> fn(&Ctx<'a>) -> Result<Object<'a>>,
) -> Result<()> {
    let get = move |ctx: Ctx<'js>, This(host): This<Object<'js>>| {
        let natives = make(&ctx)?;
        host.prop(name, Property::from(natives.clone()))?;
        Ok::<_, Error>(natives)
    };
    host.prop(name, Accessor::from(get).configurable())
}
