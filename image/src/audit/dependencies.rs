//! The packages that are in an image: Rust packages as cargo resolves them for the node, and the kernel, firmware and C
//! libraries of `image/components.toml`.
//!
//! Known vulnerabilities aren't looked up: the report says "not checked" ([`super::ADVISORIES`]).

mod cargo;
mod components;
mod lock;

use std::path::Path;

use serde::Deserialize;

use super::folder::Folder;
use super::{AuditError, Check, Finding, licence};
use cargo::Resolved;
pub use components::Component;
pub use lock::{DebianPackage, LOCK_FILE, Lock};

/// The node's package, and those of the other programs where the source has them.
const ROOTS: [&str; 3] = ["jeju-enclave", "jeju-init", "jeju-rental-agent"];

/// A Rust package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crate {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Licence expression, normalised; empty if the package has none.
    pub licence: String,
    /// Where `Cargo.lock` has it from; `None` for a package of this workspace.
    pub source: Option<String>,
    /// SHA-256 of the package, hexadecimal, by `Cargo.lock`.
    pub checksum: Option<String>,
    /// Whether it runs at build time only: build scripts, procedural macros and what these need.
    pub build_only: bool,
    /// What it depends on in the image, as positions in [`Packages::crates`].
    pub depends_on: Vec<usize>,
}

/// Every package of an image.
#[derive(Debug, Clone)]
pub struct Packages {
    /// Rust packages, by name and version.
    pub crates: Vec<Crate>,
    /// Positions in `crates` of the programs themselves.
    pub roots: Vec<usize>,
    /// Kernel, firmware, C libraries.
    pub components: Vec<Component>,
    /// What builds ran with, where the source folder has `image/lock.toml`.
    pub lock: Option<Lock>,
}

impl Packages {
    /// Asks cargo, `Cargo.lock` and the binaries themselves.
    ///
    /// # Errors
    /// [`AuditError`] when cargo can't be asked or a file of the source folder isn't what it should be.
    pub fn of(folder: &Folder, source: &Path) -> Result<Self, AuditError> {
        let cargo_lock = lock::CargoLock::read(source)?;
        let roots: Vec<_> = ROOTS.into_iter().filter(|name| cargo_lock.has(name)).collect();
        let resolved = Resolved::ask(source, &roots, folder.manifest.development)?;
        let binaries: Vec<_> = folder.binaries().map(|(_, data)| data).collect();
        let (crates, roots) = resolved.into_crates(&roots, &cargo_lock);
        Ok(Self {
            crates,
            roots,
            components: components::of(folder.manifest.platform.name(), &binaries),
            lock: Lock::read(source)?,
        })
    }
}

/// Judges pins and licences.
///
/// # Errors
/// [`AuditError::Source`], [`AuditError::Io`]: `deny.toml` of the source folder can't be read.
pub fn check(packages: &Packages, source: &Path) -> Result<Vec<Finding>, AuditError> {
    let allowed = AllowedLicences::read(source)?;
    let mut findings = pins(packages);
    findings.extend(licences(packages, &allowed));
    findings.extend(linked_libraries(packages));
    Ok(findings)
}

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn pins(packages: &Packages) -> Vec<Finding> {
    let judge = |package: &Crate| {
        let subject = format!("{} {}", package.name, package.version);
        match (&package.source, &package.checksum) {
            // Of this source folder, whose commit the provenance names.
            (None, None) => None,
            (Some(source), Some(_)) if source == REGISTRY => None,
            (Some(source), _) => Some(Finding::violation(
                Check::Dependencies,
                subject,
                format!("comes from {source}, without a SHA-256 or not from {REGISTRY}"),
            )),
            (None, Some(_)) => Some(Finding::violation(
                Check::Dependencies,
                subject,
                "has a SHA-256, but Cargo.lock doesn't say from where",
            )),
        }
    };
    let mut findings: Vec<_> = packages.crates.iter().filter_map(judge).collect();
    if findings.is_empty() {
        let ours = packages
            .crates
            .iter()
            .filter(|package| package.source.is_none())
            .count();
        let build_only = packages
            .crates
            .iter()
            .filter(|package| package.build_only)
            .count();
        findings.push(Finding::ok(
            Check::Dependencies,
            "Cargo.lock",
            format!(
                "{} packages, {ours} of this source, {build_only} at build time only, the others pinned by SHA-256",
                packages.crates.len()
            ),
        ));
    }
    findings
}

fn licences(packages: &Packages, allowed: &AllowedLicences) -> Vec<Finding> {
    let judge = |package: &Crate| {
        (!licence::allowed(&package.licence, &allowed.0)).then(|| {
            Finding::violation(
                Check::Licences,
                format!("{} {}", package.name, package.version),
                format!("{:?} is not on deny.toml's list", package.licence),
            )
        })
    };
    let mut findings: Vec<_> = packages.crates.iter().filter_map(judge).collect();
    if findings.is_empty() {
        findings.push(Finding::ok(
            Check::Licences,
            "Rust packages",
            format!("{} packages on deny.toml's list", packages.crates.len()),
        ));
    }
    findings.extend(packages.components.iter().map(|component| {
        Finding::ok(
            Check::Licences,
            format!("{} {}", component.name, component.version),
            format!("{}: {}", component.licence, component.accepted),
        )
    }));
    findings
}

/// What the binaries say they are linked with, against what builds ran with.
fn linked_libraries(packages: &Packages) -> Vec<Finding> {
    let Some(lock) = &packages.lock else {
        return Vec::new();
    };
    let judge = |component: &Component| {
        let locked = lock.package.iter().find(|locked| locked.name == component.name)?;
        Some(Finding::either(
            locked.version == component.version,
            Check::Dependencies,
            &component.name,
            format!(
                "{} is linked in, image/lock.toml has {}",
                component.version, locked.version
            ),
        ))
    };
    packages.components.iter().filter_map(judge).collect()
}

/// `licenses.allow` of `deny.toml`.
#[derive(Debug)]
struct AllowedLicences(Vec<String>);

impl AllowedLicences {
    fn read(source: &Path) -> Result<Self, AuditError> {
        #[derive(Deserialize)]
        struct Deny {
            licenses: Licences,
        }
        #[derive(Deserialize)]
        struct Licences {
            allow: Vec<String>,
        }
        let deny: Deny = lock::read_toml(&source.join("deny.toml"))?;
        Ok(Self(deny.licenses.allow))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::audit::testing::violations;

    pub fn package(name: &str, licence: &str) -> Crate {
        Crate {
            name: name.to_owned(),
            version: "1.2.3".to_owned(),
            licence: licence.to_owned(),
            source: Some(REGISTRY.to_owned()),
            checksum: Some("ab".repeat(32)),
            build_only: false,
            depends_on: vec![],
        }
    }

    pub fn packages(crates: Vec<Crate>) -> Packages {
        Packages {
            crates,
            roots: vec![0],
            components: components::of("qemu", &[b"GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable"]),
            lock: None,
        }
    }

    fn list() -> AllowedLicences {
        AllowedLicences::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))).unwrap()
    }

    #[test]
    fn a_licence_that_is_not_allowed_is_reported() {
        let of = |licence| violations(licences(&packages(vec![package("a", licence)]), &list()));
        assert_eq!(of("MIT OR GPL-3.0-only"), []);
        for bad in ["GPL-3.0-only", "MIT AND AGPL-3.0-only", ""] {
            let found = of(bad);
            assert_eq!(found[0].0, "a 1.2.3");
            assert!(found[0].1.contains("not on deny.toml's list"));
        }
    }

    #[test]
    fn a_package_without_a_pin_is_reported() {
        let of = |change: &dyn Fn(&mut Crate)| {
            let mut package = package("a", "MIT");
            change(&mut package);
            violations(pins(&packages(vec![package])))
        };
        assert_eq!(of(&|_| {}), []);
        assert_eq!(
            of(&|package| {
                package.source = None;
                package.checksum = None;
            }),
            []
        );
        for change in [
            &(|package: &mut Crate| package.checksum = None) as &dyn Fn(&mut Crate),
            &|package| package.source = Some("git+https://example.org/a#1234".to_owned()),
            &|package| package.source = None,
        ] {
            assert_eq!(of(change)[0].0, "a 1.2.3");
        }
    }

    #[test]
    fn another_c_library_than_the_locked_one_is_reported() {
        let mut packages = packages(vec![]);
        let lock = |version: &str| {
            let text = format!(
                "format = \"jeju-image-lock/1\"\n[[package]]\nname = \"libc6-dev\"\nversion = \"{version}\"\n\
                 architecture = \"amd64\"\nsha256 = \"00\"\n"
            );
            Some(toml::from_str(&text).unwrap())
        };
        packages.lock = lock("2.36-9+deb12u14");
        assert_eq!(violations(linked_libraries(&packages)), []);
        packages.lock = lock("2.36-9+deb12u13");
        assert_eq!(violations(linked_libraries(&packages))[0].0, "libc6-dev");
    }
}
