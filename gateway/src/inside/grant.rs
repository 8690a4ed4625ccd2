//! What a renter permits: a certificate for the gateway's key, and the host key that the rental's SSH server must have.
//!
//! The node checks all of a certificate again. Here it is checked so that who makes a route learns at once what is wrong.

use std::fmt;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, HashAlg, PublicKey};
use thiserror::Error;

use super::RouteKey;

/// Longest line of a certificate, in bytes: those of ECDSA on P-521 have some 1,400.
const MAX_CERTIFICATE: usize = 4096;
/// Longest line of a host key, in bytes.
const MAX_HOST_KEY: usize = 512;
const KIND: &str = "ssh-ed25519-cert-v01@openssh.com ";
/// The extension without which no connection may be opened (OpenSSH, PROTOCOL.certkeys).
const FORWARDING: &str = "permit-port-forwarding";
/// The critical option that names the places to which connections may be opened, and no others.
const PERMIT_OPEN: &str = "permitopen@jeju.network";

/// Why a route into a container isn't made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GrantError {
    /// No port of a container.
    #[error("port is 1 to 65535, for routes of type http or tcp")]
    Port,
    /// Not the line of an Ed25519 key.
    #[error("hostKey is one line of an Ed25519 public key: ssh-ed25519 AAAA…")]
    HostKey,
    /// Not a certificate with which the gateway could log in.
    #[error("certificate {0}")]
    Certificate(&'static str),
}

impl GrantError {
    /// Stable code.
    pub const fn code(self) -> &'static str {
        match self {
            GrantError::Port => "route_port_invalid",
            GrantError::HostKey => "route_host_key_invalid",
            GrantError::Certificate(_) => "route_certificate_invalid",
        }
    }
}

/// A renter's permission.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    port: u16,
    certificate: Certificate,
    host_key: KeyData,
    /// Both as they came, without comments.
    texts: (String, String),
}

impl Grant {
    /// Reads one. [`Grant::check`] says whether it counts.
    ///
    /// # Errors
    /// [`GrantError`].
    pub fn parse(port: u16, certificate: &str, host_key: &str) -> Result<Self, GrantError> {
        if port == 0 {
            return Err(GrantError::Port);
        }
        let host_line = words(host_key, MAX_HOST_KEY).ok_or(GrantError::HostKey)?;
        let host_key = PublicKey::from_openssh(&host_line).map_err(|_| GrantError::HostKey)?;
        if host_key.key_data().ed25519().is_none() {
            return Err(GrantError::HostKey);
        }
        let malformed = GrantError::Certificate("is one line: ssh-ed25519-cert-v01@openssh.com AAAA…");
        let line = words(certificate, MAX_CERTIFICATE).filter(|line| line.starts_with(KIND));
        let line = line.ok_or(malformed)?;
        Ok(Self {
            port,
            certificate: Certificate::from_openssh(&line).map_err(|_| malformed)?,
            host_key: host_key.key_data().clone(),
            texts: (line, host_line),
        })
    }

    /// Whether the gateway can log in with it: it is for its key, a user's, of this rental, in its time (seconds since 1970),
    /// and permits the port.
    ///
    /// # Errors
    /// [`GrantError::Certificate`].
    pub fn check(&self, key: &RouteKey, rental: &[u8; 32], now: u64) -> Result<(), GrantError> {
        let certificate = &self.certificate;
        let wrong = |why| Err(GrantError::Certificate(why));
        if certificate.public_key() != key.public() {
            return wrong("is for another key than routeKey of /v1/gateway/info");
        }
        if certificate.cert_type() != CertType::User {
            return wrong("is not of a user");
        }
        if !certificate.valid_principals().contains(&principal(rental)) {
            return wrong("does not name the rental among its principals: 0x and 64 digits, in lower case");
        }
        if now >= certificate.valid_before() || now < certificate.valid_after() {
            return wrong("is not in its time");
        }
        // By its own key: whether that is the renter's, the node knows.
        let signer = certificate.signature_key().fingerprint(HashAlg::Sha256);
        if certificate.validate_at(now, [&signer]).is_err() {
            return wrong("has a wrong signature");
        }
        if !certificate.extensions().contains_key(FORWARDING) {
            return wrong("has no extension permit-port-forwarding");
        }
        let place = format!("localhost:{}", self.port);
        for (name, value) in certificate.critical_options().iter() {
            match name.as_str() {
                PERMIT_OPEN if value.split(',').any(|permitted| permitted == place) => {}
                PERMIT_OPEN => return wrong("does not permit localhost and the port"),
                _ => return wrong("has a critical option that no rental knows"),
            }
        }
        Ok(())
    }

    /// The port of the container.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate's end, in milliseconds since 1970.
    pub fn ends_at(&self) -> u64 {
        self.certificate.valid_before().saturating_mul(1000)
    }

    /// The certificate's line.
    pub fn certificate_line(&self) -> &str {
        &self.texts.0
    }

    /// The host key's line.
    pub fn host_key_line(&self) -> &str {
        &self.texts.1
    }

    pub(super) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(super) fn host_key(&self) -> &KeyData {
        &self.host_key
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// The user name that means a rental, and the principal of its certificates.
pub(super) fn principal(rental: &[u8; 32]) -> String {
    format!("0x{}", hex::encode(rental))
}

/// The first two words of a line, without its comment.
fn words(text: &str, most: usize) -> Option<String> {
    let text = text.trim();
    if text.len() > most || text.contains(['\n', '\r']) {
        return None;
    }
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    Some(format!("{} {}", words.next()?, words.next()?))
}

#[cfg(test)]
mod tests;
