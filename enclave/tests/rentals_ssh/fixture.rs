//! A server with tenants, and OpenSSH to reach it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jeju_attestation::launch::rentals::Isolation;
use jeju_enclave::rentals::backend::{
    AgentStream, BackendError, Container, ContainerBackend, ContainerSpec, DiskLimit, ExecOutput, Progress,
    RentalId, Usage,
};
use jeju_enclave::rentals::lease::{Lease, Leases};
use jeju_enclave::rentals::ssh::{HostKey, serve};
use jeju_shim_protocol::Port;
use jeju_shim_protocol::transport::{GuestTransport, HostTransport};
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// More than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// What a tenant is told.
pub const NOTICE: &str = "Rental on test.\nThe provider's host runs it, and can look into it.";

/// A running server.
pub struct Node {
    pub leases: Arc<Leases>,
    pub backend: Arc<Local>,
    pub host_key: [u8; 32],
    /// On loopback, as a provider's host listens.
    pub port: u16,
    table: Mutex<Vec<Lease>>,
    directory: tempfile::TempDir,
    pub runtime: Runtime,
}

impl Node {
    pub fn start() -> Node {
        Node::start_at(now())
    }

    /// The same, with this time on chain, in seconds since 1970.
    pub fn start_at(time: u64) -> Node {
        // Before anything has a time: it may have to wait for another cargo.
        agent();
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let leases = Arc::new(Leases::new());
        leases.set_time(time);
        let backend = Arc::new(Local::default());
        let key = HostKey::generate();
        let host_key = key.public();
        let guest = GuestTransport::Unix(directory.path().to_owned());
        let listener = {
            let _runtime = runtime.enter();
            guest.listen(Port::Ssh).unwrap()
        };
        runtime.spawn(serve(listener, key, leases.clone(), backend.clone()));
        let host = HostTransport::Unix(directory.path().to_owned());
        let bridge = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = bridge.local_addr().unwrap().port();
        runtime.spawn(async move {
            while let Ok((mut client, _)) = bridge.accept().await {
                let host = host.clone();
                tokio::spawn(async move {
                    let mut guest = host.dial(Port::Ssh).await?;
                    copy_bidirectional(&mut client, &mut guest).await
                });
            }
        });
        let node = Node {
            leases,
            backend,
            host_key,
            port,
            table: Mutex::default(),
            directory,
            runtime,
        };
        fs::write(node.path("known_hosts"), node.known_hosts_line()).unwrap();
        node
    }

    /// A node with one rental, and the key that opens it.
    pub fn rented() -> (Node, PathBuf) {
        let node = Node::start();
        let key = node.key("ed25519");
        node.rent(1, &key);
        (node, key)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Of `ssh -p PORT 127.0.0.1`.
    pub fn known_hosts_line(&self) -> String {
        let mut blob = Vec::new();
        for part in [&b"ssh-ed25519"[..], &self.host_key] {
            blob.extend((part.len() as u32).to_be_bytes());
            blob.extend(part);
        }
        let key = STANDARD.encode(blob);
        format!("[127.0.0.1]:{} ssh-ed25519 {key}\n", self.port)
    }

    /// Makes a key; `kind` is `TYPE` or `TYPE:BITS`, as `ssh-keygen` has them.
    pub fn key(&self, kind: &str) -> PathBuf {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let path = self.path(&format!("key-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let mut keygen = Command::new("ssh-keygen");
        let (kind, bits) = kind
            .split_once(':')
            .map_or((kind, None), |(kind, bits)| (kind, Some(bits)));
        keygen.args(["-q", "-N", "", "-t", kind, "-f"]).arg(&path);
        bits.map(|bits| keygen.args(["-b", bits]));
        assert!(keygen.status().expect("ssh-keygen of openssh-client").success());
        path
    }

    /// Has a key sign another's certificate, with these arguments of `ssh-keygen`. A new file, which doesn't lie where OpenSSH would
    /// look for it by itself.
    pub fn certify(&self, authority: &Path, key: &Path, arguments: &[&str]) -> PathBuf {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("certificate-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        fs::copy(key.with_extension("pub"), self.path(&format!("{name}.pub"))).unwrap();
        let mut keygen = Command::new("ssh-keygen");
        keygen.arg("-q").arg("-s").arg(authority).args(["-I", "test"]);
        keygen.args(arguments).arg(self.path(&format!("{name}.pub")));
        assert!(keygen.status().unwrap().success());
        self.path(&format!("{name}-cert.pub"))
    }

    /// Gives a key a rental.
    pub fn rent(&self, rental: u8, key: &Path) {
        self.rent_at(rental, key, 0);
    }

    /// The same, with this bandwidth.
    pub fn rent_at(&self, rental: u8, key: &Path, bandwidth_mbps: u32) {
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        let blob = public.split_whitespace().nth(1).unwrap();
        let lease = Lease {
            rental: [rental; 32],
            key: STANDARD.decode(blob).unwrap(),
            started: u64::from(rental),
            notice: NOTICE.to_owned(),
            bandwidth_mbps,
        };
        let mut table = self.table.lock().unwrap();
        table.push(lease);
        self.leases.set(table.clone());
    }

    /// Ends a rental.
    pub fn end(&self, rental: u8) {
        let mut table = self.table.lock().unwrap();
        table.retain(|lease| lease.rental != [rental; 32]);
        self.leases.set(table.clone());
    }

    /// The options that every OpenSSH program takes.
    pub fn options(&self, key: &Path) -> Vec<String> {
        let mut options = vec!["-F".to_owned(), "none".to_owned()];
        options.extend(["-i".to_owned(), key.display().to_string()]);
        for option in [
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=none",
            "User=root",
            "ConnectTimeout=60",
            &format!("UserKnownHostsFile={}", self.path("known_hosts").display()),
            &format!("Port={}", self.port),
        ] {
            options.extend(["-o".to_owned(), option.to_owned()]);
        }
        options
    }

    /// `ssh` with the host; a command can follow.
    pub fn ssh(&self, key: &Path) -> Command {
        self.ssh_with(key, &[])
    }

    /// The same, with options of the test's own, which go first and so count.
    pub fn ssh_with(&self, key: &Path, options: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(options).args(self.options(key)).arg("127.0.0.1");
        ssh.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        ssh
    }

    /// A master connection that others go through, and how they do.
    pub fn master(&self, key: &Path) -> (Running, String) {
        let socket = self.path("master");
        let control = format!("ControlPath={}", socket.display());
        let mut ssh = self.ssh_with(key, &["-N", "-M", "-o", &control]);
        let master = Running(ssh.spawn().unwrap());
        until("the master connection", || socket.exists());
        (master, control)
    }
}

/// What a program left.
#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ended {
    pub fn text(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap()
    }
}

/// A program that is ended with this.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Ended {
    finish(command.spawn().unwrap())
}

/// Waits for a program's end, and takes its output.
pub fn finish(mut child: Child) -> Ended {
    let stdout = child.stdout.take().map(drain);
    let stderr = child.stderr.take().map(drain);
    let mut child = Running(child);
    let mut status = None;
    until("the program's end", || {
        status = child.0.try_wait().unwrap();
        status.is_some()
    });
    let taken =
        |reader: Option<thread::JoinHandle<Vec<u8>>>| reader.map_or(Vec::new(), |r| r.join().unwrap());
    Ended {
        status: status.unwrap().code(),
        stdout: taken(stdout),
        stderr: String::from_utf8_lossy(&taken(stderr)).into_owned(),
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        pipe.read_to_end(&mut all).unwrap();
        all
    })
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// Waits for something to be so.
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A fingerprint as OpenSSH shows it.
pub fn fingerprint(host_key: &[u8; 32]) -> String {
    use sha2::{Digest, Sha256};
    let mut blob = Vec::new();
    for part in [&b"ssh-ed25519"[..], host_key] {
        blob.extend((part.len() as u32).to_be_bytes());
        blob.extend(part);
    }
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(blob)))
}

/// Runs the agent as a process of this machine, where a node would in a container.
#[derive(Default)]
pub struct Local {
    /// How often it was started.
    pub attached: AtomicUsize,
    /// Whether containers can't be reached.
    pub down: AtomicBool,
    /// The agents that run.
    pub agents: Arc<Mutex<Vec<u32>>>,
}

impl ContainerBackend for Local {
    fn attach(&self, _: RentalId) -> BoxFuture<'_, Result<Box<dyn AgentStream>, BackendError>> {
        async {
            if self.down.load(Ordering::Relaxed) {
                return Err(BackendError::NotRunning);
            }
            self.attached.fetch_add(1, Ordering::Relaxed);
            let mut child = tokio::process::Command::new(agent())
                .arg("serve")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let stream = tokio::io::join(child.stdout.take().unwrap(), child.stdin.take().unwrap());
            let (agents, id) = (self.agents.clone(), child.id().unwrap());
            agents.lock().unwrap().push(id);
            tokio::spawn(async move {
                let _ = child.wait().await;
                agents.lock().unwrap().retain(|agent| *agent != id);
            });
            Ok(Box::new(stream) as Box<dyn AgentStream>)
        }
        .boxed()
    }

    fn isolation(&self) -> Isolation {
        unimplemented()
    }

    fn disk_limit(&self) -> BoxFuture<'_, Result<DiskLimit, BackendError>> {
        unimplemented()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Container>, BackendError>> {
        unimplemented()
    }

    fn remains(&self) -> BoxFuture<'_, Result<Vec<RentalId>, BackendError>> {
        unimplemented()
    }

    fn create(&self, _: ContainerSpec, _: Progress) -> BoxFuture<'_, Result<Container, BackendError>> {
        unimplemented()
    }

    fn start(&self, _: RentalId) -> BoxFuture<'_, Result<(), BackendError>> {
        unimplemented()
    }

    fn stop(&self, _: RentalId) -> BoxFuture<'_, Result<(), BackendError>> {
        unimplemented()
    }

    fn remove(&self, _: RentalId) -> BoxFuture<'_, Result<(), BackendError>> {
        unimplemented()
    }

    fn usage(&self, _: RentalId) -> BoxFuture<'_, Result<Usage, BackendError>> {
        unimplemented()
    }

    fn logs(&self, _: RentalId, _: u32) -> BoxFuture<'_, Result<String, BackendError>> {
        unimplemented()
    }

    fn exec(&self, _: RentalId, _: Vec<String>) -> BoxFuture<'_, Result<ExecOutput, BackendError>> {
        unimplemented()
    }
}

fn unimplemented<T>() -> T {
    panic!("the SSH server attaches, and does nothing else")
}

/// The agent's program, of this very source.
fn agent() -> &'static Path {
    static AGENT: OnceLock<PathBuf> = OnceLock::new();
    AGENT.get_or_init(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--package", "jeju-rental-agent"]);
        assert!(cargo.status().unwrap().success(), "the agent doesn't build");
        let test = std::env::current_exe().unwrap();
        let program = test.ancestors().nth(2).unwrap().join("jeju-rental-agent");
        assert!(program.exists(), "{} isn't there", program.display());
        program
    })
}
