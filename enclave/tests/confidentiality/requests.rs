//! Every way in which a prompt comes to a node, right and wrong ones.

use serde_json::{Value, json};

use jeju_inference::Role;

use crate::client::{post, request};
use crate::node::MODEL;
use crate::secrets::{Secrets, canary};
use crate::tokens;

const CHAT: &str = "/v1/chat/completions";

/// A request of one connection.
pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Requests that are served, of each endpoint, whole and as streams.
pub fn served(secrets: &mut Secrets) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut serve = |name: &str, path: &str, body: Value, streams: bool| {
        for stream in [false, true].into_iter().filter(|stream| !stream || streams) {
            let mut body = body.clone();
            body["model"] = json!(MODEL);
            if stream {
                body["stream"] = json!(true);
            }
            cases.push(Case {
                name: format!("{name}, {}", if stream { "as a stream" } else { "whole" }),
                bytes: post(path, &bearer(), &body.to_string()),
            });
        }
    };
    let (system, prompt, said) = (
        secrets.canary("system"),
        secrets.canary("chat"),
        secrets.canary("said"),
    );
    let (stop, user) = (secrets.canary("stop"), secrets.canary("user"));
    let messages = [
        (Role::System, &system),
        (Role::User, &prompt),
        (Role::Assistant, &said),
        (Role::User, &prompt),
    ];
    secrets.tokens("the chat's tokens", &tokens::of_chat(&messages));
    let chat = json!({
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": [{"type": "text", "text": prompt}]},
            {"role": "assistant", "content": said},
            {"role": "user", "content": prompt},
        ],
        "max_tokens": 32, "stop": [stop], "user": user, "metadata": {"what": user},
    });
    serve("chat", CHAT, chat.clone(), true);
    let mut more = chat;
    for (name, value) in [
        ("n", json!(2)),
        ("logprobs", json!(true)),
        ("top_logprobs", json!(3)),
        ("seed", json!(7)),
    ] {
        more[name] = value;
    }
    more["temperature"] = json!(0.8);
    serve("chat with choices", CHAT, more, true);
    let object = secrets.canary("object");
    let object = json!([{"role": "user", "content": format!("Say {object} in JSON.")}]);
    let object = json!({"messages": object, "max_tokens": 32, "response_format": {"type": "json_object"}});
    serve("a JSON object", CHAT, object, false);

    let (text, more) = (secrets.canary("completion"), secrets.canary("another completion"));
    let ids = tokens::of_text(&secrets.canary("ids"));
    secrets.tokens("the completion's tokens", &ids);
    secrets.text("the completion's tokens as JSON", &json!(ids).to_string());
    let completion = |prompt: Value| json!({"prompt": prompt, "max_tokens": 24, "echo": true});
    serve("completion", "/v1/completions", completion(json!(text)), true);
    serve(
        "two completions",
        "/v1/completions",
        completion(json!([text, more])),
        true,
    );
    serve(
        "completion of tokens",
        "/v1/completions",
        completion(json!(ids)),
        true,
    );

    let (instructions, input) = (secrets.canary("instructions"), secrets.canary("input"));
    let response = json!({"instructions": instructions, "input": input, "max_output_tokens": 24});
    serve("response", "/v1/responses", response, true);
    let items = json!([{"role": "user", "content": [{"type": "input_text", "text": input}]}]);
    serve(
        "response to items",
        "/v1/responses",
        json!({"input": items, "max_output_tokens": 24}),
        false,
    );

    let (one, two) = (secrets.canary("embedded"), secrets.canary("embedded too"));
    serve(
        "embeddings",
        "/v1/embeddings",
        json!({"input": [one, two]}),
        false,
    );
    serve(
        "embeddings in base64",
        "/v1/embeddings",
        json!({"input": one, "encoding_format": "base64"}),
        false,
    );
    serve(
        "embedding of tokens",
        "/v1/embeddings",
        json!({"input": ids}),
        false,
    );
    cases
}

/// Requests that are refused, each at another step.
pub fn refused(secrets: &mut Secrets) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut refuse = |name: &str, bytes: Vec<u8>| {
        cases.push(Case {
            name: name.to_owned(),
            bytes,
        });
    };
    let text = secrets.canary("refused");
    let chat = |more: Value| {
        let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": text}]});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        post(CHAT, &bearer(), &body.to_string())
    };
    refuse("cut JSON", post(CHAT, "", &format!("{{\"model\": \"{text}")));
    refuse("text", post(CHAT, "", &text));
    refuse("another model", chat(json!({"model": text})));
    refuse(
        "a bad role",
        chat(json!({"messages": [{"role": text, "content": text}]})),
    );
    refuse(
        "a bad content",
        chat(json!({"messages": [{"role": "user", "content": [{"type": text}]}]})),
    );
    refuse(
        "an image",
        chat(json!({"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": format!("https://{text}.example/a.png")}}]}]})),
    );
    refuse("a bad number", chat(json!({"temperature": text})));
    refuse("a bad stop", chat(json!({"stop": [text, 5]})));
    refuse("an unknown field", chat(json!({"surprise": text})));
    refuse(
        "a long prompt",
        chat(json!({"messages": [{"role": "user", "content": text.repeat(2000)}]})),
    );
    refuse("a body that is too long", post(CHAT, "", &text.repeat(40_000)));
    refuse("a body that never ends", {
        let head = format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
        format!("{head}{:x}\r\n{text}\r\nno size", text.len()).into_bytes()
    });
    refuse("a path", request("GET", &format!("/v1/{text}"), "", ""));
    refuse(
        "a model's path",
        request("GET", &format!("/v1/models/{text}"), "", ""),
    );
    refuse("another method", request("DELETE", CHAT, "", &text));
    refuse(
        "a header that is too long",
        post(CHAT, &format!("x-prompt: {}\r\n", text.repeat(2000)), ""),
    );
    refuse(
        "a broken nonce",
        post(CHAT, &format!("jeju-nonce: {text}\r\n"), &text),
    );
    refuse("no HTTP", format!("{text}\r\n\r\n").into_bytes());
    cases
}

/// Who asks is secret as well.
fn bearer() -> String {
    let key = canary("key");
    format!("authorization: Bearer {key}\r\nidempotency-key: {key}\r\n")
}
