//! A later quote that vouches for an answer: by the root of a tree in its claims, and the answer's place in that tree.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::{ClaimsBuffer, Receipts};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::merkle::root_of;
use jeju_attestation::receipts::Leaf;
use jeju_attestation::rejection::Rejection;
use serde::Serialize;

use super::document::Inclusion;
use super::{AnswerReceipt, ReceiptError};
use crate::relying_party::RelyingParty;
use crate::session::{Session, VerifiedBody, unix_now};

const EVIDENCE: &str = "/.well-known/jeju/evidence/";

/// What the quote says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quoted {
    /// Epoch in which the answer ended.
    pub epoch: u32,
    /// Answers of that epoch.
    pub count: u32,
    /// Root over them.
    pub root: HexBytes<32>,
    /// Place of the answer, from 0.
    pub index: u64,
    /// SHA-256 of the evidence bundle.
    pub evidence: HexBytes<32>,
}

impl AnswerReceipt {
    /// Verifies the quote that carries the answer's tree, by all of the policy but freshness. `None` while there is none:
    /// the epoch in which the answer ended runs still.
    ///
    /// # Errors
    /// [`ReceiptError`] where the node says that there is one and it doesn't vouch for the answer.
    pub async fn quoted(
        &self,
        session: &mut Session,
        party: &RelyingParty,
    ) -> Result<Option<Quoted>, ReceiptError> {
        let Some(inclusion) = &self.inclusion else {
            return Ok(None);
        };
        let root = self.root(inclusion).ok_or(ReceiptError::Path)?;
        let (digest, bundle) = bundle(session, &inclusion.evidence).await?;
        party.appraise_saved(&bundle, unix_now()).await?;
        let claims = ClaimsBuffer::parse(&bundle.claims).map_err(Rejection::from)?;
        let claims = claims.claims();
        if (claims.boot, claims.evm) != (self.receipt.boot, session.claims().evm) {
            return Err(ReceiptError::OtherNode("quote"));
        }
        let receipts = Receipts {
            epoch: inclusion.epoch,
            count: inclusion.count,
            root,
        };
        if claims.receipts != receipts {
            return Err(ReceiptError::Path);
        }
        Ok(Some(Quoted {
            epoch: inclusion.epoch,
            count: inclusion.count,
            root: HexBytes(root),
            index: inclusion.index,
            evidence: HexBytes(digest),
        }))
    }

    /// The root that the answer's leaf leads to.
    fn root(&self, inclusion: &Inclusion) -> Option<[u8; 32]> {
        let leaf = Leaf {
            id: &self.id,
            request_id: &self.receipt.request_id,
            request_digest: &self.receipt.request_digest,
            response_digest: &self.receipt.response_digest,
            input_units: self.receipt.input_units,
            output_units: self.receipt.output_units,
            epoch: self.receipt.epoch,
        };
        let path: Vec<[u8; 32]> = inclusion.path.iter().map(|hash| hash.0).collect();
        let root = root_of(&leaf.hash(), inclusion.index, inclusion.count.into(), &path)?;
        (root == inclusion.root.0).then_some(root)
    }
}

/// The bundle at a path that the node named, and its digest, which the path has.
async fn bundle(session: &mut Session, path: &str) -> Result<([u8; 32], Bundle), ReceiptError> {
    let mut digest = [0; 32];
    path.strip_prefix(EVIDENCE)
        .and_then(|digits| hex::decode_to_slice(digits, &mut digest).ok())
        .ok_or(ReceiptError::Malformed)?;
    let answer = session.request(Method::GET, path, HeaderMap::new(), Bytes::new());
    let answer = answer.await?;
    match (answer.status, answer.body) {
        (StatusCode::OK, VerifiedBody::Whole(bytes)) if Bundle::digest(&bytes) == digest => {
            Ok((digest, Bundle::parse(&bytes).map_err(Rejection::from)?))
        }
        (StatusCode::OK, _) => Err(Rejection::BundleDigest.into()),
        (status, _) => Err(ReceiptError::NoEvidence(status)),
    }
}
