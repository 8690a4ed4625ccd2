//! A model file, hashed while it is read: one pass, and nothing of it is used before the digest is right.

use std::fs::File;
use std::io::{self, BufReader, Read};

use jeju_inference::Model;
use sha2::{Digest, Sha256};

/// Loads a model whose file has this SHA-256.
///
/// # Errors
/// When the file can't be read, is no model, or is another one.
pub(super) fn load(file: File, sha256: &[u8; 32]) -> io::Result<Model> {
    let size = file.metadata()?.len();
    let mut reader = Hashing {
        inner: BufReader::with_capacity(1 << 20, file),
        hash: Sha256::new(),
    };
    let model = Model::load(&mut reader, size);
    // What a broken header left unread counts too: the digest is always that of the whole file.
    io::copy(&mut reader, &mut io::sink())?;
    if reader.hash.finalize()[..] != sha256[..] {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the model is another one",
        ));
    }
    model.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}
