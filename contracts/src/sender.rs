//! Signs transactions with a local key and sees them through to their receipt.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use alloy::consensus::{SignableTransaction, TxEip1559};
use alloy::primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy::sol_types::SolCall;
use jeju_chain::{RpcClient, RpcError, parse_quantity, parse_word};
use k256::ecdsa::SigningKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::refusal;

/// Most gas that one transaction may use (EIP-7825).
pub const MAX_TRANSACTION_GAS: u64 = 1 << 24;

/// How long a receipt is waited for: a few blocks of the slowest chain that is deployed to.
const RECEIPT_WAIT: Duration = Duration::from_secs(180);
const RECEIPT_POLL: Duration = Duration::from_millis(200);

/// A secp256k1 key of an account. Never shown; k256 wipes it on drop.
#[derive(Clone)]
pub struct AccountKey(SigningKey);

impl AccountKey {
    /// The account's address.
    pub fn address(&self) -> Address {
        let point = self.0.verifying_key().to_sec1_point(false);
        Address::from_raw_public_key(&point.as_bytes()[1..])
    }

    /// From 32 bytes, big-endian.
    ///
    /// # Errors
    /// [`SendError::Key`]: not a number between 1 and the group's order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SendError> {
        SigningKey::from_slice(bytes)
            .map(Self)
            .map_err(|_| SendError::Key)
    }

    fn sign(&self, hash: &B256) -> Signature {
        let (signature, recovery) = self.0.sign_prehash_recoverable(hash.as_slice());
        let (r, s) = signature.split_bytes();
        Signature::new(
            U256::from_be_slice(&r),
            U256::from_be_slice(&s),
            recovery.is_y_odd(),
        )
    }
}

impl FromStr for AccountKey {
    type Err = SendError;

    /// Parses 32 bytes in hex, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, SendError> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim().trim_start_matches("0x"), bytes.as_mut_slice())
            .map_err(|_| SendError::Key)?;
        Self::from_bytes(&bytes)
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({})", self.address())
    }
}

/// What a transaction pays for gas at most, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    /// In all.
    pub most: u128,
    /// Of that to whoever makes the block.
    pub tip: u128,
}

impl Fees {
    /// A quarter more: nodes take a transaction in another's place for a tenth more of both.
    #[must_use]
    pub fn raised(self) -> Self {
        let more = |fee: u128| fee.saturating_add(fee / 4).saturating_add(1);
        Self {
            most: more(self.most),
            tip: more(self.tip),
        }
    }

    /// The higher ones of both.
    #[must_use]
    pub fn or_higher(self, other: Self) -> Self {
        Self {
            most: self.most.max(other.most),
            tip: self.tip.max(other.tip),
        }
    }

    /// So many times as much.
    #[must_use]
    pub fn times(self, factor: u128) -> Self {
        Self {
            most: self.most.saturating_mul(factor),
            tip: self.tip.saturating_mul(factor),
        }
    }
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Transaction hash.
    pub transaction: B256,
    /// Number of the block that holds it.
    pub block: u64,
    /// Gas used.
    pub gas_used: u64,
}

/// Why a transaction wasn't carried out.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The key isn't 32 bytes of hex, or is no secp256k1 scalar.
    #[error("not a private key: 32 bytes in hex are expected")]
    Key,
    /// The node couldn't be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The contract refuses the call: the name of its error, and what it says.
    #[error("refused by the contract: {0}")]
    Refused(String),
    /// The call needs more gas than a transaction may use.
    #[error("needs {0} gas, more than the {MAX_TRANSACTION_GAS} that a transaction may use")]
    TooMuchGas(u64),
    /// It was included, and failed.
    #[error("transaction {0} was included but reverted")]
    Reverted(B256),
    /// It wasn't included in time. It may still be.
    #[error("transaction {0} has no receipt yet")]
    NoReceipt(B256),
}

impl SendError {
    /// Whether the contract refused the call with its error of this name.
    pub fn is_refusal(&self, name: &str) -> bool {
        match self {
            Self::Refused(reason) => reason.split([' ', '(']).next() == Some(name),
            _ => false,
        }
    }
}

/// Sends transactions of one account.
pub struct Sender<'a> {
    rpc: &'a RpcClient,
    key: &'a AccountKey,
    chain_id: u64,
    nonce: Option<u64>,
    fees: Option<Fees>,
    replaces: bool,
    wait: Duration,
}

impl<'a> Sender<'a> {
    /// A sender on the chain `chain_id`, which every signature covers.
    pub fn new(rpc: &'a RpcClient, key: &'a AccountKey, chain_id: u64) -> Self {
        Self {
            rpc,
            key,
            chain_id,
            nonce: None,
            fees: None,
            replaces: false,
            wait: RECEIPT_WAIT,
        }
    }

    /// The same with this number of the account's next transaction, not the next one after all that wait for inclusion.
    /// However often something is sent with one number, it is carried out once at most.
    pub fn with_nonce(self, nonce: u64) -> Self {
        Self {
            nonce: Some(nonce),
            ..self
        }
    }

    /// The same that pays these fees, not those of the moment.
    #[must_use]
    pub fn with_fees(self, fees: Fees) -> Self {
        Self {
            fees: Some(fees),
            ..self
        }
    }

    /// The same that sends what one that waits with the same number does already, in its place.
    #[must_use]
    pub fn in_place(self) -> Self {
        Self {
            replaces: true,
            ..self
        }
    }

    /// The same that waits so long for a receipt.
    #[must_use]
    pub fn waiting(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// The fees of the moment, with room for the base fee to double.
    ///
    /// # Errors
    /// [`SendError::Rpc`].
    pub async fn fees(&self) -> Result<Fees, SendError> {
        let latest: BaseFee = self
            .rpc
            .call("eth_getBlockByNumber", json!(["latest", false]))
            .await?;
        let base_fee = parse_quantity(&latest.base_fee_per_gas).map_err(|_| malformed("base fee"))?;
        let tip = quantity(self.rpc, "eth_maxPriorityFeePerGas", json!([])).await?;
        Ok(Fees {
            most: 2 * u128::from(base_fee) + u128::from(tip),
            tip: tip.into(),
        })
    }

    /// The account.
    pub fn account(&self) -> Address {
        self.key.address()
    }

    /// The node that is asked.
    pub fn rpc(&self) -> &RpcClient {
        self.rpc
    }

    /// Calls a contract.
    pub async fn call<C: SolCall>(&self, to: Address, call: &C) -> Result<Receipt, SendError> {
        self.pay(to, call, U256::ZERO).await
    }

    /// Calls a contract with `value` wei.
    pub async fn pay<C: SolCall>(&self, to: Address, call: &C, value: U256) -> Result<Receipt, SendError> {
        self.send_value(to, call.abi_encode().into(), value).await
    }

    /// Sends `input` to `to` and waits for the receipt.
    pub async fn send(&self, to: Address, input: Bytes) -> Result<Receipt, SendError> {
        self.send_value(to, input, U256::ZERO).await
    }

    /// Sends `input` and `value` wei to `to` and waits for the receipt.
    pub async fn send_value(&self, to: Address, input: Bytes, value: U256) -> Result<Receipt, SendError> {
        let from = self.key.address();
        let call = json!({ "from": from, "to": to, "input": input, "value": value });
        let state = match self.replaces {
            // In the pending one it was carried out already.
            true => json!([call, "latest"]),
            false => json!([call]),
        };
        let estimate = quantity(self.rpc, "eth_estimateGas", state)
            .await
            .map_err(refused)?;
        if estimate > MAX_TRANSACTION_GAS {
            return Err(SendError::TooMuchGas(estimate));
        }
        let fees = match self.fees {
            Some(fees) => fees,
            None => self.fees().await?,
        };
        let nonce = match self.nonce {
            Some(nonce) => nonce,
            None => quantity(self.rpc, "eth_getTransactionCount", json!([from, "pending"])).await?,
        };
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            // Storage refunds and warm slots may differ by the time of inclusion; by the latest block's, less may be owed.
            gas_limit: match self.replaces {
                true => 2 * estimate,
                false => estimate + estimate / 5,
            }
            .min(MAX_TRANSACTION_GAS),
            max_fee_per_gas: fees.most,
            max_priority_fee_per_gas: fees.tip,
            to: TxKind::Call(to),
            value,
            access_list: Default::default(),
            input,
        };
        let signature = self.key.sign(&transaction.signature_hash());
        let mut raw = Vec::new();
        transaction.into_signed(signature).eip2718_encode(&mut raw);
        let hash: B256 = self
            .rpc
            .call("eth_sendRawTransaction", json!([Bytes::from(raw)]))
            .await
            .map_err(refused)?;
        self.receipt(hash).await
    }

    async fn receipt(&self, hash: B256) -> Result<Receipt, SendError> {
        let start = Instant::now();
        while start.elapsed() < self.wait {
            let receipt: Option<ReceiptJson> =
                self.rpc.call("eth_getTransactionReceipt", json!([hash])).await?;
            if let Some(receipt) = receipt {
                let number = |text: &str, what| parse_quantity(text).map_err(|_| malformed(what));
                if number(&receipt.status, "receipt status")? != 1 {
                    return Err(SendError::Reverted(hash));
                }
                return Ok(Receipt {
                    transaction: hash,
                    block: number(&receipt.block_number, "receipt block")?,
                    gas_used: number(&receipt.gas_used, "receipt gas")?,
                });
            }
            tokio::time::sleep(RECEIPT_POLL).await;
        }
        Err(SendError::NoReceipt(hash))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BaseFee {
    base_fee_per_gas: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptJson {
    status: String,
    block_number: String,
    gas_used: String,
}

/// Calls a method whose result is a quantity.
pub async fn quantity(rpc: &RpcClient, method: &str, params: Value) -> Result<u64, RpcError> {
    let text: String = rpc.call(method, params).await?;
    parse_quantity(&text).map_err(|_| RpcError::Malformed("quantity"))
}

/// Whether there is code at an address, in the newest block.
pub async fn has_code(rpc: &RpcClient, address: Address) -> Result<bool, RpcError> {
    let code: String = rpc.call("eth_getCode", json!([address, "latest"])).await?;
    Ok(code != "0x")
}

/// A storage word, in the newest block.
pub async fn storage_at(rpc: &RpcClient, address: Address, slot: U256) -> Result<[u8; 32], RpcError> {
    let word: String = rpc
        .call("eth_getStorageAt", json!([address, slot, "latest"]))
        .await?;
    parse_word(&word).map_err(|_| RpcError::Malformed("storage word"))
}

/// A log of a transaction.
#[derive(Debug, Deserialize)]
pub(crate) struct Log {
    /// Contract that wrote it.
    pub address: Address,
    /// The event, and its indexed members.
    pub topics: Vec<B256>,
    /// The other members.
    pub data: Bytes,
}

#[derive(Deserialize)]
struct Logs {
    logs: Vec<Log>,
}

/// What a transaction that was carried out logged.
pub(crate) async fn logs(rpc: &RpcClient, transaction: B256) -> Result<Vec<Log>, RpcError> {
    let receipt: Logs = rpc
        .call("eth_getTransactionReceipt", json!([transaction]))
        .await?;
    Ok(receipt.logs)
}

fn malformed(what: &'static str) -> SendError {
    SendError::Rpc(RpcError::Malformed(what))
}

/// Says what the contract's custom error means, where the node passed it on.
fn refused(error: RpcError) -> SendError {
    let reason = match &error {
        RpcError::Node { data: Some(data), .. } => refusal::describe(data),
        _ => None,
    };
    reason.map_or(SendError::Rpc(error), SendError::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_gives_the_known_address_and_hides_itself() {
        // Account 0 of the mnemonic that anvil documents.
        let key: AccountKey = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
            .parse()
            .unwrap();
        assert_eq!(
            key.address().to_string(),
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
        );
        assert!(!format!("{key:?}").contains("ac0974"));
        assert_eq!(
            AccountKey::from_bytes(&key.0.to_bytes().into())
                .unwrap()
                .address(),
            key.address()
        );
        for bad in ["", "0x12", &"00".repeat(32), &"ff".repeat(32), "not hex"] {
            assert!(matches!(bad.parse::<AccountKey>(), Err(SendError::Key)), "{bad}");
        }
    }
    #[test]
    fn refusals_are_known_by_name() {
        let refused = |reason: &str| SendError::Refused(reason.to_owned());
        assert!(refused("RentalNotActive").is_refusal("RentalNotActive"));
        assert!(refused("TooEarly { time: 1 }").is_refusal("TooEarly"));
        assert!(!refused("RentalNotActiveYet").is_refusal("RentalNotActive"));
        assert!(!SendError::Key.is_refusal("RentalNotActive"));
    }
}
