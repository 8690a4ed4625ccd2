//! A real engine (Debian's `docker.io`), its real command line, and a real registry.

mod bandwidth;
mod command_line;
mod images;
mod life;
mod owners;
mod program;

use std::process::{Child, Output, Stdio};

use super::*;
use jeju_shim_protocol::docker::CAPABILITIES;
use jeju_shim_protocol::docker::answer::{
    Container, Created, Exec, Image, Info, ListedContainer, ListedNetwork, PullProgress, Stats, read,
};
use jeju_shim_protocol::docker::frame::{self, HEAD};

/// A `dockerd` of its own, which ends with this.
struct Engine {
    dir: TempDir,
    daemon: Child,
}

impl Engine {
    async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("jd").tempdir_in("/tmp").unwrap();
        let daemon = Self::daemon(dir.path());
        let mut engine = Self { dir, daemon };
        let start = Instant::now();
        let mut tries = 1;
        while !engine.docker(&["version"]).status.success() {
            let ended = engine.daemon.try_wait().unwrap().is_some();
            // It gives up on its own containerd now and then where a machine is busy.
            if ended && tries < 3 {
                engine.daemon = Self::daemon(engine.dir.path());
                tries += 1;
            } else if ended || start.elapsed() > 4 * PATIENCE {
                let log = std::fs::read_to_string(engine.dir.path().join("log")).unwrap_or_default();
                panic!(
                    "dockerd doesn't start: {}",
                    log.lines().last().unwrap_or_default()
                );
            }
            sleep(Duration::from_millis(100)).await;
        }
        engine
    }

    fn daemon(dir: &Path) -> Child {
        let at = |name: &str| dir.join(name).display().to_string();
        let log = std::fs::File::create(at("log")).unwrap();
        Command::new("dockerd")
            .args([
                "--storage-driver",
                "overlay2",
                "--bridge",
                "none",
                // Daemons that start at the same time would trip over each other's chains.
                "--iptables=false",
                "--host",
                &format!("unix://{}", at("docker.sock")),
            ])
            .args([
                "--data-root",
                &at("data"),
                "--exec-root",
                &at("exec"),
                "--pidfile",
                &at("pid"),
            ])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd is not installed (Debian package docker.io)")
    }

    fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// The engine itself, past the filter.
    fn docker(&self, arguments: &[&str]) -> Output {
        docker(&self.socket(), arguments)
    }

    fn must(&self, arguments: &[&str]) -> String {
        let output = self.docker(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// An image with busybox as its shell.
    fn import_busybox(&self, name: &str, changes: &[&str]) {
        let root = self.dir.path().join("busybox");
        let bin = root.join("bin");
        if !bin.exists() {
            std::fs::create_dir_all(&bin).unwrap();
            std::fs::copy("/bin/busybox", bin.join("busybox"))
                .expect("busybox is not installed (Debian package busybox-static)");
            for applet in ["sh", "cat", "sleep", "yes", "head", "echo", "dd", "wc"] {
                std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
            }
        }
        let tar = self.dir.path().join("busybox.tar");
        let packed = Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status();
        assert!(packed.unwrap().success());
        let mut arguments = vec!["import"];
        for change in changes {
            arguments.extend(["--change", change]);
        }
        arguments.extend([tar.to_str().unwrap(), name]);
        self.must(&arguments);
    }

    async fn rig(&self) -> Rig {
        Rig::new(|config| config.docker = Some(self.socket())).await
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: sends a signal to the child above, which has not been waited for. It ends its containers then.
        unsafe { libc::kill(self.daemon.id() as libc::pid_t, libc::SIGTERM) };
        let _ = self.daemon.wait();
        // A daemon that had too little time leaves mounts, under which nothing can be removed.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|at| Path::new(at).starts_with(self.dir.path()));
        for at in below {
            let _ = Command::new("umount").args(["--lazy", at]).status();
        }
    }
}

/// The real command line at a socket, without negotiating the version.
fn docker(socket: &Path, arguments: &[&str]) -> Output {
    Command::new("docker")
        .arg("--host")
        .arg(format!("unix://{}", socket.display()))
        .args(arguments)
        .env("DOCKER_API_VERSION", "1.41")
        .env("DOCKER_BUILDKIT", "0")
        .stdin(Stdio::null())
        .output()
        .expect("docker is not installed (Debian package docker.io)")
}

/// In place of the agent: what it does, with a shell. As the first process it reaps what others leave behind.
const AGENT_SCRIPT: &[u8] =
    b"#!/bin/sh\ncase $1 in\ninit) shift 2; echo started as $$; \"$@\" & while true; do wait; sleep 1; done;;\nserve) exec cat;;\nesac\n";

fn agent_archive() -> Vec<u8> {
    let entry = |path, mode, content| archive::Entry { path, mode, content };
    archive::encode(&[
        entry(".jeju", 0o755, None),
        entry(".jeju/state", 0o700, None),
        entry(".jeju/agent", 0o755, Some(AGENT_SCRIPT)),
    ])
    .unwrap()
}

/// Expects a status, and gives the body.
async fn expect(rig: &Rig, request: Request, archive: Option<Vec<u8>>, status: u16) -> Bytes {
    let (seen, body) = call(rig, &request, archive).await;
    assert_eq!(
        seen.as_u16(),
        status,
        "{request:?}: {}",
        String::from_utf8_lossy(&body)
    );
    body
}

/// Runs a command: exit code, output and errors. `input` goes in and ends.
async fn exec(rig: &Rig, spec: ExecSpec, input: Vec<u8>) -> (i64, Vec<u8>, Vec<u8>) {
    let created = expect(rig, Request::CreateExec { name: NAME, spec }, None, 201).await;
    let id = read::<Created>(&created).unwrap().id.parse().unwrap();
    let (_sender, response) = begin(rig, &Request::StartExec { id }, None).await;
    assert_eq!(response.status(), 101);
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    let (mut from, mut to) = split(TokioIo::new(upgraded));
    let sent = tokio::spawn(async move {
        to.write_all(&input).await.unwrap();
        to.shutdown().await.unwrap();
        to
    });
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut head = [0; HEAD];
    while soon(from.read_exact(&mut head)).await.is_ok() {
        let (output, length) = frame::parse_head(head).unwrap();
        let mut content = vec![0; length as usize];
        soon(from.read_exact(&mut content)).await.unwrap();
        match output {
            frame::Output::Stdout => stdout.extend(content),
            frame::Output::Stderr => stderr.extend(content),
        }
    }
    soon(sent).await.unwrap();
    let ended: Exec = read(&expect(rig, Request::InspectExec { id }, None, 200).await).unwrap();
    assert!(!ended.running);
    (ended.exit_code.unwrap(), stdout, stderr)
}

async fn shell(rig: &Rig, script: &str) -> (i64, String) {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).into();
    let (exit, stdout, _) = exec(
        rig,
        ExecSpec {
            command,
            stdin: false,
        },
        Vec::new(),
    )
    .await;
    (exit, String::from_utf8(stdout).unwrap())
}
