//! Whose request it is: an account signs it as typed data (`docs/wire-formats.md`, "Wallet requests"), for this node and once.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use http::StatusCode;
use jeju_attestation::launch::LaunchDocument;
use jeju_chain::ChainReader;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::replay::ReplayCache;
use jeju_wallet_auth::v2::{self, Audience, Request, Signer};

use super::error::ApiError;
use super::exchange::Call;
use super::mpc::erc1271;
use crate::newest::NewestTime;

/// Nonces that are remembered at a time.
const NONCES: usize = 100_000;
/// Longest signature, in hexadecimal digits.
const MAX_SIGNATURE: usize = 2 * v2::MAX_TEXT;

/// What the headers `x-jeju-…` say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignedHeaders {
    account: [u8; 20],
    nonce: [u8; 32],
    expiry: u64,
    signature: Vec<u8>,
}

impl SignedHeaders {
    /// `None` where no account is named.
    ///
    /// # Errors
    /// When one is named and a header is missing, doubled or malformed.
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        if !headers.contains_key("x-jeju-address") {
            return Ok(None);
        }
        let read = || {
            Some(Self {
                account: fixed(one(headers, "x-jeju-address")?)?,
                nonce: fixed(one(headers, "x-jeju-nonce")?)?,
                expiry: one(headers, "x-jeju-expiry")?.parse().ok()?,
                signature: bytes(one(headers, "x-jeju-signature")?)?,
            })
        };
        read().map(Some).ok_or_else(|| {
            ApiError::invalid(
                "wallet_headers_malformed",
                "A signed request has the headers x-jeju-address (0x and 20 bytes), x-jeju-nonce (0x and 32 bytes), \
                 x-jeju-expiry (seconds since 1970) and x-jeju-signature (0x and the signature), once each.",
                None,
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
    used: Mutex<ReplayCache>,
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
            // A nonce that was used is refused for as long as any signature over it could hold.
            used: Mutex::new(ReplayCache::new(NONCES, v2::MAX_REQUEST_LIFE)),
            time: NewestTime::new(chain.clone()),
            chain,
        }
    }

    /// The account that signed the request; `None` where none says so.
    ///
    /// # Errors
    /// When an account is named and didn't sign this request, for this node, now and for the first time.
    pub(super) async fn account(&self, call: &Call) -> Result<Option<[u8; 20]>, ApiError> {
        let Some(signed) = &call.signed else {
            return Ok(None);
        };
        let Some(now) = self.time.now().await else {
            let message = "The node can't tell the time: it reads no block of the chain.";
            let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "wallet_time_unknown", message);
            return Err(error.with_retry_after(5));
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
