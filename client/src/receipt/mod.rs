//! `jeju receipt`: what a node's key says of one of its answers, and who vouches for that.
//!
//! [`AnswerReceipt::fetch`] takes a receipt on a verified session, and only if it is by the key that the session's claims
//! name. Beyond that it can be compared with the bytes of request and answer, a later quote can vouch for it
//! ([`AnswerReceipt::quoted`]), and the chain can say whether the key is registered and lives
//! ([`AnswerReceipt::on_chain`]).

mod command;
mod document;
mod error;
mod given;
mod quoted;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jeju_attestation::claims::Claims;
use jeju_attestation::launch::LaunchDocument;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{At, Receipt};
use jeju_wallet_auth::signature::{Signature, account_of_public};

pub use command::ReceiptArguments;
pub use error::ReceiptError;
pub use quoted::Quoted;

use crate::chain::Chain;
use crate::session::{Session, VerifiedBody};
use document::Inclusion;

/// A receipt by the key of an attested node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerReceipt {
    /// Id of the answer.
    pub id: String,
    /// What the node says.
    pub receipt: Receipt,
    /// Over [`Receipt::digest`]; none where the node's launch document names no contract to sign for.
    pub signature: Option<Signature>,
    /// Account of the node's key of this boot.
    pub signer: Account,
    /// Chain, and `AttestedKeyRegistry`, for which receipts are signed.
    pub at: Option<At>,
    inclusion: Option<Inclusion>,
}

impl AnswerReceipt {
    /// Asks the node for the receipt of an answer.
    ///
    /// # Errors
    /// [`ReceiptError`] where there is none, or where it isn't what the attested node's own key says of this answer.
    pub async fn fetch(session: &mut Session, id: &str) -> Result<Self, ReceiptError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if id.is_empty() || id.len() > document::MAX_ID || !id.bytes().all(plain) {
            return Err(ReceiptError::Id);
        }
        let path = format!("/v1/receipts/{id}");
        let answer = session.request(Method::GET, &path, HeaderMap::new(), Bytes::new());
        let answer = answer.await?;
        let body = match (answer.status, answer.body) {
            (StatusCode::OK, VerifiedBody::Whole(body)) => body,
            (StatusCode::NOT_FOUND, _) => return Err(ReceiptError::NotFound(id.to_owned())),
            (status, _) => return Err(ReceiptError::NotServed(status)),
        };
        let receipt = document::parse(&body)?;
        // The document was appraised, so it can be read.
        let launch = LaunchDocument::parse(session.launch()).map_err(|_| ReceiptError::Malformed)?;
        receipt.check(id, session.claims(), &launch)?;
        Ok(receipt)
    }

    fn check(&self, id: &str, claims: &Claims, launch: &LaunchDocument) -> Result<(), ReceiptError> {
        if self.id != id {
            return Err(ReceiptError::OtherAnswer);
        }
        if account_of_public(&claims.evm) != Some(self.signer) {
            return Err(ReceiptError::OtherSigner);
        }
        let differs = [
            ("agent", self.receipt.agent != claims.agent),
            ("boot", self.receipt.boot != claims.boot),
            ("epoch", self.receipt.epoch > claims.epoch.into()),
        ];
        if let Some((what, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            return Err(ReceiptError::OtherNode(what));
        }
        let at = launch.receipts.as_ref().map(|receipts| At {
            chain_id: claims.chain.0,
            contract: Account(receipts.keys.0),
        });
        if self.at != at {
            return Err(ReceiptError::OtherContract);
        }
        match (at, self.signature) {
            (None, None) => Ok(()),
            (Some(at), Some(signature)) => match signature.recover(&self.receipt.digest(&at)) {
                Ok(signer) if signer == self.signer => Ok(()),
                _ => Err(ReceiptError::Signature),
            },
            _ => Err(ReceiptError::Malformed),
        }
    }

    /// Whether it is for this request, of which the SHA-256 is given.
    ///
    /// # Errors
    /// [`ReceiptError::OtherRequest`].
    pub fn of_request(&self, digest: &[u8; 32]) -> Result<(), ReceiptError> {
        match self.receipt.request_digest == *digest {
            true => Ok(()),
            false => Err(ReceiptError::OtherRequest),
        }
    }

    /// Whether it is for this response, of which the SHA-256 is given: of a stream, of what its signed end covers.
    ///
    /// # Errors
    /// [`ReceiptError::OtherResponse`].
    pub fn of_response(&self, digest: &[u8; 32]) -> Result<(), ReceiptError> {
        match self.receipt.response_digest == *digest {
            true => Ok(()),
            false => Err(ReceiptError::OtherResponse),
        }
    }

    /// Whether `AttestedKeyRegistry` at `keys` takes it now: the key is registered for the agent, and everything that this
    /// rests on still stands.
    ///
    /// # Errors
    /// [`ReceiptError`] where it doesn't, or can't be asked.
    pub async fn on_chain(&self, chain: &Chain, keys: &[u8; 20]) -> Result<(), ReceiptError> {
        let (Some(at), Some(signature)) = (self.at, self.signature) else {
            return Err(ReceiptError::NotSigned);
        };
        if (at.chain_id, at.contract.0) != (chain.chain_id, *keys) {
            return Err(ReceiptError::OtherContract);
        }
        let block = chain.reader.newest_block().await?;
        let digest = self.receipt.digest(&at);
        let signer = chain
            .reader
            .attested_signer_at(&block, keys, &digest, &signature.0);
        match signer.await? {
            Some(signer) if (signer.key, signer.agent) == (self.signer.0, self.receipt.agent) => Ok(()),
            _ => Err(ReceiptError::KeyNotLive),
        }
    }
}
