//! What a launcher tells the chip that it loaded (`docs/wire-formats.md` §3).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jeju_attestation::hash::{sha256, tagged_sha256};
use sha2::{Digest, Sha256};

/// Image digest of a virtual machine: SHA-256 of the kernel file, of each initramfs archive in load order, and of
/// the kernel command line exactly as passed, which is hashed here.
pub fn image_digest(kernel: &[u8; 32], archives: &[[u8; 32]], cmdline: &[u8]) -> [u8; 32] {
    let cmdline = sha256(cmdline);
    let mut inputs: Vec<&[u8]> = vec![kernel];
    inputs.extend(archives.iter().map(<[u8; 32]>::as_slice));
    inputs.push(&cmdline);
    tagged_sha256("jeju-image-v1", &inputs)
}

/// Image digest of process mode: SHA-256 of the executable and of each model file, in the order they are given; then,
/// where there is an agent for containers, the word `agent` with its SHA-256 behind it.
pub fn process_digest(executable: &[u8; 32], models: &[[u8; 32]], agent: Option<&[u8; 32]>) -> [u8; 32] {
    // An input of another length than a model's, so that one is never taken for the other.
    let agent = agent.map(|digest| [b"agent".as_slice(), digest].concat());
    let mut inputs: Vec<&[u8]> = vec![executable];
    inputs.extend(models.iter().map(<[u8; 32]>::as_slice));
    inputs.extend(agent.as_deref());
    tagged_sha256("jeju-process-v1", &inputs)
}

/// SHA-256 of a file of any size, read in pieces.
pub fn file_digest(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 128 * 1024];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(length) => hash.update(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values by Python's hashlib over the byte strings that §3 describes.
    #[test]
    fn golden() {
        assert_eq!(
            hex::encode(image_digest(
                &[0x11; 32],
                &[[0x22; 32], [0x33; 32]],
                b"console=ttyS0"
            )),
            "997c839da3dee4ac0acd14b6cddc8a16acb345c3ec3b62ee1538e51d14f57c1d"
        );
        assert_eq!(
            hex::encode(process_digest(&[0x11; 32], &[[0x22; 32]], None)),
            "412ec910b799101ec848f5221d5197590ed401927be8f68918a4aa4872c5ab7d"
        );
        assert_eq!(
            hex::encode(process_digest(&[0x11; 32], &[[0x22; 32]], Some(&[0x33; 32]))),
            "135b4a923f94263b6bd9fe27070e8782b1f0d1cb778db8bd5d632d5579fc72f0"
        );
    }

    #[test]
    fn order_and_count_of_archives_matter() {
        let digest = |archives: &[[u8; 32]]| image_digest(&[0; 32], archives, b"");
        assert_ne!(digest(&[[1; 32], [2; 32]]), digest(&[[2; 32], [1; 32]]));
        assert_ne!(digest(&[[1; 32]]), digest(&[[1; 32], [1; 32]]));
        assert_ne!(
            image_digest(&[0; 32], &[], b"a"),
            image_digest(&[0; 32], &[], b"b")
        );
        assert_ne!(
            process_digest(&[0; 32], &[[1; 32]], None),
            image_digest(&[0; 32], &[[1; 32]], b"")
        );
        assert_ne!(
            process_digest(&[0; 32], &[[1; 32]], None),
            process_digest(&[0; 32], &[], Some(&[1; 32]))
        );
    }

    #[test]
    fn a_file_is_hashed_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernel");
        std::fs::write(&path, vec![7; 300_000]).unwrap();
        assert_eq!(file_digest(&path).unwrap(), sha256(&vec![7; 300_000]));
        assert_eq!(
            file_digest(&dir.path().join("none")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
