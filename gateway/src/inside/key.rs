//! The gateway's key as a client of rentals' SSH servers. By itself it opens nothing: a renter signs a certificate for it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{PrivateKey, PublicKey};

use crate::key_file;

/// Its file in a gateway's folder.
pub const FILE: &str = "route_ed25519_key";
const COMMENT: &str = "jeju-gateway";

/// An Ed25519 key.
pub struct RouteKey {
    private: Arc<PrivateKey>,
    line: String,
}

impl RouteKey {
    /// One that ends with the process, as the routes of a gateway without a folder do.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn generate() -> io::Result<Self> {
        Self::new(key_file::generate()?)
    }

    /// The one of `folder`; made where there is none.
    ///
    /// # Errors
    /// Where it can't be read or written, or where the file holds none.
    pub fn of(folder: &Path) -> io::Result<Self> {
        Self::new(key_file::of(folder, FILE)?)
    }

    fn new(private: PrivateKey) -> io::Result<Self> {
        let mut public: PublicKey = private.public_key().clone();
        public.set_comment(COMMENT);
        Ok(Self {
            line: public.to_openssh().map_err(io::Error::other)?,
            private: Arc::new(private),
        })
    }

    /// The public key as a line of `authorized_keys`.
    pub fn line(&self) -> &str {
        &self.line
    }

    pub(super) fn public(&self) -> &KeyData {
        self.private.public_key().key_data()
    }

    pub(super) fn private(&self) -> Arc<PrivateKey> {
        self.private.clone()
    }
}
