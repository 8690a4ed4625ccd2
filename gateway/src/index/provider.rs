//! A provider, and where its API is.

use std::sync::OnceLock;

use jeju_chain::{Capability, ProviderRecord};

/// A provider and what it offers.
#[derive(Debug)]
pub struct Provider {
    /// Its record.
    pub record: ProviderRecord,
    /// Models that it offers or offered.
    pub capabilities: Vec<Capability>,
    /// Where its API is, where the record names a place that can be dialled.
    pub endpoint: Option<Endpoint>,
    /// What lists say of the record, made when it is asked for first.
    listed: OnceLock<Box<[u8]>>,
}

/// Where a provider's API is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name in lower case, or address; an IPv6 address without brackets.
    pub host: String,
    /// Port of the node's API.
    pub port: u16,
}

impl Provider {
    /// Reads what the record says about the endpoint.
    pub fn new(record: ProviderRecord, capabilities: Vec<Capability>) -> Self {
        let endpoint = record.endpoint.as_str().and_then(Endpoint::parse);
        Self {
            record,
            capabilities,
            endpoint,
            listed: OnceLock::new(),
        }
    }

    /// What lists say of the record, as `write` writes it. It is kept: a page has a thousand of them.
    pub(crate) fn listed(&self, write: impl FnOnce(&ProviderRecord) -> Vec<u8>) -> &[u8] {
        self.listed.get_or_init(|| write(&self.record).into())
    }

    /// Whether the model is offered now.
    pub fn offers(&self, model: &str) -> bool {
        let named = |capability: &Capability| capability.active && capability.model.as_str() == Some(model);
        self.record.active && self.capabilities.iter().any(named)
    }
}

impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        (&self.record, &self.capabilities) == (&other.record, &other.capabilities)
    }
}

impl Eq for Provider {}

impl Endpoint {
    /// Of an `https` URL. Anything may stand on chain: what has a user, or a host that is none, is no endpoint.
    pub fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("https://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                let host = host.parse::<std::net::Ipv6Addr>().ok()?.to_string();
                (host, port)
            }
            None => {
                let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
                (is_host(host).then(|| host.to_ascii_lowercase())?, port)
            }
        };
        let port = match port {
            "" => 443,
            port => port
                .strip_prefix(':')
                .filter(|port| port.bytes().all(|b| b.is_ascii_digit()))?
                .parse()
                .ok()?,
        };
        (port != 0).then_some(Self { host, port })
    }
}

/// Whether this can be a name of a host, in ASCII.
pub(crate) fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_hosts_and_ports_of_https() {
        let parse = |url: &str| Endpoint::parse(url).map(|endpoint| (endpoint.host, endpoint.port));
        let is = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(
            parse("https://Node.Example:4007/v1?x#y"),
            is("node.example", 4007)
        );
        assert_eq!(parse("https://node.example"), is("node.example", 443));
        assert_eq!(parse("https://[2001:DB8::1]:4007"), is("2001:db8::1", 4007));
        assert_eq!(parse("https://192.0.2.1"), is("192.0.2.1", 443));
        for wrong in [
            "http://node.example",
            "https://",
            "https://user@node.example",
            "https://node.example:0",
            "https://node.example:99999",
            "https://node.example:+80",
            "https://node.example:",
            "https://node..example",
            "https://-a.example",
            "https://a b.example",
            "https://[::1",
            "https://[::1]x:1",
            "https://é.example",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
