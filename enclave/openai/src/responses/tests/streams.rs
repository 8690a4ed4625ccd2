//! Streams as OpenAI's documentation shows them, and whole answers.

use serde_json::{Value, json};

use super::super::*;
use super::head;

fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn finish(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

/// All events of a stream, and whether their numbers count up from zero.
fn events(chunks: impl IntoIterator<Item = Value>) -> Vec<(&'static str, Value)> {
    let mut stream = Stream::new(head());
    let mut events = stream.start();
    for chunk in chunks {
        events.extend(stream.chunk(chunk).expect("a chunk"));
    }
    stream.usage(&json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}));
    events.extend(stream.end());
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event.document["sequence_number"], number);
        assert_eq!(event.document["type"], event.name);
    }
    events
        .into_iter()
        .map(|event| (event.name, event.document))
        .collect()
}

fn names(events: &[(&'static str, Value)]) -> Vec<&'static str> {
    events.iter().map(|(name, _)| *name).collect()
}

#[test]
fn a_text_comes_in_the_order_that_clients_know() {
    let token = json!({"token": "Hel", "logprob": -0.5, "bytes": [72, 101, 108], "top_logprobs": []});
    let mut first = delta(json!({"content": "Hel"}));
    first["choices"][0]["logprobs"] = json!({"content": [token], "refusal": null});
    let events = events([
        delta(json!({"role": "assistant", "content": ""})),
        first,
        delta(json!({"content": "lo"})),
        finish("stop"),
    ]);
    assert_eq!(
        names(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(
        (&events[4].1["delta"], &events[4].1["item_id"]),
        (&json!("Hel"), &json!("msg_1234_0"))
    );
    assert_eq!(events[4].1["logprobs"], json!([token]));
    assert_eq!(events[6].1["text"], "Hello");
    let response = &events[9].1["response"];
    assert_eq!(
        (&response["id"], &response["status"]),
        (&json!("resp_1234"), &json!("completed"))
    );
    assert_eq!(response["temperature"], 0.5);
    assert_eq!(response["output"][0]["content"][0]["text"], "Hello");
    assert_eq!(
        response["usage"],
        json!({"input_tokens": 5, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7})
    );
}

#[test]
fn what_was_cut_off_is_incomplete() {
    let events = events([delta(json!({"content": "a"})), finish("length")]);
    let (name, last) = events.last().unwrap();
    assert_eq!(*name, "response.incomplete");
    assert_eq!(
        last["response"]["incomplete_details"],
        json!({"reason": "max_output_tokens"})
    );
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");
}

#[test]
fn an_answer_without_text_still_has_a_message() {
    let events = events([delta(json!({"role": "assistant", "content": ""})), finish("stop")]);
    let (_, last) = events.last().unwrap();
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "");
}

#[test]
fn thoughts_and_calls_are_items_of_their_own() {
    let call = |call: Value| delta(json!({"tool_calls": [call]}));
    let events = events([
        delta(json!({"role": "assistant", "content": null, "reasoning_content": "hm"})),
        call(json!({"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}})),
        call(json!({"index": 0, "function": {"arguments": "{\"a\""}})),
        call(json!({"index": 0, "function": {"arguments": ":1}"}})),
        call(
            json!({"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}}),
        ),
        finish("tool_calls"),
    ]);
    assert_eq!(
        names(&events)[2..],
        [
            "response.output_item.added",
            "response.content_part.added",
            "response.reasoning_text.delta",
            "response.reasoning_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let output = &events.last().unwrap().1["response"]["output"];
    assert_eq!(
        output[0]["content"],
        json!([{"type": "reasoning_text", "text": "hm"}])
    );
    assert_eq!(
        output[1],
        json!({"id": "fc_1234_1", "type": "function_call", "status": "completed", "call_id": "c1", "name": "f",
            "arguments": "{\"a\":1}"})
    );
    assert_eq!(
        (&output[2]["call_id"], &output[2]["name"]),
        (&json!("c2"), &json!("g"))
    );
}

#[test]
fn a_failure_says_so_twice() {
    let mut stream = Stream::new(head());
    stream.start();
    stream.chunk(delta(json!({"content": "a"}))).unwrap();
    let events = stream.fail("engine_failed", "It failed.");
    let names: Vec<_> = events.iter().map(|event| event.name).collect();
    assert_eq!(names, ["error", "response.failed"]);
    assert_eq!(events[0].document["code"], "engine_failed");
    let error = &events[1].document["response"]["error"];
    assert_eq!(*error, json!({"code": "engine_failed", "message": "It failed."}));
}

#[test]
fn what_is_no_chunk_or_too_much_fails() {
    let chunk = |chunk: Value| Stream::new(head()).chunk(chunk).is_some();
    assert!(chunk(json!({"choices": []})));
    assert!(!chunk(json!({})));
    assert!(!chunk(json!({"choices": 5})));
    assert!(!chunk(json!(5)));
    // Of other shapes nothing comes, and nothing breaks.
    for choice in [
        json!(5),
        json!({"delta": 5, "logprobs": 5}),
        json!({"delta": {"content": 5, "tool_calls": 5}}),
    ] {
        assert!(chunk(json!({"choices": [choice]})));
    }
    assert!(!chunk(delta(
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})
    )));
    assert!(!chunk(delta(json!({"tool_calls": [{"id": "c"}]}))));
    let mut stream = Stream::new(head());
    // Control characters take six bytes each in JSON.
    let long = "\u{1}".repeat(10 * 1024);
    let grew = (0..4)
        .take_while(|_| stream.chunk(delta(json!({"content": long}))).is_some())
        .count();
    assert_eq!(grew, 2);
    // Items count, too, however little they say.
    let mut stream = Stream::new(head());
    let call = |index: usize| json!({"index": index, "id": "c", "function": {"name": "f"}});
    let calls: Vec<usize> = (0..1000)
        .take_while(|index| {
            stream
                .chunk(delta(json!({"tool_calls": [call(*index)]})))
                .is_some()
        })
        .collect();
    assert!((400..600).contains(&calls.len()), "{}", calls.len());
    // With a text as long as can be and all parameters repeated, the last event stays one that verifiers take.
    let mut long = head();
    for name in ["tools", "text", "metadata", "tool_choice"] {
        long.echo
            .insert(name.to_owned(), "x".repeat(16 * 1024 - 2).into());
    }
    let mut stream = Stream::new(long);
    stream
        .chunk(delta(json!({"content": "x".repeat(160 * 1024 - 320)})))
        .unwrap();
    for event in stream.end() {
        assert!(event.document.to_string().len() < 256 * 1024, "{}", event.name);
    }
}

#[test]
fn a_whole_answer_is_converted_too() {
    let entry = json!({"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []});
    let chat = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "a", "refusal": null,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        "logprobs": {"content": [entry], "refusal": null}, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}, "receipt": {"version": 1}});
    let response = whole(head(), chat).unwrap();
    assert_eq!(response["status"], "completed");
    assert_eq!(response["output"][0]["content"][0]["logprobs"], json!([entry]));
    assert_eq!(response["output"][1]["call_id"], "c1");
    assert_eq!(response["usage"]["total_tokens"], 4);
    assert_eq!(response["receipt"], json!({"version": 1}));
    let choices = |choices: Value| json!({"choices": choices});
    for broken in [
        json!({}),
        json!(5),
        choices(json!(5)),
        choices(json!([])),
        choices(json!([{}])),
        choices(json!([5])),
    ] {
        assert!(whole(head(), broken).is_none());
    }
}
