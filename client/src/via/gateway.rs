//! Where a gateway is, and which names it knows nodes by: `[DOMAIN@]HOST[:PORT]`.

use std::fmt;
use std::str::FromStr;

use http::uri::Authority;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Deserializer, de};

use crate::error::Error;
use crate::node_url::NodeUrl;

const DEFAULT_PORT: u16 = 443;

/// A gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    authority: String,
    /// Below which a provider's account is a name.
    domain: Option<String>,
}

impl Gateway {
    /// `host:port`, with IPv6 addresses in brackets.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The name by which the gateway knows a node: its own, or, for one whose endpoint is an address, which no server name
    /// can be, its provider's account below the gateway's domain.
    ///
    /// # Errors
    /// [`Error::NoGatewayName`] where it has none.
    pub fn server_name(&self, node: &NodeUrl) -> Result<ServerName<'static>, Error> {
        let name = node.server_name();
        if matches!(name, ServerName::DnsName(_)) {
            return Ok(name);
        }
        let named = || {
            let (account, domain) = (node.account()?, self.domain.as_deref()?);
            ServerName::try_from(format!("{}.{domain}", hex::encode(account))).ok()
        };
        named().ok_or_else(|| Error::NoGatewayName {
            node: node.to_string(),
            gateway: self.to_string(),
        })
    }
}

impl FromStr for Gateway {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| Error::Gateway(text.chars().take(200).collect()))
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.domain {
            Some(domain) => write!(f, "{domain}@{}", self.authority),
            None => f.write_str(&self.authority),
        }
    }
}

impl<'de> Deserialize<'de> for Gateway {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

fn parse(text: &str) -> Option<Gateway> {
    let (domain, authority) = match text.split_once('@') {
        Some((domain, authority)) => (Some(domain_name(domain)?), authority),
        None => (None, text),
    };
    let authority: Authority = authority.parse().ok()?;
    let host = authority.host();
    let port = match authority.as_str().strip_prefix(host)? {
        "" => DEFAULT_PORT,
        _ => authority.port_u16()?,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare).ok()?;
    Some(Gateway {
        authority: format!("{host}:{port}"),
        domain: domain.or_else(|| domain_name(host)),
    })
}

/// A name in lower case, if it is one and no address.
fn domain_name(text: &str) -> Option<String> {
    let name = text.to_ascii_lowercase();
    match ServerName::try_from(name.as_str()) {
        Ok(ServerName::DnsName(_)) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_gateways_apart() {
        for (text, authority, domain) in [
            ("gateway.example", "gateway.example:443", Some("gateway.example")),
            (
                "Gateway.example:4443",
                "Gateway.example:4443",
                Some("gateway.example"),
            ),
            ("203.0.113.7:1", "203.0.113.7:1", None),
            ("gw.example@203.0.113.7:1", "203.0.113.7:1", Some("gw.example")),
            ("[::1]:1", "[::1]:1", None),
        ] {
            let gateway: Gateway = text.parse().unwrap();
            assert_eq!(
                (gateway.authority(), gateway.domain.as_deref()),
                (authority, domain)
            );
        }
        for text in [
            "",
            "https://gateway.example",
            "a@b@c",
            "gateway:port",
            "gateway/path",
            "203.0.113.7@a:1",
            ":1",
            "@a:1",
        ] {
            assert!(
                matches!(text.parse::<Gateway>(), Err(Error::Gateway(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn nodes_have_the_names_that_gateways_know() {
        let name = |node: &str, gateway: &str| {
            let gateway: Gateway = gateway.parse().unwrap();
            let name = gateway.server_name(&node.parse().unwrap());
            name.map(|name| name.to_str().into_owned())
                .map_err(|error| error.code())
        };
        let account = "1f".repeat(20);
        let addressed = format!("https://0x{account}@203.0.113.9:4007");
        assert_eq!(
            name("https://node.example:4007", "203.0.113.7:1").unwrap(),
            "node.example"
        );
        assert_eq!(
            name(&addressed, "gw.example").unwrap(),
            format!("{account}.gw.example")
        );
        for (node, gateway) in [
            (addressed.as_str(), "203.0.113.7:1"),
            ("https://203.0.113.9", "gw.example"),
        ] {
            assert_eq!(name(node, gateway), Err("gateway_name_missing"));
        }
    }
}
