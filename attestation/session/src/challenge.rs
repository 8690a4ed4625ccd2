//! The challenge: a fresh quote that names this verifier's nonce and this connection.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jeju_attestation::appraisal::Challenge;
use jeju_attestation::bundle::{self, Bundle};
use jeju_attestation::evidence::{Genuine, NodeEvidence, Verifier};
use jeju_attestation::rejection::Rejection;

use crate::connection::Connection;
use crate::error::Error;
use crate::evidence::Epochs;
use crate::random_nonce;
use crate::response::{self, Bounds, VerifiedBody, VerifiedResponse};

const PATH: &str = "/.well-known/jeju/attest";
const MAX_ATTEMPTS: u32 = 12;
const DEFAULT_WAIT: Duration = Duration::from_secs(1);
/// A node that names a longer wait is asked again after this one; the session's own limit ends it all.
const MAX_WAIT: Duration = Duration::from_secs(15);

/// A connection whose other end is a node, shown by evidence that is genuine and fresh. Not appraised yet.
pub struct Attested {
    /// The connection.
    pub connection: Connection,
    /// The node's epochs.
    pub epochs: Epochs,
    /// What answered the challenge.
    pub bundle: Bundle,
    /// The evidence in it, which was made by the silicon that it names.
    pub genuine: Genuine,
    /// What the evidence must answer.
    pub challenge: Challenge,
}

/// Sends the challenge, and verifies what answers it. `now` says how late it is, in seconds since 1970.
///
/// # Errors
/// What isn't genuine, not of one node, or not to be had.
pub async fn attest(
    mut connection: Connection,
    verifier: &Verifier,
    now: impl Fn() -> u64,
) -> Result<Attested, Error> {
    let mut epochs = Epochs::new(&connection.peer);
    let bundle = bundle(&mut connection, &mut epochs).await?;
    let genuine = verifier.verify(&NodeEvidence::of(&bundle), now())?;
    epochs.confirm(&bundle, verifier, now())?;
    epochs.check_same_node(&genuine)?;
    Ok(Attested {
        challenge: connection.challenge,
        connection,
        epochs,
        bundle,
        genuine,
    })
}

/// Asks for a fresh bundle; waits and asks again while the node is over its budget of quotes, or its device makes none.
async fn bundle(connection: &mut Connection, epochs: &mut Epochs) -> Result<Bundle, Error> {
    for _ in 0..MAX_ATTEMPTS {
        let response = ask(connection, epochs).await?;
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
async fn ask(connection: &mut Connection, epochs: &mut Epochs) -> Result<VerifiedResponse, Error> {
    let headers =
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))]);
    let body = Bytes::copy_from_slice(&connection.challenge.nonce);
    let exchange = connection
        .exchange(Method::POST, PATH, headers, body, random_nonce()?)
        .await?;
    let key = match epochs.known(&exchange.head)? {
        Some(key) => key,
        None => epochs.present(&exchange.head)?,
    };
    // The whole attestation has a limit; a stream is no answer here.
    let bounds = Bounds {
        body: bundle::MAX_LEN,
        stall: MAX_WAIT,
    };
    response::verified(exchange, &key, connection, bounds).await
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
