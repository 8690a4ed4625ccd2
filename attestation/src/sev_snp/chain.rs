//! The key that signs: from its certificate up to the pinned ARK of its product, with what AMD states in it.
//!
//! ARK (pinned, RSA-4096) → ASK or ASVK → VCEK or VLEK (P-384). Both signatures are RSASSA-PSS with SHA-384.

use super::claims::Claims;
use super::parse::Report;
use super::reason::SnpError;
use super::vek::{VekExtensions, VekKind};
use crate::endorsements::Endorsements;
use crate::primitives::{EcdsaSignature, primitives};
use crate::roots::{AmdProduct, Root, TrustAnchors};
use crate::x509::{Certificate, PathRules, PublicKey, RevocationList, Validity, X509Error, verify_path};

/// VEK, ASK and ARK.
const PATH: PathRules = PathRules {
    longest: 3,
    judged: &[],
    end_entity: true,
};

/// AMD's authorities, which are always at hand. They are verified up to the pinned ARK like those of others.
const INTERMEDIATES: [(&str, &[u8]); 6] = [
    ("SEV-Milan", include_bytes!("../../roots/amd-ask-milan.der")),
    ("SEV-Genoa", include_bytes!("../../roots/amd-ask-genoa.der")),
    ("SEV-Turin", include_bytes!("../../roots/amd-ask-turin.der")),
    ("SEV-VLEK-Milan", include_bytes!("../../roots/amd-asvk-milan.der")),
    ("SEV-VLEK-Genoa", include_bytes!("../../roots/amd-asvk-genoa.der")),
    ("SEV-VLEK-Turin", include_bytes!("../../roots/amd-asvk-turin.der")),
];

/// A VEK whose certificate was verified up to the pinned ARK. Can be kept for as long as its dates allow, which each
/// use checks again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedVek {
    kind: VekKind,
    extensions: VekExtensions,
    key: [u8; 97],
    fingerprint: [u8; 32],
    root: &'static str,
    validity: Validity,
    /// When the ARK's revocation lists are in force; `None`: none was at hand.
    lists: Option<Validity>,
}

impl VerifiedVek {
    /// Of a chip or of a provider.
    pub fn kind(&self) -> VekKind {
        self.kind
    }

    /// The product, on which certificate and ARK agree.
    pub fn product(&self) -> AmdProduct {
        self.extensions.product
    }

    /// The TCB version that AMD certified, in the product's byte order.
    pub fn tcb(&self) -> [u8; 8] {
        self.extensions.tcb
    }

    /// The chip that it belongs to; `None` for a VLEK.
    pub fn hwid(&self) -> Option<[u8; 64]> {
        self.extensions.hwid
    }

    /// The cloud provider that it belongs to; `None` for a VCEK.
    pub fn csp_id(&self) -> Option<&str> {
        self.extensions.csp_id.as_deref()
    }

    /// SHA-256 of its certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Name of the pinned ARK.
    pub fn root(&self) -> &'static str {
        self.root
    }

    /// When all certificates are valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// When the revocation lists that don't name the chain are in force; `None`: none was at hand.
    pub fn revocation_lists(&self) -> Option<Validity> {
        self.lists
    }

    /// Checks that this key signed the report, for the chip and TCB that AMD certified it for, and that it is valid at
    /// `now` (seconds since 1970).
    pub fn endorse(&self, report: &Report, now: i64) -> Result<Claims, SnpError> {
        self.check_dates(now)?;
        check_belongs(report, self.kind, &self.extensions)?;
        check_signature(report, &self.key)?;
        Claims::new(report, self)
    }

    fn check_dates(&self, now: i64) -> Result<(), SnpError> {
        let (subject, validity) = (self.kind.to_string(), self.validity);
        if now < validity.not_before {
            let not_before = validity.not_before;
            return Err(SnpError::Chain(X509Error::NotYetValid {
                subject,
                not_before,
                now,
            }));
        }
        if now > validity.not_after {
            let not_after = validity.not_after;
            return Err(SnpError::Chain(X509Error::Expired {
                subject,
                not_after,
                now,
            }));
        }
        let issuer = self.root.to_owned();
        match self.lists {
            Some(Validity {
                not_before: this_update,
                ..
            }) if now < this_update => Err(SnpError::RevocationList(X509Error::CrlNotYetValid {
                issuer,
                this_update,
                now,
            })),
            Some(Validity {
                not_after: next_update,
                ..
            }) if now > next_update => Err(SnpError::RevocationList(X509Error::CrlExpired {
                issuer,
                next_update,
                now,
            })),
            _ => Ok(()),
        }
    }
}

/// Finds the VEK that the report names among the endorsements, and verifies it at `now` (seconds since 1970).
pub fn verify_vek(
    report: &Report,
    endorsements: &Endorsements,
    anchors: &TrustAnchors,
    now: i64,
) -> Result<VerifiedVek, SnpError> {
    let certificates = endorsements
        .certificates
        .iter()
        .map(|der| Certificate::parse(der).map_err(SnpError::Chain))
        .collect::<Result<Vec<_>, _>>()?;
    refuse_foreign_roots(&certificates, anchors)?;
    let vek = find_vek(report, &certificates)?;
    let mut refused = None;
    for authority in authorities(vek, &certificates) {
        match verify(
            report.signing_key(),
            vek,
            authority,
            &endorsements.revocation_lists,
            anchors,
            now,
        ) {
            Ok(verified) => return Ok(verified),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| SnpError::AuthorityMissing(vek.issuer())))
}

/// A self-signed certificate with an ARK's name that isn't the pinned one is somebody's attempt to pass as AMD. It
/// would never be used; whoever sent it is told so.
fn refuse_foreign_roots(certificates: &[Certificate<'_>], anchors: &TrustAnchors) -> Result<(), SnpError> {
    let roots = || {
        AmdProduct::ALL
            .into_iter()
            .filter_map(|product| anchors.amd(product))
    };
    let foreign = certificates.iter().find(|certificate| {
        certificate.subject_der() == certificate.issuer_der()
            && roots().any(|root| root.subject_der() == certificate.subject_der())
            && roots().all(|root| root.der() != certificate.der())
    });
    match foreign {
        Some(certificate) => Err(SnpError::ForeignArk(certificate.subject())),
        None => Ok(()),
    }
}

/// Endorsements can hold the VEKs of several machines, and of several TCB versions of one.
fn find_vek<'a, 'b>(
    report: &Report,
    certificates: &'b [Certificate<'a>],
) -> Result<&'b Certificate<'a>, SnpError> {
    let kind = report.signing_key();
    let veks = || {
        certificates
            .iter()
            .filter(|certificate| VekKind::of(certificate) == Some(kind))
    };
    let mut candidates = veks();
    let Some(first) = candidates.next() else {
        return Err(match certificates.iter().find_map(VekKind::of) {
            Some(found) => SnpError::OtherVekKind { wanted: kind, found },
            None => SnpError::VekMissing(kind),
        });
    };
    if candidates.next().is_none() {
        return Ok(first);
    }
    // Where the chip isn't named, only the signature tells which one it is.
    let by_signature = kind == VekKind::Vlek || report.chip_id_is_masked();
    let fits = |certificate: &&Certificate<'_>| {
        VekExtensions::read(certificate, kind).is_ok_and(|vek| check_belongs(report, kind, &vek).is_ok())
            && (!by_signature
                || matches!(certificate.public_key(), Ok(PublicKey::P384(key))
                    if check_signature(report, &key).is_ok()))
    };
    Ok(veks().find(fits).unwrap_or(first))
}

/// Those of the name that the VEK gives as its issuer's: the ones handed over, then AMD's own.
fn authorities<'a>(vek: &Certificate<'_>, certificates: &[Certificate<'a>]) -> Vec<&'a [u8]> {
    let mut found: Vec<&'a [u8]> = certificates
        .iter()
        .filter(|certificate| certificate.subject_der() == vek.issuer_der())
        .map(Certificate::der)
        .collect();
    let name = vek.issuer();
    if let Some((_, der)) = INTERMEDIATES.iter().find(|(common, _)| *common == name)
        && Certificate::parse(der).is_ok_and(|certificate| certificate.subject_der() == vek.issuer_der())
    {
        // First: most often it is the one, and no other need be tried.
        found.retain(|other| other != der);
        found.insert(0, der);
    }
    found
}

fn verify(
    kind: VekKind,
    vek: &Certificate<'_>,
    authority: &[u8],
    lists: &[Vec<u8>],
    anchors: &TrustAnchors,
    now: i64,
) -> Result<VerifiedVek, SnpError> {
    let chain = [
        Certificate::parse(vek.der()).map_err(SnpError::Chain)?,
        Certificate::parse(authority).map_err(SnpError::Chain)?,
    ];
    let authority = &chain[1];
    let (product, root) = AmdProduct::ALL
        .into_iter()
        .filter_map(|product| anchors.amd(product).map(|root| (product, root)))
        .find(|(_, root)| root.subject_der() == authority.issuer_der())
        .ok_or_else(|| SnpError::ArkUnknown(authority.issuer()))?;
    let path = verify_path(&chain, core::slice::from_ref(root), PATH, now).map_err(SnpError::Chain)?;
    let PublicKey::P384(key) = path.key else {
        return Err(SnpError::VekKey);
    };
    // AMD's two authorities issue different things: a provider's key isn't a chip's.
    if authority.subject() != kind.issuer(product) {
        return Err(SnpError::AuthorityKind {
            kind,
            wanted: kind.issuer(product),
            found: authority.subject(),
        });
    }
    let extensions = VekExtensions::read(vek, kind)?;
    if extensions.product != product {
        return Err(SnpError::ChainProduct {
            vek: extensions.product.name(),
            ark: product.name(),
        });
    }
    Ok(VerifiedVek {
        kind,
        extensions,
        key,
        fingerprint: vek.fingerprint(),
        root: path.root,
        validity: path.validity,
        lists: check_revocation(vek, authority, root, lists, now)?,
    })
}

/// AMD's lists (57230, "CRL") are signed by the ARK and name authorities; VEKs all have the serial number 0 and are
/// superseded by TCB versions. Should a list name a VEK's serial number, that counts too. Lists of other issuers, and of
/// the ARKs of other products, say nothing of this chain.
fn check_revocation(
    vek: &Certificate<'_>,
    authority: &Certificate<'_>,
    root: &Root,
    lists: &[Vec<u8>],
    now: i64,
) -> Result<Option<Validity>, SnpError> {
    let mut in_force: Option<Validity> = None;
    for der in lists {
        let list = match RevocationList::verify_by_key(der, root.subject_der(), root.key()) {
            Err(X509Error::CrlIssuer { .. }) => continue,
            other => other.map_err(SnpError::RevocationList)?,
        };
        list.check(authority, now).map_err(SnpError::RevocationList)?;
        if list.has(vek.serial()) {
            return Err(SnpError::RevocationList(X509Error::Revoked {
                subject: vek.subject(),
                serial: hex::encode(vek.serial()),
            }));
        }
        let dates = Validity {
            not_before: list.this_update(),
            not_after: list.next_update(),
        };
        in_force = Some(in_force.map_or(dates, |earlier| earlier.and(dates)));
    }
    Ok(in_force)
}

/// What the report says of its key must be what AMD certified. The TCB version in the report is the host's choice; the
/// one in the certificate is what the key was derived from.
fn check_belongs(report: &Report, kind: VekKind, vek: &VekExtensions) -> Result<(), SnpError> {
    if report.signing_key() != kind {
        return Err(SnpError::OtherVekKind {
            wanted: report.signing_key(),
            found: kind,
        });
    }
    if let Some(product) = report.product()
        && product != vek.product
    {
        return Err(SnpError::Product {
            report: product.name(),
            vek: vek.product.name(),
        });
    }
    if let Some(hwid) = vek.hwid
        && !report.chip_id_is_masked()
        && hwid != report.chip_id()
    {
        return Err(SnpError::ChipId {
            report: hex::encode(report.chip_id()),
            vek: hex::encode(hwid),
        });
    }
    if report.reported_tcb() != vek.tcb {
        return Err(SnpError::Tcb {
            report: hex::encode(report.reported_tcb()),
            vek: hex::encode(vek.tcb),
        });
    }
    Ok(())
}

fn check_signature(report: &Report, key: &[u8; 97]) -> Result<(), SnpError> {
    primitives()
        .p384_sha384(
            key,
            report.signed_bytes(),
            EcdsaSignature::Fixed(&report.signature()),
        )
        .map_err(|_| SnpError::Signature)
}
