//! `jeju mpc keygen`.

use std::path::PathBuf;

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::authority::document::KeyDocument;
use jeju_mpc::network::Scheme;
use jeju_wallet_auth::account::Account;
use serde_json::{Value, json};

use super::super::{Key, MpcError, NetworkFacts};
use super::payload::hash;
use super::rules::{RuleArguments, addresses};
use super::{Printed, RequestArguments};

/// Options of `jeju mpc keygen`.
#[derive(Debug, Clone, Args)]
pub struct KeygenArguments {
    #[command(flatten)]
    pub(super) request: RequestArguments,
    #[command(flatten)]
    rules: RuleArguments,
    /// Account that owns the key (may be given several times) [default: the one that asks]
    #[arg(long, value_name = "ADDRESS")]
    owner: Vec<Account>,
    /// Owner or signer that is a contract: its signatures are asked of it on chain (ERC-1271)
    #[arg(long, value_name = "ADDRESS")]
    contract: Vec<Account>,
    /// How many owners must sign another policy
    #[arg(long, value_name = "N", default_value_t = 1)]
    quorum: u32,
    /// Tells keys of the same owners and rules apart, 32 bytes [default: random]
    #[arg(long, value_name = "HEX", value_parser = hash)]
    salt: Option<HexBytes<32>>,
    /// How the key signs: frost-secp256k1-sha256, or frost-secp256k1-bip340 for Bitcoin's taproot
    #[arg(long, value_name = "NAME", value_parser = scheme, default_value = "frost-secp256k1-sha256")]
    scheme: Scheme,
    /// Generate the key on its own instead of deriving it from the network's: slower, and no other key has a part in it
    #[arg(long)]
    dedicated: bool,
    /// File that describes the key, needed to use it; no secret is in it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Ask for the key of this file again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["owner", "contract", "salt", "dedicated", "messages", "raw_hashes", "call_to", "call_any", "typed_contract", "signer", "rules"])]
    from: Option<PathBuf>,
}

pub(super) async fn run(arguments: &KeygenArguments) -> Result<Printed, MpcError> {
    let account = arguments.request.account.read()?;
    let mut client = arguments.request.network.client()?;
    let facts = client.network().await?;
    let earlier = arguments.from.as_deref().map(Key::read).transpose()?;
    let document = match &earlier {
        Some(key) => key.key.clone(),
        None => document(arguments, &facts, account.account())?,
    };
    let mut key = client.keygen(&account, &document).await?;
    if let Some(earlier) = earlier {
        if earlier.key_id != key.key_id || earlier.public_key != key.public_key {
            return Err(MpcError::Disagree {
                node: facts.name,
                found: key.public_key.to_string(),
                expected: earlier.public_key.to_string(),
            });
        }
        key = earlier;
    }
    if let Some(path) = &arguments.out {
        key.write(path)?;
    }
    Ok(printed(&key, &facts))
}

fn document(arguments: &KeygenArguments, facts: &NetworkFacts, me: Account) -> Result<KeyDocument, MpcError> {
    let owners = match arguments.owner.as_slice() {
        [] => vec![me],
        owners => owners.to_vec(),
    };
    let salt = match arguments.salt {
        Some(salt) => salt,
        None => {
            let mut salt = [0; 32];
            aws_lc_rs::rand::fill(&mut salt).map_err(|_| MpcError::Random)?;
            HexBytes(salt)
        }
    };
    Ok(KeyDocument {
        owners: addresses(&owners),
        contracts: addresses(&arguments.contract),
        quorum: arguments.quorum,
        policy: arguments.rules.policy(facts.chain_id)?,
        salt,
        scheme: arguments.scheme,
        dedicated: arguments.dedicated,
    })
}

fn printed(key: &Key, facts: &NetworkFacts) -> Printed {
    let wallet = key.wallet_address.map(|wallet| wallet.0.to_string());
    let mut lines = vec![
        format!(
            "public key  {}  <- {} members say so",
            key.public_key, facts.threshold
        ),
        format!("key id      {}  <- owners, rules and salt", key.key_id),
        format!(
            "scheme      {}, {} of {} sign",
            key.key.scheme.name(),
            facts.threshold,
            facts.members
        ),
    ];
    lines.extend(
        wallet
            .iter()
            .map(|wallet| format!("wallet      {wallet}  <- public key and factory")),
    );
    let json = json!({
        "success": true,
        "publicKey": key.public_key,
        "walletAddress": wallet.map_or(Value::Null, Value::String),
        "scheme": key.key.scheme.name(),
        "keyId": key.key_id,
        "threshold": facts.threshold,
        "totalShares": facts.members,
        "salt": key.key.salt,
    });
    Printed { lines, json }
}

pub(super) fn scheme(text: &str) -> Result<Scheme, String> {
    let names = || Scheme::ALL.map(Scheme::name).join(" or ");
    Scheme::from_name(text).ok_or_else(|| format!("{} is expected", names()))
}
