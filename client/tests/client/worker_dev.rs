//! `jeju worker dev`: the real engine in a child of the real program, and a server that its worker fetches from.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// Sends on what it is asked, with what it is told to.
const WORKER: &str = r#"
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/throws") throw new RangeError(`${env.WORD} at once`);
    if (pathname === "/logs") console.warn("seen", await request.text());
    if (!request.headers.has("x-to")) return new Response(request.body);
    const init = { method: "POST", body: "sent", headers: { authorization: "Basic eA==", "x-kept": "1" } };
    try {
      const response = await fetch(request.headers.get("x-to"), init);
      return Response.json({ status: response.status, redirected: response.redirected, text: await response.text() });
    } catch (error) {
      return Response.json({ code: error.code, message: error.message });
    }
  },
};
"#;

struct Dev {
    _child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    port: u16,
    folder: tempfile::TempDir,
}

impl Dev {
    async fn start(source: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("worker.js"), source).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_jeju"))
            .args([
                "worker",
                "dev",
                "worker.js",
                "--listen",
                "127.0.0.1:0",
                "--env",
                "WORD=thrown",
            ])
            .current_dir(folder.path())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut dev = Self {
            _child: child,
            lines,
            port: 0,
            folder,
        };
        let line = dev.line("http://127.0.0.1:").await;
        dev.port = line.rsplit(':').next().unwrap().parse().unwrap();
        dev
    }

    /// The next line that has this.
    async fn line(&mut self, part: &str) -> String {
        let next = async {
            loop {
                let line = self
                    .lines
                    .next_line()
                    .await
                    .unwrap()
                    .expect("the program goes on");
                if line.contains(part) {
                    return line;
                }
            }
        };
        timeout(Duration::from_secs(60), next)
            .await
            .unwrap_or_else(|_| panic!("no line has {part:?}"))
    }

    /// Status and body.
    async fn ask(&self, path: &str, more: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let len = body.len();
        let request =
            format!("POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len}\r\n{more}\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// What its worker was told by somewhere else.
    async fn fetched(&self, url: &str) -> Value {
        let (_, body) = self.ask("/", &format!("X-To: {url}\r\n"), "").await;
        serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}"))
    }
}

/// `/N/REST` redirects with status N to REST, everything else answers with what it was asked.
async fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = Vec::new();
                let text = loop {
                    let mut buffer = [0; 4096];
                    let len = stream.read(&mut buffer).await.unwrap();
                    request.extend_from_slice(&buffer[..len]);
                    let text = String::from_utf8(request.clone()).unwrap();
                    let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                        let len = head.lines().find_map(|line| {
                            line.to_ascii_lowercase()
                                .strip_prefix("content-length: ")?
                                .parse()
                                .ok()
                        });
                        body.len() >= len.unwrap_or(0)
                    });
                    if whole || len == 0 {
                        break text;
                    }
                };
                let target = text.split(' ').nth(1).unwrap();
                let redirection = target[1..]
                    .split_once('/')
                    .and_then(|(status, to)| Some((status.parse::<u16>().ok()?, to)));
                let answer = match redirection {
                    Some((status, to)) => {
                        format!("HTTP/1.1 {status} X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
                    }
                    None => format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                        text.len()
                    ),
                };
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_served_and_its_mistakes_and_log_lines_are_told() {
    let mut dev = Dev::start(WORKER).await;
    assert_eq!(dev.ask("/echo", "", "hello").await, (200, "hello".to_owned()));
    dev.ask("/logs", "", "me").await;
    assert_eq!(dev.line("seen").await, "warn  seen me");
    let (status, body) = dev.ask("/throws", "", "").await;
    let error: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &error["code"]), (500, &"worker_exception".into()));
    assert!(
        error["error"].as_str().unwrap().contains("thrown at once"),
        "{error}"
    );
    assert!(
        error["stack"].as_str().unwrap().contains("worker.js:5"),
        "{error}"
    );

    // A mistake changes nothing, and its mending does.
    let path = dev.folder.path().join("worker.js");
    std::fs::write(&path, "export default {").unwrap();
    dev.line("worker_syntax_error").await;
    assert_eq!(dev.ask("/echo", "", "hello").await.1, "hello");
    std::fs::write(&path, "export default { fetch: () => new Response('mended') }").unwrap();
    dev.line("version 2").await;
    assert_eq!(dev.ask("/echo", "", "hello").await.1, "mended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_reaches_this_machine_and_follows_redirections_as_in_the_enclave() {
    let (dev, port, other) = (Dev::start(WORKER).await, server().await, server().await);
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let answer = dev.fetched(&at("/direct?a=b")).await;
    let text = answer["text"].as_str().unwrap().to_ascii_lowercase();
    assert_eq!(
        (&answer["status"], &answer["redirected"]),
        (&200.into(), &false.into())
    );
    assert!(
        text.starts_with("post /direct?a=b http/1.1\r\n") && text.ends_with("\r\n\r\nsent"),
        "{text}"
    );
    assert!(
        text.contains("content-length: 4")
            && text.contains("authorization: ")
            && text.contains(&format!("host: 127.0.0.1:{port}"))
    );

    let text_of = async |path: &str| {
        let answer = dev.fetched(&at(path)).await;
        assert_eq!(answer["redirected"], true, "{answer}");
        answer["text"].as_str().unwrap().to_ascii_lowercase()
    };
    for status in [301, 302, 303] {
        let text = text_of(&format!("/{status}//there")).await;
        assert!(
            text.starts_with("get /there ") && text.ends_with("\r\n\r\n") && !text.contains("content-type"),
            "{text}"
        );
    }
    for status in [307, 308] {
        let text = text_of(&format!("/{status}//there")).await;
        assert!(
            text.starts_with("post /there ") && text.ends_with("sent"),
            "{text}"
        );
    }
    let elsewhere = text_of(&format!("/307/http://127.0.0.1:{other}/there")).await;
    assert!(
        !elsewhere.contains("authorization") && elsewhere.contains("x-kept"),
        "{elsewhere}"
    );

    for path in ["/302/302", "/302/ftp://127.0.0.1/", "/302/http://"] {
        let answer = dev.fetched(&at(path)).await;
        assert_eq!(answer["code"], "fetch_failed", "{path}: {answer}");
    }
    let nobody = dev.fetched("http://127.0.0.1:1/").await;
    assert_eq!(nobody["code"], "fetch_failed", "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_this_machine_is_served() {
    let output = Command::new(env!("CARGO_BIN_EXE_jeju"))
        .args(["worker", "dev", "--listen", "0.0.0.0:0"])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("arguments_invalid"),
        "{output:?}"
    );
}
