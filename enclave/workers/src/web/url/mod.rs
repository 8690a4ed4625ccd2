//! URLs, parsed and changed as the URL Standard says. A URL in JavaScript is its text and the places of its parts.
//!
//! The `url` crate parses hosts. Its parser of the rest differs from the standard for `file:`, for opaque paths and in some
//! setters, which is more than workers would bear.

mod parser;
mod record;
mod setters;

use rquickjs::prelude::{Func, Opt};
use rquickjs::{Array, Ctx, Object, Result};
use url::form_urlencoded;

use record::Record;

/// Longest URL that is parsed, in bytes; as in Chromium.
pub(super) const MAX_URL: usize = 2 * 1024 * 1024;

/// `parse`, `set`, `origin`, `fromForm` and `toForm`: `host.url`.
pub(super) fn natives<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let natives = Object::new(ctx.clone())?;
    natives.set("parse", Func::from(parse))?;
    natives.set("set", Func::from(set))?;
    natives.set("origin", Func::from(origin))?;
    natives.set("fromForm", Func::from(from_form))?;
    natives.set("toForm", Func::from(to_form))?;
    Ok(natives)
}

/// The URL's text and places, or undefined for what is none.
fn parse<'js>(ctx: Ctx<'js>, input: String, base: Opt<Option<String>>) -> Result<Option<Array<'js>>> {
    list(ctx, read(&input, base.0.flatten().as_deref()))
}

/// Those of `href` with a part set, or undefined where that is the whole and no URL.
fn set<'js>(ctx: Ctx<'js>, href: String, part: String, value: String) -> Result<Option<Array<'js>>> {
    let changed = match part.as_str() {
        "href" => read(&value, None),
        _ if value.len() > MAX_URL => read(&href, None),
        part => read(&href, None).map(|url| setters::set(url, part, &value)),
    };
    list(ctx, changed)
}

fn origin(href: String) -> Option<String> {
    Some(read(&href, None)?.origin())
}

/// Names and values of `application/x-www-form-urlencoded` text, one after the other.
fn from_form<'js>(ctx: Ctx<'js>, text: String) -> Result<Array<'js>> {
    let list = Array::new(ctx)?;
    let texts = form_urlencoded::parse(text.as_bytes()).flat_map(|(name, value)| [name, value]);
    for (index, text) in texts.enumerate() {
        list.set(index, text.as_ref())?;
    }
    Ok(list)
}

/// The text of names and values.
fn to_form(list: Vec<String>) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    for pair in list.chunks_exact(2) {
        text.append_pair(&pair[0], &pair[1]);
    }
    text.finish()
}

fn read(input: &str, base: Option<&str>) -> Option<Record> {
    if input.len() > MAX_URL || base.is_some_and(|base| base.len() > MAX_URL) {
        return None;
    }
    match base {
        None => parser::parse(input, None),
        Some(base) => parser::parse(input, Some(&parser::parse(base, None)?)),
    }
}

fn list(ctx: Ctx<'_>, url: Option<Record>) -> Result<Option<Array<'_>>> {
    let Some(url) = url else { return Ok(None) };
    let (text, places) = url.serialize();
    let list = Array::new(ctx)?;
    list.set(0, text)?;
    for (index, place) in places.into_iter().enumerate() {
        list.set(index + 1, place)?;
    }
    Ok(Some(list))
}
