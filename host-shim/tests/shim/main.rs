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

mod blobs;
mod docker;
mod forwarding;
mod guest_ports;
mod program;
mod vhost_user;

/// No wait of these tests is longer.
const PATIENCE: Duration = Duration::from_secs(30);
const LAUNCH: &[u8] = b"version = 1\n";

/// A shim over Unix sockets, and the guest's end of them.
struct Rig {
    shim: RunningShim,
    guest: GuestTransport,
    dir: TempDir,
}

impl Rig {
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
