//! The headers of the first Jeju Compute, as its clients send them: a text over address, nonce and time.
//!
//! `x-jeju-address`, `x-jeju-nonce`, `x-jeju-timestamp` (milliseconds since 1970), `x-jeju-signature` (EIP-191). A node's text names
//! the provider, a gateway's doesn't, so that one signature passes at every gateway. Neither binds method, path or body:
//! new clients use [`crate::v2`].

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::account::{Account, AccountError};
use crate::replay::{ReplayCache, ReplayError};
use crate::signature::{Signature, SignatureError, text_digest};

/// How far a timestamp may lie from the verifier's clock, in milliseconds.
pub const WINDOW_MS: u64 = 5 * 60 * 1000;
/// How long a nonce is remembered, in milliseconds: longer than any signature lives.
pub const REMEMBERED_MS: u64 = 2 * WINDOW_MS;
/// Longest nonce, in bytes. Clients send a UUID, which has 36.
pub const MAX_NONCE: usize = 64;

/// Why a request isn't the account's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum V1Error {
    /// `x-jeju-address`.
    #[error("x-jeju-address: {0}")]
    Address(#[from] AccountError),
    /// `x-jeju-nonce` is empty, too long, or holds something else than letters, digits and dashes. A colon would make one
    /// text of two requests.
    #[error("x-jeju-nonce is not 1 to {MAX_NONCE} letters, digits and dashes")]
    Nonce,
    /// `x-jeju-timestamp` isn't a decimal number.
    #[error("x-jeju-timestamp is not a number of milliseconds")]
    Timestamp,
    /// It lies too far from now.
    #[error("x-jeju-timestamp is {0} ms off, at most {WINDOW_MS} are allowed")]
    Age(u64),
    /// `x-jeju-signature`.
    #[error("x-jeju-signature: {0}")]
    Signature(#[from] SignatureError),
    /// Somebody else signed.
    #[error("x-jeju-signature is not the account's")]
    Signer,
    /// The nonce.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl V1Error {
    /// Stable code for API answers.
    pub fn code(&self) -> &'static str {
        match self {
            V1Error::Address(_) => "wallet_address_invalid",
            V1Error::Nonce => "wallet_nonce_invalid",
            V1Error::Timestamp => "wallet_timestamp_invalid",
            V1Error::Age(_) => "wallet_timestamp_expired",
            V1Error::Signature(_) => "wallet_signature_invalid",
            V1Error::Signer => "wallet_signature_mismatch",
            V1Error::Replay(ReplayError::Used) => "wallet_nonce_used",
            V1Error::Replay(ReplayError::Full) => "wallet_auth_overloaded",
        }
    }
}

/// The headers as they were sent.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// `x-jeju-address`.
    pub address: &'a str,
    /// `x-jeju-nonce`.
    pub nonce: &'a str,
    /// `x-jeju-timestamp`.
    pub timestamp: &'a str,
    /// `x-jeju-signature`.
    pub signature: &'a str,
}

/// What is signed for the node of a provider. The address is spelt as the client sends it, the provider's as EIP-55 has it.
pub fn node_text(address: &str, nonce: &str, timestamp: &str, provider: &Account) -> String {
    format!("{address}:{nonce}:{timestamp}:{provider}")
}

/// What is signed for a gateway.
pub fn gateway_text(address: &str, nonce: &str, timestamp: &str) -> String {
    format!("{address}:{nonce}:{timestamp}")
}

impl Headers<'_> {
    /// The account that signed for the node of `provider` (`None`: for a gateway), within the window around `now_ms` and for
    /// the first time.
    ///
    /// # Errors
    /// Any of [`V1Error`]. A nonce is used up by a valid signature alone, so nobody can spend another's.
    pub fn verify(
        &self,
        provider: Option<&Account>,
        now_ms: u64,
        used: &mut ReplayCache,
    ) -> Result<Account, V1Error> {
        let account: Account = self.address.parse()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if self.nonce.is_empty() || self.nonce.len() > MAX_NONCE || !self.nonce.bytes().all(plain) {
            return Err(V1Error::Nonce);
        }
        if self.timestamp.is_empty() || !self.timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(V1Error::Timestamp);
        }
        let timestamp: u64 = self.timestamp.parse().map_err(|_| V1Error::Timestamp)?;
        let age = timestamp.abs_diff(now_ms);
        if age > WINDOW_MS {
            return Err(V1Error::Age(age));
        }
        let text = match provider {
            Some(provider) => node_text(self.address, self.nonce, self.timestamp, provider),
            None => gateway_text(self.address, self.nonce, self.timestamp),
        };
        let signature = Signature::parse(self.signature)?;
        if signature.recover(&text_digest(&text))? != account {
            return Err(V1Error::Signer);
        }
        // The nonce alone: a text with another time would be the same request once more.
        let mut digest = Sha256::new();
        digest.update(account.0);
        digest.update(self.nonce);
        used.use_once(digest.finalize().into(), now_ms)?;
        Ok(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::tests::{provider, user};

    const NONCE: &str = "11111111-2222-4333-8444-555555555555";
    const TIMESTAMP: &str = "1700000000000";
    const NOW: u64 = 1_700_000_000_000;
    const ADDRESS: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
    /// Signatures that ethers made over the seed's texts.
    const NODE: &str = "0x3abde9d2cb9c88ccbc834ba1d509c1e9c8b841d45aa4dce87184902382c1892030fc7ebbb88e4f1cd4f1fd05cb1e3a3bdecb254815174e334d20416204b60f201b";
    const GATEWAY: &str = "0xdba90e523305365aa89dbbfa79608cf24b0ff3f4e15887e2a2fc90318488286f269039f8a5fb867fe139ab55f22beac6376a1fcc5f7f13ea3ea2d30db704fca61b";

    fn headers(signature: &'static str) -> Headers<'static> {
        Headers {
            address: ADDRESS,
            nonce: NONCE,
            timestamp: TIMESTAMP,
            signature,
        }
    }

    fn verify(headers: Headers, provider: Option<&Account>, now: u64) -> Result<Account, V1Error> {
        headers.verify(provider, now, &mut ReplayCache::new(10, REMEMBERED_MS))
    }

    #[test]
    fn signatures_of_the_first_clients_pass() {
        assert_eq!(
            verify(headers(NODE), Some(&provider()), NOW),
            Ok(user().account())
        );
        assert_eq!(verify(headers(GATEWAY), None, NOW), Ok(user().account()));
        // And ours are the same bytes.
        let text = node_text(ADDRESS, NONCE, TIMESTAMP, &provider());
        assert_eq!(user().sign(&text_digest(&text)).to_string(), NODE);
        let text = gateway_text(ADDRESS, NONCE, TIMESTAMP);
        assert_eq!(user().sign(&text_digest(&text)).to_string(), GATEWAY);
    }

    #[test]
    fn one_for_another_audience_does_not_pass() {
        assert_eq!(verify(headers(NODE), None, NOW), Err(V1Error::Signer));
        assert_eq!(
            verify(headers(GATEWAY), Some(&provider()), NOW),
            Err(V1Error::Signer)
        );
        assert_eq!(
            verify(headers(NODE), Some(&user().account()), NOW),
            Err(V1Error::Signer)
        );
    }

    #[test]
    fn nothing_passes_twice() {
        let mut used = ReplayCache::new(10, REMEMBERED_MS);
        let provider = provider();
        // Who signs nothing can't use up another's nonce.
        let forged = headers(GATEWAY).verify(Some(&provider), NOW, &mut used);
        assert_eq!(forged, Err(V1Error::Signer));
        assert!(headers(NODE).verify(Some(&provider), NOW, &mut used).is_ok());
        let again = headers(NODE).verify(Some(&provider), NOW + WINDOW_MS, &mut used);
        assert_eq!(again, Err(V1Error::Replay(ReplayError::Used)));
        // The same nonce with another time is the same request.
        let later = "1700000000001";
        let signature = user()
            .sign(&text_digest(&node_text(ADDRESS, NONCE, later, &provider)))
            .to_string();
        let other = Headers {
            timestamp: later,
            signature: &signature,
            ..headers(NODE)
        };
        assert_eq!(
            other.verify(Some(&provider), NOW, &mut used),
            Err(V1Error::Replay(ReplayError::Used))
        );
    }

    #[test]
    fn each_header_is_checked() {
        let node = headers(NODE);
        let ask = |headers: Headers| verify(headers, Some(&provider()), NOW).unwrap_err();
        assert_eq!(
            ask(Headers {
                address: "0x",
                ..node
            }),
            V1Error::Address(AccountError::Form)
        );
        let long = "a".repeat(MAX_NONCE + 1);
        for nonce in ["", "a:b", "a b", "ä", &long] {
            assert_eq!(ask(Headers { nonce, ..node }), V1Error::Nonce);
        }
        for timestamp in ["", "+1700000000000", "1.7e12", "-1", "99999999999999999999999"] {
            assert_eq!(ask(Headers { timestamp, ..node }), V1Error::Timestamp);
        }
        assert_eq!(
            ask(Headers {
                signature: "0x00",
                ..node
            }),
            V1Error::Signature(SignatureError::Form)
        );
        for (now, age) in [
            (NOW + WINDOW_MS + 1, WINDOW_MS + 1),
            (NOW - WINDOW_MS - 1, WINDOW_MS + 1),
        ] {
            assert_eq!(verify(node, Some(&provider()), now), Err(V1Error::Age(age)));
        }
        // Another spelling of the address is another text.
        let lower = ADDRESS.to_lowercase();
        assert_eq!(
            ask(Headers {
                address: &lower,
                ..node
            }),
            V1Error::Signer
        );
    }

    #[test]
    fn every_code_is_its_own() {
        let errors = [
            V1Error::Address(AccountError::Form),
            V1Error::Nonce,
            V1Error::Timestamp,
            V1Error::Age(1),
            V1Error::Signature(SignatureError::Form),
            V1Error::Signer,
            V1Error::Replay(ReplayError::Used),
            V1Error::Replay(ReplayError::Full),
        ];
        let codes: std::collections::HashSet<_> = errors.iter().map(V1Error::code).collect();
        assert_eq!(codes.len(), errors.len());
    }
}
