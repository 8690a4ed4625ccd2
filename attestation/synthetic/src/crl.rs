//! Revocation lists, every part of which can be set wrong.

use crate::certificate::{Extension, name};
use crate::der;
use crate::key::Key;
use crate::{DAY, NOW};

/// What a revocation list says.
#[derive(Debug, Clone)]
pub struct CrlTemplate {
    /// Name, as DER.
    pub issuer: Vec<u8>,
    /// Seconds since 1970.
    pub this_update: i64,
    /// Seconds since 1970.
    pub next_update: Option<i64>,
    /// Serial numbers, big-endian.
    pub revoked: Vec<Vec<u8>>,
    /// Extensions of the list.
    pub extensions: Vec<Extension>,
}

impl CrlTemplate {
    /// An empty list of this common name, good for a month around [`NOW`].
    pub fn new(issuer: &str) -> Self {
        Self {
            issuer: name(issuer),
            this_update: NOW as i64 - 15 * DAY,
            next_update: Some(NOW as i64 + 15 * DAY),
            revoked: Vec::new(),
            extensions: vec![Extension::new("2.5.29.20", der::number(1))],
        }
    }

    /// The list, signed.
    pub fn sign(&self, issuer: &Key) -> Vec<u8> {
        let next = self.next_update.map(der::time).unwrap_or_default();
        let revoked: Vec<u8> = self
            .revoked
            .iter()
            .flat_map(|serial| der::sequence(&[&der::integer(serial), &der::time(self.this_update)]))
            .collect();
        let revoked = if revoked.is_empty() {
            revoked
        } else {
            der::sequence(&[&revoked])
        };
        let extensions: Vec<u8> = self
            .extensions
            .iter()
            .flat_map(|Extension { oid, critical, value }| {
                let critical = if *critical { der::boolean(true) } else { Vec::new() };
                der::sequence(&[&der::oid(oid), &critical, &der::octets(value)])
            })
            .collect();
        let body = der::sequence(&[
            &der::number(1),
            &issuer.algorithm(),
            &self.issuer,
            &der::time(self.this_update),
            &next,
            &revoked,
            &der::explicit(0, &der::sequence(&[&extensions])),
        ]);
        der::sequence(&[&body, &issuer.algorithm(), &der::bits(&issuer.sign(&body))])
    }
}
