//! The body, as a chat request.

use serde_json::{Map, Value, json};

use crate::RequestError;
use crate::fields::Fields;

const MAX_ITEMS: usize = 1024;
/// Parameters longer than this aren't repeated in the response, each of whose events has a limit.
const MAX_ECHO: usize = 16 * 1024;
/// What needs a store, or a tool that runs at the server.
const STATEFUL: [&str; 7] = [
    "previous_response_id",
    "conversation",
    "prompt",
    "max_tool_calls",
    "context_management",
    "background_options",
    "moderation",
];
/// What a chat request has under the same name.
const SAME: [&str; 3] = ["temperature", "top_p", "parallel_tool_calls"];

/// A chat request, and what the response repeats of its parameters. Holds what the user wrote: neither Debug nor Display.
pub struct Request {
    /// For who answers chats.
    pub chat: Fields,
    /// Parameters under their names in a response.
    pub echo: Map<String, Value>,
}

/// The name in a response's request of what a chat request calls so: for errors.
pub fn field_name(chat: &str) -> &str {
    match chat {
        "max_completion_tokens" | "max_tokens" => "max_output_tokens",
        "response_format" => "text.format",
        "reasoning_effort" => "reasoning.effort",
        "verbosity" => "text.verbosity",
        "logprobs" => "include",
        name if name.starts_with("messages") => "input",
        name => name,
    }
}

/// Reads what an [`crate::Envelope`] left.
///
/// # Errors
/// [`RequestError`] for the first field that has no equal in a chat request.
pub fn parse(mut fields: Fields) -> Result<Request, RequestError> {
    fields.off("store")?;
    fields.off("background")?;
    for name in STATEFUL {
        if fields.take(name).is_some() {
            return Err(RequestError::unsupported(name));
        }
    }
    if fields
        .take("truncation")
        .is_some_and(|truncation| truncation != "disabled")
    {
        return Err(RequestError::unsupported("truncation"));
    }
    let mut chat = Map::new();
    let mut echo = Map::new();
    let mut both = |chat_name: &str, name: &str, value: Value, told: Value| {
        chat.insert(chat_name.to_owned(), value);
        if told.to_string().len() <= MAX_ECHO {
            echo.insert(name.to_owned(), told);
        }
    };
    for name in SAME {
        if let Some(value) = fields.take(name) {
            both(name, name, value.clone(), value);
        }
    }
    if let Some(tokens) = fields.take("max_output_tokens") {
        both(
            "max_completion_tokens",
            "max_output_tokens",
            tokens.clone(),
            tokens,
        );
    }
    if let Some(tools) = fields.take("tools") {
        both("tools", "tools", function_tools(&tools)?, tools);
    }
    if let Some(choice) = fields.take("tool_choice") {
        both("tool_choice", "tool_choice", tool_choice(&choice)?, choice);
    }
    if let Some(text) = fields.take("text") {
        let (format, verbosity) = text_options(&text)?;
        if let Some(verbosity) = verbosity {
            chat.insert("verbosity".to_owned(), verbosity);
        }
        if let Some(format) = format {
            chat.insert("response_format".to_owned(), format);
        }
        if text.to_string().len() <= MAX_ECHO {
            echo.insert("text".to_owned(), text);
        }
    }
    if let Some(reasoning) = fields.take("reasoning") {
        if let Some(effort) = effort(&reasoning)? {
            chat.insert("reasoning_effort".to_owned(), effort);
        }
        echo.insert("reasoning".to_owned(), reasoning);
    }
    if logprobs(&mut fields)? {
        chat.insert("logprobs".to_owned(), true.into());
        if let Some(top) = fields.take("top_logprobs") {
            echo.insert("top_logprobs".to_owned(), top.clone());
            chat.insert("top_logprobs".to_owned(), top);
        }
    }
    if let Some(metadata) = fields.take("metadata") {
        if !metadata.is_object() {
            return Err(RequestError::wrong_type("metadata", "an object"));
        }
        if metadata.to_string().len() <= MAX_ECHO {
            echo.insert("metadata".to_owned(), metadata);
        }
    }
    chat.insert("messages".to_owned(), messages(&mut fields)?.into());
    fields.nothing_else()?;
    let chat = Fields(chat);
    Ok(Request { chat, echo })
}

/// Whether log probabilities are wanted, by `include` or by a number of them.
fn logprobs(fields: &mut Fields) -> Result<bool, RequestError> {
    let include = match fields.take("include") {
        None => Vec::new(),
        Some(Value::Array(include)) => include,
        Some(_) => return Err(RequestError::wrong_type("include", "an array")),
    };
    let mut wanted = false;
    for name in include {
        match name.as_str() {
            Some("message.output_text.logprobs") => wanted = true,
            // There is none to include: reasoning is told in the clear.
            Some("reasoning.encrypted_content") => {}
            _ => return Err(RequestError::unsupported("include")),
        }
    }
    Ok(wanted || fields.0.get("top_logprobs").is_some_and(|top| !top.is_null()))
}

fn function_tools(tools: &Value) -> Result<Value, RequestError> {
    let tools = tools
        .as_array()
        .ok_or_else(|| RequestError::wrong_type("tools", "an array"))?;
    let function = |tool: &Value| {
        let mut tool = tool.as_object()?.clone();
        if tool.remove("type")? != "function" {
            return None;
        }
        Some(json!({"type": "function", "function": tool}))
    };
    let functions: Option<Vec<Value>> = tools.iter().map(function).collect();
    functions
        .map(Value::Array)
        .ok_or_else(|| RequestError::unsupported("tools"))
}

fn tool_choice(choice: &Value) -> Result<Value, RequestError> {
    match choice {
        Value::String(_) => Ok(choice.clone()),
        Value::Object(map) if map.get("type") == Some(&json!("function")) && map.len() == 2 => {
            let name = map.get("name").filter(|name| name.is_string());
            let name = name.ok_or_else(|| RequestError::unsupported("tool_choice"))?;
            Ok(json!({"type": "function", "function": {"name": name}}))
        }
        _ => Err(RequestError::unsupported("tool_choice")),
    }
}

/// `response_format` and `verbosity` of a chat.
fn text_options(text: &Value) -> Result<(Option<Value>, Option<Value>), RequestError> {
    let Value::Object(text) = text else {
        return Err(RequestError::wrong_type("text", "an object"));
    };
    let mut text = Fields(text.clone());
    let format = match text.take("format") {
        None => None,
        Some(Value::Object(mut format)) if format.get("type") == Some(&json!("json_schema")) => {
            format.remove("type");
            Some(json!({"type": "json_schema", "json_schema": format}))
        }
        Some(format) => Some(format),
    };
    let verbosity = text.take("verbosity").filter(|verbosity| *verbosity != "medium");
    match text.0.iter().find(|(_, value)| !value.is_null()) {
        None => Ok((format, verbosity)),
        Some((name, _)) => Err(RequestError::unsupported(&format!("text.{name}"))),
    }
}

fn effort(reasoning: &Value) -> Result<Option<Value>, RequestError> {
    let Value::Object(reasoning) = reasoning else {
        return Err(RequestError::wrong_type("reasoning", "an object"));
    };
    let mut reasoning = Fields(reasoning.clone());
    let effort = reasoning.take("effort");
    match reasoning.0.iter().find(|(_, value)| !value.is_null()) {
        None => Ok(effort),
        Some((name, _)) => Err(RequestError::unsupported(&format!("reasoning.{name}"))),
    }
}

fn messages(fields: &mut Fields) -> Result<Vec<Value>, RequestError> {
    let mut messages = Vec::new();
    match fields.take("instructions") {
        None => {}
        Some(text @ Value::String(_)) => messages.push(json!({"role": "system", "content": text})),
        Some(_) => return Err(RequestError::wrong_type("instructions", "a string")),
    }
    match fields.take("input") {
        None => return Err(RequestError::missing("input")),
        Some(text @ Value::String(_)) => messages.push(json!({"role": "user", "content": text})),
        Some(Value::Array(items)) if (1..=MAX_ITEMS).contains(&items.len()) => {
            for (index, item) in items.into_iter().enumerate() {
                add_item(&mut messages, item, &format!("input[{index}]"))?;
            }
        }
        Some(Value::Array(_)) => {
            let message = format!("'input' must have 1 to {MAX_ITEMS} entries.");
            return Err(RequestError::invalid_value(message, "input"));
        }
        Some(_) => return Err(RequestError::wrong_type("input", "a string or an array")),
    }
    Ok(messages)
}

fn add_item(messages: &mut Vec<Value>, item: Value, at: &str) -> Result<(), RequestError> {
    let Value::Object(item) = item else {
        return Err(RequestError::wrong_type(at, "an object"));
    };
    let mut item = Fields(item);
    let kind = item.take("type");
    // What a client sends back as it got it.
    for harmless in ["id", "status", "phase"] {
        item.take(harmless);
    }
    match kind.as_ref().map(Value::as_str) {
        None | Some(Some("message")) => {
            let role = item
                .take("role")
                .ok_or_else(|| RequestError::missing(&format!("{at}.role")))?;
            let content = item
                .take("content")
                .ok_or_else(|| RequestError::missing(&format!("{at}.content")))?;
            let content = content_of(content, &format!("{at}.content"))?;
            messages.push(json!({"role": role, "content": content}));
        }
        Some(Some("function_call")) => {
            let mut text = |name: &str| text_field(&mut item, name, at);
            let (id, name, arguments) = (text("call_id")?, text("name")?, text("arguments")?);
            let call =
                json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
            match messages.last_mut() {
                // Calls of one turn are one message.
                Some(last) if last["role"] == "assistant" && last["tool_calls"].is_array() => {
                    last["tool_calls"].as_array_mut().expect("an array").push(call);
                }
                Some(last) if last["role"] == "assistant" => last["tool_calls"] = json!([call]),
                _ => messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]})),
            }
        }
        Some(Some("function_call_output")) => {
            let id = text_field(&mut item, "call_id", at)?;
            let output = item
                .take("output")
                .ok_or_else(|| RequestError::missing(&format!("{at}.output")))?;
            let content = content_of(output, &format!("{at}.output"))?;
            messages.push(json!({"role": "tool", "tool_call_id": id, "content": content}));
        }
        // What a model thought in an earlier turn isn't put before it again; so do chat templates.
        Some(Some("reasoning")) => {
            for name in ["summary", "content", "encrypted_content"] {
                item.take(name);
            }
        }
        _ => return Err(RequestError::unsupported(&format!("{at}.type"))),
    }
    match item.0.iter().find(|(_, value)| !value.is_null()) {
        None => Ok(()),
        Some((name, _)) => Err(RequestError::unsupported(&format!("{at}.{name}"))),
    }
}

fn text_field(item: &mut Fields, name: &str, at: &str) -> Result<Value, RequestError> {
    let name_at = format!("{at}.{name}");
    match item.take(name) {
        Some(text @ Value::String(_)) => Ok(text),
        Some(_) => Err(RequestError::wrong_type(&name_at, "a string")),
        None => Err(RequestError::missing(&name_at)),
    }
}

/// Text, one after the other where there is nothing but text; else a chat's parts.
fn content_of(content: Value, at: &str) -> Result<Value, RequestError> {
    let parts = match content {
        Value::String(_) => return Ok(content),
        Value::Array(parts) => parts,
        _ => return Err(RequestError::wrong_type(at, "a string or an array of parts")),
    };
    let mut converted = Vec::with_capacity(parts.len());
    for part in parts {
        converted.push(part_of(part).ok_or_else(|| RequestError::unsupported(at))?);
    }
    if converted.iter().any(|part| part["type"] != "text") {
        return Ok(converted.into());
    }
    Ok(converted
        .iter()
        .filter_map(|part| part["text"].as_str())
        .collect::<String>()
        .into())
}

fn part_of(mut part: Value) -> Option<Value> {
    let text = |value: Value| value.is_string().then(|| json!({"type": "text", "text": value}));
    match part["type"].as_str()? {
        "input_text" | "output_text" | "text" => text(part["text"].take()),
        "refusal" => text(part["refusal"].take()),
        "input_image" if part["file_id"].is_null() && part["image_url"].is_string() => {
            let mut image = json!({"url": part["image_url"].take()});
            if part["detail"].is_string() {
                image["detail"] = part["detail"].take();
            }
            Some(json!({"type": "image_url", "image_url": image}))
        }
        _ => None,
    }
}
