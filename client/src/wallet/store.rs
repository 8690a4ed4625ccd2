//! The folder of wallets, and files outside of it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Args;

use super::WalletError;
use super::keystore::{Keystore, MAX_LEN};

/// Longest name of a wallet; geth's have about 80.
const MAX_NAME: usize = 128;

/// Where wallets are.
#[derive(Debug, Clone, Default, Args)]
pub struct StoreArguments {
    /// Folder of wallets [default: JEJU_KEYSTORE of the environment, or ~/.jeju/keystore]
    #[arg(long, value_name = "DIR")]
    pub keystore: Option<PathBuf>,
}

/// The folder of wallets.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// A wallet that was read.
#[derive(Debug)]
pub struct Opened {
    /// It.
    pub keystore: Keystore,
    /// Its permission bits, where others can read or change it.
    pub exposed: Option<u32>,
}

/// A file of the folder.
#[derive(Debug)]
pub struct Entry {
    /// Its name, printable.
    pub name: String,
    /// The wallet, or why it is none.
    pub opened: Result<Opened, WalletError>,
}

impl StoreArguments {
    /// The folder; it needn't be there yet.
    ///
    /// # Errors
    /// [`WalletError::NoFolder`].
    pub fn store(&self) -> Result<Store, WalletError> {
        let set = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let folder = self
            .keystore
            .clone()
            .or_else(|| set("JEJU_KEYSTORE"))
            .or_else(|| Some(set("HOME")?.join(".jeju/keystore")))
            .ok_or(WalletError::NoFolder)?;
        Ok(Store { folder })
    }
}

impl Store {
    /// The file of a wallet: a name stands for a file of the folder, whatever has a slash for itself.
    ///
    /// # Errors
    /// [`WalletError::Name`].
    pub fn path(&self, wallet: &Path) -> Result<PathBuf, WalletError> {
        let refused = || WalletError::Name(wallet.to_owned());
        let text = wallet.to_str().ok_or_else(refused)?;
        if text.contains('/') {
            return match wallet.file_name() {
                Some(_) => Ok(wallet.to_owned()),
                None => Err(refused()),
            };
        }
        match is_name(text) {
            true => Ok(self.folder.join(text)),
            false => Err(refused()),
        }
    }

    /// Writes a new wallet; one that is there is never touched.
    ///
    /// # Errors
    /// [`WalletError::Exists`], [`WalletError::Unwritable`].
    pub fn create(&self, path: &Path, keystore: &Keystore) -> Result<(), WalletError> {
        if path.parent() == Some(&self.folder) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.folder)
                .map_err(|source| unwritable(&self.folder, source))?;
        }
        let temporary = Temporary::write(path, keystore)?;
        // Unlike a rename, a second link fails where there is a file already, even one that came just now.
        fs::hard_link(&temporary.path, path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => WalletError::Exists(path.to_owned()),
            _ => unwritable(path, source),
        })?;
        drop(temporary);
        sync_folder(path)
    }

    /// The wallets of the folder by name, and why one can't be read.
    ///
    /// # Errors
    /// [`WalletError::Unreadable`]: the folder.
    pub fn list(&self) -> Result<Vec<Entry>, WalletError> {
        let unreadable = |source| WalletError::Unreadable {
            path: self.folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unreadable)?,
        };
        let mut wallets = Vec::new();
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            // Unfinished ones of ours, and whatever else hides.
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let opened = match name.to_str() {
                Some(name) if is_name(name) => read(&entry.path()),
                _ => Err(WalletError::Name(name.clone().into())),
            };
            let name = name.to_string_lossy().escape_debug().to_string();
            wallets.push(Entry { name, opened });
        }
        wallets.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(wallets)
    }
}

/// Reads a wallet. A link isn't followed: who can make one could have us read and overwrite another file.
///
/// # Errors
/// [`WalletError`] of files and of their content.
pub fn read(path: &Path) -> Result<Opened, WalletError> {
    let not_a_file = || WalletError::NotAFile(path.to_owned());
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => WalletError::Missing(path.to_owned()),
        _ if source.raw_os_error() == Some(libc::ELOOP) => not_a_file(),
        _ => WalletError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    let file = OpenOptions::new()
        .read(true)
        // Nor waited for, as one would for a pipe.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(not_a_file());
    }
    let mut text = Vec::new();
    file.take(MAX_LEN as u64 + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if text.len() > MAX_LEN {
        return Err(WalletError::Long(MAX_LEN).of(path));
    }
    let mode = metadata.mode() & 0o7777;
    Ok(Opened {
        keystore: Keystore::parse(&text).map_err(|error| error.of(path))?,
        exposed: (mode & 0o077 != 0).then_some(mode),
    })
}

/// Puts another content in a wallet's place, whole.
///
/// # Errors
/// [`WalletError::Unwritable`].
pub fn replace(path: &Path, keystore: &Keystore) -> Result<(), WalletError> {
    let temporary = Temporary::write(path, keystore)?;
    fs::rename(&temporary.path, path).map_err(|source| unwritable(path, source))?;
    drop(temporary);
    sync_folder(path)
}

/// A file next to the one that it will be; removed if it doesn't become it.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn write(target: &Path, keystore: &Keystore) -> Result<Self, WalletError> {
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| WalletError::Crypto)?;
        let path = target.with_file_name(format!(".wallet-{}", hex::encode(random)));
        // Its owner's from the start, whatever the process's mask is.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let mut file = file.map_err(|source| unwritable(target, source))?;
        let temporary = Self { path };
        writeln!(file, "{keystore}")
            .and_then(|()| file.sync_all())
            .map_err(|source| unwritable(target, source))?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A new name lasts once its folder is on the disk.
fn sync_folder(path: &Path) -> Result<(), WalletError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| unwritable(path, source))
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= MAX_NAME
        && text.bytes().all(allowed)
        && text
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
}

fn unwritable(path: &Path, source: io::Error) -> WalletError {
    WalletError::Unwritable {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
