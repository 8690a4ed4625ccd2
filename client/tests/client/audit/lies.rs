//! A node that signs something else than what it computed, or computed something else than it was asked.

use jeju_attestation::hash::sha256;
use jeju_attestation::response::EndReason;
use serde_json::{Value, json};

use super::computed::Computed;
use super::notary::Notary;
use super::{MODEL_ID, refused};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";

/// A question whose answer depends on the seed.
fn request(more: &[(&str, Value)]) -> Value {
    let mut request = json!({"model": MODEL_ID, "messages": [{"role": "user", "content": "Name a colour."}],
        "max_tokens": 6, "temperature": 1.5, "n": 2});
    for (name, value) in more {
        request[*name] = value.clone();
    }
    request
}

/// A node, and what it truly computed for a request.
struct Liar {
    notary: Notary,
    request: Value,
    computed: Computed,
}

impl Liar {
    async fn new(request: Value) -> Self {
        Self {
            notary: Notary::new().await,
            computed: Computed::of(CHAT, request.to_string().as_bytes()),
            request,
        }
    }

    /// An answer that was changed before it was signed is refused.
    #[track_caller]
    fn lie(&self, exit: i32, code: &str, change: impl FnOnce(&mut Computed)) {
        let mut computed = self.computed.clone();
        change(&mut computed);
        let whole = self.notary.whole(CHAT, &self.request, &computed.whole());
        refused(whole.to_string().as_bytes(), exit, code);
    }
}

/// With another value in the receipt.
fn receipt<'a>(pointer: &'a str, value: Value) -> impl FnOnce(&mut Computed) + 'a {
    move |computed| {
        let place = computed.receipt.pointer_mut(pointer).unwrap();
        assert_ne!(*place, value, "{pointer} is as it was");
        *place = value;
    }
}

#[tokio::test]
async fn an_answer_that_was_not_computed_is_found() {
    let liar = Liar::new(request(&[])).await;
    let mauve = |computed: &mut Computed| computed.choices[1].0 = vec!["Mauve.".into()];
    liar.lie(3, "receipt_text_differs", mauve);
    liar.lie(3, "recomputed_differs", |computed| {
        mauve(computed);
        computed.receipt["choices"][1]["output_sha256"] = hex::encode(sha256(b"Mauve.")).into();
    });
    liar.lie(3, "receipt_answer_differs", |computed| computed.usage.1 += 1);
    liar.lie(3, "receipt_answer_differs", |computed| {
        computed.choices[0].1 = "content_filter";
    });
    liar.lie(3, "recomputed_differs", |computed| {
        let tokens = &mut computed.receipt["choices"][0]["completion_tokens"];
        *tokens = (tokens.as_u64().unwrap() - 1).into();
        computed.usage.1 -= 1;
    });
    liar.lie(3, "recomputed_differs", |computed| {
        let other = match computed.choices[0].1 {
            "stop" => "length",
            _ => "stop",
        };
        computed.choices[0].1 = other;
        computed.receipt["choices"][0]["finish_reason"] = other.into();
    });
    liar.lie(3, "receipt_count_differs", |computed| {
        computed.choices.pop();
    });
}

#[tokio::test]
async fn another_seed_is_found() {
    // The request names one.
    let liar = Liar::new(request(&[("seed", json!(7))])).await;
    let seed = || receipt("/sampling/seed", json!("8"));
    liar.lie(3, "receipt_parameter_differs", seed());
    // It doesn't: then what is computed from it tells.
    let liar = Liar::new(request(&[])).await;
    liar.lie(3, "receipt_seed_differs", seed());
    liar.lie(3, "receipt_seed_differs", receipt("/choices/1/seed", json!("77")));
    liar.lie(3, "recomputed_differs", |computed| {
        seed()(computed);
        receipt("/choices/0/seed", json!("8"))(computed);
        receipt("/choices/1/seed", json!("9"))(computed);
    });
}

#[tokio::test]
async fn another_prompt_model_engine_or_parameter_is_found() {
    let liar = Liar::new(request(&[("stop", json!(["zzz"]))])).await;
    let other = json!("00".repeat(32));
    liar.lie(
        3,
        "receipt_prompt_differs",
        receipt("/prompts/0/sha256", other.clone()),
    );
    liar.lie(3, "model_not_launched", receipt("/model_sha256", other));
    liar.lie(1, "engine_differs", receipt("/engine", json!("jeju-inference/0")));
    liar.lie(3, "receipt_version_unknown", receipt("/version", json!(2)));
    for (pointer, value) in [
        ("/sampling/temperature", json!(1.4)),
        ("/sampling/top_p", json!(0.5)),
        ("/sampling/repeat_penalty", json!(1.0)),
        ("/sampling/frequency_penalty", json!(0.1)),
        ("/sampling/presence_penalty", json!(0.1)),
        ("/sampling/logit_bias", json!([[5, 1.0]])),
        ("/sampling/stop", json!([])),
        ("/sampling/json_object", json!(true)),
        // More than was asked for, and more than any context of the model has.
        ("/prompts/0/max_tokens", json!(7)),
    ] {
        liar.lie(3, "receipt_parameter_differs", receipt(pointer, value));
    }
    // What was computed is the answer to somebody else's question, and its receipt is right for that.
    let other = request(&[("messages", json!([{"role": "user", "content": "Name a number."}]))]);
    let liar = Liar {
        computed: Computed::of(CHAT, other.to_string().as_bytes()),
        request: request(&[]),
        ..liar
    };
    liar.lie(3, "receipt_prompt_differs", |_| ());
}

#[tokio::test]
async fn no_limit_was_asked_for_and_the_receipt_has_one_beyond_the_model() {
    let mut asked = request(&[("n", json!(1)), ("temperature", json!(0))]);
    asked["max_tokens"] = Value::Null;
    asked["stop"] = json!([" "]);
    let liar = Liar::new(asked).await;
    liar.lie(
        3,
        "receipt_parameter_differs",
        receipt("/prompts/0/max_tokens", json!(1 << 20)),
    );
}

#[tokio::test]
async fn an_answer_that_shows_nothing_is_refused() {
    let liar = Liar::new(request(&[])).await;
    liar.lie(3, "receipt_missing", |computed| computed.receipt = Value::Null);
    liar.lie(3, "receipt_malformed", |computed| {
        computed.receipt.as_object_mut().unwrap().remove("choices");
    });
    let Liar {
        notary,
        request: asked,
        computed,
    } = liar;
    let broken = notary.stream(CHAT, &asked, &computed.events(), EndReason::Error);
    refused(broken.to_string().as_bytes(), 3, "answer_incomplete");

    let error = r#"{"error":{"message":"no","type":"server_error","param":null,"code":"no"}}"#;
    let digest = Some(sha256(error.as_bytes()));
    let (headers, _) = notary.head(CHAT, &asked, 503, "application/json", digest);
    let mut refusal = notary.exchange(CHAT, &asked, headers, error);
    refusal["response"]["status"] = 503.into();
    refused(refusal.to_string().as_bytes(), 1, "not_an_answer");
    let elsewhere = notary.whole("/v1/embeddings", &asked, "{}");
    refused(elsewhere.to_string().as_bytes(), 1, "endpoint_not_audited");
    let no_json = notary.whole(CHAT, &asked, "hello");
    refused(no_json.to_string().as_bytes(), 3, "answer_malformed");
    // Answered, but to a request that nobody could have answered.
    let long = "x".repeat(1024 * 1024);
    for (field, value) in [("surprise", json!(1)), ("user", json!(long))] {
        let exchange = notary.whole(CHAT, &request(&[(field, value)]), &computed.whole());
        refused(exchange.to_string().as_bytes(), 3, "request_not_served");
    }
}

#[tokio::test]
async fn an_echo_must_be_the_prompt() {
    let notary = Notary::new().await;
    let asked = json!({"model": MODEL_ID, "prompt": "The sky is", "echo": true, "max_tokens": 3});
    let mut computed = Computed::of(COMPLETIONS, asked.to_string().as_bytes());
    computed.choices[0].0[0] = "The sea is".into();
    let exchange = notary.whole(COMPLETIONS, &asked, &computed.whole());
    refused(exchange.to_string().as_bytes(), 3, "receipt_text_differs");
}
