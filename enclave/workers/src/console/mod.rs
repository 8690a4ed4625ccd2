//! The console: lines for the worker's log, formatted as Node does.

use rquickjs::prelude::Func;
use rquickjs::promise::PromiseState;
use rquickjs::{Array, Ctx, Object, Promise, Result};

use crate::realm::Part;

/// Parts of it. A line that is one string needs only the first.
pub(crate) const PARTS: &[Part] = &[
    part(
        "console",
        include_str!("../../js/console/console.js"),
        &["console"],
    ),
    part("console-format", include_str!("../../js/console/format.js"), &[]),
    part("console-texts", include_str!("../../js/console/texts.js"), &[]),
    part("console-shapes", include_str!("../../js/console/shapes.js"), &[]),
    part(
        "console-inspect",
        include_str!("../../js/console/inspect.js"),
        &[],
    ),
    part("console-table", include_str!("../../js/console/table.js"), &[]),
];

const fn part(name: &'static str, source: &'static str, globals: &'static [&'static str]) -> Part {
    Part {
        name,
        source,
        globals,
        eager: false,
    }
}

/// Natives that the parts need: `host.promiseState`.
pub(crate) fn install<'js>(_ctx: &Ctx<'js>, host: &Object<'js>) -> Result<()> {
    host.set("promiseState", Func::from(promise_state))
}

/// Whether a promise was fulfilled, and its value or reason; nothing while it is pending.
fn promise_state<'js>(ctx: Ctx<'js>, promise: Promise<'js>) -> Result<Option<Array<'js>>> {
    let fulfilled = match promise.state() {
        PromiseState::Pending => return Ok(None),
        PromiseState::Resolved => true,
        PromiseState::Rejected => false,
    };
    let state = Array::new(ctx.clone())?;
    state.set(0, fulfilled)?;
    match promise.result::<rquickjs::Value<'js>>() {
        Some(Ok(value)) => state.set(1, value)?,
        // The reason comes as what was thrown.
        Some(Err(_)) => state.set(1, ctx.catch())?,
        None => {}
    }
    Ok(Some(state))
}

#[cfg(test)]
mod tests;
