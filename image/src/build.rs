//! Puts an image together: kernel, initramfs with the static node, model archive, command line, manifest.
//!
//! The same inputs give the same bytes from any folder, by any user, at any time: archives come from
//! [`crate::cpio`], compression is one-threaded at a fixed level by a library whose version `Cargo.lock` pins, and
//! [`enclave`] keeps the builder's paths out of the binary.

mod enclave;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jeju_attestation::hash::sha256;
use thiserror::Error;

use crate::cpio::{Archive, CpioError, Entry};
use crate::manifest::{self, Manifest, ManifestError, Platform, Role, RootEntry, Toolchain};
use crate::measure::{self, MeasureError, Measured};

pub use enclave::{EnclaveError, compile};

/// The enclave kernel, as `image/kernel/build.sh` makes it; its SHA-256 is in `image/kernel/bzImage.sha256`.
pub const KERNEL: &[u8] = include_bytes!("../kernel/bzImage");
/// File name of the kernel in an image folder.
pub const KERNEL_FILE: &str = "kernel";
/// File name of the archive that holds the node.
pub const ROOT_ARCHIVE: &str = "initramfs.cpio.zst";
/// File name of the archive that holds the model.
pub const MODEL_ARCHIVE: &str = "model.cpio";
/// File name of the command line.
pub const CMDLINE_FILE: &str = "cmdline";
/// Where the guest finds the model: the node loads every file of this folder.
pub const MODEL_PATH: &str = "/model/model.gguf";
/// The command line of QEMU images. A panic resets the machine at once, which ends QEMU, and no seed of the boot
/// loader, that is of the host, counts as entropy.
pub const CMDLINE: &str = "console=ttyS0 quiet panic=-1 random.trust_bootloader=off";

const KERNEL_ORIGIN: &str = "Debian linux-source-6.12 6.12.117-1~deb12u1, built by image/kernel/build.sh";
const COMPRESSION_LEVEL: i32 = 19;
/// Archives are loaded behind one another, and the next one must start on a multiple of four bytes.
const ALIGNMENT: usize = 512;

/// Why an image can't be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The node.
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An archive.
    #[error(transparent)]
    Archive(#[from] CpioError),
    /// The compressor.
    #[error("compressing {ROOT_ARCHIVE}: {0}")]
    Compression(io::Error),
    /// The command line.
    #[error(transparent)]
    Cmdline(MeasureError),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// What goes into an image.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The static node, which becomes `/init`.
    pub enclave: Vec<u8>,
    /// Where it is from.
    pub enclave_origin: String,
    /// What compiled it.
    pub toolchain: Toolchain,
    /// The model's file, or none.
    pub model: Option<Vec<u8>>,
    /// Kernel command line: [`CMDLINE`].
    pub cmdline: String,
}

impl Parts {
    /// A node that was compiled elsewhere, with the usual command line.
    ///
    /// # Errors
    /// [`BuildError::Io`], and [`BuildError::Enclave`] for a binary that isn't static.
    pub fn from_files(enclave: &Path, model: Option<&Path>) -> Result<Self, BuildError> {
        let enclave = read(enclave)?;
        enclave::check_static(&enclave)?;
        Ok(Self {
            enclave,
            enclave_origin: "a binary given to jeju-image build".to_owned(),
            toolchain: Toolchain::default(),
            model: model.map(read).transpose()?,
            cmdline: CMDLINE.to_owned(),
        })
    }
}

/// Writes an image folder.
///
/// # Errors
/// Any of [`BuildError`] but [`BuildError::Enclave`].
pub fn assemble(parts: &Parts, out: &Path) -> Result<Manifest, BuildError> {
    measure::check_cmdline(parts.cmdline.as_bytes()).map_err(BuildError::Cmdline)?;
    let io = |source| BuildError::Io {
        path: out.to_owned(),
        source,
    };
    fs::create_dir_all(out).map_err(io)?;
    // A folder without a manifest is no image: an interrupted build can't be taken for a finished one.
    for name in [manifest::FILE_NAME, MODEL_ARCHIVE] {
        match fs::remove_file(out.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
    }

    let mut files = Files {
        out,
        entries: Vec::new(),
    };
    files.add(KERNEL_FILE, Role::Kernel, KERNEL_ORIGIN, KERNEL)?;

    let root = root_archive(parts)?;
    let mut listed = measure::list(ROOT_ARCHIVE, &root);
    files.add(
        ROOT_ARCHIVE,
        Role::Initramfs,
        "jeju-image build",
        &compress(&root.write())?,
    )?;
    let mut archives = vec![ROOT_ARCHIVE];

    if let Some(model) = &parts.model {
        let mut archive = Archive::new();
        archive.insert(MODEL_PATH.trim_start_matches('/'), Entry::File(model.clone()))?;
        listed.extend(measure::list(MODEL_ARCHIVE, &archive));
        // Weights are noise to a compressor: as they are, the boot needn't decompress them.
        files.add(
            MODEL_ARCHIVE,
            Role::Initramfs,
            "jeju-image build",
            &archive.write(),
        )?;
        archives.push(MODEL_ARCHIVE);
    }
    files.add(
        CMDLINE_FILE,
        Role::Cmdline,
        "jeju-image build",
        parts.cmdline.as_bytes(),
    )?;

    let digests: Vec<_> = archives.iter().map(|name| files.digest(name)).collect();
    let measured = Measured::of(&files.digest(KERNEL_FILE), &digests, parts.cmdline.as_bytes());
    for entry in &mut listed {
        entry.origin = origin(entry, parts).to_owned();
    }
    let manifest = Manifest {
        format: manifest::FORMAT.to_owned(),
        platform: Platform::Qemu,
        development: true,
        image_digest: hex::encode(measured.image_digest),
        measurement: measured.measurement.to_string(),
        files: files.entries.into_iter().map(|(file, _)| file).collect(),
        root: listed,
        toolchain: parts.toolchain.clone(),
    };
    manifest.write(out)?;
    Ok(manifest)
}

fn root_archive(parts: &Parts) -> Result<Archive, CpioError> {
    let mut root = Archive::new();
    root.insert("init", Entry::Executable(parts.enclave.clone()))?;
    // PID 1 has a console before it mounts devtmpfs.
    root.insert("dev/console", Entry::CharacterDevice { major: 5, minor: 1 })?;
    Ok(root)
}

fn origin<'a>(entry: &RootEntry, parts: &'a Parts) -> &'a str {
    match entry.path.as_str() {
        "/init" => &parts.enclave_origin,
        MODEL_PATH => "the model given to jeju-image build",
        _ => "jeju-image build",
    }
}

fn compress(archive: &[u8]) -> Result<Vec<u8>, BuildError> {
    let mut compressed = zstd::bulk::compress(archive, COMPRESSION_LEVEL).map_err(BuildError::Compression)?;
    compressed.resize(compressed.len().next_multiple_of(ALIGNMENT), 0);
    Ok(compressed)
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(|source| BuildError::Io {
        path: path.to_owned(),
        source,
    })
}

/// The files written so far, with their digests.
struct Files<'a> {
    out: &'a Path,
    entries: Vec<(manifest::File, [u8; 32])>,
}

impl Files<'_> {
    fn add(&mut self, name: &str, role: Role, origin: &str, bytes: &[u8]) -> Result<(), BuildError> {
        let path = self.out.join(name);
        fs::write(&path, bytes).map_err(|source| BuildError::Io { path, source })?;
        let digest = sha256(bytes);
        let file = manifest::File {
            name: name.to_owned(),
            role,
            size: bytes.len() as u64,
            sha256: hex::encode(digest),
            origin: origin.to_owned(),
        };
        self.entries.push((file, digest));
        Ok(())
    }

    fn digest(&self, name: &str) -> [u8; 32] {
        let entry = self.entries.iter().find(|(file, _)| file.name == name);
        entry.expect("asked only for files that were added").1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::measure;

    fn parts() -> Parts {
        Parts {
            enclave: b"not run here".to_vec(),
            enclave_origin: "a test".to_owned(),
            toolchain: Toolchain::default(),
            model: Some(vec![9; 3000]),
            cmdline: CMDLINE.to_owned(),
        }
    }

    fn digest_of(parts: &Parts) -> String {
        let folder = tempfile::tempdir().unwrap();
        assemble(parts, folder.path()).unwrap().image_digest
    }

    #[test]
    fn the_committed_kernel_is_the_one_of_its_checksum_file() {
        let sums = include_str!("../kernel/bzImage.sha256");
        assert_eq!(sums, format!("{}  bzImage\n", hex::encode(sha256(KERNEL))));
    }

    #[test]
    fn an_image_measures_to_its_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = assemble(&parts(), folder.path()).unwrap();
        let report = measure(folder.path()).unwrap();
        assert_eq!(report.image_digest, manifest.image_digest);
        assert_eq!(report.root_files, 3, "init, model and console");
        let paths: Vec<_> = report.root.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["/dev", "/dev/console", "/init", "/model", MODEL_PATH]);
    }

    #[test]
    fn a_second_build_replaces_the_first() {
        let folder = tempfile::tempdir().unwrap();
        assemble(&parts(), folder.path()).unwrap();
        assemble(
            &Parts {
                model: None,
                ..parts()
            },
            folder.path(),
        )
        .unwrap();
        assert!(!folder.path().join(MODEL_ARCHIVE).exists());
        measure(folder.path()).unwrap();
    }

    #[test]
    fn each_part_changes_the_measurement() {
        let original = digest_of(&parts());
        assert_eq!(digest_of(&parts()), original);
        let others = [
            Parts {
                enclave: b"not run herE".to_vec(),
                ..parts()
            },
            Parts {
                model: Some(vec![8; 3000]),
                ..parts()
            },
            Parts {
                model: None,
                ..parts()
            },
            Parts {
                cmdline: format!("{CMDLINE} "),
                ..parts()
            },
        ];
        for other in others {
            assert_ne!(digest_of(&other), original);
        }
        // Where it is from isn't measured.
        assert_eq!(
            digest_of(&Parts {
                enclave_origin: "elsewhere".to_owned(),
                ..parts()
            }),
            original
        );
    }

    #[test]
    fn refuses_a_command_line_that_the_kernel_would_not_see_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for cmdline in ["quiet\n", "a\0b", "é", &"a".repeat(2048)] {
            let parts = Parts {
                cmdline: cmdline.to_owned(),
                ..parts()
            };
            assert!(
                matches!(assemble(&parts, folder.path()), Err(BuildError::Cmdline(_))),
                "{cmdline:?}"
            );
        }
    }
}
