//! The machine's simulated root key and chip id on disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use thiserror::Error;
use zeroize::Zeroizing;

/// Length of a chip id.
pub(crate) const CHIP_ID_LEN: usize = 16;

const KEY_FILE: &str = "root.key";
const PUBLIC_FILE: &str = "root.pub";
const CHIP_FILE: &str = "chip.id";
const CHIP_SECRET_TAG: &[u8] = b"jeju-simulated-chip-secret-v1";
/// A P-256 key in PKCS #8 has 138 bytes.
const MAX_FILE: u64 = 512;

/// Why the machine's simulated silicon can't be used.
#[derive(Debug, Error)]
pub enum SiliconError {
    /// A file operation failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key file is a link, a folder, or a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Somebody but the owner may read or write the key: it may have been copied or replaced.
    #[error("{} has mode {mode:04o}: only its owner may have access (0600); delete it for a new root", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file belongs to another user.
    #[error("{} belongs to uid {owner}, not to uid {user}", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who runs this process.
        user: u32,
    },
    /// A file doesn't hold what it should.
    #[error("{} is damaged: {expected} expected", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// `root.pub`, which development policies name, isn't the key's public half.
    #[error("{} is not the public half of {KEY_FILE}", path.display())]
    PublicMismatch {
        /// The file.
        path: PathBuf,
    },
    /// The cryptographic library made no key or no random bytes.
    #[error("no key could be generated")]
    Generation,
}

/// What the folder holds.
pub(crate) struct Stored {
    pub(crate) key: EcdsaKeyPair,
    pub(crate) chip_id: [u8; CHIP_ID_LEN],
    /// What a real chip has fused in: from the key file, so that there is nothing else to keep.
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

/// Reads `root.key`, `root.pub` and `chip.id` under `dir`, and makes those that don't exist. Several processes may do
/// so at once: all get the same key.
pub(crate) fn open_or_create(dir: &Path) -> Result<Stored, SiliconError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| io_error(dir, source))?;

    let key_path = dir.join(KEY_FILE);
    if !exists(&key_path)? {
        let key =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| SiliconError::Generation)?;
        let pkcs8 = key.to_pkcs8v1().map_err(|_| SiliconError::Generation)?;
        create(&key_path, 0o600, pkcs8.as_ref())?;
    }
    let pkcs8 = read_private(&key_path)?;
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).map_err(|_| {
        SiliconError::Damaged {
            path: key_path,
            expected: "a P-256 key in PKCS #8",
        }
    })?;

    let public_path = dir.join(PUBLIC_FILE);
    let public = hex::encode(key.public_key().as_ref());
    if !exists(&public_path)? {
        create(&public_path, 0o644, public.as_bytes())?;
    }
    if read(open(&public_path)?, &public_path)?.trim_ascii_end() != public.as_bytes() {
        return Err(SiliconError::PublicMismatch { path: public_path });
    }

    let chip_path = dir.join(CHIP_FILE);
    if !exists(&chip_path)? {
        let mut id = [0; CHIP_ID_LEN];
        SystemRandom::new()
            .fill(&mut id)
            .map_err(|_| SiliconError::Generation)?;
        create(&chip_path, 0o644, hex::encode(id).as_bytes())?;
    }
    let mut chip_id = [0; CHIP_ID_LEN];
    hex::decode_to_slice(
        read(open(&chip_path)?, &chip_path)?.trim_ascii_end(),
        &mut chip_id,
    )
    .map_err(|_| SiliconError::Damaged {
        path: chip_path,
        expected: "16 bytes in hexadecimal",
    })?;
    let mut secret = Zeroizing::new([0; 32]);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &pkcs8), CHIP_SECRET_TAG);
    secret.copy_from_slice(mac.as_ref());
    Ok(Stored { key, chip_id, secret })
}

fn exists(path: &Path) -> Result<bool, SiliconError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(io_error(path, source)),
    }
}

/// Writes a whole file or nothing: the content gets its name by a link, which fails if another process was first, and
/// then that one's content stands.
fn create(path: &Path, mode: u32, content: &[u8]) -> Result<(), SiliconError> {
    static UNIQUE: AtomicU64 = AtomicU64::new(0);
    let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}-{unique}.new", std::process::id()));
    // Only a process that died with this id can have left it.
    let _ = std::fs::remove_file(&temporary);
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        match std::fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    };
    let written = write();
    let removed = std::fs::remove_file(&temporary);
    written.and(removed).map_err(|source| io_error(path, source))
}

fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, SiliconError> {
    let file = open(path)?;
    let metadata = file.metadata().map_err(|source| io_error(path, source))?;
    if !metadata.is_file() {
        return Err(SiliconError::NotAFile { path: path.into() });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SiliconError::Exposed {
            path: path.into(),
            mode,
        });
    }
    // SAFETY: geteuid takes nothing, writes nothing, and can't fail.
    let user = unsafe { libc::geteuid() };
    if metadata.uid() != user {
        return Err(SiliconError::Owner {
            path: path.into(),
            owner: metadata.uid(),
            user,
        });
    }
    read(file, path)
}

/// Opens without following a link, and without waiting for the writer of a pipe.
fn open(path: &Path) -> Result<File, SiliconError> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(|source| match source.raw_os_error() {
            Some(libc::ELOOP) => SiliconError::NotAFile { path: path.into() },
            _ => io_error(path, source),
        })
}

fn read(file: File, path: &Path) -> Result<Zeroizing<Vec<u8>>, SiliconError> {
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize + 1));
    file.take(MAX_FILE + 1)
        .read_to_end(&mut content)
        .map_err(|source| io_error(path, source))?;
    if content.len() as u64 > MAX_FILE {
        return Err(SiliconError::Damaged {
            path: path.into(),
            expected: "at most 512 bytes",
        });
    }
    Ok(content)
}

fn io_error(path: &Path, source: io::Error) -> SiliconError {
    SiliconError::Io {
        path: path.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn error(dir: &Path) -> SiliconError {
        open_or_create(dir).err().expect("must be refused")
    }

    #[test]
    fn the_same_folder_gives_the_same_silicon() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("a/b");
        let first = open_or_create(&home).unwrap();
        let second = open_or_create(&home).unwrap();
        assert_eq!(first.key.public_key().as_ref(), second.key.public_key().as_ref());
        assert_eq!(first.chip_id, second.chip_id);
        assert_eq!(home.join(KEY_FILE).metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            std::fs::read_dir(&home).unwrap().count(),
            3,
            "no temporary file stays"
        );
        let other = open_or_create(&dir.path().join("c")).unwrap();
        assert_ne!(first.key.public_key().as_ref(), other.key.public_key().as_ref());
        assert_ne!(first.chip_id, other.chip_id);
    }

    #[test]
    fn a_key_that_others_can_reach_is_refused() {
        for mode in [0o640, 0o604, 0o620, 0o602, 0o601] {
            let dir = tempfile::tempdir().unwrap();
            open_or_create(dir.path()).unwrap();
            std::fs::set_permissions(dir.path().join(KEY_FILE), Permissions::from_mode(mode)).unwrap();
            assert!(matches!(error(dir.path()), SiliconError::Exposed { mode: found, .. } if found == mode));
        }
    }

    #[test]
    fn a_key_behind_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        open_or_create(dir.path()).unwrap();
        let key = dir.path().join(KEY_FILE);
        std::fs::rename(&key, dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", &key).unwrap();
        assert!(matches!(error(dir.path()), SiliconError::NotAFile { .. }));
        std::fs::remove_file(&key).unwrap();
        std::os::unix::fs::symlink("nowhere", &key).unwrap();
        assert!(
            matches!(error(dir.path()), SiliconError::NotAFile { .. }),
            "a dangling link is not 'no key'"
        );
        std::fs::remove_file(&key).unwrap();
        std::fs::create_dir(&key).unwrap();
        assert!(matches!(error(dir.path()), SiliconError::NotAFile { .. }));
    }

    #[test]
    fn damaged_files_are_refused() {
        let damage = |name: &str, content: &[u8]| {
            let dir = tempfile::tempdir().unwrap();
            open_or_create(dir.path()).unwrap();
            std::fs::write(dir.path().join(name), content).unwrap();
            error(dir.path())
        };
        assert!(matches!(damage(KEY_FILE, b""), SiliconError::Damaged { .. }));
        assert!(matches!(
            damage(KEY_FILE, &[0x30; 138]),
            SiliconError::Damaged { .. }
        ));
        assert!(matches!(
            damage(KEY_FILE, &[0; 513]),
            SiliconError::Damaged { .. }
        ));
        assert!(matches!(damage(CHIP_FILE, b"0011"), SiliconError::Damaged { .. }));
        assert!(matches!(
            damage(CHIP_FILE, &[b'z'; 32]),
            SiliconError::Damaged { .. }
        ));
        assert!(matches!(
            damage(PUBLIC_FILE, b"04"),
            SiliconError::PublicMismatch { .. }
        ));
    }

    #[test]
    fn processes_that_start_at_once_agree() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CHIP_FILE);
        create(&path, 0o644, b"first").unwrap();
        create(&path, 0o644, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first");

        let home = dir.path().join("home");
        let public = || open_or_create(&home).unwrap().key.public_key().as_ref().to_vec();
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(public)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.iter().all(|one| *one == all[0]));
    }
}
