//! What a worker threw, as its owner gets to see it.

use jeju_worker_protocol::{Failure, code};
use rquickjs::convert::Coerced;
use rquickjs::{Ctx, Object, Value};

/// Longest text of a failure, and longest stack, in bytes.
const MAX_TEXT: usize = 8 * 1024;

/// Codes that parts may give to what they throw, by a property `code`.
const CODES: [&str; 5] = [
    code::BAD_RESPONSE,
    code::NO_HANDLER,
    code::FETCH_FAILED,
    code::FETCH_INVALID,
    code::FETCH_REFUSED,
];

/// What was thrown, with `code` unless it carries a code of its own. This may run code of the worker: getters.
pub(crate) fn thrown(ctx: &Ctx<'_>, value: &Value<'_>, code: &str) -> Failure {
    let Some(object) = value.as_object().filter(|object| is_error(object)) else {
        return Failure::new(code, cut(text(ctx, value)));
    };
    let field = |name: &str| -> Option<String> {
        let value = object.get::<_, Value<'_>>(name);
        let value = value.inspect_err(|_| drop(ctx.catch())).ok()?;
        value.as_string()?.to_string().ok()
    };
    let message = field("message").unwrap_or_default();
    let message = match field("name").unwrap_or_default().as_str() {
        "" | "Error" => message,
        name if message.is_empty() => name.to_owned(),
        name => format!("{name}: {message}"),
    };
    let own = field("code").and_then(|own| CODES.into_iter().find(|code| *code == own));
    Failure {
        code: own.unwrap_or(code).to_owned(),
        message: cut(message),
        stack: field("stack")
            .map(|stack| frames(&stack))
            .filter(|stack| !stack.is_empty()),
    }
}

/// What is thrown at the moment.
pub(crate) fn pending(ctx: &Ctx<'_>, code: &str) -> Failure {
    let value = ctx.catch();
    thrown(ctx, &value, code)
}

/// One text of a failure: message and stack.
pub(crate) fn line(failure: &Failure) -> String {
    match &failure.stack {
        Some(stack) => format!("{}\n{stack}", failure.message),
        None => failure.message.clone(),
    }
}

/// Cuts a text at a bound, between characters.
pub(crate) fn cut_at(mut text: String, max: usize) -> String {
    text.truncate(text.floor_char_boundary(max));
    text
}

fn cut(text: String) -> String {
    cut_at(text, MAX_TEXT)
}

/// Errors of the language and `DOMException`s alike.
fn is_error(object: &Object<'_>) -> bool {
    object.is_error() || object.contains_key("stack").unwrap_or(false)
}

fn text(ctx: &Ctx<'_>, value: &Value<'_>) -> String {
    match value.get::<Coerced<String>>() {
        Ok(text) => text.0,
        Err(_) => {
            ctx.catch();
            format!("a value of type {}", value.type_name())
        }
    }
}

/// The frames of a stack that are the worker's own.
fn frames(stack: &str) -> String {
    // Parts have no places, or places of their own.
    let own =
        |line: &&str| line.contains('(') && !line.contains("jeju:") && !line.trim_end().ends_with("(native)");
    let lines: Vec<_> = stack.lines().filter(own).collect();
    cut(lines.join("\n"))
}
