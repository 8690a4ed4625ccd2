//! The functions that the JavaScript side of Web Crypto calls. It has checked algorithms, usages and types by then;
//! what is wrong all the same is refused here.

mod keys;
mod operations;

use rquickjs::{ArrayBuffer, Class, Ctx, Object, Result};

use super::bytes::buffer;
use super::key::{Handle, Material};
use super::refusal::Refusal;

type Key<'js> = Class<'js, Handle>;

/// An object with all of them.
pub(super) fn table<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let table = Object::new(ctx.clone())?;
    keys::install(&table)?;
    operations::install(&table)?;
    Ok(table)
}

/// Gives a result to JavaScript, or throws.
fn answer<'js, T: AsRef<[u8]>>(
    ctx: &Ctx<'js>,
    result: std::result::Result<T, Refusal>,
) -> Result<ArrayBuffer<'js>> {
    match result {
        Ok(bytes) => buffer(ctx, bytes.as_ref()),
        Err(refusal) => Err(refusal.throw(ctx)),
    }
}

fn give<'js>(ctx: &Ctx<'js>, material: std::result::Result<Material, Refusal>) -> Result<Key<'js>> {
    Handle::give(ctx, material.map_err(|refusal| refusal.throw(ctx))?)
}
