//! Requests as OpenAI's documentation shows them.

use serde_json::{Map, Value, json};

mod shapes;
mod streams;

use super::*;
use crate::{Envelope, RequestError};

fn request(body: Value) -> Result<Request, RequestError> {
    let Value::Object(mut body) = body else { panic!() };
    body.insert("model".to_owned(), "m".into());
    parse(Envelope::parse(Value::Object(body).to_string().as_bytes())?.fields)
}

fn chat(body: Value) -> Value {
    match request(body) {
        Ok(request) => Value::Object(request.chat.0),
        Err(error) => panic!("{error:?}"),
    }
}

fn refused(body: Value) -> (&'static str, String) {
    let error = request(body).err().expect("a refusal");
    (error.code, error.param.unwrap_or_default())
}

fn head() -> Head {
    Head {
        id: "1234".to_owned(),
        created: 1_700_000_000,
        model: "m".to_owned(),
        echo: Map::from_iter([("temperature".to_owned(), json!(0.5))]),
    }
}

#[test]
fn a_text_is_a_users_message() {
    let chat = chat(
        json!({"input": "hi", "instructions": "be kind", "max_output_tokens": 7, "temperature": 0.5,
        "top_p": 1, "store": false, "truncation": "disabled", "metadata": {"a": "b"}, "user": "u"}),
    );
    assert_eq!(
        chat,
        json!({
            "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}],
            "max_completion_tokens": 7, "temperature": 0.5, "top_p": 1,
        })
    );
}

#[test]
fn items_are_messages_calls_and_results() {
    let chat = chat(json!({"input": [
        {"role": "developer", "content": "a"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "b"}, {"type": "input_text", "text": "c"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "x"}]},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "d", "annotations": [], "logprobs": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{\"a\":1}"},
        {"type": "function_call_output", "call_id": "c1", "output": "r1"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "r2"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "e"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}]},
    ]}));
    let call = |id: &str, name: &str, arguments: &str| {
        json!({"id": id, "type": "function",
        "function": {"name": name, "arguments": arguments}})
    };
    assert_eq!(
        chat["messages"],
        json!([
            {"role": "developer", "content": "a"},
            {"role": "user", "content": "bc"},
            {"role": "assistant", "content": "d",
                "tool_calls": [call("c1", "f", "{}"), call("c2", "g", "{\"a\":1}")]},
            {"role": "tool", "tool_call_id": "c1", "content": "r1"},
            {"role": "tool", "tool_call_id": "c2", "content": "r2"},
            {"role": "user", "content": [{"type": "text", "text": "e"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}]},
        ])
    );
}

#[test]
fn formats_tools_and_reasoning_have_a_chats_names() {
    let tool = json!({"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true});
    let format = json!({"type": "json_schema", "name": "s", "schema": {}, "strict": true});
    let chat = chat(
        json!({"input": "a", "tools": [tool], "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": false, "text": {"format": format, "verbosity": "medium"},
        "reasoning": {"effort": "low", "summary": null}, "include": ["message.output_text.logprobs"],
        "top_logprobs": 3}),
    );
    assert_eq!(
        chat,
        json!({
            "messages": [{"role": "user", "content": "a"}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": true}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": false,
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}, "strict": true}},
            "reasoning_effort": "low",
            "logprobs": true,
            "top_logprobs": 3,
        })
    );
}

#[test]
fn refusals_name_the_field() {
    let with = |field: &str, value: Value| {
        let mut body = json!({"input": "a"});
        body[field] = value;
        refused(body)
    };
    let unsupported = |name: &str| ("unsupported_parameter", name.to_owned());
    for (field, value) in [
        ("store", json!(true)),
        ("background", json!(true)),
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("prompt", json!({"id": "p"})),
        ("max_tool_calls", json!(1)),
        ("truncation", json!("auto")),
        ("tools", json!([{"type": "web_search"}])),
        ("tool_choice", json!({"type": "web_search"})),
        ("include", json!(["file_search_call.results"])),
        ("seed", json!(1)),
        ("messages", json!([])),
    ] {
        assert_eq!(with(field, value), unsupported(field), "{field}");
    }
    assert_eq!(with("text", json!({"x": 1})), unsupported("text.x"));
    assert_eq!(
        with("reasoning", json!({"summary": "auto"})),
        unsupported("reasoning.summary")
    );
    assert_eq!(
        refused(json!({})),
        ("missing_required_parameter", "input".to_owned())
    );
    for field in [
        "input",
        "instructions",
        "tools",
        "text",
        "reasoning",
        "include",
        "metadata",
    ] {
        assert_eq!(
            with(field, json!(5)),
            ("invalid_type", field.to_owned()),
            "{field}"
        );
    }
    assert_eq!(with("input", json!([])).0, "invalid_value");
    let item = |item: Value| refused(json!({"input": [item]}));
    assert_eq!(item(json!(5)), ("invalid_type", "input[0]".to_owned()));
    assert_eq!(item(json!({"role": "user"})).1, "input[0].content");
    assert_eq!(item(json!({"content": "a"})).1, "input[0].role");
    assert_eq!(
        item(json!({"type": "item_reference", "id": "x"})).1,
        "input[0].type"
    );
    assert_eq!(
        item(json!({"role": "user", "content": "a", "x": 1})).1,
        "input[0].x"
    );
    assert_eq!(
        item(json!({"type": "function_call", "name": "f"})).1,
        "input[0].call_id"
    );
    for part in [
        json!({"type": "input_file", "file_url": "https://x"}),
        json!({"type": "input_image", "file_id": "f"}),
        json!({"type": "input_text", "text": 5}),
        json!("a"),
    ] {
        let refused = item(json!({"role": "user", "content": [part]}));
        assert_eq!(refused, unsupported("input[0].content"));
    }
    assert_eq!(field_name("messages[2].role"), "input");
    assert_eq!(field_name("max_completion_tokens"), "max_output_tokens");
}
