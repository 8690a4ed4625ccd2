//! Where one logs in: a host and a port, as OpenSSH is given them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::SshError;

/// A host name or address, and a port. The host is never what OpenSSH would take for an option, a user or a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    host: String,
    port: u16,
}

impl Place {
    /// Checks a host, IPv6 without brackets, and a port.
    ///
    /// # Errors
    /// [`SshError::Place`].
    pub fn new(host: &str, port: u16) -> Result<Self, SshError> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let name = || host.len() <= 253 && host.trim_end_matches('.').split('.').all(label);
        match port != 0 && (host.parse::<IpAddr>().is_ok() || name()) {
            true => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            false => Err(SshError::Place(
                format!("{host}:{port}").chars().take(300).collect(),
            )),
        }
    }

    /// The host, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Place {
    type Err = SshError;

    fn from_str(text: &str) -> Result<Self, SshError> {
        let refused = || SshError::Place(text.chars().take(300).collect());
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let port = port.parse().map_err(|_| refused())?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // Without brackets the last part of an IPv6 address would pass for a port.
        if bare.is_none() && host.contains(':') {
            return Err(refused());
        }
        Self::new(bare.unwrap_or(host), port)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_hosts_and_nothing_that_ssh_would_read_otherwise() {
        for text in ["node.example:2222", "127.0.0.1:22", "[::1]:2222", "a_b:1"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "node.example",
            "node.example:0",
            "node.example:99999",
            ":22",
            "::1:22",
            "-oProxyCommand=x:22",
            "root@node:22",
            "ssh://node:22",
            "a b:22",
            "a..b:22",
            "%h:22",
        ] {
            assert_eq!(
                bad.parse::<Place>().unwrap_err().code(),
                "ssh_address_invalid",
                "{bad}"
            );
        }
    }
}
