//! The transactions of `InferenceServing`: what providers offer, and what pays them.
//!
//! What users and providers sign is encoded in `jeju-wallet-auth`; here it only travels.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolEvent;
use jeju_chain::RpcError;

use crate::bindings::InferenceServing::{
    self, deactivateServiceCall, reactivateServiceCall, registerServiceCall, setSignerCall, settleCall,
    settleServiceCall, settleVoucherCall, settleVoucherWithReceiptCall,
};
use crate::sender::{Receipt, SendError, Sender, logs};

/// A user's promise, as it is submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voucher {
    /// Who pays.
    pub user: Address,
    /// Who earns.
    pub provider: Address,
    /// All that the user ever promised the provider by vouchers, in wei.
    pub cumulative: u128,
    /// Grows with each voucher.
    pub sequence: u64,
    /// Digest of the last request paid for.
    pub request_digest: B256,
    /// Digest of its response.
    pub response_digest: B256,
    /// Unix seconds after which it is worth nothing.
    pub expiry: u64,
}

/// What an enclave says of one paid answer, as it is submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageReceipt {
    /// Agent that answered.
    pub agent: B256,
    /// Random bytes of the enclave's boot.
    pub boot: [u8; 16],
    /// Made by the enclave, for one answer only.
    pub request_id: B256,
    /// Digest of the request as the enclave read it.
    pub request_digest: B256,
    /// Digest of the answer as the enclave wrote it.
    pub response_digest: B256,
    /// Tokens of the request.
    pub input_units: u64,
    /// Tokens of the answer.
    pub output_units: u64,
    /// Epoch of the boot, from 0.
    pub epoch: u64,
    /// Number of the newest block that the enclave had seen when the epoch began.
    pub anchor_block: u64,
}

/// What a provider asks for one answer, as the user submits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// Who earns.
    pub provider: Address,
    /// What is paid for.
    pub request_hash: B256,
    /// Tokens of the request.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// `getNonce(user, provider)`.
    pub nonce: u64,
}

/// Offers a model at a price. Returns the service's index, as the contract's event names it.
///
/// # Errors
/// Any of [`SendError`].
pub async fn register_service(
    sender: &Sender<'_>,
    serving: Address,
    model: &str,
    endpoint: &str,
    price_per_input_token: u128,
    price_per_output_token: u128,
) -> Result<(u64, Receipt), SendError> {
    let call = registerServiceCall {
        model: model.to_owned(),
        endpoint: endpoint.to_owned(),
        pricePerInputToken: U256::from(price_per_input_token),
        pricePerOutputToken: U256::from(price_per_output_token),
    };
    let receipt = sender.call(serving, &call).await?;
    let event = InferenceServing::ServiceRegistered::SIGNATURE_HASH;
    for log in logs(sender.rpc(), receipt.transaction).await? {
        if log.address == serving
            && let [topic, by] = log.topics[..]
            && topic == event
            && by == sender.account().into_word()
            && let Some(index) = log.data.first_chunk::<32>()
            && let Ok(index) = U256::from_be_bytes(*index).try_into()
        {
            return Ok((index, receipt));
        }
    }
    Err(RpcError::Malformed("receipt without the service's event").into())
}

/// Ends a service of the account, or puts it on offer again.
///
/// # Errors
/// Any of [`SendError`].
pub async fn set_service_active(
    sender: &Sender<'_>,
    serving: Address,
    index: u64,
    active: bool,
) -> Result<Receipt, SendError> {
    let index = U256::from(index);
    match active {
        true => {
            let call = reactivateServiceCall { serviceIndex: index };
            sender.call(serving, &call).await
        }
        false => {
            let call = deactivateServiceCall { serviceIndex: index };
            sender.call(serving, &call).await
        }
    }
}

/// Names the account that signs the settlements of this one, a provider; `None`: itself. What the last one signed is no
/// longer accepted.
///
/// # Errors
/// Any of [`SendError`].
pub async fn set_signer(
    sender: &Sender<'_>,
    serving: Address,
    signer: Option<Address>,
) -> Result<Receipt, SendError> {
    let signer = signer.unwrap_or(Address::ZERO);
    sender.call(serving, &setSignerCall { signer }).await
}

/// Submits a voucher: pays what it promises beyond what was paid, as far as the user's sub-account goes. Anyone may.
///
/// # Errors
/// Any of [`SendError`].
pub async fn settle_voucher(
    sender: &Sender<'_>,
    serving: Address,
    voucher: &Voucher,
    signature: &[u8],
) -> Result<Receipt, SendError> {
    let call = settleVoucherCall {
        voucher: voucher.into(),
        signature: Bytes::copy_from_slice(signature),
    };
    sender.call(serving, &call).await
}

/// The same with the enclave's receipt of the last answer, which puts the answer's usage on the agent's record.
///
/// # Errors
/// Any of [`SendError`].
pub async fn settle_voucher_with_receipt(
    sender: &Sender<'_>,
    serving: Address,
    voucher: &Voucher,
    signature: &[u8],
    receipt: &UsageReceipt,
    receipt_signature: &[u8],
) -> Result<Receipt, SendError> {
    let call = settleVoucherWithReceiptCall {
        voucher: voucher.into(),
        signature: Bytes::copy_from_slice(signature),
        receipt: receipt.into(),
        receiptSignature: Bytes::copy_from_slice(receipt_signature),
    };
    sender.call(serving, &call).await
}

/// Pays for one answer, at the price of `service`, or of the provider's first active service where that is `None`: what
/// the provider signed names one of them. The account is the user.
///
/// # Errors
/// Any of [`SendError`].
pub async fn settle(
    sender: &Sender<'_>,
    serving: Address,
    service: Option<u64>,
    settlement: &Settlement,
    signature: &[u8],
) -> Result<Receipt, SendError> {
    let Settlement {
        provider,
        request_hash,
        input_tokens,
        output_tokens,
        nonce,
    } = *settlement;
    let (input_tokens, output_tokens) = (U256::from(input_tokens), U256::from(output_tokens));
    let (nonce, signature) = (U256::from(nonce), Bytes::copy_from_slice(signature));
    match service {
        None => {
            let call = settleCall {
                provider,
                requestHash: request_hash,
                inputTokens: input_tokens,
                outputTokens: output_tokens,
                nonce,
                signature,
            };
            sender.call(serving, &call).await
        }
        Some(service) => {
            let call = settleServiceCall {
                provider,
                service: U256::from(service),
                requestHash: request_hash,
                inputTokens: input_tokens,
                outputTokens: output_tokens,
                nonce,
                signature,
            };
            sender.call(serving, &call).await
        }
    }
}

impl From<&Voucher> for InferenceServing::Voucher {
    fn from(voucher: &Voucher) -> Self {
        Self {
            user: voucher.user,
            provider: voucher.provider,
            cumulative: U256::from(voucher.cumulative),
            sequence: voucher.sequence,
            requestDigest: voucher.request_digest,
            responseDigest: voucher.response_digest,
            expiry: voucher.expiry,
        }
    }
}

impl From<&UsageReceipt> for InferenceServing::Receipt {
    fn from(receipt: &UsageReceipt) -> Self {
        Self {
            agentId: receipt.agent.into(),
            boot: receipt.boot.into(),
            requestId: receipt.request_id,
            requestDigest: receipt.request_digest,
            responseDigest: receipt.response_digest,
            inputUnits: receipt.input_units,
            outputUnits: receipt.output_units,
            epoch: receipt.epoch,
            anchorBlock: receipt.anchor_block,
        }
    }
}
