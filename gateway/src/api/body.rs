//! Bodies of requests: small, soon, and JSON of the type that is asked for.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::refusal::Refusal;

/// Longest body, in bytes: a script of 4 KiB of which each byte is written `\u00xx`, and the rest.
pub(super) const MAX_BODY: usize = 48 * 1024;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Longest text about what is wrong with it, in bytes.
const MAX_REASON: usize = 200;

/// Reads a body.
pub(super) async fn json_body<T, B>(body: B) -> Result<T, Refusal>
where
    T: DeserializeOwned,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collected = timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect()).await;
    let collected = collected.map_err(|_| Refusal::BodyTimeout)?;
    let bytes = collected.map_err(|error| match error.is::<LengthLimitError>() {
        true => Refusal::BodyTooLarge(MAX_BODY),
        false => Refusal::Request("it broke off".to_owned()),
    })?;
    serde_json::from_slice(&bytes.to_bytes()).map_err(|error| {
        let mut reason = error.to_string();
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
        Refusal::Request(reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    async fn read(text: String) -> Result<Vec<u8>, Refusal> {
        json_body(Full::new(Bytes::from(text))).await
    }

    #[tokio::test]
    async fn a_body_is_json_of_a_bounded_length() {
        assert_eq!(read("[1,2]".to_owned()).await.unwrap(), [1, 2]);
        for wrong in ["", "{", "[300]", "[1] 2", "\u{0}"] {
            assert_eq!(
                read(wrong.to_owned()).await.unwrap_err().code(),
                "request_invalid"
            );
        }
        let long = format!("[{}]", " ".repeat(MAX_BODY));
        assert_eq!(read(long).await.unwrap_err().code(), "body_too_large");
        let deep = "[".repeat(MAX_BODY);
        assert_eq!(read(deep).await.unwrap_err().code(), "request_invalid");
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_briefly() {
        let long = format!("\"{}\"", "é".repeat(10_000));
        let Refusal::Request(reason) = read(long).await.unwrap_err() else {
            panic!("another refusal");
        };
        assert!(reason.len() <= MAX_REASON, "{reason}");
    }
}
