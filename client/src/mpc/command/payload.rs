//! What is to be signed, as a command line says it.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::authority::document::Address;
use jeju_mpc::authority::number::Uint256;
use jeju_mpc::authority::payload::{Content, HexData, Payload};
use jeju_mpc::authority::typed_data::TypedData;
use jeju_wallet_auth::account::Account;

use super::super::{Key, MpcError};
use super::rules::wei;
use crate::files;
use crate::session::unix_now;

/// Longest file of typed data, in bytes: a request has 32 KiB.
const MAX_LEN: usize = 32 * 1024;
/// How long a call may be brought to the wallet, where nothing else is said, in seconds.
const DEADLINE: u64 = 3600;

/// What is to be signed: one of four.
#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("payload").required(true).args(["execute", "typed_data", "message", "raw"])))]
pub struct PayloadArguments {
    /// A call that the key's wallet makes
    #[arg(long, requires = "to", requires = "nonce")]
    pub execute: bool,
    /// Whom the wallet calls
    #[arg(long, value_name = "ADDRESS", requires = "execute")]
    pub to: Option<Account>,
    /// With how many wei
    #[arg(long, value_name = "WEI", value_parser = wei, requires = "execute", default_value = "0")]
    pub value: Uint256,
    /// Calldata, in hexadecimal
    #[arg(long, value_name = "HEX", value_parser = data, requires = "execute", default_value = "0x")]
    pub data: HexData,
    /// The wallet's next nonce
    #[arg(long, value_name = "N", requires = "execute")]
    pub nonce: Option<u64>,
    /// Unix seconds after which the wallet refuses the call [default: in an hour]
    #[arg(long, value_name = "SECONDS", requires = "execute")]
    pub deadline: Option<u64>,
    /// Chain of the wallet [default: the network's]
    #[arg(long, value_name = "ID")]
    pub chain: Option<u64>,
    /// Typed data (EIP-712), as eth_signTypedData_v4 takes it
    #[arg(long, value_name = "FILE")]
    pub typed_data: Option<PathBuf>,
    /// A text (EIP-191)
    #[arg(long, value_name = "TEXT")]
    pub message: Option<String>,
    /// 32 bytes in hexadecimal, whatever they mean
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub raw: Option<HexBytes<32>>,
    /// Not by the key itself, but so that its wallet says yes to it (ERC-1271)
    #[arg(long, conflicts_with = "execute")]
    pub for_wallet: bool,
}

impl PayloadArguments {
    /// The payload, for this key.
    pub fn payload(&self, key: &Key) -> Result<Payload, MpcError> {
        let chain_id = self.chain.unwrap_or(key.chain_id);
        let wallet = || {
            let missing =
                || MpcError::Payload("the key has no wallet: its network names no factory".to_owned());
            key.wallet_address.ok_or_else(missing)
        };
        if let (true, Some(to), Some(nonce)) = (self.execute, self.to, self.nonce) {
            return Ok(Payload::Execute {
                chain_id,
                wallet: wallet()?,
                to: Address(to),
                value: self.value,
                data: self.data.clone(),
                nonce,
                deadline: self.deadline.unwrap_or_else(|| unix_now() + DEADLINE),
            });
        }
        let content = if let Some(path) = &self.typed_data {
            Content::TypedData {
                typed_data: typed_data(path)?,
            }
        } else if let Some(message) = &self.message {
            Content::Message {
                message: message.clone(),
            }
        } else if let Some(hash) = self.raw {
            Content::Raw { hash }
        } else {
            return Err(MpcError::Payload("nothing to sign is named".to_owned()));
        };
        Ok(match (self.for_wallet, content) {
            (true, content) => Payload::WalletMessage {
                chain_id,
                wallet: wallet()?,
                content,
            },
            (false, Content::TypedData { typed_data }) => Payload::TypedData { typed_data },
            (false, Content::Message { message }) => Payload::Message { message },
            (false, Content::Raw { hash }) => Payload::Raw { hash },
        })
    }
}

pub(super) fn typed_data(path: &std::path::Path) -> Result<TypedData, MpcError> {
    let text = files::text(path, MAX_LEN)?;
    serde_json::from_str(&text)
        .map_err(|error| MpcError::Payload(format!("{} is no typed data: {error}", path.display())))
}

pub(super) fn hash(text: &str) -> Result<HexBytes<32>, String> {
    HexBytes::parse(&text.to_ascii_lowercase()).ok_or_else(|| "0x and 64 hex digits are expected".to_owned())
}

pub(super) fn data(text: &str) -> Result<HexData, String> {
    text.strip_prefix("0x")
        .and_then(|digits| hex::decode(digits).ok())
        .map(HexData)
        .ok_or_else(|| "0x and hex digits are expected".to_owned())
}
