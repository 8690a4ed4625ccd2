//! Errors that say the same whatever was asked: nothing of a prompt can be told from one, nor from how long it is.

use serde_json::{Value, json};

use crate::client::{Client, post, request};
use crate::node::{MODEL, Node};

/// Prompts as unlike as can be, each repeated where a long one is wanted.
const PROMPTS: [&str; 4] = [
    "a",
    "Wie wird das Wetter morgen?",
    "الطقس غدا 明天的天气 \u{1F600}",
    "\"}],\\\n\t\u{1}",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_the_same_bytes_whatever_the_prompt() {
    let node = Node::start().await;
    let mut codes = Vec::new();
    for (name, make) in errors() {
        let mut first = None;
        for prompt in PROMPTS {
            let answer = Client::connect(&node)
                .await
                .exchange(&make(prompt))
                .await
                .expect("an answer");
            assert!(answer.status >= 400, "{name}: {}", answer.status);
            let head_len = answer.head.len();
            let seen = (answer.status, answer.text(), head_len);
            let expected = first.get_or_insert_with(|| seen.clone());
            assert_eq!(*expected, seen, "{name}: {prompt:?}");
        }
        let (_, body, _) = first.unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        codes.push(body["error"]["code"].as_str().expect("a code").to_owned());
    }
    // As many errors as were meant: not one that comes before all others.
    codes.sort();
    codes.dedup();
    assert!(codes.len() >= 9, "{codes:?}");
}

type Make = Box<dyn Fn(&str) -> Vec<u8> + Send>;

fn errors() -> Vec<(&'static str, Make)> {
    const CHAT: &str = "/v1/chat/completions";
    fn chat(prompt: &str, more: Value) -> Vec<u8> {
        let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": prompt}]});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        post(CHAT, "", &body.to_string())
    }
    vec![
        (
            "invalid_json",
            Box::new(|prompt| post(CHAT, "", &format!("{{\"a\": [\"{prompt}",))),
        ),
        (
            "no object",
            Box::new(|prompt| post(CHAT, "", &json!([prompt]).to_string())),
        ),
        (
            "no model",
            Box::new(|prompt| chat(prompt, json!({"model": null}))),
        ),
        (
            "another model",
            Box::new(|prompt| chat(prompt, json!({"model": prompt}))),
        ),
        (
            "a role",
            Box::new(|prompt| chat(prompt, json!({"messages": [{"role": prompt, "content": prompt}]}))),
        ),
        (
            "a number",
            Box::new(|prompt| chat(prompt, json!({"temperature": prompt}))),
        ),
        (
            "out of range",
            Box::new(|prompt| chat(prompt, json!({"temperature": 9 + prompt.len()}))),
        ),
        (
            "a field",
            Box::new(|prompt| chat(prompt, json!({"surprise": prompt}))),
        ),
        (
            "a stop",
            Box::new(|prompt| chat(prompt, json!({"stop": prompt.repeat(300)}))),
        ),
        (
            "too long a prompt",
            Box::new(|prompt| chat(&"lorem ipsum ".repeat(2000 + prompt.len()), json!({}))),
        ),
        (
            "too long a body",
            Box::new(|prompt| post(CHAT, "", &prompt.repeat((1 << 20) / prompt.len() + 1))),
        ),
        (
            "an image",
            Box::new(|prompt| {
                chat(
                    prompt,
                    json!({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": prompt}}]}]}),
                )
            }),
        ),
        (
            "a nonce",
            Box::new(|prompt| post(CHAT, &format!("jeju-nonce: {}\r\n", hex::encode(prompt)), prompt)),
        ),
        (
            "a path",
            Box::new(|prompt| request("GET", &format!("/v1/{}", hex::encode(prompt)), "", "")),
        ),
        (
            "a model's path",
            Box::new(|prompt| request("GET", &format!("/v1/models/{}", hex::encode(prompt)), "", "")),
        ),
        ("a method", Box::new(|prompt| request("PUT", CHAT, "", prompt))),
    ]
}
