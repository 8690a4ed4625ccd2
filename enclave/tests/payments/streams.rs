//! Streams are paid for like whole answers, and also by clients that leave before the end.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::chain::USER;
use crate::host::PATIENCE;
use crate::setting::{INPUT, MODEL, OUTPUT, STRICT, Setting, Terms, chat, price, wei};

fn events(body: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(body).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_price_and_leaving_it_is_not_free() {
    let terms = Terms {
        credit: 1_000_000,
        ..STRICT
    };
    let setting = Setting::new(terms).await;
    let path = "/v1/chat/completions";
    let body = chat(json!({"stream": true}));
    let headers = setting.signed(USER, "POST", path, &body);
    let answer = setting.ask("POST", path, &headers, &body).await;
    let last = events(&answer.body).pop().unwrap();
    assert_eq!(answer.end.as_deref(), Some("length"));
    assert_eq!(
        (&last["choices"], wei(&last["payment"]["cost"])),
        (&json!([]), price(&last["usage"]))
    );
    let mut owed = wei(&last["payment"]["owed"]);
    assert_eq!(owed, price(&last["usage"]));

    // Responses have it inside.
    let body = json!({"model": MODEL, "input": "Hi", "max_output_tokens": 2, "stream": true});
    let body = body.to_string().into_bytes();
    let headers = setting.signed(USER, "POST", "/v1/responses", &body);
    let answer = setting.ask("POST", "/v1/responses", &headers, &body).await;
    let last = events(&answer.body).pop().unwrap();
    let usage = &last["response"]["usage"];
    let tokens = |name: &str| u128::from(usage[name].as_u64().unwrap());
    let cost = tokens("input_tokens") * INPUT + tokens("output_tokens") * OUTPUT;
    owed += cost;
    let payment = &last["response"]["payment"];
    assert_eq!(
        (wei(&payment["cost"]), wei(&payment["owed"])),
        (cost, owed),
        "{last}"
    );

    // Embeddings cost their input.
    let body = json!({"model": MODEL, "input": ["a", "b"]})
        .to_string()
        .into_bytes();
    let headers = setting.signed(USER, "POST", "/v1/embeddings", &body);
    let answer = setting.ask("POST", "/v1/embeddings", &headers, &body).await;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let cost = u128::from(answer["usage"]["prompt_tokens"].as_u64().unwrap()) * INPUT;
    owed += cost;
    assert_eq!(wei(&answer["payment"]["owed"]), owed, "{answer}");

    let body = chat(json!({"stream": true, "max_tokens": 400}));
    let stream = TokioIo::new(setting.host.connect().await.into_stream());
    let (mut send, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    let connection = tokio::spawn(async move { drop(connection.await) });
    let mut request = Request::post(path).header("host", "localhost");
    for (name, value) in setting.signed(USER, "POST", path, &body) {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let mut answer = send.send_request(request).await.unwrap();
    for _ in 0..3 {
        answer.frame().await.unwrap().unwrap();
    }
    drop(answer);
    connection.abort();
    let charged = timeout(PATIENCE, async {
        loop {
            let now = wei(&setting.session(USER).await["owed"]);
            if now > owed {
                return now - owed;
            }
            sleep(Duration::from_millis(200)).await;
        }
    });
    let charged = charged.await.expect("who leaves pays");
    // "Tell me a long story." has 21 characters.
    let answered = charged.checked_sub(6 * INPUT).unwrap();
    assert!(answered >= OUTPUT && answered.is_multiple_of(OUTPUT), "{charged}");
    assert!(
        answered < 400 * OUTPUT,
        "and not for more than there was: {charged}"
    );
}
