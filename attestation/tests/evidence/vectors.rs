//! Genuine evidence: data of other owners, outside the repository.

use std::path::PathBuf;

/// The folder that `JEJU_VECTORS` names, or the one beside the checkout.
pub fn folder() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors");
    std::env::var_os("JEJU_VECTORS").map_or_else(|| default.into(), PathBuf::from)
}

/// One file; `None` where the folder is absent, which is a failure in continuous integration. `cases` is how many
/// cases then aren't run.
pub fn read(name: &str, cases: usize) -> Option<Vec<u8>> {
    let folder = folder();
    if folder.is_dir() {
        let path = folder.join(name);
        return Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "no genuine evidence in {}",
        folder.display()
    );
    println!("{cases} genuine cases were not run: no {}", folder.display());
    None
}
