//! A real engine behind the real shim, with real images and the real agent.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jeju_enclave::rentals::docker::DockerBackend;
use jeju_host_shim::{Config, HostShim, RunningShim};
use jeju_shim_protocol::transport::{GuestTransport, HostTransport};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::fake::AGENT;

const PATIENCE: Duration = Duration::from_secs(60);
/// Engines one after the other: each starts a dozen processes.
static TURN: Semaphore = Semaphore::const_new(1);
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A `dockerd` of its own and a shim in front of it, which end with this.
pub struct Engine {
    _turn: SemaphorePermit<'static>,
    daemon: Child,
    killed: bool,
    driver: String,
    data: PathBuf,
    _shim: RunningShim,
    sockets: TempDir,
    directory: TempDir,
}

impl Engine {
    pub async fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("jb").tempdir_in("/tmp").unwrap();
        let data = directory.path().join("data");
        Self::start_with(directory, "overlay2", &data).await
    }

    /// With the engine's files in `data`, kept by this storage driver.
    pub async fn start_with(directory: TempDir, driver: &str, data: &Path) -> Self {
        let at = |name: &str| directory.path().join(name);
        let turn = TURN.acquire().await.unwrap();
        let daemon = dockerd(directory.path(), driver, data).await;
        let sockets = tempfile::tempdir().unwrap();
        let launch = sockets.path().join("launch.toml");
        fs::write(&launch, "version = 1\n").unwrap();
        let mut config = Config::new(HostTransport::Unix(sockets.path().into()), launch);
        config.docker = Some(at("docker.sock"));
        config.docker_agent = Some(AGENT);
        let shim = HostShim::start(config).await.unwrap();
        Self {
            _turn: turn,
            daemon,
            killed: false,
            driver: driver.to_owned(),
            data: data.into(),
            _shim: shim,
            sockets,
            directory,
        }
    }

    /// Ends the engine as a crash does.
    pub fn kill(&mut self) {
        self.killed = true;
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }

    /// Starts it again.
    pub async fn restart(&mut self) {
        self.daemon = dockerd(self.directory.path(), &self.driver, &self.data).await;
    }

    /// A node's backend: each knows only what the engine knows.
    pub fn backend(&self) -> DockerBackend {
        self.backend_with(agent())
    }

    pub fn backend_with(&self, program: Bytes) -> DockerBackend {
        let transport = GuestTransport::Unix(self.sockets.path().into());
        DockerBackend::new(transport, AGENT, program)
    }

    /// The engine itself, past the shim.
    pub fn docker(&self, arguments: &[&str]) -> Output {
        docker(&self.directory.path().join("docker.sock"), arguments)
    }

    pub fn must(&self, arguments: &[&str]) -> String {
        let output = self.docker(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Containers and networks that are there, however they are.
    pub fn left(&self) -> String {
        let containers = self.must(&["ps", "--all", "--format", "{{.Names}}"]);
        let networks = self.must(&[
            "network",
            "ls",
            "--filter",
            "type=custom",
            "--format",
            "{{.Name}}",
        ]);
        format!("{containers}{networks}")
    }

    /// Imports an image of these files; names in /bin that lead to busybox, if it is among them.
    pub fn import(&self, name: &str, busybox: bool, changes: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        if busybox {
            let bin = root.path().join("bin");
            fs::create_dir(&bin).unwrap();
            fs::copy("/bin/busybox", bin.join("busybox"))
                .expect("busybox is not installed (Debian package busybox-static)");
            for applet in ["sh", "cat", "sleep", "head", "echo", "dd", "ps", "yes"] {
                symlink("busybox", bin.join(applet)).unwrap();
            }
        }
        let tar = self.directory.path().join("image.tar");
        let packed = Command::new("tar")
            .arg("-C")
            .arg(root.path())
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status();
        assert!(packed.unwrap().success());
        let mut arguments = vec!["import"];
        for change in changes {
            arguments.extend(["--change", change]);
        }
        let tar = tar.display().to_string();
        arguments.extend([tar.as_str(), name]);
        self.must(&arguments);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let containers = self.docker(&["ps", "--all", "--quiet"]);
        for id in String::from_utf8_lossy(&containers.stdout).lines() {
            self.docker(&["rm", "--force", id]);
        }
        end(&mut self.daemon);
        if self.killed {
            // What the engine mounted over its own directory before it was killed.
            let _ = Command::new("umount").arg("--recursive").arg(&self.data).status();
        }
    }
}

/// Starts an engine, and waits until it answers. On a busy machine it gives up on its own `containerd` now and then.
async fn dockerd(directory: &Path, driver: &str, data: &Path) -> Child {
    let at = |name: &str| directory.join(name);
    let mut last = String::new();
    for _ in 0..3 {
        let log = fs::File::create(at("log")).unwrap();
        let mut daemon = Command::new("dockerd")
            .args(["--storage-driver", driver, "--bridge", "none"])
            // Daemons that start at the same time would trip over each other's chains.
            .arg("--iptables=false")
            .arg("--host")
            .arg(format!("unix://{}", at("docker.sock").display()))
            .arg("--data-root")
            .arg(data)
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd is not installed (Debian package docker.io)");
        let start = Instant::now();
        while start.elapsed() < PATIENCE && daemon.try_wait().unwrap().is_none() {
            if docker(&at("docker.sock"), &["version"]).status.success() {
                return daemon;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        end(&mut daemon);
        last = fs::read_to_string(at("log")).unwrap_or_default();
    }
    panic!(
        "dockerd doesn't start: {}",
        last.lines().last().unwrap_or_default()
    );
}

/// Asks a child to end, and waits for it.
fn end(daemon: &mut Child) {
    if daemon.try_wait().unwrap().is_none() {
        // SAFETY: sends a signal to a child that has not been waited for.
        unsafe { libc::kill(daemon.id() as libc::pid_t, libc::SIGTERM) };
        daemon.wait().unwrap();
    }
}

/// The real command line at a socket.
fn docker(socket: &Path, arguments: &[&str]) -> Output {
    Command::new("docker")
        .arg("--host")
        .arg(format!("unix://{}", socket.display()))
        .args(arguments)
        .env("DOCKER_API_VERSION", "1.41")
        .stdin(Stdio::null())
        .output()
        .expect("docker is not installed (Debian package docker.io)")
}

/// A registry on loopback, which ends with this.
pub struct Registry {
    child: Child,
    pub address: String,
    _directory: TempDir,
}

impl Registry {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Free a moment ago.
        let address = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let config = directory.path().join("config.yml");
        let root = directory.path().join("data");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n",
            root.display()
        );
        fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is not installed (Debian package docker-registry)");
        let start = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert!(start.elapsed() < PATIENCE, "the registry doesn't start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self {
            child,
            address: address.to_string(),
            _directory: directory,
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rental agent, linked as the image links it.
pub fn agent() -> Bytes {
    static AGENT: OnceLock<Bytes> = OnceLock::new();
    AGENT.get_or_init(build_agent).clone()
}

fn build_agent() -> Bytes {
    // `target`, of which this test is `target/PROFILE/deps/NAME`.
    let test = std::env::current_exe().unwrap();
    let target: PathBuf = test.ancestors().nth(3).unwrap().into();
    let built = Command::new(env!("CARGO"))
        .args(["rustc", "--quiet", "--locked", "--package", "jeju-rental-agent"])
        .args(["--bin", "jeju-rental-agent", "--target", TARGET, "--target-dir"])
        .arg(&target)
        .args([
            "--",
            "-Ctarget-feature=+crt-static",
            "-Crelocation-model=static",
            "-Cstrip=symbols",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success(), "the agent can't be built");
    fs::read(target.join(TARGET).join("debug/jeju-rental-agent"))
        .unwrap()
        .into()
}
