//! A node's SSH host key, and the line of known hosts that names it.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use jeju_attestation::hash::sha256;

use super::SshError;

/// The only algorithm of host keys (RFC 8709).
pub const ALGORITHM: &str = "ssh-ed25519";

/// Longest name: that of a host in the DNS, with brackets and port.
const MAX_NAME: usize = 255 + "[]:65535".len();

/// An Ed25519 host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostKey(pub [u8; 32]);

impl HostKey {
    /// The public key in SSH's wire form (RFC 4253 §6.6, RFC 8709 §4), 51 bytes.
    pub fn blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        for part in [ALGORITHM.as_bytes(), &self.0] {
            blob.extend_from_slice(&(part.len() as u32).to_be_bytes());
            blob.extend_from_slice(part);
        }
        blob
    }

    /// `SHA256:` and the digest, as OpenSSH shows keys.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(sha256(&self.blob())))
    }

    /// The line of known hosts for one name, without a line end (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
    pub fn known_hosts_line(&self, name: &KnownName) -> String {
        format!("{name} {}", self.line())
    }

    /// The key as a `.pub` file has it, without a comment and a line end.
    pub fn line(&self) -> String {
        format!("{ALGORITHM} {}", STANDARD.encode(self.blob()))
    }
}

/// A name in known hosts that stands for one host: as ssh writes it for `%H`, so a name, an address, or `[host]:port`. Nothing that
/// known hosts would read as a pattern, a list, a marker or a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownName(String);

impl FromStr for KnownName {
    type Err = SshError;

    fn from_str(text: &str) -> Result<Self, SshError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]%".contains(&byte);
        match (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(SshError::KnownName(text.chars().take(MAX_NAME).collect())),
        }
    }
}

impl fmt::Display for KnownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_stand_for_more_than_one_host_are_refused() {
        for name in [
            "node.example",
            "10.0.0.1",
            "fe80::1%eth0",
            "[node.example]:2222",
            "jeju-08",
        ] {
            assert_eq!(name.parse::<KnownName>().unwrap().to_string(), name);
        }
        let long = "a".repeat(MAX_NAME + 1);
        for bad in [
            "",
            "*",
            "a,b",
            "!a",
            "a b",
            "a\nb",
            "@cert-authority",
            "|1|x",
            "#a",
            "ä",
            &long,
        ] {
            assert_eq!(
                bad.parse::<KnownName>().unwrap_err().code(),
                "ssh_host_invalid",
                "{bad}"
            );
        }
    }
}
