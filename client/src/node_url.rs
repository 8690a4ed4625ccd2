//! Where a node is: `https://[0x…@]host[:port]`, with the provider's account where one is named.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use jeju_attestation::hex_bytes::HexBytes;
use rustls::pki_types::ServerName;

use crate::error::Error;
use crate::trust::address;

const DEFAULT_PORT: u16 = 443;

/// A node's address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeUrl {
    authority: String,
    server_name: ServerName<'static>,
    account: Option<[u8; 20]>,
}

impl NodeUrl {
    /// `host:port`, with IPv6 addresses in brackets.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The name that the certificate must carry.
    pub fn server_name(&self) -> ServerName<'static> {
        self.server_name.clone()
    }

    /// The provider's account, by which gateways find a node whose endpoint is an address. Proves nothing.
    pub fn account(&self) -> Option<[u8; 20]> {
        self.account
    }

    /// The same of this provider.
    pub fn of(self, account: [u8; 20]) -> Self {
        Self {
            account: Some(account),
            ..self
        }
    }
}

impl FromStr for NodeUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| Error::NodeUrl(text.chars().take(200).collect()))
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.account {
            Some(account) => write!(f, "https://{}@{}", HexBytes(account), self.authority),
            None => write!(f, "https://{}", self.authority),
        }
    }
}

fn parse(text: &str) -> Option<NodeUrl> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if uri.scheme_str() != Some("https") || path != "/" {
        return None;
    }
    let (account, place) = match authority.as_str().rsplit_once('@') {
        Some((account, place)) => (Some(address(account).ok()?.0), place),
        None => (None, authority.as_str()),
    };
    let host = authority.host();
    let port = match place.strip_prefix(host)? {
        "" => DEFAULT_PORT,
        _ => authority.port_u16()?,
    };
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(NodeUrl {
        authority: format!("{host}:{port}"),
        server_name: ServerName::try_from(name).ok()?,
        account,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_addresses_apart() {
        for (text, authority) in [
            ("https://localhost:4007", "localhost:4007"),
            ("https://127.0.0.1:4007/", "127.0.0.1:4007"),
            ("https://node.example", "node.example:443"),
            ("https://[::1]:4007", "[::1]:4007"),
        ] {
            let url: NodeUrl = text.parse().unwrap();
            assert_eq!(url.authority(), authority);
            assert_eq!(url.to_string(), format!("https://{authority}"));
        }
    }

    #[test]
    fn a_provider_may_be_named() {
        let account = format!("0x{}", "Ab".repeat(20));
        for (place, authority) in [("node.example", "node.example:443"), ("[::1]:1", "[::1]:1")] {
            let url: NodeUrl = format!("https://{account}@{place}").parse().unwrap();
            assert_eq!((url.authority(), url.account()), (authority, Some([0xab; 20])));
            assert_eq!(url.to_string().parse::<NodeUrl>().unwrap(), url);
        }
        for other in ["0xab", "user", &account[2..], &format!("{account}:password"), ""] {
            assert!(
                format!("https://{other}@node.example")
                    .parse::<NodeUrl>()
                    .is_err(),
                "{other}"
            );
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "localhost:4007",
            "http://localhost:4007",
            "https://localhost:4007/v1",
            "https://a@localhost",
            "https://localhost:port",
            "https://localhost:99999",
            "https://",
        ] {
            assert!(
                matches!(text.parse::<NodeUrl>(), Err(Error::NodeUrl(_))),
                "{text}"
            );
        }
    }
}
