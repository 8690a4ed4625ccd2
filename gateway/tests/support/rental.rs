//! OpenSSH's server as the SSH server of a rental: the user is the rental, and who logs in has a certificate by the renter's key.
//! Behind it a web server, which isn't reached otherwise than any other port of this machine.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

use super::free_ports;

/// A rental. Needs the right to make a mount namespace, in which `/etc/passwd` has a user of the rental's name.
pub struct Rental {
    folder: tempfile::TempDir,
    port: u16,
    sshd: Option<Child>,
}

/// Python's web server.
pub struct Web {
    child: Child,
    /// Of HTTP.
    pub port: u16,
    /// Of what says the digest of all that it hears.
    pub digest_port: u16,
}

/// What a certificate says.
pub struct Wanted {
    pub principal: String,
    /// As `ssh-keygen -V` takes it.
    pub time: &'static str,
    /// Which key signs.
    pub by: &'static str,
}

impl Rental {
    pub async fn start(user: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["host", "other_host", "renter", "stranger"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
                .arg(folder.path().join(name))
                .status();
            assert!(made.expect("ssh-keygen of OpenSSH").success());
        }
        let path = folder.path().display();
        let port = *free_ports(1).await.start();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {path}/host\nTrustedUserCAKeys {path}/renter.pub\n\
             AuthorizedKeysFile none\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin yes\nLogLevel VERBOSE\nMaxSessions 64\nMaxStartups 64\n",
        );
        fs::write(folder.path().join("config"), config).unwrap();
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let users = format!("{users}\n{user}:x:0:0::/:/bin/sh\n");
        fs::write(folder.path().join("passwd"), users).unwrap();
        let mut this = Self {
            folder,
            port,
            sshd: None,
        };
        this.serve().await;
        this
    }

    /// Starts the server, which wasn't there.
    pub async fn serve(&mut self) {
        let _ = fs::create_dir_all("/run/sshd");
        let log = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path("log"));
        let script = "mount --bind \"$1/passwd\" /etc/passwd && exec /usr/sbin/sshd -D -e -f \"$1/config\"";
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stderr(log.unwrap())
            .spawn()
            .expect("unshare, and sshd of OpenSSH");
        self.sshd = Some(child);
        let ready = async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ready)
            .await
            .unwrap_or_else(|_| panic!("{}", self.log()));
    }

    /// Kills the server, and each connection with it.
    pub fn kill(&mut self) {
        let Some(mut sshd) = self.sshd.take() else {
            return;
        };
        for connection in descendants(sshd.id()) {
            let _ = Command::new("kill")
                .args(["-9", &connection.to_string()])
                .stderr(Stdio::null())
                .status();
        }
        let _ = sshd.kill();
        let _ = sshd.wait();
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The line of a public key.
    pub fn public(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap()
    }

    /// A certificate for a key of a gateway's.
    pub fn certificate(&self, key: &str, wanted: &Wanted) -> String {
        fs::write(self.path("route.pub"), key).unwrap();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-I", "route", "-n", &wanted.principal, "-V", wanted.time])
            .args(["-O", "clear", "-O", "permit-port-forwarding", "-s"])
            .arg(self.path(wanted.by))
            .arg(self.path("route.pub"))
            .status();
        assert!(made.unwrap().success());
        self.public("route-cert")
    }

    /// Logins that passed.
    pub fn logins(&self) -> usize {
        let log = self.log();
        log.matches("Accepted publickey for").count()
    }

    /// Processes of the server's that serve connections now.
    pub fn serving(&self) -> usize {
        self.sshd.as_ref().map_or(0, |sshd| descendants(sshd.id()).len())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Rental {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Processes below one.
fn descendants(of: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|text| text.parse().ok());
    children
        .flat_map(|child| [vec![child], descendants(child)].concat())
        .collect()
}

impl Web {
    pub fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/web.py");
        let mut child = Command::new("python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let ports: Vec<u16> = line
            .split_whitespace()
            .map(|port| port.parse().unwrap())
            .collect();
        Self {
            child,
            port: ports[0],
            digest_port: ports[1],
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
