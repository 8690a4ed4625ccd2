//! `jeju wallet`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jeju_mpc::authority::typed_data::TypedData;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::{AccountKey, text_digest};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::account_key::{self, AccountKeyError};
use super::password::{NewPasswordArguments, Password, PasswordArguments};
use super::store::{self, Entry, Opened, StoreArguments};
use super::{Keystore, WalletError};
use crate::files;

/// Longest file of typed data, in bytes.
const MAX_TYPED_DATA: usize = 1024 * 1024;

/// Accounts' keys in encrypted files, of the form that geth and cast use.
#[derive(Debug, Clone, Subcommand)]
pub enum WalletCommand {
    /// Make a key
    New(WalletArguments),
    /// Encrypt a key that is there
    Import(ImportArguments),
    /// Decrypt a wallet and print its account
    Address(WalletArguments),
    /// Print the wallets of the folder, and the accounts that they say they are of
    List(ListArguments),
    /// Print the private key
    Export(ExportArguments),
    /// Sign a text (EIP-191)
    SignMessage(MessageArguments),
    /// Sign typed data (EIP-712)
    SignTypedData(TypedDataArguments),
    /// Encrypt a wallet with another password
    Passwd(PasswdArguments),
}

/// A wallet, and how to open it.
#[derive(Debug, Clone, Args)]
pub struct WalletArguments {
    /// Name of a file in the folder of wallets, or a path with a slash
    #[arg(value_name = "NAME|FILE")]
    wallet: PathBuf,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    password: PasswordArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Options of `jeju wallet import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArguments {
    #[command(flatten)]
    wallet: WalletArguments,
    /// File with the private key in hexadecimal, readable by its owner only [default: JEJU_KEY or PRIVATE_KEY of the environment, or a prompt]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Options of `jeju wallet list`.
#[derive(Debug, Clone, Args)]
pub struct ListArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Options of `jeju wallet export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArguments {
    #[command(flatten)]
    wallet: WalletArguments,
    /// Whoever sees the output has the account
    #[arg(long)]
    yes_show_the_key: bool,
}

/// Options of `jeju wallet sign-message`.
#[derive(Debug, Clone, Args)]
pub struct MessageArguments {
    #[command(flatten)]
    wallet: WalletArguments,
    /// The text
    #[arg(value_name = "TEXT")]
    message: String,
}

/// Options of `jeju wallet sign-typed-data`.
#[derive(Debug, Clone, Args)]
pub struct TypedDataArguments {
    #[command(flatten)]
    wallet: WalletArguments,
    /// Typed data, as eth_signTypedData_v4 takes it
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Options of `jeju wallet passwd`.
#[derive(Debug, Clone, Args)]
pub struct PasswdArguments {
    #[command(flatten)]
    wallet: WalletArguments,
    #[command(flatten)]
    new: NewPasswordArguments,
}

impl WalletCommand {
    /// Whether failures are to be printed as JSON too.
    pub fn json(&self) -> bool {
        match self {
            WalletCommand::New(arguments) | WalletCommand::Address(arguments) => arguments.json,
            WalletCommand::Import(arguments) => arguments.wallet.json,
            WalletCommand::List(arguments) => arguments.json,
            WalletCommand::Export(arguments) => arguments.wallet.json,
            WalletCommand::SignMessage(arguments) => arguments.wallet.json,
            WalletCommand::SignTypedData(arguments) => arguments.wallet.json,
            WalletCommand::Passwd(arguments) => arguments.wallet.json,
        }
    }

    /// Does it, and says what is to be printed: wiped when dropped, because `export` prints a key.
    ///
    /// # Errors
    /// [`AccountKeyError`].
    pub fn run(&self) -> Result<Zeroizing<String>, AccountKeyError> {
        match self {
            WalletCommand::New(arguments) => new(arguments),
            WalletCommand::Import(arguments) => import(arguments),
            WalletCommand::Address(arguments) => {
                let (path, key) = arguments.open()?;
                Ok(arguments.made(&path, key.account()))
            }
            WalletCommand::List(arguments) => Ok(list(arguments)?),
            WalletCommand::Export(arguments) => Ok(export(arguments)?),
            WalletCommand::SignMessage(arguments) => {
                let digest = text_digest(&arguments.message);
                Ok(arguments.wallet.sign(&digest)?)
            }
            WalletCommand::SignTypedData(arguments) => {
                let digest = typed_data(&arguments.file)?;
                Ok(arguments.wallet.sign(&digest)?)
            }
            WalletCommand::Passwd(arguments) => Ok(passwd(arguments)?),
        }
    }
}

impl WalletArguments {
    fn path(&self) -> Result<PathBuf, WalletError> {
        self.store.store()?.path(&self.wallet)
    }

    fn open(&self) -> Result<(PathBuf, AccountKey), WalletError> {
        let path = self.path()?;
        let key = open(&path, &self.password)?;
        Ok((path, key))
    }

    fn made(&self, path: &Path, account: Account) -> Zeroizing<String> {
        let path = path.display().to_string();
        Zeroizing::new(match self.json {
            true => json!({ "account": account.to_string(), "file": path }).to_string(),
            false => account.to_string(),
        })
    }

    fn sign(&self, digest: &[u8; 32]) -> Result<Zeroizing<String>, WalletError> {
        let (_, key) = self.open()?;
        let signature = key.sign(digest).to_string();
        Ok(Zeroizing::new(match self.json {
            true => json!({
                "account": key.account().to_string(),
                "signature": signature,
                "messageHash": format!("0x{}", hex::encode(digest)),
            })
            .to_string(),
            false => signature,
        }))
    }

    /// Encrypts a key that this wallet doesn't hold yet.
    fn create(&self, key: &AccountKey) -> Result<Zeroizing<String>, WalletError> {
        let store = self.store.store()?;
        let path = store.path(&self.wallet)?;
        // Told before a password is asked for; what counts is `Store::create`.
        if path.symlink_metadata().is_ok() {
            return Err(WalletError::Exists(path));
        }
        let password = self.password.choose(&path)?;
        store.create(&path, &sealed(key, &password)?)?;
        Ok(self.made(&path, key.account()))
    }
}

/// Opens a wallet, and says on standard error if others can reach its file: it is encrypted, so that is no reason to stop.
pub(super) fn open(path: &Path, password: &PasswordArguments) -> Result<AccountKey, WalletError> {
    let Opened { keystore, exposed } = store::read(path)?;
    if let Some(mode) = exposed {
        eprintln!(
            "jeju: warning: {} has mode {mode:04o}: others can read or change it; chmod 600",
            path.display()
        );
    }
    let password = password.read(path)?;
    keystore.decrypt(&password).map_err(|error| error.of(path))
}

fn new(arguments: &WalletArguments) -> Result<Zeroizing<String>, AccountKeyError> {
    // A number that is no key comes once in 2^128 times.
    let mut bytes = Zeroizing::new([0; 32]);
    let key = loop {
        aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| WalletError::Crypto)?;
        if let Some(key) = AccountKey::from_bytes(&bytes) {
            break key;
        }
    };
    Ok(arguments.create(&key)?)
}

fn import(arguments: &ImportArguments) -> Result<Zeroizing<String>, AccountKeyError> {
    let key = match &arguments.key {
        Some(path) => account_key::of_file(path)?,
        None => match account_key::of_environment() {
            Err(AccountKeyError::Nothing) => account_key::of_terminal()?,
            found => found?,
        },
    };
    Ok(arguments.wallet.create(&key)?)
}

fn list(arguments: &ListArguments) -> Result<Zeroizing<String>, WalletError> {
    let wallets = arguments.store.store()?.list()?;
    let claimed = |opened: Opened| opened.keystore.claimed().map(|account| account.to_string());
    if arguments.json {
        let wallets = wallets.into_iter().map(|Entry { name, opened }| match opened {
            Ok(opened) => json!({ "name": name, "claimedAccount": claimed(opened) }),
            Err(error) => json!({ "name": name, "code": error.code(), "message": error.to_string() }),
        });
        let wallets: Vec<Value> = wallets.collect();
        return Ok(Zeroizing::new(json!({ "wallets": wallets }).to_string()));
    }
    let lines = wallets.into_iter().map(|Entry { name, opened }| match opened {
        Ok(opened) => {
            let account = claimed(opened).unwrap_or_else(|| "(the file doesn't say)".to_owned());
            format!("{account:<42}  {name}")
        }
        Err(error) => format!("{:<42}  {name}", format!("({})", error.code())),
    });
    Ok(Zeroizing::new(lines.collect::<Vec<_>>().join("\n")))
}

fn export(arguments: &ExportArguments) -> Result<Zeroizing<String>, WalletError> {
    if !arguments.yes_show_the_key {
        return Err(WalletError::Unconfirmed);
    }
    let (_, key) = arguments.wallet.open()?;
    let mut digits = Zeroizing::new([0; 64]);
    let bytes = key.to_bytes();
    hex::encode_to_slice(bytes.as_slice(), digits.as_mut_slice()).map_err(|_| WalletError::Crypto)?;
    let digits = std::str::from_utf8(digits.as_slice()).map_err(|_| WalletError::Crypto)?;
    Ok(Zeroizing::new(match arguments.wallet.json {
        // Not through a JSON value, which would keep a copy.
        true => format!(r#"{{"account":"{}","privateKey":"0x{digits}"}}"#, key.account()),
        false => format!("0x{digits}"),
    }))
}

fn passwd(arguments: &PasswdArguments) -> Result<Zeroizing<String>, WalletError> {
    let (path, key) = arguments.wallet.open()?;
    let password = arguments.new.choose(&path)?;
    store::replace(&path, &sealed(&key, &password)?)?;
    Ok(arguments.wallet.made(&path, key.account()))
}

/// Encrypts a key, and shows that what is to be written opens again: the old file may be all that there is of the key.
fn sealed(key: &AccountKey, password: &Password) -> Result<Keystore, WalletError> {
    let keystore = Keystore::encrypt(key, password)?;
    let written = Keystore::parse(keystore.to_string().as_bytes())?;
    match written.decrypt(password)?.account() == key.account() {
        true => Ok(keystore),
        false => Err(WalletError::Crypto),
    }
}

fn typed_data(path: &Path) -> Result<[u8; 32], WalletError> {
    let text = files::text(path, MAX_TYPED_DATA)?;
    let refused = |what: String| WalletError::TypedData {
        path: path.to_owned(),
        what,
    };
    let data: TypedData = serde_json::from_str(&text).map_err(|error| refused(not_typed_data(&error)))?;
    let hashed = data.hash().map_err(|error| refused(error.to_string()))?;
    Ok(hashed.digest)
}

/// Not in the error's own words, which repeat what stands there: the file may be a key that was taken for another.
fn not_typed_data(error: &serde_json::Error) -> String {
    format!("no typed data (line {}, column {})", error.line(), error.column())
}
