//! Header fields: which of a worker's are sent, and how a server's are handed on.
//!
//! Scripts know values as strings whose characters are bytes (the Fetch standard's "isomorphic" encoding).

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, USER_AGENT,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::ext::ReasonPhrase;
use jeju_worker_protocol::{Failure, Headers};

use super::invalid;

/// Most fields of a request.
const MAX_FIELDS: usize = 128;
/// Longest names and values of a request together, in bytes.
const MAX_LEN: usize = 64 * 1024;
/// Of one connection (RFC 9110 §7.6.1), with those that say where a message ends: they are this end's to write.
const OF_THE_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
/// The same without constants.
const OF_THE_CONNECTION_TOO: [&str; 3] = ["keep-alive", "http2-settings", "proxy-connection"];
/// Names that begin so are the node's to set, or a proxy's.
const NOT_OURS: [&str; 2] = ["jeju-", "proxy-"];

/// What is sent of a worker's fields, and the length of the body that they announce.
///
/// # Errors
/// Fields that are none, or too many.
pub(super) fn of_request(fields: &Headers) -> Result<(HeaderMap, Option<u64>), Failure> {
    let len: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    if fields.len() > MAX_FIELDS || len > MAX_LEN {
        return Err(invalid(format!(
            "the request has {} header fields of {len} bytes, at most {MAX_FIELDS} of {MAX_LEN} are sent",
            fields.len()
        )));
    }
    let mut map = HeaderMap::with_capacity(fields.len() + 3);
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("a header name is none"))?;
        let value = isomorphic(value).and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
        let value = value.ok_or_else(|| invalid(format!("the value of header {name} is none")))?;
        map.append(name, value);
    }
    let announced = map.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|digits| digits.parse().ok());
    drop_of_the_connection(&mut map);
    map.remove(HOST);
    let foreign: Vec<HeaderName> = map
        .keys()
        .filter(|name| NOT_OURS.iter().any(|prefix| name.as_str().starts_with(prefix)))
        .cloned()
        .collect();
    foreign.iter().for_each(|name| {
        map.remove(name);
    });
    for (name, value) in [
        (ACCEPT, "*/*"),
        // Bodies are handed on as they come.
        (ACCEPT_ENCODING, "identity"),
        (USER_AGENT, "Jeju-Workers"),
    ] {
        map.entry(name).or_insert(HeaderValue::from_static(value));
    }
    Ok((map, announced))
}

/// What a worker sees of an answer's fields.
pub(super) fn of_response(map: &HeaderMap) -> Headers {
    let mut map = map.clone();
    let length = map.get(CONTENT_LENGTH).cloned();
    drop_of_the_connection(&mut map);
    map.extend(length.map(|length| (CONTENT_LENGTH, length)));
    map.iter()
        .map(|(name, value)| {
            let value = value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
            (name.as_str().to_owned(), value)
        })
        .collect()
}

/// The reason phrase, where it is text.
pub(super) fn reason(head: &Parts) -> String {
    let said = head.extensions.get::<ReasonPhrase>().map(ReasonPhrase::as_bytes);
    match said {
        Some(bytes) => bytes.iter().map(|byte| char::from(*byte)).collect(),
        None => head.status.canonical_reason().unwrap_or_default().to_owned(),
    }
}

fn drop_of_the_connection(map: &mut HeaderMap) {
    let named: Vec<HeaderName> = map
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&OF_THE_CONNECTION) {
        map.remove(name);
    }
    for name in OF_THE_CONNECTION_TOO {
        map.remove(name);
    }
}

fn isomorphic(value: &str) -> Option<Vec<u8>> {
    value.chars().map(|c| u8::try_from(c).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Headers {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn sent(pairs: &[(&str, &str)]) -> Headers {
        let (map, _) = of_request(&fields(pairs)).unwrap_or_else(|failure| panic!("{}", failure.message));
        of_response(&map)
    }

    const DEFAULTS: [(&str, &str); 3] = [
        ("accept", "*/*"),
        ("accept-encoding", "identity"),
        ("user-agent", "Jeju-Workers"),
    ];

    #[test]
    fn a_workers_own_fields_are_sent_as_they_are() {
        let own = [
            ("accept", "text/html"),
            ("accept-encoding", "gzip"),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("user-agent", "mine"),
            ("x-latin", "caf\u{e9}"),
            ("x-twice", "1"),
            ("x-twice", "2"),
        ];
        assert!(sent(&own) == fields(&own));
    }

    #[test]
    fn fields_of_the_connection_and_the_nodes_own_are_dropped() {
        let dropped = sent(&[
            ("Host", "elsewhere.example"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("connection", "keep-alive, X-Hop"),
            ("keep-alive", "timeout=5"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("http2-settings", "x"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "close"),
            ("Jeju-Nonce", ":AA==:"),
            ("jeju-worker", "\"another\""),
        ]);
        assert!(dropped == fields(&DEFAULTS));
    }

    #[test]
    fn the_length_that_is_announced_is_known() {
        let announced = |value: &str| of_request(&fields(&[("content-length", value)])).ok().unwrap().1;
        assert_eq!(announced("5"), Some(5));
        assert_eq!(announced("-5"), None);
        assert_eq!(announced("5, 5"), None);
    }

    #[test]
    fn what_is_no_field_is_invalid() {
        let code = |pairs: &[(&str, &str)]| of_request(&fields(pairs)).err().map(|failure| failure.code);
        for (name, value) in [
            ("", "x"),
            ("a b", "x"),
            ("a:", "x"),
            ("a\r\nb", "x"),
            ("a", "x\r\nhost: other"),
            ("a", "x\0"),
            ("a", "\u{100}"),
        ] {
            assert_eq!(
                code(&[(name, value)]).as_deref(),
                Some("fetch_invalid"),
                "{name:?}: {value:?}"
            );
        }
        let many = vec![("a", "b"); MAX_FIELDS + 1];
        assert_eq!(code(&many).as_deref(), Some("fetch_invalid"));
        let long = "x".repeat(MAX_LEN);
        assert_eq!(code(&[("a", &long)]).as_deref(), Some("fetch_invalid"));
        assert_eq!(code(&many[1..]), None);
    }

    #[test]
    fn an_answers_fields_keep_their_bytes_and_length() {
        let mut map = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", &b"a=1"[..]),
            ("set-cookie", b"b=2"),
            ("x-bytes", b"\xff\xe9"),
            ("content-length", b"7"),
            ("connection", b"x-hop"),
            ("x-hop", b"1"),
            ("transfer-encoding", b"chunked"),
            ("jeju-evidence", b"of another node"),
        ] {
            let value = HeaderValue::from_bytes(value).unwrap();
            map.append(HeaderName::from_static(name), value);
        }
        let mut seen = of_response(&map);
        seen.sort();
        let expected = [
            ("content-length", "7"),
            ("jeju-evidence", "of another node"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-bytes", "\u{ff}\u{e9}"),
        ];
        assert!(seen == fields(&expected));
    }
}
