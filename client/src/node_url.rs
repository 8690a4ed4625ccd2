//! Where a node is: `https://host[:port]`.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use rustls::pki_types::ServerName;

use crate::error::Error;

const DEFAULT_PORT: u16 = 443;

/// A node's address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeUrl {
    authority: String,
    server_name: ServerName<'static>,
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
}

impl FromStr for NodeUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| Error::NodeUrl(text.chars().take(200).collect()))
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority)
    }
}

fn parse(text: &str) -> Option<NodeUrl> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if uri.scheme_str() != Some("https") || path != "/" || authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host();
    let port = match authority.as_str().strip_prefix(host)? {
        "" => DEFAULT_PORT,
        _ => authority.port_u16()?,
    };
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(NodeUrl {
        authority: format!("{host}:{port}"),
        server_name: ServerName::try_from(name).ok()?,
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
