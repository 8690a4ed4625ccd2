//! The messages of a conversation. Pictures and sounds come inside them or not at all: what an upstream fetched from an
//! address would tell that address's owner about the prompt.

use jeju_attestation::launch::upstreams::Kind;
use serde_json::{Map, Value, json};

use crate::RequestError;
use crate::fields::Fields;

use super::tools;

const MAX_NAME: usize = 256;
const IMAGES: [&str; 5] = ["png", "jpeg", "jpg", "gif", "webp"];
const SOUNDS: [&str; 2] = ["wav", "mp3"];

pub(super) fn rewrite(kind: Kind, messages: Vec<Value>) -> Result<Value, RequestError> {
    if messages.is_empty() {
        let message = "'messages' must have at least one entry.";
        return Err(RequestError::invalid_value(message, "messages"));
    }
    let messages = messages.into_iter().enumerate();
    let messages = messages.map(|(index, message)| one(kind, &format!("messages[{index}]"), message));
    Ok(Value::Array(messages.collect::<Result<_, _>>()?))
}

fn one(kind: Kind, at: &str, message: Value) -> Result<Value, RequestError> {
    let Value::Object(map) = message else {
        return Err(RequestError::wrong_type(at, "an object"));
    };
    let mut fields = Fields(map);
    let mut out = Map::new();
    let role = match fields.take("role") {
        Some(Value::String(role)) => role,
        Some(_) => return Err(RequestError::wrong_type(&format!("{at}.role"), "a string")),
        None => return Err(RequestError::missing(&format!("{at}.role"))),
    };
    let is_assistant = role == "assistant";
    match (role.as_str(), kind) {
        // Only OpenAI's own models tell the two apart.
        ("developer", Kind::Vllm | Kind::LlamaCpp | Kind::Ollama) => {
            out.insert("role".into(), "system".into())
        }
        ("system" | "developer" | "user" | "assistant" | "tool", _) => out.insert("role".into(), role.into()),
        _ => return Err(RequestError::unsupported(&format!("{at}.role"))),
    };
    if is_assistant && let Some(calls) = fields.take("tool_calls") {
        out.insert(
            "tool_calls".into(),
            tools::calls(&format!("{at}.tool_calls"), calls)?,
        );
    }
    let content = match fields.take("content") {
        Some(Value::String(text)) => Value::String(text),
        Some(Value::Array(parts)) => content(&format!("{at}.content"), parts)?,
        None if out.contains_key("tool_calls") => Value::Null,
        None => return Err(RequestError::missing(&format!("{at}.content"))),
        Some(_) => {
            let wanted = "a string or an array of parts";
            return Err(RequestError::wrong_type(&format!("{at}.content"), wanted));
        }
    };
    out.insert("content".into(), content);
    for name in ["name", "tool_call_id"] {
        match fields.take(name) {
            None => {}
            Some(Value::String(text)) if text.len() <= MAX_NAME => {
                out.insert(name.into(), text.into());
            }
            Some(_) => {
                let wanted = format!("a string of up to {MAX_NAME} bytes");
                return Err(RequestError::wrong_type(&format!("{at}.{name}"), &wanted));
            }
        }
    }
    // Clients send an assistant's earlier message back as they got it. Programs with templates of their own want to see
    // what it thought before it called a tool.
    let reasoning = fields.take("reasoning_content");
    if let (true, Some(Value::String(text)), Kind::Vllm | Kind::LlamaCpp) = (is_assistant, reasoning, kind) {
        out.insert("reasoning_content".into(), text.into());
    }
    for harmless in ["refusal", "annotations"] {
        fields.take(harmless);
    }
    match fields.0.into_iter().find(|(_, value)| !value.is_null()) {
        None => Ok(Value::Object(out)),
        Some((name, _)) => Err(RequestError::unsupported(&format!("{at}.{name}"))),
    }
}

fn content(at: &str, parts: Vec<Value>) -> Result<Value, RequestError> {
    if parts.is_empty() {
        let message = format!("'{at}' must have at least one part.");
        return Err(RequestError::invalid_value(message, at));
    }
    let parts = parts.into_iter().enumerate();
    let parts = parts.map(|(index, part)| one_part(&format!("{at}[{index}]"), part));
    Ok(Value::Array(parts.collect::<Result<_, _>>()?))
}

fn one_part(at: &str, mut part: Value) -> Result<Value, RequestError> {
    let kind = match part.get_mut("type").map(Value::take) {
        Some(Value::String(kind)) => kind,
        _ => return Err(RequestError::wrong_type(&format!("{at}.type"), "a string")),
    };
    let mut text = |name: &str| match part.get_mut(name).map(Value::take) {
        Some(Value::String(text)) => Ok(json!({"type": kind, name: text})),
        _ => Err(RequestError::wrong_type(&format!("{at}.{name}"), "a string")),
    };
    match kind.as_str() {
        "text" | "refusal" => text(&kind.clone()),
        "image_url" => image(at, part.get_mut("image_url").map(Value::take)),
        "input_audio" => sound(at, part.get_mut("input_audio").map(Value::take)),
        _ => Err(RequestError::unsupported(&format!("{at}.type"))),
    }
}

fn image(at: &str, image: Option<Value>) -> Result<Value, RequestError> {
    let at = format!("{at}.image_url");
    let Some(Value::Object(image)) = image else {
        return Err(RequestError::wrong_type(&at, "an object"));
    };
    let mut fields = Fields(image);
    let Some(Value::String(url)) = fields.take("url") else {
        return Err(RequestError::wrong_type(&format!("{at}.url"), "a string"));
    };
    if !is_inline_image(&url) {
        return Err(remote(&format!("{at}.url")));
    }
    let detail = match fields.take("detail") {
        None => None,
        Some(Value::String(detail)) if ["auto", "low", "high"].contains(&detail.as_str()) => Some(detail),
        Some(_) => return Err(RequestError::unsupported(&format!("{at}.detail"))),
    };
    if let Some((name, _)) = fields.0.into_iter().find(|(_, value)| !value.is_null()) {
        return Err(RequestError::unsupported(&format!("{at}.{name}")));
    }
    let mut image = json!({"url": url});
    if let Some(detail) = detail {
        image["detail"] = detail.into();
    }
    Ok(json!({"type": "image_url", "image_url": image}))
}

/// Exactly `data:image/TYPE;base64,BYTES`: an upstream's own parser is left nothing to read otherwise.
fn is_inline_image(url: &str) -> bool {
    let parts = url
        .strip_prefix("data:image/")
        .and_then(|rest| rest.split_once(";base64,"));
    parts.is_some_and(|(kind, bytes)| IMAGES.contains(&kind) && is_base64(bytes))
}

fn sound(at: &str, sound: Option<Value>) -> Result<Value, RequestError> {
    let at = format!("{at}.input_audio");
    let (data, format) = match &sound {
        Some(Value::Object(sound)) if sound.len() == 2 => (sound.get("data"), sound.get("format")),
        _ => {
            return Err(RequestError::wrong_type(
                &at,
                "an object with 'data' and 'format'",
            ));
        }
    };
    let is_format = |format: &&str| SOUNDS.contains(format);
    match (
        data.and_then(Value::as_str),
        format.and_then(Value::as_str).filter(is_format),
    ) {
        (Some(data), Some(_)) if is_base64(data) => Ok(json!({"type": "input_audio", "input_audio": sound})),
        (Some(_), Some(_)) => Err(remote(&format!("{at}.data"))),
        _ => Err(RequestError::unsupported(&format!("{at}.format"))),
    }
}

fn is_base64(text: &str) -> bool {
    let bytes = text.trim_end_matches('=').bytes();
    !text.is_empty()
        && bytes
            .into_iter()
            .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// An address, or what may be one.
pub(super) fn remote(at: &str) -> RequestError {
    let message = format!("'{at}' must hold the data itself: nothing is fetched from addresses.");
    RequestError::new("remote_reference", message, Some(at))
}
