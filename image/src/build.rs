//! Puts an image together: kernel, initramfs with the static node, model archive, command line, manifest.
//!
//! The same inputs give the same bytes from any folder, by any user, at any time: archives come from
//! [`crate::cpio`], compression is one-threaded at a fixed level by a library whose version `Cargo.lock` pins, and
//! [`enclave`] compiles in a root of locked packages.

pub(crate) mod enclave;
pub(crate) mod source;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jeju_attestation::hash::sha256;
use thiserror::Error;

use crate::cpio::{Archive, CpioError, Entry};
use crate::eif::{Eif, EifError, Metadata};
use crate::firmware;
use crate::manifest::{self, Manifest, ManifestError, Platform, Role, RootEntry, Toolchain};
use crate::measure::{self, MeasureError, Measured};

pub use enclave::{Binaries, EnclaveError, compile, inputs_of};

/// The enclave kernel, as `image/kernel/build.sh` makes it; its SHA-256 is in `image/kernel/bzImage.sha256`.
pub const KERNEL: &[u8] = include_bytes!("../kernel/bzImage");
/// File name of the kernel in an image folder.
pub const KERNEL_FILE: &str = "kernel";
/// File name of the archive that holds the first program.
pub const INIT_ARCHIVE: &str = "init.cpio.zst";
/// File name of the archive that holds the node.
pub const NODE_ARCHIVE: &str = "node.cpio.zst";
/// File name of the archive that holds the model.
pub const MODEL_ARCHIVE: &str = "model.cpio";
/// File name of the command line.
pub const CMDLINE_FILE: &str = "cmdline";
/// Where the guest finds the model: the node loads every file of this folder.
pub const MODEL_PATH: &str = "/model/model.gguf";
/// Where `jeju-init` finds the node.
pub const NODE_PATH: &str = "/node/jeju-enclave";
/// Where `jeju-init` finds the program that the node puts into containers of rentals.
pub const AGENT_PATH: &str = "/node/jeju-rental-agent";
/// File name of the archives behind one another.
pub const INITRD_FILE: &str = "initrd";
/// File name of the firmware.
pub const FIRMWARE_FILE: &str = "firmware.fd";
/// File name of the Nitro enclave image.
pub const EIF_FILE: &str = "image.eif";

const KERNEL_ORIGIN: &str =
    "Debian linux-source-6.12 6.12.117-1~deb12u1 with image/kernel/patches, built by image/kernel/build.sh";
const KERNEL_VERSION: &str = "6.12.117";
const TDX_FIRMWARE_ORIGIN: &str = "Debian ovmf-inteltdx 2026.08+ds-2, OVMF.inteltdx.ms.fd without variables";
const SNP_FIRMWARE_ORIGIN: &str = "Debian ovmf-amdsev 2026.08+ds-2, OVMF.amdsev.fd";
const BUILT: &str = "jeju-image build";
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
    /// Something in the source that is no file or folder, or too deep in it.
    #[error("{} is no file or folder, or lies too deep: the source of a build has nothing else", .0.display())]
    Source(PathBuf),
    /// An archive.
    #[error(transparent)]
    Archive(#[from] CpioError),
    /// The compressor.
    #[error("compressing an archive: {0}")]
    Compression(io::Error),
    /// The command line.
    #[error(transparent)]
    Cmdline(MeasureError),
    /// The enclave image file.
    #[error(transparent)]
    Eif(#[from] EifError),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl BuildError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// What goes into an image.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What will boot it.
    pub platform: Platform,
    /// The static first program, which becomes `/init`.
    pub init: Vec<u8>,
    /// The static node.
    pub enclave: Vec<u8>,
    /// The static program for containers of rentals; without it the node takes no rentals.
    pub agent: Option<Vec<u8>>,
    /// Where they are from.
    pub origin: String,
    /// What compiled them.
    pub toolchain: Toolchain,
    /// The model's file, or none.
    pub model: Option<Vec<u8>>,
    /// Kernel command line: [`Platform::cmdline`].
    pub cmdline: String,
}

impl Parts {
    /// Programs that were compiled elsewhere, with the usual command line.
    ///
    /// # Errors
    /// [`BuildError::Io`], and [`BuildError::Enclave`] for a binary that isn't static.
    pub fn from_files(
        platform: Platform,
        init: &Path,
        enclave: &Path,
        agent: Option<&Path>,
        model: Option<&Path>,
    ) -> Result<Self, BuildError> {
        let (init, enclave) = (read(init)?, read(enclave)?);
        let agent = agent.map(read).transpose()?;
        for program in [&init, &enclave].into_iter().chain(&agent) {
            enclave::check_static(program)?;
        }
        Ok(Self {
            platform,
            init,
            enclave,
            agent,
            origin: "a binary given to jeju-image build".to_owned(),
            toolchain: Toolchain::default(),
            model: model.map(read).transpose()?,
            cmdline: platform.cmdline().to_owned(),
        })
    }

    /// Programs that [`compile`] made for the platform, with the usual command line.
    ///
    /// # Errors
    /// [`BuildError::Io`].
    pub fn from_binaries(
        platform: Platform,
        binaries: Binaries,
        model: Option<&Path>,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            platform,
            init: binaries.init,
            enclave: binaries.enclave,
            agent: Some(binaries.agent),
            origin: format!("version {}, profile image", env!("CARGO_PKG_VERSION")),
            toolchain: binaries.toolchain,
            model: model.map(read).transpose()?,
            cmdline: platform.cmdline().to_owned(),
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
    // A folder without a manifest is no image: an interrupted build can't be taken for a finished one. And no file of an
    // earlier build stays that this one doesn't list.
    for name in [
        manifest::FILE_NAME,
        MODEL_ARCHIVE,
        INITRD_FILE,
        FIRMWARE_FILE,
        EIF_FILE,
    ] {
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
    let archives = archives(parts)?;
    let mut root = Vec::new();
    for built in &archives {
        root.extend(measure::list(built.name, &built.archive));
        files.add(built.name, Role::Initramfs, BUILT, &built.bytes)?;
    }
    files.add(CMDLINE_FILE, Role::Cmdline, BUILT, parts.cmdline.as_bytes())?;
    let loaded: Vec<&[u8]> = archives.iter().map(|built| built.bytes.as_slice()).collect();
    match parts.platform {
        Platform::Qemu => {}
        Platform::Tdx => {
            files.add(
                FIRMWARE_FILE,
                Role::Firmware,
                TDX_FIRMWARE_ORIGIN,
                &firmware::tdx(),
            )?;
            files.add(INITRD_FILE, Role::Initrd, BUILT, &loaded.concat())?;
        }
        Platform::Snp => {
            files.add(
                FIRMWARE_FILE,
                Role::Firmware,
                SNP_FIRMWARE_ORIGIN,
                firmware::SEV_SNP,
            )?;
            files.add(INITRD_FILE, Role::Initrd, BUILT, &loaded.concat())?;
        }
        Platform::Nitro => files.add(EIF_FILE, Role::Eif, BUILT, &eif(&parts.cmdline, &loaded)?)?,
    }

    let digests: Vec<_> = archives.iter().map(|built| files.digest(built.name)).collect();
    let measured = Measured::of(&files.digest(KERNEL_FILE), &digests, parts.cmdline.as_bytes());
    for entry in &mut root {
        entry.origin = origin(entry, parts).to_owned();
    }
    let development = parts.platform.development();
    let manifest = Manifest {
        format: manifest::FORMAT.to_owned(),
        platform: parts.platform,
        development,
        image_digest: hex::encode(measured.image_digest),
        measurement: development.then(|| measured.measurement.to_string()),
        files: files.entries.into_iter().map(|(file, _)| file).collect(),
        root,
        toolchain: parts.toolchain.clone(),
    };
    manifest.write(out)?;
    Ok(manifest)
}

struct BuiltArchive {
    name: &'static str,
    archive: Archive,
    /// As a launch loads it.
    bytes: Vec<u8>,
}

/// In load order.
fn archives(parts: &Parts) -> Result<Vec<BuiltArchive>, BuildError> {
    let mut init = Archive::new();
    init.insert("init", Entry::Executable(parts.init.clone()))?;
    // PID 1 has a console before it mounts devtmpfs.
    init.insert("dev/console", Entry::CharacterDevice { major: 5, minor: 1 })?;
    let mut node = Archive::new();
    node.insert(relative(NODE_PATH), Entry::Executable(parts.enclave.clone()))?;
    if let Some(agent) = &parts.agent {
        node.insert(relative(AGENT_PATH), Entry::Executable(agent.clone()))?;
    }
    let mut archives = Vec::new();
    for (name, archive) in [(INIT_ARCHIVE, init), (NODE_ARCHIVE, node)] {
        let bytes = compress(&archive.write())?;
        archives.push(BuiltArchive { name, archive, bytes });
    }
    if let Some(model) = &parts.model {
        let mut archive = Archive::new();
        archive.insert(relative(MODEL_PATH), Entry::File(model.clone()))?;
        // Weights are noise to a compressor: as they are, the boot needn't decompress them.
        let bytes = archive.write();
        archives.push(BuiltArchive {
            name: MODEL_ARCHIVE,
            archive,
            bytes,
        });
    }
    Ok(archives)
}

fn eif(cmdline: &str, ramdisks: &[&[u8]]) -> Result<Vec<u8>, EifError> {
    let metadata = Metadata::new(env!("CARGO_PKG_VERSION"), KERNEL_VERSION);
    Ok(Eif::new(KERNEL, cmdline.as_bytes(), ramdisks, &metadata)?.write())
}

fn relative(path: &'static str) -> &'static str {
    path.trim_start_matches('/')
}

fn origin<'a>(entry: &RootEntry, parts: &'a Parts) -> &'a str {
    match entry.path.as_str() {
        "/init" | NODE_PATH | AGENT_PATH => &parts.origin,
        MODEL_PATH => "the model given to jeju-image build",
        _ => BUILT,
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
    use crate::measure::prediction::Circumstances;

    fn parts() -> Parts {
        Parts {
            platform: Platform::Qemu,
            init: b"nor this".to_vec(),
            enclave: b"not run here".to_vec(),
            agent: Some(b"nor in a container".to_vec()),
            origin: "a test".to_owned(),
            toolchain: Toolchain::default(),
            model: Some(vec![9; 3000]),
            cmdline: Platform::Qemu.cmdline().to_owned(),
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
        let report = measure(folder.path(), &Circumstances::default()).unwrap();
        assert_eq!(report.image_digest, manifest.image_digest);
        assert_eq!(report.root_files, 5, "init, node, agent, model and console");
        let paths: Vec<_> = report.root.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/dev",
                "/dev/console",
                "/init",
                "/node",
                NODE_PATH,
                AGENT_PATH,
                "/model",
                MODEL_PATH
            ]
        );
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
        measure(folder.path(), &Circumstances::default()).unwrap();
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
                agent: Some(b"nor in a containeR".to_vec()),
                ..parts()
            },
            Parts {
                agent: None,
                ..parts()
            },
            Parts {
                init: b"nor thiS".to_vec(),
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
                cmdline: format!("{} ", parts().cmdline),
                ..parts()
            },
        ];
        for other in others {
            assert_ne!(digest_of(&other), original);
        }
        // Where it is from isn't measured.
        assert_eq!(
            digest_of(&Parts {
                origin: "elsewhere".to_owned(),
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
