//! Ed25519 keys in files of the gateway's folder, as `ssh-keygen` writes them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;

/// A key that ends with the process.
///
/// # Errors
/// Where the system gives no random numbers.
pub(crate) fn generate() -> io::Result<PrivateKey> {
    let mut seed = [0; 32];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random
        .fill(&mut seed)
        .map_err(|_| io::Error::other("no random numbers"))?;
    Ok(Ed25519Keypair::from_seed(&seed).into())
}

/// The key in the file `name` of `folder`; made where there is none, for nobody but this user to read.
///
/// # Errors
/// Where it can't be read or written, or where the file holds none.
pub(crate) fn of(folder: &Path, name: &str) -> io::Result<PrivateKey> {
    let path = folder.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let key = PrivateKey::from_openssh(text)
                .ok()
                .filter(|key| key.key_data().ed25519().is_some());
            key.ok_or_else(|| io::Error::other("not an Ed25519 key of OpenSSH, without a password"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = generate()?;
            let text = made.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_the_same_and_is_nobody_elses_to_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made");
        let public = || of(&folder, "key").unwrap().public_key().to_openssh().unwrap();
        assert_eq!(public(), public());
        let mode = fs::metadata(folder.join("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(folder.join("key"), "no key").unwrap();
        assert!(of(&folder, "key").is_err());
    }
}
