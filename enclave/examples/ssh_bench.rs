//! The SSH server with an agent in its own process, which writes and reads memory: what it costs to carry bytes between a
//! client and the container's edge, to compare with sshd. The agent's end of the protocol counts in.
//!
//! ```text
//! ssh_bench KEY.pub PORT     (or the path of a Unix socket, as behind a host shim)
//! ssh -p PORT 127.0.0.1 'send BYTES' | ...   # down
//! ... | ssh -p PORT 127.0.0.1 take           # up
//! ssh -p PORT 127.0.0.1 cpu                  # milliseconds of CPU that the server has used
//! ```

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jeju_agent_protocol::{Exit, Open, OpenCode, OpenError, Request, Requests, Served, serve};
use jeju_attestation::launch::rentals::Isolation;
use jeju_enclave::rentals::backend::{
    AgentStream, BackendError, Container, ContainerBackend, ContainerSpec, DiskLimit, ExecOutput, Progress,
    RentalId, Usage,
};
use jeju_enclave::rentals::lease::{Lease, Leases};
use jeju_enclave::rentals::ssh::{HostKey, Server};
use tokio::net::{TcpListener, UnixListener};

/// What the agent writes at once: a frame of its protocol.
const PIECE: &[u8] = &[0; 32 * 1024];
/// Room between the two ends, in bytes.
const PIPE: usize = 256 * 1024;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(key), Some(place)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: ssh_bench KEY.pub PORT|SOCKET");
        std::process::exit(2);
    };
    let public = std::fs::read_to_string(key).expect("the public key");
    let blob = public.split_whitespace().nth(1).expect("an OpenSSH public key");
    let leases = Leases::new();
    leases.set(vec![Lease {
        rental: [1; 32],
        key: STANDARD.decode(blob).expect("an OpenSSH public key"),
        started: 0,
        notice: String::new(),
        bandwidth_mbps: 0,
    }]);
    let server = Server::new(HostKey::generate(), Arc::new(leases), Arc::new(Memory));
    let Ok(port) = place.parse::<u16>() else {
        let listener = UnixListener::bind(&place).expect("the socket");
        println!("listening");
        while let Ok((stream, _)) = listener.accept().await {
            server.connect(stream);
        }
        return;
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port");
    println!("listening");
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a TCP socket");
        server.connect(stream);
    }
}

async fn agent(mut requests: Requests) {
    while let Some(request) = requests.next().await {
        tokio::spawn(command(request));
    }
}

async fn command(request: Request) {
    let Open::Exec { command, .. } = &request.open else {
        return request.refuse(OpenError::new(OpenCode::NotFound, "commands only"));
    };
    let command = command.clone();
    let mut served = request.accept();
    if let Some(bytes) = command.strip_prefix("send ").and_then(|bytes| bytes.parse().ok()) {
        send(&served, bytes).await;
    } else if command == "take" {
        while served.stdin.next().await.is_some() {}
    } else if command == "cpu" {
        let _ = served.reply.stdout(format!("{}\n", cpu()).into()).await;
    }
    served.reply.eof();
    served.reply.exit(Exit::Code(0));
}

async fn send(served: &Served, mut bytes: usize) {
    while bytes > 0 {
        let piece = Bytes::from_static(&PIECE[..bytes.min(PIECE.len())]);
        bytes -= piece.len();
        if served.reply.stdout(piece).await.is_err() {
            return;
        }
    }
}

/// Milliseconds of this process: user and system time of `/proc/self/stat` (proc(5)), in ticks of 10 ms.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("procfs");
    let fields = stat
        .rsplit(')')
        .next()
        .expect("a name in parentheses")
        .split_whitespace();
    fields
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().expect("ticks") * 10)
        .sum()
}

struct Memory;

impl ContainerBackend for Memory {
    fn attach(&self, _: RentalId) -> BoxFuture<'_, Result<Box<dyn AgentStream>, BackendError>> {
        async {
            let (near, far) = tokio::io::duplex(PIPE);
            let (requests, driver) = serve(far);
            tokio::spawn(agent(requests));
            tokio::spawn(driver);
            Ok(Box::new(near) as Box<dyn AgentStream>)
        }
        .boxed()
    }

    fn isolation(&self) -> Isolation {
        Isolation::Host
    }

    fn disk_limit(&self) -> BoxFuture<'_, Result<DiskLimit, BackendError>> {
        nothing()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Container>, BackendError>> {
        nothing()
    }

    fn remains(&self) -> BoxFuture<'_, Result<Vec<RentalId>, BackendError>> {
        nothing()
    }

    fn create(&self, _: ContainerSpec, _: Progress) -> BoxFuture<'_, Result<Container, BackendError>> {
        nothing()
    }

    fn start(&self, _: RentalId) -> BoxFuture<'_, Result<(), BackendError>> {
        nothing()
    }

    fn stop(&self, _: RentalId) -> BoxFuture<'_, Result<(), BackendError>> {
        nothing()
    }

    fn remove(&self, _: RentalId) -> BoxFuture<'_, Result<(), BackendError>> {
        nothing()
    }

    fn usage(&self, _: RentalId) -> BoxFuture<'_, Result<Usage, BackendError>> {
        nothing()
    }

    fn logs(&self, _: RentalId, _: u32) -> BoxFuture<'_, Result<String, BackendError>> {
        nothing()
    }

    fn exec(&self, _: RentalId, _: Vec<String>) -> BoxFuture<'_, Result<ExecOutput, BackendError>> {
        nothing()
    }
}

/// The SSH server attaches, and does nothing else.
fn nothing<T>() -> BoxFuture<'static, Result<T, BackendError>> {
    async { Err(BackendError::NotFound) }.boxed()
}
