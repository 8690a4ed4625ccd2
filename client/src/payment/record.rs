//! The book as a file: one for each chain, contract, user and provider, changed by one process at a time, and whole after
//! any crash.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::account::Account;
use serde::{Deserialize, Serialize};

use super::PaymentError;
use super::book::Book;

/// Longest file, in bytes.
const MAX_LEN: u64 = 8 * 1024;
const VERSION: u32 = 1;
/// How long another process is waited for; each holds the file for one change alone.
const BUSY: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Whose payments to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parties {
    /// Chain id.
    pub chain: u64,
    /// `InferenceServing`.
    pub serving: HexBytes<20>,
    /// Who pays.
    pub user: HexBytes<20>,
    /// Who earns.
    pub provider: HexBytes<20>,
}

impl Parties {
    /// The provider's account.
    pub fn provider(&self) -> Account {
        Account(self.provider.0)
    }

    fn file_name(&self) -> String {
        let digits = |account: &HexBytes<20>| hex::encode(account.0);
        format!(
            "{}-{}-{}-{}.json",
            self.chain,
            digits(&self.serving),
            digits(&self.user),
            digits(&self.provider)
        )
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    parties: Parties,
    book: Book,
}

/// A book's file.
#[derive(Debug, Clone)]
pub struct Record {
    path: PathBuf,
    parties: Parties,
}

impl Record {
    /// In a folder, which is made where it isn't there.
    ///
    /// # Errors
    /// [`PaymentError::Record`].
    pub fn new(folder: &Path, parties: Parties) -> Result<Self, PaymentError> {
        let path = folder.join(parties.file_name());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| record(&path, source))?;
        Ok(Self { path, parties })
    }

    /// Changes the book, and writes it before this returns. `None`: there is none yet. Where `change` fails, nothing is written.
    ///
    /// # Errors
    /// [`PaymentError::RecordBusy`], [`PaymentError::RecordMalformed`], [`PaymentError::Record`], or those of `change`.
    pub fn change<T>(
        &self,
        change: impl FnOnce(Option<Book>) -> Result<(Book, T), PaymentError>,
    ) -> Result<T, PaymentError> {
        let _held = self.hold()?;
        let before = self.read()?;
        let (after, outcome) = change(before)?;
        if before != Some(after) {
            self.write(&after).map_err(|source| record(&self.path, source))?;
        }
        Ok(outcome)
    }

    /// The book as it is.
    ///
    /// # Errors
    /// As [`Record::change`].
    pub fn read(&self) -> Result<Option<Book>, PaymentError> {
        let mut text = String::new();
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(record(&self.path, error)),
        };
        file.take(MAX_LEN + 1)
            .read_to_string(&mut text)
            .map_err(|source| record(&self.path, source))?;
        let content: Content =
            serde_json::from_str(&text).map_err(|error| self.malformed(error.to_string()))?;
        if content.version != VERSION {
            return Err(self.malformed(format!("version {}", content.version)));
        }
        if content.parties != self.parties {
            return Err(self.malformed("it is of other parties".to_owned()));
        }
        if content.book.promised > content.book.owed {
            return Err(self.malformed("more is promised than owed".to_owned()));
        }
        Ok(Some(content.book))
    }

    fn write(&self, book: &Book) -> io::Result<()> {
        let content = Content {
            version: VERSION,
            parties: self.parties,
            book: *book,
        };
        let mut text = serde_json::to_vec_pretty(&content)?;
        text.push(b'\n');
        let temporary = self.path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// The lock is a file of its own: the book's is replaced by each change. The system lets go of it when the process ends.
    fn hold(&self) -> Result<File, PaymentError> {
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path.with_extension("lock"))
            .map_err(|source| record(&self.path, source))?;
        let started = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) if started.elapsed() < BUSY => std::thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => return Err(PaymentError::RecordBusy(self.path.clone())),
                Err(TryLockError::Error(source)) => return Err(record(&self.path, source)),
            }
        }
    }

    fn malformed(&self, what: String) -> PaymentError {
        PaymentError::RecordMalformed {
            path: self.path.clone(),
            what,
        }
    }
}

fn record(path: &Path, source: io::Error) -> PaymentError {
    PaymentError::Record {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn parties(provider: u8) -> Parties {
        Parties {
            chain: 31337,
            serving: HexBytes([1; 20]),
            user: HexBytes([2; 20]),
            provider: HexBytes([provider; 20]),
        }
    }

    fn add(record: &Record, wei: u128) -> Result<u128, PaymentError> {
        record.change(|book| {
            let mut book = book.unwrap_or_default();
            book.owed += wei;
            Ok((book, book.owed))
        })
    }

    #[test]
    fn the_next_process_goes_on_where_the_last_one_was() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("payments");
        let record = Record::new(&folder, parties(3)).unwrap();
        assert_eq!(record.read().unwrap(), None);
        assert_eq!(add(&record, 5).unwrap(), 5);
        let again = Record::new(&folder, parties(3)).unwrap();
        assert_eq!(add(&again, 6).unwrap(), 11);
        let other = Record::new(&folder, parties(4)).unwrap();
        assert_eq!(add(&other, 1).unwrap(), 1);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&record.path)), (0o700, 0o600));
    }

    #[test]
    fn changes_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let record = Record::new(folder.path(), parties(3)).unwrap();
                // Whoever finds it busy for long asks again, as a user would: each change waits for a disk.
                let one = move |_| loop {
                    match add(&record, 1) {
                        Err(PaymentError::RecordBusy(_)) => {}
                        outcome => break assert!(outcome.is_ok()),
                    }
                };
                std::thread::spawn(move || (0..5).for_each(one))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let record = Record::new(folder.path(), parties(3)).unwrap();
        assert_eq!(record.read().unwrap().unwrap().owed, 40);
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::new(folder.path(), parties(3)).unwrap();
        add(&record, 5).unwrap();
        let failed: Result<(), _> = record.change(|_| Err(PaymentError::Overflow));
        assert_eq!(failed.unwrap_err().code(), "amount_too_large");
        assert_eq!(add(&record, 0).unwrap(), 5);
    }

    /// An empty or a cut file must never look like a fresh one: vouchers would begin anew.
    #[test]
    fn what_is_no_record_is_never_taken_for_a_fresh_one() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::new(folder.path(), parties(3)).unwrap();
        add(&record, 5).unwrap();
        let good = std::fs::read_to_string(&record.path).unwrap();
        let other = HexBytes([3; 20]).to_string();
        for wrong in [
            String::new(),
            good[..good.len() / 2].to_owned(),
            "{}".to_owned(),
            good.replace("\"version\": 1", "\"version\": 2"),
            good.replace(&other, &HexBytes([4; 20]).to_string()),
            good.replace("\"promised\": \"0\"", "\"promised\": \"6\""),
            " ".repeat(MAX_LEN as usize + 1),
        ] {
            std::fs::write(&record.path, wrong).unwrap();
            assert_eq!(add(&record, 1).unwrap_err().code(), "payment_record_malformed");
        }
        std::fs::remove_file(&record.path).unwrap();
        std::fs::create_dir(&record.path).unwrap();
        assert_eq!(add(&record, 1).unwrap_err().code(), "payment_record_unusable");
    }
}
