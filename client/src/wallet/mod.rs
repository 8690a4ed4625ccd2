//! Accounts' keys on this machine: encrypted files, which geth and cast read as well, and where a command gets its key from.
//!
//! ```text
//! password ── kdf ──▶ derived key ── keystore ──▶ account key ──▶ signature
//!                                       ▲
//!                 store: folder, names, files that nobody overwrites
//! ```

pub mod account_key;
pub mod command;
mod error;
mod hex_field;
mod kdf;
mod keystore;
mod password;
mod secret_file;
mod store;

pub use account_key::{AccountArguments, AccountKeyError};
pub use error::WalletError;
pub use keystore::Keystore;
pub(crate) use password::ask;
pub use password::{Password, PasswordArguments};
pub use secret_file::SecretFileError;
pub(crate) use secret_file::read_secret;
pub use store::{Entry, Opened, Store, StoreArguments};
