//! Certificate revocation lists (RFC 5280 §5): complete ones, of one issuer.

use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::certificate::{Purpose, name, signature_algorithm, trimmed};
use super::{Certificate, PublicKey, X509Error};

/// Longest revocation list that is read, in bytes.
pub const MAX_CRL_LEN: usize = 512 * 1024;

const CRL_NUMBER: &[u8] = &[0x55, 0x1D, 0x14];
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1D, 0x23];
const MAX_SERIAL: usize = 20;

/// A list whose signature was checked. Dates are checked when it is asked, because lists are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    issuer: String,
    issuer_der: Vec<u8>,
    this_update: i64,
    next_update: i64,
    /// Sorted.
    serials: Vec<Vec<u8>>,
}

impl RevocationList {
    /// Reads a list and checks that `issuer`, who may sign lists, signed it.
    pub fn verify(der: &[u8], issuer: &Certificate<'_>) -> Result<Self, X509Error> {
        let key = issuer.public_key()?;
        if !issuer.allows(Purpose::RevocationLists) {
            return Err(X509Error::KeyUsage(issuer.subject()));
        }
        Self::verify_by_key(der, issuer.subject_der(), &key)
    }

    /// The same for an issuer of whom only the name (as DER) and the key are known, such as a pinned root.
    pub fn verify_by_key(der: &[u8], issuer_der: &[u8], key: &PublicKey) -> Result<Self, X509Error> {
        if der.len() > MAX_CRL_LEN {
            return Err(X509Error::TooLong(der.len()));
        }
        let (rest, list) = CertificateRevocationList::from_der(der).map_err(|_| X509Error::CrlNotDer)?;
        if !rest.is_empty() {
            return Err(X509Error::CrlNotDer);
        }
        let found = name(list.issuer());
        if list.issuer().as_raw() != issuer_der {
            return Err(X509Error::CrlIssuer {
                issuer: der_name(issuer_der),
                found,
            });
        }
        let algorithm = signature_algorithm(&list.signature_algorithm)
            .filter(|algorithm| signature_algorithm(&list.tbs_cert_list.signature) == Some(*algorithm))
            .ok_or_else(|| X509Error::Algorithm(found.clone()))?;
        key.verify(algorithm, list.tbs_cert_list.as_ref(), &list.signature_value.data)
            .map_err(|_| X509Error::CrlSignature(found.clone()))?;
        // Delta lists and lists of some certificates only are marked by critical extensions (RFC 5280 §5.2).
        let unknown = |oid: &[u8]| oid != CRL_NUMBER && oid != AUTHORITY_KEY_IDENTIFIER;
        let partial = list
            .extensions()
            .iter()
            .any(|extension| extension.critical && unknown(extension.oid.as_bytes()));
        let entries = list.iter_revoked_certificates();
        let indirect = entries
            .flat_map(|entry| entry.extensions())
            .any(|extension| extension.critical);
        let (Some(next_update), false, false) = (list.next_update(), partial, indirect) else {
            return Err(X509Error::CrlForm(found));
        };
        let mut serials: Vec<Vec<u8>> = list
            .iter_revoked_certificates()
            .map(|entry| trimmed(entry.raw_serial()).to_vec())
            .collect();
        if serials.iter().any(|serial| serial.len() > MAX_SERIAL) {
            return Err(X509Error::CrlForm(found));
        }
        serials.sort_unstable();
        Ok(Self {
            issuer: found,
            issuer_der: issuer_der.to_vec(),
            this_update: list.last_update().timestamp(),
            next_update: next_update.timestamp(),
            serials,
        })
    }

    /// Whether the list is in force at `now`, and has not `certificate`, which its issuer must have signed.
    pub fn check(&self, certificate: &Certificate<'_>, now: i64) -> Result<(), X509Error> {
        self.check_current(now)?;
        if certificate.issuer_der() != self.issuer_der {
            return Err(X509Error::CrlIssuer {
                issuer: certificate.issuer(),
                found: self.issuer.clone(),
            });
        }
        if self.has(certificate.serial()) {
            return Err(X509Error::Revoked {
                subject: certificate.subject(),
                serial: hex::encode(certificate.serial()),
            });
        }
        Ok(())
    }

    /// Whether the list is in force at `now`.
    pub fn check_current(&self, now: i64) -> Result<(), X509Error> {
        if now < self.this_update {
            return Err(X509Error::CrlNotYetValid {
                issuer: self.issuer.clone(),
                this_update: self.this_update,
                now,
            });
        }
        if now > self.next_update {
            return Err(X509Error::CrlExpired {
                issuer: self.issuer.clone(),
                next_update: self.next_update,
                now,
            });
        }
        Ok(())
    }

    /// Whether a serial number (content of the INTEGER, without leading zeros) is on the list.
    pub fn has(&self, serial: &[u8]) -> bool {
        self.serials
            .binary_search_by(|known| known.as_slice().cmp(serial))
            .is_ok()
    }

    /// When the list was made, in seconds since 1970.
    pub fn this_update(&self) -> i64 {
        self.this_update
    }

    /// Until when the list is good, in seconds since 1970.
    pub fn next_update(&self) -> i64 {
        self.next_update
    }
}

fn der_name(der: &[u8]) -> String {
    x509_parser::x509::X509Name::from_der(der).map_or_else(|_| String::new(), |(_, parsed)| name(&parsed))
}
