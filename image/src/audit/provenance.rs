//! What an image was built from and by whom: SLSA provenance v1 as the predicate of an in-toto Statement v1.
//!
//! Whoever writes it says so by the builder's id; nothing in the image proves it. What proves it is building it again.

use std::path::Path;
use std::process::Command;

use jeju_attestation::hash::sha256;
use serde_json::{Value, json};

use super::dependencies::{LOCK_FILE, Packages};
use super::folder::Folder;
use super::{AuditError, Check, Finding, Report, sbom};
use crate::manifest;

/// `_type` of the statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// `predicateType` of the statement.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// What `externalParameters` mean: the options of `jeju-image build`, `docs/auditing.md`.
pub const BUILD_TYPE: &str = "tag:jeju,2026:image-build/1";

const GIT: &str = "git";
const LOCKS: [&str; 2] = ["Cargo.lock", LOCK_FILE];

/// The commit that a source folder is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The commit's id, hexadecimal.
    pub id: String,
    /// Files that differ from it, at most ten of them.
    pub changed: Vec<String>,
}

impl Commit {
    /// Asks git.
    ///
    /// # Errors
    /// [`AuditError::Program`], [`AuditError::Failed`], [`AuditError::Answer`].
    pub fn of(source: &Path) -> Result<Self, AuditError> {
        let id = git(source, &["rev-parse", "--verify", "HEAD"])?.trim().to_owned();
        let hexadecimal = id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hexadecimal || !(id.len() == 40 || id.len() == 64) {
            return Err(AuditError::Answer {
                program: GIT,
                line: id,
            });
        }
        let status = git(source, &["status", "--porcelain", "--untracked-files=no"])?;
        let name = |line: &str| line.get(3..).unwrap_or_default().to_owned();
        Ok(Self {
            id,
            changed: status.lines().take(10).map(name).collect(),
        })
    }

    /// A release is built from what others can get.
    pub fn check(&self, development: bool) -> Finding {
        if self.changed.is_empty() {
            return Finding::ok(Check::Source, &self.id, "nothing is changed in it");
        }
        let changed = format!("differs in {}", self.changed.join(", "));
        Finding::either(development, Check::Source, &self.id, changed)
    }
}

/// The statement. `sbom` is the text of the bill of materials that goes with it, if one was written.
///
/// # Errors
/// [`AuditError::Io`]: a lock file of the source folder can't be read.
pub fn statement(
    folder: &Folder,
    report: &Report,
    packages: &Packages,
    source: &Path,
    commit: &Commit,
    builder: &str,
    sbom: Option<&[u8]>,
) -> Result<Value, AuditError> {
    let subject: Vec<_> = folder
        .manifest
        .files
        .iter()
        .map(|file| json!({ "name": file.name, "digest": { "sha256": file.sha256 } }))
        .collect();
    let manifest =
        serde_json::to_string_pretty(&folder.manifest).expect("strings and numbers serialise") + "\n";
    let mut byproducts = vec![json!({
        "name": manifest::FILE_NAME,
        "mediaType": "application/json",
        "digest": { "sha256": hex::encode(sha256(manifest.as_bytes())) },
    })];
    byproducts.extend(sbom.map(|text| {
        json!({
            "name": "sbom.cdx.json",
            "mediaType": "application/vnd.cyclonedx+json",
            "digest": { "sha256": hex::encode(sha256(text)) },
        })
    }));
    Ok(json!({
        "_type": STATEMENT_TYPE,
        "subject": subject,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": { "platform": report.platform, "development": report.development },
                "internalParameters": { "toolchain": folder.manifest.toolchain },
                "resolvedDependencies": dependencies(packages, source, commit)?,
            },
            "runDetails": {
                "builder": { "id": builder },
                "byproducts": byproducts,
            },
        },
    }))
}

fn dependencies(packages: &Packages, source: &Path, commit: &Commit) -> Result<Vec<Value>, AuditError> {
    let mut commit_entry = json!({ "name": "source", "digest": { "gitCommit": commit.id } });
    if !commit.changed.is_empty() {
        commit_entry["annotations"] = json!({ "uncommitted": commit.changed });
    }
    let mut dependencies = vec![commit_entry];
    for name in LOCKS {
        let path = source.join(name);
        if name == LOCK_FILE && packages.lock.is_none() {
            continue;
        }
        let text = std::fs::read(&path).map_err(|source| AuditError::Io { path, source })?;
        dependencies.push(json!({ "name": name, "digest": { "sha256": hex::encode(sha256(&text)) } }));
    }
    dependencies.extend(packages.crates.iter().filter_map(|package| {
        let checksum = package.checksum.as_ref()?;
        Some(json!({ "uri": sbom::reference(package), "digest": { "sha256": checksum } }))
    }));
    dependencies.extend(packages.components.iter().filter_map(|component| {
        let (digest, of) = component.digest.as_ref()?;
        Some(json!({
            "uri": sbom::package_url(component),
            "name": of,
            "digest": { "sha256": digest },
        }))
    }));
    let locked = packages.lock.iter().flat_map(|lock| &lock.package);
    dependencies.extend(locked.map(|package| {
        let (name, version) = (&package.name, sbom::encode(&package.version));
        json!({
            "uri": format!("pkg:deb/debian/{name}@{version}?arch={}", package.architecture),
            "digest": { "sha256": package.sha256 },
        })
    }));
    Ok(dependencies)
}

fn git(source: &Path, arguments: &[&str]) -> Result<String, AuditError> {
    let output = Command::new(GIT)
        .arg("-C")
        .arg(source)
        .args(arguments)
        .output()
        .map_err(|source| AuditError::Program { program: GIT, source })?;
    if !output.status.success() {
        return Err(AuditError::Failed {
            program: GIT,
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        std::fs::write(folder.path().join("file"), "1").unwrap();
        git(folder.path(), &["init", "--quiet"]).unwrap();
        git(folder.path(), &["add", "file"]).unwrap();
        let commit = [&identity[..], &["commit", "--quiet", "--message", "one"]].concat();
        git(folder.path(), &commit).unwrap();
        folder
    }

    #[test]
    fn a_changed_source_is_reported() {
        let folder = repository();
        let commit = Commit::of(folder.path()).unwrap();
        assert!(commit.id.len() == 40 && commit.changed.is_empty());
        assert!(!commit.check(false).is_violation());
        std::fs::write(folder.path().join("file"), "2").unwrap();
        let commit = Commit::of(folder.path()).unwrap();
        assert_eq!(commit.changed, ["file"]);
        assert!(commit.check(false).is_violation());
        assert!(
            !commit.check(true).is_violation(),
            "development images may differ"
        );
    }

    #[test]
    fn a_folder_without_history_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            Commit::of(folder.path()),
            Err(AuditError::Failed { .. })
        ));
    }
}
