//! What is said of an event that failed: to everybody a stable code and a text of ours, to the worker's owner also what the
//! exception said. An exception's text may hold what the worker was sent, or a secret.

use bytes::Bytes;
use http::StatusCode;
use jeju_worker_protocol::api::ErrorBody;
use jeju_worker_protocol::{Failure, code};

use super::processes::{ALL_OVERLOADED, OVERLOADED};

/// A stable code, with its status and its text for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) code: &'static str,
    pub(super) status: StatusCode,
    pub(super) text: &'static str,
}

const fn known(code: &'static str, status: StatusCode, text: &'static str) -> Known {
    Known { code, status, text }
}

const FAILED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

/// The store gave no code back.
pub(super) const STORAGE: &str = "workers_storage_failed";

const KNOWN: &[Known] = &[
    known(
        code::SYNTAX,
        StatusCode::BAD_REQUEST,
        "The worker's code can't be parsed.",
    ),
    known(
        code::IMPORT,
        StatusCode::BAD_REQUEST,
        "The worker's code imports a module that it doesn't have.",
    ),
    known(
        code::MODULE,
        StatusCode::BAD_REQUEST,
        "The worker's code failed while it was loaded.",
    ),
    known(code::NO_HANDLER, FAILED, "No fetch handler exported"),
    known(code::EXCEPTION, FAILED, "The worker threw an exception."),
    known(code::BAD_RESPONSE, FAILED, "The worker's answer is no response."),
    known(
        code::HANGS,
        FAILED,
        "The worker never answers: nothing is left that it could wait for.",
    ),
    known(code::TIMEOUT, FAILED, "Worker timeout"),
    known(code::CPU, FAILED, "The worker used up its time on a CPU."),
    known(code::MEMORY, FAILED, "The worker used up its memory."),
    known(
        code::REQUEST_BODY,
        StatusCode::PAYLOAD_TOO_LARGE,
        "The request body is too long for the worker.",
    ),
    known(code::RESPONSE_BODY, FAILED, "The worker's answer is too long."),
    known(code::SUBREQUESTS, FAILED, "The worker sent too many requests."),
    known(code::TIMERS, FAILED, "The worker set too many timers."),
    known(
        code::CANCELLED,
        StatusCode::SERVICE_UNAVAILABLE,
        "The request was given up.",
    ),
    known(
        code::FETCH_REFUSED,
        FAILED,
        "The worker asked for a destination that it may not reach.",
    ),
    known(
        code::FETCH_FAILED,
        FAILED,
        "A destination that the worker asked for doesn't answer.",
    ),
    known(
        code::FETCH_INVALID,
        FAILED,
        "The worker sent a request that is none.",
    ),
    known(code::CRASHED, FAILED, "The worker's process ended."),
    known(
        OVERLOADED,
        StatusCode::TOO_MANY_REQUESTS,
        "Too many requests are waiting for the worker.",
    ),
    known(
        ALL_OVERLOADED,
        StatusCode::SERVICE_UNAVAILABLE,
        "Too many requests are waiting for workers.",
    ),
    known(
        STORAGE,
        StatusCode::SERVICE_UNAVAILABLE,
        "The worker's code can't be read from the host's store.",
    ),
];

/// What is known of a failure. Its code may come from a process that strangers took over: what isn't known is an exception.
pub(super) fn of(failure: &Failure) -> Known {
    let found = KNOWN.iter().find(|known| known.code == failure.code);
    *found.unwrap_or(&known(code::EXCEPTION, FAILED, "The worker threw an exception."))
}

/// The text of a failure, for the owner or for everybody.
pub(super) fn text(failure: &Failure, owner: bool) -> String {
    let known = of(failure);
    // The first nodes' words, which clients look for.
    let ours = matches!(known.code, code::TIMEOUT | code::NO_HANDLER);
    match owner && !ours && !failure.message.is_empty() {
        true => failure.message.clone(),
        false => known.text.to_owned(),
    }
}

/// The body that answers for it.
pub(super) fn body(failure: &Failure, owner: bool) -> Bytes {
    let body = ErrorBody {
        error: text(failure, owner),
        code: of(failure).code.to_owned(),
        stack: failure.stack.clone().filter(|_| owner),
    };
    serde_json::to_vec(&body).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: &str) -> Failure {
        Failure {
            stack: Some("at secret".to_owned()),
            ..Failure::new(code, "the secret is 7")
        }
    }

    #[test]
    fn what_an_exception_says_is_the_owners() {
        let failure = failure(code::EXCEPTION);
        let text = |owner| String::from_utf8(body(&failure, owner).to_vec()).unwrap();
        assert!(text(true).contains("the secret is 7") && text(true).contains("at secret"));
        assert!(!text(false).contains("secret"), "{}", text(false));
        assert_eq!(of(&failure).status, 500);
    }

    #[test]
    fn a_code_that_nobody_knows_is_an_exception() {
        assert_eq!(of(&failure("<b>anything")).code, code::EXCEPTION);
        assert_eq!(of(&failure(OVERLOADED)).status, 429);
        assert!(text(&failure(code::TIMEOUT), true).contains("timeout"));
        let codes: std::collections::HashSet<_> = KNOWN.iter().map(|known| known.code).collect();
        assert_eq!(codes.len(), KNOWN.len());
    }
}
