//! Headers on their way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::super::Front;
use super::*;

const HOST_NAME: &str = "id.routes.example:4008";

fn request(headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().uri("/a?b").header("host", HOST_NAME);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// Names and values as they go on.
fn passed(headers: &[(&str, &str)], forwarded: bool) -> Result<Vec<(String, String)>, Refusal> {
    let mut request = request(headers);
    let front = Front {
        domain: "routes.example".to_owned(),
        forwarded,
        answer: Duration::ZERO,
    };
    let asker = Asker {
        authority: authority(&request)?,
        peer: "::ffff:192.0.2.7".parse().unwrap(),
        front: &front,
        cut: Arc::new(Notify::new()),
        idle: Duration::ZERO,
    };
    let wanted = upgrade(&request);
    of_request(request.headers_mut(), &asker, wanted)?;
    let own = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), value.to_str().unwrap_or_default().to_owned())
    };
    let mut found: Vec<_> = request.headers().iter().map(own).collect();
    found.sort();
    Ok(found)
}

fn with_own(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = [
        ("host", HOST_NAME),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-host", HOST_NAME),
        ("x-forwarded-proto", "http"),
    ];
    let all = own.iter().chain(more);
    let mut all: Vec<_> = all
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    all.sort();
    all
}

#[test]
fn what_is_of_one_connection_goes_no_further_and_the_gateway_says_who_asks() {
    let found = passed(
        &[
            ("connection", "Keep-Alive, X-Secret, host, content-length"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "Chunked"),
            ("upgrade", "websocket"),
            ("proxy-connection", "close"),
            ("proxy", "http://evil"),
            ("expect", "100-continue"),
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-port", "1"),
            ("forwarded", "for=evil"),
            ("x-real-ip", "198.51.100.1"),
            ("accept", "a"),
            ("accept", "b"),
            ("trailer", "x-digest"),
        ],
        false,
    );
    let kept = [
        ("connection", "close"),
        ("accept", "a"),
        ("accept", "b"),
        ("trailer", "x-digest"),
    ];
    assert_eq!(found.unwrap(), with_own(&kept));
}

#[test]
fn a_web_server_in_front_is_believed_where_the_gateway_is_told_so() {
    let before = [
        ("x-forwarded-for", "198.51.100.1, 203.0.113.5"),
        ("x-forwarded-proto", "http, HTTPS"),
    ];
    let found = passed(&before, true).unwrap();
    assert!(found.contains(&("x-forwarded-for".to_owned(), "203.0.113.5".to_owned())));
    assert!(found.contains(&("x-forwarded-proto".to_owned(), "https".to_owned())));
    // What it didn't write, or wrongly.
    assert_eq!(
        passed(&[("x-forwarded-for", "a b")], true).unwrap(),
        with_own(&[("connection", "close")])
    );
}

#[test]
fn another_protocol_is_asked_for_but_no_other_http() {
    let asks =
        |connection, protocol| passed(&[("connection", connection), ("upgrade", protocol)], false).unwrap();
    assert_eq!(
        asks("keep-alive, Upgrade", "websocket"),
        with_own(&[("connection", "upgrade"), ("upgrade", "websocket")])
    );
    for (connection, protocol) in [("close", "websocket"), ("upgrade", "h2c"), ("upgrade", "x, H2C")] {
        assert_eq!(asks(connection, protocol), with_own(&[("connection", "close")]));
    }
    let mut old = request(&[("connection", "upgrade"), ("upgrade", "websocket")]);
    *old.version_mut() = Version::HTTP_10;
    assert_eq!(upgrade(&old), None);
}

#[test]
fn a_request_is_for_one_host_and_its_body_comes_in_chunks_alone() {
    let second = passed(&[("host", "other.example")], false).unwrap_err();
    assert!(second.to_string().contains("more than one Host"));
    for coding in ["gzip, chunked", "identity", "chunked, chunked"] {
        assert!(
            passed(&[("transfer-encoding", coding)], false).is_err(),
            "{coding}"
        );
    }
    let named = |uri: &str, host: &str| {
        let request = Request::builder().uri(uri).header("host", host).body(()).unwrap();
        authority(&request).map(|authority| authority.to_string()).ok()
    };
    assert_eq!(named("/", "a.example:1").as_deref(), Some("a.example:1"));
    assert_eq!(
        named("http://b.example/", "a.example").as_deref(),
        Some("b.example")
    );
    for host in ["", "a b", "user@a.example", "a.example/x", "[::1"] {
        assert_eq!(named("/", host), None, "{host}");
    }
    assert!(authority(&Request::builder().uri("/").body(()).unwrap()).is_err());
}

#[test]
fn an_answers_length_is_not_believed_beside_chunks() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("set-cookie", "a"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    of_response(&mut headers);
    assert_eq!(headers.keys().collect::<Vec<_>>(), ["set-cookie"]);
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
    of_response(&mut headers);
    assert_eq!(headers[CONTENT_LENGTH], "5");
}
