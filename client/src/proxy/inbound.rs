//! What a caller may ask of the proxy, and what of it goes on to the node.

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, ORIGIN, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::forward::VERIFIED;
use super::refusal::Refusal;
use crate::relying_party::host_is_loopback;
use crate::session::MAX_BODY_LEN;

/// Names of the connection, not of the request (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authorization"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Where models are asked.
const INFERENCE: [&str; 4] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
];

/// A request as it goes to the node.
pub(super) struct Outbound {
    pub(super) method: Method,
    pub(super) path_and_query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Outbound {
    /// Whether nothing comes of asking twice but two answers: something to read, or inference.
    pub(super) fn is_repeatable(&self) -> bool {
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        let is_read = matches!(self.method, Method::GET | Method::HEAD);
        is_read || (self.method == Method::POST && INFERENCE.contains(&path))
    }
}

/// Checks who asks, and reads the request whole: its digest is part of what the response must name.
pub(super) async fn read(request: Request<Incoming>) -> Result<Outbound, Refusal> {
    let (head, body) = request.into_parts();
    check_host(&head)?;
    check_origin(&head.headers)?;
    let path_and_query = match (head.uri.path_and_query(), head.uri.path().starts_with('/')) {
        (Some(path), true) => path.as_str().to_owned(),
        _ => return Err(Refusal::RequestTarget),
    };
    let mut headers = head.headers;
    strip_hop_by_hop(&mut headers);
    for name in [HOST, CONTENT_LENGTH, EXPECT, VERIFIED] {
        headers.remove(name);
    }
    let body = match Limited::new(body, MAX_BODY_LEN).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(Refusal::RequestTooLong),
        Err(_) => return Err(Refusal::RequestBroken),
    };
    Ok(Outbound {
        method: head.method,
        path_and_query,
        headers,
        body,
    })
}

/// Removes what concerns one hop only, the names that `Connection` lists included.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// A web page can make its own name resolve to 127.0.0.1 (DNS rebinding) and would then read answers; its name still
/// stands in `Host`.
fn check_host(head: &http::request::Parts) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::Host);
    };
    let host: Authority = host
        .to_str()
        .ok()
        .and_then(|host| host.parse().ok())
        .ok_or(Refusal::Host)?;
    let target = head.uri.authority();
    match [Some(&host), target]
        .into_iter()
        .flatten()
        .all(|authority| !authority.as_str().contains('@') && host_is_loopback(authority.host()))
    {
        true => Ok(()),
        false => Err(Refusal::Host),
    }
}

/// A page of any site can post a form here unread; its site stands in `Origin`, which programs don't send.
fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let ours = |origin: &HeaderValue| {
        let uri: Option<Uri> = origin.to_str().ok().and_then(|origin| origin.parse().ok());
        uri.is_some_and(|uri| uri.host().is_some_and(host_is_loopback))
    };
    match headers.get_all(ORIGIN).iter().all(ours) {
        true => Ok(()),
        false => Err(Refusal::Origin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(uri: &str, hosts: &[&'static str]) -> Result<(), Refusal> {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        check_host(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn only_this_machine_is_served() {
        for good in ["127.0.0.1:4008", "localhost", "localhost:4008", "[::1]:4008"] {
            assert!(host("/v1/models", &[good]).is_ok(), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:4008",
            "localhost.evil.example",
            "localhost@evil.example",
            "",
        ] {
            assert!(matches!(host("/v1/models", &[bad]), Err(Refusal::Host)), "{bad}");
        }
        assert!(host("/", &[]).is_err());
        assert!(host("/", &["localhost", "localhost"]).is_err());
        assert!(host("http://evil.example/", &["localhost"]).is_err());
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let origin = |value: &'static str| {
            check_origin(&HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(value))]))
        };
        assert!(check_origin(&HeaderMap::new()).is_ok());
        for good in ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443"] {
            assert!(origin(good).is_ok(), "{good}");
        }
        for bad in [
            "null",
            "https://evil.example",
            "http://localhost.evil.example",
            "file://",
            "",
        ] {
            assert!(matches!(origin(bad), Err(Refusal::Origin)), "{bad}");
        }
    }

    #[test]
    fn only_what_changes_nothing_is_repeated() {
        let asked = |method: &str, path: &str| {
            let outbound = Outbound {
                method: method.parse().unwrap(),
                path_and_query: path.to_owned(),
                headers: HeaderMap::new(),
                body: Bytes::new(),
            };
            outbound.is_repeatable()
        };
        for (method, path) in [
            ("GET", "/v1/models"),
            ("HEAD", "/"),
            ("POST", "/v1/embeddings?a=b"),
        ] {
            assert!(asked(method, path), "{method} {path}");
        }
        for (method, path) in [
            ("POST", "/v1/rentals/0x1/exec"),
            ("DELETE", "/v1/models"),
            ("POST", "/w/a"),
        ] {
            assert!(!asked(method, path), "{method} {path}");
        }
    }

    #[test]
    fn hop_by_hop_headers_stay_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("authorization", "Bearer x"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("authorization"));
    }
}
