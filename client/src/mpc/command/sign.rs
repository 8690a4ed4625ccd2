//! `jeju mpc sign`, `refresh` and `policy`: what is done with a key that is there.

use std::path::PathBuf;

use clap::Args;
use jeju_wallet_auth::signature::AccountKey;
use serde_json::{Value, json};

use super::super::answer::hex;
use super::super::{Key, MpcError, Signed};
use super::payload::PayloadArguments;
use super::rules::RuleArguments;
use super::{Printed, RequestArguments};
use crate::wallet::AccountArguments;

/// Options of `jeju mpc sign`.
#[derive(Debug, Clone, Args)]
pub struct SignArguments {
    /// The key, as `keygen --out` wrote it
    #[arg(value_name = "KEY_FILE")]
    key_file: PathBuf,
    #[command(flatten)]
    pub(super) request: RequestArguments,
    #[command(flatten)]
    payload: PayloadArguments,
}

/// Options of `jeju mpc refresh`.
#[derive(Debug, Clone, Args)]
pub struct RefreshArguments {
    /// The key, as `keygen --out` wrote it
    #[arg(value_name = "KEY_FILE")]
    key_file: PathBuf,
    #[command(flatten)]
    pub(super) request: RequestArguments,
}

/// Options of `jeju mpc policy`.
#[derive(Debug, Clone, Args)]
pub struct PolicyArguments {
    /// The key, as `keygen --out` wrote it; the policy is added to it
    #[arg(value_name = "KEY_FILE")]
    key_file: PathBuf,
    #[command(flatten)]
    pub(super) request: RequestArguments,
    /// Files with private keys of further owners, for a key that asks for more than one
    #[arg(long, value_name = "FILE")]
    also_key: Vec<PathBuf>,
    /// Wallets of further owners, instead
    #[arg(long, value_name = "NAME|FILE")]
    also_wallet: Vec<PathBuf>,
    #[command(flatten)]
    rules: RuleArguments,
}

pub(super) async fn run(arguments: &SignArguments) -> Result<Printed, MpcError> {
    let key = Key::read(&arguments.key_file)?;
    let payload = arguments.payload.payload(&key)?;
    let account = arguments.request.account.read()?;
    let mut client = arguments.request.network.client()?;
    let signed = client.sign(&account, &key, &payload).await?;
    Ok(printed(&key, &signed))
}

pub(super) async fn refresh(arguments: &RefreshArguments) -> Result<Printed, MpcError> {
    let key = Key::read(&arguments.key_file)?;
    let account = arguments.request.account.read()?;
    let mut client = arguments.request.network.client()?;
    let generation = client.refresh(&account, &key).await?;
    Ok(Printed {
        lines: vec![format!(
            "refreshed   generation {generation}, public key {}",
            key.public_key
        )],
        json: json!({
            "success": true,
            "generation": generation,
            "publicKey": key.public_key,
            "keyId": key.key_id,
        }),
    })
}

pub(super) async fn policy(arguments: &PolicyArguments) -> Result<Printed, MpcError> {
    let key = Key::read(&arguments.key_file)?;
    let mut owners = vec![arguments.request.account.read()?];
    let others = arguments.also_key.iter().map(|path| (Some(path.clone()), None));
    let wallets = arguments
        .also_wallet
        .iter()
        .map(|wallet| (None, Some(wallet.clone())));
    for (key, wallet) in others.chain(wallets) {
        let account = AccountArguments {
            key,
            wallet,
            ..arguments.request.account.clone()
        };
        owners.push(account.read()?);
    }
    let owners: Vec<&AccountKey> = owners.iter().collect();
    let policy = arguments.rules.policy(key.chain_id)?;
    let mut client = arguments.request.network.client()?;
    let key = client.set_policy(&owners, &key, policy).await?;
    key.write(&arguments.key_file)?;
    let version = key.policy().version;
    Ok(Printed {
        lines: vec![format!(
            "policy      version {version}, digest {}",
            hex(&key.policy().digest())
        )],
        json: json!({
            "success": true,
            "version": version,
            "digest": hex(&key.policy().digest()),
            "keyId": key.key_id,
        }),
    })
}

fn printed(key: &Key, signed: &Signed) -> Printed {
    let contract = signed.contract_signature.as_ref().map(|form| hex(form));
    let mut lines = vec![
        format!("signature   {}", hex(&signed.signature)),
        format!("message     {}  <- computed here", hex(&signed.message)),
        format!(
            "public key  {}  <- the signature verifies under it",
            key.public_key
        ),
    ];
    lines.extend(contract.iter().map(|form| format!("contract    {form}")));
    let json = json!({
        "success": true,
        "signature": hex(&signed.signature),
        "contractSignature": contract.map_or(Value::Null, Value::String),
        "messageHash": hex(&signed.message),
        "publicKey": key.public_key,
        "scheme": key.key.scheme.name(),
        "keyId": key.key_id,
        "walletAddress": key.wallet_address,
        "signers": signed.signers,
        "culprits": signed.culprits,
    });
    Printed { lines, json }
}
