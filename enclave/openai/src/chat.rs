//! `POST /v1/chat/completions`: the body.

use jeju_inference::{Message, PrivateText, Prompt, Role};
use serde_json::{Value, json};

use crate::fields::Fields;
use crate::{Generation, RequestError, Sampling};

const MAX_MESSAGES: usize = 1024;
/// Other tokens whose log probabilities can be asked for.
const MAX_TOP_LOGPROBS: u64 = 20;

/// Reads what an [`crate::Envelope`] left.
///
/// # Errors
/// [`RequestError`] for the first field that the embedded engine can't serve.
pub fn parse(mut fields: Fields) -> Result<Generation, RequestError> {
    let messages = match fields.take("messages") {
        Some(Value::Array(messages)) => parse_messages(messages)?,
        Some(_) => return Err(RequestError::wrong_type("messages", "an array")),
        None => return Err(RequestError::missing("messages")),
    };
    let mut sampling = Sampling::read(&mut fields)?;
    let max_completion_tokens = fields.integer("max_completion_tokens", 1..=u64::from(u32::MAX))?;
    if let Some(tokens) = max_completion_tokens {
        sampling.max_tokens = Some(tokens as usize);
    }
    let generation = Generation {
        prompts: vec![Prompt::Chat(messages)],
        n: fields.answers()?,
        sampling,
        logprobs: logprobs(&mut fields)?,
        json_object: json_object(&mut fields)?,
        echo: false,
    };
    if generation.json_object && !generation.sampling.stop.is_empty() {
        let message = "'stop' can't be combined with 'response_format' of type 'json_object' by this model.";
        return Err(RequestError::new("unsupported_parameter", message, Some("stop")));
    }
    fields.off("store")?;
    no_tools(&mut fields)?;
    match fields.take("modalities") {
        Some(modalities) if modalities != json!(["text"]) => {
            return Err(RequestError::unsupported("modalities"));
        }
        _ => {}
    }
    fields.nothing_else()?;
    Ok(generation)
}

fn logprobs(fields: &mut Fields) -> Result<Option<usize>, RequestError> {
    let wanted = fields.boolean("logprobs")?.unwrap_or(false);
    let top = fields.integer("top_logprobs", 0..=MAX_TOP_LOGPROBS)?;
    if !wanted && top.is_some_and(|top| top > 0) {
        let message = "'top_logprobs' is only allowed when 'logprobs' is true.";
        return Err(RequestError::invalid_value(message, "top_logprobs"));
    }
    Ok(wanted.then_some(top.unwrap_or(0) as usize))
}

fn json_object(fields: &mut Fields) -> Result<bool, RequestError> {
    const NAME: &str = "response_format";
    let mut format = match fields.take(NAME) {
        None => return Ok(false),
        Some(Value::Object(format)) => Fields(format),
        Some(_) => return Err(RequestError::wrong_type(NAME, "an object")),
    };
    let json_object = match format.take("type").as_ref().and_then(Value::as_str) {
        Some("text") => false,
        Some("json_object") => true,
        Some("json_schema") => {
            let message =
                "This model can't keep to a schema: 'response_format' may be 'text' or 'json_object'.";
            return Err(RequestError::new("unsupported_parameter", message, Some(NAME)));
        }
        _ => return Err(RequestError::unsupported(NAME)),
    };
    if format.0.values().any(|value| !value.is_null()) {
        return Err(RequestError::unsupported(NAME));
    }
    Ok(json_object)
}

/// Tools may be named where none is to be called.
fn no_tools(fields: &mut Fields) -> Result<(), RequestError> {
    let choice = fields.take("tool_choice");
    let tools = fields.take("tools").filter(|tools| *tools != json!([]));
    match choice.as_ref().map(Value::as_str) {
        Some(Some("none")) => Ok(()),
        None | Some(Some("auto")) if tools.is_none() => Ok(()),
        _ if tools.is_some() => {
            let message = "This model calls no tools: 'tools' may be named with 'tool_choice' 'none' only.";
            Err(RequestError::new("unsupported_parameter", message, Some("tools")))
        }
        _ => Err(RequestError::unsupported("tool_choice")),
    }
}

fn parse_messages(messages: Vec<Value>) -> Result<Vec<Message>, RequestError> {
    if messages.is_empty() || messages.len() > MAX_MESSAGES {
        let message = format!("'messages' must have 1 to {MAX_MESSAGES} entries.");
        return Err(RequestError::invalid_value(message, "messages"));
    }
    messages
        .into_iter()
        .enumerate()
        .map(|(index, message)| parse_message(index, message))
        .collect()
}

fn parse_message(index: usize, message: Value) -> Result<Message, RequestError> {
    let at = |field: &str| format!("messages[{index}]{field}");
    let Value::Object(map) = message else {
        return Err(RequestError::wrong_type(&at(""), "an object"));
    };
    let mut fields = Fields(map);
    let role = match fields.take("role") {
        Some(Value::String(role)) => match role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => return Err(RequestError::unsupported(&at(".role"))),
        },
        Some(_) => return Err(RequestError::wrong_type(&at(".role"), "a string")),
        None => return Err(RequestError::missing(&at(".role"))),
    };
    let content = match fields.take("content") {
        Some(Value::String(text)) => text.into(),
        Some(Value::Array(parts)) => join_parts(parts, &at(".content"))?,
        Some(_) => {
            return Err(RequestError::wrong_type(
                &at(".content"),
                "a string or an array of text parts",
            ));
        }
        None => return Err(RequestError::missing(&at(".content"))),
    };
    // Clients send an assistant's earlier message back as they got it.
    for harmless in ["name", "refusal", "annotations"] {
        fields.take(harmless);
    }
    match fields.0.into_iter().find(|(_, value)| !value.is_null()) {
        None => Ok(Message { role, content }),
        Some((name, _)) => Err(RequestError::unsupported(&at(&format!(".{name}")))),
    }
}

fn join_parts(parts: Vec<Value>, at: &str) -> Result<PrivateText, RequestError> {
    let mut joined = String::new();
    for mut part in parts {
        if part.get("type").and_then(Value::as_str) != Some("text") {
            return Err(RequestError::unsupported(at));
        }
        match part.get_mut("text").map(Value::take) {
            Some(Value::String(text)) => joined.push_str(&PrivateText::from(text)),
            _ => return Err(RequestError::wrong_type(at, "an array of text parts")),
        }
    }
    Ok(joined.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Envelope;

    fn parse(body: &str) -> Result<Generation, RequestError> {
        super::parse(Envelope::parse(body.as_bytes())?.fields)
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
        let Prompt::Chat(messages) = &request.prompts[0] else {
            panic!("no conversation")
        };
        assert_eq!(&*messages[1].content, "ab");
        assert_eq!(messages[0].role, Role::System);
        let sampling = &request.sampling;
        assert_eq!((sampling.max_tokens, sampling.seed), (Some(7), Some(u64::MAX)));
        assert_eq!(&*sampling.stop[0], "x");
        assert_eq!(
            (request.n, request.logprobs, request.json_object),
            (1, None, false)
        );
    }

    #[test]
    fn reads_what_shapes_the_answer() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"a"}],"n":4,"logprobs":true,"top_logprobs":20,
            "logit_bias":{"7":-100,"5":0.5},"response_format":{"type":"json_object"},"tools":[{"type":"function"}],
            "tool_choice":"none","presence_penalty":-2,"frequency_penalty":2,"modalities":["text"]}"#;
        let Ok(request) = parse(body) else {
            panic!("refused")
        };
        assert_eq!(
            (request.n, request.logprobs, request.json_object),
            (4, Some(20), true)
        );
        assert_eq!(request.sampling.logit_bias, [(5, 0.5), (7, -100.0)]);
        let body = r#"{"model":"m","messages":[{"role":"user","content":"a"}],"logprobs":true,"tools":[],"tool_choice":"auto"}"#;
        assert_eq!(parse(body).ok().unwrap().logprobs, Some(0));
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
        assert_eq!(refused(r#","n":5"#), plain("invalid_value", "n"));
        assert_eq!(refused(r#","n":0"#), plain("invalid_value", "n"));
        assert_eq!(refused(r#","logprobs":5"#), plain("invalid_type", "logprobs"));
        for top in [r#","top_logprobs":5"#, r#","logprobs":true,"top_logprobs":21"#] {
            assert_eq!(refused(top), plain("invalid_value", "top_logprobs"));
        }
        for bias in [
            r#"{"x":1}"#,
            r#"{"07":1}"#,
            r#"{"-1":1}"#,
            r#"{"1":100.5}"#,
            r#"{"1":"1"}"#,
        ] {
            let bias = format!(r#","logit_bias":{bias}"#);
            assert_eq!(refused(&bias), plain("invalid_value", "logit_bias"));
        }
        let many: Vec<String> = (0..1025).map(|id| format!("\"{id}\":1")).collect();
        let many = format!(",\"logit_bias\":{{{}}}", many.join(","));
        assert_eq!(refused(&many), plain("invalid_value", "logit_bias"));
        assert_eq!(
            refused(r#","logit_bias":[]"#),
            plain("invalid_type", "logit_bias")
        );
        assert_eq!(
            refused(r#","store":true"#),
            plain("unsupported_parameter", "store")
        );
        for tools in [r#","tools":[{}]"#, r#","tools":[{}],"tool_choice":"required""#] {
            assert_eq!(refused(tools), plain("unsupported_parameter", "tools"));
        }
        assert_eq!(
            refused(r#","response_format":{"type":"json_object"},"stop":"}""#),
            plain("unsupported_parameter", "stop")
        );
        for choice in [r#""required""#, r#"{"type":"function"}"#] {
            let choice = format!(r#","tool_choice":{choice}"#);
            assert_eq!(refused(&choice), plain("unsupported_parameter", "tool_choice"));
        }
        for format in [
            r#"{"type":"json_schema","json_schema":{}}"#,
            r#"{"type":"text","x":1}"#,
            "{}",
        ] {
            let format = format!(r#","response_format":{format}"#);
            assert_eq!(
                refused(&format),
                plain("unsupported_parameter", "response_format")
            );
        }
        assert_eq!(
            refused(r#","response_format":"text""#),
            plain("invalid_type", "response_format")
        );
        assert_eq!(
            refused(r#","modalities":["text","audio"]"#),
            plain("unsupported_parameter", "modalities")
        );
        for field in [
            "audio",
            "prediction",
            "web_search_options",
            "functions",
            "reasoning_effort",
        ] {
            let set = format!(r#","{field}":{{}}"#);
            assert_eq!(refused(&set), plain("unsupported_parameter", field));
        }
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
