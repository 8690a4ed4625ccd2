//! `URLPattern`: patterns become regular expressions here, and are matched by the engine's, whose time counts as the
//! worker's.

use rquickjs::prelude::Func;
use rquickjs::{Array, Ctx, Exception, Object, Result};
use urlpattern::quirks::{self, EcmaRegexp, StringOrInit, UrlPatternInit};
use urlpattern::regexp::RegExp;
use urlpattern::{RegexSyntax, UrlPatternOptions};

use super::url::MAX_URL;

/// Longest pattern, in bytes: names of groups are compared with each other.
const MAX_PATTERN: usize = 16 * 1024;
/// The parts of a URL, in the order in which they cross to JavaScript. `baseURL` follows.
const PARTS: usize = 8;

/// `compile` and `input`: `host.pattern`.
pub(super) fn natives<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let natives = Object::new(ctx.clone())?;
    natives.set("compile", Func::from(compile))?;
    natives.set("input", Func::from(input))?;
    Ok(natives)
}

/// A pattern's eight parts, each as its text, its regular expression and the names of its groups, and last whether
/// somebody wrote a regular expression into it.
///
/// `text` is the pattern, or `parts` are: the eight parts and the base URL, null where they aren't given.
fn compile<'js>(
    ctx: Ctx<'js>,
    text: Option<String>,
    parts: Vec<Option<String>>,
    base: Option<String>,
    ignore_case: bool,
) -> Result<Array<'js>> {
    let invalid =
        |error: urlpattern::Error| Exception::throw_type(&ctx, &format!("Invalid URL pattern: {error}"));
    let given = read(&ctx, text, parts, base.as_deref(), MAX_PATTERN)?;
    let init = quirks::process_construct_pattern_input(given, base.as_deref()).map_err(invalid)?;
    let options = UrlPatternOptions {
        regex_syntax: RegexSyntax::EcmaScript,
        ignore_case,
    };
    let pattern = quirks::parse_pattern::<Expression>(init, options).map_err(invalid)?;
    let parts = [
        pattern.protocol,
        pattern.username,
        pattern.password,
        pattern.hostname,
        pattern.port,
        pattern.pathname,
        pattern.search,
        pattern.hash,
    ];
    let list = Array::new(ctx.clone())?;
    for (index, part) in parts.into_iter().enumerate() {
        list.set(3 * index, part.pattern_string)?;
        list.set(3 * index + 1, part.regexp_string)?;
        list.set(3 * index + 2, part.group_name_list)?;
    }
    list.set(3 * PARTS, pattern.has_regexp_groups)?;
    Ok(list)
}

/// The eight parts of what a pattern is to match, as they are compared; undefined for what is no URL.
fn input(
    ctx: Ctx<'_>,
    text: Option<String>,
    parts: Vec<Option<String>>,
    base: Option<String>,
) -> Result<Option<Vec<String>>> {
    let given = read(&ctx, text, parts, base.as_deref(), MAX_URL)?;
    let processed = quirks::process_match_input(given, base.as_deref())
        .map_err(|error| Exception::throw_type(&ctx, &error.to_string()))?;
    let Some(input) = processed.and_then(|(input, _)| quirks::parse_match_input(input)) else {
        return Ok(None);
    };
    Ok(Some(vec![
        input.protocol,
        input.username,
        input.password,
        input.hostname,
        input.port,
        input.pathname,
        input.search,
        input.hash,
    ]))
}

fn read(
    ctx: &Ctx<'_>,
    text: Option<String>,
    parts: Vec<Option<String>>,
    base: Option<&str>,
    max: usize,
) -> Result<StringOrInit<'static>> {
    let given = text.as_deref().into_iter().chain(base);
    let len: usize = given
        .chain(parts.iter().flatten().map(String::as_str))
        .map(str::len)
        .sum();
    if len > max {
        return Err(Exception::throw_type(ctx, "The URL or its pattern is too long"));
    }
    if let Some(text) = text {
        return Ok(StringOrInit::String(text.into()));
    }
    let mut parts = parts.into_iter();
    let mut next = || parts.next().flatten();
    Ok(StringOrInit::Init(UrlPatternInit {
        protocol: next(),
        username: next(),
        password: next(),
        hostname: next(),
        port: next(),
        pathname: next(),
        search: next(),
        hash: next(),
        base_url: next(),
    }))
}

/// A regular expression as JavaScript writes them: compiled and checked there.
struct Expression(EcmaRegexp);

impl RegExp for Expression {
    fn syntax() -> RegexSyntax {
        RegexSyntax::EcmaScript
    }

    fn parse(pattern: &str, flags: &str, _force_eval: bool) -> std::result::Result<Self, ()> {
        EcmaRegexp::parse(pattern, flags, false).map(Self)
    }

    /// Asked with the special schemes alone, to find out whether a path is one of segments.
    fn matches<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        self.0.matches(text)
    }

    fn pattern_string(&self) -> &str {
        self.0.pattern_string()
    }
}
