//! OpenSSH's server as a rental, and ports.

pub mod rental;

use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// Ports beside each other that were free a moment ago, below those that systems give away. Tests run in processes of their own
/// at the same time: each begins elsewhere.
pub async fn free_ports(count: u16) -> RangeInclusive<u16> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let place = std::process::id()
            .wrapping_mul(64)
            .wrapping_add(TAKEN.fetch_add(count.into(), Relaxed));
        let first = 10_000 + (place % 22_000) as u16;
        let last = first + count - 1;
        let mut are_free = true;
        for port in first..=last {
            are_free &= TcpListener::bind(("127.0.0.1", port)).await.is_ok();
        }
        if are_free {
            return first..=last;
        }
    }
}

/// A server with one user key, which runs as who runs the tests.
pub struct Sshd {
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Sshd {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
                .arg(folder.path().join(name))
                .status();
            assert!(made.expect("ssh-keygen of OpenSSH").success());
        }
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        fs::write(folder.path().join("authorized"), text("user.pub")).unwrap();
        fs::write(
            folder.path().join("known"),
            format!("rental {}", text("host.pub")),
        )
        .unwrap();
        let port = *free_ports(1).await.start();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n",
            folder.path().display(),
        );
        fs::write(folder.path().join("config"), config).unwrap();
        // What it separates privileges in, where the system didn't make it.
        let _ = fs::create_dir_all("/run/sshd");
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(folder.path().join("config"))
            .stdin(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .expect("sshd of OpenSSH");
        let this = Self { folder, port, child };
        let ready = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ready)
            .await
            .unwrap_or_else(|_| panic!("{}", fs::read_to_string(this.folder.path().join("log")).unwrap()));
        this
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn user_key(&self) -> PathBuf {
        self.folder.path().join("user")
    }

    /// Its host key, under the name `rental`.
    pub fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known")
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
