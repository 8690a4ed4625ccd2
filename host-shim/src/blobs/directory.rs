use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jeju_shim_protocol::blob::{BlobName, ListRequest, MAX_BLOB, Page};
use jeju_shim_protocol::line::ErrorCode;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};

/// Hidden, as no blob is.
const LOCK: &str = ".lock";
/// Start of a file's name while it is written.
const UNFINISHED: &str = ".new-";
/// No leaf comes before it.
const FIRST_LEAF: &str = "-";
/// Reads at once. Each holds a thread of the shim's pool.
const MAX_READS: usize = 4;

/// Blobs of one guest. One shim at a time.
#[derive(Clone)]
pub(crate) struct BlobDirectory(Arc<Shared>);

struct Shared {
    path: PathBuf,
    limit: Usage,
    /// One write at a time: the disk has them in the order in which they are answered.
    index: Arc<Mutex<Index>>,
    reads: Semaphore,
    bytes: AtomicU64,
    count: AtomicU64,
    /// The lock goes with it.
    _lock: File,
}

/// How much there is, or may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    pub(crate) count: u64,
}

/// What the directory holds: length of each blob.
#[derive(Default)]
struct Index {
    lengths: BTreeMap<BlobName, u64>,
    bytes: u64,
    /// Names of unfinished files are never used again.
    unfinished: u64,
}

/// Why a directory of blobs can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenBlobsError {
    /// Another shim uses it.
    #[error("another process uses it")]
    InUse,
    /// It holds a file that is no blob and that the shim didn't make.
    #[error("{} is not a blob", .0.display())]
    Foreign(PathBuf),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl BlobDirectory {
    /// Opens or makes a directory, readable by its owner only. What a shim left unfinished is deleted; what is there
    /// counts, also over `limit`.
    pub(crate) fn open(path: &Path, limit: Usage) -> Result<Self, OpenBlobsError> {
        private_dir().recursive(true).create(path)?;
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenBlobsError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let index = Index::read(path)?;
        let shared = Shared {
            path: path.to_owned(),
            limit,
            bytes: AtomicU64::new(index.bytes),
            count: AtomicU64::new(index.lengths.len() as u64),
            index: Arc::new(Mutex::new(index)),
            reads: Semaphore::new(MAX_READS),
            _lock: lock,
        };
        Ok(Self(Arc::new(shared)))
    }

    /// How much is there.
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            bytes: self.0.bytes.load(Relaxed),
            count: self.0.count.load(Relaxed),
        }
    }

    pub(super) async fn get(&self, name: &BlobName) -> Result<Vec<u8>, ErrorCode> {
        let _slot = self.0.reads.acquire().await.map_err(|_| ErrorCode::Internal)?;
        let path = self.0.file(name);
        let read = tokio::task::spawn_blocking(move || read_blob(&path)).await;
        match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(blob) if blob.len() > MAX_BLOB => Err(ErrorCode::TooLarge),
            Ok(blob) => Ok(blob),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ErrorCode::NotFound),
            Err(_) => Err(ErrorCode::Internal),
        }
    }

    pub(super) async fn put(&self, name: &BlobName, blob: Vec<u8>) -> Result<(), ErrorCode> {
        let name = name.clone();
        self.change(move |shared, index| shared.put(index, &name, &blob))
            .await
    }

    pub(super) async fn delete(&self, name: &BlobName) -> Result<(), ErrorCode> {
        let name = name.clone();
        self.change(move |shared, index| shared.delete(index, &name))
            .await
    }

    pub(super) async fn list(&self, request: &ListRequest) -> Result<Page, ErrorCode> {
        let index = self.0.index.lock().await;
        let from = match (request.after(), request.prefix()) {
            (Some(after), _) => after,
            (None, "") => FIRST_LEAF,
            (None, prefix) => prefix,
        };
        let from = BlobName::new(request.space(), from).map_err(|_| ErrorCode::Internal)?;
        let leaves = index
            .lengths
            .range(from..)
            .map(|(name, _)| name)
            .take_while(|name| name.space() == request.space())
            .map(BlobName::leaf);
        Ok(Page::select(request, leaves))
    }

    /// Changes files on a thread where waiting for a disk does no harm, after every change before it. A guest that
    /// goes away in the meantime doesn't stop it.
    async fn change<F>(&self, change: F) -> Result<(), ErrorCode>
    where
        F: FnOnce(&Shared, &mut Index) -> Result<(), ErrorCode> + Send + 'static,
    {
        let mut index: OwnedMutexGuard<Index> = self.0.index.clone().lock_owned().await;
        let shared = self.0.clone();
        let changed = tokio::task::spawn_blocking(move || {
            let outcome = change(&shared, &mut index);
            shared.bytes.store(index.bytes, Relaxed);
            shared.count.store(index.lengths.len() as u64, Relaxed);
            outcome
        });
        changed.await.unwrap_or(Err(ErrorCode::Internal))
    }
}

impl Shared {
    fn dir(&self, name: &BlobName) -> PathBuf {
        self.path.join(name.space())
    }

    fn file(&self, name: &BlobName) -> PathBuf {
        self.dir(name).join(name.leaf())
    }

    fn put(&self, index: &mut Index, name: &BlobName, blob: &[u8]) -> Result<(), ErrorCode> {
        let (held, len) = (index.lengths.get(name).copied(), blob.len() as u64);
        let count = index.lengths.len() as u64 + u64::from(held.is_none());
        let bytes = (index.bytes - held.unwrap_or(0)).saturating_add(len);
        // A smaller blob in the place of a larger one is taken also over the limit, or nothing could make room.
        let grows = held.is_none_or(|held| len > held);
        if grows && (bytes > self.limit.bytes || count > self.limit.count) {
            return Err(ErrorCode::Full);
        }
        let dir = self.dir(name);
        self.ensure_space(&dir).map_err(code_of)?;
        index.unfinished += 1;
        let unfinished = dir.join(format!("{UNFINISHED}{}", index.unfinished));
        let written =
            write_durably(&unfinished, blob).and_then(|()| fs::rename(&unfinished, self.file(name)));
        if let Err(error) = written {
            let _ = fs::remove_file(&unfinished);
            return Err(code_of(error));
        }
        index.bytes = bytes;
        index.lengths.insert(name.clone(), len);
        sync_dir(&dir).map_err(code_of)
    }

    fn delete(&self, index: &mut Index, name: &BlobName) -> Result<(), ErrorCode> {
        match fs::remove_file(self.file(name)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(code_of(error)),
        }
        // Synchronised also where there was nothing: an answer that got lost was to a deletion that may not have been.
        let known = index.lengths.remove(name);
        index.bytes -= known.unwrap_or(0);
        match sync_dir(&self.dir(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome.map_err(code_of),
        }
    }

    fn ensure_space(&self, dir: &Path) -> io::Result<()> {
        match private_dir().create(dir) {
            Ok(()) => sync_dir(&self.path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Index {
    fn read(path: &Path) -> Result<Self, OpenBlobsError> {
        let mut index = Self::default();
        for space in fs::read_dir(path)? {
            let space = space?;
            if space.file_name() == LOCK {
                continue;
            }
            if !space.file_type()?.is_dir() {
                return Err(OpenBlobsError::Foreign(space.path()));
            }
            // Such as `lost+found`, where the directory is a disk of its own.
            if space
                .file_name()
                .to_str()
                .is_none_or(|name| BlobName::new(name, FIRST_LEAF).is_err())
            {
                continue;
            }
            for file in fs::read_dir(space.path())? {
                let file = file?;
                let (space, leaf) = (space.file_name(), file.file_name());
                if leaf.to_string_lossy().starts_with(UNFINISHED) {
                    fs::remove_file(file.path())?;
                    continue;
                }
                let name = match (space.to_str(), leaf.to_str()) {
                    (Some(space), Some(leaf)) if file.file_type()?.is_file() => {
                        BlobName::new(space, leaf).ok()
                    }
                    _ => None,
                };
                let name = name.ok_or_else(|| OpenBlobsError::Foreign(file.path()))?;
                let len = file.metadata()?.len();
                index.bytes = index.bytes.saturating_add(len);
                index.lengths.insert(name, len);
            }
        }
        Ok(index)
    }
}

fn private_dir() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// A regular file, of at most one byte more than the longest blob.
fn read_blob(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut blob = Vec::new();
    file.take(MAX_BLOB as u64 + 1).read_to_end(&mut blob)?;
    Ok(blob)
}

fn write_durably(path: &Path, blob: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(blob)?;
    file.sync_all()
}

/// Makes names in a directory durable.
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn code_of(error: io::Error) -> ErrorCode {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorCode::Full,
        _ => ErrorCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const ROOM: Usage = Usage {
        bytes: 1000,
        count: 4,
    };

    fn name(text: &str) -> BlobName {
        BlobName::parse(text).unwrap()
    }

    fn open(dir: &Path) -> BlobDirectory {
        BlobDirectory::open(dir, ROOM).unwrap()
    }

    fn usage(bytes: u64, count: u64) -> Usage {
        Usage { bytes, count }
    }

    #[tokio::test]
    async fn blobs_are_private_files_and_survive() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/blobs");
        let blobs = open(&root);
        assert_eq!(blobs.get(&name("s/a")).await, Err(ErrorCode::NotFound));
        blobs.put(&name("s/a"), vec![1; 10]).await.unwrap();
        blobs.put(&name("s/a"), vec![2; 20]).await.unwrap();
        blobs.put(&name("t/b"), vec![]).await.unwrap();
        let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("s"), mode("s/a")), (0o700, 0o700, 0o600));
        drop(blobs);

        let blobs = open(&root);
        assert_eq!(blobs.usage(), usage(20, 2));
        assert_eq!(blobs.get(&name("s/a")).await, Ok(vec![2; 20]));
        blobs.delete(&name("s/a")).await.unwrap();
        blobs.delete(&name("s/a")).await.unwrap();
        blobs.delete(&name("nowhere/a")).await.unwrap();
        assert_eq!(blobs.get(&name("s/a")).await, Err(ErrorCode::NotFound));
        assert_eq!(blobs.usage(), usage(0, 1));
    }

    #[tokio::test]
    async fn the_limits_hold_and_leave_a_way_back() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = open(dir.path());
        blobs.put(&name("s/a"), vec![0; 600]).await.unwrap();
        blobs.put(&name("s/b"), vec![0; 400]).await.unwrap();
        assert_eq!(blobs.put(&name("s/c"), vec![0]).await, Err(ErrorCode::Full));
        assert_eq!(blobs.put(&name("s/b"), vec![0; 401]).await, Err(ErrorCode::Full));
        assert_eq!(blobs.get(&name("s/b")).await, Ok(vec![0; 400]));
        blobs.put(&name("s/b"), vec![0; 10]).await.unwrap();
        blobs.put(&name("t/c"), vec![]).await.unwrap();
        blobs.put(&name("t/d"), vec![]).await.unwrap();
        assert_eq!(blobs.put(&name("t/e"), vec![]).await, Err(ErrorCode::Full));
        blobs.put(&name("t/d"), vec![1]).await.unwrap();
        assert_eq!(blobs.usage(), usage(611, 4));
        drop(blobs);
        // A limit that was lowered refuses what grows, and nothing else.
        let blobs = BlobDirectory::open(dir.path(), usage(100, 1)).unwrap();
        assert_eq!(blobs.put(&name("s/b"), vec![0; 11]).await, Err(ErrorCode::Full));
        blobs.put(&name("s/b"), vec![0; 9]).await.unwrap();
        blobs.delete(&name("s/a")).await.unwrap();
        assert_eq!(blobs.usage(), usage(10, 3));
    }

    #[tokio::test]
    async fn lists_are_of_one_space_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobDirectory::open(dir.path(), usage(1000, 1000)).unwrap();
        for text in ["b/r-2", "b/r-1", "b/m", "b-/r-1", "a/r-1", "c/r-1", "b0/r-1"] {
            blobs.put(&name(text), vec![]).await.unwrap();
        }
        let list = async |prefix, after| {
            let request = ListRequest::new("b", prefix, after).unwrap();
            blobs.list(&request).await.unwrap().into_names()
        };
        assert_eq!(list("", None).await, ["m", "r-1", "r-2"]);
        assert_eq!(list("r-", None).await, ["r-1", "r-2"]);
        assert_eq!(list("", Some("m")).await, ["r-1", "r-2"]);
        assert_eq!(list("r-", Some("r-1")).await, ["r-2"]);
        assert_eq!(list("r-", Some("r-2")).await, [""; 0]);
        assert_eq!(list("x", None).await, [""; 0]);
    }

    #[tokio::test]
    async fn nothing_but_the_shims_own_files_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("blobs");
        drop(open(&root));
        let secret = dir.path().join("secret");
        fs::write(&secret, "of the host").unwrap();
        fs::create_dir(root.join("s")).unwrap();
        fs::write(root.join("s/.new-7"), "half").unwrap();
        let blobs = open(&root);
        assert!(!root.join("s/.new-7").exists());
        assert!(matches!(
            BlobDirectory::open(&root, ROOM),
            Err(OpenBlobsError::InUse)
        ));
        // A link is never followed, and a write takes its place instead of going through it.
        symlink(&secret, root.join("s/a")).unwrap();
        assert_eq!(blobs.get(&name("s/a")).await, Err(ErrorCode::Internal));
        blobs.put(&name("s/a"), b"blob".to_vec()).await.unwrap();
        assert_eq!(fs::read(&secret).unwrap(), b"of the host");
        drop(blobs);
        fs::create_dir(root.join("lost+found")).unwrap();
        fs::write(root.join("lost+found/#12"), "").unwrap();
        drop(open(&root));
        for foreign in ["s/README", "s/.hidden", "file", "s/x/y"] {
            let path = root.join(foreign);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            assert!(
                matches!(BlobDirectory::open(&root, ROOM), Err(OpenBlobsError::Foreign(_))),
                "{foreign}"
            );
            fs::remove_file(path).unwrap();
        }
    }
}
