//! The node's document about an answer, read strictly.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{At, Receipt};
use jeju_wallet_auth::signature::Signature;
use serde::Deserialize;

use super::{AnswerReceipt, ReceiptError};

/// Longest id of an answer, in bytes.
pub(super) const MAX_ID: usize = 96;

#[derive(Deserialize)]
struct Document {
    id: String,
    receipt: Shown,
    inclusion: Option<Inclusion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    agent_id: HexBytes<32>,
    boot: HexBytes<16>,
    request_id: HexBytes<32>,
    request_digest: HexBytes<32>,
    response_digest: HexBytes<32>,
    input_units: u64,
    output_units: u64,
    epoch: u64,
    anchor_block: u64,
    signature: Option<String>,
    signer: String,
    chain_id: Option<u64>,
    keys: Option<String>,
}

/// Where the answer stands in the tree that a later quote carries.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Inclusion {
    pub(super) epoch: u32,
    pub(super) count: u32,
    pub(super) root: HexBytes<32>,
    pub(super) index: u64,
    pub(super) path: Vec<HexBytes<32>>,
    pub(super) evidence: String,
}

/// Reads what `GET /v1/receipts/{id}` answers. Nothing is checked yet.
///
/// # Errors
/// [`ReceiptError::Malformed`].
pub(super) fn parse(body: &[u8]) -> Result<AnswerReceipt, ReceiptError> {
    let malformed = || ReceiptError::Malformed;
    let document: Document = serde_json::from_slice(body).map_err(|_| malformed())?;
    let shown = document.receipt;
    let account = |text: &str| text.parse::<Account>().map_err(|_| malformed());
    let at = match (shown.chain_id, &shown.keys) {
        (Some(chain_id), Some(keys)) => Some(At {
            chain_id,
            contract: account(keys)?,
        }),
        (None, None) => None,
        _ => return Err(malformed()),
    };
    let signature = shown.signature.as_deref().map(Signature::parse).transpose();
    Ok(AnswerReceipt {
        id: document.id,
        receipt: Receipt {
            agent: shown.agent_id.0,
            boot: shown.boot.0,
            request_id: shown.request_id.0,
            request_digest: shown.request_digest.0,
            response_digest: shown.response_digest.0,
            input_units: shown.input_units,
            output_units: shown.output_units,
            epoch: shown.epoch,
            anchor_block: shown.anchor_block,
        },
        signature: signature.map_err(|_| malformed())?,
        signer: account(&shown.signer)?,
        at,
        inclusion: document.inclusion,
    })
}
