//! A chain from an end entity to a pinned root, link by link (RFC 5280 §6.1, without names and policies, which no
//! vendor uses).

use super::certificate::Purpose;
use super::{Certificate, PublicKey, X509Error};
use crate::roots::Root;

const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];

/// What a vendor's path may have beside the usual.
#[derive(Debug, Clone, Copy)]
pub struct PathRules {
    /// Most certificates, the root included.
    pub longest: usize,
    /// Critical extensions that the caller judges itself, as the content of the DER OBJECT IDENTIFIER.
    pub judged: &'static [&'static [u8]],
    /// Whether the end entity must not be an authority.
    pub end_entity: bool,
}

/// When all certificates of a path are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Latest start, in seconds since 1970.
    pub not_before: i64,
    /// Earliest end, in seconds since 1970.
    pub not_after: i64,
}

/// A path whose every check passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPath {
    /// The end entity's key.
    pub key: PublicKey,
    /// Name of the pinned root that it ends in.
    pub root: &'static str,
    /// SHA-256 of that root's DER.
    pub root_fingerprint: [u8; 32],
    /// When the whole path, root included, is valid.
    pub validity: Validity,
}

/// Verifies `chain`, end entity first, against one of `roots`. The root itself may stand last or be left out; a
/// self-signed certificate that isn't pinned is no root, whatever its name.
pub fn verify_path(
    chain: &[Certificate<'_>],
    roots: &[Root],
    rules: PathRules,
    now: i64,
) -> Result<VerifiedPath, X509Error> {
    let (Some(leaf), Some(last)) = (chain.first(), chain.last()) else {
        return Err(X509Error::Empty);
    };
    if chain.len() > rules.longest {
        return Err(X509Error::TooMany(chain.len()));
    }
    let pinned = roots.iter().find(|root| root.der() == last.der());
    let issued = match pinned {
        Some(_) => &chain[..chain.len() - 1],
        None => chain,
    };
    let Some(top) = issued.last() else {
        // The pinned root itself is nobody's end entity.
        return Err(X509Error::LeafIsCa(leaf.subject()));
    };
    let root = pinned
        .or_else(|| roots.iter().find(|root| root.subject_der() == top.issuer_der()))
        .filter(|_| top.issuer_der() != top.subject_der())
        .ok_or_else(|| X509Error::UntrustedRoot(last.subject()))?;

    if rules.end_entity && leaf.basic_constraints().0 {
        return Err(X509Error::LeafIsCa(leaf.subject()));
    }
    if rules.end_entity && !leaf.allows(Purpose::Signatures) {
        return Err(X509Error::KeyUsage(leaf.subject()));
    }
    let mut validity = root.validity();
    check_validity(|| root.name().to_owned(), validity, now)?;
    for (index, certificate) in issued.iter().enumerate() {
        check_extensions(certificate, rules.judged)?;
        let dates = Validity {
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        };
        check_validity(|| certificate.subject(), dates, now)?;
        validity.not_before = validity.not_before.max(dates.not_before);
        validity.not_after = validity.not_after.min(dates.not_after);
        match issued.get(index + 1) {
            Some(issuer) => check_link(certificate, issuer, index)?,
            None => {
                check_name(certificate, root.subject_der(), || root.name().to_owned())?;
                root.check_path_length(index)
                    .map_err(|()| X509Error::PathLength(root.name().to_owned()))?;
                check_signature(certificate, root.key())?;
            }
        }
    }
    Ok(VerifiedPath {
        key: leaf.public_key()?,
        root: root.name(),
        root_fingerprint: root.fingerprint(),
        validity,
    })
}

/// Verifies an end entity against its issuer, where a path through that issuer, at this very depth, was verified
/// before: what [`verify_path`] checks of the first two certificates of a path, and one signature.
pub fn verify_issued(
    leaf: &Certificate<'_>,
    issuer: &Certificate<'_>,
    rules: PathRules,
    now: i64,
) -> Result<(), X509Error> {
    if leaf.basic_constraints().0 {
        return Err(X509Error::LeafIsCa(leaf.subject()));
    }
    if !leaf.allows(Purpose::Signatures) {
        return Err(X509Error::KeyUsage(leaf.subject()));
    }
    check_extensions(leaf, rules.judged)?;
    let dates = Validity {
        not_before: leaf.not_before(),
        not_after: leaf.not_after(),
    };
    check_validity(|| leaf.subject(), dates, now)?;
    check_link(leaf, issuer, 0)
}

/// `below` is how many authorities stand below the issuer: the end entity doesn't count.
fn check_link(
    certificate: &Certificate<'_>,
    issuer: &Certificate<'_>,
    below: usize,
) -> Result<(), X509Error> {
    check_name(certificate, issuer.subject_der(), || issuer.subject())?;
    let (authority, path_length) = issuer.basic_constraints();
    if !authority {
        return Err(X509Error::NotCa(issuer.subject()));
    }
    if path_length.is_some_and(|most| below > most as usize) {
        return Err(X509Error::PathLength(issuer.subject()));
    }
    if !issuer.allows(Purpose::Certificates) {
        return Err(X509Error::KeyUsage(issuer.subject()));
    }
    check_signature(certificate, &issuer.public_key()?)
}

fn check_name(
    certificate: &Certificate<'_>,
    issuer_der: &[u8],
    found: impl Fn() -> String,
) -> Result<(), X509Error> {
    if certificate.issuer_der() == issuer_der {
        return Ok(());
    }
    Err(X509Error::Issuer {
        subject: certificate.subject(),
        issuer: certificate.issuer(),
        found: found(),
    })
}

fn check_signature(certificate: &Certificate<'_>, key: &PublicKey) -> Result<(), X509Error> {
    let algorithm = certificate.signature_algorithm()?;
    key.verify(algorithm, certificate.signed_bytes(), certificate.signature())
        .map_err(|_| X509Error::Signature(certificate.subject()))
}

fn check_extensions(certificate: &Certificate<'_>, judged: &[&[u8]]) -> Result<(), X509Error> {
    let extensions = certificate.parsed.extensions();
    for (index, extension) in extensions.iter().enumerate() {
        let oid = extension.oid.as_bytes();
        if extensions[..index]
            .iter()
            .any(|earlier| earlier.oid.as_bytes() == oid)
        {
            return Err(X509Error::DuplicateExtension(certificate.subject()));
        }
        let known = oid == BASIC_CONSTRAINTS || oid == KEY_USAGE || judged.contains(&oid);
        if extension.critical && !known {
            return Err(X509Error::CriticalExtension {
                subject: certificate.subject(),
                oid: extension.oid.to_id_string(),
            });
        }
    }
    Ok(())
}

impl Validity {
    /// Whether `now` (seconds since 1970) lies in it.
    pub fn contains(self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// The part that both have.
    pub fn and(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }
}

/// Names are read for messages only.
fn check_validity(subject: impl Fn() -> String, validity: Validity, now: i64) -> Result<(), X509Error> {
    let Validity {
        not_before,
        not_after,
    } = validity;
    if now < not_before {
        return Err(X509Error::NotYetValid {
            subject: subject(),
            not_before,
            now,
        });
    }
    if now > not_after {
        return Err(X509Error::Expired {
            subject: subject(),
            not_after,
            now,
        });
    }
    Ok(())
}
