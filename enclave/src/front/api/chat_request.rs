//! The body of `POST /v1/chat/completions`: what is read, what is ignored, and what is refused.
//!
//! A field that would change the answer and isn't supported is a clear 400; only fields without effect on it are
//! ignored. Messages name fields and limits and never repeat what the user wrote.

use jeju_inference::{Message, PrivateText, Role};
use serde_json::{Map, Value};

use crate::front::engine::{Generation, Sampling};
use crate::front::error::ApiError;

const MAX_MESSAGES: usize = 1024;
const MAX_STOPS: usize = 4;
const MAX_STOP_LEN: usize = 256;
/// Without effect on the answer of this node, which stores and caches nothing.
const IGNORED: [&str; 8] = [
    "user",
    "metadata",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "parallel_tool_calls",
];

/// A request that can be served.
pub(super) struct ChatRequest {
    pub(super) model: String,
    pub(super) generation: Generation,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
}

impl ChatRequest {
    /// Reads a body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let Ok(document) = serde_json::from_slice::<Value>(body) else {
            return Err(ApiError::invalid(
                "invalid_json",
                "The request body is not valid JSON.",
                None,
            ));
        };
        let Value::Object(map) = document else {
            return Err(ApiError::invalid(
                "invalid_type",
                "The request body must be a JSON object.",
                None,
            ));
        };
        let mut fields = Fields(map);
        let model = match fields.take("model") {
            Some(Value::String(model)) => model,
            Some(_) => return Err(wrong_type("model", "a string")),
            None => return Err(missing("model")),
        };
        let messages = match fields.take("messages") {
            Some(Value::Array(messages)) => parse_messages(messages)?,
            Some(_) => return Err(wrong_type("messages", "an array")),
            None => return Err(missing("messages")),
        };
        let max_tokens = fields.integer("max_tokens", 1..=u64::from(u32::MAX))?;
        let max_completion_tokens = fields.integer("max_completion_tokens", 1..=u64::from(u32::MAX))?;
        let sampling = Sampling {
            temperature: fields.number("temperature", 0.0, 2.0)?,
            top_p: fields.number("top_p", 0.0, 1.0)?,
            seed: fields.seed()?,
            frequency_penalty: fields.number("frequency_penalty", -2.0, 2.0)?,
            presence_penalty: fields.number("presence_penalty", -2.0, 2.0)?,
            repetition_penalty: fields.number("repetition_penalty", 0.5, 2.0)?,
            max_tokens: max_completion_tokens.or(max_tokens).map(|tokens| tokens as usize),
            stop: fields.stop()?,
        };
        let stream = fields.boolean("stream")?.unwrap_or(false);
        let include_usage = fields.stream_options(stream)?;
        fields.only_one_choice()?;
        fields.off("logprobs")?;
        fields.off("store")?;
        fields.text_only()?;
        fields.nothing_else()?;
        Ok(Self {
            model,
            generation: Generation { messages, sampling },
            stream,
            include_usage,
        })
    }
}

/// Fields that weren't read yet. A field that is null is absent, as clients write it.
struct Fields(Map<String, Value>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(wrong_type(name, "a boolean")),
        }
    }

    fn integer(&mut self, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        if !value.is_number() {
            return Err(wrong_type(name, "an integer"));
        }
        match value.as_u64().filter(|value| range.contains(value)) {
            Some(value) => Ok(Some(value)),
            None => {
                let message = format!(
                    "'{name}' must be an integer from {} to {}.",
                    range.start(),
                    range.end()
                );
                Err(ApiError::invalid("invalid_value", message, Some(name)))
            }
        }
    }

    fn number(&mut self, name: &str, least: f64, most: f64) -> Result<Option<f32>, ApiError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let Some(number) = value.as_f64() else {
            return Err(wrong_type(name, "a number"));
        };
        if (least..=most).contains(&number) {
            return Ok(Some(number as f32));
        }
        let message = format!("'{name}' must be a number from {least} to {most}.");
        Err(ApiError::invalid("invalid_value", message, Some(name)))
    }

    /// Any 64-bit integer.
    fn seed(&mut self) -> Result<Option<u64>, ApiError> {
        match self.take("seed") {
            None => Ok(None),
            Some(value) => match (value.as_u64(), value.as_i64()) {
                (Some(seed), _) => Ok(Some(seed)),
                (None, Some(seed)) => Ok(Some(seed as u64)),
                _ => Err(wrong_type("seed", "an integer")),
            },
        }
    }

    fn stop(&mut self) -> Result<Vec<PrivateText>, ApiError> {
        let stops = match self.take("stop") {
            None => return Ok(Vec::new()),
            Some(Value::Array(stops)) => stops,
            Some(stop) => vec![stop],
        };
        if stops.len() > MAX_STOPS {
            let message = format!("'stop' may have up to {MAX_STOPS} sequences.");
            return Err(ApiError::invalid("invalid_value", message, Some("stop")));
        }
        stops.into_iter().map(stop_sequence).collect()
    }

    fn stream_options(&mut self, stream: bool) -> Result<bool, ApiError> {
        const NAME: &str = "stream_options";
        let mut options = match self.take(NAME) {
            None => return Ok(false),
            Some(Value::Object(options)) => Fields(options),
            Some(_) => return Err(wrong_type(NAME, "an object")),
        };
        if !stream {
            let message = "'stream_options' is only allowed when 'stream' is true.";
            return Err(ApiError::invalid("invalid_value", message, Some(NAME)));
        }
        let include_usage = options.boolean("include_usage")?.unwrap_or(false);
        options.boolean("include_obfuscation")?;
        options.nothing_else()?;
        Ok(include_usage)
    }

    fn only_one_choice(&mut self) -> Result<(), ApiError> {
        match self.integer("n", 1..=128)? {
            None | Some(1) => Ok(()),
            Some(_) => Err(unsupported("n")),
        }
    }

    /// A switch that may be there, but only off.
    fn off(&mut self, name: &str) -> Result<(), ApiError> {
        match self.boolean(name)? {
            None | Some(false) => Ok(()),
            Some(true) => Err(unsupported(name)),
        }
    }

    fn text_only(&mut self) -> Result<(), ApiError> {
        let plain = match self.take("response_format") {
            None => true,
            Some(format) => format.get("type").and_then(Value::as_str) == Some("text"),
        };
        if !plain {
            return Err(unsupported("response_format"));
        }
        match self.take("modalities") {
            None => Ok(()),
            Some(modalities) if modalities == serde_json::json!(["text"]) => Ok(()),
            Some(_) => Err(unsupported("modalities")),
        }
    }

    fn nothing_else(mut self) -> Result<(), ApiError> {
        for name in IGNORED {
            self.take(name);
        }
        match self.0.into_iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((name, _)) => Err(unsupported(&name)),
        }
    }
}

fn parse_messages(messages: Vec<Value>) -> Result<Vec<Message>, ApiError> {
    if messages.is_empty() || messages.len() > MAX_MESSAGES {
        let message = format!("'messages' must have 1 to {MAX_MESSAGES} entries.");
        return Err(ApiError::invalid("invalid_value", message, Some("messages")));
    }
    messages
        .into_iter()
        .enumerate()
        .map(|(index, message)| parse_message(index, message))
        .collect()
}

fn parse_message(index: usize, message: Value) -> Result<Message, ApiError> {
    let at = |field: &str| format!("messages[{index}]{field}");
    let Value::Object(map) = message else {
        return Err(wrong_type(&at(""), "an object"));
    };
    let mut fields = Fields(map);
    let role = match fields.take("role") {
        Some(Value::String(role)) => match role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => return Err(unsupported(&at(".role"))),
        },
        Some(_) => return Err(wrong_type(&at(".role"), "a string")),
        None => return Err(missing(&at(".role"))),
    };
    let content = match fields.take("content") {
        Some(Value::String(text)) => text.into(),
        Some(Value::Array(parts)) => join_parts(parts, &at(".content"))?,
        Some(_) => return Err(wrong_type(&at(".content"), "a string or an array of text parts")),
        None => return Err(missing(&at(".content"))),
    };
    // Clients send an assistant's earlier message back as they got it.
    for harmless in ["name", "refusal", "annotations"] {
        fields.take(harmless);
    }
    match fields.0.into_iter().find(|(_, value)| !value.is_null()) {
        None => Ok(Message { role, content }),
        Some((name, _)) => Err(unsupported(&at(&format!(".{}", shown(&name))))),
    }
}

fn join_parts(parts: Vec<Value>, at: &str) -> Result<PrivateText, ApiError> {
    let mut joined = String::new();
    for mut part in parts {
        if part.get("type").and_then(Value::as_str) != Some("text") {
            return Err(unsupported(at));
        }
        match part.get_mut("text").map(Value::take) {
            Some(Value::String(text)) => joined.push_str(&PrivateText::from(text)),
            _ => return Err(wrong_type(at, "an array of text parts")),
        }
    }
    Ok(joined.into())
}

fn stop_sequence(stop: Value) -> Result<PrivateText, ApiError> {
    match stop {
        Value::String(stop) if (1..=MAX_STOP_LEN).contains(&stop.len()) => Ok(stop.into()),
        Value::String(_) => {
            let message = format!("Each stop sequence must have 1 to {MAX_STOP_LEN} bytes.");
            Err(ApiError::invalid("invalid_value", message, Some("stop")))
        }
        _ => Err(wrong_type("stop", "a string or an array of strings")),
    }
}

fn wrong_type(name: &str, wanted: &str) -> ApiError {
    ApiError::invalid("invalid_type", format!("'{name}' must be {wanted}."), Some(name))
}

fn missing(name: &str) -> ApiError {
    ApiError::invalid(
        "missing_required_parameter",
        format!("Missing required parameter: '{name}'."),
        Some(name),
    )
}

fn unsupported(name: &str) -> ApiError {
    let name = shown(name);
    ApiError::invalid(
        "unsupported_parameter",
        format!("'{name}' is not supported by this model."),
        Some(&name),
    )
}

/// A field's name as an error may show it: short and without surprises.
fn shown(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_ascii_alphanumeric() || "_-.[]".contains(*c))
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<ChatRequest, ApiError> {
        ChatRequest::parse(body.as_bytes())
    }

    fn refused(fields: &str) -> (&'static str, Option<String>) {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{fields}}}"#);
        match parse(&body) {
            Err(error) => (error.code, error.param),
            Ok(_) => panic!("{fields} was accepted"),
        }
    }

    #[test]
    fn reads_what_clients_send() {
        let body = r#"{"model":"m","messages":[{"role":"developer","content":"be kind"},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
            {"role":"assistant","content":"c","refusal":null,"annotations":[]}],
            "temperature":0,"top_p":1,"seed":-1,"stop":"x","max_tokens":5,"max_completion_tokens":7,"stream":true,
            "stream_options":{"include_usage":true,"include_obfuscation":false},"n":1,"user":"u","logprobs":null,
            "response_format":{"type":"text"},"store":false}"#;
        let Ok(request) = parse(body) else {
            panic!("refused")
        };
        assert!(request.stream && request.include_usage);
        assert_eq!(&*request.generation.messages[1].content, "ab");
        assert_eq!(request.generation.messages[0].role, Role::System);
        let sampling = &request.generation.sampling;
        assert_eq!((sampling.max_tokens, sampling.seed), (Some(7), Some(u64::MAX)));
        assert_eq!(&*sampling.stop[0], "x");
    }

    #[test]
    fn refusals_name_the_field() {
        let plain = |code, param: &str| (code, Some(param.to_owned()));
        assert_eq!(parse("{").err().unwrap().code, "invalid_json");
        assert_eq!(parse("[]").err().unwrap().code, "invalid_type");
        assert_eq!(parse("{}").err().unwrap().code, "missing_required_parameter");
        assert_eq!(
            refused(r#","temperature":"hot""#),
            plain("invalid_type", "temperature")
        );
        assert_eq!(
            refused(r#","temperature":2.1"#),
            plain("invalid_value", "temperature")
        );
        assert_eq!(
            refused(r#","max_tokens":0"#),
            plain("invalid_value", "max_tokens")
        );
        assert_eq!(
            refused(r#","max_tokens":1.5"#),
            plain("invalid_value", "max_tokens")
        );
        assert_eq!(
            refused(r#","max_tokens":"1""#),
            plain("invalid_type", "max_tokens")
        );
        assert_eq!(refused(r#","seed":1.5"#), plain("invalid_type", "seed"));
        assert_eq!(
            refused(r#","stop":["a","b","c","d","e"]"#),
            plain("invalid_value", "stop")
        );
        assert_eq!(refused(r#","stop":"""#), plain("invalid_value", "stop"));
        assert_eq!(refused(r#","stop":5"#), plain("invalid_type", "stop"));
        assert_eq!(refused(r#","n":2"#), plain("unsupported_parameter", "n"));
        assert_eq!(
            refused(r#","logprobs":true"#),
            plain("unsupported_parameter", "logprobs")
        );
        assert_eq!(
            refused(r#","store":true"#),
            plain("unsupported_parameter", "store")
        );
        assert_eq!(
            refused(r#","tools":[{}]"#),
            plain("unsupported_parameter", "tools")
        );
        assert_eq!(
            refused(r#","response_format":{"type":"json_object"}"#),
            plain("unsupported_parameter", "response_format")
        );
        assert_eq!(
            refused(r#","stream_options":{}"#),
            plain("invalid_value", "stream_options")
        );
        assert_eq!(refused(r#","stream":1"#), plain("invalid_type", "stream"));
        assert_eq!(
            refused(r#","surprise":1"#),
            plain("unsupported_parameter", "surprise")
        );
        let message = |message: &str| {
            parse(&format!(r#"{{"model":"m","messages":[{message}]}}"#))
                .err()
                .unwrap()
        };
        assert_eq!(message("").code, "invalid_value");
        assert_eq!(message("5").param.as_deref(), Some("messages[0]"));
        assert_eq!(
            message(r#"{"role":"king","content":"a"}"#).param.as_deref(),
            Some("messages[0].role")
        );
        assert_eq!(
            message(r#"{"role":"user"}"#).param.as_deref(),
            Some("messages[0].content")
        );
        assert_eq!(message(r#"{"role":"user","content":5}"#).code, "invalid_type");
        let image = r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://x"}}]}"#;
        assert_eq!(message(image).code, "unsupported_parameter");
        assert_eq!(
            message(r#"{"role":"user","content":"a","tool_calls":[1]}"#).code,
            "unsupported_parameter"
        );
    }

    #[test]
    fn deep_nesting_is_refused_without_a_stack_overflow() {
        assert_eq!(parse(&"[".repeat(1_000_000)).err().unwrap().code, "invalid_json");
    }
}
