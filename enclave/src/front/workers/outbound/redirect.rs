//! Redirections, as the Fetch standard follows them.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, COOKIE, LOCATION,
};
use http::response::Parts;
use http::{Method, StatusCode};
use jeju_worker_protocol::{Failure, Redirect};
use url::Url;

use super::body::Payload;
use super::exchange::Message;
use super::failed;

/// Most redirections of one fetch.
pub(super) const MAX: u32 = 20;

/// What an answer means.
pub(super) enum Next {
    /// It is the answer.
    Answer,
    /// The message goes there.
    Elsewhere(Url),
}

/// Judges the answer that came from `from` after `followed` redirections, and makes of `message` what is sent next.
///
/// # Errors
/// Where it may not be followed.
pub(super) fn next(
    mode: Redirect,
    followed: u32,
    from: &Url,
    head: &Parts,
    message: &mut Message,
) -> Result<Next, Failure> {
    if !matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(Next::Answer);
    }
    match mode {
        Redirect::Manual => return Ok(Next::Answer),
        Redirect::Error => {
            return Err(failed(
                "the answer is a redirection, which the request doesn't follow",
            ));
        }
        Redirect::Follow => {}
    }
    let Some(location) = head.headers.get(LOCATION) else {
        return Ok(Next::Answer);
    };
    if followed == MAX {
        return Err(failed(format!("there are more than {MAX} redirections")));
    }
    let text = std::str::from_utf8(location.as_bytes()).ok();
    let to = text.and_then(|location| from.join(location).ok());
    let mut to = to.ok_or_else(|| failed("a redirection leads to no URL"))?;
    if to.fragment().is_none() {
        to.set_fragment(from.fragment());
    }
    change_method(head.status, message);
    if matches!(message.payload, Payload::Sent) {
        return Err(failed(
            "a redirection asks for a body again, which was sent as a stream",
        ));
    }
    if to.origin() != from.origin() {
        message.headers.remove(AUTHORIZATION);
        message.headers.remove(COOKIE);
    }
    Ok(Next::Elsewhere(to))
}

/// A form that was posted is answered by a page to get; and whoever asks to see another gets it without the body.
fn change_method(status: StatusCode, message: &mut Message) {
    let to_get = match status {
        StatusCode::SEE_OTHER => !matches!(message.method, Method::GET | Method::HEAD),
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => message.method == Method::POST,
        _ => false,
    };
    if to_get {
        message.method = Method::GET;
        message.payload = Payload::None;
        for name in [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE] {
            message.headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Response};

    use super::*;

    fn message(method: Method) -> Message {
        let mut headers = HeaderMap::new();
        for name in [AUTHORIZATION, COOKIE, CONTENT_TYPE] {
            headers.insert(name, HeaderValue::from_static("x"));
        }
        headers.insert("x-other", HeaderValue::from_static("x"));
        Message {
            method,
            headers,
            payload: Payload::Whole(bytes::Bytes::from_static(b"body")),
        }
    }

    fn head(status: u16, location: Option<&str>) -> Parts {
        let mut response = Response::builder().status(status);
        if let Some(location) = location {
            response = response.header(LOCATION, location);
        }
        response.body(()).unwrap().into_parts().0
    }

    /// Where to, by what method, and with what.
    fn followed(
        status: u16,
        method: Method,
        from: &str,
        location: &str,
    ) -> (String, Method, bool, Vec<String>) {
        let mut message = message(method);
        let from = Url::parse(from).unwrap();
        let next = next(
            Redirect::Follow,
            0,
            &from,
            &head(status, Some(location)),
            &mut message,
        );
        let Ok(Next::Elsewhere(to)) = next else {
            panic!("not followed");
        };
        let mut names: Vec<_> = message.headers.keys().map(ToString::to_string).collect();
        names.sort();
        let body = matches!(message.payload, Payload::Whole(_));
        (to.into(), message.method, body, names)
    }

    const HERE: &str = "https://a.example/x/y?z#part";

    #[test]
    fn a_location_is_read_against_the_url_that_answered() {
        let to = |location: &str| followed(307, Method::GET, HERE, location).0;
        assert_eq!(to("/b"), "https://a.example/b#part");
        assert_eq!(to("b?c#other"), "https://a.example/x/b?c#other");
        assert_eq!(to("//b.example/"), "https://b.example/#part");
        assert_eq!(to("http://b.example:81/"), "http://b.example:81/#part");
        assert_eq!(to("/caf\u{e9}"), "https://a.example/caf%C3%A9#part");
    }

    #[test]
    fn methods_change_as_browsers_change_them() {
        for (status, method, then, with_body) in [
            (301, Method::POST, Method::GET, false),
            (302, Method::POST, Method::GET, false),
            (303, Method::POST, Method::GET, false),
            (303, Method::PUT, Method::GET, false),
            (303, Method::HEAD, Method::HEAD, true),
            (301, Method::PUT, Method::PUT, true),
            (302, Method::DELETE, Method::DELETE, true),
            (307, Method::POST, Method::POST, true),
            (308, Method::POST, Method::POST, true),
        ] {
            let (_, found, body, names) = followed(status, method.clone(), HERE, "/");
            assert_eq!((found, body), (then, with_body), "{status} {method}");
            assert_eq!(
                names.contains(&"content-type".to_owned()),
                with_body,
                "{status} {method}"
            );
        }
    }

    #[test]
    fn what_says_who_asks_stays_with_its_origin() {
        let names = |to: &str| followed(307, Method::POST, HERE, to).3;
        assert_eq!(names("/"), ["authorization", "content-type", "cookie", "x-other"]);
        for to in [
            "https://b.example/",
            "http://a.example/",
            "https://a.example:8443/",
        ] {
            assert_eq!(names(to), ["content-type", "x-other"], "{to}");
        }
    }

    #[test]
    fn what_is_not_followed_is_the_answer_or_an_error() {
        let from = Url::parse(HERE).unwrap();
        let judge = |mode, followed, status, location, payload: Payload| {
            let mut message = Message {
                payload,
                ..message(Method::PUT)
            };
            match next(mode, followed, &from, &head(status, location), &mut message) {
                Ok(Next::Answer) => "answer".to_owned(),
                Ok(Next::Elsewhere(_)) => "elsewhere".to_owned(),
                Err(failure) => {
                    assert_eq!(failure.code, "fetch_failed");
                    failure.message
                }
            }
        };
        let to = Some("/");
        for status in [200, 300, 304, 305, 306] {
            assert_eq!(
                judge(Redirect::Follow, 0, status, to, Payload::None),
                "answer",
                "{status}"
            );
        }
        assert_eq!(judge(Redirect::Manual, 0, 302, to, Payload::None), "answer");
        assert_eq!(judge(Redirect::Follow, 0, 302, None, Payload::None), "answer");
        assert_eq!(judge(Redirect::Follow, 19, 302, to, Payload::None), "elsewhere");
        assert_eq!(
            judge(Redirect::Follow, 20, 302, to, Payload::None),
            "there are more than 20 redirections"
        );
        assert!(judge(Redirect::Error, 0, 302, to, Payload::None).contains("doesn't follow"));
        assert!(judge(Redirect::Follow, 0, 302, Some("http://["), Payload::None).contains("no URL"));
        assert!(judge(Redirect::Follow, 0, 307, to, Payload::Sent).contains("sent as a stream"));
        assert_eq!(judge(Redirect::Follow, 0, 303, to, Payload::Sent), "elsewhere");
    }
}
