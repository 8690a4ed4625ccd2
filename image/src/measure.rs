//! What an image folder measures to, recomputed from the bytes that a launch would load.

pub mod nitro;
pub mod prediction;
pub mod snp;
pub mod tdx;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jeju_attestation::hash::sha256;
use jeju_attestation::measurement::MeasurementId;
use jeju_simulated::measure::image_digest;
use serde::Serialize;
use thiserror::Error;

use self::prediction::{Circumstances, Prediction, PredictionError};
use crate::cpio::{Archive, CpioError, Entry};
use crate::eif::{Eif, Signature};
use crate::manifest::{File, Manifest, ManifestError, Platform, Role, RootEntry};

/// Longest command line that the kernel takes, in bytes (`COMMAND_LINE_SIZE` of x86 less its NUL).
pub const MAX_CMDLINE: usize = 2047;
/// Largest unpacked archive that is read: what a compressed one may grow to.
const MAX_ARCHIVE: u64 = 4 << 30;

const ZSTD_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// Why an image folder can't be measured, or isn't what its manifest says.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file can't be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The manifest names a file outside its folder.
    #[error("{0:?} is not the name of a file in the image folder")]
    FileName(String),
    /// A launch takes one kernel, at least one archive and one command line.
    #[error("the manifest has {count} files of role {role}, {expected}")]
    Roles {
        /// The role.
        role: &'static str,
        /// How many there are.
        count: usize,
        /// How many there should be.
        expected: &'static str,
    },
    /// A command line that isn't one line of printable ASCII, or too long for the kernel.
    #[error("the command line is not one line of at most {MAX_CMDLINE} printable ASCII characters")]
    Cmdline,
    /// An archive that isn't one of ours.
    #[error("{name}: {source}")]
    Archive {
        /// The file.
        name: String,
        /// What is wrong.
        source: CpioError,
    },
    /// A compressed archive that doesn't decompress.
    #[error("{name}: not a zstd archive of at most {MAX_ARCHIVE} bytes: {source}")]
    Compression {
        /// The file.
        name: String,
        /// What is wrong.
        source: io::Error,
    },
    /// A file isn't the one of the manifest.
    #[error("{name} has SHA-256 {actual}, the manifest says {expected}")]
    FileDigest {
        /// The file.
        name: String,
        /// What it hashes to.
        actual: String,
        /// What the manifest says.
        expected: String,
    },
    /// A file has another length than the manifest says.
    #[error("{name} has {actual} bytes, the manifest says {expected}")]
    FileSize {
        /// The file.
        name: String,
        /// Its length.
        actual: u64,
        /// What the manifest says.
        expected: u64,
    },
    /// A file that repeats others, and doesn't.
    #[error("{0} does not hold what the kernel, archives and command line of the folder are")]
    Copy(String),
    /// No hardware would take it.
    #[error(transparent)]
    Prediction(#[from] PredictionError),
    /// The archives don't unpack to what the manifest lists.
    #[error("{0} is not in the root as the manifest lists it")]
    Root(String),
    /// The manifest's image digest or measurement isn't that of its files.
    #[error("the files measure to {actual}, the manifest says {expected}")]
    Digest {
        /// What they measure to.
        actual: String,
        /// What the manifest says.
        expected: String,
    },
}

/// What an image measures to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Image digest (`docs/wire-formats.md` §3).
    pub image_digest: [u8; 32],
    /// Measurement id of the simulated platform.
    pub measurement: MeasurementId,
}

impl Measured {
    /// Of SHA-256 digests of kernel and archives (in load order), and of the command line itself.
    pub fn of(kernel: &[u8; 32], archives: &[[u8; 32]], cmdline: &[u8]) -> Self {
        let image_digest = image_digest(kernel, archives, cmdline);
        Self {
            image_digest,
            measurement: MeasurementId::simulated(&image_digest),
        }
    }

    /// Refuses a manifest that claims something else.
    pub(crate) fn check(&self, manifest: &Manifest) -> Result<(), MeasureError> {
        let image_digest = hex::encode(self.image_digest);
        if image_digest != manifest.image_digest {
            return Err(MeasureError::Digest {
                actual: image_digest,
                expected: manifest.image_digest.clone(),
            });
        }
        let measurement = manifest
            .platform
            .development()
            .then(|| self.measurement.to_string());
        if measurement != manifest.measurement {
            let text = |measurement: Option<String>| {
                measurement.unwrap_or_else(|| "no simulated platform".to_owned())
            };
            return Err(MeasureError::Digest {
                actual: text(measurement),
                expected: text(manifest.measurement.clone()),
            });
        }
        Ok(())
    }
}

/// What `jeju-image measure` tells of a folder whose manifest is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What boots it.
    pub platform: Platform,
    /// Image digest, hexadecimal.
    pub image_digest: String,
    /// Measurement id of the simulated platform, `0x` and hexadecimal; absent for hardware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measurement: Option<String>,
    /// The files that a launch loads.
    pub files: Vec<File>,
    /// What the hardware will report of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Prediction>,
    /// What the guest's root holds.
    pub root: Vec<RootEntry>,
    /// How many entries of the root have content or are devices (directories not counted).
    pub root_files: usize,
    /// Length of all that is loaded, in bytes.
    pub size: u64,
    /// The same without the model's archive.
    pub size_without_model: u64,
}

impl Report {
    /// Every measurement id that the image has: one, or one for each shape of machine.
    pub fn measurements(&self) -> Vec<MeasurementId> {
        let predicted = self.prediction.as_ref().map(Prediction::measurements);
        let simulated = self.measurement.as_deref().map(|id| vec![id.to_owned()]);
        let texts = predicted.or(simulated).unwrap_or_default();
        texts
            .iter()
            .filter_map(|text| {
                let mut id = [0; 32];
                hex::decode_to_slice(text.strip_prefix("0x")?, &mut id).ok()?;
                Some(MeasurementId(id))
            })
            .collect()
    }
}

/// Recomputes every digest of an image folder, and what hardware will report of it.
///
/// # Errors
/// Any of [`MeasureError`]: a manifest that doesn't match the files in anything is refused.
pub fn measure(folder: &Path, circumstances: &Circumstances) -> Result<Report, MeasureError> {
    let manifest = Manifest::read(folder)?;
    let layout = Layout::of(&manifest)?;

    let image = Image::read(folder, &layout)?;
    let mut root = Vec::new();
    for (file, bytes) in layout.archives.iter().zip(&image.archives) {
        root.extend(list(&file.name, &unpack(&file.name, bytes)?));
    }
    check_root(&root, &manifest.root)?;
    let digests: Vec<_> = image.archives.iter().map(|bytes| sha256(bytes)).collect();
    let measured = Measured::of(&sha256(&image.kernel), &digests, image.cmdline.as_bytes());
    measured.check(&manifest)?;

    // What a launcher loads once is counted once.
    let loaded = |file: &&File| !matches!(file.role, Role::Initrd | Role::Eif);
    let size = manifest.files.iter().filter(loaded).map(|file| file.size).sum();
    let model = manifest
        .files
        .iter()
        .filter(|file| file.name == crate::build::MODEL_ARCHIVE);
    let model_size: u64 = model.map(|file| file.size).sum();
    Ok(Report {
        prediction: prediction::predict(manifest.platform, &image, circumstances)?,
        platform: manifest.platform,
        image_digest: manifest.image_digest,
        measurement: manifest.measurement,
        root_files: manifest
            .root
            .iter()
            .filter(|entry| !entry.mode.starts_with("040"))
            .count(),
        files: manifest.files,
        root: manifest.root,
        size,
        size_without_model: size - model_size,
    })
}

/// The bytes that a launch loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The kernel.
    pub kernel: Vec<u8>,
    /// The initramfs archives in load order.
    pub archives: Vec<Vec<u8>>,
    /// The command line.
    pub cmdline: String,
    /// The firmware (TDX, SEV-SNP).
    pub firmware: Option<Vec<u8>>,
    /// Who signed the enclave image file (Nitro).
    pub signature: Option<Signature>,
}

impl Image {
    /// Reads an image folder.
    ///
    /// # Errors
    /// Any of [`MeasureError`] but those of the archives' contents: files that aren't those of the manifest are refused.
    pub fn open(folder: &Path) -> Result<Self, MeasureError> {
        let manifest = Manifest::read(folder)?;
        Self::read(folder, &Layout::of(&manifest)?)
    }

    fn read(folder: &Path, layout: &Layout) -> Result<Self, MeasureError> {
        let read = |file: &File| read_checked(folder, file);
        let cmdline = read(layout.cmdline)?;
        let mut image = Self {
            kernel: read(layout.kernel)?,
            archives: layout
                .archives
                .iter()
                .map(|file| read(file))
                .collect::<Result<_, _>>()?,
            cmdline: check_cmdline(&cmdline)?.to_owned(),
            firmware: layout.firmware.map(read).transpose()?,
            signature: None,
        };
        if let Some(file) = layout.initrd
            && read(file)? != image.archives.concat()
        {
            return Err(MeasureError::Copy(file.name.clone()));
        }
        if let Some(file) = layout.eif {
            let bytes = read(file)?;
            let eif = Eif::read(&bytes).map_err(PredictionError::from)?;
            let same = eif.kernel == image.kernel
                && eif.cmdline == image.cmdline.as_bytes()
                && eif.ramdisks.iter().eq(image.archives.iter());
            if !same {
                return Err(MeasureError::Copy(file.name.clone()));
            }
            image.signature = eif.signature;
        }
        Ok(image)
    }
}

/// The files of a manifest by what a launch does with them.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    pub(crate) kernel: &'a File,
    /// In load order.
    pub(crate) archives: Vec<&'a File>,
    pub(crate) cmdline: &'a File,
    /// The archives in one file: TDX and SEV-SNP.
    pub(crate) initrd: Option<&'a File>,
    /// TDX and SEV-SNP.
    pub(crate) firmware: Option<&'a File>,
    /// Nitro.
    pub(crate) eif: Option<&'a File>,
}

impl<'a> Layout<'a> {
    pub(crate) fn of(manifest: &'a Manifest) -> Result<Self, MeasureError> {
        let plain = |name: &str| Path::new(name).file_name().is_some_and(|last| last == name);
        if let Some(file) = manifest.files.iter().find(|file| !plain(&file.name)) {
            return Err(MeasureError::FileName(file.name.clone()));
        }
        let with = |role: Role| {
            manifest
                .files
                .iter()
                .filter(move |file| file.role == role)
                .collect::<Vec<_>>()
        };
        let some = |role: Role, wanted: bool| match (&with(role)[..], wanted) {
            ([file], true) => Ok(Some(*file)),
            ([], false) => Ok(None),
            (files, _) => Err(MeasureError::Roles {
                role: role.name(),
                count: files.len(),
                expected: if wanted {
                    "one is needed"
                } else {
                    "its platform has none"
                },
            }),
        };
        let one = |role: Role| some(role, true).map(|file| file.expect("wanted, so it is there"));
        let archives = with(Role::Initramfs);
        if archives.is_empty() {
            return Err(MeasureError::Roles {
                role: Role::Initramfs.name(),
                count: 0,
                expected: "at least one is needed",
            });
        }
        let direct_boot = matches!(manifest.platform, Platform::Tdx | Platform::Snp);
        Ok(Self {
            kernel: one(Role::Kernel)?,
            archives,
            cmdline: one(Role::Cmdline)?,
            initrd: some(Role::Initrd, direct_boot)?,
            firmware: some(Role::Firmware, direct_boot)?,
            eif: some(Role::Eif, manifest.platform == Platform::Nitro)?,
        })
    }
}

/// The command line goes to the kernel and into the digest byte for byte: nothing in it may be lost on the way.
pub(crate) fn check_cmdline(cmdline: &[u8]) -> Result<&str, MeasureError> {
    let printable = |byte: &u8| (b' '..=b'~').contains(byte);
    if cmdline.len() > MAX_CMDLINE || !cmdline.iter().all(printable) {
        return Err(MeasureError::Cmdline);
    }
    std::str::from_utf8(cmdline).map_err(|_| MeasureError::Cmdline)
}

/// What an archive unpacks to, without saying where it is from.
pub(crate) fn list(archive_name: &str, archive: &Archive) -> Vec<RootEntry> {
    let describe = |(name, entry): (&str, &Entry)| RootEntry {
        path: format!("/{name}"),
        mode: format!("{:06o}", entry.mode()),
        size: entry.data().len() as u64,
        sha256: matches!(entry, Entry::File(_) | Entry::Executable(_))
            .then(|| hex::encode(sha256(entry.data()))),
        archive: archive_name.to_owned(),
        origin: String::new(),
    };
    archive.entries().map(describe).collect()
}

fn read_checked(folder: &Path, file: &File) -> Result<Vec<u8>, MeasureError> {
    let path = folder.join(&file.name);
    let io = |source| MeasureError::Io {
        path: path.clone(),
        source,
    };
    let size = fs::metadata(&path).map_err(io)?.len();
    if size != file.size {
        return Err(MeasureError::FileSize {
            name: file.name.clone(),
            actual: size,
            expected: file.size,
        });
    }
    let bytes = fs::read(&path).map_err(io)?;
    let actual = hex::encode(sha256(&bytes));
    if actual != file.sha256 {
        let expected = file.sha256.clone();
        return Err(MeasureError::FileDigest {
            name: file.name.clone(),
            actual,
            expected,
        });
    }
    Ok(bytes)
}

fn unpack(name: &str, bytes: &[u8]) -> Result<Archive, MeasureError> {
    let plain = decompressed(name, bytes)?;
    Archive::read(&plain).map_err(|source| MeasureError::Archive {
        name: name.to_owned(),
        source,
    })
}

/// An archive without its compression, if it has one.
pub(crate) fn decompressed<'a>(name: &str, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, MeasureError> {
    Ok(match bytes.starts_with(&ZSTD_MAGIC) {
        true => Cow::from(decompress(name, bytes)?),
        false => Cow::from(bytes),
    })
}

/// One zstd frame, then zeros up to the archive's boundary.
fn decompress(name: &str, bytes: &[u8]) -> Result<Vec<u8>, MeasureError> {
    let bad = |source| MeasureError::Compression {
        name: name.to_owned(),
        source,
    };
    let mut decoder = zstd::Decoder::with_buffer(bytes).map_err(bad)?.single_frame();
    let mut plain = Vec::new();
    decoder
        .by_ref()
        .take(MAX_ARCHIVE + 1)
        .read_to_end(&mut plain)
        .map_err(bad)?;
    if plain.len() as u64 > MAX_ARCHIVE {
        return Err(bad(io::ErrorKind::FileTooLarge.into()));
    }
    let rest = decoder.finish();
    match rest.iter().position(|byte| *byte != 0) {
        None => Ok(plain),
        Some(at) => {
            let source = CpioError::Trailing(bytes.len() - rest.len() + at);
            Err(MeasureError::Archive {
                name: name.to_owned(),
                source,
            })
        }
    }
}

fn check_root(actual: &[RootEntry], listed: &[RootEntry]) -> Result<(), MeasureError> {
    let by_path = |entries: &[RootEntry]| {
        let keyed = entries.iter().map(|entry| {
            let RootEntry {
                path,
                mode,
                size,
                sha256,
                archive,
                origin: _,
            } = entry.clone();
            ((path, archive), (mode, size, sha256))
        });
        keyed.collect::<BTreeMap<_, _>>()
    };
    let (actual, listed) = (by_path(actual), by_path(listed));
    let differs = actual
        .keys()
        .chain(listed.keys())
        .find(|key| actual.get(*key) != listed.get(*key));
    match differs {
        None => Ok(()),
        Some((path, _)) => Err(MeasureError::Root(path.clone())),
    }
}
