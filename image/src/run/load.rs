//! Copies what will be loaded into the launch's own folder, and hashes it on the way: the copy that is hashed is the
//! copy that is loaded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::RunError;
use super::state::StateDir;
use crate::manifest::Manifest;
use crate::measure::{self, Layout, MAX_CMDLINE, MeasureError, Measured};

/// An image as QEMU gets it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) kernel: PathBuf,
    /// All archives behind one another.
    pub(super) initrd: PathBuf,
    pub(super) cmdline: String,
    pub(super) measured: Measured,
}

/// Copies and measures an image. `allow_modified`: even one that isn't what its manifest says.
pub(super) fn load(image: &Path, state: &StateDir, allow_modified: bool) -> Result<Loaded, RunError> {
    let manifest = Manifest::read(image).map_err(MeasureError::from)?;
    let layout = Layout::of(&manifest)?;
    let cmdline = read_bounded(&image.join(&layout.cmdline.name), MAX_CMDLINE as u64)?;
    let cmdline = measure::check_cmdline(&cmdline)?.to_owned();

    let kernel = state.file("kernel");
    let kernel_digest = copy_hashed(
        &image.join(&layout.kernel.name),
        &mut new_file(&kernel, 0o400)?,
        &kernel,
    )?;
    let initrd = state.file("initrd");
    let mut initrd_file = new_file(&initrd, 0o400)?;
    let archive_digests = layout
        .archives
        .iter()
        .map(|archive| copy_hashed(&image.join(&archive.name), &mut initrd_file, &initrd))
        .collect::<Result<Vec<_>, _>>()?;

    let measured = Measured::of(&kernel_digest, &archive_digests, cmdline.as_bytes());
    if !allow_modified {
        measured.check(&manifest)?;
    }
    Ok(Loaded {
        kernel,
        initrd,
        cmdline,
        measured,
    })
}

/// Copies one file into a new one of its own, and hashes it.
pub(super) fn copy_file(from: &Path, to: &Path, mode: u32) -> Result<[u8; 32], RunError> {
    copy_hashed(from, &mut new_file(to, mode)?, to)
}

/// Reads a short file.
pub(super) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, RunError> {
    let io = |source| RunError::Io {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let read = File::open(path)
        .map_err(io)?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if read as u64 > limit {
        Err(RunError::TooLong {
            path: path.to_owned(),
            limit,
        })
    } else {
        Ok(bytes)
    }
}

fn new_file(path: &Path, mode: u32) -> Result<fs::File, RunError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|source| RunError::Io {
            path: path.to_owned(),
            source,
        })
}

fn copy_hashed(from: &Path, to: &mut File, to_path: &Path) -> Result<[u8; 32], RunError> {
    let read_error = |source| RunError::Io {
        path: from.to_owned(),
        source,
    };
    let mut source = File::open(from).map_err(read_error)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        match source.read(&mut piece) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(length) => {
                hash.update(&piece[..length]);
                to.write_all(&piece[..length]).map_err(|source| RunError::Io {
                    path: to_path.to_owned(),
                    source,
                })?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{self, Parts};
    use crate::manifest::{Platform, Toolchain};
    use crate::measure::prediction::Circumstances;

    fn image(folder: &Path) -> Manifest {
        let parts = Parts {
            platform: Platform::Qemu,
            init: b"init".to_vec(),
            enclave: b"node".to_vec(),
            agent: None,
            origin: "a test".to_owned(),
            toolchain: Toolchain::default(),
            model: Some(vec![5; 600]),
            cmdline: Platform::Qemu.cmdline().to_owned(),
        };
        build::assemble(&parts, folder).unwrap()
    }

    fn load_from(image: &Path, allow_modified: bool) -> Result<(Loaded, Vec<u8>), RunError> {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path())?;
        let loaded = load(image, &state, allow_modified)?;
        let initrd = fs::read(&loaded.initrd).unwrap();
        Ok((loaded, initrd))
    }

    #[test]
    fn loads_what_the_manifest_lists() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = image(folder.path());
        let (loaded, initrd) = load_from(folder.path(), false).unwrap();
        assert_eq!(hex::encode(loaded.measured.image_digest), manifest.image_digest);
        let archives = [build::INIT_ARCHIVE, build::NODE_ARCHIVE, build::MODEL_ARCHIVE];
        let together = archives
            .map(|name| fs::read(folder.path().join(name)).unwrap())
            .concat();
        assert_eq!(initrd, together);
        assert_eq!(loaded.cmdline, Platform::Qemu.cmdline());
    }

    /// The five files that a launch loads, each with one byte changed: refused, and loaded on request with another
    /// measurement.
    #[test]
    fn a_changed_byte_is_refused_or_measured() {
        for name in [
            build::KERNEL_FILE,
            build::INIT_ARCHIVE,
            build::NODE_ARCHIVE,
            build::MODEL_ARCHIVE,
            build::CMDLINE_FILE,
        ] {
            let folder = tempfile::tempdir().unwrap();
            let manifest = image(folder.path());
            let path = folder.path().join(name);
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();

            let refused = load_from(folder.path(), false);
            assert!(
                matches!(refused, Err(RunError::Image(MeasureError::Digest { .. }))),
                "{name}"
            );
            let (loaded, _) = load_from(folder.path(), true).unwrap();
            assert_ne!(
                hex::encode(loaded.measured.image_digest),
                manifest.image_digest,
                "{name}"
            );
            let report = measure::measure(folder.path(), &Circumstances::default());
            assert!(matches!(report, Err(MeasureError::FileDigest { name: file, .. }) if file == name));
        }
    }

    #[test]
    fn a_manifest_that_says_something_else_is_refused() {
        type Change = fn(&mut Manifest);
        type Expected = fn(&MeasureError) -> bool;
        let changes: [(Change, Expected); 9] = [
            (
                |m| m.image_digest = "00".repeat(32),
                |e| matches!(e, MeasureError::Digest { .. }),
            ),
            (
                |m| m.measurement = Some("0x00".into()),
                |e| matches!(e, MeasureError::Digest { .. }),
            ),
            (
                |m| m.files[1].size += 1,
                |e| matches!(e, MeasureError::FileSize { .. }),
            ),
            (
                |m| m.files[2].sha256 = "00".repeat(32),
                |e| matches!(e, MeasureError::FileDigest { .. }),
            ),
            (
                |m| m.files.swap(1, 2),
                |e| matches!(e, MeasureError::Digest { .. }),
            ),
            (
                |m| m.files[1].name = "../x".into(),
                |e| matches!(e, MeasureError::FileName(_)),
            ),
            (
                |m| drop(m.files.remove(0)),
                |e| matches!(e, MeasureError::Roles { .. }),
            ),
            (|m| drop(m.root.pop()), |e| matches!(e, MeasureError::Root(_))),
            (
                |m| m.root[2].mode = "100644".into(),
                |e| matches!(e, MeasureError::Root(path) if path == "/init"),
            ),
        ];
        for (index, (change, expected)) in changes.into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let mut manifest = image(folder.path());
            change(&mut manifest);
            manifest.write(folder.path()).unwrap();
            let error = measure::measure(folder.path(), &Circumstances::default()).unwrap_err();
            assert!(expected(&error), "change {index}: {error}");
        }
    }

    #[test]
    fn an_archive_with_something_behind_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = image(folder.path());
        let path = folder.path().join(build::INIT_ARCHIVE);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"070701");
        fs::write(&path, &bytes).unwrap();
        manifest.files[1].size = bytes.len() as u64;
        manifest.files[1].sha256 = hex::encode(jeju_attestation::hash::sha256(&bytes));
        manifest.write(folder.path()).unwrap();
        let error = measure::measure(folder.path(), &Circumstances::default()).unwrap_err();
        assert!(matches!(error, MeasureError::Archive { .. }), "{error}");
    }

    #[test]
    fn long_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, [0; 5]).unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap().len(), 5);
        assert!(matches!(read_bounded(&path, 4), Err(RunError::TooLong { .. })));
    }
}
