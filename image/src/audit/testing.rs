//! Image folders for the tests of the checks.

use super::Finding;
use super::folder::{Folder, Plain};
use crate::build::KERNEL;
use crate::manifest::{FORMAT, Manifest, Platform, Toolchain};

/// Name, mode, content.
pub type Raw<'a> = (&'a str, u32, &'a [u8]);

/// The least that an image holds.
pub fn root() -> Vec<Raw<'static>> {
    vec![
        ("init", 0o100_755, super::elf::MAGIC),
        ("node/jeju-enclave", 0o100_755, super::elf::MAGIC),
        ("dev", 0o040_755, b""),
        ("dev/console", 0o020_600, b""),
    ]
}

/// An archive of entries that [`crate::cpio::Archive`] wouldn't take.
pub fn raw(entries: &[Raw]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut record = |name: &str, mode: u32, data: &[u8]| {
        let device = if mode & 0o170_000 == 0o020_000 {
            (5, 1)
        } else {
            (0, 0)
        };
        let fields = [
            1,
            mode,
            0,
            0,
            1,
            0,
            data.len() as u32,
            0,
            0,
            device.0,
            device.1,
            name.len() as u32 + 1,
            0,
        ];
        out.extend_from_slice(b"070701");
        for field in fields {
            out.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(4), 0);
    };
    for (name, mode, data) in entries {
        record(name, *mode, data);
    }
    record("TRAILER!!!", 0, b"");
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// A development image of these archives.
pub fn folder(archives: &[&[u8]], cmdline: &str) -> Folder {
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        platform: Platform::Qemu,
        development: true,
        image_digest: "00".repeat(32),
        measurement: None,
        files: vec![],
        root: vec![],
        toolchain: Toolchain::default(),
    };
    let archives = archives.iter().enumerate().map(|(index, bytes)| Plain {
        name: format!("archive-{index}"),
        bytes: bytes.to_vec(),
    });
    Folder {
        manifest,
        kernel: KERNEL.to_vec(),
        cmdline: cmdline.as_bytes().to_vec(),
        archives: archives.collect(),
    }
}

/// Subject and detail of what is against an image.
pub fn violations(findings: Vec<Finding>) -> Vec<(String, String)> {
    let against = findings.into_iter().filter(Finding::is_violation);
    against.map(|finding| (finding.subject, finding.detail)).collect()
}
