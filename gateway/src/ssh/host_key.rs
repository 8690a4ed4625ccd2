//! The key by which `ssh -J` knows the gateway again. It protects nothing of a rental: a tenant's SSH goes through it whole.

use std::io;
use std::path::Path;

use russh::keys::PrivateKey;

use crate::key_file;

/// Its file in a gateway's folder.
pub const FILE: &str = "ssh_host_ed25519_key";

/// An Ed25519 host key.
pub struct HostKey(PrivateKey);

impl HostKey {
    /// One that ends with the process. Clients that remember the key of the last one warn.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn generate() -> io::Result<Self> {
        key_file::generate().map(Self)
    }

    /// The one of `folder`; made where there is none.
    ///
    /// # Errors
    /// Where it can't be read or written, or where the file holds none.
    pub fn of(folder: &Path) -> io::Result<Self> {
        key_file::of(folder, FILE).map(Self)
    }

    pub(super) fn into_private(self) -> PrivateKey {
        self.0
    }
}
