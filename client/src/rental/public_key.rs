//! SSH public keys that a rental's server takes, as OpenSSH writes them into `.pub` files.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

/// Longest file that is read, in bytes: keys that are taken have a few hundred.
pub const MAX_FILE: usize = 16 * 1024;

const KINDS: [(&str, Kind); 6] = [
    ("ssh-ed25519", Kind::Ed25519),
    ("ecdsa-sha2-nistp256", Kind::Ecdsa("nistp256", 65)),
    ("ecdsa-sha2-nistp384", Kind::Ecdsa("nistp384", 97)),
    ("ecdsa-sha2-nistp521", Kind::Ecdsa("nistp521", 133)),
    ("sk-ssh-ed25519@openssh.com", Kind::SkEd25519),
    (
        "sk-ecdsa-sha2-nistp256@openssh.com",
        Kind::SkEcdsa("nistp256", 65),
    ),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Ed25519,
    /// Curve, and length of an uncompressed point.
    Ecdsa(&'static str, usize),
    SkEd25519,
    SkEcdsa(&'static str, usize),
}

/// A public key: kind and key in base64, without the comment, which on chain would be public for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    line: String,
}

/// Why a key can't log in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PublicKeyError {
    /// Not one line of kind and base64.
    #[error("not an SSH public key: one line as in a .pub file is expected")]
    Form,
    /// A private key, which nothing here may publish.
    #[error("this is a private key: name the .pub file next to it")]
    Private,
    /// RSA or DSA.
    #[error("{0} keys are not taken: make one with `ssh-keygen -t ed25519`")]
    Old(String),
    /// A certificate, or a kind that isn't known.
    #[error("keys of kind {0:?} are not taken: ed25519, ecdsa (nistp256, 384, 521) and their sk- kinds are")]
    Kind(String),
    /// The base64 isn't a key of the kind that the line names.
    #[error("the key's base64 is no {0} key")]
    Content(&'static str),
}

impl PublicKeyError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            PublicKeyError::Form | PublicKeyError::Content(_) => "ssh_key_invalid",
            PublicKeyError::Private => "ssh_key_private",
            PublicKeyError::Old(_) | PublicKeyError::Kind(_) => "ssh_key_unsupported",
        }
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    /// Reads the text of a `.pub` file.
    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        if text.contains("PRIVATE KEY") {
            return Err(PublicKeyError::Private);
        }
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(PublicKeyError::Form);
        };
        let mut words = line.split_ascii_whitespace();
        let (Some(kind), Some(key)) = (words.next(), words.next()) else {
            return Err(PublicKeyError::Form);
        };
        let Some((name, fields)) = KINDS.into_iter().find(|(name, _)| *name == kind) else {
            let shown: String = kind.chars().filter(|c| !c.is_control()).take(60).collect();
            return Err(match kind {
                "ssh-rsa" | "ssh-dss" => PublicKeyError::Old(shown),
                _ => PublicKeyError::Kind(shown),
            });
        };
        let blob = STANDARD.decode(key).map_err(|_| PublicKeyError::Content(name))?;
        if !is_key(&blob, name, fields) {
            return Err(PublicKeyError::Content(name));
        }
        Ok(Self {
            line: format!("{name} {key}"),
        })
    }
}

impl fmt::Display for PublicKey {
    /// As it goes on chain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Whether a blob (RFC 4253 §6.6, RFC 8709 §4, RFC 5656 §3.1, OpenSSH's PROTOCOL.u2f) is exactly one key of the kind.
fn is_key(blob: &[u8], name: &str, kind: Kind) -> bool {
    let fields = fields(blob);
    let is_point = |curve: &str, length, found: &[u8], point: &[u8]| {
        found == curve.as_bytes() && point.len() == length && point[0] == 4
    };
    match (kind, fields.as_deref()) {
        (Kind::Ed25519, Some([found, key])) => *found == name.as_bytes() && key.len() == 32,
        (Kind::SkEd25519, Some([found, key, application])) => {
            *found == name.as_bytes() && key.len() == 32 && !application.is_empty()
        }
        (Kind::Ecdsa(curve, length), Some([found, named, point])) => {
            *found == name.as_bytes() && is_point(curve, length, named, point)
        }
        (Kind::SkEcdsa(curve, length), Some([found, named, point, application])) => {
            *found == name.as_bytes() && is_point(curve, length, named, point) && !application.is_empty()
        }
        _ => false,
    }
}

/// The strings that a blob consists of; `None` if it isn't made of strings alone.
fn fields(mut blob: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !blob.is_empty() {
        let (length, rest) = blob.split_first_chunk()?;
        let (field, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        fields.push(field);
        blob = rest;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF";

    /// A line of a key with these fields.
    fn line(name: &str, fields: &[&[u8]]) -> String {
        let mut blob = Vec::new();
        for field in [name.as_bytes()].iter().chain(fields) {
            blob.extend((field.len() as u32).to_be_bytes());
            blob.extend(*field);
        }
        format!("{name} {}", STANDARD.encode(blob))
    }

    fn point(length: usize) -> Vec<u8> {
        let mut point = vec![7; length];
        point[0] = 4;
        point
    }

    #[test]
    fn keys_that_the_server_takes_are_taken_without_their_comment() {
        let key: PublicKey = format!("{ED25519} me@laptop\n").parse().unwrap();
        assert_eq!(key.to_string(), ED25519);
        for (name, fields) in [
            ("ecdsa-sha2-nistp256", vec![b"nistp256".to_vec(), point(65)]),
            ("ecdsa-sha2-nistp384", vec![b"nistp384".to_vec(), point(97)]),
            ("ecdsa-sha2-nistp521", vec![b"nistp521".to_vec(), point(133)]),
            ("sk-ssh-ed25519@openssh.com", vec![vec![1; 32], b"ssh:".to_vec()]),
            (
                "sk-ecdsa-sha2-nistp256@openssh.com",
                vec![b"nistp256".to_vec(), point(65), b"ssh:".to_vec()],
            ),
        ] {
            let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            let text = line(name, &fields);
            let key: PublicKey = text.parse().unwrap();
            assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn other_keys_are_refused_with_what_to_do() {
        let code = |text: &str| text.parse::<PublicKey>().unwrap_err().code();
        let rsa = line("ssh-rsa", &[&[1, 0, 1], &[9; 256]])
            .parse::<PublicKey>()
            .unwrap_err();
        assert_eq!(rsa.code(), "ssh_key_unsupported");
        assert!(rsa.to_string().contains("ssh-keygen -t ed25519"), "{rsa}");
        assert_eq!(code(&line("ssh-dss", &[&[1]])), "ssh_key_unsupported");
        assert_eq!(
            code("ssh-ed25519-cert-v01@openssh.com AAAA"),
            "ssh_key_unsupported"
        );
        assert_eq!(code("restrict ssh-ed25519 AAAA"), "ssh_key_unsupported");
        assert_eq!(
            code("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA"),
            "ssh_key_private"
        );
        for text in ["", "\n", "ssh-ed25519", &format!("{ED25519}\n{ED25519}")] {
            assert_eq!(code(text), "ssh_key_invalid", "{text}");
        }
        let named = line("ssh-ed25519", &[&[5; 32]]).replacen("ssh-ed25519", "ecdsa-sha2-nistp256", 1);
        let mut compressed = point(65);
        compressed[0] = 2;
        for text in [
            named,
            format!("{}A", ED25519),
            ED25519.replace("AAAAC3", "AAAAC4"),
            line("ssh-ed25519", &[&[5; 31]]),
            line("ssh-ed25519", &[&[5; 32], b"more"]),
            line("ssh-ed25519", &[]),
            line("ecdsa-sha2-nistp256", &[b"nistp384", &point(97)]),
            line("ecdsa-sha2-nistp256", &[b"nistp256", &point(64)]),
            line("ecdsa-sha2-nistp256", &[b"nistp256", &compressed]),
            line("ecdsa-sha2-nistp256", &[b"nistp256", b""]),
            line("sk-ssh-ed25519@openssh.com", &[&[5; 32], b""]),
            format!("ssh-ed25519 {}", STANDARD.encode([0xff; 40])),
            "ssh-ed25519 !".to_owned(),
        ] {
            assert_eq!(code(&text), "ssh_key_invalid", "{text}");
        }
    }
}
