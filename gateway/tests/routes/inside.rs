//! Routes into containers: curl and plain sockets at one end, Python's web server behind OpenSSH's at the other.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jeju_gateway::inside::Grant;
use jeju_gateway::routes::{Route, RouteKind};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::rental::{Rental, Wanted, Web};
use crate::{Gateway, OWNER, RENTAL};

const LIMIT: Duration = Duration::from_secs(60);
/// What the web server's `/big` says once and again.
const PIECE: usize = 64 * 1024;

/// A gateway, a rental and a web server in it.
pub struct Setting {
    pub gateway: Gateway,
    pub rental: Rental,
    pub web: Web,
}

pub fn wanted() -> Wanted {
    Wanted {
        principal: format!("0x{}", hex::encode(RENTAL)),
        time: "-1m:+1h",
        by: "renter",
    }
}

impl Setting {
    pub async fn new() -> Self {
        Self {
            gateway: Gateway::start().await,
            rental: Rental::start(&wanted().principal).await,
            web: Web::start(),
        }
    }

    pub fn grant(&self, port: u16, wanted: &Wanted, host_key: &str) -> Arc<Grant> {
        let inside = self.gateway.listeners.inside.as_ref().unwrap();
        let certificate = self.rental.certificate(inside.key().line(), wanted);
        Arc::new(Grant::parse(port, &certificate, &self.rental.public(host_key)).unwrap())
    }

    pub fn route(&self, kind: RouteKind, grant: Arc<Grant>) -> Arc<Route> {
        self.gateway
            .route_with(kind, "127.0.0.1", self.rental.port(), Some(grant))
    }

    /// A route to the web server.
    pub fn http(&self) -> Arc<Route> {
        self.route(RouteKind::Http, self.grant(self.web.port, &wanted(), "host"))
    }

    pub fn host(&self, route: &Route) -> String {
        format!("{}.routes.example", route.id)
    }

    /// What curl prints.
    pub async fn curl(&self, route: &Route, paths: &[&str], options: &[&str]) -> String {
        String::from_utf8(self.curl_bytes(route, paths, options, &[]).await).unwrap()
    }

    pub async fn curl_bytes(&self, route: &Route, paths: &[&str], options: &[&str], input: &[u8]) -> Vec<u8> {
        let (host, port) = (self.host(route), self.gateway.http.port());
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60", "--noproxy", "*"])
            .args(["--resolve", &format!("{host}:{port}:127.0.0.1")])
            .args(options)
            .args(paths.iter().map(|path| format!("http://{host}:{port}{path}")));
        let mut curl = curl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = curl.stdin.take().unwrap();
        let (output, _) = tokio::join!(
            async { timeout(LIMIT, curl.wait_with_output()).await.unwrap().unwrap() },
            async {
                let _ = stdin.write_all(input).await;
                drop(stdin);
            }
        );
        output.stdout
    }

    /// A connection on which this was said.
    pub async fn says(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.gateway.http).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    pub fn logins(&self) -> usize {
        self.rental.logins()
    }
}

/// Reads until the text is there.
pub async fn until(stream: &mut TcpStream, text: &str) -> String {
    until_after(stream, String::new(), text).await
}

/// The same, where some was read before.
pub async fn until_after(stream: &mut TcpStream, before: String, text: &str) -> String {
    let mut found = before.into_bytes();
    let read = async {
        while !String::from_utf8_lossy(&found).contains(text) {
            assert!(
                stream.read_buf(&mut found).await.unwrap() > 0,
                "{text} in {}",
                String::from_utf8_lossy(&found)
            );
        }
    };
    timeout(LIMIT, read).await.unwrap();
    String::from_utf8(found).unwrap()
}

async fn digest(bytes: Vec<u8>) -> String {
    let mut sum = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = sum.stdin.take().unwrap();
    stdin.write_all(&bytes).await.unwrap();
    drop(stdin);
    let output = sum.wait_with_output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

fn big(pieces: usize) -> Vec<u8> {
    (0..pieces * PIECE).map(|place| place as u8).collect()
}

#[tokio::test]
async fn curl_reaches_the_web_server_of_a_container_and_all_share_one_login() {
    let setting = Setting::new().await;
    let route = setting.http();
    assert_eq!(setting.curl(&route, &["/a?b=c"], &[]).await, "hello /a?b=c");
    // The host name counts, whatever its letters, and the server sees it.
    let mut hostname = setting.host(&route).to_uppercase();
    hostname.push_str(":80");
    let headers = [
        "-H",
        &format!("Host: {hostname}"),
        "-H",
        "X-Forwarded-For: 192.0.2.1",
        "-H",
        "X-Forwarded-Proto: https",
        "-H",
        "Forwarded: for=192.0.2.1",
    ];
    let answer = setting.curl(&route, &["/headers"], &headers).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let found = |name: &str| {
        let all = answer[1].as_array().unwrap().iter();
        let all: Vec<_> = all
            .filter(|header| header[0].as_str().unwrap().eq_ignore_ascii_case(name))
            .map(|header| header[1].as_str().unwrap().to_owned())
            .collect();
        all.join(" | ")
    };
    for (name, value) in [
        ("host", hostname.as_str()),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", &hostname),
        ("forwarded", ""),
        ("connection", "close"),
        ("accept", "*/*"),
    ] {
        assert_eq!(found(name), value, "{name}");
    }
    let shown = setting.curl(&route, &["/headers"], &["-i"]).await.to_lowercase();
    assert!(!shown.contains("x-hop") && !shown.contains("secret"), "{shown}");

    // Methods and answers without bodies.
    let head = setting.curl(&route, &["/page"], &["--head"]).await.to_lowercase();
    assert!(
        head.starts_with("http/1.1 200 ") && head.contains("content-length: 11"),
        "{head}"
    );
    for (path, line) in [("/nothing", "http/1.1 204 "), ("/same", "http/1.1 304 ")] {
        let shown = setting
            .curl(&route, &[path, "/after"], &["-i"])
            .await
            .to_lowercase();
        assert!(
            shown.starts_with(line) && shown.ends_with("hello /after"),
            "{shown}"
        );
    }
    let options = [
        "-w",
        "%{num_connects} ",
        "-o",
        "/dev/null",
        "-o",
        "/dev/null",
        "-o",
        "/dev/null",
    ];
    let kept = setting.curl(&route, &["/1", "/2", "/3"], &options).await;
    assert_eq!(kept, "1 0 0 ", "one connection of the client's");
    let old = setting.curl(&route, &["/old"], &["--http1.0"]).await;
    assert_eq!(old, "hello /old");

    // All at once, before and after.
    let all = futures_util::future::join_all((0..20).map(|_| setting.curl(&route, &["/x"], &[])));
    assert!(all.await.iter().all(|text| text == "hello /x"));
    assert_eq!(setting.logins(), 1, "{}", setting.rental.log());
    setting.gateway.is_left().await;
    let carried: u64 = setting
        .gateway
        .listeners
        .counters
        .iter()
        .map(|c| c.bytes_out())
        .sum();
    assert!(carried > 100);
}

#[tokio::test]
async fn the_first_requests_of_a_route_share_the_login_that_they_wait_for() {
    let setting = Setting::new().await;
    let route = setting.http();
    let (one, other) = tokio::join!(
        setting.curl(&route, &["/1"], &[]),
        setting.curl(&route, &["/2"], &[])
    );
    assert_eq!((one.as_str(), other.as_str()), ("hello /1", "hello /2"));
    assert_eq!(setting.logins(), 1, "{}", setting.rental.log());
}

#[tokio::test]
async fn megabytes_go_in_and_out_whole_and_as_they_come() {
    let setting = Setting::new().await;
    let route = setting.http();
    let sent = big(400);
    let expected = digest(sent.clone()).await;
    let upload = ["--data-binary", "@-", "-H", "Expect:"];
    let length = setting.curl_bytes(&route, &["/"], &upload, &sent).await;
    assert_eq!(String::from_utf8(length).unwrap(), expected);
    let chunks = ["-T", "-", "-X", "POST"];
    let chunks = setting.curl_bytes(&route, &["/"], &chunks, &sent).await;
    assert_eq!(String::from_utf8(chunks).unwrap(), expected);
    // Who asks whether it may is told so by the gateway.
    let asks = ["--data-binary", "@-", "-H", "Expect: 100-continue"];
    let asked = setting.curl_bytes(&route, &["/"], &asks, &sent).await;
    assert_eq!(String::from_utf8(asked).unwrap(), expected);
    let got = setting.curl_bytes(&route, &["/big?400"], &[], &[]).await;
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());

    // The first part is there before the second is made.
    let request = format!("GET /first HTTP/1.1\r\nhost: {}\r\n\r\n", setting.host(&route));
    let mut stream = setting.says(&request).await;
    let first = until(&mut stream, "first").await;
    assert!(first.to_lowercase().contains("transfer-encoding: chunked") && !first.contains("second"));
    assert_eq!(setting.curl(&route, &["/go"], &[]).await, "gone");
    until(&mut stream, "second\r\n0\r\n\r\n").await;
    assert_eq!(setting.logins(), 1);
}

#[tokio::test]
async fn another_protocol_goes_through_after_its_upgrade() {
    let setting = Setting::new().await;
    let route = setting.http();
    let host = setting.host(&route);
    let ask = |protocol: &str| {
        format!(
            "GET /echo HTTP/1.1\r\nhost: {host}\r\nconnection: keep-alive, Upgrade\r\nupgrade: {protocol}\r\n\r\n"
        )
    };
    let mut stream = setting.says(&(ask("echo") + "early ")).await;
    let head = until(&mut stream, "early ").await.to_lowercase();
    assert!(
        head.starts_with("http/1.1 101 ") && head.contains("upgrade: echo"),
        "{head}"
    );
    stream.write_all(b"late").await.unwrap();
    until(&mut stream, "late").await;
    assert_eq!(
        (setting.gateway.counted(), setting.gateway.routes.sessions()),
        (1, 1)
    );
    // The client's end goes through, and what is said after it comes back.
    stream.shutdown().await.unwrap();
    until(&mut stream, "bye").await;
    setting.gateway.is_left().await;
    // Another HTTP isn't a protocol of the container's: it is answered as if it hadn't been asked for.
    let mut stream = setting.says(&ask("h2c")).await;
    assert!(
        until(&mut stream, "hello /echo")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    // A deleted route ends it.
    let mut stream = setting.says(&ask("echo")).await;
    until(&mut stream, "101").await;
    setting.gateway.routes.delete(&route.id, &OWNER).unwrap();
    let read = async { while stream.read(&mut [0; 64]).await.unwrap_or(0) > 0 {} };
    timeout(LIMIT, read).await.unwrap();
    setting.gateway.is_left().await;
}

#[tokio::test]
async fn a_tcp_route_carries_bytes_to_the_port_and_each_end_closes_its_half() {
    let setting = Setting::new().await;
    let grant = setting.grant(setting.web.digest_port, &wanted(), "host");
    let route = setting.route(RouteKind::Tcp, grant);
    let port = route.port.unwrap();
    let sent = big(100);
    let expected = digest(sent.clone()).await;
    for _ in 0..2 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(&sent).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        timeout(LIMIT, stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer, expected);
    }
    assert_eq!(setting.logins(), 1);
    setting.gateway.is_left().await;
    // It ends with its route.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"some").await.unwrap();
    while setting.gateway.counted() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    setting.gateway.routes.delete(&route.id, &OWNER).unwrap();
    let left = timeout(LIMIT, stream.read(&mut [0; 1])).await.unwrap();
    assert_eq!(left.unwrap_or(0), 0);
    setting.gateway.is_left().await;
}

#[tokio::test]
async fn who_does_not_read_holds_up_nobody_else() {
    let setting = Setting::new().await;
    let route = setting.http();
    let host = setting.host(&route);
    let request = format!("GET /big?2000 HTTP/1.1\r\nhost: {host}\r\n\r\n");
    // More than all buffers on the way hold, and nobody reads it.
    let mut lazy = Vec::new();
    for _ in 0..8 {
        let mut visitor = setting.says(&request).await;
        until(&mut visitor, "HTTP/1.1 200 ").await;
        lazy.push(visitor);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for _ in 0..3 {
        assert_eq!(setting.curl(&route, &["/x"], &[]).await, "hello /x");
    }
    assert_eq!(setting.logins(), 1, "{}", setting.rental.log());
    // A deleted route ends it, though nobody takes the end.
    setting.gateway.routes.delete(&route.id, &OWNER).unwrap();
    setting.gateway.is_left().await;
}
