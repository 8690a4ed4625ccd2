//! Where the private key of an account comes from: a wallet, a file that nobody else can reach, or the environment.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use clap::Args;
use jeju_wallet_auth::signature::AccountKey;
use thiserror::Error;
use zeroize::Zeroizing;

use super::password::{self, PasswordArguments};
use super::secret_file::{self, SecretFileError};
use super::store::StoreArguments;
use super::{WalletError, command};
use crate::error::Class;

/// Variables that may hold a key, the first one that is set; the second one's name is what clients of the first Jeju
/// Compute have set.
const VARIABLES: [&str; 2] = ["JEJU_KEY", "PRIVATE_KEY"];

/// The account that asks.
#[derive(Debug, Clone, Default, Args)]
pub struct AccountArguments {
    /// File with the account's private key in hexadecimal, readable by its owner only [default: JEJU_KEY or PRIVATE_KEY of the environment]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The account's wallet instead: its name in the folder of wallets, or a path with a slash
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "key")]
    pub wallet: Option<PathBuf>,
    /// Where wallets are.
    #[command(flatten)]
    pub store: StoreArguments,
    /// How they are opened.
    #[command(flatten)]
    pub password: PasswordArguments,
}

/// Why there is no key.
#[derive(Debug, Error)]
pub enum AccountKeyError {
    /// Neither wallet nor file nor variable.
    #[error("name the account's key: --wallet NAME, --key FILE, or JEJU_KEY in the environment")]
    Nothing,
    /// The file can't be read, or others can.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// Not 32 bytes in hexadecimal, or not a number between 1 and the group's order.
    #[error("{0} does not hold one secp256k1 key: 32 bytes in hexadecimal")]
    Content(String),
    /// The wallet doesn't open.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

impl AccountKeyError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            AccountKeyError::Nothing => "account_key_missing",
            AccountKeyError::File(SecretFileError::Unreadable { .. }) => "file_unreadable",
            AccountKeyError::File(SecretFileError::Mode { .. }) => "account_key_exposed",
            AccountKeyError::Content(_) => "account_key_invalid",
            AccountKeyError::Wallet(error) => error.code(),
        }
    }

    /// Class, from which the exit code follows.
    pub const fn class(&self) -> Class {
        Class::Usage
    }
}

impl AccountArguments {
    /// Reads the key.
    ///
    /// # Errors
    /// Any of [`AccountKeyError`].
    pub fn read(&self) -> Result<AccountKey, AccountKeyError> {
        match (&self.wallet, &self.key) {
            (Some(wallet), _) => {
                let path = self.store.store()?.path(wallet)?;
                Ok(command::open(&path, &self.password)?)
            }
            (None, Some(path)) => of_file(path),
            (None, None) => of_environment(),
        }
    }
}

/// The key that a file holds in the clear.
pub(super) fn of_file(path: &Path) -> Result<AccountKey, AccountKeyError> {
    let text = secret_file::read(path)?;
    AccountKey::from_hex(&text).ok_or_else(|| AccountKeyError::Content(path.display().to_string()))
}

/// The key that the environment holds.
pub(super) fn of_environment() -> Result<AccountKey, AccountKeyError> {
    of_variables(|name| std::env::var_os(name).map(OsStringExt::into_vec))
}

/// The key that somebody types or pastes, unseen.
pub(super) fn of_terminal() -> Result<AccountKey, AccountKeyError> {
    let typed = password::ask("Private key in hexadecimal: ").map_err(|error| match error {
        WalletError::NoPassword => AccountKeyError::Nothing,
        error => error.into(),
    })?;
    AccountKey::from_hex(typed.bytes()).ok_or_else(|| AccountKeyError::Content("what was typed".to_owned()))
}

fn of_variables(variable: impl Fn(&'static str) -> Option<Vec<u8>>) -> Result<AccountKey, AccountKeyError> {
    let (name, text) = VARIABLES
        .into_iter()
        .find_map(|name| Some((name, Zeroizing::new(variable(name)?))))
        .ok_or(AccountKeyError::Nothing)?;
    AccountKey::from_hex(&text).ok_or_else(|| AccountKeyError::Content(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The first key of the development mnemonic "test test … junk".
    const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const ACCOUNT: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

    #[test]
    fn files_are_for_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let read = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let arguments = AccountArguments {
                key: Some(path.clone()),
                ..AccountArguments::default()
            };
            arguments.read()
        };
        assert_eq!(
            read(&format!("{KEY}\n"), 0o600).unwrap().account().to_string(),
            ACCOUNT
        );
        assert_eq!(read(KEY, 0o640).unwrap_err().code(), "account_key_exposed");
        assert_eq!(read(KEY, 0o604).unwrap_err().code(), "account_key_exposed");
        for wrong in ["", "0x", &KEY[..60], &"0".repeat(64), &" ".repeat(4096)] {
            let error = read(wrong, 0o600).unwrap_err();
            assert_eq!(error.code(), "account_key_invalid");
            assert!(!error.to_string().contains(KEY.get(2..20).unwrap()));
        }
        std::fs::remove_file(&path).unwrap();
        let arguments = AccountArguments {
            key: Some(path),
            ..AccountArguments::default()
        };
        assert_eq!(arguments.read().unwrap_err().code(), "file_unreadable");
    }

    #[test]
    fn the_environment_has_two_names() {
        let of = |set: &'static [(&str, &str)]| {
            of_variables(move |name| {
                let found = set.iter().find(|(found, _)| *found == name)?;
                Some(found.1.as_bytes().to_vec())
            })
        };
        assert_eq!(
            of(&[("PRIVATE_KEY", KEY)]).unwrap().account().to_string(),
            ACCOUNT
        );
        assert!(of(&[("JEJU_KEY", KEY), ("PRIVATE_KEY", "x")]).is_ok());
        assert_eq!(
            of(&[("JEJU_KEY", "x")]).unwrap_err().code(),
            "account_key_invalid"
        );
        assert_eq!(of(&[]).unwrap_err().code(), "account_key_missing");
    }
}
