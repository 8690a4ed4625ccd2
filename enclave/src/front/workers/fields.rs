//! Header fields on their way to a worker and back. What belongs to a connection, to the node or to its signatures doesn't
//! pass in either direction.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use jeju_attestation::response::header;
use jeju_worker_protocol::Headers;

/// Fields of one hop, and of the protocol's framing.
const HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
];
/// Where no worker says it.
const NO_TYPE: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// A request's fields as a worker gets them: names in lower case, values as characters of bytes.
pub(super) fn of_request(headers: &HeaderMap) -> Headers {
    let named: Vec<_> = connection_names(headers);
    let passes = |name: &HeaderName| !is_ours(name.as_str()) && !named.contains(name);
    let fields = headers.iter().filter(|(name, _)| passes(name));
    fields
        .map(|(name, value)| {
            let value = value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
            (name.as_str().to_owned(), value)
        })
        .collect()
}

/// A worker's fields as the client gets them, and the content type, which is signed.
pub(super) fn of_answer(fields: &Headers) -> (HeaderValue, HeaderMap) {
    let mut headers = HeaderMap::new();
    let mut content_type = None;
    for (name, value) in fields {
        let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
        let name = HeaderName::from_bytes(name.as_bytes()).ok();
        let value = bytes.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
        let (Some(name), Some(value)) = (name, value) else {
            continue;
        };
        if name == CONTENT_TYPE {
            let is_plain = value.to_str().is_ok_and(|text| !text.is_empty());
            content_type = content_type.or(is_plain.then_some(value));
        } else if !is_ours(name.as_str()) && headers.try_append(name, value).is_err() {
            break;
        }
    }
    (content_type.unwrap_or(NO_TYPE), headers)
}

/// Whether an answer is a stream of events, which passes as it comes.
pub(super) fn is_event_stream(content_type: &HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/event-stream")
}

/// The URL that a worker sees: the scheme is always that of attested TLS.
pub(super) fn url(headers: &HeaderMap, path: &str, query: &str) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.filter(|host| host.parse::<http::uri::Authority>().is_ok() && !host.contains('@'));
    let host = host.unwrap_or("worker.invalid");
    match query {
        "" => format!("https://{host}{path}"),
        query => format!("https://{host}{path}?{query}"),
    }
}

fn is_ours(name: &str) -> bool {
    HOP.contains(&name)
        || name.starts_with("jeju-")
        || name.starts_with("x-jeju-")
        || header::ALL.contains(&name)
        || name == CONTENT_LENGTH
}

/// Fields that the request itself says are of its connection.
fn connection_names(headers: &HeaderMap) -> Vec<HeaderName> {
    let lists = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok());
    let names = lists.flat_map(|list| list.split(','));
    names.filter_map(|name| name.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        HeaderMap::from_iter(fields)
    }

    fn owned(fields: &[(&str, &str)]) -> Headers {
        let pairs = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        pairs.collect()
    }

    #[test]
    fn requests_keep_their_fields_but_for_those_of_the_connection_and_the_node() {
        let mut headers = map(&[
            ("accept", "a"),
            ("connection", "x-hop, close"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("x-jeju-signature", "0x"),
            ("jeju-nonce", ":AA:"),
            ("cookie", "c"),
            ("host", "node"),
        ]);
        headers.insert("x-bytes", HeaderValue::from_bytes(b"\xfc").unwrap());
        let mut passed = of_request(&headers);
        passed.sort();
        let expected = owned(&[
            ("accept", "a"),
            ("cookie", "c"),
            ("host", "node"),
            ("x-bytes", "\u{fc}"),
        ]);
        assert_eq!(passed, expected);
    }

    #[test]
    fn answers_cannot_say_what_the_node_says() {
        for name in header::ALL {
            let (_, headers) = of_answer(&owned(&[(name, "forged")]));
            assert!(headers.is_empty(), "{name}");
        }
        let (content_type, headers) = of_answer(&owned(&[
            ("content-type", "text/html"),
            ("content-type", "text/css"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("transfer-encoding", "chunked"),
            ("content-length", "1"),
            ("connection", "close"),
            ("jeju-anything", "x"),
            ("x-split", "a\r\nset-cookie: c=3"),
            ("x split", "a"),
            ("x-wide", "\u{2028}"),
            ("x-bytes", "\u{fc}"),
        ]));
        assert_eq!(content_type, "text/html");
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!(headers["x-bytes"].as_bytes(), b"\xfc");
        assert_eq!(headers.len(), 3, "{headers:?}");
    }

    #[test]
    fn a_content_type_that_cannot_be_signed_is_none() {
        for wrong in ["", "text/\u{fc}", "a\nb"] {
            assert_eq!(
                of_answer(&owned(&[("content-type", wrong)])).0,
                NO_TYPE,
                "{wrong}"
            );
        }
        for (stream, is) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("text/event-streams", false),
        ] {
            assert_eq!(is_event_stream(&HeaderValue::from_static(stream)), is, "{stream}");
        }
    }

    #[test]
    fn urls_have_the_host_that_was_asked_for_if_it_is_one() {
        let of = |host: &'static str| url(&map(&[("host", host)]), "/w/a", "b=c");
        assert_eq!(of("node.example:4020"), "https://node.example:4020/w/a?b=c");
        for wrong in ["a b", "user@node", "a/b", ""] {
            assert_eq!(of(wrong), "https://worker.invalid/w/a?b=c", "{wrong}");
        }
        assert_eq!(url(&HeaderMap::new(), "/w/a", ""), "https://worker.invalid/w/a");
    }
}
