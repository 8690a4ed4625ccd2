//! The proxy as a caller sees it, byte by byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jeju_attestation::policy::Policy;
use jeju_attestation::response::EndReason;
use jeju_client::error::Class;
use jeju_client::proxy::payer::{Bill, PayRefusal, Payer, StreamBill};
use jeju_client::proxy::{Proxy, ProxyError, Rules};
use jeju_client::relying_party::RelyingParty;
use jeju_client::session::{Limits, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::node::{ANSWER, Node, Trick};

struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

async fn start(node: &Node) -> Running {
    start_with(node, &node.policy()).await
}

async fn start_with(node: &Node, policy: &str) -> Running {
    let party = Arc::new(RelyingParty::new(Policy::parse(policy, true).unwrap()).unwrap());
    let any = "127.0.0.1:0".parse().unwrap();
    let proxy = Proxy::bind(any, node.url().parse().unwrap(), party, Limits::default())
        .await
        .unwrap();
    let address = proxy.address();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(proxy.serve(async { drop(stopped.await) }));
    Running {
        address,
        stop: Some(stop),
        task,
    }
}

/// A session that was judged by the rules before isn't used again.
#[tokio::test]
async fn other_rules_hold_for_the_next_request() {
    let node = Node::start(Trick::Honest).await;
    let party = |policy: &str| Arc::new(RelyingParty::new(Policy::parse(policy, true).unwrap()).unwrap());
    let rules = Rules::from(party(&node.policy()));
    let any = "127.0.0.1:0".parse().unwrap();
    let url = node.url().parse().unwrap();
    let proxy = Proxy::bind(any, url, rules.clone(), Limits::default())
        .await
        .unwrap();
    let address = proxy.address();
    let serving = tokio::spawn(proxy.serve(std::future::pending()));
    let request = post("localhost", "{}");
    assert!(raw(address, &request).await.starts_with("HTTP/1.1 200"));
    let measurement = Node::measurement().to_string();
    let other = format!("0x{}", "13".repeat(32));
    rules.replace(party(&node.policy().replace(&measurement, &other)));
    let refused = raw(address, &request).await;
    assert!(
        refused.starts_with("HTTP/1.1 502") && refused.contains("measurement_unknown"),
        "{refused}"
    );
    assert_eq!(node.requests().len(), 1, "nothing of it was sent");
    rules.replace(party(&node.policy()));
    assert!(raw(address, &request).await.starts_with("HTTP/1.1 200"));
    serving.abort();
}

/// Sends bytes, and reads until the proxy closes.
async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut response))
        .await
        .unwrap();
    String::from_utf8(response).unwrap()
}

fn post(host: &str, body: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Authorization: Bearer key\r\nJeju-Verified: ?1;forged\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn header<'a>(response: &'a str, name: &str) -> Vec<&'a str> {
    let head = response.split("\r\n\r\n").next().unwrap();
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

fn error(response: &str) -> serde_json::Value {
    let body = response.split("\r\n\r\n").nth(1).unwrap();
    let value: serde_json::Value = serde_json::from_str(body).expect(response);
    assert!(value["error"]["message"].is_string() && value["error"]["param"].is_null());
    value["error"].clone()
}

#[tokio::test]
async fn verified_answers_pass_with_their_evidence() {
    let node = Node::start(Trick::Honest).await;
    let proxy = start(&node).await;
    let response = raw(proxy.address, &post("localhost:4008", "{}")).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with(ANSWER));
    let agent = "08".repeat(32);
    assert_eq!(
        header(&response, "jeju-verified"),
        [format!(
            "?1;tee=\"simulated\";agent=\"0x{agent}\";epoch=3;mode=\"channel\""
        )]
    );
    for name in [
        "jeju-quote",
        "jeju-claims",
        "jeju-evidence",
        "signature",
        "signature-input",
        "content-digest",
    ] {
        assert_eq!(header(&response, name).len(), 1, "{name}");
    }
    let response = raw(proxy.address, &post("127.0.0.1", r#"{"stream":true}"#)).await;
    assert!(response.contains(": jeju-sig v=1"), "{response}");
    assert!(response.contains("data: [DONE]\n\n") && response.ends_with("0\r\n\r\n"));

    let get = "GET /nothing?a=b HTTP/1.1\r\nHost: [::1]:1\r\nConnection: close\r\n\r\n";
    assert!(raw(proxy.address, get).await.starts_with("HTTP/1.1 404 "));
    assert_eq!(node.requests()[2].0, "/nothing?a=b");
    assert_eq!(node.challenges(), 1, "one session serves all");
}

#[tokio::test]
async fn a_refused_node_gets_no_prompt_and_the_caller_an_error() {
    let node = Node::start(Trick::Honest).await;
    let other = Node::start(Trick::Honest).await;
    let proxy = start_with(&node, &other.policy()).await;
    let response = raw(proxy.address, &post("localhost", "{}")).await;
    assert!(response.starts_with("HTTP/1.1 502 "));
    assert_eq!(header(&response, "x-should-retry"), ["false"]);
    assert!(header(&response, "jeju-verified").is_empty());
    let error = error(&response);
    assert_eq!(
        (&error["type"], &error["code"]),
        (&"jeju_attestation_error".into(), &"root_not_trusted".into())
    );
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn answers_that_do_not_verify_are_held_back() {
    for (trick, code) in [
        (Trick::Unsigned, "response_unsigned"),
        (Trick::ChangedBody, "response_body_changed"),
        (Trick::OtherRequest, "response_for_another_request"),
    ] {
        let node = Node::start(Trick::Honest).await;
        let proxy = start(&node).await;
        assert!(
            raw(proxy.address, &post("localhost", "{}"))
                .await
                .starts_with("HTTP/1.1 200")
        );
        node.trick(trick);
        let response = raw(proxy.address, &post("localhost", "{}")).await;
        assert!(
            response.starts_with("HTTP/1.1 502 ") && !response.contains("hello"),
            "{trick:?}"
        );
        assert_eq!(header(&response, "x-should-retry"), ["false"]);
        assert_eq!(error(&response)["code"], code);
        assert_eq!(node.requests().len(), 2, "never sent again");
    }
}

#[tokio::test]
async fn streams_are_cut_before_done() {
    for trick in [
        Trick::StreamCut,
        Trick::StreamBroken,
        Trick::StreamUnsigned,
        Trick::StreamChanged,
        Trick::StreamForged,
        Trick::StreamTrailing,
    ] {
        let node = Node::start(trick).await;
        let proxy = start(&node).await;
        let response = raw(proxy.address, &post("localhost", r#"{"stream":true}"#)).await;
        assert!(
            response.contains("\"hel\""),
            "{trick:?}: events pass as they come"
        );
        assert!(!response.contains("[DONE]"), "{trick:?}");
        assert!(
            !response.ends_with("0\r\n\r\n"),
            "{trick:?}: the body must not end cleanly"
        );
    }
}

#[tokio::test]
async fn a_body_longer_than_is_held_is_refused() {
    let node = Node::start(Trick::TooLong).await;
    let proxy = start(&node).await;
    let response = raw(proxy.address, &post("localhost", "{}")).await;
    assert_eq!(error(&response)["code"], "response_too_large");
    let long = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
        33 << 20,
        " ".repeat(33 << 20)
    );
    let before = node.requests().len();
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    // The proxy answers before it has read everything.
    let _ = stream.write_all(long.as_bytes()).await;
    let mut response = vec![0; 12];
    if stream.read_exact(&mut response).await.is_ok() {
        assert_eq!(response, b"HTTP/1.1 413");
    }
    assert_eq!(node.requests().len(), before);
}

#[tokio::test]
async fn other_hosts_are_not_served() {
    let node = Node::start(Trick::Honest).await;
    let proxy = start(&node).await;
    for host in ["evil.example", "evil.example:4008", "127.0.0.1.evil.example"] {
        let response = raw(proxy.address, &post(host, "{}")).await;
        assert!(response.starts_with("HTTP/1.1 403 "), "{response}");
        assert_eq!(error(&response)["code"], "host_not_loopback");
        assert_eq!(header(&response, "x-should-retry"), ["false"]);
    }
    assert_eq!(node.challenges(), 0);
}

#[tokio::test]
async fn only_loopback_is_bound() {
    let node = Node::start(Trick::Honest).await;
    for address in ["0.0.0.0:0", "[::]:0", "10.0.0.1:0"] {
        let party = Arc::new(RelyingParty::new(Policy::parse(&node.policy(), true).unwrap()).unwrap());
        let url = node.url().parse().unwrap();
        let bound = Proxy::bind(address.parse().unwrap(), url, party, Limits::default()).await;
        assert!(matches!(bound, Err(ProxyError::NotLoopback(_))), "{address}");
    }
}

#[tokio::test]
async fn a_node_that_is_away_is_a_network_error() {
    let node = Node::start(Trick::Honest).await;
    let proxy = start(&node).await;
    drop(node);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let response = raw(proxy.address, &post("localhost", "{}")).await;
    let error = error(&response);
    assert_eq!(
        (&error["type"], &error["code"]),
        (&"jeju_network_error".into(), &"node_unreachable".into())
    );
    assert_eq!(header(&response, "x-should-retry"), ["false"]);
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_the_request() {
    let node = Node::start(Trick::Silent).await;
    let proxy = start(&node).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream
        .write_all(post("localhost", "{}").as_bytes())
        .await
        .unwrap();
    while node.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(stream);
    timeout(Duration::from_secs(60), node.connection_closed())
        .await
        .expect("the node's connection ends");
}

#[tokio::test]
async fn dead_idle_sessions_are_replaced_unseen() {
    let node = Node::start(Trick::Honest).await;
    let policy = format!("max_age_seconds = 5\n{}", node.policy());
    let proxy = start_with(&node, &policy).await;
    assert!(
        raw(proxy.address, &post("localhost", "{}"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    tokio::time::sleep(Duration::from_millis(5100)).await;
    assert!(
        raw(proxy.address, &post("localhost", "{}"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(node.challenges(), 2, "attested again");
}

#[tokio::test]
async fn shutdown_lets_answers_end() {
    let node = Node::start(Trick::Silent).await;
    let mut proxy = start(&node).await;
    let address = proxy.address;
    let asked = tokio::spawn(async move { raw(address, &post("localhost", r#"{"stream":false}"#)).await });
    while node.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(proxy.stop.take());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(TcpStream::connect(address).await.is_err(), "no new connections");
    timeout(Duration::from_secs(20), proxy.task)
        .await
        .expect("ends in bounded time")
        .unwrap();
    asked.abort();
}

#[tokio::test]
async fn many_callers_at_once_share_few_attestations() {
    let node = Node::start(Trick::Busy(3)).await;
    let proxy = start(&node).await;
    let callers: Vec<_> = (0..40)
        .map(|_| tokio::spawn(async move { raw(proxy.address, &post("localhost", "{}")).await }))
        .collect();
    for caller in callers {
        assert!(caller.await.unwrap().starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(node.requests().len(), 40, "each was sent once");
    assert!(node.challenges() < 40, "{}", node.challenges());
}

/// Writes down what it is told, and refuses where it is told to.
#[derive(Default)]
struct Diary {
    entries: Arc<Mutex<Vec<String>>>,
    refuses: Mutex<bool>,
}

struct Entry(Arc<Mutex<Vec<String>>>);

impl Entry {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }
}

impl Payer for Diary {
    fn begin<'a>(
        &'a self,
        _session: &'a mut Session,
        method: &'a Method,
        path_and_query: &'a str,
        headers: &'a mut HeaderMap,
        _body: &'a Bytes,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Bill>>, PayRefusal>> {
        if *self.refuses.lock().unwrap() {
            let refusal = PayRefusal {
                code: "spend_limit".into(),
                class: Class::Policy,
                message: "no more".into(),
            };
            return std::future::ready(Err(refusal)).boxed();
        }
        let entry = Entry(self.entries.clone());
        entry.note(format!("begin {method} {path_and_query}"));
        headers.insert("jeju-voucher", HeaderValue::from_static("cumulative=1"));
        std::future::ready(Ok(Some(Box::new(entry) as Box<dyn Bill>))).boxed()
    }

    fn flush<'a>(&'a self, _session: &'a mut Session) -> BoxFuture<'a, ()> {
        Entry(self.entries.clone()).note("flush");
        std::future::ready(()).boxed()
    }

    fn is_due(&self, _session: &Session) -> bool {
        true
    }
}

impl Bill for Entry {
    fn unsent(self: Box<Self>) {
        self.note("unsent");
    }

    fn whole(self: Box<Self>, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        assert!(headers.contains_key("jeju-request-digest"));
        self.note(format!("whole {} {}", status.as_u16(), body.len()));
    }

    fn stream(self: Box<Self>, status: StatusCode, _headers: &HeaderMap) -> Box<dyn StreamBill> {
        self.note(format!("stream {}", status.as_u16()));
        self
    }
}

impl StreamBill for Entry {
    fn events(&mut self, events: &[u8]) {
        let text = String::from_utf8_lossy(events);
        self.note(if text.contains("[DONE]") { "end" } else { "events" });
    }

    fn ended(self: Box<Self>, reason: EndReason) {
        self.note(format!("ended {reason}"));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.note("dropped");
    }
}

#[tokio::test]
async fn what_is_paid_for_is_told_to_whoever_pays() {
    let node = Node::start(Trick::Honest).await;
    let party = Arc::new(RelyingParty::new(Policy::parse(&node.policy(), true).unwrap()).unwrap());
    let any = "127.0.0.1:0".parse().unwrap();
    let diary = Arc::new(Diary::default());
    let proxy = Proxy::bind(any, node.url().parse().unwrap(), party, Limits::default())
        .await
        .unwrap()
        .with_payer(diary.clone());
    let address = proxy.address();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(proxy.serve(async { drop(stopped.await) }));
    // Flushing takes its own time.
    let told = || -> Vec<String> {
        let entries = std::mem::take(&mut *diary.entries.lock().unwrap());
        entries
            .into_iter()
            .filter(|entry| !["flush", "dropped"].contains(&&**entry))
            .collect()
    };

    raw(address, &post("localhost", "{}")).await;
    let begin = "begin POST /v1/chat/completions";
    assert_eq!(told(), [begin.to_owned(), format!("whole 200 {}", ANSWER.len())]);
    assert!(node.heads()[0].contains("jeju-voucher: cumulative=1"));
    raw(address, &post("localhost", r#"{"stream":true}"#)).await;
    let mut streamed = told();
    streamed.dedup();
    assert_eq!(streamed, [begin, "stream 200", "events", "end", "ended stop"]);
    // Nothing is said of answers whose end isn't known.
    for trick in [Trick::StreamForged, Trick::StreamBroken] {
        node.trick(trick);
        raw(address, &post("localhost", r#"{"stream":true}"#)).await;
        assert!(
            !told().iter().any(|entry| entry.starts_with("ended")),
            "{trick:?}"
        );
    }
    for trick in [Trick::ChangedBody, Trick::Unanswered] {
        node.trick(trick);
        raw(address, &post("localhost", "{}")).await;
        assert_eq!(told(), [begin], "{trick:?}");
    }
    node.trick(Trick::Honest);
    *diary.refuses.lock().unwrap() = true;
    let sent = node.requests().len();
    let response = raw(address, &post("localhost", "{}")).await;
    assert!(response.starts_with("HTTP/1.1 402 "), "{response}");
    let error = error(&response);
    assert_eq!(
        (&error["type"], &error["code"]),
        (&"jeju_payment_error".into(), &"spend_limit".into())
    );
    assert_eq!(node.requests().len(), sent);

    diary.entries.lock().unwrap().clear();
    drop(stop);
    timeout(Duration::from_secs(20), serving).await.unwrap().unwrap();
    assert!(
        diary.entries.lock().unwrap().contains(&"flush".to_owned()),
        "what is owed is handed in"
    );
}
