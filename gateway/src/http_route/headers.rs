//! Which headers go on. Those that are between two ends of one connection don't (RFC 9110 §7.6.1), and nobody but the gateway
//! says where a request came from.

use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Version};

use super::forward::Asker;
use super::refusal::Refusal;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers of one connection, whether it names them or not. `Proxy` is none, but programs in CGI's tradition take it for
/// their own setting (CVE-2016-5385).
const OF_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What else servers take for the word of a proxy about where a request came from.
const OF_PROXIES: [HeaderName; 3] = [
    FORWARDED,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
];

/// Whom a request is for: what its target names (RFC 9112 §3.2.2), else its one `Host`.
pub(super) fn authority<B>(request: &Request<B>) -> Result<Authority, Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Refusal::Request("There is more than one Host."));
    }
    let named = request.uri().authority().cloned();
    let from_host = || host?.to_str().ok()?.parse::<Authority>().ok();
    let authority = named.or_else(from_host);
    authority
        .filter(|authority| !authority.as_str().contains('@'))
        .ok_or(Refusal::Request("There is no Host that is one."))
}

/// The protocol that a request wants to change to. HTTP/2 isn't passed through: it would carry further requests past the
/// gateway.
pub(super) fn upgrade<B>(request: &Request<B>) -> Option<HeaderValue> {
    let headers = request.headers();
    let is_asked = tokens(headers).any(|token| token == "upgrade");
    let wanted = headers.get(UPGRADE)?;
    let is_http = wanted.to_str().is_ok_and(|text| {
        text.to_ascii_lowercase()
            .split(',')
            .any(|name| name.trim().starts_with("h2"))
    });
    (is_asked && !is_http && request.version() == Version::HTTP_11).then(|| wanted.clone())
}

/// A request's headers as they go on.
pub(super) fn of_request(
    headers: &mut HeaderMap,
    asker: &Asker<'_>,
    upgrade: Option<HeaderValue>,
) -> Result<(), Refusal> {
    // What hyper read as something else than chunks, or can't read.
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Refusal::Request("The only transfer encoding is chunked."));
    }
    let (before, scheme) = match asker.front.forwarded {
        true => (last(headers, &FORWARDED_FOR), last(headers, &FORWARDED_PROTO)),
        false => (None, None),
    };
    without_connection(headers);
    // The gateway has answered that already.
    headers.remove(EXPECT);
    for name in &OF_PROXIES {
        headers.remove(name);
    }
    let foreign: Vec<_> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-forwarded-"))
        .cloned()
        .collect();
    for name in &foreign {
        headers.remove(name);
    }
    let client: IpAddr = before.and_then(|text| text.parse().ok()).unwrap_or(asker.peer);
    let is_https = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| Refusal::Request("There is no Host that is one."))
    };
    headers.insert(FORWARDED_FOR, value(&client.to_canonical().to_string())?);
    headers.insert(
        FORWARDED_PROTO,
        HeaderValue::from_static(if is_https { "https" } else { "http" }),
    );
    headers.insert(FORWARDED_HOST, value(asker.authority.as_str())?);
    headers.insert(HOST, value(asker.authority.as_str())?);
    for_connection(headers, upgrade);
    Ok(())
}

/// An answer's headers as they go on.
pub(super) fn of_response(headers: &mut HeaderMap) {
    // The length of something that came in chunks is what the gateway counts.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    without_connection(headers);
}

/// Says that this is the only message of its connection, or that it wants to change the protocol.
pub(super) fn for_connection(headers: &mut HeaderMap, upgrade: Option<HeaderValue>) {
    let word = match upgrade {
        Some(protocol) => {
            headers.insert(UPGRADE, protocol);
            "upgrade"
        }
        None => "close",
    };
    headers.insert(CONNECTION, HeaderValue::from_static(word));
}

fn without_connection(headers: &mut HeaderMap) {
    // A client that names these could take away what others rely on.
    let named: Vec<HeaderName> = tokens(headers).filter_map(|token| token.parse().ok()).collect();
    for name in named
        .iter()
        .filter(|name| **name != HOST && **name != CONTENT_LENGTH)
    {
        headers.remove(name);
    }
    for name in &OF_CONNECTION {
        headers.remove(name);
    }
}

/// What `Connection` names, in lower case.
fn tokens(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let values = headers.get_all(CONNECTION).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(','))
        .map(|token| token.trim().to_ascii_lowercase())
}

/// The last word of a list: that of the web server in front.
fn last(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get_all(name).iter().next_back()?;
    Some(value.to_str().ok()?.rsplit(',').next()?.trim().to_owned())
}

#[cfg(test)]
mod tests;
