//! Boots images in QEMU, with a small PID 1 of its own (`guest/main.rs`), and looks at them from both sides.
//!
//! Needs `qemu-system-x86_64`, `vhost-device-vsock` and `rustc` on the search path.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use jeju_attestation::hash::sha256;
use jeju_attestation::simulated::Report;
use jeju_image::build::{self, MODEL_PATH, Parts};
use jeju_image::manifest::{Manifest, Platform, Toolchain};
use jeju_image::run::{
    Accelerator, AcceleratorChoice, Event, EventSink, Guest, ProcessGuest, QemuGuest, RunConfig, RunError,
    RunningImage,
};
use jeju_shim_protocol::Port;
use jeju_shim_protocol::fatal::FatalCode;
use jeju_simulated::measure::process_digest;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Emulation on a busy machine: the guest itself needs two seconds.
const BOOT: Duration = Duration::from_secs(60);

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What the kernel puts before every command line.
const BUILT_IN: &str = "pci=nocrs random.trust_bootloader=off";

const LAUNCH: &str = r#"version = 1
[node]
agent = "0x0808080808080808080808080808080808080808080808080808080808080808"
names = ["localhost"]
[chain]
profile = "localnet"
id = 31337
registry = "0x0909090909090909090909090909090909090909"
rpc = ["http://127.0.0.1:8545"]
[egress]
allow = ["127.0.0.1:8545"]
"#;

#[tokio::test]
async fn the_guest_is_what_was_measured_and_speaks_vsock() {
    let folder = Folder::new(cmdline());
    let mut running = RunningImage::start(folder.qemu()).await.unwrap();
    let early = running.transport().dial(Port::Node).await.unwrap_err();
    assert_eq!(
        early.kind(),
        io::ErrorKind::NotFound,
        "the device isn't dialled yet"
    );
    let ready = running.wait_ready(BOOT).await.unwrap();
    println!("ready after {ready:?} under {:?}", running.accelerator());
    assert_eq!(running.accelerator(), Some(Accelerator::Tcg));

    assert_eq!(
        ask(&running, "cmdline").await,
        format!("{BUILT_IN} {}\n", cmdline())
    );
    assert_eq!(ask(&running, "root").await, root_listing(&folder.manifest));
    // QEMU 7.2's emulation has RDRAND, which simulated platforms seed from, and no RDSEED.
    let cpu = ask(&running, "cpu").await;
    assert!(cpu.starts_with("rdrand true"), "{cpu}");

    // The guest learns the launch document's digest; a report says what was loaded.
    let host_data = sha256(LAUNCH.as_bytes());
    assert_eq!(
        ask(&running, "silicon").await,
        format!("0000002181{}", hex::encode(host_data))
    );
    let report = report(&PathBuf::from(format!("{}_5006", running.vsock_uds().display()))).await;
    assert_eq!(hex::encode(report.image_digest), folder.manifest.image_digest);
    assert_eq!(report.host_data, host_data);
    assert_eq!(report.report_data, [7; 64]);

    echo(&running, 1 << 20).await;

    let (pid, sockets) = (running.pid(), running.vsock_uds().parent().unwrap().to_owned());
    running.shutdown().await;
    assert!(!runs(pid));
    assert!(!sockets.exists());
    assert_eq!(fs::read_dir(folder.path("state")).unwrap().count(), 0);
}

/// The real first program, in an image with the agent for containers and in one without.
#[tokio::test]
async fn the_first_program_hands_the_agent_to_the_node() {
    let programs = tempfile::tempdir().unwrap();
    let (init, node) = (first_program(programs.path()), programs.path().join("node"));
    compile(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boot/node.rs"), &node);
    for agent in [Some("for containers"), None] {
        let mut parts = parts(cmdline());
        parts.init = fs::read(&init).unwrap();
        parts.enclave = fs::read(&node).unwrap();
        parts.agent = agent.map(|text| text.as_bytes().to_vec());
        parts.model = Some(b"weights".to_vec());
        let folder = Folder::of(&parts);
        let mut config = folder.qemu();
        let Guest::Qemu(guest) = &mut config.guest else {
            unreachable!()
        };
        guest.console = true;
        let (sender, console) = mpsc::channel();
        config.events = EventSink::new(move |event| {
            if let Event::Console { text } = event {
                let _ = sender.send(text);
            }
        });
        let mut running = RunningImage::start(config).await.unwrap();
        running.wait_ready(BOOT).await.unwrap();
        running.shutdown().await;
        let said: Vec<_> = console
            .try_iter()
            .filter(|line| line.starts_with("HANDED") || line.starts_with("VARIABLES"))
            .collect();
        let mut expected = vec!["HANDED --model weights".to_owned()];
        expected.extend(agent.map(|text| format!("HANDED --agent {text}")));
        expected.push("VARIABLES 0".to_owned());
        assert_eq!(said, expected);
    }
}

#[tokio::test]
async fn a_node_that_gives_up_is_explained() {
    let folder = Folder::new(&format!("{} jeju.test=fatal", cmdline()));
    let mut running = RunningImage::start(folder.qemu()).await.unwrap();
    let error = running.wait_ready(BOOT).await.unwrap_err();
    assert!(
        matches!(error, RunError::Fatal(FatalCode::ModelMissing)),
        "{error}"
    );
    assert!(
        error.to_string().contains(FatalCode::ModelMissing.meaning()),
        "{error}"
    );
}

#[tokio::test]
async fn an_image_that_was_changed_is_refused_and_then_measures_to_something_else() {
    let folder = Folder::new(&format!("{} jeju.test=exit", cmdline()));
    let path = folder.path("image").join(build::MODEL_ARCHIVE);
    let mut model = fs::read(&path).unwrap();
    let middle = model.len() / 2;
    model[middle] ^= 1;
    fs::write(&path, model).unwrap();

    let refused = RunningImage::start(folder.qemu()).await.unwrap_err();
    assert!(matches!(refused, RunError::Image(_)), "{refused}");

    let mut config = folder.qemu();
    let Guest::Qemu(guest) = &mut config.guest else {
        unreachable!()
    };
    guest.allow_modified = true;
    let mut running = RunningImage::start(config).await.unwrap();
    assert_ne!(
        hex::encode(running.measured().image_digest),
        folder.manifest.image_digest
    );
    // It powers off at once, without a reason.
    let error = running.wait_ready(BOOT).await.unwrap_err();
    assert!(matches!(error, RunError::Ended { .. }), "{error}");
}

#[test]
fn nothing_outlives_a_killed_launcher() {
    let folder = Folder::new(cmdline());
    let mut launcher = folder.launcher();
    let mut lines = BufReader::new(launcher.stdout.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().unwrap().contains(r#""event":"started""#))
        .unwrap()
        .unwrap();
    // Launcher, vsock device and QEMU.
    until(|| folder.processes().len() == 3);
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    until(|| folder.processes().is_empty());

    // The next launch in the same folder isn't in the way of what is left, and an interrupt leaves nothing.
    let mut launcher = folder.launcher();
    let mut lines = BufReader::new(launcher.stdout.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().unwrap().contains(r#""event":"ready""#))
        .unwrap()
        .unwrap();
    // SAFETY: takes no pointers; the process is a child that wasn't waited for.
    unsafe { libc::kill(launcher.id() as i32, libc::SIGINT) };
    assert!(launcher.wait().unwrap().success());
    assert_eq!(lines.last().unwrap().unwrap(), r#"{"event":"stopped"}"#);
    assert_eq!(folder.processes(), [] as [u32; 0]);
    assert_eq!(fs::read_dir(folder.path("state")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_process_is_measured_by_its_files() {
    let folder = Folder::new(cmdline());
    let script = "#!/bin/sh\nenv\necho \"$@\"\necho JEJU-READY\nwhile :; do sleep 1; done\n";
    fs::write(folder.path("node"), script).unwrap();
    fs::write(folder.path("model"), "weights").unwrap();
    fs::write(folder.path("agent"), "for containers").unwrap();
    let mut running = RunningImage::start(RunConfig {
        guest: Guest::Process(ProcessGuest {
            enclave: folder.path("node"),
            model: Some(folder.path("model")),
            agent: Some(folder.path("agent")),
            console: false,
        }),
        ..folder.qemu()
    })
    .await
    .unwrap();
    running.wait_ready(BOOT).await.unwrap();

    let agent = sha256(b"for containers");
    let expected = process_digest(&sha256(script.as_bytes()), &[sha256(b"weights")], Some(&agent));
    let socket = running.vsock_uds().join("5006.sock");
    assert_eq!(report(&socket).await.image_digest, expected);
    assert_eq!(
        running.transport().to_string(),
        format!("unix:{}", folder.path("state").display())
    );

    let pid = running.pid();
    running.shutdown().await;
    assert!(!runs(pid));
    assert_eq!(fs::read_dir(folder.path("state")).unwrap().count(), 0);
}

#[test]
fn archives_do_not_depend_on_where_or_how_they_are_made() {
    let shell = |umask: &str, zone: &str, name: &str| {
        let folder = TempDir::with_prefix(name).unwrap();
        let (node, out) = (folder.path().join("a node"), folder.path().join("image"));
        fs::copy(guest(), &node).unwrap();
        fs::write(folder.path().join("weights"), [3; 5000]).unwrap();
        let status = Command::new("/bin/sh")
            .args([
                "-c",
                "umask $0; exec \"$@\"",
                umask,
                env!("CARGO_BIN_EXE_jeju-image"),
            ])
            .args(["build", "--platform", "qemu", "--model", "weights", "--out"])
            .arg(&out)
            .arg("--enclave")
            .arg(&node)
            .arg("--init")
            .arg(&node)
            .current_dir(folder.path())
            .envs([("TZ", zone), ("LC_ALL", "tr_TR.UTF-8"), ("USER", name)])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        let mut files: Vec<_> = fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
            .iter()
            .map(|path| (path.file_name().unwrap().to_owned(), fs::read(path).unwrap()))
            .collect::<Vec<_>>()
    };
    let first = shell("022", "UTC", "one");
    assert_eq!(first.len(), 6);
    assert!(first == shell("077", "Asia/Tokyo", "another-with-a-longer-name"));
}

fn cmdline() -> &'static str {
    Platform::Qemu.cmdline()
}

/// What an image of the test guest is made of.
fn parts(cmdline: &str) -> Parts {
    Parts {
        platform: Platform::Qemu,
        init: fs::read(guest()).unwrap(),
        enclave: b"not started by the test guest".to_vec(),
        agent: None,
        origin: "image/tests/guest/main.rs".to_owned(),
        toolchain: Toolchain::default(),
        model: Some((0..100_000_u32).flat_map(u32::to_le_bytes).collect()),
        cmdline: cmdline.to_owned(),
    }
}

/// An image and what a launch of it needs.
struct Folder {
    folder: TempDir,
    manifest: Manifest,
}

impl Folder {
    fn new(cmdline: &str) -> Self {
        Self::of(&parts(cmdline))
    }

    fn of(parts: &Parts) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manifest = build::assemble(parts, &folder.path().join("image")).unwrap();
        fs::write(folder.path().join("launch.toml"), LAUNCH).unwrap();
        Self { folder, manifest }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn qemu(&self) -> RunConfig {
        RunConfig {
            guest: Guest::Qemu(QemuGuest {
                image: self.path("image"),
                memory_mib: 256,
                cpus: 1,
                accelerator: AcceleratorChoice::Tcg,
                allow_modified: false,
                console: false,
            }),
            launch: self.path("launch.toml"),
            state: self.path("state"),
            silicon: self.path("silicon"),
            events: EventSink::none(),
        }
    }

    fn launcher(&self) -> std::process::Child {
        Command::new(env!("CARGO_BIN_EXE_jeju-image"))
            .args([
                "run",
                "--json",
                "--accelerator",
                "tcg",
                "--memory",
                "256",
                "--cpus",
                "1",
                "--image",
            ])
            .arg(self.path("image"))
            .arg("--launch")
            .arg(self.path("launch.toml"))
            .arg("--state")
            .arg(self.path("state"))
            .arg("--silicon")
            .arg(self.path("silicon"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Processes that have this folder in their command line.
    fn processes(&self) -> Vec<u32> {
        let folder = self.folder.path().to_str().unwrap();
        let numbers = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        let mentions = |id: &u32| {
            fs::read(format!("/proc/{id}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(folder))
        };
        numbers.filter(mentions).collect()
    }
}

/// The test guest, compiled once as the node is: one static binary.
fn guest() -> &'static Path {
    static GUEST: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = GUEST.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guest");
        compile(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guest/main.rs"), &path);
        (folder, path)
    });
    path
}

/// Compiles a program for the guest, as the node is: one static binary.
fn compile(source: &str, to: &Path) {
    let status = Command::new("rustc")
        .args(["--edition", "2024", "-O", "-Cpanic=abort", "-Cstrip=symbols"])
        .args(["-Ctarget-feature=+crt-static", "-Crelocation-model=static"])
        .args(["--target", TARGET, "-o"])
        .arg(to)
        .arg(source)
        .status()
        .expect("rustc is needed to compile programs for the guest");
    assert!(status.success());
}

/// `jeju-init`, compiled by this machine's cargo.
fn first_program(folder: &Path) -> PathBuf {
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--offline",
            "--package",
            "jeju-init",
        ])
        .args(["--target", TARGET, "--target-dir"])
        .arg(folder)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            "-Ctarget-feature=+crt-static\x1f-Crelocation-model=static",
        )
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .unwrap();
    assert!(status.success());
    folder.join(TARGET).join("debug/jeju-init")
}

async fn ask(running: &RunningImage, question: &str) -> String {
    let mut stream = running.transport().dial(Port::Node).await.unwrap();
    stream
        .write_all(format!("{question}\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// What the guest's buffer of a connection takes, so that nothing waits in front of it. While something does,
/// vhost-device-vsock 0.3.0 doesn't pass on what it holds for a host that was slow to read (`vhu_vsock_thread.rs`: it flushes on
/// an event that is EPOLLOUT alone), and a guest that echoes stands still with it, for ever.
const AT_ONCE: usize = 256 * 1024;

async fn echo(running: &RunningImage, length: usize) {
    let stream = running.transport().dial(Port::Mpc).await.unwrap();
    let sent: Vec<u8> = (0..length).map(|at| (at * 7 + at / 251) as u8).collect();
    let (mut from_guest, mut to_guest) = tokio::io::split(stream);
    let mut received = vec![0; length];
    let start = Instant::now();
    let both = async {
        for (sent, received) in sent.chunks(AT_ONCE).zip(received.chunks_mut(AT_ONCE)) {
            tokio::try_join!(to_guest.write_all(sent), from_guest.read_exact(received))?;
        }
        Ok::<_, io::Error>(())
    };
    tokio::time::timeout(Duration::from_secs(20), both)
        .await
        .expect("vsock stalled")
        .unwrap();
    println!("echo of {length} bytes took {:?}", start.elapsed());
    assert!(received == sent);
}

/// Asks simulated silicon for a report over 64 bytes of 7.
async fn report(socket: &Path) -> Report {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream
        .write_all(&[&[0, 0, 0, 65, 2][..], &[7; 64]].concat())
        .await
        .unwrap();
    let mut answer = [0; 5 + 282];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..5], [0, 0, 1, 27, 0x82]);
    Report::parse(&answer[5..]).unwrap()
}

/// What the guest should see: the manifest's entries, and what every kernel brings along (`usr/default_cpio_list`).
fn root_listing(manifest: &Manifest) -> String {
    let mut lines: Vec<_> = manifest
        .root
        .iter()
        .map(|entry| {
            (
                entry.path.clone(),
                format!("{} 0:0 {} 0 {}\n", entry.mode, entry.size, entry.path),
            )
        })
        .collect();
    let model_folder = Path::new(MODEL_PATH).parent().unwrap();
    assert!(lines.iter().any(|(path, _)| Path::new(path) == model_folder));
    lines.push(("/root".to_owned(), "040700 0:0 0 1767225600 /root\n".to_owned()));
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

fn runs(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "did not happen in time"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
