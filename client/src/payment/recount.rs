//! Counts a prompt's tokens again, with the model's own tokenizer.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use jeju_inference::{Model, Prompt};
use jeju_openai::{Envelope, chat, completions, responses};
use sha2::{Digest, Sha256};

use super::PaymentError;

/// A model file, to count with.
pub struct Recount {
    model: Model,
    /// SHA-256 of the file, by which launch documents name it.
    digest: [u8; 32],
}

impl Recount {
    /// Of a GGUF file.
    ///
    /// # Errors
    /// Where it can't be read, or isn't such a model.
    pub fn open(path: &Path) -> Result<Self, PaymentError> {
        let failed = |source| PaymentError::Record {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut hashing = Hashing {
            file: BufReader::with_capacity(1 << 20, file),
            hash: Sha256::new(),
        };
        let model = Model::load(&mut hashing, size)
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        Ok(Self {
            model,
            digest: hashing.hash.finalize().into(),
        })
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Tokens of a request's prompts, read by the code that the node reads it with. `None`: it is none that is counted.
    pub fn prompt_tokens(&self, path: &str, body: &[u8]) -> Option<u64> {
        let Envelope { fields, .. } = Envelope::parse(body).ok()?;
        let asked = match path.split('?').next()? {
            "/v1/chat/completions" => chat::parse(fields).ok()?,
            "/v1/completions" => completions::parse(fields).ok()?,
            "/v1/responses" => chat::parse(responses::parse(fields).ok()?.chat).ok()?,
            _ => return None,
        };
        let tokenizer = self.model.tokenizer();
        let mut tokens = 0;
        for prompt in asked.prompts {
            tokens += match prompt {
                Prompt::Chat(messages) => self.model.template()?.render(&messages, tokenizer).len(),
                Prompt::Text(text) => tokenizer.encode(&text).len(),
                Prompt::Tokens(tokens) => tokens.len(),
            } as u64;
        }
        Some(tokens)
    }
}

struct Hashing {
    file: BufReader<File>,
    hash: Sha256,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}
