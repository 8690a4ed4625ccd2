//! A worker over plain HTTP on this machine, without a node around it: for measuring and comparing engines, never for
//! serving anybody.
//!
//! ```text
//! jeju-worker-http PORT WORKER            serves; the engine is a thread at the other end of the same channel as on a node
//! jeju-worker-http --process PORT WORKER  the engine is a process
//! jeju-worker-http --start COUNT WORKER   times from the start of a process to the answer of its first request
//! ```
//!
//! WORKER is a module, or a folder whose main module is `main.mjs` or `main.ts`. With port 0 any is taken, and printed.

mod bundle;
mod engine;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jeju_worker_broker::{Body, BoxFuture, Call, CallContext, CallEvent, Loaded, Outbound, Process};
use jeju_worker_protocol::{
    Event, Failure, FetchEvent, FetchRequest, FetchResponse, Form, Limits, Load, code,
};
use tokio::net::TcpListener;

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// Workers here reach nothing.
struct Nowhere;

impl Outbound for Nowhere {
    fn fetch(
        &self,
        _: Arc<CallContext>,
        _: FetchRequest,
        _: Option<Body>,
    ) -> BoxFuture<'static, Result<(FetchResponse, Body), Failure>> {
        Box::pin(async { Err(Failure::new(code::FETCH_REFUSED, "there is no network here")) })
    }
}

struct Worker {
    process: Process,
    loaded: Loaded,
    context: Arc<CallContext>,
    limits: Limits,
}

// One thread, as workerd and `deno serve` have: with more, each request costs the wake-up of another.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        [engine::ENGINE] => engine::serve(),
        ["--start", count, worker] => start(count.parse()?, Path::new(worker)).await,
        ["--process", port, worker] => {
            let (channel, _child) = engine::in_process()?;
            serve(port.parse()?, worker_on(channel, Path::new(worker)).await?).await
        }
        [port, worker] => {
            serve(
                port.parse()?,
                worker_on(engine::in_thread()?, Path::new(worker)).await?,
            )
            .await
        }
        _ => bail!("usage: jeju-worker-http [--process] PORT WORKER | --start COUNT WORKER"),
    }
}

/// Hands a worker's code to an engine.
async fn worker_on(channel: std::os::unix::net::UnixStream, path: &Path) -> anyhow::Result<Worker> {
    channel.set_nonblocking(true)?;
    let channel = tokio::net::UnixStream::from_std(channel)?;
    let (process, work) = Process::start(channel, Arc::new(Nowhere));
    tokio::spawn(work);
    let load = Load {
        worker: 0,
        bundle: bundle::read(path)?,
        env: Vec::new(),
        limits: Limits::default(),
        form: Form::Modules,
        max_concurrent: 64,
    };
    let loaded = process.load(load).await;
    Ok(Worker {
        loaded: loaded.map_err(|failure| anyhow!("{}: {}", failure.code, failure.message))?,
        process,
        context: Arc::new(CallContext {
            owner: [0; 20],
            worker: "worker".to_owned(),
            version: 1,
        }),
        limits: Limits::default(),
    })
}

/// Prints the median time from the start of a process to its first answer, in milliseconds.
async fn start(count: usize, path: &Path) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for _ in 0..count.max(1) {
        let start = Instant::now();
        let (channel, mut child) = engine::in_process()?;
        let worker = worker_on(channel, path).await?;
        let event = FetchEvent {
            method: "GET".to_owned(),
            url: "http://localhost/".to_owned(),
            headers: Vec::new(),
            body: Some(Vec::new()),
        };
        let mut call = worker.call(event);
        while let Some(event) = call.next().await {
            if matches!(event, CallEvent::Head { .. }) {
                times.push(start.elapsed());
            }
        }
        child.kill()?;
        child.wait()?;
    }
    times.sort();
    let median = times.get(times.len() / 2).context("no answer")?;
    println!("{:.2}", median.as_secs_f64() * 1000.0);
    Ok(())
}

impl Worker {
    fn call(&self, event: FetchEvent) -> Call {
        let (context, worker) = (self.context.clone(), self.loaded.worker);
        self.process
            .call(context, worker, Event::Fetch(event), None, &self.limits)
    }
}

async fn serve(port: u16, worker: Worker) -> anyhow::Result<()> {
    let worker = Arc::new(worker);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let worker = worker.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(worker.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new();
            // A client that goes away ends its connection alone.
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(worker: Arc<Worker>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let host = head
        .headers
        .get("host")
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    let url = format!("http://{host}{}", head.uri);
    let text = |value: &hyper::header::HeaderValue| value.as_bytes().iter().map(|b| char::from(*b)).collect();
    let headers = head.headers.iter();
    let headers = headers
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    let body = match body.is_end_stream() {
        true => Vec::new(),
        false => match Limited::new(body, worker.limits.request_body as usize)
            .collect()
            .await
        {
            Ok(body) => body.to_bytes().into(),
            Err(_) => return Ok(failed(&Failure::new(code::REQUEST_BODY, "the body is too long"))),
        },
    };
    let mut call = worker.call(FetchEvent {
        method: head.method.to_string(),
        url,
        headers,
        body: Some(body),
    });
    loop {
        match call.next().await {
            Some(CallEvent::Head {
                status,
                headers,
                body,
                ..
            }) => return Ok(respond(call, status, headers, body)),
            Some(CallEvent::Done { failure, .. }) => {
                let failure =
                    failure.unwrap_or_else(|| Failure::new(code::BAD_RESPONSE, "there is no answer"));
                return Ok(failed(&failure));
            }
            Some(CallEvent::Log(line)) => eprintln!("{}", line.text),
            Some(_) => {}
            None => return Ok(failed(&Failure::new(code::CRASHED, "the engine broke"))),
        }
    }
}

fn respond(call: Call, status: u16, headers: Vec<(String, String)>, body: Option<Vec<u8>>) -> Answer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        let bytes: Vec<u8> = value.chars().map(|c| c as u8).collect();
        response = response.header(name, bytes);
    }
    let body = match body {
        Some(whole) => {
            finish(call);
            Full::from(whole).map_err(|never| match never {}).boxed_unsync()
        }
        None => BodyExt::boxed_unsync(StreamBody::new(Box::pin(stream::unfold(Some(call), piece)))),
    };
    response
        .body(body)
        .unwrap_or_else(|_| failed(&Failure::new(code::BAD_RESPONSE, "the answer's head is none")))
}

type Piece = Result<Frame<Bytes>, std::io::Error>;

async fn piece(call: Option<Call>) -> Option<(Piece, Option<Call>)> {
    let mut call = call?;
    loop {
        match call.next().await {
            Some(CallEvent::Body(data)) => return Some((Ok(Frame::data(data.into())), Some(call))),
            Some(CallEvent::BodyEnd(None)) => {
                finish(call);
                return None;
            }
            Some(CallEvent::BodyEnd(Some(_)) | CallEvent::Done { .. }) | None => {
                return Some((Err(std::io::Error::other("the worker broke off")), None));
            }
            Some(_) => {}
        }
    }
}

/// Keeps an event until what it waits for is done: mostly it is, and came with the answer.
fn finish(mut call: Call) {
    loop {
        match call.next().now_or_never() {
            Some(Some(_)) => {}
            Some(None) => return,
            None => break,
        }
    }
    tokio::spawn(async move { while call.next().await.is_some() {} });
}

fn failed(failure: &Failure) -> Answer {
    let text = format!("{}: {}\n", failure.code, failure.message);
    let body = Full::from(text).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
