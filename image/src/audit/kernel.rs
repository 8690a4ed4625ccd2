//! The kernel and its configuration: which build it is of, and whether its options follow `image/kernel/policy.toml`.
//!
//! That the configuration gives these very bytes is shown by `image/kernel/build.sh`, not here.

use std::collections::BTreeMap;

use jeju_attestation::hash::sha256;
use serde::Deserialize;

use super::{Check, Finding};
use crate::build::KERNEL;

/// The configuration that the committed kernel was built with.
const CONFIG: &str = include_str!("../../kernel/config");
/// Digests of a build's inputs and of its result, as `build.sh --accept` writes them.
const RECORD: &str = include_str!("../../kernel/record.sha256");
/// What a record has to name.
const RECORDED: [(&str, &[u8]); 4] = [
    ("bzImage", KERNEL),
    ("config", CONFIG.as_bytes()),
    ("dsdt.asl", include_bytes!("../../kernel/dsdt.asl")),
    ("enclave.config", include_bytes!("../../kernel/enclave.config")),
];

/// Compares an image's kernel with the record, the record with the committed files, and the configuration with the policy.
pub fn check(kernel: &[u8]) -> Vec<Finding> {
    let mut findings = vec![kernel_of_the_record(kernel, RECORD)];
    findings.extend(record(RECORD, &RECORDED));
    findings.extend(policy(CONFIG));
    findings
}

fn kernel_of_the_record(kernel: &[u8], record: &str) -> Finding {
    let digest = hex::encode(sha256(kernel));
    match recorded(record).get("bzImage") {
        Some(wanted) if *wanted == digest => Finding::ok(
            Check::Kernel,
            "kernel",
            format!("{digest}, as the build record has it"),
        ),
        wanted => Finding::violation(
            Check::Kernel,
            "kernel",
            format!(
                "has SHA-256 {digest}, the build record says {}",
                wanted.copied().unwrap_or("nothing")
            ),
        ),
    }
}

fn record(record: &str, files: &[(&str, &[u8])]) -> Vec<Finding> {
    let recorded = recorded(record);
    let compare = |(name, bytes): &(&str, &[u8])| {
        let digest = hex::encode(sha256(bytes));
        let wanted = recorded.get(name).copied().unwrap_or("nothing");
        let subject = format!("image/kernel/{name}");
        if wanted == digest {
            Finding::ok(
                Check::Kernel,
                subject,
                format!("{digest}, as the build record has it"),
            )
        } else {
            let detail = format!("has SHA-256 {digest}, the build record says {wanted}");
            Finding::violation(Check::Kernel, subject, detail)
        }
    };
    files.iter().map(compare).collect()
}

/// The lines of sha256sum: digest by name.
fn recorded(record: &str) -> BTreeMap<&str, &str> {
    record
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(digest, name)| (name, digest))
        .collect()
}

fn policy(config: &str) -> Vec<Finding> {
    let policy: Policy = toml::from_str(include_str!("../../kernel/policy.toml"))
        .expect("a file that is compiled in, and tested");
    let config = options(config);
    let mut findings = Vec::new();
    for rule in policy.rule {
        for (option, wanted) in rule.options {
            let value = config.get(option.as_str()).copied().unwrap_or("n");
            let subject = format!("CONFIG_{option}");
            findings.push(if value == wanted {
                Finding::ok(Check::Kernel, subject, format!("{value}: stops {}", rule.stops))
            } else {
                Finding::violation(
                    Check::Kernel,
                    subject,
                    format!("is {value}, wanted {wanted}: stops {}", rule.stops),
                )
            });
        }
    }
    findings
}

/// The options that a configuration sets; kconfig writes what is off as a comment or not at all.
fn options(config: &str) -> BTreeMap<&str, &str> {
    config
        .lines()
        .filter_map(|line| line.strip_prefix("CONFIG_")?.split_once('='))
        .collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    rule: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// The attack.
    stops: String,
    /// Value by option, without `CONFIG_`.
    options: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::violations;

    #[test]
    fn the_committed_kernel_follows_the_policy() {
        assert_eq!(violations(check(KERNEL)), []);
        assert!(check(KERNEL).len() > 100);
    }

    #[test]
    fn each_option_that_is_flipped_is_reported() {
        let findings = policy(CONFIG);
        for finding in &findings {
            let option = finding.subject.as_str();
            let without: String = CONFIG
                .lines()
                .filter(|line| !line.starts_with(&format!("{option}=")))
                .map(|line| format!("{line}\n"))
                .collect();
            let flipped = if without.len() == CONFIG.len() {
                format!("{without}{option}=y\n")
            } else {
                without
            };
            let found = violations(policy(&flipped));
            assert_eq!(found.len(), 1, "{option}");
            assert_eq!(found[0].0, option);
            assert!(found[0].1.contains("stops "), "{}", found[0].1);
        }
    }

    #[test]
    fn another_kernel_is_reported() {
        let mut other = KERNEL.to_vec();
        other[4096] ^= 1;
        let found = violations(check(&other));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "kernel");
    }

    #[test]
    fn a_configuration_that_is_not_the_recorded_one_is_reported() {
        let other = CONFIG.replace("# CONFIG_MODULES is not set", "CONFIG_MODULES=y");
        let found = violations(record(RECORD, &[("config", other.as_bytes())]));
        assert_eq!(found[0].0, "image/kernel/config");
        let found = violations(record("", &RECORDED));
        assert!(found.len() == RECORDED.len() && found[0].1.contains("says nothing"));
        assert!(kernel_of_the_record(KERNEL, "").is_violation());
    }

    #[test]
    fn every_patch_is_recorded() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("kernel");
        let mut patches = 0;
        for entry in std::fs::read_dir(folder.join("patches")).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("patches/{}", path.file_name().unwrap().to_str().unwrap());
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(violations(record(RECORD, &[(&name, &bytes)])), []);
            patches += 1;
        }
        assert!(patches > 0);
    }
}
