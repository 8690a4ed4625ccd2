//! `POST /v1/completions`: the body.

use jeju_inference::{PrivateText, Prompt};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::fields::{Fields, MAX_ANSWERS};
use crate::{Generation, RequestError, Sampling};

/// Prompts of one request. With the answers to each, what runs side by side stays bounded.
const MAX_PROMPTS: usize = 16;
const MAX_LOGPROBS: u64 = 5;
/// As OpenAI has it.
const DEFAULT_MAX_TOKENS: usize = 16;

/// Reads what an [`crate::Envelope`] left.
///
/// # Errors
/// [`RequestError`] for the first field that the embedded engine can't serve.
pub fn parse(mut fields: Fields) -> Result<Generation, RequestError> {
    let prompts = match fields.take("prompt") {
        Some(prompt) => prompts(prompt, "prompt", MAX_PROMPTS)?,
        None => return Err(RequestError::missing("prompt")),
    };
    let mut sampling = Sampling::read(&mut fields)?;
    sampling.max_tokens.get_or_insert(DEFAULT_MAX_TOKENS);
    let generation = Generation {
        prompts,
        n: fields.answers()?,
        sampling,
        logprobs: fields
            .integer("logprobs", 0..=MAX_LOGPROBS)?
            .map(|top| top as usize),
        json_object: false,
        echo: fields.boolean("echo")?.unwrap_or(false),
    };
    // The engine tells no probabilities of what it reads.
    if generation.echo && generation.logprobs.is_some() {
        let message = "'echo' can't be combined with 'logprobs' by this model.";
        return Err(RequestError::new("unsupported_parameter", message, Some("echo")));
    }
    if !matches!(fields.integer("best_of", 1..=MAX_ANSWERS)?, None | Some(1)) {
        return Err(RequestError::unsupported("best_of"));
    }
    if fields.take("suffix").is_some_and(|suffix| suffix != "") {
        return Err(RequestError::unsupported("suffix"));
    }
    fields.nothing_else()?;
    Ok(generation)
}

/// Texts or lists of tokens: one, or an array of them.
pub(crate) fn prompts(value: Value, name: &str, most: usize) -> Result<Vec<Prompt>, RequestError> {
    let wanted = "a string, an array of token ids, or an array of those";
    let wrong = || RequestError::wrong_type(name, wanted);
    let many = match value {
        Value::String(text) => return Ok(vec![Prompt::Text(text.into())]),
        Value::Array(many) => many,
        _ => return Err(wrong()),
    };
    if many.first().is_some_and(Value::is_number) {
        return Ok(vec![tokens(&many).ok_or_else(wrong)?]);
    }
    if many.is_empty() || many.len() > most {
        let message = format!("'{name}' must have 1 to {most} entries.");
        return Err(RequestError::invalid_value(message, name));
    }
    let one = |value| match value {
        Value::String(text) => Some(Prompt::Text(PrivateText::from(text))),
        Value::Array(ids) => tokens(&ids),
        _ => None,
    };
    many.into_iter()
        .map(|value| one(value).ok_or_else(wrong))
        .collect()
}

fn tokens(ids: &[Value]) -> Option<Prompt> {
    let mut tokens = Zeroizing::new(Vec::with_capacity(ids.len()));
    for id in ids {
        tokens.push(id.as_u64().and_then(|id| u32::try_from(id).ok())?);
    }
    Some(Prompt::Tokens(tokens))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Envelope;

    fn parse(fields: &str) -> Result<Generation, RequestError> {
        super::parse(Envelope::parse(format!(r#"{{"model":"m"{fields}}}"#).as_bytes())?.fields)
    }

    fn refused(fields: &str) -> (&'static str, String) {
        let error = parse(fields).err().expect("a refusal");
        (error.code, error.param.unwrap_or_default())
    }

    #[test]
    fn prompts_are_texts_or_tokens() {
        let shape = |prompt: &str| -> Vec<String> {
            let prompts = parse(&format!(",\"prompt\":{prompt}")).expect("accepted").prompts;
            let told = prompts.iter().map(|prompt| match prompt {
                Prompt::Text(text) => text.to_string(),
                Prompt::Tokens(tokens) => format!("{:?}", **tokens),
                Prompt::Chat(_) => panic!("a conversation"),
            });
            told.collect()
        };
        assert_eq!(shape(r#""a""#), ["a"]);
        assert_eq!(shape(r#"["a","b"]"#), ["a", "b"]);
        assert_eq!(shape("[1,2]"), ["[1, 2]"]);
        assert_eq!(shape(r#"[[1,2],"b",[3]]"#), ["[1, 2]", "b", "[3]"]);
    }

    #[test]
    fn reads_what_shapes_the_answer() {
        let fields = r#","prompt":"a","n":2,"echo":true,"best_of":1,"suffix":null,"stop":["x","y"],"seed":3,"max_tokens":7"#;
        let request = parse(fields).ok().unwrap();
        assert_eq!((request.n, request.echo, request.logprobs), (2, true, None));
        assert_eq!(
            (request.sampling.max_tokens, request.sampling.stop.len()),
            (Some(7), 2)
        );
        let request = parse(r#","prompt":"a","logprobs":0"#).ok().unwrap();
        assert_eq!(
            (request.logprobs, request.sampling.max_tokens),
            (Some(0), Some(16))
        );
    }

    #[test]
    fn refusals_name_the_field() {
        let with = |fields: &str| refused(&format!(",\"prompt\":\"a\"{fields}"));
        assert_eq!(refused(""), ("missing_required_parameter", "prompt".to_owned()));
        for prompt in [
            "5",
            "{}",
            "[1,\"a\"]",
            "[\"a\",1]",
            "[-1]",
            "[1.5]",
            "[4294967296]",
            "[[\"a\"]]",
        ] {
            let wrong = refused(&format!(",\"prompt\":{prompt}"));
            assert_eq!(wrong, ("invalid_type", "prompt".to_owned()), "{prompt}");
        }
        let many = format!(",\"prompt\":[{}\"a\"]", "\"a\",".repeat(16));
        assert_eq!(refused(&many), ("invalid_value", "prompt".to_owned()));
        assert_eq!(refused(",\"prompt\":[]").0, "invalid_value");
        assert_eq!(with(",\"logprobs\":6"), ("invalid_value", "logprobs".to_owned()));
        assert_eq!(
            with(",\"logprobs\":true"),
            ("invalid_type", "logprobs".to_owned())
        );
        for (fields, name) in [
            (",\"suffix\":\"x\"", "suffix"),
            (",\"best_of\":2", "best_of"),
            (",\"echo\":true,\"logprobs\":1", "echo"),
            (",\"response_format\":{}", "response_format"),
            (",\"tools\":[]", "tools"),
            (",\"messages\":[]", "messages"),
        ] {
            assert_eq!(with(fields), ("unsupported_parameter", name.to_owned()));
        }
    }
}
