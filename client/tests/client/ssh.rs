//! `jeju ssh`, `ssh-known-hosts` and `ssh-config` with the real OpenSSH: its client, its tools, and its server with the node's host
//! key as the peer.
//!
//! Needs Debian's `openssh-client` and `openssh-server`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_client::ssh::host_key::HostKey;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::node::{Node, Signer};

const LIMIT: Duration = Duration::from_secs(60);
const RENTAL: &str = "0xabababababababababababababababababababababababababababababababab";
const OTHER_RENTAL: &str = "0xcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

async fn output(command: &mut Command) -> Output {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    tokio::time::timeout(LIMIT, running)
        .await
        .expect("in time")
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// OpenSSH's server, which serves one connection after the other and counts them.
struct Sshd {
    folder: TempDir,
    port: u16,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Sshd {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["host", "user"] {
            let made = output(
                Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                    .arg(path(name)),
            )
            .await;
            assert!(made.status.success(), "{}", said(&made));
        }
        fs::copy(path("user.pub"), path("authorized_keys")).unwrap();
        let config = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n",
            path("host").display(),
            path("authorized_keys").display()
        );
        fs::write(path("config"), config).unwrap();
        // Where the server leaves its rights when it runs as root; Debian's service makes it.
        // SAFETY: takes nothing and can't fail.
        if unsafe { libc::geteuid() } == 0 {
            fs::create_dir_all("/run/sshd").unwrap();
            fs::set_permissions("/run/sshd", fs::Permissions::from_mode(0o755)).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, config) = (connections.clone(), path("config"));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let stream = stream.into_std().unwrap();
                stream.set_nonblocking(false).unwrap();
                let out = stream.try_clone().unwrap();
                let server = Command::new("/usr/sbin/sshd")
                    .args(["-i", "-e", "-f"])
                    .arg(&config)
                    .stdin(Stdio::from(std::os::fd::OwnedFd::from(stream)))
                    .stdout(Stdio::from(std::os::fd::OwnedFd::from(out)))
                    .stderr(Stdio::null())
                    .kill_on_drop(true)
                    .spawn()
                    .expect("Debian's openssh-server is needed: scripts/setup.sh test");
                tokio::spawn(async move { server.wait_with_output().await });
            }
        });
        Self {
            folder,
            port,
            connections,
            task,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its host key, from the line that ssh-keygen wrote.
    fn host_key(&self) -> [u8; 32] {
        let line = fs::read_to_string(self.path("host.pub")).unwrap();
        let blob = STANDARD.decode(line.split(' ').nth(1).unwrap()).unwrap();
        let key = blob.last_chunk::<32>().unwrap();
        assert_eq!(HostKey(*key).blob(), blob, "as ssh-keygen writes it");
        *key
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A node, a policy for it, and how to call the client with both.
struct Setting {
    node: Node,
    folder: TempDir,
}

impl Setting {
    async fn new(key: Option<[u8; 32]>, port: u16) -> Self {
        let setting = Self {
            node: Node::start_renting(key, port, answers()).await,
            folder: tempfile::tempdir().unwrap(),
        };
        setting.write_policy(&setting.node.renting_policy());
        setting
    }

    fn write_policy(&self, policy: &str) {
        fs::write(self.policy(), policy).unwrap();
    }

    fn policy(&self) -> PathBuf {
        self.folder.path().join("policy.toml")
    }

    fn jeju(&self, command: &str) -> Command {
        let mut jeju = Command::new(env!("CARGO_BIN_EXE_jeju"));
        // Files of known hosts in a place of the test's own.
        jeju.env("XDG_RUNTIME_DIR", self.folder.path());
        jeju.args([command, "--node", &self.node.url(), "--development", "--policy"])
            .arg(self.policy());
        jeju
    }

    /// `jeju ssh`, then the user's own arguments.
    async fn ssh(&self, more: &[&str], arguments: &[&str]) -> Output {
        output(
            self.jeju("ssh")
                .args(more)
                .arg("--")
                .args(["-F", "/dev/null"])
                .args(arguments),
        )
        .await
    }
}

/// What the node says of rentals: one that runs, and one that is over.
fn answers() -> Signer {
    Box::new(|path, _| {
        let rental = |id: &str, status: &str| {
            json!({ "rentalId": id, "statusName": status, "state": "a state" }).to_string()
        };
        match path.strip_prefix("/v1/rentals/") {
            Some(RENTAL) => (200, rental(RENTAL, "active")),
            Some(OTHER_RENTAL) => (200, rental(OTHER_RENTAL, "completed")),
            _ => (404, r#"{"error":{"code":"rental_unknown"}}"#.to_owned()),
        }
    })
}

/// What OpenSSH says once it has accepted the host key and the server doesn't know the user.
const KEY_ACCEPTED: &str = "Permission denied";

#[tokio::test]
async fn the_key_of_the_evidence_passes_and_who_can_look_in_is_said_first() {
    let sshd = Sshd::start().await;
    let setting = Setting::new(Some(sshd.host_key()), sshd.port).await;
    for rental in [&[][..], &["--rental", RENTAL], &[RENTAL]] {
        let output = setting.ssh(rental, &["-o", "BatchMode=yes", "true"]).await;
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(255), "{stderr}");
        assert!(stderr.contains(KEY_ACCEPTED), "{stderr}");
        let lines: Vec<_> = stderr.lines().collect();
        assert!(
            lines[0].starts_with("[development] verified https://127.0.0.1:"),
            "{stderr}"
        );
        let isolation = lines
            .iter()
            .position(|line| line.contains("isolation   host: who runs the machine can read"));
        let denied = lines.iter().position(|line| line.contains(KEY_ACCEPTED));
        assert!(isolation.is_some() && isolation < denied, "{stderr}");
        let fingerprint = HostKey(sshd.host_key()).fingerprint();
        let shown = output_of("ssh-keygen", &["-lf", sshd.path("host.pub").to_str().unwrap()]).await;
        assert!(
            shown.contains(&fingerprint) && stderr.contains(&fingerprint),
            "{shown}\n{stderr}"
        );
    }
    assert_eq!(sshd.connections(), 3);
    // Each call removes what the one before left.
    let left = fs::read_dir(setting.folder.path().join("jeju-ssh"))
        .unwrap()
        .count();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn another_host_key_is_refused_by_openssh() {
    let sshd = Sshd::start().await;
    let setting = Setting::new(Some([0x66; 32]), sshd.port).await;
    let output = setting.ssh(&[], &["-o", "BatchMode=yes", "true"]).await;
    assert_eq!(output.status.code(), Some(255));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("Host key verification failed"), "{stderr}");
    assert!(!stderr.contains(KEY_ACCEPTED), "{stderr}");
}

#[tokio::test]
async fn a_node_that_is_not_accepted_is_refused_before_a_connection() {
    let sshd = Sshd::start().await;
    let setting = Setting::new(Some(sshd.host_key()), sshd.port).await;
    let policy = setting.node.renting_policy();
    let measurement = Node::measurement().to_string();
    for (policy, code, exit) in [
        (
            policy.replace(&measurement, &format!("0x{}", "22".repeat(32))),
            "measurement_unknown",
            2,
        ),
        (
            policy.replace("rentals = [\"host\"]\n", ""),
            "rental_isolation_not_accepted",
            2,
        ),
        (setting.node.policy(), "service_not_accepted", 2),
    ] {
        setting.write_policy(&policy);
        let ssh = setting.ssh(&[], &["true"]).await;
        let known_hosts = output(setting.jeju("ssh-known-hosts").arg("127.0.0.1")).await;
        let config = output(&mut setting.jeju("ssh-config")).await;
        for output in [ssh, known_hosts, config] {
            assert_eq!(output.status.code(), Some(exit), "{}", said(&output));
            assert!(
                output.stdout.is_empty() && text(&output.stderr).contains(code),
                "{}",
                said(&output)
            );
        }
    }
    // Of another machine: its silicon isn't the one that is trusted.
    let other = Setting::new(Some(sshd.host_key()), sshd.port).await;
    other.write_policy(&setting.node.renting_policy());
    assert_eq!(other.ssh(&[], &["true"]).await.status.code(), Some(3));
    assert_eq!(sshd.connections(), 0);
}

#[tokio::test]
async fn what_a_verified_node_does_not_have_is_named() {
    let without_key = Setting::new(None, 1).await;
    let refused = without_key.ssh(&[], &[]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("ssh_host_key_missing"),
        "{}",
        said(&refused)
    );

    let setting = Setting::new(Some([0x66; 32]), 1).await;
    let unknown = format!("0x{}", "11".repeat(32));
    for (rental, code) in [
        (
            OTHER_RENTAL,
            "completed (a state) on chain: one can log in to it while it is active (rental_not_active)",
        ),
        (&unknown, "rental_unknown"),
    ] {
        let refused = setting.ssh(&["--rental", rental], &[]).await;
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains(code), "{}", said(&refused));
    }
    let plain = Node::start(crate::node::Trick::Honest).await;
    let setting = Setting {
        folder: tempfile::tempdir().unwrap(),
        node: plain,
    };
    setting.write_policy(&setting.node.policy());
    let refused = setting.ssh(&[], &[]).await;
    assert!(
        text(&refused.stderr).contains("node_rents_nothing"),
        "{}",
        said(&refused)
    );
}

#[tokio::test]
async fn no_argument_of_the_user_weakens_the_check() {
    let setting = Setting::new(Some([0x66; 32]), 2222).await;
    let shown =
        |output: &Output| -> Vec<String> { text(&output.stdout).lines().map(str::to_owned).collect() };
    let plain = shown(&setting.ssh(&["--address", "ssh.example:2222"], &["-G"]).await);
    let has = |line: &str| assert!(plain.iter().any(|shown| shown == line), "{line}: {plain:#?}");
    for line in [
        "hostname ssh.example",
        "port 2222",
        "user newest",
        "stricthostkeychecking true",
        "globalknownhostsfile /dev/null",
        "hostkeyalgorithms ssh-ed25519",
        "hostkeyalias jeju-0808080808080808",
        "forwardagent no",
    ] {
        has(line);
    }
    // What `-o` says is too late, so that OpenSSH sees the same as without.
    let config = setting.folder.path().join("evil");
    let evil = "StrictHostKeyChecking no\nUserKnownHostsFile /evil\nKnownHostsCommand /bin/evil\nHostKeyAlias evil\n\
                ControlPath /tmp/evil\nForwardAgent yes\nVerifyHostKeyDNS yes\nNoHostAuthenticationForLocalhost yes\n";
    fs::write(&config, evil).unwrap();
    let mut options = vec![
        "--address",
        "ssh.example:2222",
        "--",
        "-F",
        config.to_str().unwrap(),
    ];
    let lines: Vec<_> = evil.lines().map(|line| line.replacen(' ', "=", 1)).collect();
    for line in &lines {
        options.extend(["-o", line]);
    }
    options.extend(["-p", "23", "-l", "root", "-G"]);
    let without_file = |lines: Vec<String>| -> Vec<String> {
        let own = |line: &String| !line.starts_with("userknownhostsfile ");
        lines.into_iter().filter(own).collect()
    };
    let output = output(setting.jeju("ssh").args(&options)).await;
    assert_eq!(
        without_file(shown(&output)),
        without_file(plain),
        "{}",
        said(&output)
    );

    // Letters and options that count nonetheless are refused.
    for (arguments, option) in [
        (&["-S", "/tmp/other"][..], "ControlPath"),
        (&["-vS/tmp/other"], "ControlPath"),
        (&["-M"], "ControlMaster"),
        (&["-A"], "ForwardAgent"),
        (&["-o", "GSSAPIKeyExchange=yes"], "gssapikeyexchange"),
    ] {
        let refused = setting.ssh(&["--address", "127.0.0.1:1"], arguments).await;
        assert_eq!(
            refused.status.code(),
            Some(1),
            "{arguments:?}: {}",
            said(&refused)
        );
        let stderr = text(&refused.stderr);
        assert!(
            stderr.contains("ssh_option_refused") && stderr.contains(option),
            "{arguments:?}: {stderr}"
        );
    }
    for arguments in [
        &["-V"][..],
        &["-Q", "key"],
        &["--no-such-option"],
        &["-o", "NoSuchOption=1"],
    ] {
        let refused = setting.ssh(&["--address", "127.0.0.1:1"], arguments).await;
        assert_eq!(
            refused.status.code(),
            Some(1),
            "{arguments:?}: {}",
            said(&refused)
        );
        assert!(
            text(&refused.stderr).contains("ssh_arguments_invalid"),
            "{arguments:?}"
        );
    }
}

#[tokio::test]
async fn known_hosts_lines_are_of_the_asked_host_only() {
    let sshd = Sshd::start().await;
    let setting = Setting::new(Some(sshd.host_key()), sshd.port).await;
    let file = setting.folder.path().join("known_hosts");
    for name in [
        "ssh.example",
        "[ssh.example]:2222",
        "[::1]:2222",
        "jeju-0808080808080808",
    ] {
        let line = output(setting.jeju("ssh-known-hosts").args(["--", name])).await;
        assert!(line.status.success(), "{}", said(&line));
        fs::write(&file, &line.stdout).unwrap();
        let find = |name: &str| {
            let name = name.to_owned();
            let file = file.to_str().unwrap().to_owned();
            async move { output_of("ssh-keygen", &["-F", &name, "-f", &file]).await }
        };
        let public = fs::read_to_string(sshd.path("host.pub")).unwrap();
        let found = find(name).await;
        assert!(found.contains(public.split(' ').nth(1).unwrap()), "{found}");
        assert_eq!(find("other.example").await, "");
    }
    for bad in ["*", "a,b", "!a", "a b"] {
        let refused = output(setting.jeju("ssh-known-hosts").args(["--", bad])).await;
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{bad}");
    }
}

/// Plain ssh with the section that `jeju ssh-config` prints: a login with a command, and none once the node measures to something
/// else, or has another key than the server.
#[tokio::test]
async fn plain_ssh_verifies_by_its_configuration() {
    let sshd = Sshd::start().await;
    let setting = Setting::new(Some(sshd.host_key()), sshd.port).await;
    let printed = output(setting.jeju("ssh-config").args(["--name", "mine", RENTAL])).await;
    assert!(printed.status.success(), "{}", said(&printed));
    let printed = text(&printed.stdout);
    let config = setting.folder.path().join("config");
    // The server is a machine's own, which knows its users by their names.
    let user = output_of("id", &["-un"]).await;
    let config_text = printed.replace("User 0xabababababababab", &format!("User {}", user.trim()));
    assert_ne!(config_text, printed);
    fs::write(&config, config_text).unwrap();
    let ssh = |config: &Path| {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(config).arg("-i").arg(sshd.path("user"));
        ssh.args(["-o", "BatchMode=yes", "mine", "echo $((6*7))"]);
        ssh
    };
    let passed = output(&mut ssh(&config)).await;
    assert_eq!(
        (passed.status.code(), text(&passed.stdout)),
        (Some(0), "42\n"),
        "{}",
        said(&passed)
    );
    let before = sshd.connections();

    setting.write_policy(&setting.node.renting_policy().replace(
        &Node::measurement().to_string(),
        &format!("0x{}", "22".repeat(32)),
    ));
    let refused = output(&mut ssh(&config)).await;
    assert_eq!(refused.status.code(), Some(255));
    let stderr = text(&refused.stderr);
    assert!(
        stderr.contains("measurement_unknown") && refused.stdout.is_empty(),
        "{stderr}"
    );
    assert_eq!(
        sshd.connections(),
        before + 1,
        "to learn the key that is refused then"
    );

    let impostor = Setting::new(Some([0x66; 32]), sshd.port).await;
    let printed = output(impostor.jeju("ssh-config").args(["--name", "mine"])).await;
    fs::write(&config, &printed.stdout).unwrap();
    let refused = output(&mut ssh(&config)).await;
    assert_eq!(refused.status.code(), Some(255));
    let stderr = text(&refused.stderr);
    assert!(stderr.contains("Host key verification failed"), "{stderr}");
}

/// A gateway's SSH proxy with one route, to a port of this machine. Returns the route.
async fn gateway(port: u16) -> String {
    const ID: &str = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let route = format!("{ID}@{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut line = [0; 50];
            client.read_exact(&mut line).await.unwrap();
            assert_eq!(line, format!("SSH-CONNECT {ID}\r\n").as_bytes());
            let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            client.write_all(b"SSH-OK\r\n").await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    route
}

/// Nothing listens where the node says that one logs in.
#[tokio::test]
async fn a_gateways_route_leads_to_the_rental_and_an_impostor_behind_it_is_refused() {
    let (sshd, impostor) = (Sshd::start().await, Sshd::start().await);
    let setting = Setting::new(Some(sshd.host_key()), 1).await;
    let route = gateway(sshd.port).await;
    let user = sshd.path("user").display().to_string();
    let me = output_of("id", &["-un"]).await;
    let login = format!("User={}", me.trim());
    let arguments = ["-o", "BatchMode=yes", "-i", &user, "-o", &login, "echo $((6*7))"];
    let direct = setting.ssh(&[], &arguments).await;
    assert!(
        text(&direct.stderr).contains("Connection refused"),
        "{}",
        said(&direct)
    );
    // The name of the rental is the user's, which this server doesn't know: it gets as far as that.
    let led = setting.ssh(&["--route", &route], &arguments).await;
    assert!(text(&led.stderr).contains(KEY_ACCEPTED), "{}", said(&led));
    let elsewhere = gateway(impostor.port).await;
    let refused = setting.ssh(&["--route", &elsewhere], &arguments).await;
    let stderr = text(&refused.stderr);
    assert!(
        stderr.contains("Host key verification failed") && !stderr.contains(KEY_ACCEPTED),
        "{stderr}"
    );

    let printed = setting
        .jeju("ssh-config")
        .args(["--name", "mine", "--route", &route, "--json"])
        .output()
        .await;
    let printed: Value = serde_json::from_slice(&printed.unwrap().stdout).unwrap();
    let config = printed["config"]
        .as_str()
        .unwrap()
        .replace("User newest", &format!("User {}", me.trim()));
    let file = setting.folder.path().join("config");
    fs::write(&file, config).unwrap();
    let file = file.to_str().unwrap();
    let said = output_of(
        "ssh",
        &[
            "-F",
            file,
            "-i",
            &user,
            "-o",
            "BatchMode=yes",
            "mine",
            "echo $((6*7))",
        ],
    )
    .await;
    assert_eq!((said.as_str(), &printed["name"]), ("42\n", &json!("mine")));
}

async fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = output(Command::new(program).args(arguments)).await;
    text(&output.stdout).to_owned()
}
