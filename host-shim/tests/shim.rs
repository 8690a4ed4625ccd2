//! The shim against guests, clients and vsock devices that behave, and that don't.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use jeju_host_shim::{Config, HostShim, RunningShim, StartError};
use jeju_shim_protocol::document::{self, CollateralName, DocumentRequest, MAX_COLLATERAL, MAX_LAUNCH};
use jeju_shim_protocol::fatal::FatalCode;
use jeju_shim_protocol::line::ErrorCode;
use jeju_shim_protocol::log::{LogFrame, write_frame};
use jeju_shim_protocol::transport::{GuestTransport, HostTransport, Listener, Stream};
use jeju_shim_protocol::{ExchangeError, Port, egress};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// No wait of these tests is longer.
const PATIENCE: Duration = Duration::from_secs(30);
const LAUNCH: &[u8] = b"version = 1\n";

/// A shim over Unix sockets, and the guest's end of them.
struct Bench {
    shim: RunningShim,
    guest: GuestTransport,
    dir: TempDir,
}

impl Bench {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let launch = dir.path().join("launch.toml");
        std::fs::write(&launch, LAUNCH).unwrap();
        let mut config = Config::new(HostTransport::Unix(dir.path().into()), launch);
        config.listen.insert(Port::Node, loopback());
        config.metrics = Some(loopback());
        change(&mut config);
        let shim = HostShim::start(config).await.unwrap();
        Self {
            shim,
            guest: GuestTransport::Unix(dir.path().into()),
            dir,
        }
    }

    fn listen(&self) -> Listener {
        self.guest.listen(Port::Node).unwrap()
    }

    async fn dial(&self, port: Port) -> Stream {
        self.guest.dial(port).await.unwrap()
    }

    async fn client(&self) -> TcpStream {
        TcpStream::connect(self.shim.local_addr(Port::Node).unwrap())
            .await
            .unwrap()
    }

    /// A client, and the connection that the guest accepts for it.
    async fn connection(&self, listener: &Listener) -> (TcpStream, Stream) {
        let client = self.client().await;
        (client, soon(listener.accept()).await.unwrap())
    }

    async fn metric(&self, series: &str) -> u64 {
        let text = http_get(self.shim.metrics_addr().unwrap(), "/metrics").await;
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        found
            .unwrap_or_else(|| panic!("no {series} in {text}"))
            .parse()
            .unwrap()
    }

    /// Waits until a series has a value.
    async fn until(&self, series: &str, value: u64) {
        let start = Instant::now();
        while self.metric(series).await != value {
            assert!(
                start.elapsed() < PATIENCE,
                "{series} stays {}, not {value}",
                self.metric(series).await
            );
            sleep(Duration::from_millis(10)).await;
        }
    }
}

fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("no answer in time")
}

/// All bytes up to the end of the stream; a reset counts as an end.
async fn rest<S: AsyncRead + Unpin>(stream: &mut S) -> Vec<u8> {
    let mut bytes = Vec::new();
    match soon(stream.read_to_end(&mut bytes)).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}"),
    }
    bytes
}

async fn http_get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
        .await
        .unwrap();
    String::from_utf8(rest(&mut stream).await).unwrap()
}

/// Sends `len` pseudo-random bytes and ends its direction; gives their digest.
fn send<S: AsyncWrite + Send + 'static>(mut to: WriteHalf<S>, len: usize, seed: u64) -> JoinHandle<[u8; 32]> {
    tokio::spawn(async move {
        let (mut digest, mut state, mut left) = (Sha256::new(), seed, len);
        // Sizes that are no multiple of anyone's buffer.
        let mut chunk = vec![0; 77_777];
        while left > 0 {
            let count = left.min(chunk.len());
            for byte in &mut chunk[..count] {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            }
            digest.update(&chunk[..count]);
            to.write_all(&chunk[..count]).await.unwrap();
            left -= count;
        }
        to.shutdown().await.unwrap();
        digest.finalize().into()
    })
}

/// Length and digest of all that comes.
fn receive<S: AsyncRead + Send + 'static>(mut from: ReadHalf<S>) -> JoinHandle<(usize, [u8; 32])> {
    tokio::spawn(async move {
        let (mut digest, mut total, mut chunk) = (Sha256::new(), 0, vec![0; 100_000]);
        loop {
            match from.read(&mut chunk).await.unwrap() {
                0 => return (total, digest.finalize().into()),
                count => {
                    digest.update(&chunk[..count]);
                    total += count;
                }
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_arrive_unchanged_in_both_directions_at_once() {
    const LEN: usize = 64 << 20;
    let bench = Bench::new(|_| {}).await;
    let (client, guest) = bench.connection(&bench.listen()).await;
    let ((client_in, client_out), (guest_in, guest_out)) = (split(client), split(guest));
    let (up, down) = (send(client_out, LEN, 1), send(guest_out, LEN, 2));
    let (at_guest, at_client) = (receive(guest_in), receive(client_in));
    assert_eq!(soon(at_guest).await.unwrap(), (LEN, up.await.unwrap()));
    assert_eq!(soon(at_client).await.unwrap(), (LEN, down.await.unwrap()));
    bench
        .until("jeju_shim_connections_active{port=\"4007\"}", 0)
        .await;
    assert_eq!(
        bench
            .metric("jeju_shim_bytes_total{port=\"4007\",direction=\"to_guest\"}")
            .await,
        LEN as u64
    );
    assert_eq!(
        bench
            .metric("jeju_shim_bytes_total{port=\"4007\",direction=\"from_guest\"}")
            .await,
        LEN as u64
    );
}

#[tokio::test]
async fn either_side_may_stop_sending_and_still_receive() {
    let bench = Bench::new(|_| {}).await;
    let listener = bench.listen();

    let (mut client, mut guest) = bench.connection(&listener).await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut guest).await, b"question");
    guest.write_all(b"answer").await.unwrap();
    drop(guest);
    assert_eq!(rest(&mut client).await, b"answer");

    let (mut client, mut guest) = bench.connection(&listener).await;
    guest.write_all(b"greeting").await.unwrap();
    guest.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, b"greeting");
    client.write_all(b"reply").await.unwrap();
    drop(client);
    assert_eq!(rest(&mut guest).await, b"reply");
}

#[tokio::test]
async fn an_early_answer_to_an_upload_that_the_guest_refuses_gets_through() {
    let bench = Bench::new(|_| {}).await;
    let (client, mut guest) = bench.connection(&bench.listen()).await;
    let (mut client_in, mut client_out) = split(client);
    let upload = tokio::spawn(async move {
        // Fails once the guest is gone.
        while client_out.write_all(&[0; 65536]).await.is_ok() {}
    });
    guest.read_exact(&mut [0; 1000]).await.unwrap();
    guest.write_all(b"413").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    drop(guest);
    let mut answer = [0; 3];
    soon(client_in.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"413");
    upload.abort();
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once() {
    let bench = Bench::new(|config| config.max_connections = 2).await;
    let listener = bench.listen();
    let first = bench.connection(&listener).await;
    let second = bench.connection(&listener).await;
    let mut third = bench.client().await;
    assert_eq!(rest(&mut third).await, b"");
    assert_eq!(
        bench
            .metric("jeju_shim_connections_over_limit_total{port=\"4007\"}")
            .await,
        1
    );
    drop(first);
    bench
        .until("jeju_shim_connections_active{port=\"4007\"}", 1)
        .await;
    let (mut fourth, mut guest) = bench.connection(&listener).await;
    fourth.write_all(b"x").await.unwrap();
    soon(guest.read_exact(&mut [0; 1])).await.unwrap();
    drop(second);
}

#[tokio::test]
async fn a_guest_that_does_not_listen_costs_a_client_its_connection_only() {
    let bench = Bench::new(|_| {}).await;
    assert_eq!(rest(&mut bench.client().await).await, b"");
    assert_eq!(
        bench.metric("jeju_shim_dial_failures_total{port=\"4007\"}").await,
        1
    );
    bench.connection(&bench.listen()).await;
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let bench = Bench::new(|config| config.idle_timeout = Duration::from_millis(300)).await;
    let (mut client, mut guest) = bench.connection(&bench.listen()).await;
    let start = Instant::now();
    for _ in 0..4 {
        sleep(Duration::from_millis(150)).await;
        guest.write_all(b".").await.unwrap();
    }
    assert_eq!(rest(&mut client).await, b"....");
    assert!(
        start.elapsed() >= Duration::from_millis(900),
        "traffic in one direction keeps both open"
    );
    assert_eq!(
        bench.metric("jeju_shim_idle_timeouts_total{port=\"4007\"}").await,
        1
    );
}

#[tokio::test]
async fn a_receiver_that_never_reads_stops_its_sender() {
    let bench = Bench::new(|_| {}).await;
    let (client, guest) = bench.connection(&bench.listen()).await;
    let flood = async |stream: &mut (dyn AsyncWrite + Unpin + Send)| {
        let mut sent = 0;
        while let Ok(written) = timeout(Duration::from_millis(500), stream.write(&[0; 65536])).await {
            sent += written.unwrap();
            assert!(sent < 64 << 20, "bytes pile up somewhere");
        }
    };
    let (_client_in, mut client_out) = split(client);
    let (_guest_in, mut guest_out) = split(guest);
    flood(&mut client_out).await;
    flood(&mut guest_out).await;
    // What the shim has taken from each sender is what the receivers' sockets hold, and one buffer.
    for direction in ["to_guest", "from_guest"] {
        let series = format!("jeju_shim_bytes_total{{port=\"4007\",direction=\"{direction}\"}}");
        assert!(bench.metric(&series).await < 16 << 20);
    }
}

#[tokio::test]
async fn egress_reaches_listed_targets_only() {
    let target = TcpListener::bind(loopback()).await.unwrap();
    let address = target.local_addr().unwrap();
    let closed = TcpListener::bind(loopback()).await.unwrap().local_addr().unwrap();
    let bench = Bench::new(|config| {
        config.egress_allow = [
            format!("127.0.0.1:{}", address.port()),
            format!("localhost:{}", address.port()),
            closed.to_string(),
            "does-not-exist.invalid:80".to_owned(),
        ]
        .iter()
        .map(|target| target.parse().unwrap())
        .collect();
    })
    .await;

    for host in ["127.0.0.1", "localhost"] {
        let mut guest = bench.dial(Port::Egress).await;
        let (connected, accepted) =
            soon(async { tokio::join!(egress::connect(&mut guest, host, address.port()), target.accept()) })
                .await;
        connected.unwrap();
        let (mut accepted, _) = accepted.unwrap();
        guest.write_all(b"ping").await.unwrap();
        guest.shutdown().await.unwrap();
        assert_eq!(rest(&mut accepted).await, b"ping");
        accepted.write_all(b"pong").await.unwrap();
        drop(accepted);
        assert_eq!(rest(&mut guest).await, b"pong");
    }

    for (host, port, code) in [
        ("127.0.0.1", address.port().wrapping_add(1), ErrorCode::Denied),
        ("127.0.0.2", address.port(), ErrorCode::Denied),
        ("[::1]", address.port(), ErrorCode::Denied),
        ("127.0.0.1", closed.port(), ErrorCode::Unreachable),
        ("does-not-exist.invalid", 80, ErrorCode::Unreachable),
    ] {
        let mut guest = bench.dial(Port::Egress).await;
        match soon(egress::connect(&mut guest, host, port)).await {
            Err(ExchangeError::Refused(refused)) => assert_eq!(refused, code, "{host}:{port}"),
            other => panic!("{host}:{port}: {other:?}"),
        }
        assert_eq!(rest(&mut guest).await, b"");
    }
    assert_eq!(bench.metric("jeju_shim_denied_total{port=\"5000\"}").await, 3);
    assert_eq!(
        bench.metric("jeju_shim_unreachable_total{port=\"5000\"}").await,
        2
    );
}

#[tokio::test]
async fn egress_is_denied_without_a_list() {
    let target = TcpListener::bind(loopback()).await.unwrap();
    let bench = Bench::new(|_| {}).await;
    let mut guest = bench.dial(Port::Egress).await;
    let port = target.local_addr().unwrap().port();
    let refused = soon(egress::connect(&mut guest, "127.0.0.1", port)).await;
    assert!(matches!(refused, Err(ExchangeError::Refused(ErrorCode::Denied))));
}

#[tokio::test]
async fn bytes_right_behind_the_request_reach_the_target() {
    let target = TcpListener::bind(loopback()).await.unwrap();
    let address = target.local_addr().unwrap();
    let bench = Bench::new(|config| {
        config.egress_allow.insert(address.to_string().parse().unwrap());
    })
    .await;
    let mut guest = bench.dial(Port::Egress).await;
    guest
        .write_all(format!("CONNECT {address}\nearly").as_bytes())
        .await
        .unwrap();
    let (mut accepted, _) = soon(target.accept()).await.unwrap();
    let mut early = [0; 5];
    soon(accepted.read_exact(&mut early)).await.unwrap();
    assert_eq!(&early, b"early");
}

#[tokio::test]
async fn slow_requests_are_cut_off() {
    let bench = Bench::new(|config| config.request_timeout = Duration::from_millis(300)).await;
    for port in [Port::Egress, Port::Documents] {
        let guest = bench.dial(port).await;
        let (mut guest_in, mut guest_out) = split(guest);
        let start = Instant::now();
        let drip = tokio::spawn(async move {
            while guest_out.write_all(b"C").await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        assert_eq!(rest(&mut guest_in).await, b"ERR timeout\n", "{port}");
        assert!(start.elapsed() < Duration::from_secs(5));
        drip.abort();
    }
    assert_eq!(
        bench.metric("jeju_shim_bad_requests_total{port=\"5000\"}").await,
        1
    );
    assert_eq!(
        bench.metric("jeju_shim_bad_requests_total{port=\"5003\"}").await,
        1
    );
}

#[tokio::test]
async fn egress_over_the_limit_is_told_so() {
    let bench = Bench::new(|config| config.max_connections = 1).await;
    let _first = bench.dial(Port::Egress).await;
    bench
        .until("jeju_shim_connections_active{port=\"5000\"}", 1)
        .await;
    assert_eq!(rest(&mut bench.dial(Port::Egress).await).await, b"ERR busy\n");
    assert_eq!(
        bench
            .metric("jeju_shim_connections_over_limit_total{port=\"5000\"}")
            .await,
        1
    );
}

#[tokio::test]
async fn documents_are_served_as_they_are() {
    let bench = Bench::new(|config| {
        let dir = config.launch.parent().unwrap().join("collateral");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("crl.der"), [0xff; 100_000]).unwrap();
        std::fs::write(dir.join("huge"), vec![0; MAX_COLLATERAL + 1]).unwrap();
        std::fs::create_dir(dir.join("directory")).unwrap();
        config.collateral_dir = Some(dir);
    })
    .await;
    let fetch = async |request: DocumentRequest| {
        let mut guest = bench.dial(Port::Documents).await;
        soon(document::fetch(&mut guest, &request, usize::MAX)).await
    };
    let collateral = |name| DocumentRequest::Collateral(CollateralName::new(name).unwrap());
    assert_eq!(fetch(DocumentRequest::Launch).await.unwrap(), LAUNCH);
    assert_eq!(fetch(collateral("crl.der")).await.unwrap(), [0xff; 100_000]);
    for (name, code) in [
        ("missing", ErrorCode::NotFound),
        ("directory", ErrorCode::NotFound),
        ("huge", ErrorCode::TooLarge),
    ] {
        match fetch(collateral(name)).await {
            Err(ExchangeError::Refused(refused)) => assert_eq!(refused, code, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    // The launch document is what was read at the start.
    std::fs::write(bench.dir.path().join("launch.toml"), "version = 2\n").unwrap();
    assert_eq!(fetch(DocumentRequest::Launch).await.unwrap(), LAUNCH);
}

#[tokio::test]
async fn no_name_leads_out_of_the_collateral_directory() {
    let bench = Bench::new(|config| {
        let dir = config.launch.parent().unwrap().join("collateral");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(".hidden"), "secret").unwrap();
        config.collateral_dir = Some(dir);
    })
    .await;
    for name in [
        "../launch.toml",
        "..",
        ".",
        "",
        ".hidden",
        "/etc/passwd",
        "a/../../launch.toml",
        "..%2flaunch.toml",
        "A",
    ] {
        let mut guest = bench.dial(Port::Documents).await;
        guest
            .write_all(format!("GET collateral/{name}\n").as_bytes())
            .await
            .unwrap();
        assert_eq!(rest(&mut guest).await, b"ERR bad-request\n", "{name:?}");
    }
}

#[tokio::test]
async fn an_oversize_or_missing_launch_document_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("launch.toml");
    let start = async || {
        let config = Config::new(HostTransport::Unix(dir.path().into()), &path);
        HostShim::start(config).await.map(|_| ())
    };
    assert!(matches!(start().await, Err(StartError::Launch { .. })));
    std::fs::write(&path, vec![b'#'; MAX_LAUNCH + 1]).unwrap();
    assert!(matches!(start().await, Err(StartError::LaunchTooLarge(_))));
    assert!(!dir.path().join("5000.sock").exists());
    std::fs::write(&path, vec![b'#'; MAX_LAUNCH]).unwrap();
    start().await.unwrap();
}

#[tokio::test]
async fn taken_addresses_stop_the_start_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let launch = dir.path().join("launch.toml");
    std::fs::write(&launch, LAUNCH).unwrap();
    let holder = std::net::TcpListener::bind(loopback()).unwrap();
    let mut config = Config::new(HostTransport::Unix(dir.path().into()), &launch);
    config.listen.insert(Port::Node, holder.local_addr().unwrap());
    assert!(matches!(
        HostShim::start(config).await,
        Err(StartError::Listen { .. })
    ));
    let running = HostShim::start(Config::new(HostTransport::Unix(dir.path().into()), &launch))
        .await
        .unwrap();
    let second = HostShim::start(Config::new(HostTransport::Unix(dir.path().into()), &launch)).await;
    assert!(matches!(second, Err(StartError::ListenForGuest { .. })));
    running.shutdown().await;
    assert!(!dir.path().join("5000.sock").exists());
}

#[tokio::test]
async fn fatal_codes_are_passed_on_and_log_bytes_go_to_the_file_only() {
    let bench = Bench::new(|config| {
        config.log_file = Some(config.launch.with_file_name("guest.log"));
        config.log_file_limit = 5;
    })
    .await;
    let mut fatal = bench.shim.fatal();
    let mut guest = bench.dial(Port::Log).await;
    write_frame(&mut guest, &LogFrame::Opaque(b"abc".to_vec()))
        .await
        .unwrap();
    write_frame(&mut guest, &LogFrame::Opaque(b"over the limit".to_vec()))
        .await
        .unwrap();
    write_frame(
        &mut guest,
        &LogFrame::Fatal(FatalCode::LaunchDigestMismatch.as_u16()),
    )
    .await
    .unwrap();
    soon(fatal.changed()).await.unwrap();
    assert_eq!(*fatal.borrow(), Some(7));
    assert_eq!(rest(&mut guest).await, b"");
    assert_eq!(std::fs::read(bench.dir.path().join("guest.log")).unwrap(), b"abc");
    assert_eq!(
        bench
            .metric("jeju_shim_log_dropped_bytes_total{port=\"5004\"}")
            .await,
        14
    );
}

#[tokio::test]
async fn garbage_on_any_port_ends_that_connection_only() {
    let bench = Bench::new(|_| {}).await;
    for (port, answer) in [
        (Port::Egress, &b"ERR bad-request\n"[..]),
        (Port::Documents, b"ERR bad-request\n"),
        (Port::Log, b""),
    ] {
        for _ in 0..20 {
            let (mut guest_in, mut guest_out) = split(bench.dial(port).await);
            let flood =
                tokio::spawn(async move { while guest_out.write_all(&[0xfe; 65536]).await.is_ok() {} });
            let seen = rest(&mut guest_in).await;
            // A flood may reset the connection before its answer is read.
            assert!(seen == answer || seen.is_empty(), "{port}: {seen:?}");
            soon(flood).await.unwrap();
        }
        let series = format!("jeju_shim_bad_requests_total{{port=\"{port}\"}}");
        assert_eq!(bench.metric(&series).await, 20);
    }
    let mut guest = bench.dial(Port::Documents).await;
    assert_eq!(
        soon(document::fetch(&mut guest, &DocumentRequest::Launch, 4096))
            .await
            .unwrap(),
        LAUNCH
    );
}

#[tokio::test]
async fn shutdown_lets_open_connections_end() {
    let bench = Bench::new(|_| {}).await;
    let (mut client, mut guest) = bench.connection(&bench.listen()).await;
    let address = bench.shim.local_addr(Port::Node).unwrap();
    let stopping = tokio::spawn(bench.shim.shutdown());
    let start = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(start.elapsed() < PATIENCE, "still accepts");
        sleep(Duration::from_millis(10)).await;
    }
    assert!(!stopping.is_finished());
    guest.write_all(b"late").await.unwrap();
    drop(guest);
    assert_eq!(rest(&mut client).await, b"late");
    drop(client);
    soon(stopping).await.unwrap();
}

#[tokio::test]
async fn shutdown_cuts_what_does_not_end() {
    let bench = Bench::new(|config| config.drain_timeout = Duration::from_millis(200)).await;
    let (mut client, _guest) = bench.connection(&bench.listen()).await;
    soon(bench.shim.shutdown()).await;
    assert_eq!(rest(&mut client).await, b"");
}

#[tokio::test]
async fn the_metrics_endpoint_answers_scrapes_only() {
    let bench = Bench::new(|_| {}).await;
    let address = bench.shim.metrics_addr().unwrap();
    assert!(
        http_get(address, "/metrics")
            .await
            .starts_with("HTTP/1.0 200 OK\r\n")
    );
    assert!(http_get(address, "/").await.starts_with("HTTP/1.0 404 "));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /metrics HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.starts_with(b"HTTP/1.0 400 "));
    let (mut answer, mut endless) = split(TcpStream::connect(address).await.unwrap());
    let flood = tokio::spawn(async move { while endless.write_all(&[b'x'; 65536]).await.is_ok() {} });
    rest(&mut answer).await;
    soon(flood).await.unwrap();
}

/// A shim on a vhost-user vsock device, and that device's end of the first connection once it has answered it.
async fn device(answer: &'static [u8]) -> (RunningShim, TempDir, JoinHandle<UnixStream>) {
    let dir = tempfile::tempdir().unwrap();
    let launch = dir.path().join("launch.toml");
    std::fs::write(&launch, LAUNCH).unwrap();
    let socket = dir.path().join("v.sock");
    let mut config = Config::new(HostTransport::VhostUser(socket.clone()), launch);
    config.listen.insert(Port::Node, loopback());
    config.half_close_grace = Duration::from_millis(500);
    let shim = HostShim::start(config).await.unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let guest = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; b"CONNECT 4007\n".len()];
        stream.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"CONNECT 4007\n");
        stream.write_all(answer).await.unwrap();
        stream
    });
    (shim, dir, guest)
}

#[tokio::test]
async fn a_vhost_user_device_is_dialled_and_told_of_no_half_close() {
    let (shim, dir, guest) = device(b"OK 1073741824\nhello").await;
    let mut client = TcpStream::connect(shim.local_addr(Port::Node).unwrap())
        .await
        .unwrap();
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut guest = soon(guest).await.unwrap();
    soon(guest.read_exact(&mut [0; 8])).await.unwrap();
    // The end is held back while the guest may answer …
    assert!(
        timeout(Duration::from_millis(200), guest.read(&mut [0; 1]))
            .await
            .is_err()
    );
    guest.write_all(b" and answer").await.unwrap();
    let mut seen = [0; 16];
    soon(client.read_exact(&mut seen)).await.unwrap();
    assert_eq!(&seen, b"hello and answer");
    // … and told once it has been silent for the grace time.
    assert_eq!(rest(&mut guest).await, b"");
    // The guest dials the socket next to the device's.
    let mut documents = UnixStream::connect(dir.path().join("v.sock_5003")).await.unwrap();
    let launch = soon(document::fetch(&mut documents, &DocumentRequest::Launch, 4096))
        .await
        .unwrap();
    assert_eq!(launch, LAUNCH);
}

#[tokio::test]
async fn a_devices_wrong_answer_closes_the_client() {
    for answer in [&b""[..], b"NO\n", b"OK\n", b"OK -1\n", &[b'O'; 4096]] {
        let (shim, _dir, guest) = device(answer).await;
        let mut client = TcpStream::connect(shim.local_addr(Port::Node).unwrap())
            .await
            .unwrap();
        client.write_all(b"secret").await.unwrap();
        drop(soon(guest).await.unwrap());
        assert_eq!(rest(&mut client).await, b"", "{answer:?}");
    }
}

#[test]
fn doctor_reports_and_fails_by_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let launch = dir.path().join("launch.toml");
    std::fs::write(&launch, "").unwrap();
    let holder = std::net::TcpListener::bind(loopback()).unwrap();
    let doctor = |launch: &Path, address: SocketAddr| {
        let output = Command::new(env!("CARGO_BIN_EXE_jeju-host-shim"))
            .args([
                "doctor",
                "--json",
                "--transport",
                &format!("unix:{}", dir.path().display()),
            ])
            .args([
                "--launch",
                launch.to_str().unwrap(),
                "--listen",
                &format!("4007={address}"),
            ])
            .output()
            .unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let failed: Vec<String> = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["status"] == "fail")
            .map(|check| check["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(report["ok"], failed.is_empty());
        (output.status.code(), failed)
    };
    let taken = holder.local_addr().unwrap();
    let both = vec!["port 4007".to_owned(), "launch document".to_owned()];
    assert_eq!(doctor(&launch, taken), (Some(1), both));
    std::fs::write(&launch, vec![0; MAX_LAUNCH + 1]).unwrap();
    assert_eq!(
        doctor(&launch, loopback()),
        (Some(1), vec!["launch document".to_owned()])
    );
    std::fs::write(&launch, LAUNCH).unwrap();
    assert_eq!(doctor(&launch, loopback()), (Some(0), vec![]));
}

#[test]
fn the_program_serves_until_it_is_told_to_stop() {
    use std::io::{BufRead, BufReader, Read, Write};
    let dir = tempfile::tempdir().unwrap();
    let launch = dir.path().join("launch.toml");
    std::fs::write(&launch, LAUNCH).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_jeju-host-shim"))
        .args([
            "run",
            "--json",
            "--listen",
            "4007=127.0.0.1:0",
            "--egress-allow",
            "example.com:443",
            "localhost:1",
        ])
        .args([
            "--transport",
            &format!("unix:{}", dir.path().display()),
            "--launch",
            launch.to_str().unwrap(),
        ])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<serde_json::Value> = BufReader::new(program.stderr.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .take(2)
        .collect();
    assert_eq!(
        (&lines[0]["event"], &lines[1]["event"]),
        (&"listening".into(), &"started".into())
    );
    assert_eq!(lines[1]["launch_sha256"], hex::encode(Sha256::digest(LAUNCH)));
    let mut guest = std::os::unix::net::UnixStream::connect(dir.path().join("5003.sock")).unwrap();
    guest.write_all(b"GET launch\n").unwrap();
    let mut reply = Vec::new();
    guest.read_to_end(&mut reply).unwrap();
    assert_eq!(reply, [b"OK 12\n", LAUNCH].concat());
    // SAFETY: sends a signal to the child above, which has not been waited for.
    assert_eq!(
        unsafe { libc::kill(program.id() as libc::pid_t, libc::SIGTERM) },
        0
    );
    assert!(program.wait().unwrap().success());
    assert!(!dir.path().join("5003.sock").exists());
}
