//! Who asks: the wallet signatures that Jeju clients send to gateways ([`jeju_wallet_auth::v1`]).
//!
//! What is signed names no gateway, method or body. So a signature lets its holder do once what any of them allows: be
//! given transactions that only the wallet itself can sign, and make or delete ways to its own rentals.

use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::replay::{ReplayCache, ReplayError};
use jeju_wallet_auth::v1::{Headers, REMEMBERED_MS, V1Error};
use thiserror::Error;

/// Nonces that are remembered, about 100 bytes each. More than the limits of addresses let through in their lifetime.
const NONCES: usize = 200_000;

/// Why a request is nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuthError {
    /// One of the four headers is missing, or was sent twice.
    #[error("x-jeju-address, x-jeju-nonce, x-jeju-timestamp and x-jeju-signature are needed, once each")]
    Missing,
    /// They are wrong.
    #[error(transparent)]
    Headers(#[from] V1Error),
}

impl AuthError {
    /// Stable code for API answers.
    pub fn code(&self) -> &'static str {
        match self {
            AuthError::Missing => "wallet_auth_required",
            AuthError::Headers(error) => error.code(),
        }
    }

    /// Whether the same request may pass later.
    pub const fn is_overload(&self) -> bool {
        matches!(self, AuthError::Headers(V1Error::Replay(ReplayError::Full)))
    }
}

/// Checks signatures, each once.
#[derive(Debug)]
pub struct Auth(Mutex<ReplayCache>);

impl Default for Auth {
    fn default() -> Self {
        Self(Mutex::new(ReplayCache::new(NONCES, REMEMBERED_MS)))
    }
}

impl Auth {
    /// The account that signed the headers, within the window around `now_ms` and for the first time.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn verify(&self, headers: &HeaderMap, now_ms: u64) -> Result<Account, AuthError> {
        let headers = Headers {
            address: only(headers, "x-jeju-address")?,
            nonce: only(headers, "x-jeju-nonce")?,
            timestamp: only(headers, "x-jeju-timestamp")?,
            signature: only(headers, "x-jeju-signature")?,
        };
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(headers.verify(None, now_ms, &mut used)?)
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, AuthError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().map_err(|_| AuthError::Missing),
        _ => Err(AuthError::Missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;
    /// A request that ethers signed for a gateway.
    const SENT: [(&str, &str); 4] = [
        ("x-jeju-address", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        ("x-jeju-nonce", "11111111-2222-4333-8444-555555555555"),
        ("x-jeju-timestamp", "1700000000000"),
        (
            "x-jeju-signature",
            "0xdba90e523305365aa89dbbfa79608cf24b0ff3f4e15887e2a2fc90318488286f269039f8a5fb867fe139ab55f22beac6376a1fcc5f7f13ea3ea2d30db704fca61b",
        ),
    ];

    fn sent() -> HeaderMap {
        let headers = SENT.iter().map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )
        });
        headers.collect()
    }

    #[test]
    fn a_signature_passes_once() {
        let auth = Auth::default();
        let account = auth.verify(&sent(), NOW).unwrap();
        assert_eq!(account.to_string(), SENT[0].1);
        let again = auth.verify(&sent(), NOW + 1).unwrap_err();
        assert_eq!(again.code(), "wallet_nonce_used");
        assert!(!again.is_overload());
    }

    #[test]
    fn each_header_is_needed_once() {
        for (name, value) in SENT {
            let mut without = sent();
            without.remove(name);
            assert_eq!(Auth::default().verify(&without, NOW), Err(AuthError::Missing));
            let mut twice = sent();
            twice.append(name, http::HeaderValue::from_static(value));
            assert_eq!(Auth::default().verify(&twice, NOW), Err(AuthError::Missing));
        }
    }

    #[test]
    fn an_old_signature_and_anothers_are_refused_with_their_code() {
        let old = Auth::default().verify(&sent(), NOW + 300_001).unwrap_err();
        assert_eq!(old.code(), "wallet_timestamp_expired");
        let mut other = sent();
        other.insert(
            "x-jeju-address",
            http::HeaderValue::from_static("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        );
        let other = Auth::default().verify(&other, NOW).unwrap_err();
        assert_eq!(other.code(), "wallet_signature_mismatch");
    }
}
