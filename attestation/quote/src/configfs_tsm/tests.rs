//! configfs-tsm against a folder whose entries behave as the kernel's: the file access is the real one, and the
//! emulation adds what configfs does on its own.

use std::cell::{Cell, RefCell};

use super::*;

/// configfs semantics over plain files, and the faults to inject.
struct Emulated {
    files: ConfigFs,
    folder: tempfile::TempDir,
    provider: &'static str,
    auxblob: Option<Vec<u8>>,
    privlevel_floor: Option<u32>,
    first_generation: u64,
    outblob_len: usize,
    /// How many reads of `outblob` fail, with which error.
    failures: Cell<usize>,
    errno: i32,
    /// How many reports are disturbed by another writer.
    intruders: Cell<usize>,
    /// How many names are taken already.
    stale: Cell<usize>,
    /// Whether writes to `inblob` get lost, as configfs loses their errors.
    loses_inblob: bool,
    log: RefCell<Vec<String>>,
}

fn emulated(tee: Tee) -> Emulated {
    let folder = tempfile::tempdir().unwrap();
    Emulated {
        files: ConfigFs(folder.path().into()),
        folder,
        provider: if tee == Tee::Tdx { "tdx_guest" } else { "sev_guest" },
        auxblob: (tee == Tee::SevSnp).then(|| b"certificate table".to_vec()),
        privlevel_floor: (tee == Tee::SevSnp).then_some(0),
        first_generation: 0,
        outblob_len: 1184,
        failures: Cell::new(0),
        errno: libc::EBUSY,
        intruders: Cell::new(0),
        stale: Cell::new(0),
        loses_inblob: false,
        log: RefCell::new(vec![]),
    }
}

impl Emulated {
    fn put(&self, entry: &str, attribute: &str, value: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(entry).join(attribute), value).unwrap();
    }

    fn advance_generation(&self, entry: &str) {
        let generation = self.files.read(entry, "generation", 64).unwrap();
        let generation: u64 = std::str::from_utf8(&generation).unwrap().trim().parse().unwrap();
        self.put(entry, "generation", format!("{}\n", generation.wrapping_add(1)));
    }
}

impl ReportEntries for Emulated {
    fn create(&self, entry: &str) -> io::Result<()> {
        if self.stale.get() > 0 {
            self.stale.set(self.stale.get() - 1);
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.files.create(entry)?;
        self.log.borrow_mut().push(format!("mkdir {entry}"));
        self.put(entry, "provider", format!("{}\n", self.provider));
        self.put(entry, "generation", format!("{}\n", self.first_generation));
        self.put(entry, "inblob", "");
        self.put(entry, "outblob", "");
        if let Some(auxblob) = &self.auxblob {
            self.put(entry, "auxblob", auxblob);
        }
        if let Some(floor) = self.privlevel_floor {
            self.put(entry, "privlevel_floor", format!("{floor}\n"));
            self.put(entry, "privlevel", "");
        }
        Ok(())
    }

    fn write(&self, entry: &str, attribute: &str, value: &[u8]) -> io::Result<()> {
        if attribute == "inblob" {
            if self.loses_inblob {
                return Ok(());
            }
        } else {
            self.log
                .borrow_mut()
                .push(format!("{attribute}={}", String::from_utf8_lossy(value)));
        }
        self.files.write(entry, attribute, value)?;
        self.advance_generation(entry);
        Ok(())
    }

    fn read(&self, entry: &str, attribute: &str, limit: usize) -> io::Result<Vec<u8>> {
        if attribute == "outblob" {
            if self.failures.get() > 0 {
                self.failures.set(self.failures.get() - 1);
                return Err(io::Error::from_raw_os_error(self.errno));
            }
            let mut report = vec![0; self.outblob_len];
            let inblob = self.files.read(entry, "inblob", 64)?;
            let end = (0x50 + inblob.len()).min(report.len());
            report[0x50.min(end)..end].copy_from_slice(&inblob[..end - 0x50.min(end)]);
            self.put(entry, "outblob", report);
            if self.intruders.get() > 0 {
                self.intruders.set(self.intruders.get() - 1);
                self.advance_generation(entry);
            }
        }
        self.files.read(entry, attribute, limit)
    }

    fn remove(&self, entry: &str) -> io::Result<()> {
        for file in std::fs::read_dir(self.folder.path().join(entry))? {
            std::fs::remove_file(file?.path())?;
        }
        self.files.remove(entry)
    }
}

fn quoter(reports: Emulated, tee: Tee) -> ConfigfsTsm<Emulated> {
    ConfigfsTsm::over(reports, tee, PATIENCE)
}

fn entries_left(quoter: &ConfigfsTsm<Emulated>) -> usize {
    std::fs::read_dir(quoter.reports.folder.path()).unwrap().count()
}

#[test]
fn a_report_comes_with_its_endorsements() {
    let snp = quoter(emulated(Tee::SevSnp), Tee::SevSnp);
    let evidence = snp.quote(&[7; 64]).unwrap();
    assert_eq!(evidence.tee, Tee::SevSnp);
    assert_eq!(evidence.cpu.len(), 1184);
    assert_eq!(evidence.cpu[0x50..0x90], [7; 64]);
    assert_eq!(evidence.endorsements, b"certificate table");
    assert_eq!(entries_left(&snp), 0);
    let log = snp.reports.log.borrow();
    assert_eq!(
        log.len(),
        1,
        "no privlevel is written where the floor is 0: {log:?}"
    );
}

#[test]
fn tdx_has_neither_auxblob_nor_privlevel() {
    let evidence = quoter(emulated(Tee::Tdx), Tee::Tdx).quote(&[7; 64]).unwrap();
    assert_eq!(evidence.tee, Tee::Tdx);
    assert!(evidence.endorsements.is_empty());
}

#[test]
fn names_left_by_a_dead_process_are_passed_over() {
    let reports = emulated(Tee::SevSnp);
    reports.stale.set(MAX_STALE_ENTRIES - 1);
    assert!(quoter(reports, Tee::SevSnp).quote(&[7; 64]).is_ok());
    let reports = emulated(Tee::SevSnp);
    reports.stale.set(MAX_STALE_ENTRIES);
    let error = quoter(reports, Tee::SevSnp).quote(&[7; 64]).unwrap_err();
    assert!(matches!(error, QuoteError::Device { .. }), "{error:?}");
}

#[test]
fn each_request_has_an_entry_of_its_own() {
    let snp = quoter(emulated(Tee::SevSnp), Tee::SevSnp);
    snp.quote(&[1; 64]).unwrap();
    snp.quote(&[2; 64]).unwrap();
    let log = snp.reports.log.borrow();
    let mut names: Vec<_> = log.iter().filter(|line| line.starts_with("mkdir")).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "{log:?}");
}

#[test]
fn below_a_paravisor_the_privilege_level_is_written_as_decimal_text() {
    let mut reports = emulated(Tee::SevSnp);
    reports.privlevel_floor = Some(2);
    reports.first_generation = 41;
    let snp = quoter(reports, Tee::SevSnp);
    snp.quote(&[7; 64]).unwrap();
    assert_eq!(snp.reports.log.borrow()[1], "privlevel=2");
}

#[test]
fn another_provider_is_refused() {
    let error = quoter(emulated(Tee::SevSnp), Tee::Tdx)
        .quote(&[7; 64])
        .unwrap_err();
    assert!(
        matches!(&error, QuoteError::Provider { expected: "tdx_guest", found } if found == "sev_guest"),
        "{error:?}"
    );
}

#[test]
fn a_disturbed_report_is_made_again_once() {
    let reports = emulated(Tee::SevSnp);
    reports.intruders.set(1);
    let snp = quoter(reports, Tee::SevSnp);
    assert_eq!(snp.quote(&[7; 64]).unwrap().cpu[0x50..0x90], [7; 64]);

    let reports = emulated(Tee::SevSnp);
    reports.intruders.set(2);
    let snp = quoter(reports, Tee::SevSnp);
    assert!(matches!(
        snp.quote(&[7; 64]),
        Err(QuoteError::Generation {
            expected: 1,
            found: 2
        })
    ));
    assert_eq!(entries_left(&snp), 0);
}

#[test]
fn a_lost_inblob_is_noticed() {
    let mut reports = emulated(Tee::Tdx);
    reports.loses_inblob = true;
    let error = quoter(reports, Tee::Tdx).quote(&[7; 64]).unwrap_err();
    assert!(
        matches!(
            error,
            QuoteError::Generation {
                expected: 1,
                found: 0
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_busy_device_is_asked_again() {
    for errno in [libc::EBUSY, libc::EINTR, libc::EAGAIN] {
        let mut reports = emulated(Tee::Tdx);
        reports.failures.set(3);
        reports.errno = errno;
        let tdx = quoter(reports, Tee::Tdx);
        assert!(tdx.quote(&[7; 64]).is_ok(), "errno {errno}");
        assert_eq!(entries_left(&tdx), 0);
    }
}

#[test]
fn a_device_that_stays_busy_is_given_up() {
    let reports = emulated(Tee::Tdx);
    reports.failures.set(usize::MAX);
    let tdx = ConfigfsTsm::over(reports, Tee::Tdx, Duration::from_millis(200));
    let started = Instant::now();
    assert!(matches!(tdx.quote(&[7; 64]), Err(QuoteError::Busy(_))));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(entries_left(&tdx), 0);
}

#[test]
fn other_errors_are_not_retried() {
    let mut reports = emulated(Tee::Tdx);
    reports.failures.set(1);
    reports.errno = libc::ENXIO;
    let error = quoter(reports, Tee::Tdx).quote(&[7; 64]).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ENXIO));
    assert!(
        error.to_string().starts_with("read configfs-tsm outblob"),
        "{error}"
    );
}

#[test]
fn oversize_answers_are_refused() {
    let mut reports = emulated(Tee::Tdx);
    reports.outblob_len = MAX_BLOB;
    assert!(quoter(reports, Tee::Tdx).quote(&[7; 64]).is_ok());
    let mut reports = emulated(Tee::Tdx);
    reports.outblob_len = MAX_BLOB + 1;
    let error = quoter(reports, Tee::Tdx).quote(&[7; 64]).unwrap_err();
    assert!(
        matches!(error, QuoteError::Oversize { what: "outblob", .. }),
        "{error:?}"
    );
    let mut reports = emulated(Tee::SevSnp);
    reports.auxblob = Some(vec![0; MAX_BLOB + 1]);
    let error = quoter(reports, Tee::SevSnp).quote(&[7; 64]).unwrap_err();
    assert!(
        matches!(error, QuoteError::Oversize { what: "auxblob", .. }),
        "{error:?}"
    );
}

#[test]
fn without_configfs_the_error_names_the_step() {
    let missing = ConfigfsTsm::new("/nonexistent/tsm/report".into(), Tee::Tdx);
    let error = missing.quote(&[7; 64]).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ENOENT));
    assert!(
        error.to_string().starts_with("make a configfs-tsm entry"),
        "{error}"
    );
}
