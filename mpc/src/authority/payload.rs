//! What a key is asked to sign. Every member hashes the payload itself: what the signature means is what the policy was asked.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::text_digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::document::Address;
use super::frost_wallet::{self, Wallet};
use super::json::Json;
use super::number::Uint256;
use super::typed_data::{Hashed, TypedData};
use crate::network::Scheme;
use crate::refusal::Refusal;

/// Most calls of a batch.
pub const MAX_CALLS: usize = 64;
/// How much of a text a wallet is shown, in characters.
const SHOWN: usize = 200;

/// Something to sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Payload {
    /// A call that the key's `FrostWallet` makes: `execute`.
    Execute {
        /// The wallet's chain.
        chain_id: u64,
        /// The wallet.
        wallet: Address,
        /// Whom it calls.
        to: Address,
        /// With how many wei.
        value: Uint256,
        /// Calldata.
        data: HexData,
        /// The wallet's next nonce.
        nonce: u64,
        /// Seconds since 1970 after which the wallet refuses.
        deadline: u64,
    },
    /// Several, all or none: `executeBatch`.
    ExecuteBatch {
        /// The wallet's chain.
        chain_id: u64,
        /// The wallet.
        wallet: Address,
        /// The calls, in order.
        calls: Vec<Call>,
        /// The wallet's next nonce.
        nonce: u64,
        /// Seconds since 1970 after which the wallet refuses.
        deadline: u64,
    },
    /// What the key's `FrostWallet` then says yes to when it is asked for a signature (ERC-1271).
    WalletMessage {
        /// The wallet's chain.
        chain_id: u64,
        /// The wallet.
        wallet: Address,
        /// What it says yes to. Policies look at this as if the key itself signed it.
        content: Content,
    },
    /// Typed data (EIP-712) for whoever checks FROST signatures.
    TypedData {
        /// The parameter of `eth_signTypedData_v4`.
        typed_data: TypedData,
    },
    /// A text (EIP-191).
    Message {
        /// The text.
        message: String,
    },
    /// 32 bytes, whatever they mean.
    Raw {
        /// The bytes.
        hash: HexBytes<32>,
    },
    /// A transaction of an ordinary account, which no FROST signature can authorise: refused with a code of its own.
    Transaction(Json),
}

/// A call in a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Whom the wallet calls.
    pub to: Address,
    /// With how many wei.
    pub value: Uint256,
    /// Calldata.
    pub data: HexData,
}

/// What a wallet can be asked to have signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Content {
    /// Typed data (EIP-712).
    TypedData {
        /// The parameter of `eth_signTypedData_v4`.
        typed_data: TypedData,
    },
    /// A text (EIP-191).
    Message {
        /// The text.
        message: String,
    },
    /// 32 bytes, whatever they mean.
    Raw {
        /// The bytes.
        hash: HexBytes<32>,
    },
}

/// A payload as members see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Understood<'a> {
    /// The 32 bytes that FROST signs.
    pub message: [u8; 32],
    /// For people: ASCII, one line. Part of what the requester signs.
    pub summary: String,
    /// What policies decide on.
    pub kind: Kind<'a>,
}

/// What policies decide on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Calls that a wallet makes.
    Calls {
        /// The wallet's chain.
        chain_id: u64,
        /// The wallet.
        wallet: Account,
        /// Whom it calls.
        to: Vec<Account>,
        /// Wei in all.
        value: Uint256,
    },
    /// Typed data.
    Typed {
        /// Its domain.
        hashed: Hashed,
        /// Its type.
        primary_type: &'a str,
    },
    /// A text.
    Text,
    /// Bytes without a meaning.
    Raw,
}

impl Payload {
    /// Hashes the payload and says what it is.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], or [`Refusal::PayloadUnsupported`] when a key of the scheme can't sign such a thing.
    pub fn understand(&self, scheme: Scheme) -> Result<Understood<'_>, Refusal> {
        if matches!(self, Payload::Transaction(_)) {
            return Err(Refusal::PayloadUnsupported(
                "a FROST signature can't authorise a transaction of an ordinary account, only a call by the key's wallet contract",
            ));
        }
        if scheme == Scheme::Taproot && !matches!(self, Payload::Raw { .. }) {
            return Err(Refusal::PayloadUnsupported(
                "a BIP-340 key signs 32 bytes only, such as a taproot signature hash",
            ));
        }
        match self {
            Payload::Execute {
                chain_id,
                wallet,
                to,
                value,
                data,
                nonce,
                deadline,
            } => {
                let at = Wallet {
                    chain_id: *chain_id,
                    address: wallet.0,
                };
                let call = frost_wallet::Call {
                    to: &to.0,
                    value,
                    data: &data.0,
                };
                Ok(Understood {
                    message: at.execute(&call, *nonce, *deadline),
                    summary: format!(
                        "execute: wallet {} on chain {chain_id} calls {} with {value} wei and {}, nonce {nonce}, deadline {deadline}",
                        wallet.0,
                        to.0,
                        data.shown()
                    ),
                    kind: Kind::Calls {
                        chain_id: *chain_id,
                        wallet: wallet.0,
                        to: vec![to.0],
                        value: *value,
                    },
                })
            }
            Payload::ExecuteBatch {
                chain_id,
                wallet,
                calls,
                nonce,
                deadline,
            } => {
                if calls.is_empty() || calls.len() > MAX_CALLS {
                    return Err(Refusal::Malformed("a batch has 1 to 64 calls"));
                }
                let value = calls
                    .iter()
                    .try_fold(Uint256::default(), |sum, call| sum.checked_add(call.value))
                    .ok_or(Refusal::Malformed("a batch has more wei than a number holds"))?;
                let at = Wallet {
                    chain_id: *chain_id,
                    address: wallet.0,
                };
                let each = calls.iter().map(|call| frost_wallet::Call {
                    to: &call.to.0,
                    value: &call.value,
                    data: &call.data.0,
                });
                let lines: Vec<_> = calls
                    .iter()
                    .map(|call| format!("{} with {} wei and {}", call.to.0, call.value, call.data.shown()))
                    .collect();
                Ok(Understood {
                    message: at.batch(each, *nonce, *deadline),
                    summary: format!(
                        "execute_batch: wallet {} on chain {chain_id} calls {}, nonce {nonce}, deadline {deadline}",
                        wallet.0,
                        lines.join(", then ")
                    ),
                    kind: Kind::Calls {
                        chain_id: *chain_id,
                        wallet: wallet.0,
                        to: calls.iter().map(|call| call.to.0).collect(),
                        value,
                    },
                })
            }
            Payload::WalletMessage {
                chain_id,
                wallet,
                content,
            } => {
                let content = match content {
                    Content::TypedData { typed_data } => understand_typed(typed_data)?,
                    Content::Message { message } => understand_text(message),
                    Content::Raw { hash } => understand_raw(hash),
                };
                let at = Wallet {
                    chain_id: *chain_id,
                    address: wallet.0,
                };
                Ok(Understood {
                    message: at.message(&content.message),
                    summary: format!(
                        "wallet_message: wallet {} on chain {chain_id} says yes to {}",
                        wallet.0, content.summary
                    ),
                    kind: content.kind,
                })
            }
            Payload::TypedData { typed_data } => understand_typed(typed_data),
            Payload::Message { message } => Ok(understand_text(message)),
            Payload::Raw { hash } => Ok(understand_raw(hash)),
            Payload::Transaction(_) => Err(Refusal::PayloadUnsupported("transaction")),
        }
    }
}

fn understand_typed(typed: &TypedData) -> Result<Understood<'_>, Refusal> {
    let hashed = typed.hash()?;
    // It would be a call, or a message, of a wallet that the rules on those weren't asked about.
    if hashed.name.as_deref() == Some(frost_wallet::DOMAIN_NAME) {
        return Err(Refusal::PayloadUnsupported(
            "what a FrostWallet checks is signed as execute, execute_batch or wallet_message only",
        ));
    }
    let part = |name: &str, value: Option<String>| {
        value.map_or_else(String::new, |value| format!(" {name} {value}"))
    };
    Ok(Understood {
        message: hashed.digest,
        summary: format!(
            "typed_data: {}{}{}{}",
            shown(&typed.primary_type),
            part("of", hashed.name.as_deref().map(shown)),
            part(
                "at",
                hashed.verifying_contract.map(|contract| contract.to_string())
            ),
            part("on chain", hashed.chain_id.map(|id| id.to_string())),
        ),
        kind: Kind::Typed {
            hashed,
            primary_type: &typed.primary_type,
        },
    })
}

fn understand_text(text: &str) -> Understood<'static> {
    Understood {
        message: text_digest(text),
        summary: format!("message: {}", shown(text)),
        kind: Kind::Text,
    }
}

fn understand_raw(hash: &HexBytes<32>) -> Understood<'static> {
    Understood {
        message: hash.0,
        summary: format!("raw: {hash}, whatever it means"),
        kind: Kind::Raw,
    }
}

/// A text of somebody else on a line of ours: in quotes, so that it can't pass for what follows, ASCII alone, so that nothing
/// in it can reorder or hide, and its beginning only.
fn shown(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars().take(SHOWN) {
        match character {
            ' ' | '!' | '#'..='[' | ']'..='~' => out.push(character),
            other => out.push_str(&format!("\\u{{{:x}}}", u32::from(other))),
        }
    }
    let rest = text.chars().count().saturating_sub(SHOWN);
    match rest {
        0 => out + "\"",
        rest => format!("{out}\" and {rest} more characters"),
    }
}

/// Bytes of any length, written as `0x` and lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HexData(pub Vec<u8>);

impl HexData {
    /// For people: all of it where it is short enough to compare.
    fn shown(&self) -> String {
        match self.0.len() {
            0 => "no data".to_owned(),
            1..=68 => format!("data 0x{}", hex::encode(&self.0)),
            length => format!("{length} bytes of data 0x{}...", hex::encode(&self.0[..68])),
        }
    }
}

impl Serialize for HexData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("0x{}", hex::encode(&self.0)))
    }
}

impl<'de> Deserialize<'de> for HexData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.strip_prefix("0x")
            .filter(|digits| !digits.bytes().any(|b| b.is_ascii_uppercase()))
            .and_then(|digits| hex::decode(digits).ok())
            .map(Self)
            .ok_or_else(|| de::Error::custom("expected 0x and lower-case hexadecimal digits"))
    }
}
