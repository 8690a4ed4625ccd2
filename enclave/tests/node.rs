//! The node in process mode: how it starts, how it refuses to, and that no process of it outlives it.
#![cfg(feature = "sim")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
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
        let socket = path(5006);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                jeju_simulated::serve(chip, tokio::net::UnixListener::bind(socket).unwrap()).await;
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

    /// Process ids of the roles, once both are in their sandboxes.
    fn roles(&self) -> Vec<u32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let roles: Vec<u32> = processes()
                .filter(|pid| parent(*pid) == Some(self.process.id()))
                .collect();
            if roles.len() == 2
                && roles
                    .iter()
                    .all(|pid| status(*pid, "Seccomp").as_deref() == Some("2"))
            {
                return roles;
            }
            assert!(Instant::now() < deadline, "no roles");
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
    for victim in 0..2 {
        let host = Host::new(DOCUMENT, DOCUMENT);
        let node = host.start(&[]);
        let roles = node.roles();
        for role in &roles {
            assert_eq!(status(*role, "NoNewPrivs").as_deref(), Some("1"));
        }
        signal(roles[victim], libc::SIGKILL);
        assert_fatal(node.end(), 10);
        assert_eq!(host.last_frame(), [1, 0, 2, 0, 10]);
        assert!(!roles.into_iter().any(exists));
    }
}

#[test]
fn sigterm_ends_the_node_and_leaves_nothing() {
    let host = Host::new(DOCUMENT, DOCUMENT);
    let node = host.start(&[]);
    let roles = node.roles();
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
    let roles = node.roles();
    signal(node.process.id(), libc::SIGKILL);
    node.end();
    wait_until("a role lives on", || !roles.iter().any(|role| exists(*role)));
}
