//! `jeju mpc verify` and `wallet`: what needs no network.

use std::path::PathBuf;

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::authority::frost_wallet::wallet_address;
use jeju_mpc::network::Scheme;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::keccak;
use jeju_wallet_auth::signature::text_digest;
use serde_json::{Value, json};

use super::super::answer::hex;
use super::super::signature::{GroupKey, contract_form};
use super::super::{Key, MpcError};
use super::Printed;
use super::keygen::scheme;
use super::payload::{hash, typed_data};

/// Options of `jeju mpc verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArguments {
    /// The signature in hexadecimal: 65 bytes, 96 as contracts take it, or 64 of BIP-340
    #[arg(value_name = "SIGNATURE", value_parser = bytes)]
    signature: Bytes,
    #[command(flatten)]
    key: KeyArguments,
    /// The 32 bytes that were signed
    #[arg(long, value_name = "HEX", value_parser = hash, required_unless_present_any = ["message", "typed_data"])]
    hash: Option<HexBytes<32>>,
    /// The text that was signed (EIP-191)
    #[arg(long, value_name = "TEXT", conflicts_with = "hash")]
    message: Option<String>,
    /// The typed data that was signed (EIP-712)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hash", "message"])]
    typed_data: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `jeju mpc wallet`.
#[derive(Debug, Clone, Args)]
pub struct WalletArguments {
    #[command(flatten)]
    key: KeyArguments,
    /// The FrostWalletFactory
    #[arg(long, value_name = "ADDRESS")]
    factory: Account,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Whose signature or wallet it is.
#[derive(Debug, Clone, Args)]
struct KeyArguments {
    /// The key, as `keygen --out` wrote it
    #[arg(long, value_name = "FILE", required_unless_present = "public_key")]
    key_file: Option<PathBuf>,
    /// The key's public key, 33 bytes in hexadecimal
    #[arg(long, value_name = "HEX", value_parser = bytes, conflicts_with = "key_file")]
    public_key: Option<Bytes>,
    /// How it signs
    #[arg(long, value_name = "NAME", value_parser = scheme, default_value = "frost-secp256k1-sha256", conflicts_with = "key_file")]
    scheme: Scheme,
}

/// Bytes of a command line.
#[derive(Debug, Clone)]
struct Bytes(Vec<u8>);

impl KeyArguments {
    fn read(&self) -> Result<(GroupKey, Scheme), MpcError> {
        match (&self.key_file, &self.public_key) {
            (Some(path), _) => {
                let key = Key::read(path)?;
                Ok((key.group_key()?, key.key.scheme))
            }
            (None, Some(public_key)) => Ok((GroupKey::parse(&public_key.0)?, self.scheme)),
            (None, None) => Err(MpcError::Payload("no key is named".to_owned())),
        }
    }
}

pub(super) fn run(arguments: &VerifyArguments) -> Result<Printed, MpcError> {
    let (key, scheme) = arguments.key.read()?;
    let message = match (&arguments.hash, &arguments.message, &arguments.typed_data) {
        (Some(hash), _, _) => hash.0,
        (None, Some(text), _) => text_digest(text),
        (None, None, Some(path)) => {
            let refused = |refusal: jeju_mpc::refusal::Refusal| MpcError::Payload(refusal.to_string());
            typed_data(path)?.hash().map_err(refused)?.digest
        }
        (None, None, None) => return Err(MpcError::Payload("nothing that was signed is named".to_owned())),
    };
    let signature = &arguments.signature.0;
    key.verify(scheme, &message, signature)?;
    let contract = contract_form(signature).ok().map(|form| hex(&form));
    Ok(Printed {
        lines: vec![format!(
            "valid: {} by {} over {}",
            scheme.name(),
            hex(key.bytes()),
            hex(&message)
        )],
        json: json!({
            "valid": true,
            "scheme": scheme.name(),
            "publicKey": hex(key.bytes()),
            "messageHash": hex(&message),
            "contractSignature": contract.map_or(Value::Null, Value::String),
        }),
    })
}

pub(super) fn wallet(arguments: &WalletArguments) -> Result<Printed, MpcError> {
    let (key, scheme) = arguments.key.read()?;
    if scheme == Scheme::Taproot {
        return Err(MpcError::Payload(
            "a BIP-340 key has no wallet contract".to_owned(),
        ));
    }
    let address = Account(wallet_address(arguments.factory.0, key.bytes()));
    let (parity, x) = (key.bytes()[0] & 1, &key.bytes()[1..]);
    let mut parity_word = [0; 32];
    parity_word[31] = parity;
    let selector = &keccak(&[b"deploy(uint256,uint8)"])[..4];
    let calldata = hex(&[selector, x, &parity_word].concat());
    Ok(Printed {
        lines: vec![
            format!("wallet      {address}  <- public key and factory"),
            format!(
                "deploy      anyone sends {} the data {calldata}",
                arguments.factory
            ),
        ],
        json: json!({
            "walletAddress": address.to_string(),
            "factory": arguments.factory.to_string(),
            "publicKeyX": hex(x),
            "publicKeyParity": parity,
            "deployCalldata": calldata,
        }),
    })
}

fn bytes(text: &str) -> Result<Bytes, String> {
    text.strip_prefix("0x")
        .and_then(|digits| hex::decode(digits).ok())
        .map(Bytes)
        .ok_or_else(|| "0x and hex digits are expected".to_owned())
}
