//! `jeju route create` and `renew` with ports: a node that is verified, `ssh-keygen`, and a gateway's API that keeps what it is told.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jeju_client::ssh::host_key::HostKey;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::node::{Node, Signer};

const LIMIT: Duration = Duration::from_secs(60);
const RENTAL: &str = "0xabababababababababababababababababababababababababababababababab";
const OVER: &str = "0xcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";
const ROUTE: &str = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff";
const HOST_KEY: [u8; 32] = [0x66; 32];
const HOUR: u64 = 3600;

/// Method, path and body of each request but those for the gateway's own key.
type Told = Arc<Mutex<Vec<(String, String, Value)>>>;

/// A gateway's API. Returns its URL.
async fn gateway(route_key: Value, told: Told) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, route_key.clone(), told.clone()));
        }
    });
    url
}

async fn answer(mut stream: TcpStream, route_key: Value, told: Told) {
    let mut heard = Vec::new();
    let (head, mut body) = loop {
        stream.read_buf(&mut heard).await.unwrap();
        let text = String::from_utf8(heard.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            break (head.to_lowercase(), body.as_bytes().to_vec());
        }
    };
    let length = head.split_once("content-length: ").map_or("0", |(_, rest)| rest);
    let length: usize = length.lines().next().unwrap().parse().unwrap();
    while body.len() < length {
        stream.read_buf(&mut body).await.unwrap();
    }
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let answer = if path == "/v1/gateway/info" {
        json!({ "routeKey": route_key })
    } else {
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let kind = body["type"].as_str().unwrap_or("http").to_owned();
        told.lock().unwrap().push((method, path, body));
        json!({ "routeId": ROUTE, "type": kind, "port": 8080, "proxyHost": format!("{ROUTE}.routes.example"), "proxyPort": 4008,
                "expiresAt": 1 })
    };
    let answer = answer.to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
}

struct Setting {
    node: Node,
    folder: TempDir,
    gateway: String,
    told: Told,
}

impl Setting {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["renter", "route"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
                .arg(path(name))
                .status();
            assert!(made.await.unwrap().success());
        }
        fs::write(path("account"), "01".repeat(32)).unwrap();
        fs::set_permissions(path("account"), fs::Permissions::from_mode(0o600)).unwrap();
        let node = Node::start_renting(Some(HOST_KEY), 2222, answers()).await;
        fs::write(path("policy.toml"), node.renting_policy()).unwrap();
        fs::create_dir(path("tmp")).unwrap();
        let (told, route_key) = (Told::default(), fs::read_to_string(path("route.pub")).unwrap());
        Self {
            gateway: gateway(route_key.trim().into(), told.clone()).await,
            node,
            told,
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `jeju route`, of the account at the gateway.
    async fn route(&self, gateway: &str, arguments: &[&str]) -> Output {
        let mut jeju = Command::new(env!("CARGO_BIN_EXE_jeju"));
        jeju.env("TMPDIR", self.path("tmp"))
            .arg("route")
            .args(arguments)
            .args(["--json", "--gateway", gateway, "--key"])
            .arg(self.path("account"));
        output(&mut jeju).await
    }

    /// With what a route into a container takes.
    async fn inside(&self, arguments: &[&str]) -> Output {
        self.inside_by(&self.gateway, arguments).await
    }

    /// By another gateway.
    async fn inside_by(&self, gateway: &str, arguments: &[&str]) -> Output {
        let (key, policy) = (self.path("renter"), self.path("policy.toml"));
        let (key, policy, url) = (key.to_str().unwrap(), policy.to_str().unwrap(), self.node.url());
        let usual = [
            "--ssh-key",
            key,
            "--node",
            &url,
            "--policy",
            policy,
            "--development",
        ];
        self.route(gateway, &[arguments, &usual].concat()).await
    }

    fn told(&self) -> Vec<(String, String, Value)> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    /// What `ssh-keygen` says of a certificate.
    async fn shown(&self, certificate: &Value) -> String {
        let path = self.path("certificate");
        fs::write(&path, certificate.as_str().unwrap()).unwrap();
        let shown = output(Command::new("ssh-keygen").args(["-L", "-f"]).arg(&path)).await;
        String::from_utf8(shown.stdout).unwrap()
    }
}

/// What the node says of rentals: one that has two hours left, and one that is over.
fn answers() -> Signer {
    Box::new(|path, _| {
        let end = (now() + 2 * HOUR) * 1000;
        let rental = |id: &str, status: &str| {
            let document =
                json!({ "rentalId": id, "statusName": status, "state": "a state", "endTime": end });
            (200, document.to_string())
        };
        match path.strip_prefix("/v1/rentals/") {
            Some(RENTAL) => rental(RENTAL, "active"),
            Some(OVER) => rental(OVER, "completed"),
            _ => (404, r#"{"error":{"code":"rental_unknown"}}"#.to_owned()),
        }
    })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn output(command: &mut Command) -> Output {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    tokio::time::timeout(LIMIT, running)
        .await
        .expect("in time")
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Seconds from now to the end of a certificate's validity, as `ssh-keygen` shows it, by `date`.
async fn left(shown: &str) -> u64 {
    let valid = shown.lines().find(|line| line.contains("Valid:")).unwrap();
    let end = valid.split_whitespace().last().unwrap();
    let seconds = output(Command::new("date").args(["+%s", "-d", end])).await;
    text(&seconds.stdout).trim().parse::<u64>().unwrap() - now()
}

#[tokio::test]
async fn the_gateway_gets_a_certificate_for_one_port_and_the_host_key_of_the_evidence() {
    let setting = Setting::new().await;
    let made = setting
        .inside(&["create", RENTAL, "--type", "http", "--port", "8080"])
        .await;
    assert!(
        made.status.success(),
        "{}{}",
        text(&made.stdout),
        text(&made.stderr)
    );
    let printed: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(printed["routeId"], ROUTE);
    let [(method, path, body)] = &setting.told()[..] else {
        panic!("not one request");
    };
    assert_eq!((method.as_str(), path.as_str()), ("post", "/v1/routes"));
    assert_eq!(
        (&body["rentalId"], &body["type"], &body["port"]),
        (&json!(RENTAL), &json!("http"), &json!(8080))
    );
    assert_eq!(body["hostKey"], HostKey(HOST_KEY).line());
    let shown = setting.shown(&body["certificate"]).await;
    let route_key = output(
        Command::new("ssh-keygen")
            .args(["-l", "-f"])
            .arg(setting.path("route.pub")),
    )
    .await;
    let fingerprint = text(&route_key.stdout).split(' ').nth(1).unwrap();
    assert!(shown.contains(fingerprint) && shown.contains(RENTAL), "{shown}");
    assert!(
        shown.contains("permitopen@jeju.network") && !shown.contains("permit-pty"),
        "{shown}"
    );
    let seconds = left(&shown).await;
    assert!(
        (2 * HOUR - 120..=2 * HOUR).contains(&seconds),
        "to the rental's end: {seconds}"
    );
    // Nothing private was said or left.
    let private = fs::read_to_string(setting.path("renter")).unwrap();
    let secret = private.lines().nth(2).unwrap();
    assert!(!body.to_string().contains(secret) && !body.to_string().contains("PRIVATE"));
    assert_eq!(fs::read_dir(setting.path("tmp")).unwrap().count(), 0);

    // For less time, and never beyond the rental.
    for (hours, most) in [("1", HOUR), ("9", 2 * HOUR)] {
        let arguments = ["renew", ROUTE, RENTAL, "--port", "8080", "--hours", hours];
        let renewed = setting.inside(&arguments).await;
        assert!(renewed.status.success(), "{}", text(&renewed.stderr));
        let [(method, path, body)] = &setting.told()[..] else {
            panic!("not one request");
        };
        assert_eq!(
            (method.as_str(), path.as_str()),
            ("put", &*format!("/v1/routes/{ROUTE}"))
        );
        assert_eq!(body["hostKey"], HostKey(HOST_KEY).line());
        let seconds = left(&setting.shown(&body["certificate"]).await).await;
        assert!((most - 120..=most).contains(&seconds), "{hours} h: {seconds}");
    }
    // A way to the SSH server takes nothing of that.
    let plain = setting.route(&setting.gateway, &["create", RENTAL]).await;
    assert!(plain.status.success(), "{}", text(&plain.stderr));
    assert_eq!(setting.told()[0].2, json!({ "rentalId": RENTAL, "type": "ssh" }));
}

#[tokio::test]
async fn a_gateway_gets_nothing_where_something_is_wrong() {
    let setting = Setting::new().await;
    let create = ["create", RENTAL, "--type", "http", "--port", "8080"];
    let is_refused = |output: &Output, code: &str| {
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(!output.status.success() && said.contains(code), "{code}: {said}");
        assert!(setting.told().is_empty(), "{code}");
    };
    is_refused(
        &setting.route(&setting.gateway, &create).await,
        "arguments_invalid",
    );
    let ssh = ["create", RENTAL, "--type", "ssh", "--port", "22"];
    is_refused(&setting.inside(&ssh).await, "arguments_invalid");
    is_refused(&setting.inside(&["create", RENTAL]).await, "arguments_invalid");
    let over = ["create", OVER, "--type", "http", "--port", "8080"];
    is_refused(&setting.inside(&over).await, "rental_not_active");
    let with_program = [&create[..], &["--ssh-keygen", "/nothing"]].concat();
    is_refused(&setting.inside(&with_program).await, "file_unusable");
    let with_program = [&create[..], &["--ssh-keygen", "false"]].concat();
    is_refused(&setting.inside(&with_program).await, "ssh_keygen_failed");
    // A gateway that has no key, or calls something else so.
    for (route_key, code) in [
        (Value::Null, "gateway_failed"),
        (json!("cert-authority ssh-ed25519 AAAA"), "gateway_key_invalid"),
    ] {
        let other = gateway(route_key, setting.told.clone()).await;
        is_refused(&setting.inside_by(&other, &create).await, code);
    }
    // Another program in the node's place.
    let measurement = Node::measurement().to_string();
    let other = setting
        .node
        .renting_policy()
        .replace(&measurement, &format!("0x{}", "22".repeat(32)));
    fs::write(setting.path("policy.toml"), other).unwrap();
    is_refused(&setting.inside(&create).await, "measurement_unknown");
    assert_eq!(fs::read_dir(setting.path("tmp")).unwrap().count(), 0);
}
