//! A node with the real model, on a host that remembers all that it sees.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Duration;
use std::{fs, io};

use jeju_attestation::hash::sha256;
use jeju_attestation::launch::LaunchDocument;
use jeju_simulated::Silicon;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::memory;
use crate::recorder::{Recorder, Seen};
use crate::rpc;
use crate::secrets::Secrets;

/// More than a node on a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// The model's name in the API.
pub const MODEL: &str = "smollm2";

/// Fetched once, where it isn't there yet.
pub static MODEL_FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let default = repository.join("target/models/smollm2-135m-instruct-q4_1.gguf");
    let path = std::env::var_os("JEJU_MODEL").map_or(default, PathBuf::from);
    let fetch = std::process::Command::new(repository.join("bench/inference/fetch-model.sh"))
        .arg(&path)
        .status();
    assert!(fetch.unwrap().success(), "the model could not be fetched");
    path
});

fn document() -> String {
    let model = hex::encode(sha256(&fs::read(&*MODEL_FILE).unwrap()));
    format!(
        r#"
version = 1
[node]
agent = "0x0101010101010101010101010101010101010101010101010101010101010101"
names = ["localhost"]
epoch_seconds = 600
[chain]
profile = "localnet"
id = 31337
registry = "0x0202020202020202020202020202020202020202"
rpc = ["http://127.0.0.1:8545"]
[egress]
allow = ["127.0.0.1:8545"]
[services]
inference = true
[[models]]
id = "{MODEL}"
sha256 = "0x{model}"
"#
    )
}

/// A node and its host.
pub struct Node {
    pub directory: tempfile::TempDir,
    pub root: [u8; 65],
    /// All bytes of all sockets between node and host, those of clients among them.
    pub seen: Seen,
    /// What the log sink was told.
    pub logged: Seen,
    /// What all processes of the node printed.
    pub printed: Seen,
    process: Child,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Node {
    /// Starts a node with its own model, and waits until it serves.
    pub async fn start() -> Node {
        Node::start_with("", None).await.expect("a node")
    }

    /// The same, with more at the end of its launch document, and as another user; `None` where that one may not execute it.
    pub async fn start_with(more: &str, user: Option<u32>) -> Option<Node> {
        let directory = tempfile::tempdir().unwrap();
        let silicon = Silicon::open_or_create(&directory.path().join("silicon")).unwrap();
        let document = document() + more;
        let chip = silicon.chip([3; 32], LaunchDocument::digest(document.as_bytes()));
        let (seen, logged, printed) = (Seen::default(), Seen::default(), Seen::default());
        let socket = |name: &str| directory.path().join(format!("{name}.sock"));
        let bind = |name: &str| UnixListener::bind(socket(name)).unwrap();

        let mut tasks = vec![tokio::spawn(jeju_simulated::serve(chip, bind("chip")))];
        let chip = socket("chip");
        tasks.push(each(bind("5006"), seen.clone(), move |mut stream| {
            let chip = chip.clone();
            async move {
                let mut chip = UnixStream::connect(chip).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut chip).await;
            }
        }));
        tasks.push(each(bind("5003"), seen.clone(), move |mut stream| {
            let answer = format!("OK {}\n{document}", document.len());
            async move {
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }));
        let log = logged.clone();
        tasks.push(each(bind("5004"), seen.clone(), move |mut stream| {
            let log = log.clone();
            async move {
                let mut frames = Vec::new();
                let _ = stream.read_to_end(&mut frames).await;
                log.add(&frames);
            }
        }));
        tasks.push(each(bind("5000"), seen.clone(), chain));

        let mut command = Command::new(env!("CARGO_BIN_EXE_jeju-enclave"));
        command
            .args(["--platform", "simulated", "--transport"])
            .arg(format!("unix:{}", directory.path().display()))
            .arg("--model")
            .arg(&*MODEL_FILE)
            // Where the kernel would put core files, under most settings.
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // SAFETY: `allow_core_dumps` makes one system call and allocates nothing.
        unsafe { command.pre_exec(allow_core_dumps) };
        if let Some(user) = user {
            command.uid(user).gid(user);
            let paths = fs::read_dir(directory.path())
                .unwrap()
                .map(|entry| entry.unwrap().path());
            for path in paths.chain([directory.path().to_owned()]) {
                chown(path, Some(user), Some(user)).unwrap();
            }
        }
        let mut process = match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
            process => process.unwrap(),
        };
        tasks.push(tokio::spawn(drain(
            process.stdout.take().unwrap(),
            printed.clone(),
        )));
        tasks.push(tokio::spawn(drain(
            process.stderr.take().unwrap(),
            printed.clone(),
        )));
        let mut node = Node {
            directory,
            root: silicon.root_public(),
            seen,
            logged,
            printed,
            process,
            tasks,
        };
        node.until("ready", |node| {
            node.printed.bytes().windows(10).any(|w| w == b"JEJU-READY")
        })
        .await;
        Some(node)
    }

    /// The socket of a port.
    pub fn socket(&self, port: u16) -> PathBuf {
        self.directory.path().join(format!("{port}.sock"))
    }

    /// All processes of the node: the first, then its roles.
    pub fn processes(&self) -> Vec<u32> {
        let first = self.process.id().expect("the node runs");
        let roles = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            (status(pid, "PPid")? == first.to_string()).then_some(pid)
        });
        [first].into_iter().chain(roles).collect()
    }

    /// The process of a role.
    pub fn role(&self, name: &str) -> u32 {
        let wanted = format!("--role\0{name}\0");
        let is_it = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(&wanted))
        };
        self.processes().into_iter().find(is_it).expect("the role runs")
    }

    /// Waits until something holds.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Node) -> bool) {
        let waited = timeout(PATIENCE, async {
            while !holds(self) {
                let ended = self.process.try_wait().unwrap();
                assert!(
                    ended.is_none(),
                    "ended before {what}: {}",
                    self.printed.bytes().escape_ascii()
                );
                sleep(Duration::from_millis(20)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("not {what} in time"));
    }

    /// Waits for the node's end.
    pub async fn end(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.process.wait()).await;
        let status = ended.expect("an end in time").unwrap();
        // What was printed last is still on its way.
        sleep(Duration::from_millis(200)).await;
        status
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Panics where a secret is in anything that the host or a person can see.
    pub fn assert_nothing_got_out(&self, secrets: &Secrets) {
        for (place, bytes) in [
            ("what the host saw", &self.seen),
            ("the log", &self.logged),
            ("what was printed", &self.printed),
        ] {
            let bytes = bytes.bytes();
            let found = secrets.found_in(&bytes);
            assert!(found.is_empty(), "in {place}: {found:#?}");
        }
        for entry in fs::read_dir(self.directory.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let name = name.to_str().unwrap();
            assert!(
                name.ends_with(".sock") || name == "silicon",
                "the node left a file {name}"
            );
        }
    }

    /// Panics where a secret stays in a process's memory. What ended a moment ago may still be on its way out.
    pub async fn assert_nothing_stays(&self, secrets: &Secrets) {
        let mut found = Vec::new();
        for _ in 0..20 {
            found = self.in_memory(secrets);
            if found.is_empty() {
                return;
            }
            sleep(Duration::from_millis(250)).await;
        }
        panic!("{} in memory: {found:#?}", found.len());
    }

    /// What of the secrets is in the memory of which process.
    pub fn in_memory(&self, secrets: &Secrets) -> Vec<String> {
        let processes = self.processes().into_iter();
        processes
            .flat_map(|pid| {
                let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
                let role = line.split('\0').nth(2).unwrap_or("first").to_owned();
                let found = memory::search(pid, secrets).unwrap();
                found.into_iter().map(move |what| format!("{role}: {what}"))
            })
            .collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// As generous as this user may be: that there are none then is the node's doing.
pub fn allow_core_dumps() -> std::io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit outlives both calls.
    let outcome = unsafe {
        libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_CORE, &raw const limit)
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// A field of a process's `/proc/PID/status`.
pub fn status(pid: u32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

async fn drain(mut from: impl tokio::io::AsyncRead + Unpin, into: Seen) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        into.add(&buffer[..count]);
    }
}

fn each<F: Future<Output = ()> + Send + 'static>(
    listener: UnixListener,
    seen: Seen,
    serve: impl Fn(Recorder<UnixStream>) -> F + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(Recorder::new(stream, seen.clone())));
        }
    })
}

/// Egress with one JSON-RPC endpoint behind it.
async fn chain(stream: Recorder<UnixStream>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let _ = stream.read_line(&mut line).await;
    assert_eq!(line, "CONNECT 127.0.0.1:8545\n");
    let _ = stream.write_all(b"OK\n").await;
    let result = |request: &serde_json::Value| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = since.unwrap().as_secs();
        match request["method"].as_str().unwrap() {
            "eth_chainId" => serde_json::json!("0x7a69"),
            _ => serde_json::json!({
                "number": "0x64",
                "hash": format!("0x{}", "64".repeat(32)),
                "timestamp": format!("{now:#x}"),
            }),
        }
    };
    rpc::serve(stream, result).await;
}
