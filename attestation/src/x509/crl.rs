//! Certificate revocation lists (RFC 5280 §5): complete ones, of one issuer.

use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::AlgorithmIdentifier;

use super::certificate::{Purpose, name, signature_algorithm, trimmed};
use super::{Certificate, PublicKey, SignatureAlgorithm, X509Error};
use crate::der::{Item, Items, only, tag};

/// Longest revocation list that is read, in bytes.
pub const MAX_CRL_LEN: usize = 512 * 1024;

const CRL_NUMBER: &[u8] = &[0x55, 0x1D, 0x14];
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1D, 0x23];
const MAX_SERIAL: usize = 20;
/// Longest name that is shown, in bytes.
const MAX_NAME: usize = 1024;

/// A list whose signature was checked. Dates are checked when it is asked, because lists are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    issuer: String,
    issuer_der: Vec<u8>,
    this_update: i64,
    next_update: i64,
    /// Sorted.
    serials: Vec<Serial>,
}

impl RevocationList {
    /// Whether bytes have the form of a list; nothing is verified.
    pub(crate) fn is_list(der: &[u8]) -> bool {
        der.len() <= MAX_CRL_LEN && CertList::read(der).is_some()
    }

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
        let list = CertList::read(der).ok_or(X509Error::CrlNotDer)?;
        if list.issuer != issuer_der {
            return Err(X509Error::CrlIssuer {
                issuer: der_name(issuer_der),
                found: der_name(list.issuer),
            });
        }
        let issuer = || der_name(issuer_der);
        let algorithm = list.algorithm().ok_or_else(|| X509Error::Algorithm(issuer()))?;
        key.verify(algorithm, list.signed, list.signature)
            .map_err(|_| X509Error::CrlSignature(issuer()))?;
        let (Some(next_update), false) = (list.next_update, list.partial) else {
            return Err(X509Error::CrlForm(issuer()));
        };
        let mut serials = list.serials().ok_or_else(|| X509Error::CrlForm(issuer()))?;
        serials.sort_unstable();
        Ok(Self {
            issuer: issuer(),
            issuer_der: issuer_der.to_vec(),
            this_update: list.this_update,
            next_update,
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
        Serial::new(serial).is_some_and(|serial| self.serials.binary_search(&serial).is_ok())
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

/// CertificateList (RFC 5280 §5.1), read and not checked.
struct CertList<'a> {
    signed: &'a [u8],
    /// As the signed part names it, and as the outer one does.
    algorithms: [&'a [u8]; 2],
    signature: &'a [u8],
    issuer: &'a [u8],
    this_update: i64,
    next_update: Option<i64>,
    entries: Items<'a>,
    /// Whether it is a delta list, or one of some certificates only: such lists are marked by critical extensions
    /// (§5.2).
    partial: bool,
}

impl<'a> CertList<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        /// `crlExtensions [0] EXPLICIT`.
        const EXTENSIONS: u8 = 0xA0;
        /// Version 2.
        const V2: u16 = 1;
        let mut outer = Items(only(der, tag::SEQUENCE)?);
        let signed = outer.next()?;
        let outer_algorithm = outer.next()?.raw;
        let [0, signature @ ..] = outer.expect(tag::BIT_STRING)? else {
            return None;
        };
        let mut fields = Items(signed.expect(tag::SEQUENCE)?);
        if fields.next()?.integer()? != V2 {
            return None;
        }
        let algorithm = fields.next()?.raw;
        let issuer = fields.next()?;
        issuer.expect(tag::SEQUENCE)?;
        let this_update = time(fields.next()?)?;
        let next = fields
            .optional(tag::UTC_TIME)
            .or_else(|| fields.optional(tag::GENERALIZED_TIME));
        let next_update = match next {
            Some(item) => Some(time(item)?),
            None => None,
        };
        let entries = fields
            .optional(tag::SEQUENCE)
            .map_or(&[][..], |item| item.content);
        let partial = match fields.optional(EXTENSIONS) {
            Some(item) => has_unknown_critical(only(item.content, tag::SEQUENCE)?)?,
            None => false,
        };
        (outer.is_empty() && fields.is_empty()).then_some(Self {
            signed: signed.raw,
            algorithms: [algorithm, outer_algorithm],
            signature,
            issuer: issuer.raw,
            this_update,
            next_update,
            entries: Items(entries),
            partial,
        })
    }

    fn algorithm(&self) -> Option<SignatureAlgorithm> {
        let [inner, outer] = self.algorithms.map(|der| {
            let (rest, parsed) = AlgorithmIdentifier::from_der(der).ok()?;
            rest.is_empty().then(|| signature_algorithm(&parsed))?
        });
        inner.filter(|algorithm| outer == Some(*algorithm))
    }

    /// Serial numbers of the entries; `None` if an entry isn't of the form, or has a critical extension: it might be of
    /// another issuer (§5.3).
    fn serials(&self) -> Option<Vec<Serial>> {
        let mut entries = self.entries;
        let mut serials = Vec::new();
        while !entries.is_empty() {
            let mut entry = Items(entries.expect(tag::SEQUENCE)?);
            serials.push(Serial::new(entry.expect(tag::INTEGER)?)?);
            let date = entry.next()?.tag;
            let extensions = entry.optional(tag::SEQUENCE);
            let dated = matches!(date, tag::UTC_TIME | tag::GENERALIZED_TIME);
            if !dated || !entry.is_empty() {
                return None;
            }
            if let Some(extensions) = extensions
                && has_unknown_critical(extensions.content)?
            {
                return None;
            }
        }
        Some(serials)
    }
}

/// Whether one of these Extensions is critical and not known here.
fn has_unknown_critical(extensions: &[u8]) -> Option<bool> {
    let mut extensions = Items(extensions);
    let mut found = false;
    while !extensions.is_empty() {
        let mut extension = Items(extensions.expect(tag::SEQUENCE)?);
        let identifier = extension.expect(tag::OBJECT_IDENTIFIER)?;
        let critical = match extension.optional(tag::BOOLEAN) {
            Some(flag) => flag.boolean()?,
            None => false,
        };
        extension.expect(tag::OCTET_STRING)?;
        if !extension.is_empty() {
            return None;
        }
        found |= critical && identifier != CRL_NUMBER && identifier != AUTHORITY_KEY_IDENTIFIER;
    }
    Some(found)
}

fn time(item: Item<'_>) -> Option<i64> {
    let (rest, time) = ASN1Time::from_der(item.raw).ok()?;
    rest.is_empty().then(|| time.timestamp())
}

/// A serial number without leading zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Serial([u8; MAX_SERIAL]);

impl Serial {
    /// `None` if it has more than 20 bytes, which no certificate's may (RFC 5280 §4.1.2.2).
    fn new(integer: &[u8]) -> Option<Self> {
        let bytes = trimmed(integer);
        let mut serial = [0; MAX_SERIAL];
        let start = MAX_SERIAL.checked_sub(bytes.len())?;
        serial[start..].copy_from_slice(bytes);
        Some(Self(serial))
    }
}

/// A name as it is shown. One that no authority could have isn't read: it may fill a whole list.
fn der_name(der: &[u8]) -> String {
    if der.len() > MAX_NAME {
        return format!("a name of {} bytes", der.len());
    }
    x509_parser::x509::X509Name::from_der(der).map_or_else(|_| String::new(), |(_, parsed)| name(&parsed))
}
