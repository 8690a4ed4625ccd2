//! HTTP/1.1 around the API.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::Api;
use crate::passthrough::{Addresses, Admission, Drain, accept};

/// Connections at a time.
const CONNECTIONS: usize = 1024;
/// Of one address.
const OF_ADDRESS: usize = 128;
/// How long a request's head may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(30);
/// How long a connection lives: who doesn't read its answers holds a place no longer.
const LIFE: Duration = Duration::from_secs(300);
/// How long its last answer may take then.
const LAST_ANSWER: Duration = Duration::from_secs(60);
/// Longest request head, in bytes.
const HEAD_LEN: usize = 16 * 1024;

/// Answers requests until `drain` asks for an end, and then waits for the connections that there are.
pub async fn serve(listener: TcpListener, api: Arc<Api>, drain: Drain) {
    let of_address = match api.parts.rates.forwarded {
        // All of them are the web server's.
        true => CONNECTIONS,
        false => OF_ADDRESS,
    };
    let admission = Admission::new(CONNECTIONS, Arc::new(Addresses::new(of_address)));
    let counters = api.connections.clone();
    accept(listener, admission, counters, drain, |client| {
        connection(api.clone(), client)
    })
    .await;
}

async fn connection(api: Arc<Api>, client: TcpStream) {
    let Ok(peer) = client.peer_addr() else {
        return;
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(respond(&api, request, peer.ip()).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_LEN);
    let mut connection = pin!(http.serve_connection(TokioIo::new(client), service));
    // However a connection ends, it is the client's doing.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = sleep(LIFE) => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(LAST_ANSWER, connection).await;
        }
    }
}

/// Pages of any origin may ask: what counts is a signature in headers, which no browser adds by itself.
async fn respond(api: &Api, request: Request<Incoming>, from: IpAddr) -> Response<Full<Bytes>> {
    if request.method() == Method::OPTIONS {
        return preflight();
    }
    let (head, body) = request.into_parts();
    let answer = api.answer(&head, body, from).await;
    let mut response = Response::new(Full::new(answer.body.into()));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("retry-after"),
    );
    if let Some(methods) = answer.allow {
        headers.insert(ALLOW, HeaderValue::from_static(methods.list()));
    }
    if let Some(seconds) = answer.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// What browsers ask before a request with headers of its own.
fn preflight() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET,HEAD,POST,PUT,DELETE"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "content-type,x-jeju-address,x-jeju-nonce,x-jeju-timestamp,x-jeju-signature",
        ),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
