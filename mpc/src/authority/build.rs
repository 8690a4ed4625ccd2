//! Making requests, for clients. No key is needed here: a wallet signs what [`Draft::typed_data`] or [`Draft::text`] shows.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::AccountKey;
use serde_json::Value;

use super::document::{Address, KeyDocument};
use super::payload::HexData;
use super::request::{Asked, Authorization, Form, MAX_LIFE, MAX_REQUEST, Reading, Request, Signed};
use crate::network::{KeyId, Network};
use crate::refusal::Refusal;

/// A request without a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft(Request);

impl Draft {
    /// A request to a network, to be answered within ten minutes from `issued`, in seconds since 1970. `nonce` is random.
    ///
    /// # Errors
    /// What every member would refuse whoever signs it: [`Refusal::Malformed`], [`Refusal::PayloadUnsupported`].
    pub fn new(
        network: &Network,
        key: KeyDocument,
        action: Asked,
        issued: u64,
        nonce: [u8; 32],
    ) -> Result<Self, Refusal> {
        let request = Request {
            network: HexBytes(network.genesis),
            chain_id: network.chain_id,
            key,
            action,
            issued,
            expires: issued.saturating_add(MAX_LIFE),
            nonce: HexBytes(nonce),
        };
        request.read()?;
        Ok(Self(request))
    }

    /// A shorter life.
    #[must_use]
    pub fn expiring(mut self, expires: u64) -> Self {
        self.0.expires = expires;
        self
    }

    /// What is asked.
    pub fn request(&self) -> &Request {
        &self.0
    }

    /// The key's name.
    pub fn key_id(&self) -> KeyId {
        self.reading().path.key
    }

    /// What a key signs of the request (EIP-712).
    pub fn digest(&self) -> [u8; 32] {
        self.reading().digest
    }

    /// The 32 bytes that the network signs, when it is asked to sign.
    pub fn message(&self) -> Option<[u8; 32]> {
        self.reading().payload.map(|payload| payload.message)
    }

    /// What a wallet is to sign with `eth_signTypedData_v4`.
    pub fn typed_data(&self) -> Value {
        self.reading().typed_data()
    }

    /// What a wallet may sign with `personal_sign` instead.
    pub fn text(&self) -> String {
        self.reading().text()
    }

    /// An authorisation by a key at hand.
    pub fn authorize(&self, key: &AccountKey) -> Authorization {
        authorization(key.account(), key.sign(&self.digest()).0.to_vec(), Form::Eip712)
    }

    /// An authorisation by a key at hand, over the text.
    pub fn authorize_text(&self, key: &AccountKey) -> Authorization {
        let digest = self.reading().text_digest();
        authorization(key.account(), key.sign(&digest).0.to_vec(), Form::Eip191)
    }

    /// The body to send. More than one authorisation is for policies.
    ///
    /// # Errors
    /// [`Refusal::Malformed`]: no authorisation, or longer than a request may be.
    pub fn body(&self, authorizations: &[Authorization]) -> Result<Vec<u8>, Refusal> {
        let (first, others) = authorizations
            .split_first()
            .ok_or(Refusal::Malformed("no authorisation"))?;
        let signed = Signed {
            request: self.0.clone(),
            authorization: first.clone(),
            approvals: others.to_vec(),
        };
        let body = serde_json::to_vec(&signed).map_err(|_| Refusal::Malformed("can't be written as JSON"))?;
        match body.len() {
            0..=MAX_REQUEST => Ok(body),
            _ => Err(Refusal::Malformed("longer than 32 KiB")),
        }
    }

    fn reading(&self) -> Reading<'_> {
        self.0.read().expect("what new() read reads again")
    }
}

/// A signature that a wallet made.
pub fn authorization(account: Account, signature: Vec<u8>, form: Form) -> Authorization {
    Authorization {
        account: Address(account),
        signature: HexData(signature),
        form,
    }
}
