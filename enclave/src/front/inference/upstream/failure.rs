//! Why an upstream gave no answer, and what the client is told: the class of it, and none of the upstream's own words.

use http::StatusCode;
use jeju_openai::upstream::answer::Malformed;
use jeju_openai::upstream::refusal::Refusal;

use super::connect::ConnectError;
use crate::front::error::ApiError;

/// When to come back to an upstream that isn't there, in seconds.
const LATER: u32 = 5;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection, or one that isn't to whom it should be.
    Connect(ConnectError),
    /// The upstream says so. With the seconds after which to come back.
    Refused(Refusal, Option<u32>),
    /// It took too long.
    TimedOut,
    /// The connection ended in the middle, or the answer is none.
    Broken,
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Failure::Connect(error)
    }
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Failure::Broken
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let too_long = "Prompt and answer together are longer than the model takes.";
        match failure {
            Failure::Connect(ConnectError::Unreachable) => unavailable(),
            Failure::Connect(ConnectError::NotVerified(code)) => not_verified(&code),
            Failure::Refused(Refusal::Refused, _) => ApiError::invalid(
                "upstream_refused",
                "The upstream can't serve the request as it is.",
                None,
            ),
            Failure::Refused(Refusal::TooLong, _) => {
                ApiError::invalid("context_length_exceeded", too_long, None)
            }
            Failure::Refused(Refusal::Overloaded, after) => overloaded().with_retry_after(after.unwrap_or(1)),
            Failure::Refused(Refusal::Unavailable, after) => {
                unavailable().with_retry_after(after.unwrap_or(LATER))
            }
            Failure::Refused(Refusal::TimedOut, _) | Failure::TimedOut => ApiError::new(
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "The upstream did not answer in time.",
            ),
            Failure::Refused(Refusal::Failed, _) | Failure::Broken => ApiError::new(
                StatusCode::BAD_GATEWAY,
                "upstream_failed",
                "The upstream could not finish the answer.",
            ),
        }
    }
}

/// All places are taken, here or there.
pub(super) fn overloaded() -> ApiError {
    let message = "All places for requests to this model are taken.";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "upstream_overloaded", message).with_retry_after(1)
}

/// Nobody answers there now.
pub(super) fn unavailable() -> ApiError {
    let message = "The model is not available at the moment.";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "upstream_unavailable", message).with_retry_after(LATER)
}

/// Somebody answers there who isn't the right one. `code` is one of ours.
fn not_verified(code: &str) -> ApiError {
    let message = format!("The upstream is not the one that it should be ({code}).");
    ApiError::new(StatusCode::BAD_GATEWAY, "upstream_not_verified", message).with_retry_after(LATER)
}
