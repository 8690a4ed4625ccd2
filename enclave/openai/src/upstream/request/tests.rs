use serde_json::Value;

use super::*;
use crate::Envelope;

const SALT: &str = "the-salt";

fn target(kind: Kind, endpoint: Endpoint, stream: bool) -> Target<'static> {
    Target {
        kind,
        endpoint,
        model: "upstream/model",
        stream,
        cache_salt: SALT,
    }
}

/// The upstream's body for a client's, as JSON.
fn rewritten(kind: Kind, endpoint: Endpoint, body: &str) -> Result<(Value, Expected), RequestError> {
    let envelope = Envelope::parse(body.as_bytes())?;
    let rewritten = rewrite(target(kind, endpoint, envelope.stream), envelope.fields)?;
    let body = serde_json::from_slice(&rewritten.body).unwrap();
    Ok((body, rewritten.expected))
}

const KINDS: [Kind; 4] = [Kind::Vllm, Kind::LlamaCpp, Kind::Ollama, Kind::Openai];

fn chat(kind: Kind, fields: &str) -> Result<Value, RequestError> {
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{fields}}}"#);
    rewritten(kind, Endpoint::Chat, &body).map(|(body, _)| body)
}

fn messages(kind: Kind, messages: &str) -> Result<Value, RequestError> {
    let body = format!(r#"{{"model":"m","messages":[{messages}]}}"#);
    rewritten(kind, Endpoint::Chat, &body).map(|(mut body, _)| body["messages"].take())
}

fn code(outcome: Result<Value, RequestError>) -> (&'static str, String) {
    match outcome {
        Err(error) => (error.code, error.param.unwrap_or_default()),
        Ok(body) => panic!("passed on: {body}"),
    }
}

#[test]
fn an_upstream_gets_its_own_model_name_and_what_this_node_decides() {
    let plain = r#"{"model":"ours","messages":[{"role":"user","content":"hi"}],"stream":true,"user":"u",
        "metadata":{"a":"b"},"service_tier":"auto","safety_identifier":"x","prompt_cache_key":"k","store":false,
        "stream_options":{"include_usage":false,"include_obfuscation":true}}"#;
    for kind in KINDS {
        let (body, expected) = rewritten(kind, Endpoint::Chat, plain).unwrap();
        let mut wanted = serde_json::json!({
            "model": "upstream/model",
            "messages": [{"role": "user", "content": "hi"}],
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        match kind {
            Kind::Vllm => wanted["cache_salt"] = SALT.into(),
            Kind::LlamaCpp => wanted["cache_prompt"] = false.into(),
            Kind::Ollama | Kind::Openai => {}
        }
        assert_eq!(body, wanted, "{kind:?}");
        assert_eq!((expected.choices, expected.logprobs), (1, None));
    }
}

#[test]
fn an_upstreams_own_workings_are_not_the_clients_to_set() {
    let inner = r#","cache_salt":"theirs","cache_prompt":true,"kv_transfer_params":{"a":1},"ec_transfer_params":{},
        "priority":-5,"request_id":"r","session_id":"s","id_slot":3"#;
    for kind in KINDS {
        assert_eq!(chat(kind, inner).unwrap(), chat(kind, "").unwrap(), "{kind:?}");
    }
}

#[test]
fn what_would_change_the_answer_and_is_not_known_is_refused() {
    for name in [
        "chat_template",
        "chat_template_kwargs",
        "mm_processor_kwargs",
        "media_io_kwargs",
        "lora",
        "lora_request",
        "samplers",
        "grammar",
        "guided_json",
        "structured_outputs",
        "prompt_logprobs",
        "return_token_ids",
        "logits_processors",
        "bad_words",
        "truncate_prompt_tokens",
        "add_generation_prompt",
        "documents",
        "timings_per_token",
        "return_progress",
        "n_cmpl",
        "n_predict",
        "keep_alive",
        "think",
        "options",
        "format",
        "raw",
        "audio",
        "prediction",
        "web_search_options",
        "moderation",
        "functions",
        "function_call",
        "surprise",
    ] {
        for kind in KINDS {
            let refused = code(chat(kind, &format!(r#","{name}":{{}}"#)));
            assert_eq!(refused, ("unsupported_parameter", name.to_owned()), "{kind:?}");
        }
    }
    for (field, wanted) in [
        (r#""store":true"#, "store"),
        (r#""modalities":["text","audio"]"#, "modalities"),
        (
            r#""response_format":{"type":"structural_tag"}"#,
            "response_format.type",
        ),
        (r#""tools":[{"type":"web_search"}]"#, "tools[0].type"),
        (r#""tool_choice":{"type":"allowed_tools"}"#, "tool_choice"),
    ] {
        let refused = code(chat(Kind::Openai, &format!(",{field}")));
        assert_eq!(refused, ("unsupported_parameter", wanted.to_owned()));
    }
}

#[test]
fn what_programs_ignore_without_a_word_is_refused_for_them() {
    for field in ["\"n\":2", "\"logit_bias\":{\"5\":1}", "\"logprobs\":true"] {
        let name = field.split('"').nth(1).unwrap().to_owned();
        let refused = code(chat(Kind::Ollama, &format!(",{field}")));
        assert_eq!(refused, ("unsupported_parameter", name));
        assert!(chat(Kind::Vllm, &format!(",{field}")).is_ok());
    }
    let tool = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
    let choice = |choice: &str| chat(Kind::Ollama, &format!(",{tool},\"tool_choice\":{choice}"));
    assert_eq!(code(choice("\"required\"")).1, "tool_choice");
    assert!(choice("\"auto\"").unwrap().get("tool_choice").is_none());
    assert!(choice("\"none\"").unwrap().get("tools").is_none());
    let embedding = |kind, fields: &str| {
        let body = format!(r#"{{"model":"m",{fields}}}"#);
        rewritten(kind, Endpoint::Embeddings, &body).map(|(body, _)| body)
    };
    assert_eq!(code(embedding(Kind::Ollama, r#""input":[1,2]"#)).1, "input");
    let dimensions = r#""input":"a","dimensions":8"#;
    assert_eq!(code(embedding(Kind::LlamaCpp, dimensions)).1, "dimensions");
    let completion = |kind, fields: &str| {
        let body = format!(r#"{{"model":"m","prompt":"a",{fields}}}"#);
        rewritten(kind, Endpoint::Completions, &body).map(|(body, _)| body)
    };
    assert_eq!(code(completion(Kind::LlamaCpp, r#""echo":true"#)).1, "echo");
    assert_eq!(code(completion(Kind::Vllm, r#""suffix":"b""#)).1, "suffix");
    assert_eq!(code(completion(Kind::Vllm, r#""best_of":2"#)).1, "best_of");
}

#[test]
fn sampling_passes_as_it_was_written() {
    let sampling = r#","temperature":0.7,"top_p":0.9,"seed":-1,"stop":["a","b"],"frequency_penalty":-0.5,
        "presence_penalty":1,"logit_bias":{"7":-100},"n":3,"logprobs":true,"top_logprobs":5,"reasoning_effort":"low""#;
    for kind in [Kind::Vllm, Kind::LlamaCpp, Kind::Openai] {
        let body = chat(kind, sampling).unwrap();
        let passed: Value = serde_json::from_str(&format!("{{{}}}", &sampling[1..])).unwrap();
        for (name, value) in passed.as_object().unwrap() {
            assert_eq!(&body[name], value, "{name} to {kind:?}");
        }
    }
    for (field, refused) in [
        (r#""temperature":2.5"#, "temperature"),
        (r#""n":5"#, "n"),
        (r#""top_logprobs":3"#, "top_logprobs"),
        (r#""logit_bias":{"x":1}"#, "logit_bias"),
        (r#""logit_bias":{"1":101}"#, "logit_bias"),
        (r#""reasoning_effort":"vast""#, "reasoning_effort"),
        (r#""max_tokens":0"#, "max_tokens"),
    ] {
        let refused = ("invalid_value", refused.to_owned());
        assert_eq!(code(chat(Kind::Openai, &format!(",{field}"))), refused);
    }
    let limits = r#","max_tokens":5,"max_completion_tokens":7"#;
    assert_eq!(chat(Kind::Vllm, limits).unwrap()["max_completion_tokens"], 7);
    assert_eq!(chat(Kind::LlamaCpp, limits).unwrap()["max_tokens"], 7);
    let penalty = chat(Kind::LlamaCpp, r#","repetition_penalty":1.1"#).unwrap();
    assert_eq!(penalty["repeat_penalty"], 1.1);
    assert!(penalty.get("repetition_penalty").is_none());
    assert_eq!(code(chat(Kind::Openai, r#","min_p":0.1"#)).1, "min_p");
}

#[test]
fn log_probabilities_without_other_tokens_are_asked_for_as_programs_understand_it() {
    for (kind, wanted) in [(Kind::Vllm, 0), (Kind::LlamaCpp, 1), (Kind::Openai, 0)] {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"a"}],"logprobs":true}"#;
        let (body, expected) = rewritten(kind, Endpoint::Chat, body).unwrap();
        assert_eq!(
            (&body["top_logprobs"], expected.logprobs),
            (&wanted.into(), Some(0))
        );
        let body = r#"{"model":"m","prompt":"a","logprobs":0}"#;
        let (body, expected) = rewritten(kind, Endpoint::Completions, body).unwrap();
        assert_eq!((&body["logprobs"], expected.logprobs), (&wanted.into(), Some(0)));
    }
}

#[test]
fn nothing_is_fetched_from_addresses() {
    let image = |url: &str| {
        let part = format!(r#"{{"type":"image_url","image_url":{{"url":"{url}"}}}}"#);
        messages(Kind::Vllm, &format!(r#"{{"role":"user","content":[{part}]}}"#))
    };
    let inline = "data:image/png;base64,iVBORw0KGgo=";
    assert_eq!(
        image(inline).unwrap()[0]["content"][0]["image_url"]["url"],
        inline
    );
    for url in [
        "https://example.com/a.png",
        "http://127.0.0.1/a",
        "file:///etc/passwd",
        "//example.com/a",
        "ftp://example.com",
        "",
        " data:image/png;base64,AAAA",
        "DATA:image/png;base64,AAAA",
        "data:image/svg+xml;base64,AAAA",
        "data:image/png,AAAA",
        "data:image/png;base64,",
        "data:image/png;base64,http://example.com/",
        "data:text/html;base64,AAAA",
    ] {
        assert_eq!(code(image(url)).0, "remote_reference", "{url}");
    }
    let part = |part: &str| {
        code(messages(
            Kind::Vllm,
            &format!(r#"{{"role":"user","content":[{part}]}}"#),
        ))
    };
    for kind in [
        "video_url",
        "audio_url",
        "file",
        "input_file",
        "image_embeds",
        "image_pil",
    ] {
        let refused = part(&format!(
            r#"{{"type":"{kind}","{kind}":{{"url":"https://example.com"}}}}"#
        ));
        assert_eq!(
            refused,
            ("unsupported_parameter", "messages[0].content[0].type".to_owned())
        );
    }
    let sound =
        |data: &str| format!(r#"{{"type":"input_audio","input_audio":{{"data":"{data}","format":"wav"}}}}"#);
    assert_eq!(part(&sound("https://example.com/a.wav")).0, "remote_reference");
    let ok = format!(r#"{{"role":"user","content":[{}]}}"#, sound("UklGRg=="));
    assert!(messages(Kind::Vllm, &ok).is_ok());
    // Schemas too: some programs resolve what they refer to.
    let tool = |target: &str| {
        let parameters = format!(r#"{{"properties":{{"a":{{"items":[{{"$ref":"{target}"}}]}}}}}}"#);
        chat(
            Kind::LlamaCpp,
            &format!(
                r#","tools":[{{"type":"function","function":{{"name":"f","parameters":{parameters}}}}}]"#
            ),
        )
    };
    assert!(tool("#/definitions/a").is_ok());
    assert_eq!(code(tool("https://example.com/s.json")).0, "remote_reference");
    let format = r##","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"$ref":"file:///x"}}}"##;
    assert_eq!(code(chat(Kind::Vllm, format)).0, "remote_reference");
}

#[test]
fn conversations_with_tools_pass() {
    let conversation = r#"{"role":"developer","content":"s"},{"role":"user","content":[{"type":"text","text":"q"}],"name":"n"},
        {"role":"assistant","content":null,"refusal":null,"annotations":[],"reasoning_content":"r",
         "tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"c1","content":"4"}"#;
    let passed = messages(Kind::Vllm, conversation).unwrap();
    let wanted = serde_json::json!([
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "q"}], "name": "n"},
        {"role": "assistant", "content": null, "reasoning_content": "r",
         "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "4"},
    ]);
    assert_eq!(passed, wanted);
    assert_eq!(
        messages(Kind::Openai, conversation).unwrap()[0]["role"],
        "developer"
    );
    let tools = r#","tools":[{"type":"function","function":{"name":"f","description":"d","strict":true,
        "parameters":{"type":"object","properties":{}}}}],"tool_choice":{"type":"function","function":{"name":"f"}},
        "parallel_tool_calls":false"#;
    let body = chat(Kind::Vllm, tools).unwrap();
    let passed: Value = serde_json::from_str(&format!("{{{}}}", &tools[1..])).unwrap();
    for (name, value) in passed.as_object().unwrap() {
        assert_eq!(&body[name], value, "{name}");
    }
}

#[test]
fn messages_that_are_none_are_refused() {
    let refused = |message: &str| code(messages(Kind::Vllm, message));
    let at = |code, param: &str| (code, param.to_owned());
    assert_eq!(refused(""), at("invalid_value", "messages"));
    assert_eq!(refused("5"), at("invalid_type", "messages[0]"));
    let user = |more: &str| refused(&format!(r#"{{"role":"user"{more}}}"#));
    assert_eq!(user(""), at("missing_required_parameter", "messages[0].content"));
    assert_eq!(user(r#","content":5"#), at("invalid_type", "messages[0].content"));
    assert_eq!(
        user(r#","content":[]"#),
        at("invalid_value", "messages[0].content")
    );
    let surprise = user(r#","content":"a","surprise":1"#);
    assert_eq!(surprise, at("unsupported_parameter", "messages[0].surprise"));
    let calls = user(r#","content":"a","tool_calls":[]"#);
    assert_eq!(calls, at("unsupported_parameter", "messages[0].tool_calls"));
    let king = refused(r#"{"role":"king","content":"a"}"#);
    assert_eq!(king, at("unsupported_parameter", "messages[0].role"));
}

#[test]
fn completions_and_embeddings_know_how_many_answers_there_must_be() {
    let count = |endpoint, fields: &str| {
        let body = format!(r#"{{"model":"m",{fields}}}"#);
        rewritten(Kind::Vllm, endpoint, &body).map(|(_, expected)| expected.choices)
    };
    let prompts = |fields: &str| count(Endpoint::Completions, fields);
    assert_eq!(prompts(r#""prompt":"a""#), Ok(1));
    assert_eq!(prompts(r#""prompt":[1,2,3]"#), Ok(1));
    assert_eq!(prompts(r#""prompt":["a","b"],"n":2"#), Ok(4));
    assert_eq!(prompts(r#""prompt":[[1],[2,3]]"#), Ok(2));
    for prompt in [
        "[]",
        "5",
        "[\"a\",1]",
        "[[]]",
        "[-1]",
        "{}",
        "[[1],\"a\"]",
        "[4294967296]",
    ] {
        let refused = prompts(&format!(r#""prompt":{prompt}"#)).unwrap_err();
        assert_eq!(refused.code, "invalid_type", "{prompt}");
    }
    assert_eq!(prompts("\"n\":1").unwrap_err().code, "missing_required_parameter");
    let inputs = |fields: &str| count(Endpoint::Embeddings, fields);
    assert_eq!(inputs(r#""input":["a","b","c"]"#), Ok(3));
    let many = vec!["\"a\""; MAX_INPUTS + 1].join(",");
    assert_eq!(
        inputs(&format!(r#""input":[{many}]"#)).unwrap_err().code,
        "invalid_value"
    );
    let body = r#"{"model":"m","input":"a","encoding_format":"base64"}"#;
    let (body, expected) = rewritten(Kind::Vllm, Endpoint::Embeddings, body).unwrap();
    assert_eq!(
        (body["encoding_format"].as_str(), expected.base64),
        (Some("float"), true)
    );
    // A pooling server refuses what it knows nothing of.
    assert!(body.get("cache_salt").is_none() && body.get("stream").is_none());
}

#[test]
fn errors_never_repeat_what_the_user_wrote() {
    const CANARY: &str = "xylophone-canary";
    let bodies = [
        format!(r#"{{"model":"m","messages":[{{"role":"{CANARY}","content":"a"}}]}}"#),
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"{CANARY}"}}]}}]}}"#),
        format!(r#"{{"model":"m","messages":"{CANARY}"}}"#),
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],"tool_choice":"{CANARY}"}}"#),
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],"stop":["{CANARY}",5]}}"#),
        format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"https://{CANARY}"}}}}]}}]}}"#
        ),
        format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],"logit_bias":{{"{CANARY}":1}}}}"#
        ),
    ];
    for body in bodies {
        let error = rewritten(Kind::Vllm, Endpoint::Chat, &body).unwrap_err();
        assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
    }
}
