//! Bytes of any amount and in pieces of any size cross the boundary unchanged, through the product's own streams: a client's
//! TCP, the host shim, the vsock device, and the guest's transport (`host-shim/protocol/examples/stream_guest.rs`).

mod machine;
#[path = "../../host-shim/protocol/examples/stream_guest.rs"]
#[allow(dead_code, reason = "only the pattern is wanted here")]
mod stream_guest;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use jeju_host_shim::{Config, HostShim, RunningShim};
use jeju_shim_protocol::egress::EgressRequest;
use jeju_shim_protocol::{PARENT_CID, Port};
use machine::{Machine, Shape};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How much a long stream is, in MiB, 128 where it isn't said: a gibibyte takes an emulated guest minutes (`make test-full`).
const MUCH: &str = "JEJU_VSOCK_MIB";
/// A stalled connection stands still for ever; this is several times what a busy machine needs for a gibibyte.
const LIMIT: Duration = Duration::from_secs(300);
/// How often the device loses a packet that spans two descriptors depends on its size: around the edge, and far from it.
const PIECES: [usize; 10] = [
    1, 2, 4095, 4097, 32_767, 32_768, 32_769, 65_537, 262_144, 1_048_573,
];

/// Length of a long stream, in bytes.
fn much() -> u64 {
    std::env::var(MUCH).map_or(128, |mib| mib.parse().unwrap()) << 20
}

#[tokio::test]
async fn a_long_stream_arrives_in_the_guest() {
    let (rig, length) = (Rig::new().await, much());
    let mut stream = rig.ask(&format!("take {length} 0")).await;
    let expected = rig.timed(send(&mut stream, length, 1 << 20)).await;
    assert_eq!(rig.timed(text(&mut stream, 64)).await, expected);
}

#[tokio::test]
async fn a_long_stream_arrives_from_the_guest() {
    let (rig, length) = (Rig::new().await, much());
    let mut stream = rig.ask(&format!("give {length} 1048573")).await;
    let received = rig.timed(receive(&mut stream, length)).await;
    assert_eq!(received, digest(length));
}

#[tokio::test]
async fn pieces_of_any_size_arrive_both_ways_on_connections_of_either_side() {
    let rig = Rig::new().await;
    for piece in PIECES {
        // Enough for thousands of the small ones, and for several of the large ones.
        let length = (piece as u64 * 3000).min(5_000_011);
        let mut stream = rig.ask(&format!("give {length} {piece}")).await;
        assert_eq!(rig.timed(receive(&mut stream, length)).await, digest(length));
        let mut stream = rig.call(&format!("give {length} {piece}")).await;
        assert_eq!(rig.timed(receive(&mut stream, length)).await, digest(length));
        let mut stream = rig.ask(&format!("take {length} 0")).await;
        let expected = rig.timed(send(&mut stream, length, piece)).await;
        assert_eq!(rig.timed(text(&mut stream, 64)).await, expected);
        let mut stream = rig.call(&format!("take {length} 0")).await;
        let expected = rig.timed(send(&mut stream, length, piece)).await;
        assert_eq!(rig.timed(text(&mut stream, 64)).await, expected);
    }
}

/// Linux resets a guest's connection once what is queued in it takes more memory than its buffer, of which a tiny packet
/// takes hundreds of times its length. Those over 128 bytes aren't even joined.
#[tokio::test]
async fn a_hundred_thousand_tiny_writes_arrive_late_and_without_a_reset() {
    const COUNT: u64 = 100_000;
    let rig = Rig::new().await;
    for piece in [1, 200] {
        let length = COUNT * piece;
        // The guest doesn't read until long after its buffer is full, or all has been sent.
        let command = format!("take {length} 5000");
        let (mut asked, mut called) = (rig.ask(&command).await, rig.call(&command).await);
        let piece = usize::try_from(piece).unwrap();
        let sent = tokio::join!(send(&mut asked, length, piece), send(&mut called, length, piece));
        assert_eq!(rig.timed(text(&mut asked, 64)).await, sent.0);
        assert_eq!(rig.timed(text(&mut called, 64)).await, sent.1);
        // The client doesn't read until all buffers on the way are full, or all has been sent.
        let command = format!("give {length} {piece}");
        let (mut asked, mut called) = (rig.ask(&command).await, rig.call(&command).await);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(rig.timed(receive(&mut asked, length)).await, digest(length));
        assert_eq!(rig.timed(receive(&mut called, length)).await, digest(length));
    }
}

/// The shim joins small pieces, but the guest doesn't rely on that.
#[tokio::test]
async fn tiny_writes_need_no_shim_to_arrive() {
    let mut machine = Machine::boot(&Shape::new(guest()));
    for (length, piece) in [(100_000, 1), (5_000_000, 200)] {
        let mut stream = machine.dial(Port::Node).await;
        stream
            .write_all(format!("take {length} 3000\n").as_bytes())
            .await
            .unwrap();
        let expected = timeout(LIMIT, send(&mut stream, length, piece))
            .await
            .expect("stalled");
        let found = timeout(LIMIT, text(&mut stream, 64)).await.expect("stalled");
        assert_eq!(found, expected);
    }
}

/// On AWS Nitro the host is the instance that the enclave belongs to, which has CID 3, and nobody answers at 2. The instance
/// is another guest here.
#[tokio::test]
async fn the_parent_of_an_enclave_is_its_host() {
    // Without the kernel's own lines, which may come in the middle of the guest's.
    let parent = Shape {
        cmdline: "console=ttyS0 quiet panic=-1 no_timer_check",
        ..Shape::new(machine::guest())
    };
    let [mut parent, mut enclave] = Machine::boot_two([(&parent, PARENT_CID), (&Shape::new(guest()), 16)]);
    // Its ports are open.
    assert_eq!(parent.ask_text("cpus").await, "1");
    for _ in 0..2 {
        let mut stream = enclave.dial(Port::Node).await;
        stream.write_all(b"ask the host\n").await.unwrap();
        let answer = timeout(LIMIT, text(&mut stream, 13)).await.expect("stalled");
        assert_eq!(answer, "who is there\n");
    }
}

/// A guest and its shim.
struct Rig {
    shim: RunningShim,
    callee: TcpListener,
    machine: Machine,
    _folder: TempDir,
}

impl Rig {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let launch = folder.path().join("launch.toml");
        std::fs::write(&launch, "").unwrap();
        let mut machine = Machine::boot(&Shape::new(guest()));
        drop(machine.dial(Port::Node).await);
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let callee = TcpListener::bind(loopback).await.unwrap();
        let mut config = Config::new(machine.transport(), launch);
        // An emulated guest takes its time.
        config.request_timeout = LIMIT;
        config.connect_timeout = LIMIT;
        config.listen.insert(Port::Node, loopback);
        let target = format!("CONNECT {}\n", callee.local_addr().unwrap());
        config
            .egress_allow
            .insert(EgressRequest::parse(target.as_bytes()).unwrap());
        Self {
            shim: HostShim::start(config).await.unwrap(),
            callee,
            machine,
            _folder: folder,
        }
    }

    /// A connection on which the guest carries out a command.
    async fn ask(&self, command: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.shim.local_addr(Port::Node).unwrap())
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        stream
    }

    /// The same on a connection of the guest's.
    async fn call(&self, command: &str) -> TcpStream {
        let port = self.callee.local_addr().unwrap().port();
        // The asking connection stays open until the guest has called.
        let _asking = self.ask(&format!("call {port} {command}")).await;
        let (stream, _) = timeout(LIMIT, self.callee.accept())
            .await
            .expect("the guest called")
            .unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Fails when it stands still, and shows how long it takes.
    async fn timed<T>(&self, moving: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let Ok(result) = timeout(LIMIT, moving).await else {
            panic!("stalled:\n{}", self.machine.console());
        };
        if start.elapsed() > Duration::from_secs(1) {
            println!("{:.1} s", start.elapsed().as_secs_f64());
        }
        result
    }
}

/// Sends so many bytes of the pattern, `piece` at a time; gives their digest.
async fn send(stream: &mut (impl AsyncWriteExt + Unpin), length: u64, piece: usize) -> String {
    let (pattern, mut digest) = (stream_guest::pattern(), Sha256::new());
    let (mut at, mut left) = (0, length);
    while left > 0 {
        let count = piece.min(pattern.len() - at).min(usize::try_from(left).unwrap());
        let bytes = &pattern[at..at + count];
        digest.update(bytes);
        stream.write_all(bytes).await.unwrap();
        at = (at + count) % pattern.len();
        left -= count as u64;
    }
    hex::encode(digest.finalize())
}

async fn receive(stream: &mut TcpStream, length: u64) -> String {
    let (mut digest, mut left, mut piece) = (Sha256::new(), length, vec![0; 1 << 18]);
    while left > 0 {
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "{left} bytes are missing");
        digest.update(&piece[..count]);
        left = left
            .checked_sub(count as u64)
            .expect("more bytes than were asked for");
    }
    hex::encode(digest.finalize())
}

async fn text(stream: &mut (impl AsyncReadExt + Unpin), length: usize) -> String {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Of so many bytes of the pattern.
fn digest(length: u64) -> String {
    let (pattern, mut digest, mut left) = (stream_guest::pattern(), Sha256::new(), length);
    while left > 0 {
        let count = pattern.len().min(usize::try_from(left).unwrap());
        digest.update(&pattern[..count]);
        left -= count as u64;
    }
    hex::encode(digest.finalize())
}

/// The guest's program, as static as the node.
fn guest() -> &'static [u8] {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    GUEST.get_or_init(|| {
        const TARGET: &str = "x86_64-unknown-linux-gnu";
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stream-guest");
        let status = Command::new(env!("CARGO"))
            .current_dir(workspace)
            .args([
                "build",
                "--quiet",
                "--locked",
                "--release",
                "--package",
                "jeju-shim-protocol",
            ])
            .args(["--example", "stream_guest", "--target", TARGET, "--target-dir"])
            .arg(&folder)
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                "-Ctarget-feature=+crt-static\x1f-Crelocation-model=static",
            )
            .status()
            .unwrap();
        assert!(status.success());
        std::fs::read(folder.join(TARGET).join("release/examples/stream_guest")).unwrap()
    })
}
