//! TDX quotes and SNP reports through the kernel's configfs-tsm (`Documentation/ABI/testing/configfs-tsm`).
//!
//! Making a folder under `tsm/report` makes a report entry. Writing `inblob` sets REPORT_DATA and advances
//! `generation`; reading `outblob` has the platform make the report. Errors of the write to `inblob` are lost by the
//! kernel (it happens when the file is closed), and nothing stops another process from writing to our entry: the
//! generation tells both.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jeju_attestation::tee::Tee;

use crate::device::{Evidence, QuoteError, Quoter};

/// TDX quotes have some 5 to 8 KiB, SNP reports 1184 bytes, and SNP certificate tables some 6 KiB.
const MAX_BLOB: usize = 64 * 1024;
const MAX_TEXT: usize = 64;
const PATIENCE: Duration = Duration::from_secs(20);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Names that a dead process with our process id may have left behind.
const MAX_STALE_ENTRIES: usize = 64;

/// configfs-tsm as quoting device of TDX or SEV-SNP.
pub(crate) struct ConfigfsTsm<R = ConfigFs> {
    reports: R,
    tee: Tee,
    provider: &'static str,
    patience: Duration,
}

impl ConfigfsTsm {
    /// `reports` is `/sys/kernel/config/tsm/report`.
    pub(crate) fn new(reports: PathBuf, tee: Tee) -> Self {
        Self::over(ConfigFs(reports), tee, PATIENCE)
    }
}

impl<R: ReportEntries> ConfigfsTsm<R> {
    fn over(reports: R, tee: Tee, patience: Duration) -> Self {
        let provider = if tee == Tee::Tdx { "tdx_guest" } else { "sev_guest" };
        Self {
            reports,
            tee,
            provider,
            patience,
        }
    }

    /// One report in an entry of its own.
    fn attempt(&self, report_data: &[u8; 64]) -> Result<Evidence, QuoteError> {
        let entry = Entry::create(&self.reports)?;
        let provider = entry.text("provider")?;
        if provider != self.provider {
            return Err(QuoteError::Provider {
                expected: self.provider,
                found: provider,
            });
        }
        let mut generation = entry.number("generation")?;
        // Below an SVSM or a paravisor the guest runs at a VMPL above 0, and reports for a lower one are refused.
        let floor = optional(entry.number("privlevel_floor"))?.unwrap_or(0);
        if floor > 0 {
            entry.write("privlevel", floor.to_string().as_bytes())?;
            generation = generation.wrapping_add(1);
        }
        entry.write("inblob", report_data)?;
        generation = generation.wrapping_add(1);
        let cpu = entry.read("outblob", MAX_BLOB)?;
        let endorsements = optional(entry.read("auxblob", MAX_BLOB))?.unwrap_or_default();
        let found = entry.number("generation")?;
        if found != generation {
            return Err(QuoteError::Generation {
                expected: generation,
                found,
            });
        }
        Ok(Evidence {
            tee: self.tee,
            cpu,
            endorsements,
        })
    }
}

impl<R: ReportEntries> Quoter for ConfigfsTsm<R> {
    fn tee(&self) -> Tee {
        self.tee
    }

    fn quote(&self, report_data: &[u8; 64]) -> Result<Evidence, QuoteError> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut interfered = false;
        loop {
            match self.attempt(report_data) {
                Err(QuoteError::Generation { .. }) if !interfered => interfered = true,
                // TDX: another quote is in flight, or a signal came. SNP: the host throttles.
                Err(error) if matches!(error.errno(), Some(libc::EBUSY | libc::EINTR | libc::EAGAIN)) => {
                    if started.elapsed() + pause > self.patience {
                        return Err(QuoteError::Busy(self.patience));
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                outcome => return outcome,
            }
        }
    }
}

/// Report entries and their attribute files.
pub(crate) trait ReportEntries {
    /// Makes an entry; `AlreadyExists` if there is one of this name.
    fn create(&self, entry: &str) -> io::Result<()>;
    /// Writes an attribute in one write.
    fn write(&self, entry: &str, attribute: &str, value: &[u8]) -> io::Result<()>;
    /// Reads at most `limit` bytes of an attribute.
    fn read(&self, entry: &str, attribute: &str, limit: usize) -> io::Result<Vec<u8>>;
    /// Removes an entry.
    fn remove(&self, entry: &str) -> io::Result<()>;
}

/// The real thing: `tsm/report` of a mounted configfs.
pub(crate) struct ConfigFs(PathBuf);

impl ReportEntries for ConfigFs {
    fn create(&self, entry: &str) -> io::Result<()> {
        std::fs::create_dir(self.0.join(entry))
    }

    fn write(&self, entry: &str, attribute: &str, value: &[u8]) -> io::Result<()> {
        let written = OpenOptions::new()
            .write(true)
            .open(self.0.join(entry).join(attribute))?
            .write(value)?;
        if written == value.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    fn read(&self, entry: &str, attribute: &str, limit: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.0.join(entry).join(attribute))?;
        let mut value = vec![0; limit];
        let mut length = 0;
        // Not read_to_end, which repeats EINTR without end.
        while length < limit {
            match file.read(&mut value[length..])? {
                0 => break,
                more => length += more,
            }
        }
        value.truncate(length);
        Ok(value)
    }

    fn remove(&self, entry: &str) -> io::Result<()> {
        // rmdir: the kernel removes the attributes with their entry.
        std::fs::remove_dir(self.0.join(entry))
    }
}

/// A report entry of our own, removed when dropped.
struct Entry<'a, R: ReportEntries> {
    reports: &'a R,
    name: String,
}

impl<'a, R: ReportEntries> Entry<'a, R> {
    fn create(reports: &'a R) -> Result<Self, QuoteError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..MAX_STALE_ENTRIES {
            let name = format!(
                "jeju-{}-{}",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            );
            match reports.create(&name) {
                Ok(()) => return Ok(Self { reports, name }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(QuoteError::device("make a configfs-tsm entry", error)),
            }
        }
        Err(QuoteError::device("make a configfs-tsm entry", last))
    }

    fn write(&self, attribute: &'static str, value: &[u8]) -> Result<(), QuoteError> {
        self.reports
            .write(&self.name, attribute, value)
            .map_err(|error| QuoteError::device(format!("write configfs-tsm {attribute}"), error))
    }

    fn read(&self, attribute: &'static str, limit: usize) -> Result<Vec<u8>, QuoteError> {
        let value = self
            .reports
            .read(&self.name, attribute, limit + 1)
            .map_err(|error| QuoteError::device(format!("read configfs-tsm {attribute}"), error))?;
        if value.len() > limit {
            Err(QuoteError::Oversize {
                what: attribute,
                limit,
            })
        } else {
            Ok(value)
        }
    }

    fn text(&self, attribute: &'static str) -> Result<String, QuoteError> {
        let value = self.read(attribute, MAX_TEXT)?;
        Ok(String::from_utf8_lossy(value.trim_ascii()).into_owned())
    }

    fn number(&self, attribute: &'static str) -> Result<u64, QuoteError> {
        self.text(attribute)?
            .parse()
            .map_err(|_| QuoteError::NotANumber(attribute))
    }
}

impl<R: ReportEntries> Drop for Entry<'_, R> {
    fn drop(&mut self) {
        // A leftover entry costs a little kernel memory, and its name is never used again.
        let _ = self.reports.remove(&self.name);
    }
}

/// `None` for an attribute that this platform doesn't have.
fn optional<T>(value: Result<T, QuoteError>) -> Result<Option<T>, QuoteError> {
    match value {
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests;
