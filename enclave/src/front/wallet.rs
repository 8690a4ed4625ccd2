//! Whose request it is: an account signs it as typed data (`docs/wire-formats.md`, "Wallet requests"), for this node and once;
//! or, as the first clients do, a text that names the provider.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use http::StatusCode;
use jeju_attestation::launch::LaunchDocument;
use jeju_chain::ChainReader;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::replay::{ReplayCache, ReplayError};
use jeju_wallet_auth::v1::{self, V1Error};
use jeju_wallet_auth::v2::{self, Audience, Request, Signer};

use super::error::ApiError;
use super::exchange::{Call, Surface};
use super::mpc::erc1271;
use crate::newest::NewestTime;

/// Nonces that are remembered at a time.
const NONCES: usize = 100_000;
/// Longest signature, in hexadecimal digits.
const MAX_SIGNATURE: usize = 2 * v2::MAX_TEXT;

/// Longest header of the first clients, in bytes: a signature has 132.
const MAX_LEGACY: usize = 160;

/// What the headers `x-jeju-…` say. Nothing is judged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SignedHeaders {
    /// The request itself is signed.
    Request(SignedRequest),
    /// A text over account, nonce, time and provider is, as the first clients do it.
    Legacy(LegacyHeaders),
}

/// A signature over the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignedRequest {
    account: [u8; 20],
    nonce: [u8; 32],
    expiry: u64,
    signature: Vec<u8>,
}

/// Headers of the first clients, as they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LegacyHeaders {
    address: String,
    nonce: String,
    timestamp: String,
    signature: String,
}

impl SignedHeaders {
    /// `None` where no account is named, or only that of an `X-Payment`. Headers with a time and without an end are the first
    /// clients', who know 4007 alone: their text binds neither path nor body, so nothing is deployed or signed by it.
    ///
    /// # Errors
    /// When an account is named and a header is missing, doubled or malformed.
    pub(super) fn read(headers: &HeaderMap, surface: Surface) -> Result<Option<Self>, ApiError> {
        let signs = [
            "x-jeju-nonce",
            "x-jeju-timestamp",
            "x-jeju-expiry",
            "x-jeju-signature",
        ];
        let signs = signs.iter().any(|name| headers.contains_key(*name));
        // The first clients send it so; it says nothing by itself, and the answer says how to pay.
        let only_pays = headers.contains_key("x-payment") && !signs;
        if !headers.contains_key("x-jeju-address") || only_pays {
            return Ok(None);
        }
        let is_legacy = headers.contains_key("x-jeju-timestamp") && !headers.contains_key("x-jeju-expiry");
        if is_legacy && surface == Surface::Node {
            return LegacyHeaders::read(headers).map(Self::Legacy).map(Some);
        }
        let read = || {
            Some(SignedRequest {
                account: fixed(one(headers, "x-jeju-address")?)?,
                nonce: fixed(one(headers, "x-jeju-nonce")?)?,
                expiry: one(headers, "x-jeju-expiry")?.parse().ok()?,
                signature: bytes(one(headers, "x-jeju-signature")?)?,
            })
        };
        read().map(Self::Request).map(Some).ok_or_else(|| {
            ApiError::invalid(
                "wallet_headers_malformed",
                "A signed request has the headers x-jeju-address (0x and 20 bytes), x-jeju-nonce (0x and 32 bytes), \
                 x-jeju-expiry (seconds since 1970) and x-jeju-signature (0x and the signature), once each.",
                None,
            )
        })
    }
}

impl LegacyHeaders {
    fn read(headers: &HeaderMap) -> Result<Self, ApiError> {
        let short = |name| {
            let value = one(headers, name).filter(|value| value.len() <= MAX_LEGACY)?;
            Some(value.to_owned())
        };
        let read = || {
            Some(Self {
                address: short("x-jeju-address")?,
                nonce: short("x-jeju-nonce")?,
                timestamp: short("x-jeju-timestamp")?,
                signature: short("x-jeju-signature")?,
            })
        };
        read().ok_or_else(|| {
            // The first clients know the text.
            ApiError::new(
                StatusCode::UNAUTHORIZED,
                "wallet_headers_malformed",
                "Missing auth headers",
            )
        })
    }
}

fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// `0x` and exactly `N` bytes.
pub(super) fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text.strip_prefix("0x")?, &mut bytes).ok()?;
    Some(bytes)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text
        .strip_prefix("0x")
        .filter(|digits| digits.len() <= MAX_SIGNATURE)?;
    hex::decode(digits).ok()
}

/// Judges signatures of accounts.
pub(super) struct Wallets {
    audience: Audience,
    /// Whom texts of the first clients must name, where the launch document says who earns.
    provider: Option<Account>,
    used: Mutex<ReplayCache>,
    /// The same of the first clients, in milliseconds.
    used_legacy: Mutex<ReplayCache>,
    chain: Arc<ChainReader>,
    time: NewestTime,
}

impl Wallets {
    pub(super) fn new(launch: &LaunchDocument, chain: Arc<ChainReader>) -> Self {
        Self {
            audience: Audience {
                chain_id: launch.chain.id,
                registry: Account(launch.chain.registry.0),
                node: launch.node.agent.0,
            },
            provider: launch
                .payments
                .as_ref()
                .map(|payments| payments.provider)
                .or(launch.rentals.as_ref().map(|rentals| rentals.provider))
                .map(|provider| Account(provider.0)),
            used_legacy: Mutex::new(ReplayCache::new(NONCES, v1::REMEMBERED_MS)),
            // A nonce that was used is refused for as long as any signature over it could hold.
            used: Mutex::new(ReplayCache::new(NONCES, v2::MAX_REQUEST_LIFE)),
            time: NewestTime::new(chain.clone()),
            chain,
        }
    }

    /// Seconds since 1970, at least; `None` where no block could be read yet.
    pub(super) async fn now(&self) -> Option<u64> {
        self.time.now().await
    }

    /// The account that signed as the first clients do.
    fn legacy(&self, headers: &LegacyHeaders, now: u64) -> Result<[u8; 20], ApiError> {
        let Some(provider) = &self.provider else {
            let message = "No provider's account is known here, so that nothing can be signed for it.";
            return Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "wallet_provider_unknown",
                message,
            ));
        };
        let headers = v1::Headers {
            address: &headers.address,
            nonce: &headers.nonce,
            timestamp: &headers.timestamp,
            signature: &headers.signature,
        };
        let mut used = self.used_legacy.lock().unwrap_or_else(PoisonError::into_inner);
        let account = headers.verify(Some(provider), now.saturating_mul(1000), &mut used);
        account.map(|account| account.0).map_err(|error| {
            let status = match &error {
                V1Error::Replay(ReplayError::Full) => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::UNAUTHORIZED,
            };
            // The first clients know these texts.
            let message = match &error {
                V1Error::Age(_) => "Timestamp expired".to_owned(),
                V1Error::Signer | V1Error::Signature(_) => "Invalid signature".to_owned(),
                other => other.to_string(),
            };
            ApiError::new(status, error.code(), message)
        })
    }

    /// The account that signed the request; `None` where none says so.
    ///
    /// # Errors
    /// When an account is named and didn't sign this request, for this node, now and for the first time.
    pub(super) async fn account(&self, call: &Call) -> Result<Option<[u8; 20]>, ApiError> {
        let Some(signed) = &call.signed else {
            return Ok(None);
        };
        let Some(now) = self.now().await else {
            let message = "The node can't tell the time: it reads no block of the chain.";
            let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "wallet_time_unknown", message);
            return Err(error.with_retry_after(5));
        };
        let signed = match signed {
            SignedHeaders::Request(signed) => signed,
            SignedHeaders::Legacy(headers) => return self.legacy(headers, now).map(Some),
        };
        let path = match call.query.as_str() {
            "" => call.path.clone(),
            query => format!("{}?{query}", call.path),
        };
        let request = Request {
            account: Account(signed.account),
            method: call.method.as_str(),
            path: &path,
            body_digest: Request::digest_of_body(&call.body),
            nonce: signed.nonce,
            expiry: signed.expiry,
        };
        let signer = {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            v2::verify(&request, &signed.signature, None, &self.audience, now, &mut used).map_err(refused)?
        };
        if let Signer::Contract {
            account,
            digest,
            signature,
            ..
        } = &signer
        {
            let answer = self
                .chain
                .call(&account.0, &erc1271::call(digest, signature))
                .await;
            // A chain that can't be read says no.
            if !answer.is_ok_and(|answer| answer.is_some_and(|answer| erc1271::is_yes(&answer))) {
                let message = "The signature is not the account's.";
                return Err(ApiError::new(
                    StatusCode::UNAUTHORIZED,
                    "wallet_signature_invalid",
                    message,
                ));
            }
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let account = signer.confirmed(now, &mut used).map_err(refused)?;
        Ok(Some(account.0))
    }
}

fn refused(error: v2::V2Error) -> ApiError {
    let status = match error.code() {
        "wallet_auth_overloaded" => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::UNAUTHORIZED,
    };
    ApiError::new(status, error.code(), error.to_string())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(names: &[&'static str], surface: Surface) -> Result<Option<SignedHeaders>, &'static str> {
        let mut headers = HeaderMap::new();
        for name in names {
            let bytes = match *name {
                "x-jeju-nonce" => 32,
                "x-jeju-signature" => 65,
                _ => 20,
            };
            let value = match *name {
                "x-jeju-timestamp" | "x-jeju-expiry" => "1700000000".to_owned(),
                _ => format!("0x{}", "11".repeat(bytes)),
            };
            headers.append(*name, HeaderValue::from_str(&value).unwrap());
        }
        SignedHeaders::read(&headers, surface).map_err(|error| error.code)
    }

    const ADDRESS: &str = "x-jeju-address";
    const NONCE: &str = "x-jeju-nonce";
    const TIMESTAMP: &str = "x-jeju-timestamp";
    const EXPIRY: &str = "x-jeju-expiry";
    const SIGNATURE: &str = "x-jeju-signature";

    #[test]
    fn headers_say_which_form_they_are() {
        let legacy = [ADDRESS, NONCE, TIMESTAMP, SIGNATURE];
        assert!(matches!(
            read(&legacy, Surface::Node),
            Ok(Some(SignedHeaders::Legacy(_)))
        ));
        let signed = [ADDRESS, NONCE, EXPIRY, SIGNATURE];
        for surface in [Surface::Node, Surface::Mpc, Surface::Workers] {
            assert!(matches!(
                read(&signed, surface),
                Ok(Some(SignedHeaders::Request(_)))
            ));
        }
        // With both it is the request that must be signed.
        let both = [ADDRESS, NONCE, TIMESTAMP, EXPIRY, SIGNATURE];
        assert!(matches!(
            read(&both, Surface::Node),
            Ok(Some(SignedHeaders::Request(_)))
        ));
        assert_eq!(read(&[NONCE, SIGNATURE], Surface::Node), Ok(None));
        assert_eq!(read(&[ADDRESS, "x-payment"], Surface::Node), Ok(None));
    }

    #[test]
    fn half_a_signature_is_refused_and_the_first_form_only_passes_on_4007() {
        let malformed = Err("wallet_headers_malformed");
        for names in [
            &[ADDRESS][..],
            &[ADDRESS, NONCE, TIMESTAMP],
            &[ADDRESS, NONCE, EXPIRY],
            &[ADDRESS, TIMESTAMP, SIGNATURE],
            &[ADDRESS, ADDRESS, NONCE, TIMESTAMP, SIGNATURE],
            &[ADDRESS, "x-payment", SIGNATURE],
        ] {
            assert_eq!(read(names, Surface::Node), malformed, "{names:?}");
        }
        for surface in [Surface::Mpc, Surface::Workers] {
            assert_eq!(read(&[ADDRESS, NONCE, TIMESTAMP, SIGNATURE], surface), malformed);
        }
    }
}
