//! A Docker engine of its own for each test, and containers as the node makes them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::{Running, start_by};

/// The agent as it goes into containers: static, and as small as promised.
pub fn static_agent() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = workspace.join("target/agent");
        let built = Command::new(env!("CARGO"))
            .current_dir(&workspace)
            .args([
                "build",
                "--quiet",
                "--locked",
                "-p",
                "jeju-rental-agent",
                "--profile",
                "image",
            ])
            .args(["--target", "x86_64-unknown-linux-gnu", "--target-dir"])
            .arg(&target)
            .env(
                "RUSTFLAGS",
                "-C target-feature=+crt-static -C relocation-model=static",
            )
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the static agent can't be built");
        target.join("x86_64-unknown-linux-gnu/image/jeju-rental-agent")
    })
}

/// A Docker engine, which ends with this.
pub struct Engine {
    folder: TempDir,
    daemon: Child,
}

impl Engine {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("jra").tempdir_in("/tmp").unwrap();
        let daemon = Self::daemon(folder.path());
        let mut engine = Engine { folder, daemon };
        let mut tries = 1;
        for _ in 0..1800 {
            if engine.docker(&["version"]).status.success() {
                return engine;
            }
            // It gives up on its own containerd now and then where a machine is busy.
            if tries < 3 && engine.daemon.try_wait().unwrap().is_some() {
                engine.daemon = Self::daemon(engine.folder.path());
                tries += 1;
            }
            sleep(Duration::from_millis(100));
        }
        panic!(
            "{}",
            std::fs::read_to_string(engine.folder.path().join("log")).unwrap()
        );
    }

    fn daemon(folder: &Path) -> Child {
        let path = |name: &str| folder.join(name);
        let log = std::fs::File::create(path("log")).unwrap();
        Command::new("dockerd")
            .args([
                "--storage-driver",
                "overlay2",
                "--bridge=none",
                "--iptables=false",
            ])
            .arg("-H")
            .arg(format!("unix://{}", path("docker.sock").display()))
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd (Debian's docker.io) is installed")
    }

    fn command(&self) -> Command {
        let mut command = Command::new("docker");
        let socket = self.folder.path().join("docker.sock");
        command.arg("-H").arg(format!("unix://{}", socket.display()));
        command
    }

    fn docker(&self, arguments: &[&str]) -> Output {
        self.command()
            .args(arguments)
            .output()
            .expect("docker is installed")
    }

    /// What docker says to a command that succeeds.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.docker(arguments);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "docker {arguments:?}: {said}");
        said
    }

    fn fed(&self, arguments: &[&str], input: &[u8]) {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        assert!(child.wait().unwrap().success(), "docker {arguments:?}");
    }

    /// An image of a folder.
    pub fn image(&self, name: &str, root: &Path) {
        self.fed(&["import", "-", name], &tar(root));
    }

    /// A container as the node makes it: the agent goes in by the archive call, and the image's command behind it.
    pub fn container(
        &self,
        name: &str,
        image: &str,
        options: &[&str],
        script: Option<&str>,
        command: &[&str],
    ) {
        let entrypoint = ["--entrypoint", "/.jeju/agent", image, "init", "--"];
        let create = ["create", "--name", name, "--network=none"];
        self.done(&[&create, options, &entrypoint, command].concat());
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join(".jeju");
        std::fs::create_dir_all(own.join("state")).unwrap();
        std::fs::copy(static_agent(), own.join("agent")).unwrap();
        if let Some(script) = script {
            std::fs::write(own.join("script"), script).unwrap();
            mode(&own.join("script"), 0o755);
        }
        // The image's user may be anybody.
        mode(&own.join("state"), 0o777);
        self.fed(&["cp", "-", &format!("{name}:/")], &tar(folder.path()));
        self.done(&["start", name]);
    }

    /// One connection to a container, as the node makes it.
    pub fn connect(&self, name: &str) -> Running {
        let mut command = self.command();
        command.args(["exec", "-i", name, "/.jeju/agent", "serve"]);
        start_by(command.into())
    }

    pub fn is_running(&self, name: &str) -> bool {
        self.done(&["inspect", "-f", "{{.State.Running}}", name]).trim() == "true"
    }

    pub fn exit_code(&self, name: &str) -> String {
        self.done(&["inspect", "-f", "{{.State.ExitCode}}", name])
            .trim()
            .to_owned()
    }

    /// Waits until the container's log has `wanted` in it.
    pub fn logged(&self, name: &str, wanted: &str) -> String {
        let mut log = String::new();
        for _ in 0..600 {
            log = self.done(&["logs", name]);
            if log.contains(wanted) {
                return log;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("{wanted:?} isn't in {log:?}");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let all = self.docker(&["ps", "-aq"]);
        for container in String::from_utf8_lossy(&all.stdout).split_whitespace() {
            self.docker(&["rm", "-fv", container]);
        }
        // SAFETY: kill touches no memory; the process is a child that wasn't waited for.
        unsafe { libc::kill(self.daemon.id() as i32, libc::SIGTERM) };
        let _ = self.daemon.wait();
    }
}

fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn tar(root: &Path) -> Vec<u8> {
    let output = Command::new("tar")
        .args(["--owner=0", "--group=0", "-c", "-C"])
        .arg(root)
        .arg(".")
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}
