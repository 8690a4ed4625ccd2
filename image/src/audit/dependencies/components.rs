//! What isn't a Rust package: `image/components.toml`, with the versions that the binaries themselves name.

use serde::Deserialize;

use super::super::elf;

/// Longest version that is taken from a binary, in bytes.
const MAX_VERSION: usize = 64;

/// Kernel, firmware or C library of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Name of the Debian package, or of the Rust component.
    pub name: String,
    /// Version.
    pub version: String,
    /// CycloneDX's component type.
    pub kind: String,
    /// Licence expression.
    pub licence: String,
    /// Why that licence is acceptable.
    pub accepted: String,
    /// SHA-256, hexadecimal, and what it is of.
    pub digest: Option<(String, String)>,
}

/// What an image for a platform holds, as far as binaries say with what they are linked.
pub(super) fn of(platform: &str, binaries: &[&[u8]]) -> Vec<Component> {
    let listed: Listed = toml::from_str(include_str!("../../../components.toml"))
        .expect("a file that is compiled in, and tested");
    let mut found = Vec::new();
    for entry in listed.component {
        if !entry.platforms.is_empty() && !entry.platforms.iter().any(|name| name == platform) {
            continue;
        }
        let mut versions = match (&entry.version, &entry.before) {
            (Some(version), _) => vec![version.clone()],
            (None, Some(before)) => binaries
                .iter()
                .filter_map(|data| version(data, before.as_bytes()))
                .collect(),
            (None, None) => Vec::new(),
        };
        versions.sort();
        versions.dedup();
        found.extend(versions.into_iter().map(|version| Component {
            name: entry.name.clone(),
            version,
            kind: entry.kind.clone(),
            licence: entry.licence.clone(),
            accepted: entry.accepted.clone(),
            digest: entry.sha256.clone().zip(entry.digest_of.clone()),
        }));
    }
    found
}

fn version(data: &[u8], before: &[u8]) -> Option<String> {
    let rest = &data[elf::find(data, before)? + before.len()..];
    let part = |byte: &&u8| byte.is_ascii_alphanumeric() || b".+-~:".contains(byte);
    let version: String = rest
        .iter()
        .take(MAX_VERSION)
        .take_while(part)
        .map(|byte| char::from(*byte))
        .collect();
    (!version.is_empty()).then_some(version)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    component: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    version: Option<String>,
    /// What stands before the version in a binary.
    before: Option<String>,
    kind: String,
    #[serde(default)]
    platforms: Vec<String>,
    licence: String,
    sha256: Option<String>,
    digest_of: Option<String>,
    accepted: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_binaries() {
        let binary =
            b"..GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable\0rustc version 1.95.0 (59807616e)\0";
        let found = of("qemu", &[binary, b"nothing"]);
        let named: Vec<_> = found
            .iter()
            .map(|component| (component.name.as_str(), component.version.as_str()))
            .collect();
        assert_eq!(
            named,
            [
                ("linux-source-6.12", "6.12.117-1~deb12u1"),
                ("libc6-dev", "2.36-9+deb12u14"),
                ("rust-std", "1.95.0")
            ]
        );
        assert!(
            of("tdx", &[])
                .iter()
                .any(|component| component.name == "ovmf-inteltdx")
        );
    }

    #[test]
    fn versions_are_those_of_the_documents() {
        let kernel = include_str!("../../../kernel/SOURCE.md");
        let firmware = include_str!("../../../firmware/README.md");
        for platform in ["tdx", "snp"] {
            for component in of(platform, &[]) {
                let document = if component.kind == "firmware" {
                    firmware
                } else {
                    kernel
                };
                let (digest, _) = component.digest.unwrap();
                assert!(document.contains(&component.version) && document.contains(&digest));
            }
        }
    }
}
