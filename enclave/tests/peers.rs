//! Members as whole nodes: their processes, their hosts' shims, loopback between them, and a chain that all of them read.
#![cfg(feature = "sim")]

#[path = "host/rpc.rs"]
mod rpc;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jeju_attestation::evidence::Verifier;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::measurement::MeasurementId;
use jeju_attested_tls::{AttestedVerifier, client_config};
use jeju_host_shim::{Config, HostShim, RunningShim};
use jeju_shim_protocol::Port;
use jeju_shim_protocol::transport::HostTransport;
use jeju_simulated::Silicon;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

const PATIENCE: Duration = Duration::from_secs(90);
/// What all machines measure.
const IMAGE: [u8; 32] = [3; 32];

/// A machine with a shim, and the node in it where one runs.
struct Machine {
    directory: tempfile::TempDir,
    silicon: Silicon,
    address: SocketAddr,
    chip: Option<JoinHandle<()>>,
    shim: Option<RunningShim>,
    node: Option<Child>,
}

impl Machine {
    fn new(address: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let silicon = Silicon::open_or_create(&directory.path().join("silicon")).unwrap();
        Self {
            directory,
            silicon,
            address,
            chip: None,
            shim: None,
            node: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the shim, and with it the machine's address.
    async fn connect(&mut self, document: &str) {
        std::fs::write(self.path("launch.toml"), document).unwrap();
        let transport = HostTransport::Unix(self.directory.path().into());
        let mut config = Config::new(transport, self.path("launch.toml"));
        config.listen.insert(Port::Mpc, self.address);
        config.blobs = Some(self.path("blobs"));
        config.drain_timeout = Duration::ZERO;
        let document = LaunchDocument::parse(document.as_bytes()).unwrap();
        config.egress_allow = document
            .egress
            .allow
            .iter()
            .map(|entry| entry.parse().unwrap())
            .collect();
        self.shim = Some(HostShim::start(config).await.unwrap());
    }

    /// Cuts all wires of the machine.
    async fn disconnect(&mut self) {
        if let Some(shim) = self.shim.take() {
            shim.shutdown().await;
        }
    }

    /// Boots a node, shim and all.
    async fn boot(&mut self, document: &str) {
        self.connect(document).await;
        let digest = LaunchDocument::digest(document.as_bytes());
        let chip = self.silicon.chip(IMAGE, digest);
        let _ = std::fs::remove_file(self.path("5006.sock"));
        let socket = UnixListener::bind(self.path("5006.sock")).unwrap();
        self.chip = Some(tokio::spawn(jeju_simulated::serve(chip, socket)));
        let mut node = Command::new(env!("CARGO_BIN_EXE_jeju-enclave"))
            .args(["--platform", "simulated", "--transport"])
            .arg(format!("unix:{}", self.directory.path().display()))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(node.stderr.take().unwrap()).lines();
        timeout(PATIENCE, async {
            let mut printed = Vec::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains("JEJU-READY") {
                    return;
                }
                printed.push(line);
            }
            panic!("the node ended before it was ready: {printed:?}");
        })
        .await
        .expect("ready in time");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.node = Some(node);
    }

    /// Ends the node's processes and the shim.
    async fn power_off(&mut self) {
        self.node.take().unwrap().kill().await.unwrap();
        self.disconnect().await;
        self.chip.take().unwrap().abort();
    }

    /// What the node says of itself on 4010; `None` while it can't be reached.
    async fn status(&self) -> Option<Value> {
        timeout(Duration::from_secs(10), self.ask()).await.ok()?.ok()
    }

    async fn ask(&self) -> Result<Value, Box<dyn std::error::Error>> {
        let root = HexBytes(self.silicon.root_public());
        let verifier = Arc::new(AttestedVerifier::new(Arc::new(Verifier::simulated(&[root]))));
        let connector = TlsConnector::from(Arc::new(client_config(verifier)?));
        let stream = TcpStream::connect(self.address).await?;
        let mut tls = connector.connect("localhost".try_into()?, stream).await?;
        tls.write_all(b"GET /mpc/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await?;
        let mut answer = Vec::new();
        // The end of the connection is the host's doing, and no matter.
        let _ = tls.read_to_end(&mut answer).await;
        let at = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .ok_or("no head")?;
        Ok(serde_json::from_slice(&answer[at + 4..])?)
    }

    /// Waits until the signer says that just these members are admitted.
    async fn admits(&self, members: &[u16]) {
        self.until(|status| status["admitted"] == json!(members)).await;
    }

    async fn until(&self, condition: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status().await;
            if status.as_ref().is_some_and(&condition) {
                return;
            }
            assert!(Instant::now() < deadline, "{status:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Machines on free ports of loopback, and the chain's endpoint.
struct Network {
    machines: Vec<Machine>,
    /// Not a member's: the last machine.
    members: usize,
    chain: SocketAddr,
}

impl Network {
    /// As many machines as there are members, and one more.
    async fn new(members: usize) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..=members {
            listeners.push(TcpListener::bind(("127.0.0.1", 0)).await.unwrap());
        }
        let machines = listeners
            .iter()
            .map(|listener| Machine::new(listener.local_addr().unwrap()));
        Self {
            machines: machines.collect(),
            members,
            chain: chain().await,
        }
    }

    /// The launch document of a member, from 1.
    fn document(&self, member: usize) -> String {
        let members = &self.machines[..self.members];
        let roots = members
            .iter()
            .map(|machine| format!("\"{}\"", HexBytes(machine.silicon.root_public())));
        let addresses = members.iter().map(|machine| format!(", \"{}\"", machine.address));
        let entries = (1u8..).zip(members).map(|(member, machine)| {
            format!(
                "[[mpc.members]]\nnode = \"node-{member}\"\nagent = \"{}\"\nplatform = \"{}\"\naddress = \"{}\"\n",
                HexBytes([member; 32]),
                HexBytes(machine.silicon.platform_id()),
                machine.address,
            )
        });
        format!(
            "version = 1\n[node]\nagent = \"{}\"\nnames = [\"localhost\"]\nepoch_seconds = 30\n\
             [chain]\nprofile = \"localnet\"\nid = 31337\nregistry = \"{}\"\nrpc = [\"http://{}\"]\n\
             [services]\nmpc = true\n\
             [mpc]\nnetwork = \"test\"\nthreshold = 2\ngovernance = \"{}\"\nmeasurements = [\"{}\"]\nsimulated_roots = [{}]\n{}\
             [egress]\nallow = [\"{}\"{}]\n",
            HexBytes([member as u8; 32]),
            HexBytes([9; 20]),
            self.chain,
            HexBytes([1; 20]),
            MeasurementId::simulated(&IMAGE),
            roots.collect::<Vec<_>>().join(", "),
            entries.collect::<String>(),
            self.chain,
            addresses.collect::<String>(),
        )
    }

    async fn boot(&mut self, member: usize) {
        let document = self.document(member);
        self.machines[member - 1].boot(&document).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_find_admit_and_lose_each_other() {
    let mut network = Network::new(3).await;
    for member in 1..=3 {
        network.boot(member).await;
    }
    let started = Instant::now();
    for (member, others) in [(1, [2, 3]), (2, [1, 3]), (3, [1, 2])] {
        network.machines[member - 1].admits(&others).await;
    }
    println!("all admitted {:?} after the last was ready", started.elapsed());

    // Longer than an admission lasts: they attest again, and none is lost over it.
    sleep(Duration::from_secs(42)).await;
    let status = network.machines[0].status().await.unwrap();
    assert_eq!(status["admitted"], json!([2, 3]));
    for peer in status["peers"].as_array().unwrap() {
        assert!(peer["seconds"].as_u64().unwrap() >= 40, "{peer}");
    }

    // One is cut off, and comes back.
    let document = network.document(3);
    network.machines[2].disconnect().await;
    network.machines[0].admits(&[2]).await;
    network.machines[1].admits(&[1]).await;
    network.machines[2].connect(&document).await;
    for (member, others) in [(1, [2, 3]), (2, [1, 3]), (3, [1, 2])] {
        network.machines[member - 1].admits(&others).await;
    }

    // One boots again.
    network.machines[2].power_off().await;
    network.machines[0].admits(&[2]).await;
    network.boot(3).await;
    for (member, others) in [(1, [2, 3]), (2, [1, 3]), (3, [1, 2])] {
        network.machines[member - 1].admits(&others).await;
    }
}

/// A node of the same image with the same launch document at the member's own address, on another machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impostor_on_another_machine_is_refused() {
    let mut network = Network::new(2).await;
    network.boot(1).await;
    let document = network.document(2);
    let address = network.machines[1].address;
    let impostor = network.machines.last_mut().unwrap();
    impostor.address = address;
    impostor.boot(&document).await;
    let impostor = network.machines.last().unwrap();
    network.machines[0]
        .until(|status| status["peers"][0]["last"] == "root_not_trusted")
        .await;
    let status = network.machines[0].status().await.unwrap();
    assert_eq!(status["admitted"], json!([]));
    // Nor does it learn anything: the member isn't admitted there, since that end leaves first or is left.
    let status = impostor.status().await.unwrap();
    assert_eq!(status["peers"][0]["connected"], json!(false));
}

/// A JSON-RPC endpoint of a chain without the registry.
async fn chain() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(rpc::serve(BufReader::new(stream), result));
        }
    });
    address
}

fn result(request: &Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let asked = request["params"][0]
        .as_str()
        .and_then(|text| text.strip_prefix("0x"));
    let number = asked
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or(now);
    match request["method"].as_str().unwrap() {
        "eth_chainId" => json!("0x7a69"),
        "eth_call" => json!("0x"),
        _ => json!({
            "number": format!("{number:#x}"),
            "hash": format!("0x{number:064x}"),
            "timestamp": format!("{number:#x}"),
        }),
    }
}
