//! The key by which `ssh -J` knows the gateway again. It protects nothing of a rental: a tenant's SSH goes through it whole.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;

/// Its file in a gateway's folder, as `ssh-keygen` writes it.
pub const FILE: &str = "ssh_host_ed25519_key";

/// An Ed25519 host key.
pub struct HostKey(PrivateKey);

impl HostKey {
    /// One that ends with the process. Clients that remember the key of the last one warn.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn generate() -> io::Result<Self> {
        let mut seed = [0; 32];
        let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
        random
            .fill(&mut seed)
            .map_err(|_| io::Error::other("no random numbers"))?;
        Ok(Self(Ed25519Keypair::from_seed(&seed).into()))
    }

    /// The one of `folder`; made where there is none.
    ///
    /// # Errors
    /// Where it can't be read or written, or where the file holds none.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let key = PrivateKey::from_openssh(text)
                    .ok()
                    .filter(|key| key.key_data().ed25519().is_some());
                key.map(Self)
                    .ok_or_else(|| io::Error::other("not an Ed25519 key of OpenSSH, without a password"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = Self::generate()?;
                let text = made.0.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
                fs::create_dir_all(folder)?;
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)?;
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                Ok(made)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn into_private(self) -> PrivateKey {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_the_same_and_is_nobody_elses_to_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made");
        let public = || HostKey::of(&folder).unwrap().0.public_key().to_openssh().unwrap();
        assert_eq!(public(), public());
        let mode = fs::metadata(folder.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(folder.join(FILE), "no key").unwrap();
        assert!(HostKey::of(&folder).is_err());
    }
}
