//! What makes a request the account's: typed data that its wallet signs, for one node, once (`docs/wire-formats.md`, "Wallet
//! requests").

use http::{HeaderMap, HeaderValue, Method};
use jeju_wallet_auth::signature::AccountKey;
use jeju_wallet_auth::v2::{Audience, Request};

use super::RentalError;

/// How long a signature lives, in seconds: less than a node lets it, so that clocks may differ.
pub const LIFE: u64 = 300;

/// Headers that sign a request at `now`, in seconds since 1970 by the chain's newest block, as the node reckons.
///
/// # Errors
/// [`RentalError::Random`].
pub fn headers(
    account: &AccountKey,
    audience: &Audience,
    method: &Method,
    path_and_query: &str,
    body: &[u8],
    now: u64,
) -> Result<HeaderMap, RentalError> {
    let mut nonce = [0; 32];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| RentalError::Random)?;
    let request = Request {
        account: account.account(),
        method: method.as_str(),
        path: path_and_query,
        body_digest: Request::digest_of_body(body),
        nonce,
        expiry: now + LIFE,
    };
    let signature = account.sign(&request.digest(audience));
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-jeju-address", request.account.to_string()),
        ("x-jeju-nonce", format!("0x{}", hex::encode(nonce))),
        ("x-jeju-expiry", request.expiry.to_string()),
        ("x-jeju-signature", signature.to_string()),
    ] {
        let value =
            HeaderValue::try_from(value).expect("hexadecimal and decimal digits are a header's value");
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use jeju_wallet_auth::account::Account;
    use jeju_wallet_auth::replay::ReplayCache;
    use jeju_wallet_auth::v2::{self, Signer};

    use super::*;

    fn account() -> AccountKey {
        AccountKey::from_bytes(&[7; 32]).unwrap()
    }

    fn bytes(headers: &HeaderMap, name: &str) -> Vec<u8> {
        let text = headers[name].to_str().unwrap();
        hex::decode(text.strip_prefix("0x").unwrap()).unwrap()
    }

    /// As a node reads and judges them.
    #[test]
    fn a_node_takes_the_headers_for_this_request_and_no_other() {
        let audience = Audience {
            chain_id: 31337,
            registry: Account([9; 20]),
            node: [8; 32],
        };
        let path = "/v1/rentals/0x01/logs?tail=5";
        let made = headers(&account(), &audience, &Method::GET, path, b"", 1000).unwrap();
        let request = Request {
            account: Account(bytes(&made, "x-jeju-address").try_into().unwrap()),
            method: "GET",
            path,
            body_digest: Request::digest_of_body(b""),
            nonce: bytes(&made, "x-jeju-nonce").try_into().unwrap(),
            expiry: made["x-jeju-expiry"].to_str().unwrap().parse().unwrap(),
        };
        assert_eq!(request.expiry, 1300);
        let signature = bytes(&made, "x-jeju-signature");
        let verify = |request: &Request, audience| {
            let mut used = ReplayCache::new(10, v2::MAX_REQUEST_LIFE);
            v2::verify(request, &signature, None, audience, 1000, &mut used)
        };
        assert_eq!(
            verify(&request, &audience),
            Ok(Signer::Account(account().account()))
        );
        // Anything else would be a contract's way to say yes, which the account isn't.
        let elsewhere = Audience {
            node: [1; 32],
            ..audience
        };
        let other = Request {
            method: "POST",
            ..request
        };
        for outcome in [verify(&request, &elsewhere), verify(&other, &audience)] {
            assert!(!matches!(outcome, Ok(Signer::Account(_))), "{outcome:?}");
        }
        let again = headers(&account(), &audience, &Method::GET, path, b"", 1000).unwrap();
        assert_ne!(again["x-jeju-nonce"], made["x-jeju-nonce"]);
    }
}
