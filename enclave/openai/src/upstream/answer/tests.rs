use serde_json::json;

use super::*;

const EXPECTED: Expected = Expected {
    choices: 1,
    logprobs: None,
    base64: false,
};

fn head() -> Head {
    Head {
        id: "chatcmpl-ours".to_owned(),
        model: "ours".to_owned(),
        created: 5,
        fingerprint: None,
    }
}

fn made(choices: Value, object: &str, usage: Value) -> Value {
    json!({"id": "chatcmpl-ours", "object": object, "created": 5, "model": "ours",
        "system_fingerprint": null, "choices": choices, "usage": usage})
}

fn usage(prompt: u32, completion: u32) -> Value {
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0}})
}

fn chat(expected: Expected, document: &Value) -> Result<Value, Malformed> {
    whole(Endpoint::Chat, &head(), expected, document.to_string().as_bytes())
}

/// As llama.cpp's server answers, with its own extras.
fn llama() -> Value {
    json!({
        "choices": [{"finish_reason": "stop", "index": 0, "message": {"role": "assistant", "content": "Paris"},
            "logprobs": {"content": [{"id": 9, "token": "Paris", "bytes": [80], "logprob": -0.5, "top_logprobs": []}]}}],
        "created": 1, "model": "theirs", "system_fingerprint": "b1", "object": "chat.completion",
        "usage": {"completion_tokens": 2, "prompt_tokens": 3, "total_tokens": 5}, "id": "theirs",
        "__verbose": {"prompt": "secret"}, "timings": {"prompt_ms": 1.5}, "prompt_logprobs": [1],
    })
}

#[test]
fn an_answer_keeps_its_words_and_loses_the_upstreams() {
    let wanted = json!([{"index": 0, "finish_reason": "stop", "logprobs": null,
        "message": {"role": "assistant", "content": "Paris", "refusal": null}}]);
    assert_eq!(
        chat(EXPECTED, &llama()),
        Ok(made(wanted, "chat.completion", usage(3, 2)))
    );
    let asked = Expected {
        logprobs: Some(1),
        ..EXPECTED
    };
    let answer = chat(asked, &llama()).unwrap();
    let token = json!({"token": "Paris", "logprob": -0.5, "bytes": [80], "top_logprobs": []});
    assert_eq!(answer["choices"][0]["logprobs"]["content"][0], token);
}

#[test]
fn reasoning_and_calls_of_tools_pass() {
    let mut vllm = llama();
    vllm["choices"][0]["finish_reason"] = "tool_calls".into();
    vllm["choices"][0]["message"] = json!({"role": "assistant", "content": null, "reasoning": "hm", "annotations": null,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra": 1}]});
    let answer = chat(EXPECTED, &vllm).unwrap();
    let wanted = json!({"role": "assistant", "content": null, "refusal": null, "reasoning_content": "hm",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    assert_eq!(answer["choices"][0]["message"], wanted);
}

#[test]
fn what_is_no_answer_is_refused() {
    let changed = |pointer: &str, value: Value| {
        let mut document = llama();
        *document.pointer_mut(pointer).unwrap() = value;
        chat(EXPECTED, &document)
    };
    for (pointer, value) in [
        ("/object", json!("chat.completion.chunk")),
        ("/choices", json!([])),
        ("/choices/0/index", json!(1)),
        ("/choices/0/index", json!(-1)),
        ("/choices/0/finish_reason", json!(null)),
        ("/choices/0/finish_reason", json!("abort")),
        ("/choices/0/message", json!("Paris")),
        ("/choices/0/message/role", json!("system")),
        ("/choices/0/message/content", json!({"a": 1})),
        ("/usage", json!(null)),
        ("/usage/prompt_tokens", json!(-1)),
        ("/usage/prompt_tokens", json!(4_294_967_296u64)),
    ] {
        assert_eq!(
            changed(pointer, value.clone()),
            Err(Malformed),
            "{pointer} {value}"
        );
    }
    let two = Expected {
        choices: 2,
        ..EXPECTED
    };
    assert_eq!(
        chat(two, &llama()),
        Err(Malformed),
        "fewer choices than asked for"
    );
    for body in [&b""[..], b"[]", b"\xff", b"{\"error\":{}}", b"null"] {
        for endpoint in [Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings] {
            assert_eq!(whole(endpoint, &head(), EXPECTED, body), Err(Malformed));
        }
    }
    let deep = "[".repeat(1_000_000);
    assert_eq!(
        whole(Endpoint::Chat, &head(), EXPECTED, deep.as_bytes()),
        Err(Malformed)
    );
}

#[test]
fn completions_have_one_form_of_log_probabilities() {
    let text = |logprobs: Value| {
        let document = json!({"id": "x", "object": "text_completion", "created": 1, "model": "theirs",
            "choices": [{"index": 0, "text": "ab", "logprobs": logprobs, "finish_reason": "length", "stop_reason": null}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}});
        let asked = Expected {
            logprobs: Some(1),
            ..EXPECTED
        };
        whole(
            Endpoint::Completions,
            &head(),
            asked,
            document.to_string().as_bytes(),
        )
    };
    let own = json!({"tokens": ["a", "b"], "token_logprobs": [null, -2.5],
        "top_logprobs": [null, {"b": -2.5}], "text_offset": [0, 1]});
    let answer = text(own.clone()).unwrap();
    assert_eq!(answer["choices"][0]["logprobs"], own);
    assert_eq!(answer["object"], "text_completion");
    // llama.cpp's.
    let chat = json!({"content": [
        {"id": 1, "token": "é", "bytes": [195, 169], "logprob": -1.0, "top_logprobs": [{"id": 1, "token": "é", "logprob": -1.0}]},
        {"id": 2, "token": "b", "bytes": [98], "logprob": -2.0, "top_logprobs": []}]});
    let wanted = json!({"tokens": ["é", "b"], "token_logprobs": [-1.0, -2.0],
        "top_logprobs": [{"é": -1.0}, {}], "text_offset": [0, 1]});
    assert_eq!(text(chat).unwrap()["choices"][0]["logprobs"], wanted);
    assert_eq!(text(json!("x")), Err(Malformed));
}

#[test]
fn embeddings_are_whole_and_finite() {
    let answer = |data: Value, expected: Expected| {
        let document = json!({"object": "list", "data": data, "model": "theirs", "id": "x",
            "usage": {"prompt_tokens": 4, "total_tokens": 4}});
        whole(
            Endpoint::Embeddings,
            &head(),
            expected,
            document.to_string().as_bytes(),
        )
    };
    let two = Expected {
        choices: 2,
        ..EXPECTED
    };
    let data = json!([
        {"object": "embedding", "index": 1, "embedding": [0.5, -1]},
        {"object": "embedding", "index": 0, "embedding": [0.1, 2e-3]},
    ]);
    let wanted = json!({"object": "list", "model": "ours", "usage": {"prompt_tokens": 4, "total_tokens": 4},
        "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 2e-3]},
                 {"object": "embedding", "index": 1, "embedding": [0.5, -1]}]});
    assert_eq!(answer(data.clone(), two), Ok(wanted));
    let encoded = answer(data.clone(), Expected { base64: true, ..two });
    // Python: base64.b64encode(struct.pack("<2f", 0.5, -1)).
    assert_eq!(encoded.unwrap()["data"][1]["embedding"], "AAAAPwAAgL8=");
    assert_eq!(answer(data, EXPECTED), Err(Malformed), "more than asked for");
    for embedding in [
        json!([]),
        json!([1e39]),
        json!(["1"]),
        json!("AAAA"),
        json!([null]),
    ] {
        let data = json!([{"index": 0, "embedding": embedding}]);
        assert_eq!(answer(data, EXPECTED), Err(Malformed), "{embedding}");
    }
    let uneven = json!([{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]);
    assert_eq!(answer(uneven, two), Err(Malformed));
}

fn chunk(choices: Value) -> Value {
    json!({"id": "theirs", "object": "chat.completion.chunk", "created": 1, "model": "theirs", "choices": choices,
        "system_fingerprint": "b1", "prompt_token_ids": [1]})
}

fn delta(index: usize, delta: Value, finish: Value) -> Value {
    chunk(
        json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": finish, "token_ids": null}]),
    )
}

fn with_usage(mut chunk: Value) -> Value {
    chunk["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    chunk["timings"] = json!({"a": 1});
    chunk
}

/// What comes of a stream, up to the first event that is refused.
fn streamed(expected: Expected, events: &[Value]) -> (Vec<Value>, Result<Option<Ending>, Malformed>) {
    let mut stream = Stream::new(Endpoint::Chat, head(), expected);
    let mut chunks = Vec::new();
    let mut ending = None;
    for event in events {
        let data = match event {
            Value::String(text) => text.clone(),
            event => event.to_string(),
        };
        match stream.event(data.as_bytes()) {
            Ok(Step::Chunk(chunk)) => chunks.push(chunk.document()),
            Ok(Step::Done(usage, how)) => {
                chunks.push(usage);
                ending = Some(how);
            }
            Ok(Step::Nothing) => {}
            Err(Malformed) => return (chunks, Err(Malformed)),
        }
    }
    (chunks, Ok(ending))
}

#[test]
fn each_chunk_passes_by_itself() {
    let events = [
        delta(0, json!({"role": "assistant", "content": null}), json!(null)),
        delta(0, json!({"content": "Pa"}), json!(null)),
        delta(0, json!({"content": ""}), json!(null)),
        delta(0, json!({"reasoning": "r"}), json!(null)),
        delta(0, json!({}), json!("length")),
        with_usage(chunk(json!([]))),
        json!("[DONE]"),
    ];
    let (chunks, ending) = streamed(EXPECTED, &events);
    assert_eq!(ending, Ok(Some(Ending::Length)));
    let piece = |delta: Value, finish: Value| {
        let choice = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
        made(choice, "chat.completion.chunk", Value::Null)
    };
    let wanted = [
        piece(json!({"role": "assistant"}), Value::Null),
        piece(json!({"content": "Pa"}), Value::Null),
        piece(json!({"content": ""}), Value::Null),
        piece(json!({"reasoning_content": "r"}), Value::Null),
        piece(json!({}), json!("length")),
        made(json!([]), "chat.completion.chunk", usage(3, 2)),
    ];
    assert_eq!(chunks, wanted);
}

#[test]
fn calls_of_tools_stream() {
    let calls =
        json!([{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]);
    let more = json!([{"index": 0, "function": {"arguments": "{}"}}]);
    let events = [
        delta(0, json!({"tool_calls": calls, "content": null}), json!(null)),
        delta(0, json!({"tool_calls": more}), json!(null)),
        with_usage(delta(0, json!({"tool_calls": []}), json!("tool_calls"))),
        json!("[DONE]"),
    ];
    let (chunks, ending) = streamed(EXPECTED, &events);
    assert_eq!(ending, Ok(Some(Ending::Stop)));
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"tool_calls": calls}));
    assert_eq!(chunks[1]["choices"][0]["delta"], json!({"tool_calls": more}));
    assert_eq!(chunks[2]["choices"][0]["delta"], json!({}));
    assert_eq!(chunks[2]["usage"], Value::Null);
    assert_eq!(chunks[3]["usage"]["total_tokens"], 5);
}

#[test]
fn a_stream_that_breaks_the_rules_fails_where_it_does() {
    let text = || delta(0, json!({"content": "a"}), json!(null));
    let end = || with_usage(delta(0, json!({}), json!("stop")));
    let done = || json!("[DONE]");
    let without_usage = delta(0, json!({}), json!("stop"));
    let mut call = delta(0, json!({"tool_calls": [{"index": 128}]}), json!(null));
    let too_high = call.clone();
    call["choices"][0]["delta"]["tool_calls"] = json!([{"index": 0, "id": "x".repeat(1000)}]);
    for (name, events) in [
        (
            "an end before the choice's",
            vec![text(), with_usage(chunk(json!([]))), done()],
        ),
        ("no usage", vec![text(), without_usage, done()]),
        ("an event after the end", vec![end(), done(), text()]),
        ("two ends", vec![end(), done(), done()]),
        ("text after the choice's end", vec![end(), text()]),
        (
            "a choice that nobody asked for",
            vec![delta(1, json!({"content": "a"}), json!(null))],
        ),
        ("an error", vec![text(), json!({"error": {"message": "secret"}})]),
        ("no JSON", vec![json!("hello")]),
        ("another object", vec![llama()]),
        (
            "a role that doesn't answer",
            vec![delta(0, json!({"role": "user"}), json!(null))],
        ),
        ("an unknown end", vec![delta(0, json!({}), json!("abort"))]),
        ("a call of too high an index", vec![too_high]),
        ("a call with too long an id", vec![call]),
    ] {
        assert_eq!(streamed(EXPECTED, &events).1, Err(Malformed), "{name}");
    }
    // Cut short, it has no end, and so isn't complete.
    assert_eq!(streamed(EXPECTED, &[text(), end()]).1, Ok(None));
}

#[test]
fn all_choices_of_a_stream_must_end() {
    let two = Expected {
        choices: 2,
        ..EXPECTED
    };
    let first = delta(0, json!({"content": "a"}), json!("length"));
    let second = delta(1, json!({"content": "b"}), json!("stop"));
    let tail = [with_usage(chunk(json!([]))), json!("[DONE]")];
    let all = [vec![first.clone(), second], tail.to_vec()].concat();
    assert_eq!(streamed(two, &all).1, Ok(Some(Ending::Length)));
    let one = [vec![first], tail.to_vec()].concat();
    assert_eq!(streamed(two, &one).1, Err(Malformed));
}

#[test]
fn streamed_completions_count_their_offsets() {
    let asked = Expected {
        logprobs: Some(1),
        ..EXPECTED
    };
    let mut stream = Stream::new(Endpoint::Completions, head(), asked);
    let mut event = |text: &str, finish: Value| {
        let logprobs = json!({"content": [{"token": text, "logprob": -1.0, "top_logprobs": []}]});
        let choice = json!({"index": 0, "text": text, "logprobs": logprobs, "finish_reason": finish});
        let document = json!({"object": "text_completion", "choices": [choice]});
        match stream.event(document.to_string().as_bytes()) {
            Ok(Step::Chunk(chunk)) => chunk.document()["choices"][0].take(),
            _ => panic!("no chunk"),
        }
    };
    event("añ", Value::Null);
    let second = event("b", json!("stop"));
    assert_eq!(second["logprobs"]["text_offset"], json!([2]));
    assert_eq!(
        (&second["text"], &second["finish_reason"]),
        (&json!("b"), &json!("stop"))
    );
}
