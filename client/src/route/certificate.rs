//! A certificate for a gateway's key, by which it reaches one port of a rental's container and nothing else. `ssh-keygen` signs it
//! with the renter's key, or has the agent do so: this program never reads the key.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::hex_bytes::HexBytes;

use super::RouteError;

/// Longest line of a gateway's key that is taken, in bytes.
const MAX_KEY: usize = 512;
const KIND: &str = "ssh-ed25519";
/// Seconds by which the gateway's and the node's clocks may be behind.
const EARLIER: u64 = 300;

/// What a certificate permits.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    /// The gateway's key.
    pub(super) key: &'a str,
    pub(super) rental: &'a HexBytes<32>,
    /// Of the container.
    pub(super) port: u16,
    /// From now on.
    pub(super) seconds: u64,
}

/// The renter's key, as a file of OpenSSH's.
#[derive(Debug)]
pub(super) struct Signer<'a> {
    /// `ssh-keygen`, 8.1 or later.
    pub(super) program: &'a Path,
    /// The private key; where it isn't there, or with `.pub` at the end, the agent signs.
    pub(super) key: &'a Path,
}

impl Signer<'_> {
    /// Signs.
    ///
    /// # Errors
    /// [`RouteError::GatewayKey`], [`RouteError::Keygen`], [`RouteError::File`].
    pub(super) fn sign(&self, permit: &Permit<'_>) -> Result<String, RouteError> {
        let key = public_key(permit.key).ok_or(RouteError::GatewayKey)?;
        // Of this user alone, and gone with all that is in it.
        let folder = tempfile::Builder::new()
            .prefix("jeju-route-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|source| file(Path::new("temporary folder"), source))?;
        let path = folder.path().join("gateway.pub");
        fs::write(&path, format!("{key}\n")).map_err(|source| file(&path, source))?;
        let (key, has_agent) = self.key();
        let mut command = Command::new(self.program);
        command.arg("-q");
        if has_agent {
            command.arg("-U");
        }
        command.arg("-s").arg(&key);
        command.args(["-I", "jeju-route", "-n", &permit.rental.to_string()]);
        command.args(["-V", &format!("-{EARLIER}s:+{}s", permit.seconds)]);
        command.args(["-O", "clear", "-O", "permit-port-forwarding"]);
        let places = format!("critical:permitopen@jeju.network=localhost:{}", permit.port);
        command.args(["-O", &places]).arg(&path);
        // What unlocks the key is asked for at the terminal.
        let done = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(|source| file(self.program, source))?;
        if !done.status.success() {
            let words = String::from_utf8_lossy(&done.stderr);
            let words = words.lines().last().unwrap_or("ssh-keygen failed");
            return Err(RouteError::Keygen(super::error::shown(words)));
        }
        let path = folder.path().join("gateway-cert.pub");
        let line = fs::read_to_string(&path).map_err(|source| file(&path, source))?;
        Ok(line.trim_end().to_owned())
    }

    fn key(&self) -> (PathBuf, bool) {
        if self.key.extension().is_some_and(|end| end == "pub") {
            return (self.key.to_owned(), true);
        }
        let mut public = self.key.as_os_str().to_owned();
        public.push(".pub");
        let public = PathBuf::from(public);
        match !self.key.exists() && public.exists() {
            true => (public, true),
            false => (self.key.to_owned(), false),
        }
    }
}

fn file(path: &Path, source: io::Error) -> RouteError {
    RouteError::File {
        path: path.to_owned(),
        source,
    }
}

/// What a gateway says is its key, if it is the line of an Ed25519 key (RFC 8709 §4): without a comment, which it could fill with
/// anything.
pub(super) fn public_key(line: &str) -> Option<String> {
    if line.len() > MAX_KEY {
        return None;
    }
    let mut words = line.split(' ');
    let (kind, text) = (words.next()?, words.next()?);
    let blob = STANDARD.decode(text).ok()?;
    let head = [
        &11_u32.to_be_bytes()[..],
        KIND.as_bytes(),
        &32_u32.to_be_bytes()[..],
    ]
    .concat();
    let is_key = kind == KIND && blob.len() == head.len() + 32 && blob.starts_with(&head);
    is_key.then(|| format!("{KIND} {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keygen(arguments: &[&str], path: &Path) -> String {
        let done = Command::new("ssh-keygen")
            .args(arguments)
            .arg(path)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    fn made(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        keygen(&["-q", "-t", "ed25519", "-N", "", "-C", "a comment", "-f"], &path);
        path
    }

    #[test]
    fn a_certificate_permits_one_port_of_one_rental_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let (renter, gateway) = (made(folder.path(), "renter"), made(folder.path(), "gateway"));
        let line = fs::read_to_string(gateway.with_extension("pub")).unwrap();
        let rental = HexBytes([0xab; 32]);
        let permit = Permit {
            key: line.trim(),
            rental: &rental,
            port: 8080,
            seconds: 3600,
        };
        let signer = |key: &'static str| (folder.path().join(key), PathBuf::from("ssh-keygen"));
        let (key, program) = signer("renter");
        let certificate = Signer {
            program: &program,
            key: &key,
        }
        .sign(&permit)
        .unwrap();
        assert!(!certificate.contains("a comment"));
        let path = folder.path().join("certificate");
        fs::write(&path, certificate).unwrap();
        let shown = keygen(&["-L", "-f"], &path);
        for part in [
            "ssh-ed25519-cert-v01@openssh.com user certificate",
            &format!("0x{}", "ab".repeat(32)),
            "permitopen@jeju.network",
            "permit-port-forwarding",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
        for part in ["permit-pty", "permit-agent-forwarding", "permit-X11"] {
            assert!(!shown.contains(part), "{shown}");
        }
        let signed_by = keygen(&["-l", "-f"], &renter);
        let fingerprint = signed_by.split(' ').nth(1).unwrap();
        assert!(shown.contains(fingerprint), "{shown}");
        // Nothing is left of it; and no agent, no file, no key of the gateway's.
        let (key, program) = signer("nothing");
        let signer = Signer {
            program: &program,
            key: &key,
        };
        assert_eq!(signer.sign(&permit).unwrap_err().code(), "ssh_keygen_failed");
        let permit = Permit {
            key: "none",
            ..permit
        };
        assert_eq!(signer.sign(&permit).unwrap_err().code(), "gateway_key_invalid");
        let program = folder.path().join("no-program");
        let signer = Signer {
            program: &program,
            key: &renter,
        };
        let permit = Permit {
            key: line.trim(),
            ..permit
        };
        assert_eq!(signer.sign(&permit).unwrap_err().code(), "file_unusable");
    }

    #[test]
    fn a_gateways_key_is_one_line_without_anything_else() {
        let folder = tempfile::tempdir().unwrap();
        let key = made(folder.path(), "key");
        let line = fs::read_to_string(key.with_extension("pub")).unwrap();
        let plain = line.strip_suffix(" a comment\n").unwrap();
        assert_eq!(public_key(line.trim_end()).as_deref(), Some(plain));
        for wrong in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            &plain[..plain.len() - 4],
            &plain.replace("ssh-ed25519 ", "ssh-rsa "),
            &format!("cert-authority {plain}"),
            &format!("{plain} {}", "a".repeat(MAX_KEY)),
        ] {
            assert_eq!(public_key(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_agent_signs_where_the_private_key_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let key = made(folder.path(), "key");
        let signer = |key: &Path| {
            let program = Path::new("ssh-keygen");
            Signer { program, key }.key()
        };
        assert_eq!(signer(&key), (key.clone(), false));
        let public = key.with_extension("pub");
        assert_eq!(signer(&public), (public.clone(), true));
        fs::remove_file(&key).unwrap();
        assert_eq!(signer(&key), (public.clone(), true));
        fs::remove_file(&public).unwrap();
        assert_eq!(signer(&key), (key.clone(), false));
    }
}
