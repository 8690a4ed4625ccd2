//! The address of a JSON-RPC endpoint.

use std::fmt;

use http::Uri;
use rustls::pki_types::ServerName;

/// An `http` or `https` URL, taken apart. Paths of hosted nodes often carry an access key, so neither `Debug` nor any
/// error of this crate shows more than the authority.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) server_name: Option<ServerName<'static>>,
}

/// Why a URL isn't usable as an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It doesn't parse as an absolute URL with a host.
    #[error("not an absolute URL with a host")]
    NotAUrl,
    /// Only `http` and `https` are spoken.
    #[error("scheme is neither http nor https")]
    Scheme,
    /// A name or password before the host would be sent nowhere and shown everywhere.
    #[error("user information in the URL is not supported")]
    UserInfo,
    /// The host is no name that a certificate could carry.
    #[error("host is not a valid TLS server name")]
    ServerName,
}

impl Endpoint {
    /// Parses `http[s]://host[:port][/path][?query]`.
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        let uri: Uri = url.parse().map_err(|_| EndpointError::NotAUrl)?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) => return Err(EndpointError::Scheme),
            None => return Err(EndpointError::NotAUrl),
        };
        let authority = uri.authority().ok_or(EndpointError::NotAUrl)?;
        if authority.as_str().contains('@') {
            return Err(EndpointError::UserInfo);
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(EndpointError::NotAUrl);
        }
        // A port that isn't a number reads as none; the default would then silently replace it.
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(_) => authority.port_u16().ok_or(EndpointError::NotAUrl)?,
            None => return Err(EndpointError::NotAUrl),
        };
        let server_name = if tls {
            let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            Some(ServerName::try_from(name).map_err(|_| EndpointError::ServerName)?)
        } else {
            None
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Ok(Self {
            authority: format!("{host}:{port}"),
            path,
            server_name,
        })
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether TLS protects the way to the endpoint.
    pub fn is_tls(&self) -> bool {
        self.server_name.is_some()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls() { "https" } else { "http" };
        write!(f, "Endpoint({scheme}://{}/…)", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_urls_apart() {
        let plain = Endpoint::parse("http://127.0.0.1:8545").unwrap();
        assert_eq!(
            (plain.authority(), plain.path.as_str(), plain.is_tls()),
            ("127.0.0.1:8545", "/", false)
        );
        let hosted = Endpoint::parse("https://node.example/v3/secret?x=1").unwrap();
        assert_eq!(
            (hosted.authority(), hosted.path.as_str()),
            ("node.example:443", "/v3/secret?x=1")
        );
        assert!(!format!("{hosted:?}").contains("secret"));
        let six = Endpoint::parse("https://[2001:db8::1]:8545/").unwrap();
        assert_eq!(six.authority(), "[2001:db8::1]:8545");
        assert!(matches!(six.server_name, Some(ServerName::IpAddress(_))));
        assert_eq!(
            Endpoint::parse("http://node.example?key=1").unwrap().path,
            "/?key=1"
        );
    }

    #[test]
    fn refuses_what_it_cannot_speak() {
        for (url, reason) in [
            ("", EndpointError::NotAUrl),
            ("/path", EndpointError::NotAUrl),
            ("node.example:8545", EndpointError::NotAUrl),
            ("http://", EndpointError::NotAUrl),
            ("http://node.example:port", EndpointError::NotAUrl),
            ("http://node.example:99999", EndpointError::NotAUrl),
            ("ws://node.example", EndpointError::Scheme),
            ("https://me:secret@node.example", EndpointError::UserInfo),
            ("https://under_score!/", EndpointError::ServerName),
        ] {
            assert_eq!(Endpoint::parse(url), Err(reason), "{url}");
        }
    }
}
