//! Receipts: what the boot's secp256k1 key says of an answer, on demand, and what a later quote says of it.
//!
//! A request carries a [`Slip`]. Whoever answers notes id and usage on it, and [`super::signing`], which knows the bytes
//! that were sent, makes a record of it ([`Receipts::record`]). Records are kept in memory, the newest [`KEPT`] of them,
//! and each is a leaf of the tree of its epoch ([`trees`]). Signatures are made when they are asked for: the signer is
//! deterministic, and a record never changes, so there is one receipt for each answer however often it is fetched.

mod slip;
mod trees;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jeju_attestation::claims;
use jeju_attestation::hash::sha256;
use jeju_attestation::receipts::Leaf;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{At, Receipt};
use jeju_wallet_auth::signature::{Signature, text_digest};
use serde_json::{Value, json};

use super::epoch::{Epoch, Quoted};
use super::identity::{Identity, random};

use slip::Answered;
use trees::{Place, Trees};

pub(super) use slip::{Pending, Slip};
pub(super) use trees::Inclusion;

/// Records that are kept.
const KEPT: usize = 16_384;

/// What is known of one answer.
#[derive(Debug)]
struct Record {
    /// SHA-256 of the answer's id in the API. The id itself isn't kept: who knows it may ask.
    id: [u8; 32],
    receipt: Receipt,
    /// Where it stands among its epoch's leaves; none where there was no room.
    place: Option<Place>,
}

/// All receipts of a boot.
pub(super) struct Receipts {
    identity: Arc<Identity>,
    /// For which contract receipts are signed, where there is one.
    at: Option<At>,
    records: Mutex<Records>,
    trees: Mutex<Trees>,
}

#[derive(Default)]
struct Records {
    by_id: HashMap<[u8; 32], Arc<Record>>,
    /// The newest of each response.
    by_response: HashMap<[u8; 32], Arc<Record>>,
    /// Oldest first.
    order: VecDeque<Arc<Record>>,
}

/// A receipt with its signature, where receipts are signed for a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) receipt: Receipt,
    pub(super) signature: Option<Signature>,
    /// Account of the boot's key.
    pub(super) signer: Account,
    /// Chain, and contract that keeps attested keys.
    pub(super) at: Option<At>,
}

impl Receipts {
    /// `keys`: `AttestedKeyRegistry`, whose domain receipts are signed for.
    pub(super) fn new(identity: Arc<Identity>, keys: Option<[u8; 20]>) -> Self {
        let at = keys.map(|keys| At {
            chain_id: identity.chain.0,
            contract: Account(keys),
        });
        Self {
            identity,
            at,
            records: Mutex::default(),
            trees: Mutex::default(),
        }
    }

    /// The receipt of the answer with this id.
    pub(super) fn of_answer(&self, id: &str) -> Option<Signed> {
        let record = self.records().by_id.get(&sha256(id.as_bytes())).cloned()?;
        Some(self.signed(&record))
    }

    /// The newest receipt for a response: SHA-256 of its body; of a stream, what its signed end covers.
    pub(super) fn of_response(&self, digest: &[u8; 32]) -> Option<Signed> {
        let record = self.records().by_response.get(digest).cloned()?;
        Some(self.signed(&record))
    }

    /// What proves that a quote vouches for the answer with this id, once one does.
    pub(super) fn inclusion(&self, id: &str) -> Option<Inclusion> {
        let place = self.records().by_id.get(&sha256(id.as_bytes()))?.place?;
        self.trees().inclusion(place)
    }

    /// NEAR's text about an answer, and the signature over it (EIP-191).
    pub(super) fn text(&self, receipt: &Receipt) -> (String, Signature) {
        let text = format!(
            "{}:{}",
            hex::encode(receipt.request_digest),
            hex::encode(receipt.response_digest)
        );
        let signature = self.identity.sign(&text_digest(&text));
        (text, signature)
    }

    /// Makes the record of an answer whose last byte is known.
    fn record(&self, answered: Answered, request_digest: [u8; 32], response_digest: [u8; 32], epoch: &Epoch) {
        // Two receipts for one id are an offence of the provider (`SlashingCourt`): without a new one there is none.
        let Ok(request_id) = random::<32>() else { return };
        let receipt = Receipt {
            agent: self.identity.agent,
            boot: self.identity.boot,
            request_id,
            request_digest,
            response_digest,
            input_units: answered.input_units,
            output_units: answered.output_units,
            epoch: epoch.reference.epoch.into(),
            anchor_block: epoch.anchor.block.number,
        };
        self.keep(&answered.id, receipt);
    }

    fn keep(&self, id: &str, receipt: Receipt) {
        let mut records = self.records();
        let hashed = sha256(id.as_bytes());
        if records.by_id.contains_key(&hashed) {
            return;
        }
        let leaf = Leaf {
            id,
            request_id: &receipt.request_id,
            request_digest: &receipt.request_digest,
            response_digest: &receipt.response_digest,
            input_units: receipt.input_units,
            output_units: receipt.output_units,
            epoch: receipt.epoch,
        };
        let place = self.trees().add(leaf.hash());
        records.add(Arc::new(Record {
            id: hashed,
            receipt,
            place,
        }));
    }

    /// Closes the tree of an epoch; the next epoch's quote carries what this returns. Answers that end from now on are
    /// leaves of the next tree. Asked again for the same epoch, it says the same.
    pub(super) fn close(&self, epoch: u32) -> claims::Receipts {
        self.trees().close(epoch)
    }

    /// Keeps the evidence whose claims carry the tree of `epoch`.
    pub(super) fn quoted(&self, epoch: u32, quoted: &Quoted) {
        self.trees().quoted(epoch, quoted.digest, quoted.bundle.clone());
    }

    /// A bundle that was kept for a tree.
    pub(super) fn bundle(&self, digest: &[u8; 32]) -> Option<Bytes> {
        self.trees().bundle(digest)
    }

    fn signed(&self, record: &Record) -> Signed {
        Signed {
            receipt: record.receipt,
            signature: self.at.map(|at| self.identity.sign(&record.receipt.digest(&at))),
            signer: Account(self.identity.evm_address()),
            at: self.at,
        }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trees(&self) -> MutexGuard<'_, Trees> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    fn add(&mut self, record: Arc<Record>) {
        if self.order.len() == KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest.id);
            let digest = oldest.receipt.response_digest;
            if self
                .by_response
                .get(&digest)
                .is_some_and(|kept| Arc::ptr_eq(kept, &oldest))
            {
                self.by_response.remove(&digest);
            }
        }
        self.by_id.insert(record.id, record.clone());
        self.by_response
            .insert(record.receipt.response_digest, record.clone());
        self.order.push_back(record);
    }
}

impl Signed {
    /// The receipt as the API shows it, with what is needed to check it on chain.
    pub(super) fn json(&self) -> Value {
        let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
        let receipt = &self.receipt;
        json!({
            "agentId": hex(&receipt.agent),
            "boot": hex(&receipt.boot),
            "requestId": hex(&receipt.request_id),
            "requestDigest": hex(&receipt.request_digest),
            "responseDigest": hex(&receipt.response_digest),
            "inputUnits": receipt.input_units,
            "outputUnits": receipt.output_units,
            "epoch": receipt.epoch,
            "anchorBlock": receipt.anchor_block,
            "signature": self.signature.map(|signature| signature.to_string()),
            "signer": self.signer.to_string(),
            "chainId": self.at.map(|at| at.chain_id),
            "keys": self.at.map(|at| at.contract.to_string()),
        })
    }
}

#[cfg(test)]
mod tests;
