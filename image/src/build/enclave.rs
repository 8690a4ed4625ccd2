//! Compiles the node, and what goes with it, as static programs whose bytes don't depend on where, when or by whom they are built: in a root
//! of locked Debian packages, offline, from the crates of `Cargo.lock`.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jeju_attestation::hash::sha256;
use thiserror::Error;

use super::{BuildError, read, source};
use crate::inputs::{Group, Input, Inputs, InputsError, Kind, Lock, read_crates};
use crate::manifest::Toolchain;
use crate::root::{Kept, Root, RootError, kept};

const INIT: &str = "jeju-init";
const ENCLAVE: &str = "jeju-enclave";
const AGENT: &str = "jeju-rental-agent";
/// Development images take simulated silicon; a release image is another build, with another measurement.
const DEVELOPMENT_FEATURES: &str = "sim";
const PROFILE: &str = "image";
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// One static program at a fixed address. Paths need no care: in a root they are the same everywhere.
const RUST_FLAGS: &str = "-Ctarget-feature=+crt-static\x1f-Crelocation-model=static";
/// Paths inside, which binaries may hold.
const INSIDE: [&[u8]; 3] = [b"/build", b"/cargo", b"/src"];
/// Part of the crates' key: unpacked in another way, they are other folders.
const LAYOUT: &str = "jeju-image-crates/1";

const ELF_MAGIC: &[u8] = b"\x7fELF\x02\x01";
const PT_INTERP: u32 = 3;

/// Why there is no node to put into an image.
#[derive(Debug, Error)]
pub enum EnclaveError {
    /// What it is compiled from can't be had.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// The root that it is compiled in.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Not an executable of the image's architecture.
    #[error("the node is not a 64-bit little-endian ELF executable")]
    NotElf,
    /// An image has no dynamic loader.
    #[error("the node is not statically linked: it wants a dynamic loader")]
    Dynamic,
    /// A path of this machine is in the binary, so that another machine would build other bytes.
    #[error("the node holds the path {0:?}: its bytes depend on where it is built")]
    Path(PathBuf),
}

/// Programs for an image.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The first program.
    pub init: Vec<u8>,
    /// The node.
    pub enclave: Vec<u8>,
    /// What the node puts into containers of rentals.
    pub agent: Vec<u8>,
    /// What compiled them.
    pub toolchain: Toolchain,
}

/// Everything that [`compile`] takes: Debian packages and crates.
///
/// # Errors
/// [`InputsError::Lock`] and [`InputsError::Crates`].
pub fn inputs_of(workspace: &Path) -> Result<Vec<Input>, InputsError> {
    let mut all = Lock::read(workspace)?.packages(Group::Node)?;
    all.extend(read_crates(workspace)?);
    Ok(all)
}

/// Compiles the programs of a source folder (that of the workspace's `Cargo.toml`): for a release, or with simulated
/// silicon for development.
///
/// The tools' progress goes to standard error. Results of crates are kept in `target/image-build` of the workspace.
///
/// # Errors
/// [`BuildError::Enclave`], [`BuildError::Io`] and [`BuildError::Source`].
pub fn compile(workspace: &Path, inputs: &Inputs, release: bool) -> Result<Binaries, BuildError> {
    let workspace = workspace.canonicalize().map_err(BuildError::io(workspace))?;
    let all = inputs_of(&workspace).map_err(EnclaveError::from)?;
    let files = inputs.get(&all).map_err(EnclaveError::from)?;
    let (packages, crates): (Vec<_>, Vec<_>) = all
        .into_iter()
        .zip(files)
        .partition(|(input, _)| input.kind == Kind::Deb);
    let store = inputs.store();
    fs::create_dir_all(&store).map_err(BuildError::io(&store))?;
    let store = store.canonicalize().map_err(BuildError::io(&store))?;
    let root = Root::assemble(&store, "node", &packages).map_err(EnclaveError::from)?;
    let crates = unpack_crates(&store, &root, inputs, &crates).map_err(EnclaveError::from)?;

    let key = [root.digest(), crates.digest].concat();
    let work = workspace
        .join("target/image-build")
        .join(&hex::encode(sha256(&key))[..16]);
    let build = work.join("build");
    fs::create_dir_all(build.join("home")).map_err(BuildError::io(&build))?;
    // Of two builds at the same time, the second waits: they write into the same folder.
    let _lock = lock(&work.join("lock"))?;
    let copy = work.join("src");
    source::copy(&workspace, &copy)?;

    // Assertions in C name their file, which a build script may have copied to where it builds.
    let c_flags = format!("-ffile-prefix-map=/build/target/{TARGET}/{PROFILE}/build=.");
    // Each by itself, so that none is built with features that another asks for.
    let program = |package: &'static str, features: &str| -> Result<Vec<u8>, BuildError> {
        root.program("/usr/bin/cargo")
            .reads(&copy, "/src")
            .reads(&crates.path, "/cargo")
            .writes(&build, "/build")
            .current_dir("/src")
            .env("CARGO_HOME", "/build/home/cargo")
            .env("CARGO_ENCODED_RUSTFLAGS", RUST_FLAGS)
            .env("CFLAGS", &c_flags)
            .env("CARGO_INCREMENTAL", "0")
            .args(["--config", "/cargo/config.toml", "build", "--frozen"])
            .args(["--package", package, "--features", features])
            .args([
                "--profile",
                PROFILE,
                "--target",
                TARGET,
                "--target-dir",
                "/build/target",
            ])
            .run()
            .map_err(EnclaveError::from)?;
        let binary = read(&build.join("target").join(TARGET).join(PROFILE).join(package))?;
        check_static(&binary)?;
        // Somebody's workspace may really be at /src.
        let seen = |path: &Path| !INSIDE.contains(&path.as_os_str().as_bytes()) && holds(&binary, path);
        match [&workspace, &store].into_iter().find(|path| seen(path)) {
            Some(path) => Err(EnclaveError::Path(path.clone()).into()),
            None => Ok(binary),
        }
    };
    Ok(Binaries {
        init: program(INIT, "")?,
        enclave: program(ENCLAVE, if release { "" } else { DEVELOPMENT_FEATURES })?,
        agent: program(AGENT, "")?,
        toolchain: Toolchain {
            rustc: version(&root, "/usr/bin/rustc")?,
            cc: version(&root, "/usr/bin/cc")?,
            ld: version(&root, "/usr/bin/ld")?,
        },
    })
}

/// Held until it is dropped.
pub(crate) fn lock(path: &Path) -> Result<File, BuildError> {
    let file = File::create(path).map_err(BuildError::io(path))?;
    if file.try_lock().is_err() {
        eprintln!("image: waiting for another build: {}", path.display());
        file.lock().map_err(BuildError::io(path))?;
    }
    Ok(file)
}

/// A folder with every crate unpacked, by the root's own tar, and the configuration that makes cargo use it.
fn unpack_crates(
    store: &Path,
    root: &Root,
    inputs: &Inputs,
    crates: &[(Input, PathBuf)],
) -> Result<Kept, RootError> {
    const CONFIG: &str = "[source.crates-io]\nreplace-with = \"locked\"\n\n\
                          [source.locked]\ndirectory = \"/cargo/vendor\"\n";
    /// Reads "digest folder" lines. An archive holds one folder of that name; cargo wants the digest in a file of it.
    const SCRIPT: &str = r#"set -eu
        mkdir /build/vendor
        cd /build/vendor
        while read -r digest folder; do
            tar --extract --gzip --no-same-owner --no-same-permissions --file "/src/$digest" "$folder"
            printf '{"files":{},"package":"%s"}\n' "$digest" >"$folder/.cargo-checksum.json"
        done </build/list
        printf %s "$1" >/build/config.toml
        rm /build/list
        chmod --recursive u=rwX,go=rX /build"#;
    let mut list = String::new();
    for (input, _) in crates {
        list.push_str(&format!(
            "{} {}-{}\n",
            hex::encode(input.sha256),
            input.name,
            input.version
        ));
    }
    let all = [LAYOUT, CONFIG, SCRIPT, &list].concat();
    let key = format!("crates-{}", &hex::encode(sha256(all.as_bytes()))[..16]);
    kept(store, &key, |folder| {
        let path = folder.join("list");
        fs::write(&path, &list).map_err(|source| RootError::Io { path, source })?;
        root.program("/bin/sh")
            .args(["-c", SCRIPT, "sh", CONFIG])
            .reads(inputs.cache().folder(), "/src")
            .writes(folder, "/build")
            .run()
    })
}

/// First line of `PROGRAM --version`.
fn version(root: &Root, program: &str) -> Result<String, EnclaveError> {
    let output = root.program(program).args(["--version"]).output()?;
    let text = String::from_utf8_lossy(&output);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Refuses what the kernel couldn't start without other files.
pub(super) fn check_static(binary: &[u8]) -> Result<(), EnclaveError> {
    let number = |at: usize, length: usize| {
        let bytes = at
            .checked_add(length)
            .and_then(|end| binary.get(at..end))
            .ok_or(EnclaveError::NotElf)?;
        let value = bytes
            .iter()
            .rev()
            .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        usize::try_from(value).map_err(|_| EnclaveError::NotElf)
    };
    if !binary.starts_with(ELF_MAGIC) {
        return Err(EnclaveError::NotElf);
    }
    // e_phoff, e_phentsize and e_phnum of the ELF-64 header.
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let at = table.checked_add(index * size).ok_or(EnclaveError::NotElf)?;
        if number(at, 4)? == PT_INTERP as usize {
            return Err(EnclaveError::Dynamic);
        }
    }
    Ok(())
}

fn holds(binary: &[u8], path: &Path) -> bool {
    let path = path.as_os_str().as_bytes();
    binary.windows(path.len()).any(|window| window == path)
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    #[test]
    fn a_dynamic_binary_is_refused() {
        let own = fs::read(env::current_exe().unwrap()).unwrap();
        assert!(matches!(check_static(&own), Err(EnclaveError::Dynamic)));
    }

    #[test]
    fn what_is_not_elf_is_refused() {
        let own = fs::read(env::current_exe().unwrap()).unwrap();
        for length in 0..64 {
            assert!(
                matches!(check_static(&own[..length]), Err(EnclaveError::NotElf)),
                "{length} bytes"
            );
        }
        let mut far = own[..64].to_vec();
        far[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(check_static(&far), Err(EnclaveError::NotElf)));
        assert!(matches!(check_static(b"#!/bin/sh"), Err(EnclaveError::NotElf)));
    }
}
