//! The node in process mode: how it starts, how it refuses to, and that no process of it outlives it.
#![cfg(feature = "sim")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use jeju_attestation::launch::LaunchDocument;
use jeju_simulated::Silicon;

const DOCUMENT: &str = r#"
version = 1

[node]
agent = "0x0101010101010101010101010101010101010101010101010101010101010101"
names = ["localhost"]

[chain]
profile = "localnet"
id = 31337
registry = "0x0202020202020202020202020202020202020202"
rpc = ["http://127.0.0.1:8545"]

[egress]
allow = ["127.0.0.1:8545"]
"#;

/// What makes a node of [`DOCUMENT`] a signer, alone in its network.
const SIGNER: &str = r#"
[services]
mpc = true

[mpc]
network = "jeju-localnet"
threshold = 1
governance = "0x0303030303030303030303030303030303030303"
measurements = ["0x0404040404040404040404040404040404040404040404040404040404040404"]
[[mpc.members]]
node = "mpc-node-1"
agent = "0x0101010101010101010101010101010101010101010101010101010101010101"
address = "127.0.0.1:4010"
"#;

/// More than a node on a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The host's side of a node: documents, log sink and silicon in a directory of its own.
struct Host {
    directory: tempfile::TempDir,
    log: Receiver<Vec<u8>>,
}

impl Host {
    /// Delivers `document`, and silicon that was started with the launch digest of `measured`.
    fn new(document: &str, measured: &str) -> Host {
        let directory = tempfile::tempdir().unwrap();
        let path = |port: u16| directory.path().join(format!("{port}.sock"));

        let documents = UnixListener::bind(path(5003)).unwrap();
        let document = document.to_owned();
        std::thread::spawn(move || {
            for stream in documents.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                assert_eq!(line, "GET launch\n");
                write!(stream, "OK {}\n{document}", document.len()).unwrap();
            }
        });

        let sink = UnixListener::bind(path(5004)).unwrap();
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in sink.incoming() {
                let mut frames = Vec::new();
                stream.unwrap().read_to_end(&mut frames).unwrap();
                if sender.send(frames).is_err() {
                    return;
                }
            }
        });

        let silicon = Silicon::open_or_create(&directory.path().join("silicon")).unwrap();
        let chip = silicon.chip([3; 32], LaunchDocument::digest(measured.as_bytes()));
        // Before the node is started, which asks it at once.
        let socket = UnixListener::bind(path(5006)).unwrap();
        socket.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                jeju_simulated::serve(chip, tokio::net::UnixListener::from_std(socket).unwrap()).await;
            });
        });
        Host { directory, log }
    }

    fn start(&self, more: &[&str]) -> Node {
        let transport = format!("unix:{}", self.directory.path().display());
        let mut arguments = vec!["--platform", "simulated", "--transport", &transport];
        arguments.extend(more);
        Node::start(&arguments)
    }

    fn last_frame(&self) -> Vec<u8> {
        self.log.recv_timeout(PATIENCE).unwrap()
    }
}

/// A node's first process.
struct Node {
    process: Child,
}

impl Node {
    fn start(arguments: &[&str]) -> Node {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jeju-enclave"));
        let process = command
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Node { process }
    }

    /// Waits for the end: the exit status and what was printed.
    fn end(mut self) -> (ExitStatus, String) {
        let mut printed = String::new();
        // Ends when the last process of the node has closed it, which is the point.
        self.process
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut printed)
            .unwrap();
        (self.process.wait().unwrap(), printed)
    }

    /// Process ids of the roles, once so many are in their sandboxes.
    fn roles(&self, count: usize) -> Vec<u32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let roles: Vec<u32> = processes()
                .filter(|pid| parent(*pid) == Some(self.process.id()))
                .collect();
            if roles.len() == count
                && roles
                    .iter()
                    .all(|pid| status(*pid, "Seccomp").as_deref() == Some("2"))
            {
                return roles;
            }
            assert!(
                Instant::now() < deadline,
                "roles {:?} of a node that is {:?}",
                roles
                    .iter()
                    .map(|role| status(*role, "Seccomp"))
                    .collect::<Vec<_>>(),
                status(self.process.id(), "State")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn status(pid: u32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status
        .lines()
        .find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()))
}

fn parent(pid: u32) -> Option<u32> {
    status(pid, "PPid")?.parse().ok()
}

fn signal(pid: u32, signal: libc::c_int) {
    // SAFETY: a plain system call.
    assert_eq!(unsafe { libc::kill(pid as libc::pid_t, signal) }, 0);
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn assert_fatal((status, printed): (ExitStatus, String), code: i32) {
    assert_eq!(status.code(), Some(64 + code), "{printed}");
    assert_eq!(
        printed.lines().last(),
        Some(format!("JEJU-FATAL {code}").as_str()),
        "{printed}"
    );
}

#[test]
fn bad_arguments_are_refused() {
    for arguments in [&["--platform", "tdx"][..], &["--help"], &[]] {
        assert_fatal(Node::start(arguments).end(), 1);
    }
}

#[test]
fn a_host_without_a_launch_document_is_waited_for_a_bounded_time() {
    let directory = tempfile::tempdir().unwrap();
    let transport = format!("unix:{}", directory.path().display());
    let started = Instant::now();
    assert_fatal(
        Node::start(&["--platform", "simulated", "--transport", &transport]).end(),
        5,
    );
    assert!(started.elapsed() >= Duration::from_secs(9));
}

#[test]
fn a_launch_document_that_does_not_parse_is_refused() {
    let document = format!("{DOCUMENT}\n[unknown]\n");
    let host = Host::new(&document, &document);
    assert_fatal(host.start(&[]).end(), 6);
    assert_eq!(host.last_frame(), [1, 0, 2, 0, 6]);
}

#[test]
fn a_launch_document_that_was_not_measured_is_refused() {
    let host = Host::new(DOCUMENT, &format!("{DOCUMENT}\n"));
    assert_fatal(host.start(&[]).end(), 7);
    assert_eq!(host.last_frame(), [1, 0, 2, 0, 7]);
}

#[test]
fn a_missing_model_is_refused() {
    let host = Host::new(DOCUMENT, DOCUMENT);
    assert_fatal(host.start(&["--model", "/no/such/model.gguf"]).end(), 8);
    assert_eq!(host.last_frame(), [1, 0, 2, 0, 8]);
}

#[test]
fn the_death_of_a_role_ends_the_node() {
    let signer = format!("{DOCUMENT}{SIGNER}");
    for (document, count) in [(DOCUMENT, 2), (&signer, 3)] {
        for victim in 0..count {
            let host = Host::new(document, document);
            let node = host.start(&[]);
            let roles = node.roles(count);
            for role in &roles {
                assert_eq!(status(*role, "NoNewPrivs").as_deref(), Some("1"));
            }
            signal(roles[victim], libc::SIGKILL);
            assert_fatal(node.end(), 10);
            assert_eq!(host.last_frame(), [1, 0, 2, 0, 10]);
            assert!(!roles.into_iter().any(exists));
        }
    }
}

/// Shares are in no memory that another process can read: not through /proc, and not in a core dump.
#[test]
fn the_signer_is_closed_to_others() {
    let document = format!("{DOCUMENT}{SIGNER}");
    let host = Host::new(&document, &document);
    let node = host.start(&[]);
    let roles = node.roles(3);
    let signer = roles.iter().find(|role| {
        let arguments = fs::read_to_string(format!("/proc/{role}/cmdline")).unwrap();
        arguments.contains("--role\0signer\0")
    });
    let signer = signer.expect("a signer");
    let limits = fs::read_to_string(format!("/proc/{signer}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    assert_eq!(core.unwrap().split_whitespace().nth(4), Some("0"), "{limits}");
    // What isn't dumpable belongs to root in /proc, whoever runs it.
    let environ = fs::metadata(format!("/proc/{signer}/environ")).unwrap();
    assert_eq!(environ.uid(), 0);
    let open = match fs::read_dir(format!("/proc/{signer}/fd")) {
        Ok(open) => open,
        Err(error) => return assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    };
    // Its sockets: control, the front's, and what its runtime wakes itself with. No file, no device.
    let open: Vec<String> = open
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|number| *number > 2)
        .filter_map(|number| fs::read_link(format!("/proc/{signer}/fd/{number}")).ok())
        .map(|target| target.display().to_string())
        .filter(|target| !target.starts_with("anon_inode:"))
        .collect();
    assert!(!open.is_empty());
    assert!(
        open.iter().all(|target| target.starts_with("socket:")),
        "{open:?}"
    );
}

#[test]
fn sigterm_ends_the_node_and_leaves_nothing() {
    let host = Host::new(DOCUMENT, DOCUMENT);
    let node = host.start(&[]);
    let roles = node.roles(2);
    let listener: PathBuf = host.directory.path().join("4007.sock");
    wait_until("no listener", || listener.exists());
    signal(node.process.id(), libc::SIGTERM);
    let (status, printed) = node.end();
    assert_eq!(status.code(), Some(0), "{printed}");
    assert!(!roles.into_iter().any(exists));
    assert!(!listener.exists());
}

#[test]
fn roles_do_not_outlive_a_first_process_that_is_killed() {
    let host = Host::new(DOCUMENT, DOCUMENT);
    let node = host.start(&[]);
    let roles = node.roles(2);
    signal(node.process.id(), libc::SIGKILL);
    node.end();
    wait_until("a role lives on", || !roles.iter().any(|role| exists(*role)));
}
