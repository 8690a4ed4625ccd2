//! `Jeju-Worker`: which code made an answer, where a worker made it.

use crate::structured_field::{parameter, unquote};

/// Longest id of a worker, in bytes.
pub const MAX_WORKER_ID: usize = 128;

/// A version of a worker. The node that names it ran its code; nobody else's word is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerVersion {
    /// Id on the node: 1 to [`MAX_WORKER_ID`] characters of `[A-Za-z0-9._-]`.
    pub id: String,
    /// Counts from 1.
    pub version: u32,
    /// Keccak-256 of the code, as `WorkerRegistry` has it.
    pub code_hash: [u8; 32],
}

impl WorkerVersion {
    /// The header's value.
    pub fn render(&self) -> String {
        format!(
            "\"{}\";v={};code=\"{}\"",
            self.id,
            self.version,
            hex::encode(self.code_hash)
        )
    }

    /// Inverse of [`WorkerVersion::render`]; `None` for any other spelling.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, rest) = text.split_at(text.find(';')?);
        let (version, rest) = parameter(rest, "v")?;
        let (code, rest) = parameter(rest, "code")?;
        let mut code_hash = [0; 32];
        hex::decode_to_slice(unquote(code)?, &mut code_hash).ok()?;
        let worker = Self {
            id: unquote(id)?.to_owned(),
            version: version.parse().ok()?,
            code_hash,
        };
        let whole = rest.is_empty() && is_worker_id(&worker.id) && worker.version > 0;
        (whole && worker.render() == text).then_some(worker)
    }
}

/// Whether a node may give this id: one that needs no escapes in any header or path.
pub fn is_worker_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_WORKER_ID).contains(&id.len()) && id.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_one_spelling() {
        let worker = WorkerVersion {
            id: "worker-hello-world-8f0d818f".to_owned(),
            version: 3,
            code_hash: [0xab; 32],
        };
        let text = worker.render();
        let code = "ab".repeat(32);
        assert_eq!(
            text,
            format!("\"worker-hello-world-8f0d818f\";v=3;code=\"{code}\"")
        );
        assert_eq!(WorkerVersion::parse(&text), Some(worker));
        for (from, to) in [
            ("\"worker", "worker"),
            ("worker-hello", "worker hello"),
            ("worker-hello", "worker\\hello"),
            ("worker-hello", "worker\nhello"),
            ("worker-hello-world-8f0d818f", ""),
            ("v=3", "v=03"),
            ("v=3", "v=0"),
            ("v=3", "v=+3"),
            ("v=3", "v=4294967296"),
            (";v=3", ""),
            ("abab", "ABab"),
            ("abab", "ab"),
            ("code=\"", "code=\"0x"),
            ("v=3", "v=3;w=4"),
        ] {
            assert!(text.contains(from));
            assert_eq!(
                WorkerVersion::parse(&text.replacen(from, to, 1)),
                None,
                "{from} -> {to}"
            );
        }
        assert_eq!(WorkerVersion::parse(&(text + ";more")), None);
        assert!(is_worker_id(&"a".repeat(MAX_WORKER_ID)) && !is_worker_id(&"a".repeat(MAX_WORKER_ID + 1)));
    }
}
