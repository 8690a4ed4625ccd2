//! What a login may do.

use std::str::FromStr;

/// Rights of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rights {
    /// Sessions: shells, commands, subsystems.
    pub(super) sessions: bool,
    /// Terminals for them.
    pub(super) terminals: bool,
    /// Connections to services.
    pub(super) dials: Dials,
}

/// Which services may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dials {
    /// All that the container reaches.
    All,
    /// These.
    Only(Vec<Service>),
}

/// A service, as a client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    host: String,
    port: u16,
}

impl Rights {
    /// Those of the renter.
    pub(super) const ALL: Self = Self {
        sessions: true,
        terminals: true,
        dials: Dials::All,
    };
    /// Those of a stranger.
    pub(super) const NONE: Self = Self {
        sessions: false,
        terminals: false,
        dials: Dials::NONE,
    };

    /// Whether a connection to this service may be opened. Names are compared as they are: `localhost` isn't `127.0.0.1`.
    pub(super) fn may_dial(&self, host: &str, port: u32) -> bool {
        match &self.dials {
            Dials::All => true,
            Dials::Only(services) => services
                .iter()
                .any(|service| service.host == host && u32::from(service.port) == port),
        }
    }
}

impl Dials {
    pub(super) const NONE: Self = Self::Only(Vec::new());
}

/// Not `HOST:PORT`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAService;

impl FromStr for Service {
    type Err = NotAService;

    /// `HOST:PORT` with a host's name or an IPv4 address, or `[ADDRESS]:PORT` with an IPv6 address. There are no patterns.
    fn from_str(text: &str) -> Result<Self, NotAService> {
        let (host, port) = text.rsplit_once(':').ok_or(NotAService)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let fits: fn(u8) -> bool = match bracketed {
            Some(_) => |byte| byte.is_ascii_hexdigit() || b":.".contains(&byte),
            None => |byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte),
        };
        let host = bracketed.unwrap_or(host);
        if host.is_empty() || !host.bytes().all(fits) || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotAService);
        }
        match port.parse() {
            Ok(port) if port != 0 => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(NotAService),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_a_host_and_a_port() {
        for (text, host, port) in [
            ("localhost:80", "localhost", 80),
            ("127.0.0.1:65535", "127.0.0.1", 65535),
            ("[::1]:1", "::1", 1),
            ("my_db.internal-1:5432", "my_db.internal-1", 5432),
        ] {
            let service: Service = text.parse().unwrap();
            assert_eq!((&*service.host, service.port), (host, port));
        }
        for text in [
            "",
            ":",
            "80",
            ":80",
            "[]:80",
            "localhost",
            "localhost:",
            "localhost:0",
            "localhost:65536",
            "localhost:+80",
            "localhost:-1",
            "localhost: 80",
            " localhost:80",
            "localhost:80 ",
            "localhost:http",
            "::1:80",
            "[::1:80",
            "[localhost]:80",
            "[fe80::1%eth0]:80",
            "*:80",
            "localhost:*",
            "a/b:80",
            "é:80",
        ] {
            assert_eq!(text.parse::<Service>(), Err(NotAService), "{text}");
        }
    }

    #[test]
    fn services_are_compared_as_they_are_named() {
        let only = |texts: &[&str]| Rights {
            dials: Dials::Only(texts.iter().map(|text| text.parse().unwrap()).collect()),
            ..Rights::NONE
        };
        let rights = only(&["localhost:80", "[::1]:81"]);
        assert!(rights.may_dial("localhost", 80) && rights.may_dial("::1", 81));
        for (host, port) in [
            ("localhost", 81),
            ("127.0.0.1", 80),
            ("LOCALHOST", 80),
            ("localhost.", 80),
            ("[::1]", 81),
            ("localhost", 65536 + 80),
            ("", 80),
        ] {
            assert!(!rights.may_dial(host, port), "{host} {port}");
            assert!(Rights::ALL.may_dial(host, port) && !Rights::NONE.may_dial(host, port));
        }
    }
}
