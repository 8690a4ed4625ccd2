//! A rebuilder's key: read from a file that nobody else can read, wiped when done, never shown.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jeju_wallet_auth::signature::AccountKey;
use thiserror::Error;
use zeroize::Zeroizing;

/// Longest key file that is read, in bytes.
const MAX_LEN: u64 = 128;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a plain file.
    #[error("{} is not a plain file", .0.display())]
    Kind(PathBuf),
    /// Others can read or change it.
    #[error("{} has mode {mode:04o}: others can read or change it; chmod 600", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is someone else's, who can change it.
    #[error("{} belongs to user {owner}, not to you ({user})", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who asks.
        user: u32,
    },
    /// Not 32 bytes in hexadecimal, or not a number between 1 and the group's order.
    #[error("{} does not hold one secp256k1 key: 32 bytes in hexadecimal", .0.display())]
    Content(PathBuf),
}

/// A secp256k1 key, wiped on drop. `Debug` shows its address.
#[derive(Debug)]
pub struct RebuilderKey(AccountKey);

impl RebuilderKey {
    /// Reads 32 bytes in hexadecimal, with or without `0x`, from a file of mode 0600 or less.
    ///
    /// # Errors
    /// Any of [`KeyError`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io {
            path: path.to_owned(),
            source,
        };
        // The file that is checked is the one that is read: no second look-up of the name.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
            .map_err(io)?;
        check(path, &file)?;
        let mut text = Zeroizing::new([0; MAX_LEN as usize]);
        let length = read_up_to(file, text.as_mut_slice()).map_err(io)?;
        match AccountKey::from_hex(&text[..length]) {
            Some(key) => Ok(Self(key)),
            None => Err(KeyError::Content(path.to_owned())),
        }
    }

    /// Its Ethereum address.
    pub fn address(&self) -> [u8; 20] {
        self.0.account().0
    }

    /// Signs a digest: r ‖ s ‖ v, low s, v 27 or 28.
    pub(super) fn sign(&self, digest: &[u8; 32]) -> [u8; 65] {
        self.0.sign(digest).0
    }
}

fn check(path: &Path, file: &File) -> Result<(), KeyError> {
    let metadata = file.metadata().map_err(|source| KeyError::Io {
        path: path.to_owned(),
        source,
    })?;
    if !metadata.is_file() {
        return Err(KeyError::Kind(path.to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(KeyError::Mode {
            path: path.to_owned(),
            mode: metadata.mode() & 0o7777,
        });
    }
    // SAFETY: the call has no arguments and can't fail.
    let user = unsafe { libc::geteuid() };
    if metadata.uid() != user {
        return Err(KeyError::Owner {
            path: path.to_owned(),
            owner: metadata.uid(),
            user,
        });
    }
    Ok(())
}

/// Without a buffer that grows and leaves copies of a key behind.
fn read_up_to(mut file: File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    loop {
        match file.read(&mut buffer[length..])? {
            0 => return Ok(length),
            read => length += read,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The first key of the well-known development mnemonic "test test … junk", as every local chain funds it.
    const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const ADDRESS: &str = "f39fd6e51aad88f6f4ce6ab8827279cfffb92266";

    pub(in crate::statement) fn key() -> RebuilderKey {
        RebuilderKey(AccountKey::from_hex(KEY.as_bytes()).unwrap())
    }

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn reads_a_key_that_nobody_else_can_read() {
        for (text, mode) in [(KEY, 0o600), (&format!("{}\n", &KEY[2..]), 0o400)] {
            let (_folder, path) = file(text, mode);
            assert_eq!(hex::encode(RebuilderKey::read(&path).unwrap().address()), ADDRESS);
        }
    }

    #[test]
    fn refuses_a_key_that_others_could_know() {
        for mode in [0o640, 0o604, 0o620, 0o601] {
            let (_folder, path) = file(KEY, mode);
            assert!(matches!(
                RebuilderKey::read(&path),
                Err(KeyError::Mode { mode: found, .. }) if found == mode
            ));
        }
        let (folder, path) = file(KEY, 0o600);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(path, &link).unwrap();
        assert!(matches!(RebuilderKey::read(&link), Err(KeyError::Io { .. })));
        assert!(matches!(
            RebuilderKey::read(folder.path()),
            Err(KeyError::Kind(_) | KeyError::Mode { .. })
        ));
    }

    #[test]
    fn refuses_what_is_no_key() {
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        for text in [
            "",
            "0x",
            &KEY[..64],
            &format!("{KEY}00"),
            &"0".repeat(64),
            order,
            &"a".repeat(500),
        ] {
            let (_folder, path) = file(text, 0o600);
            let result = RebuilderKey::read(&path);
            assert!(matches!(result, Err(KeyError::Content(_))), "{text}");
        }
    }

    #[test]
    fn is_never_shown() {
        let shown = format!("{:?}", key()).to_lowercase();
        assert!(shown.contains(ADDRESS) && !shown.contains(&KEY[2..10]), "{shown}");
    }
}
