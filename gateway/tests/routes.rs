//! Ways to rentals, used by real clients: OpenSSH's client and server, and curl.

#[path = "routes/inside.rs"]
mod inside;
#[path = "routes/refusals.rs"]
mod refusals;
mod support;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jeju_gateway::config::Config;
use jeju_gateway::health::Health;
use jeju_gateway::index::Index;
use jeju_gateway::inside::Grant;
use jeju_gateway::listeners::{Leads, Listeners};
use jeju_gateway::names::Resolver;
use jeju_gateway::passthrough::Drain;
use jeju_gateway::routes::{NewRoute, Route, RouteKind, Routes, keep, now_ms};
use jeju_gateway::store::{Chain, Store};
use support::{Sshd, free_ports};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

const OWNER: [u8; 20] = [7; 20];
const RENTAL: [u8; 32] = [8; 32];

/// A gateway whose routes tests make themselves.
struct Gateway {
    routes: Arc<Routes>,
    listeners: Listeners,
    drain: watch::Sender<bool>,
    ssh: SocketAddr,
    http: SocketAddr,
}

impl Gateway {
    async fn start() -> Self {
        Self::with(true, "").await
    }

    /// `private`: rentals may be on this machine.
    async fn with(private: bool, more: &str) -> Self {
        Self::on(free_ports(2).await, private, more).await
    }

    async fn on(ports: RangeInclusive<u16>, private: bool, more: &str) -> Self {
        let text = format!(
            "{more}\n[chain]\nid = 1\nrpc = []\ncompute_registry = \"0x{}\"\n\
             [ssh]\nlisten = \"127.0.0.1:0\"\n\
             [http_route]\nlisten = \"127.0.0.1:0\"\ndomain = \"routes.example\"\nanswer_seconds = 15\n\
             [tcp_route]\naddress = \"127.0.0.1\"\nports = [{}, {}]\n",
            "01".repeat(20),
            ports.start(),
            ports.end(),
        );
        let config = Config::parse(&text).unwrap();
        let routes = Arc::new(Routes::new(100, Some(ports)));
        let leads = Leads {
            index: Arc::new(Index::default()),
            health: Arc::new(Health::default()),
            resolver: Arc::new(Resolver::new(private)),
            routes: routes.clone(),
        };
        let (drain, asked) = watch::channel(false);
        let until = Drain {
            asked,
            patience: Duration::from_secs(60),
        };
        let listeners = Listeners::open(&config, "127.0.0.1".to_owned(), &leads, &until)
            .await
            .unwrap();
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            ssh: local(listeners.ways.ssh.unwrap()),
            http: local(listeners.ways.http.as_ref().unwrap().1),
            routes,
            listeners,
            drain,
        }
    }

    fn route(&self, kind: RouteKind, host: &str, port: u16) -> Arc<Route> {
        self.route_with(kind, host, port, None)
    }

    fn route_with(&self, kind: RouteKind, host: &str, port: u16, inside: Option<Arc<Grant>>) -> Arc<Route> {
        let asked = NewRoute {
            kind,
            owner: OWNER,
            rental: RENTAL,
            target_host: host.to_owned(),
            target_port: port,
            expires_at: now_ms() + 3_600_000,
            inside,
        };
        self.routes.create(asked).unwrap()
    }

    /// What the SSH proxy answers to these bytes, to the end.
    async fn says(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.ssh).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        timeout(Duration::from_secs(60), read).await.unwrap().unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Sessions end soon after what made them.
    async fn is_left(&self) {
        let left = async {
            while self.routes.sessions() > 0 || self.counted() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(60), left).await.unwrap();
    }

    fn counted(&self) -> u64 {
        self.listeners
            .counters
            .iter()
            .map(|counters| counters.active())
            .sum()
    }
}

/// Runs `ssh` with the key of the server's user, and its host key alone.
async fn ssh(sshd: &Sshd, arguments: Vec<String>, input: Vec<u8>) -> Output {
    let mut command = Command::new("timeout");
    command
        .args(["60", "ssh"])
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
        ])
        .args(["-o", "IdentitiesOnly=yes", "-o", "HostKeyAlias=rental"])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", sshd.known_hosts().display()))
        .arg("-i")
        .arg(sshd.user_key())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("ssh of OpenSSH");
        let mut stdin = child.stdin.take().unwrap();
        let writing = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
        let output = child.wait_with_output().unwrap();
        let _ = writing.join().unwrap();
        output
    })
    .await
    .unwrap()
}

/// What plain bash needs to use a route: no program of ours.
fn proxy_command(gateway: SocketAddr, route: &Route) -> String {
    format!(
        "ProxyCommand=bash -c 'exec 3<>/dev/tcp/{}/{}; echo -ne \"SSH-CONNECT {}\\r\\n\" >&3; read -r answer <&3; \
         [[ $answer == SSH-OK* ]] || {{ echo \"$answer\" >&2; exit 1; }}; exec 4<&0; cat <&4 >&3 & exec cat <&3'",
        gateway.ip(),
        gateway.port(),
        route.id
    )
}

#[tokio::test]
async fn openssh_reaches_a_rental_by_the_preamble_and_megabytes_come_back_whole() {
    let (gateway, sshd) = (Gateway::start().await, Sshd::start().await);
    let route = gateway.route(RouteKind::Ssh, "127.0.0.1", sshd.port());
    let sent: Vec<u8> = (0..3 << 20).map(|i: u32| ((i * 31) >> 5) as u8).collect();
    let way = vec![
        "-o".to_owned(),
        proxy_command(gateway.ssh, &route),
        "rental".to_owned(),
        "cat".to_owned(),
    ];
    let output = ssh(&sshd, way, sent.clone()).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.stdout == sent,
        "{} of {} bytes",
        output.stdout.len(),
        sent.len()
    );
    gateway.is_left().await;
}

#[tokio::test]
async fn routes_lead_to_their_rentals_after_the_gateway_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain {
        id: 1,
        rentals: [5; 20],
    };
    let (ports, sshd) = (free_ports(2).await, Sshd::start().await);
    let open = || Arc::new(Store::open(folder.path()).unwrap());
    let keeping = |gateway: &Gateway, store| {
        let failed = |error: &str| panic!("{error}");
        tokio::spawn(keep(gateway.routes.clone(), store, chain, failed))
    };

    let before = Gateway::on(ports.clone(), true, "").await;
    let kept = keeping(&before, open());
    let preamble = before.route(RouteKind::Ssh, "127.0.0.1", sshd.port());
    let own_port = before.route(RouteKind::Tcp, "127.0.0.1", sshd.port());
    let deleted = before.route(RouteKind::Ssh, "127.0.0.1", sshd.port());
    let extended = now_ms() + 7_200_000;
    before.routes.renew(&RENTAL, extended);
    before.routes.delete(&deleted.id, &OWNER).unwrap();
    before.routes.are_kept().await;
    // Killed: nothing is written at the end.
    kept.abort();
    let _ = kept.await;
    let Gateway {
        drain, mut listeners, ..
    } = before;
    drain.send_replace(true);
    listeners.ended().await;

    let after = Gateway::on(ports, true, "").await;
    let store = open();
    after.routes.restore(store.load_routes(&chain));
    let _kept = keeping(&after, store);
    let mine = after.routes.of_owner(&OWNER);
    assert_eq!(mine.len(), 2);
    assert!(mine.iter().all(|route| route.expires_at() == extended));
    let by_preamble = vec![
        "-o".to_owned(),
        proxy_command(after.ssh, &preamble),
        "rental".to_owned(),
        "echo by preamble".to_owned(),
    ];
    let port = own_port.port.unwrap().to_string();
    let by_port = ["-p", &port, "127.0.0.1", "echo by port"].map(str::to_owned);
    for (way, said) in [(by_preamble, "by preamble\n"), (by_port.to_vec(), "by port\n")] {
        let output = ssh(&sshd, way, Vec::new()).await;
        assert_eq!(String::from_utf8_lossy(&output.stdout), said, "{output:?}");
    }
    let gone = after
        .says(format!("SSH-CONNECT {}\r\n", deleted.id).as_bytes())
        .await;
    assert_eq!(gone, "SSH-ERROR: Route not found\r\n");
}

#[tokio::test]
async fn openssh_jumps_over_the_gateway_to_the_rental_of_a_route_and_nowhere_else() {
    let (gateway, sshd, other) = (Gateway::start().await, Sshd::start().await, Sshd::start().await);
    let route = gateway.route(RouteKind::Ssh, "127.0.0.1", sshd.port());
    // The jump's host key is the gateway's, which the inner connection's options don't name.
    let jump = |user: &str| {
        let port = gateway.ssh.port();
        let inner =
            "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
        format!("ProxyCommand={inner} -W [%h]:%p -p {port} {user}@127.0.0.1")
    };
    let sent: Vec<u8> = (0..1 << 20).map(|i: u32| ((i * 31) >> 5) as u8).collect();
    // Whatever host is asked for, the route's rental answers.
    let other_port = other.port().to_string();
    let way = |user: &str| {
        let words = ["-p", &other_port, "-o", &jump(user), "127.0.0.1", "cat"];
        words.map(str::to_owned).to_vec()
    };
    let output = ssh(&sshd, way(&route.id.to_string()), sent.clone()).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.stdout == sent,
        "{} of {} bytes",
        output.stdout.len(),
        sent.len()
    );
    for nobody in ["root", "0b0e7a9c-5a0e-4d3e-8a51-6d3c2f1e0d9b"] {
        let output = ssh(&sshd, way(nobody), Vec::new()).await;
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("Permission denied"),
            "{nobody}"
        );
    }
    // No shell at the gateway, and no listening for a client.
    for wants in [
        vec!["true"],
        vec!["-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"],
    ] {
        let port = gateway.ssh.port().to_string();
        let user = format!("{}@127.0.0.1", route.id);
        let mut words = [
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "HostKeyAlias=gateway",
            "-p",
            &port,
            &user,
        ]
        .map(str::to_owned)
        .to_vec();
        let at = words.len() - if wants.len() > 1 { 1 } else { 0 };
        words.splice(at..at, wants.iter().map(|word| (*word).to_owned()));
        let output = ssh(&sshd, words, Vec::new()).await;
        assert!(!output.status.success(), "{wants:?}");
    }
    gateway.is_left().await;
}

#[tokio::test]
async fn a_jump_ends_with_its_route() {
    let (gateway, sshd) = (Gateway::start().await, Sshd::start().await);
    let route = gateway.route(RouteKind::Ssh, "127.0.0.1", sshd.port());
    let port = gateway.ssh.port();
    let jump = format!(
        "ProxyCommand=ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -W [%h]:%p \
         -p {port} {}@127.0.0.1",
        route.id
    );
    let words = ["-o", &jump, "rental", "sleep 50"].map(str::to_owned).to_vec();
    let running = tokio::spawn(async move { ssh(&sshd, words, Vec::new()).await });
    while gateway.counted() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gateway.routes.delete(&route.id, &OWNER).unwrap();
    let output = timeout(Duration::from_secs(40), running).await.unwrap().unwrap();
    assert!(!output.status.success());
    gateway.is_left().await;
}

#[tokio::test]
async fn openssh_reaches_a_rental_by_a_port_of_its_own() {
    let (gateway, sshd) = (Gateway::start().await, Sshd::start().await);
    let route = gateway.route(RouteKind::Tcp, "127.0.0.1", sshd.port());
    let port = route.port.unwrap().to_string();
    let way = || {
        ["-p", &port, "127.0.0.1", "echo $((40 + 2))"]
            .map(str::to_owned)
            .to_vec()
    };
    let output = ssh(&sshd, way(), Vec::new()).await;
    assert_eq!(
        output.stdout,
        b"42\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Another server behind the same port gets no further than its host key.
    let other = Sshd::start().await;
    gateway.routes.delete(&route.id, &OWNER).unwrap();
    let led_astray = gateway.route(RouteKind::Tcp, "127.0.0.1", other.port());
    assert_eq!(led_astray.port, route.port);
    let output = ssh(&sshd, way(), Vec::new()).await;
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("HOST IDENTIFICATION HAS CHANGED"));
    // A port that no route has is closed.
    let unused = route.port.unwrap() + 1;
    let mut stream = TcpStream::connect(("127.0.0.1", unused)).await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn connect_of_http_leads_to_a_rental() {
    let (gateway, sshd) = (Gateway::start().await, Sshd::start().await);
    let route = gateway.route(RouteKind::Http, "127.0.0.1", sshd.port());
    let to = gateway.http;
    for host in [format!("{}.ROUTES.example", route.id), route.id.to_string()] {
        let command = format!(
            "ProxyCommand=bash -c 'exec 3<>/dev/tcp/{}/{}; echo -ne \"CONNECT {host}:22 HTTP/1.1\\r\\nHost: {host}:22\\r\\n\\r\\n\" \
             >&3; while read -r line <&3 && [[ ${{#line}} -gt 1 ]]; do :; done; exec 4<&0; cat <&4 >&3 & exec cat <&3'",
            to.ip(),
            to.port(),
        );
        let way = vec![
            "-o".to_owned(),
            command,
            "rental".to_owned(),
            "echo there".to_owned(),
        ];
        let output = ssh(&sshd, way, Vec::new()).await;
        assert_eq!(
            output.stdout,
            b"there\n",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[tokio::test]
async fn requests_of_http_that_lead_nowhere_say_why() {
    let (gateway, sshd) = (Gateway::start().await, Sshd::start().await);
    let (of_http, of_ssh) = (
        gateway.route(RouteKind::Http, "127.0.0.1", sshd.port()),
        gateway.route(RouteKind::Ssh, "127.0.0.1", sshd.port()),
    );
    let closed = *free_ports(1).await.start();
    let gone = gateway.route(RouteKind::Http, "127.0.0.1", closed);
    let connect = |host: String| format!("CONNECT {host}:22 HTTP/1.1\r\nhost: {host}\r\n\r\n");
    for (request, status, code) in [
        (
            connect(format!("{}.routes.example", of_ssh.id)),
            404,
            "route_not_found",
        ),
        (connect("node.example".to_owned()), 404, "route_not_found"),
        (connect("127.0.0.1".to_owned()), 404, "route_not_found"),
        (
            connect(format!("{}.routes.example", gone.id)),
            502,
            "route_unreachable",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: {}.routes.example\r\n\r\n", of_http.id),
            501,
            "route_connect_only",
        ),
    ] {
        let mut stream = TcpStream::connect(gateway.http).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let count = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..count]);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {answer}"
        );
        assert!(
            answer.contains(&format!("\"code\":\"{code}\"")),
            "{request}: {answer}"
        );
    }
}

#[tokio::test]
async fn what_a_client_says_before_the_answer_is_not_lost() {
    let gateway = Gateway::start().await;
    let rental = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let route = gateway.route(RouteKind::Ssh, "127.0.0.1", rental.local_addr().unwrap().port());
    let mut client = TcpStream::connect(gateway.ssh).await.unwrap();
    let first = format!("SSH-CONNECT {}\r\nSSH-2.0-client\r\n", route.id);
    client.write_all(first.as_bytes()).await.unwrap();
    let (mut server, _) = rental.accept().await.unwrap();
    client.write_all(b"more").await.unwrap();
    // Nothing of a client goes where nobody speaks SSH, and no answer comes before somebody does.
    let mut byte = [0; 1];
    assert!(
        timeout(Duration::from_millis(100), server.read(&mut byte))
            .await
            .is_err()
    );
    assert!(
        timeout(Duration::from_millis(10), client.read(&mut byte))
            .await
            .is_err()
    );
    server.write_all(b"SSH-2.0-").await.unwrap();
    server.write_all(b"server\r\nand").await.unwrap();
    let mut said = vec![0; 20];
    server.read_exact(&mut said).await.unwrap();
    assert_eq!(said, b"SSH-2.0-client\r\nmore");
    let mut said = vec![0; 27];
    client.read_exact(&mut said).await.unwrap();
    assert_eq!(said, b"SSH-OK\r\nSSH-2.0-server\r\nand");
    assert_eq!((gateway.counted(), gateway.routes.sessions()), (1, 1));
}

#[tokio::test]
async fn a_route_that_leads_nowhere_is_an_error_of_the_first_clients_form() {
    let gateway = Gateway::start().await;
    let closed = *free_ports(1).await.start();
    let gone = gateway.route(RouteKind::Ssh, "127.0.0.1", closed);
    let of_tcp = gateway.route(RouteKind::Tcp, "127.0.0.1", closed);
    let expired = gateway.route(RouteKind::Ssh, "127.0.0.1", closed);
    let of_nobody = "0b0e7a9c-5a0e-4d3e-8a51-6d3c2f1e0d9b";
    let asks = |id: &dyn ToString| format!("SSH-CONNECT {}\r\n", id.to_string());
    for (said, answer) in [
        ("SSH-CONNECT \r\n".to_owned(), "Route ID required"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "Route ID required"),
        ("a".repeat(1 << 20), "Route ID required"),
        (asks(&of_nobody), "Route not found"),
        (asks(&"1-2-3"), "Route not found"),
        (asks(&of_tcp.id), "Route not found"),
        (asks(&gone.id), "Rental not reachable"),
    ] {
        let start: String = said.chars().take(40).collect();
        let found = gateway.says(said.as_bytes());
        if said.len() > 1000 {
            // Who talks without listening may lose the answer, and nothing else.
            continue;
        }
        assert_eq!(found.await, format!("SSH-ERROR: {answer}\r\n"), "{start}");
    }
    gateway.routes.renew(&RENTAL, now_ms());
    assert_eq!(
        gateway.says(asks(&expired.id).as_bytes()).await,
        "SSH-ERROR: Route expired\r\n"
    );
    assert_eq!((gateway.counted(), gateway.routes.sessions()), (0, 0));
}

#[tokio::test]
async fn hosts_on_chain_lead_to_no_private_network_and_to_nothing_but_ssh() {
    let sshd = Sshd::start().await;
    // A gateway of a public chain: this machine is not the internet.
    let guarded = Gateway::with(false, "").await;
    for host in [
        "127.0.0.1",
        "localhost",
        "::1",
        "[::1]",
        "127.1",
        "0x7f000001",
        "169.254.169.254",
        "10.0.0.1",
        "a b",
        "-x",
        "",
    ] {
        let route = guarded.route(RouteKind::Ssh, host, sshd.port());
        let answer = guarded
            .says(format!("SSH-CONNECT {}\r\n", route.id).as_bytes())
            .await;
        assert_eq!(answer, "SSH-ERROR: Rental not reachable\r\n", "{host}");
        guarded.routes.delete(&route.id, &OWNER).unwrap();
    }
    // A server that greets otherwise, and one that says too much.
    let gateway = Gateway::start().await;
    for greeting in [
        b"220 mail.example ESMTP\r\n".to_vec(),
        b"SSH-1.5-old\r\n".to_vec(),
        [b"SSH-2.0-", &[b'a'; 500][..]].concat(),
    ] {
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let route = gateway.route(RouteKind::Ssh, "127.0.0.1", other.local_addr().unwrap().port());
        let serve = tokio::spawn(async move {
            let (mut stream, _) = other.accept().await.unwrap();
            stream.write_all(&greeting).await.unwrap();
            let mut got = Vec::new();
            let _ = stream.read_to_end(&mut got).await;
            got
        });
        let answer = gateway
            .says(format!("SSH-CONNECT {}\r\nSSH-2.0-x\r\n", route.id).as_bytes())
            .await;
        assert_eq!(answer, "SSH-ERROR: Rental not reachable\r\n");
        assert_eq!(serve.await.unwrap(), b"", "no byte of the client");
        gateway.routes.delete(&route.id, &OWNER).unwrap();
    }
}

#[tokio::test]
async fn a_session_ends_with_its_route_and_not_with_the_gateways_drain() {
    let mut gateway = Gateway::start().await;
    let rental = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let route = gateway.route(RouteKind::Ssh, "127.0.0.1", rental.local_addr().unwrap().port());
    let mut client = TcpStream::connect(gateway.ssh).await.unwrap();
    client
        .write_all(format!("SSH-CONNECT {}\r\n", route.id).as_bytes())
        .await
        .unwrap();
    let (mut server, _) = rental.accept().await.unwrap();
    server.write_all(b"SSH-2.0-server\r\n").await.unwrap();
    client.read_exact(&mut [0; 24]).await.unwrap();
    gateway.drain.send_replace(true);
    while TcpStream::connect(gateway.ssh).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.write_all(b"on").await.unwrap();
    let mut said = [0; 2];
    client.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"on");
    gateway.routes.delete(&route.id, &OWNER).unwrap();
    assert_eq!(client.read(&mut said).await.unwrap_or(0), 0);
    assert_eq!(server.read(&mut said).await.unwrap_or(0), 0);
    gateway.listeners.ended().await;
    assert_eq!((gateway.counted(), gateway.routes.sessions()), (0, 0));
}

#[tokio::test]
async fn an_address_has_so_many_connections_on_all_listeners_together() {
    let gateway = Gateway::with(true, "connections_per_address = 2").await;
    let _kept = (
        TcpStream::connect(gateway.ssh).await.unwrap(),
        TcpStream::connect(gateway.http).await.unwrap(),
    );
    let refused = || -> u64 {
        gateway
            .listeners
            .counters
            .iter()
            .map(|counters| counters.refused.load(Relaxed))
            .sum()
    };
    for address in [gateway.ssh, gateway.http] {
        // Both of the kept ones are accepted by the time that this is closed.
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.read(&mut [0; 1]).await;
        drop(stream);
    }
    assert!(refused() >= 1);
}
