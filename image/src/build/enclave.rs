//! Compiles the node as one static binary whose bytes don't depend on where, when or by whom it is built.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

use super::{BuildError, CMDLINE, Parts, read};
use crate::manifest::Toolchain;

const PACKAGE: &str = "jeju-enclave";
/// Development images take simulated silicon; a release image is another build, with another measurement.
const FEATURES: &str = "sim";
const PROFILE: &str = "image";
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// 2026-01-01, as the kernel's.
const SOURCE_DATE_EPOCH: &str = "1767225600";

/// Environment variables that a build may see: where tools and packages are, and how to reach a registry. Flags of
/// the shell, which would end up in the binary, aren't among them.
const PASSED: [&str; 10] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CARGO_TERM_COLOR",
    "TERM",
];
const PASSED_PREFIXES: [&str; 4] = ["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_"];
const PASSED_SUFFIXES: [&str; 2] = ["_proxy", "_PROXY"];

const ELF_MAGIC: &[u8] = b"\x7fELF\x02\x01";
const PT_INTERP: u32 = 3;

/// Why there is no node to put into an image.
#[derive(Debug, Error)]
pub enum EnclaveError {
    /// A program that isn't there.
    #[error("{program} can't be started: {source}")]
    Program {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program that failed, after it said why.
    #[error("{0} failed")]
    Failed(String),
    /// Neither CARGO_HOME nor HOME says where packages are.
    #[error("neither CARGO_HOME nor HOME is set")]
    NoCargoHome,
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

/// Compiles the node of a source folder (that of the workspace's `Cargo.toml`) and reads the model's file.
///
/// cargo's progress goes to standard error.
///
/// # Errors
/// [`BuildError::Enclave`], and [`BuildError::Io`].
pub fn compile(workspace: &Path, model: Option<&Path>) -> Result<Parts, BuildError> {
    let workspace = workspace.canonicalize().map_err(|source| BuildError::Io {
        path: workspace.to_owned(),
        source,
    })?;
    let target_dir = workspace.join("target").join(PROFILE);
    let cargo_home = cargo_home()?;

    let mut fetch = cargo(&workspace);
    fetch.args(["fetch", "--locked", "--target", TARGET]);
    succeed(&mut fetch, "cargo fetch")?;

    // What a path is replaced with; of several that fit, compilers take the last.
    let mut prefixes = vec![
        (workspace.clone(), "/src".to_owned()),
        (cargo_home.clone(), "/cargo".to_owned()),
    ];
    prefixes.extend(
        registries(&cargo_home)?
            .into_iter()
            .map(|path| (path, "/cargo/registry".to_owned())),
    );

    let mut build = cargo(&workspace);
    build.args(["build", "--locked", "--package", PACKAGE, "--features", FEATURES]);
    build.args(["--profile", PROFILE, "--target", TARGET]);
    build.arg("--target-dir").arg(&target_dir);
    build.env("CARGO_ENCODED_RUSTFLAGS", rust_flags(&prefixes));
    build.env("CFLAGS", c_flags(&prefixes));
    succeed(&mut build, "cargo build")?;

    let enclave = read(&target_dir.join(TARGET).join(PROFILE).join(PACKAGE))?;
    check_static(&enclave)?;
    let left = |(path, replacement): &&(PathBuf, String)| {
        path != Path::new(replacement) && contains(&enclave, path.as_os_str().as_bytes())
    };
    if let Some((path, _)) = prefixes.iter().find(left) {
        return Err(EnclaveError::Path(path.clone()).into());
    }
    Ok(Parts {
        enclave,
        enclave_origin: format!(
            "{PACKAGE} {}, features {FEATURES}, profile {PROFILE}",
            env!("CARGO_PKG_VERSION")
        ),
        toolchain: Toolchain {
            rustc: version(&workspace, "rustc")?,
            cc: version(&workspace, "cc")?,
            ld: version(&workspace, "ld")?,
        },
        model: model.map(read).transpose()?,
        cmdline: CMDLINE.to_owned(),
    })
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

fn cargo(workspace: &Path) -> Command {
    clean_command(workspace, "cargo")
}

fn clean_command(workspace: &Path, program: &str) -> Command {
    let passed = |name: &OsStr| {
        name.to_str().is_some_and(|name| {
            PASSED.contains(&name)
                || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                || PASSED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        })
    };
    let mut command = Command::new(program);
    command
        .current_dir(workspace)
        .env_clear()
        .envs(env::vars_os().filter(|(name, _)| passed(name)))
        .env("LC_ALL", "C")
        .env("TZ", "UTC0")
        .env("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH);
    command
}

fn succeed(command: &mut Command, name: &str) -> Result<(), EnclaveError> {
    let status = command.status().map_err(|source| EnclaveError::Program {
        program: name.to_owned(),
        source,
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(EnclaveError::Failed(name.to_owned()))
    }
}

/// First line of `PROGRAM --version`.
fn version(workspace: &Path, program: &str) -> Result<String, EnclaveError> {
    let output = clean_command(workspace, program)
        .arg("--version")
        .output()
        .map_err(|source| EnclaveError::Program {
            program: program.to_owned(),
            source,
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn cargo_home() -> Result<PathBuf, EnclaveError> {
    let home = || Some(Path::new(&env::var_os("HOME")?).join(".cargo"));
    let path = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .ok_or(EnclaveError::NoCargoHome)?;
    Ok(path.canonicalize().unwrap_or(path))
}

/// Where packages are unpacked: the folder's name tells the registry, which may be anyone's mirror.
fn registries(cargo_home: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let sources = cargo_home.join("registry/src");
    let io = |source| BuildError::Io {
        path: sources.clone(),
        source,
    };
    let mut found = fs::read_dir(&sources)
        .map_err(io)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(io))
        .collect::<Result<Vec<_>, _>>()?;
    found.sort();
    Ok(found)
}

fn rust_flags(prefixes: &[(PathBuf, String)]) -> OsString {
    let mut flags = OsString::from("-Ctarget-feature=+crt-static\x1f-Crelocation-model=static");
    for (path, replacement) in prefixes {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(path);
        flags.push(format!("={replacement}"));
    }
    flags
}

fn c_flags(prefixes: &[(PathBuf, String)]) -> OsString {
    let mut flags = OsString::new();
    for (path, replacement) in prefixes {
        flags.push("-ffile-prefix-map=");
        flags.push(path);
        flags.push(format!("={replacement} "));
    }
    flags
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn more_specific_paths_come_last() {
        let prefixes = [
            ("/home/a/.cargo".into(), "/cargo".into()),
            ("/home/a/.cargo/r".into(), "/r".into()),
        ];
        let flags = rust_flags(&prefixes).into_string().unwrap();
        assert!(
            flags.ends_with("\x1f--remap-path-prefix=/home/a/.cargo/r=/r"),
            "{flags}"
        );
        assert!(
            c_flags(&prefixes)
                .into_string()
                .unwrap()
                .ends_with("-ffile-prefix-map=/home/a/.cargo/r=/r ")
        );
    }
}
