//! X.509 certificates, every part of which can be set wrong.

use crate::der;
use crate::key::Key;
use crate::{DAY, NOW};

/// Bits of the key usage extension (RFC 5280 §4.2.1.3), as its first byte.
pub mod usage {
    /// digitalSignature.
    pub const SIGNATURES: u8 = 0x80;
    /// keyCertSign.
    pub const CERTIFICATES: u8 = 0x04;
    /// cRLSign.
    pub const REVOCATION_LISTS: u8 = 0x02;
}

/// An extension.
#[derive(Debug, Clone)]
pub struct Extension {
    /// Dotted form.
    pub oid: String,
    /// Whether whoever doesn't know it must refuse.
    pub critical: bool,
    /// Content of the OCTET STRING.
    pub value: Vec<u8>,
}

impl Extension {
    /// One that isn't critical.
    pub fn new(oid: &str, value: Vec<u8>) -> Self {
        Self {
            oid: oid.to_owned(),
            critical: false,
            value,
        }
    }
}

/// What a certificate says.
#[derive(Debug, Clone)]
pub struct Template {
    /// Name, as DER; see [`name`].
    pub subject: Vec<u8>,
    /// Name, as DER.
    pub issuer: Vec<u8>,
    /// SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// Big-endian.
    pub serial: Vec<u8>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// Basic constraints: `Some` for an authority, with its path length.
    pub authority: Option<Option<u8>>,
    /// Key usage.
    pub usage: u8,
    /// More extensions.
    pub extensions: Vec<Extension>,
}

impl Template {
    /// An end entity with this common name, issued by `issuer`, valid for a year around [`NOW`].
    pub fn end_entity(subject: &str, issuer: &str, key: &Key) -> Self {
        Self {
            subject: name(subject),
            issuer: name(issuer),
            spki: key.spki(),
            serial: vec![0x11, 0x22],
            not_before: NOW as i64 - 180 * DAY,
            not_after: NOW as i64 + 180 * DAY,
            authority: None,
            usage: usage::SIGNATURES,
            extensions: Vec::new(),
        }
    }

    /// An authority with this common name, issued by `issuer`, valid for twenty years around [`NOW`].
    pub fn authority(subject: &str, issuer: &str, key: &Key) -> Self {
        Self {
            not_before: NOW as i64 - 3650 * DAY,
            not_after: NOW as i64 + 3650 * DAY,
            authority: Some(None),
            usage: usage::CERTIFICATES | usage::REVOCATION_LISTS,
            ..Self::end_entity(subject, issuer, key)
        }
    }

    /// The certificate, signed by `issuer`'s key.
    pub fn sign(&self, issuer: &Key) -> Vec<u8> {
        let mut extensions = Vec::new();
        let basic = match self.authority {
            None => der::sequence(&[]),
            Some(None) => der::sequence(&[&der::boolean(true)]),
            Some(Some(length)) => der::sequence(&[&der::boolean(true), &der::number(length.into())]),
        };
        extensions.extend(extension("2.5.29.19", true, &basic));
        extensions.extend(extension("2.5.29.15", true, &der::tlv(0x03, &[0, self.usage])));
        for Extension { oid, critical, value } in &self.extensions {
            extensions.extend(extension(oid, *critical, value));
        }
        let body = der::sequence(&[
            &der::explicit(0, &der::number(2)),
            &der::integer(&self.serial),
            &issuer.algorithm(),
            &self.issuer,
            &der::sequence(&[&der::time(self.not_before), &der::time(self.not_after)]),
            &self.subject,
            &self.spki,
            &der::explicit(3, &der::sequence(&[&extensions])),
        ]);
        der::sequence(&[&body, &issuer.algorithm(), &der::bits(&issuer.sign(&body))])
    }
}

fn extension(oid: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { der::boolean(true) } else { Vec::new() };
    der::sequence(&[&der::oid(oid), &critical, &der::octets(value)])
}

/// A name of one common name.
pub fn name(common: &str) -> Vec<u8> {
    let attribute = der::sequence(&[&der::oid("2.5.4.3"), &der::utf8(common)]);
    der::sequence(&[&der::set(&[&attribute])])
}

/// PEM of certificates.
pub fn pem(certificates: &[&[u8]]) -> String {
    use base64::Engine;
    let mut text = String::new();
    for der in certificates {
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in body.as_bytes().chunks(64) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}
