//! Whether what a process sends has the form of HTTP: a worker's answer goes out under the node's signature, and a line
//! break in a field's value would let it write heads of its own.

use jeju_worker_protocol::{Failure, FetchRequest, Headers, code};

/// Most header fields.
const MAX_FIELDS: usize = 128;
/// Longest header fields, names and values together, in bytes.
const MAX_FIELDS_LEN: usize = 64 * 1024;
/// Longest reason phrase, in bytes.
const MAX_REASON: usize = 256;
/// Longest URL, in bytes.
const MAX_URL: usize = 16 * 1024;
/// Longest method, in bytes.
const MAX_METHOD: usize = 32;
/// Longest text and stack of a failure, in bytes.
const MAX_TEXT: usize = 16 * 1024;

/// Whether this is the head of an answer.
pub(crate) fn is_head(status: u16, reason: &str, headers: &Headers) -> bool {
    (200..=599).contains(&status) && reason.len() <= MAX_REASON && is_value(reason) && are_fields(headers)
}

/// Whether a worker may ask for this.
pub(crate) fn is_request(request: &FetchRequest) -> bool {
    let url = request.url.as_str();
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    // Fetch standard, "forbidden method".
    let forbidden = ["connect", "trace", "track"]
        .iter()
        .any(|method| request.method.eq_ignore_ascii_case(method));
    url.len() <= MAX_URL
        && rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))
        && request.method.len() <= MAX_METHOD
        && is_token(&request.method)
        && !forbidden
        && are_fields(&request.headers)
}

/// Whether these are header fields. A value's characters are bytes: none is above U+00FF.
pub(crate) fn are_fields(headers: &Headers) -> bool {
    let len: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let is_field = |(name, value): &(String, String)| {
        is_token(name) && !name.bytes().any(|byte| byte.is_ascii_uppercase()) && is_value(value)
    };
    headers.len() <= MAX_FIELDS && len <= MAX_FIELDS_LEN && headers.iter().all(is_field)
}

/// A failure with a code that there is, and texts of bounded length.
pub(crate) fn failure(mut failure: Failure) -> Failure {
    if !CODES.contains(&failure.code.as_str()) {
        failure.code = code::EXCEPTION.to_owned();
    }
    cut(&mut failure.message, MAX_TEXT);
    if let Some(stack) = &mut failure.stack {
        cut(stack, MAX_TEXT);
    }
    failure
}

/// Cuts a text to `len` bytes or a little less, between characters.
pub(crate) fn cut(text: &mut String, len: usize) {
    text.truncate(text.floor_char_boundary(len));
}

/// `token` (RFC 9110, section 5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// What a field's value is made of (RFC 9110, section 5.5), without white space around it.
fn is_value(text: &str) -> bool {
    let is_blank = |c: Option<char>| matches!(c, Some(' ' | '\t'));
    let fits = |c: char| matches!(c, '\t' | ' '..='~' | '\u{80}'..='\u{ff}');
    text.chars().all(fits) && !is_blank(text.chars().next()) && !is_blank(text.chars().next_back())
}

const CODES: [&str; 19] = [
    code::SYNTAX,
    code::IMPORT,
    code::MODULE,
    code::NO_HANDLER,
    code::EXCEPTION,
    code::BAD_RESPONSE,
    code::HANGS,
    code::TIMEOUT,
    code::CPU,
    code::MEMORY,
    code::REQUEST_BODY,
    code::RESPONSE_BODY,
    code::SUBREQUESTS,
    code::TIMERS,
    code::CANCELLED,
    code::FETCH_REFUSED,
    code::FETCH_FAILED,
    code::FETCH_INVALID,
    code::CRASHED,
];

#[cfg(test)]
mod tests {
    use super::*;
    use jeju_worker_protocol::Redirect;

    fn fields(name: &str, value: &str) -> Headers {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn heads_of_http_pass() {
        assert!(is_head(
            200,
            "",
            &fields("content-type", "text/plain; charset=\"utf-8\"")
        ));
        assert!(is_head(599, "Fine \u{e9}", &fields("x", "a\tb")));
        assert!(is_head(404, "Not Found", &fields("x", "")));
    }

    #[test]
    fn anything_else_is_no_head() {
        for status in [0, 100, 101, 199, 600, u16::MAX] {
            assert!(!is_head(status, "", &Vec::new()), "{status}");
        }
        for reason in ["a\r\nb", "a\0", " a", "\u{100}", &"a".repeat(MAX_REASON + 1)] {
            assert!(!is_head(200, reason, &Vec::new()), "{reason:?}");
        }
        for name in ["", "a b", "a:", "A", "a\n", "\u{e9}", ":path"] {
            assert!(!are_fields(&fields(name, "1")), "{name:?}");
        }
        for value in [
            "a\nb",
            "a\rb",
            "a\0b",
            " a",
            "a\t",
            "\u{7f}",
            "\u{100}",
            "\u{1f600}",
        ] {
            assert!(!are_fields(&fields("a", value)), "{value:?}");
        }
        assert!(!are_fields(&fields("a", &"b".repeat(MAX_FIELDS_LEN))));
        assert!(!are_fields(&vec![("a".into(), "b".into()); MAX_FIELDS + 1]));
    }

    #[test]
    fn only_requests_of_http_pass() {
        let request = |method: &str, url: &str| FetchRequest {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            has_body: false,
            redirect: Redirect::Follow,
        };
        assert!(is_request(&request("GET", "https://example.org/a?b=c")));
        assert!(is_request(&request("PROPFIND", "http://[::1]:1/")));
        for url in [
            "",
            "https://",
            "ftp://a/",
            "file:///etc/passwd",
            "https://a/ b",
            "https://a/\r\nx: y",
            "https://\u{e9}/",
            &format!("https://a/{}", "b".repeat(MAX_URL)),
        ] {
            assert!(!is_request(&request("GET", url)), "{url}");
        }
        for method in [
            "",
            "G T",
            "GET\r\n",
            "CONNECT",
            "Trace",
            "TRACK",
            &"A".repeat(MAX_METHOD + 1),
        ] {
            assert!(!is_request(&request(method, "https://a/")), "{method}");
        }
    }

    #[test]
    fn failures_have_known_codes_and_short_texts() {
        let long = "\u{1f600}".repeat(MAX_TEXT);
        let checked = failure(Failure {
            code: "<script>".into(),
            message: long.clone(),
            stack: Some(long),
        });
        assert_eq!(checked.code, code::EXCEPTION);
        assert_eq!(checked.message.len(), MAX_TEXT);
        assert_eq!(checked.stack.map(|stack| stack.len()), Some(MAX_TEXT));
        assert!(
            CODES
                .iter()
                .all(|code| failure(Failure::new(code, "")).code == *code)
        );
    }
}
