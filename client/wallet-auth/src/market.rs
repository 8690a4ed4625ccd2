//! What is signed of payments, as `InferenceServing` and `AttestedKeyRegistry` read it (EIP-712).
//!
//! | message | signed by | means |
//! |---|---|---|
//! | [`Voucher`] | the user | pays a provider `cumulative` wei altogether, of which the newest voucher replaces all before |
//! | [`Settlement`] | the provider, or the signer that it named | asks a user for the price of one answer |
//! | [`Receipt`] | the enclave's key of the boot | attests to one answer and its usage |
//!
//! All amounts are in wei. The vouchers of other contracts have another domain, and aren't these.

mod voucher_text;

use crate::account::Account;
use crate::eip712::{Domain, address, amount, hash_struct, number};

pub use voucher_text::{MAX_VOUCHER_TEXT, SignedVoucher, VoucherTextError};

/// Name of the domain of vouchers and settlements.
pub const SERVING_NAME: &str = "Jeju InferenceServing";
/// Name of the domain of receipts.
pub const RECEIPT_NAME: &str = "Jeju Receipt";
/// Version of both domains.
pub const DOMAIN_VERSION: &str = "1";
/// Type of a voucher, as EIP-712 encodes it.
pub const VOUCHER_TYPE: &str = "Voucher(address user,address provider,uint256 cumulative,uint64 sequence,bytes32 requestDigest,bytes32 responseDigest,uint64 expiry)";
/// Type of a settlement, as EIP-712 encodes it.
pub const SETTLEMENT_TYPE: &str = "Settlement(address user,address provider,uint256 service,bytes32 requestHash,uint256 inputTokens,uint256 outputTokens,uint256 nonce)";
/// Type of a receipt, as EIP-712 encodes it.
pub const RECEIPT_TYPE: &str = "Receipt(uint256 agentId,bytes16 boot,bytes32 requestId,bytes32 requestDigest,bytes32 responseDigest,uint64 inputUnits,uint64 outputUnits,uint64 epoch,uint64 anchorBlock)";

/// The contract that a signature is for: the same message means nothing to another one, or on another chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Chain id.
    pub chain_id: u64,
    /// `InferenceServing` for vouchers and settlements, `AttestedKeyRegistry` for receipts.
    pub contract: Account,
}

impl At {
    fn domain(&self, name: &'static str) -> Domain<'static> {
        Domain {
            name,
            version: DOMAIN_VERSION,
            chain_id: self.chain_id,
            contract: self.contract,
        }
    }
}

/// A user's promise to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voucher {
    /// Who pays.
    pub user: Account,
    /// Who earns.
    pub provider: Account,
    /// All that the user ever promised the provider by vouchers, in wei.
    pub cumulative: u128,
    /// Grows with each voucher.
    pub sequence: u64,
    /// Digest of the last request paid for.
    pub request_digest: [u8; 32],
    /// Digest of its response.
    pub response_digest: [u8; 32],
    /// Unix seconds after which it is worth nothing.
    pub expiry: u64,
}

impl Voucher {
    /// What the user signs: `voucherDigest` of the contract.
    pub fn digest(&self, serving: &At) -> [u8; 32] {
        let message = hash_struct(
            VOUCHER_TYPE,
            &[
                address(&self.user),
                address(&self.provider),
                amount(self.cumulative),
                number(self.sequence),
                self.request_digest,
                self.response_digest,
                number(self.expiry),
            ],
        );
        serving.domain(SERVING_NAME).digest(&message)
    }
}

/// What a provider asks of a user for one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// Who pays.
    pub user: Account,
    /// Who earns.
    pub provider: Account,
    /// Index of the service, whose price never changes.
    pub service: u64,
    /// What is paid for.
    pub request_hash: [u8; 32],
    /// Tokens of the request.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// `getNonce(user, provider)`.
    pub nonce: u64,
}

impl Settlement {
    /// What the provider or its signer signs: `settlementDigest` of the contract.
    pub fn digest(&self, serving: &At) -> [u8; 32] {
        let message = hash_struct(
            SETTLEMENT_TYPE,
            &[
                address(&self.user),
                address(&self.provider),
                number(self.service),
                self.request_hash,
                number(self.input_tokens),
                number(self.output_tokens),
                number(self.nonce),
            ],
        );
        serving.domain(SERVING_NAME).digest(&message)
    }
}

/// What an enclave says of one paid answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Agent that answered.
    pub agent: [u8; 32],
    /// Random bytes of the enclave's boot.
    pub boot: [u8; 16],
    /// Made by the enclave, for one answer only.
    pub request_id: [u8; 32],
    /// Digest of the request as the enclave read it.
    pub request_digest: [u8; 32],
    /// Digest of the answer as the enclave wrote it.
    pub response_digest: [u8; 32],
    /// Tokens of the request.
    pub input_units: u64,
    /// Tokens of the answer.
    pub output_units: u64,
    /// Epoch of the boot, from 0.
    pub epoch: u64,
    /// Number of the newest block that the enclave had seen when the epoch began.
    pub anchor_block: u64,
}

impl Receipt {
    /// What the enclave's key signs: `Receipts.digest` of the contract.
    pub fn digest(&self, attested_keys: &At) -> [u8; 32] {
        let mut boot = [0; 32];
        // Bytes of a fixed length stand at a word's beginning.
        boot[..16].copy_from_slice(&self.boot);
        let message = hash_struct(
            RECEIPT_TYPE,
            &[
                self.agent,
                boot,
                self.request_id,
                self.request_digest,
                self.response_digest,
                number(self.input_units),
                number(self.output_units),
                number(self.epoch),
                number(self.anchor_block),
            ],
        );
        attested_keys.domain(RECEIPT_NAME).digest(&message)
    }
}

/// What an answer costs, in wei: `None` where that is more than a `u128` holds.
pub fn cost(
    input_tokens: u64,
    output_tokens: u64,
    price_per_input_token: u128,
    price_per_output_token: u128,
) -> Option<u128> {
    let input = price_per_input_token.checked_mul(input_tokens.into())?;
    input.checked_add(price_per_output_token.checked_mul(output_tokens.into())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_that_do_not_fit_have_no_number() {
        assert_eq!(cost(3, 2, 10, 100), Some(230));
        assert_eq!(cost(0, 0, u128::MAX, u128::MAX), Some(0));
        assert_eq!(cost(2, 0, u128::MAX, 0), None);
        assert_eq!(cost(1, 1, u128::MAX, 1), None);
    }
}
