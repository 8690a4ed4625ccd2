//! Simulated silicon: development images hold it and say so, release images don't hold it.

use super::folder::Folder;
use super::{Check, Finding, elf};

/// A constant that `jeju-quote` compiles in with its feature `sim` (`attestation/quote/src/simulated.rs`), and keeps
/// in use there, so that no linker drops it.
pub const MARKER: &[u8] = b"JEJU-DEVELOPMENT-SIMULATED";
/// Other words of code that only that feature compiles, in case the constant is lost.
const OTHERS: [&[u8]; 2] = [b"jeju-enclave --platform simulated", b"simulated silicon: "];

/// Looks into every binary.
pub fn check(folder: &Folder) -> Vec<Finding> {
    let binaries: Vec<_> = folder.binaries().collect();
    if folder.manifest.development {
        let marked = binaries.iter().find(|(_, data)| elf::contains(data, MARKER));
        return vec![match marked {
            Some((path, _)) => Finding::ok(
                Check::Simulator,
                path,
                "a development image: takes simulated silicon",
            ),
            None => Finding::violation(
                Check::Simulator,
                "manifest.json",
                "says development, but no binary takes simulated silicon",
            ),
        }];
    }
    let judge = |(path, data): (String, &[u8])| {
        let mut words = [MARKER].into_iter().chain(OTHERS);
        match words.find(|word| elf::contains(data, word)) {
            None => Finding::ok(Check::Simulator, path, "holds no simulated silicon"),
            Some(word) => Finding::violation(
                Check::Simulator,
                path,
                format!(
                    "a release image whose binary holds {:?}: it takes simulated silicon",
                    String::from_utf8_lossy(word)
                ),
            ),
        }
    };
    binaries.into_iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::{self, raw, violations};

    fn of(development: bool, binary: &[u8]) -> Vec<(String, String)> {
        let mut root = testing::root();
        root[0].2 = binary;
        let mut folder = testing::folder(&[&raw(&root)], "");
        folder.manifest.development = development;
        violations(check(&folder))
    }

    fn with(words: &[u8]) -> Vec<u8> {
        [elf::MAGIC, b"\0\0", words].concat()
    }

    #[test]
    fn a_release_image_without_it_and_a_development_image_with_it_are_fine() {
        assert_eq!(of(false, &with(b"")), []);
        assert_eq!(of(true, &with(MARKER)), []);
    }

    #[test]
    fn it_is_reported_in_a_release_image() {
        for words in [MARKER].into_iter().chain(OTHERS) {
            let found = of(false, &with(words));
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].0, "/init");
            assert!(found[0].1.contains("takes simulated silicon"));
        }
    }

    #[test]
    fn a_development_image_must_be_one() {
        assert_eq!(of(true, &with(b""))[0].0, "manifest.json");
    }

    #[test]
    fn the_constant_is_the_one_of_the_node() {
        let source = include_str!("../../../attestation/quote/src/simulated.rs");
        assert!(source.contains(&format!("b\"{}\"", String::from_utf8_lossy(MARKER))));
    }
}
