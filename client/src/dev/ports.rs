//! The ports of a development network, and who holds one that isn't free.

use std::collections::HashSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use super::DevError;

const VARIABLE: &str = "JEJU_PORT_BASE";
/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// All on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) proxy: u16,
    pub(super) node: u16,
    pub(super) chain: u16,
}

impl Ports {
    /// The usual ones, or three from `JEJU_PORT_BASE` on.
    pub(super) fn from_environment() -> Result<Self, DevError> {
        match std::env::var(VARIABLE) {
            Ok(base) => Self::from_base(&base),
            Err(_) => Ok(Self {
                proxy: 4008,
                node: 4007,
                chain: 8545,
            }),
        }
    }

    fn from_base(base: &str) -> Result<Self, DevError> {
        match base.parse() {
            Ok(port @ 1024..=65533) => Ok(Self {
                proxy: port,
                node: port + 1,
                chain: port + 2,
            }),
            _ => Err(DevError::PortBase(base.to_owned())),
        }
    }

    pub(super) fn proxy_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.proxy).into()
    }

    /// Refuses before anything is started if a port is taken.
    pub(super) fn check(&self) -> Result<(), DevError> {
        check(&[
            (self.proxy, "proxy"),
            (self.node, "node"),
            (self.chain, "local chain"),
        ])
    }
}

/// Refuses if one of these is taken.
pub(super) fn check(ports: &[(u16, &'static str)]) -> Result<(), DevError> {
    let taken = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err();
    match ports.iter().find(|(port, _)| taken(*port)) {
        None => Ok(()),
        Some((port, purpose)) => Err(DevError::PortInUse {
            port: *port,
            purpose,
            holder: holder(*port),
        }),
    }
}

/// The port from which `JEJU_PORT_BASE` counts, if it is set.
pub(super) fn base() -> Result<Option<u16>, DevError> {
    match std::env::var(VARIABLE) {
        Ok(base) => Ports::from_base(&base).map(|ports| Some(ports.proxy)),
        Err(_) => Ok(None),
    }
}

fn holder(port: u16) -> String {
    let inodes: HashSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let Ok(processes) = fs::read_dir("/proc") else {
        return "another process".to_owned();
    };
    processes
        .flatten()
        .map(|process| process.path())
        .filter(|process| pid(process).bytes().all(|digit| digit.is_ascii_digit()))
        .find(|process| holds(process, &inodes))
        .map_or_else(
            || "a process of another user".to_owned(),
            |process| name(&process),
        )
}

/// Inodes of sockets that listen on the port, from a table of the kernel.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            let found = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
            (found == port && *state == LISTEN).then(|| (*inode).to_owned())
        })
        .collect()
}

fn holds(process: &Path, inodes: &HashSet<String>) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    descriptors
        .flatten()
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|target| target.to_str().is_some_and(|target| inodes.contains(target)))
}

fn name(process: &Path) -> String {
    let command = fs::read_to_string(process.join("comm")).unwrap_or_default();
    format!("{} (pid {})", command.trim(), pid(process))
}

fn pid(process: &Path) -> &str {
    process
        .file_name()
        .and_then(|pid| pid.to_str())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_moves_all() {
        let ports = Ports::from_base("5000").unwrap();
        assert_eq!((ports.proxy, ports.node, ports.chain), (5000, 5001, 5002));
        for bad in ["", "80", "65534", "x", "-1"] {
            assert!(
                matches!(Ports::from_base(bad), Err(DevError::PortBase(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_holder_of_a_port_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let named = holder(port);
        assert!(
            named.ends_with(&format!("(pid {})", std::process::id())),
            "{named}"
        );
        let ports = Ports {
            proxy: port,
            node: 0,
            chain: 0,
        };
        assert!(matches!(
            ports.check(),
            Err(DevError::PortInUse { purpose: "proxy", .. })
        ));
    }

    #[test]
    fn kernel_tables() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \u{20}  0: 0100007F:0FA8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1\n\
            \u{20}  1: 0100007F:0FA8 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 777 1\n\
            garbage\n";
        assert_eq!(listening_inodes(table, 4008), ["12345"]);
        assert!(listening_inodes(table, 4009).is_empty());
    }
}
