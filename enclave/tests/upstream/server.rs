//! A server that speaks as vLLM does, as far as the tests need it. It repeats the last message: a token a word; `forever`
//! without an end, and `never` not at all.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

type Body = BoxBody<Bytes, Infallible>;

/// A server, until it is dropped.
pub struct Server {
    port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    salts: Mutex<Vec<String>>,
    /// Requests under way.
    busy: watch::Sender<usize>,
    /// Streams that have begun.
    streams: watch::Sender<usize>,
}

/// A request under way.
struct Busy(Arc<State>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_modify(|busy| *busy -= 1);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start() -> Server {
        Server::at(0).await
    }

    pub async fn at(port: u16) -> Server {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], port).into()).unwrap();
        let listener = socket.listen(64).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            salts: Mutex::default(),
            busy: watch::Sender::new(0),
            streams: watch::Sender::new(0),
        });
        let task = tokio::spawn(serve(listener, state.clone()));
        Server { port, state, task }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it and all of its connections.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Waits until so many streams have begun.
    pub async fn streaming(&self, count: usize) {
        let mut streams = self.state.streams.subscribe();
        streams.wait_for(|streams| *streams >= count).await.unwrap();
    }

    /// Waits until so many requests are under way.
    pub async fn busy(&self, count: usize) {
        let mut busy = self.state.busy.subscribe();
        busy.wait_for(|busy| *busy == count).await.unwrap();
    }

    /// Cache salts so far.
    pub fn salts(&self) -> Vec<String> {
        self.state.salts.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    // Dropped with the listener, as those of a process that dies.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        let service = hyper::service::service_fn(move |request| answer(state.clone(), request));
        connections.spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if path == "/v1/models" {
        return Ok(json_answer(
            &json!({"object": "list", "data": [{"id": "theirs", "object": "model"}]}),
        ));
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["model"], "theirs");
    if let Some(salt) = body["cache_salt"].as_str() {
        state.salts.lock().unwrap().push(salt.to_owned());
    }
    state.busy.send_modify(|busy| *busy += 1);
    let busy = Busy(state);
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    Ok(match path.as_str() {
        "/v1/chat/completions" => {
            let says = body["messages"][0]["content"].as_str().unwrap().to_owned();
            if says == "never" {
                sleep(Duration::from_secs(3600)).await;
            }
            if body["stream"] == true {
                assert_eq!(body["stream_options"], json!({"include_usage": true}));
                return Ok(stream(busy, says, usage));
            }
            let message = json!({"role": "assistant", "content": says, "tool_calls": []});
            json_answer(
                &json!({"id": "x", "object": "chat.completion", "created": 1, "model": "theirs", "usage": usage,
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "timings": {"a": 1}}),
            )
        }
        "/v1/completions" => json_answer(&json!({"object": "text_completion", "usage": usage,
            "choices": [{"index": 0, "text": body["prompt"], "finish_reason": "stop"}]})),
        "/v1/embeddings" => {
            let entry = |index: usize| json!({"index": index, "embedding": [1.0, 2.0]});
            json_answer(&json!({"object": "list", "usage": usage, "data": [entry(0), entry(1)]}))
        }
        _ => panic!("{path} was asked for"),
    })
}

fn json_answer(document: &Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(document.to_string())).boxed());
    let headers = response.headers_mut();
    headers.insert("content-type", "application/json".parse().unwrap());
    response
}

fn stream(busy: Busy, says: String, usage: Value) -> Response<Body> {
    let (sender, mut events) = mpsc::channel::<String>(1);
    tokio::spawn(async move {
        let chunk = |choices: Value| json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "theirs", "choices": choices});
        let delta = |delta: Value, finish: Value| {
            chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]))
        };
        let mut documents = vec![delta(json!({"role": "assistant", "content": ""}), Value::Null)];
        documents.extend(
            says.split_inclusive(' ')
                .map(|word| delta(json!({"content": word}), Value::Null)),
        );
        let mut last = chunk(json!([]));
        last["usage"] = usage;
        let ends = [delta(json!({}), json!("stop")), last];
        let forever = says == "forever";
        for (index, document) in documents.iter().enumerate() {
            if sender.send(format!("data: {document}\n\n")).await.is_err() {
                return;
            }
            if index == 1 {
                busy.0.streams.send_modify(|streams| *streams += 1);
            }
        }
        if forever {
            loop {
                sleep(Duration::from_millis(20)).await;
                if sender.send(format!("data: {}\n\n", documents[1])).await.is_err() {
                    return;
                }
            }
        }
        for document in ends {
            let _ = sender.send(format!("data: {document}\n\n")).await;
        }
        let _ = sender.send("data: [DONE]\n\n".to_owned()).await;
        drop(busy);
    });
    let frames = futures_util::stream::poll_fn(move |cx| {
        events
            .poll_recv(cx)
            .map(|event| event.map(|event| Ok(Frame::data(Bytes::from(event)))))
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    let headers = response.headers_mut();
    headers.insert(
        "content-type",
        "text/event-stream; charset=utf-8".parse().unwrap(),
    );
    response
}
