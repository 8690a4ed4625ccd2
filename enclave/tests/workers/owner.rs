//! Accounts that sign requests, and somebody who signs nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::v2::{Audience, Request};
use k256::ecdsa::SigningKey;
use serde_json::Value;
use sha3::{Digest, Keccak256};

use super::host::{Answered, Host, now};

static NONCE: AtomicU64 = AtomicU64::new(1);

/// An account with its key.
pub struct Owner(SigningKey);

impl Owner {
    pub fn new(secret: u8) -> Self {
        Self(SigningKey::from_slice(&[secret; 32]).unwrap())
    }

    /// One of many.
    #[allow(dead_code, reason = "where there are many")]
    pub fn numbered(number: u16) -> Self {
        let mut secret = [1; 32];
        secret[30..].copy_from_slice(&number.to_be_bytes());
        Self(SigningKey::from_slice(&secret).unwrap())
    }

    pub fn address(&self) -> [u8; 20] {
        let point = self.0.verifying_key().to_sec1_point(false);
        Keccak256::digest(&point.as_bytes()[1..])[12..]
            .try_into()
            .unwrap()
    }

    /// The fields that sign a request.
    pub fn sign(&self, method: &str, path: &str, body: &[u8]) -> Vec<(String, String)> {
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&NONCE.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let request = Request {
            account: Account(self.address()),
            method,
            path,
            body_digest: Request::digest_of_body(body),
            nonce,
            expiry: now() + 300,
        };
        let audience = Audience {
            chain_id: 31337,
            registry: Account([2; 20]),
            node: [1; 32],
        };
        let digest = request.digest(&audience);
        let (signature, recovery) = self.0.sign_prehash_recoverable(&digest);
        let mut bytes = signature.to_bytes().to_vec();
        bytes.push(27 + recovery.to_byte());
        vec![
            ("x-jeju-address".to_owned(), request.account.to_string()),
            ("x-jeju-nonce".to_owned(), format!("0x{}", hex::encode(nonce))),
            ("x-jeju-expiry".to_owned(), request.expiry.to_string()),
            ("x-jeju-signature".to_owned(), format!("0x{}", hex::encode(bytes))),
        ]
    }

    /// A signed request with JSON, and its answer.
    pub async fn ask(&self, host: &Host, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        let answered = send(host, method, path, &self.sign(method, path, &body), &body).await;
        (answered.status, value(&answered))
    }

    pub async fn get(&self, host: &Host, path: &str) -> (u16, Value) {
        self.ask(host, "GET", path, &Value::Null).await
    }

    /// `POST …/invoke`, signed.
    pub async fn invoke(&self, host: &Host, id: &str, body: &str) -> (u16, Value) {
        let path = format!("/api/v1/workers/{id}/invoke");
        let signed = self.sign("POST", &path, body.as_bytes());
        let answered = send(host, "POST", &path, &signed, body.as_bytes()).await;
        (answered.status, value(&answered))
    }
}

/// A request of anybody.
pub async fn anybody(host: &Host, method: &str, path: &str, body: &str) -> Answered {
    send(host, method, path, &[], body.as_bytes()).await
}

pub async fn send(
    host: &Host,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Answered {
    let mut client = host.connect_workers().await;
    client.exchange(method, path, headers, body).await.unwrap()
}

pub fn value(answered: &Answered) -> Value {
    serde_json::from_slice(&answered.body).unwrap_or(Value::Null)
}

pub fn text(answered: &Answered) -> &str {
    std::str::from_utf8(&answered.body).unwrap()
}
