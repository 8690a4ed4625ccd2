//! The upstream: llama.cpp's chunks, with numbers for text, so that whoever reads them can tell that none is missing,
//! merged or twice there.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};

#[derive(clap::Args)]
pub struct Arguments {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
    /// Tokens a second in each stream; the first comes at once
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
}

pub async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let listener = TcpListener::bind(arguments.listen).await?;
    let every = Duration::from_secs_f64(1.0 / arguments.rate);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(move |request| async move {
            Ok::<_, Infallible>(answer(request, every).await.unwrap_or_else(|_| refusal()))
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(request: Request<Incoming>, every: Duration) -> anyhow::Result<Response<Body>> {
    let model = json!({"id": "replay", "object": "model", "created": 0, "owned_by": "replay"});
    match (request.method().clone(), request.uri().path()) {
        (Method::GET, "/health") => whole(&json!({"status": "ok"})),
        (Method::GET, "/v1/models") => whole(&json!({"object": "list", "data": [model]})),
        (Method::POST, "/v1/chat/completions") => {
            let body = request.into_body().collect().await?.to_bytes();
            let asked: Value = serde_json::from_slice(&body)?;
            let tokens = asked["max_tokens"]
                .as_u64()
                .or_else(|| asked["max_completion_tokens"].as_u64());
            let tokens = tokens.context("no max_tokens")?;
            if asked["stream"] == true {
                Ok(streamed(tokens, every))
            } else {
                whole(&document(tokens))
            }
        }
        _ => Ok(refusal()),
    }
}

fn streamed(tokens: u64, every: Duration) -> Response<Body> {
    let start = Instant::now();
    // The role, the tokens, the end of the choice, the usage, and the end.
    let events = stream::unfold(0_u64, move |number| async move {
        let event = match number.checked_sub(tokens + 1) {
            None if number == 0 => event(&chunk(&json!({"role": "assistant", "content": null}), None)),
            None => {
                sleep_until(start + every.mul_f64((number - 1) as f64)).await;
                event(&chunk(&json!({"content": text(number - 1)}), None))
            }
            Some(0) => event(&chunk(&json!({}), Some("length"))),
            Some(1) => {
                let mut last = chunk(&json!({}), None);
                last["choices"] = json!([]);
                last["usage"] = usage(tokens);
                event(&last)
            }
            Some(2) => Bytes::from_static(b"data: [DONE]\n\n"),
            Some(_) => return None,
        };
        Some((Ok(Frame::data(event)), number + 1))
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(events)));
    let content_type = http::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// The text of a token.
pub fn text(number: u64) -> String {
    format!(" t{number}")
}

fn event(document: &Value) -> Bytes {
    format!("data: {document}\n\n").into()
}

fn chunk(delta: &Value, finish: Option<&str>) -> Value {
    json!({
        "choices": [{"finish_reason": finish, "index": 0, "delta": delta}],
        "created": 1_764_150_000,
        "id": "chatcmpl-Xm3kGfXoGpqTbDvNfPqgZtYw2uJcYl5s",
        "model": "replay",
        "system_fingerprint": "b0-unknown",
        "object": "chat.completion.chunk",
    })
}

fn document(tokens: u64) -> Value {
    let text: String = (0..tokens).map(text).collect();
    json!({
        "choices": [{"finish_reason": "length", "index": 0, "message": {"role": "assistant", "content": text}}],
        "created": 1_764_150_000,
        "id": "chatcmpl-Xm3kGfXoGpqTbDvNfPqgZtYw2uJcYl5s",
        "model": "replay",
        "system_fingerprint": "b0-unknown",
        "object": "chat.completion",
        "usage": usage(tokens),
    })
}

fn usage(tokens: u64) -> Value {
    json!({"completion_tokens": tokens, "prompt_tokens": 27, "total_tokens": tokens + 27})
}

fn whole(document: &Value) -> anyhow::Result<Response<Body>> {
    let body = Full::new(Bytes::from(document.to_string())).boxed();
    Ok(Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .body(body)?)
}

fn refusal() -> Response<Body> {
    let mut response = Response::new(Full::default().boxed());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}
