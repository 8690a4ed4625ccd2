//! Tools that a model may call, its calls in earlier messages, and JSON schemas.

use jeju_attestation::launch::upstreams::Kind;
use serde_json::{Map, Value, json};

use crate::RequestError;
use crate::fields::Fields;

use super::body::Body;
use super::messages::remote;

const MAX_TOOLS: usize = 128;
const MAX_NAME: usize = 256;

pub(super) fn rewrite(body: &mut Body) -> Result<(), RequestError> {
    let tools = match body.fields.take("tools") {
        None => Vec::new(),
        Some(Value::Array(tools)) if tools.len() <= MAX_TOOLS => tools,
        Some(_) => {
            let wanted = format!("an array of up to {MAX_TOOLS} tools");
            return Err(RequestError::wrong_type("tools", &wanted));
        }
    };
    let tools = tools.into_iter().enumerate();
    let mut tools = tools
        .map(|(index, tool)| one(&format!("tools[{index}]"), tool))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(choice) = body.fields.take("tool_choice") {
        let choice = choice_of(choice)?;
        match (body.kind, choice.as_str()) {
            // It knows tools, but no choice of them.
            (Kind::Ollama, Some("auto")) => {}
            (Kind::Ollama, Some("none")) => tools.clear(),
            (Kind::Ollama, _) => return Err(RequestError::unsupported("tool_choice")),
            _ if tools.is_empty() && matches!(choice.as_str(), Some("auto" | "none")) => {}
            _ => body.put("tool_choice", choice),
        }
    }
    match (body.fields.boolean("parallel_tool_calls")?, body.kind) {
        (Some(false), Kind::Ollama) => return Err(RequestError::unsupported("parallel_tool_calls")),
        (Some(parallel), Kind::Vllm | Kind::LlamaCpp | Kind::Openai) if !tools.is_empty() => {
            body.put("parallel_tool_calls", parallel);
        }
        _ => {}
    }
    if !tools.is_empty() {
        body.put("tools", tools);
    }
    Ok(())
}

fn one(at: &str, mut tool: Value) -> Result<Value, RequestError> {
    if tool.get("type").and_then(Value::as_str) != Some("function") {
        return Err(RequestError::unsupported(&format!("{at}.type")));
    }
    let at = format!("{at}.function");
    let Some(Value::Object(function)) = tool.get_mut("function").map(Value::take) else {
        return Err(RequestError::wrong_type(&at, "an object"));
    };
    let mut fields = Fields(function);
    let mut out = Map::new();
    out.insert("name".into(), name(&at, fields.take("name"))?.into());
    described(&at, &mut fields, &mut out)?;
    if let Some(parameters) = fields.take("parameters") {
        local_only(&format!("{at}.parameters"), &parameters)?;
        out.insert("parameters".into(), parameters);
    }
    nothing_else(&at, fields)?;
    Ok(json!({"type": "function", "function": out}))
}

/// `response_format.json_schema`.
pub(super) fn schema(schema: Option<Value>) -> Result<Value, RequestError> {
    const AT: &str = "response_format.json_schema";
    let Some(Value::Object(schema)) = schema else {
        return Err(RequestError::wrong_type(AT, "an object"));
    };
    let mut fields = Fields(schema);
    let mut out = Map::new();
    out.insert("name".into(), name(AT, fields.take("name"))?.into());
    described(AT, &mut fields, &mut out)?;
    match fields.take("schema") {
        Some(schema @ Value::Object(_)) => {
            local_only(&format!("{AT}.schema"), &schema)?;
            out.insert("schema".into(), schema);
        }
        _ => {
            return Err(RequestError::wrong_type(&format!("{AT}.schema"), "an object"));
        }
    }
    nothing_else(AT, fields)?;
    Ok(Value::Object(out))
}

/// `description` and `strict`.
fn described(at: &str, fields: &mut Fields, out: &mut Map<String, Value>) -> Result<(), RequestError> {
    match fields.take("description") {
        None => {}
        Some(text @ Value::String(_)) => drop(out.insert("description".into(), text)),
        Some(_) => return Err(RequestError::wrong_type(&format!("{at}.description"), "a string")),
    }
    match fields.take("strict") {
        None => Ok(()),
        Some(strict @ Value::Bool(_)) => {
            out.insert("strict".into(), strict);
            Ok(())
        }
        Some(_) => Err(RequestError::wrong_type(&format!("{at}.strict"), "a boolean")),
    }
}

fn choice_of(mut choice: Value) -> Result<Value, RequestError> {
    const AT: &str = "tool_choice";
    match choice.as_str() {
        Some("none" | "auto" | "required") => return Ok(choice),
        Some(_) => return Err(RequestError::unsupported(AT)),
        None => {}
    }
    if choice.get("type").and_then(Value::as_str) != Some("function") {
        return Err(RequestError::unsupported(AT));
    }
    let at = "tool_choice.function";
    let name = name(at, choice.pointer_mut("/function/name").map(Value::take))?;
    Ok(json!({"type": "function", "function": {"name": name}}))
}

/// `tool_calls` of an assistant's earlier message.
pub(super) fn calls(at: &str, calls: Value) -> Result<Value, RequestError> {
    let Value::Array(calls) = calls else {
        return Err(RequestError::wrong_type(at, "an array"));
    };
    let calls = calls.into_iter().enumerate().map(|(index, mut call)| {
        let at = format!("{at}[{index}]");
        if call.get("type").and_then(Value::as_str) != Some("function") {
            return Err(RequestError::unsupported(&format!("{at}.type")));
        }
        let id = name_at(&format!("{at}.id"), call.get_mut("id").map(Value::take))?;
        let function = format!("{at}.function");
        let name = name(&function, call.pointer_mut("/function/name").map(Value::take))?;
        match call.pointer_mut("/function/arguments").map(Value::take) {
            Some(Value::String(arguments)) => {
                Ok(json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}))
            }
            _ => Err(RequestError::wrong_type(
                &format!("{function}.arguments"),
                "a string",
            )),
        }
    });
    Ok(Value::Array(calls.collect::<Result<_, _>>()?))
}

fn name(at: &str, name: Option<Value>) -> Result<String, RequestError> {
    name_at(&format!("{at}.name"), name)
}

fn name_at(at: &str, name: Option<Value>) -> Result<String, RequestError> {
    match name {
        Some(Value::String(name)) if (1..=MAX_NAME).contains(&name.len()) => Ok(name),
        _ => {
            let wanted = format!("a string of 1 to {MAX_NAME} bytes");
            Err(RequestError::wrong_type(at, &wanted))
        }
    }
}

fn nothing_else(at: &str, fields: Fields) -> Result<(), RequestError> {
    match fields.0.into_iter().find(|(_, value)| !value.is_null()) {
        None => Ok(()),
        Some((name, _)) => Err(RequestError::unsupported(&format!("{at}.{name}"))),
    }
}

/// Whether a schema refers to nothing outside itself. Programs that make grammars of schemas may fetch what they name.
fn local_only(at: &str, schema: &Value) -> Result<(), RequestError> {
    match schema {
        Value::Array(items) => items.iter().try_for_each(|item| local_only(at, item)),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            let is_reference = ["$ref", "$dynamicRef", "$recursiveRef"].contains(&name.as_str());
            match value.as_str() {
                Some(target) if is_reference && !target.starts_with('#') => Err(remote(at)),
                _ => local_only(at, value),
            }
        }),
        _ => Ok(()),
    }
}
