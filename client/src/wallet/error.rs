//! Why a wallet can't be opened or written.

use std::io;
use std::path::{Path, PathBuf};

use jeju_wallet_auth::account::Account;
use thiserror::Error;

use super::secret_file::SecretFileError;
use crate::files::FileError;

/// Why a wallet can't be opened or written. None of these repeats what stands in a file.
#[derive(Debug, Error)]
pub enum WalletError {
    /// Neither a name nor a path with a slash.
    #[error(
        "{0:?} is no name of a wallet: letters, digits, '.', '_' and '-', not first; a path has a slash, as ./FILE"
    )]
    Name(PathBuf),
    /// There is no home folder.
    #[error("no folder of wallets: --keystore DIR, or JEJU_KEYSTORE or HOME in the environment")]
    NoFolder,
    /// There is none.
    #[error("{} isn't there", .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error("{} is there already and is not overwritten", .0.display())]
    Exists(PathBuf),
    /// A link, a folder or a device.
    #[error("{} is a link or no file", .0.display())]
    NotAFile(PathBuf),
    /// The system doesn't let it be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system doesn't let it be written.
    #[error("{}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// Longer than any wallet.
    #[error("the file is longer than {0} bytes")]
    Long(usize),
    /// Not JSON, or without a field, or with one of another form.
    #[error("not a wallet of version 3 (line {line}, column {column})")]
    Json {
        /// Where, counted from 1.
        line: usize,
        /// Where, counted from 1.
        column: usize,
    },
    /// A value that can't be.
    #[error("not a wallet: {0}")]
    Parameters(&'static str),
    /// A wallet of a form that isn't read.
    #[error("the wallet has {0}, which isn't supported")]
    Unsupported(&'static str),
    /// Opening it would take more than anybody needs.
    #[error("the wallet asks for {what}; the most is {limit}")]
    Costly {
        /// What it asks for.
        what: String,
        /// What is done.
        limit: &'static str,
    },
    /// Wrong password or changed file: the two look alike.
    #[error("the password is wrong, or the file was changed")]
    Password,
    /// The file names another account than its key's.
    #[error("the file names account {claimed}, its key is of {found}: it was changed")]
    Address {
        /// Named.
        claimed: Account,
        /// Found.
        found: Account,
    },

    /// Nobody can be asked.
    #[error("no password: --password-file FILE, JEJU_PASSWORD in the environment, or a terminal to ask on")]
    NoPassword,
    /// The file with the password.
    #[error(transparent)]
    PasswordFile(#[from] SecretFileError),
    /// It isn't taken.
    #[error("password: {0}")]
    PasswordForm(&'static str),
    /// The user broke off.
    #[error("broken off")]
    Cancelled,

    /// `export` without its flag.
    #[error("export prints the private key; say --yes-show-the-key if that is what you want")]
    Unconfirmed,
    /// A file to sign can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file to sign is no typed data.
    #[error("{}: {what}", path.display())]
    TypedData {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// No random numbers, or AES refuses to work.
    #[error("the cryptographic library refuses to work")]
    Crypto,

    /// One of those above, of the file that is named.
    #[error("{}: {source}", path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<WalletError>,
    },
}

impl WalletError {
    /// Stable code. All of them are the user's own to mend ([`crate::error::Class::Usage`]).
    pub fn code(&self) -> &'static str {
        match self {
            WalletError::Name(_) => "wallet_name_invalid",
            WalletError::NoFolder => "wallet_folder_unknown",
            WalletError::Missing(_) => "wallet_missing",
            WalletError::Exists(_) => "wallet_exists",
            WalletError::NotAFile(_) => "wallet_not_a_file",
            WalletError::Unreadable { .. } => "file_unreadable",
            WalletError::Unwritable { .. } => "file_unwritable",
            WalletError::Long(_) | WalletError::Json { .. } | WalletError::Parameters(_) => {
                "wallet_malformed"
            }
            WalletError::Unsupported(_) => "wallet_unsupported",
            WalletError::Costly { .. } => "wallet_too_costly",
            WalletError::Password => "wallet_password_wrong",
            WalletError::Address { .. } => "wallet_address_mismatch",
            WalletError::NoPassword => "wallet_password_missing",
            WalletError::PasswordFile(SecretFileError::Mode { .. }) => "wallet_password_exposed",
            WalletError::PasswordFile(SecretFileError::Unreadable { .. }) => "file_unreadable",
            WalletError::PasswordForm(_) => "wallet_password_invalid",
            WalletError::Cancelled => "wallet_cancelled",
            WalletError::Unconfirmed => "wallet_export_unconfirmed",
            WalletError::File(error) => error.code(),
            WalletError::TypedData { .. } => "payload_invalid",
            WalletError::Crypto => "crypto_unavailable",
            WalletError::In { source, .. } => source.code(),
        }
    }

    /// The same, of this file.
    pub(super) fn of(self, path: &Path) -> Self {
        WalletError::In {
            path: path.to_owned(),
            source: Box::new(self),
        }
    }
}
