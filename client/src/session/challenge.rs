//! The challenge: a fresh quote that names this verifier's nonce and this connection.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jeju_attestation::bundle::{self, Bundle};
use jeju_attestation::rejection::Rejection;

use super::connection::Connection;
use super::evidence::Epochs;
use super::random_nonce;
use super::response::{self, VerifiedBody, VerifiedResponse};
use crate::error::Error;

const PATH: &str = "/.well-known/jeju/attest";
const MAX_ATTEMPTS: u32 = 12;
const DEFAULT_WAIT: Duration = Duration::from_secs(1);
/// A node that names a longer wait is asked again after this one; the session's own limit ends it all.
const MAX_WAIT: Duration = Duration::from_secs(15);

/// Asks for a fresh bundle; waits and asks again while the node is over its budget of quotes, or its device makes none.
pub(super) async fn bundle(
    connection: &mut Connection,
    epochs: &mut Epochs,
    nonce: &[u8; 32],
) -> Result<Bundle, Error> {
    for _ in 0..MAX_ATTEMPTS {
        let response = ask(connection, epochs, nonce).await?;
        match (response.status, response.body) {
            (StatusCode::OK, VerifiedBody::Whole(body)) => {
                return Ok(Bundle::parse(&body).map_err(Rejection::from)?);
            }
            (StatusCode::OK, VerifiedBody::Stream(_)) => {
                return Err(Rejection::from(bundle::BundleError::NotABundle).into());
            }
            (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) => {
                tokio::time::sleep(wait(&response.headers)).await;
            }
            (status, _) => return Err(Error::ChallengeStatus(status)),
        }
    }
    Err(Error::Busy {
        attempts: MAX_ATTEMPTS,
    })
}

/// The answer is a response like any other: signed by a key that the claims of this node name; the bundle in it
/// is what shows whether they are genuine.
async fn ask(
    connection: &mut Connection,
    epochs: &mut Epochs,
    nonce: &[u8; 32],
) -> Result<VerifiedResponse, Error> {
    let headers =
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))]);
    let body = Bytes::copy_from_slice(nonce);
    let exchange = connection
        .exchange(Method::POST, PATH, headers, body, random_nonce()?)
        .await?;
    let key = match epochs.known(&exchange.head)? {
        Some(key) => key,
        None => epochs.present(&exchange.head)?,
    };
    // The whole attestation has a limit; a stream is no answer here.
    response::verified(exchange, &key, connection, MAX_WAIT).await
}

fn wait(headers: &HeaderMap) -> Duration {
    headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map_or(DEFAULT_WAIT, Duration::from_secs)
        .min(MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded() {
        let named = |value: &'static str| {
            wait(&HeaderMap::from_iter([(
                RETRY_AFTER,
                HeaderValue::from_static(value),
            )]))
        };
        assert_eq!(wait(&HeaderMap::new()), DEFAULT_WAIT);
        assert_eq!(named("3"), Duration::from_secs(3));
        assert_eq!(named("18446744073709551615"), MAX_WAIT);
        assert_eq!(named("-1"), DEFAULT_WAIT);
        assert_eq!(named("Wed, 21 Oct 2015 07:28:00 GMT"), DEFAULT_WAIT);
    }
}
