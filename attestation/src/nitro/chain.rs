//! Root of trust: from AWS's pinned root to the certificate under which the document is signed (§3.2.3), revocation,
//! and the document's own signature.
//!
//! The chain is root → region → zone → instance → enclave. Each authority is allowed one level less below it (path
//! lengths 2, 1, 0), and the last certificate lives three hours.

use std::sync::Arc;

use super::parse::{Document, ModuleId};
use super::{NitroError, SignedDocument};
use crate::endorsements::Endorsements;
use crate::primitives::{EcdsaSignature, primitives};
use crate::roots::{Root, TrustAnchors};
use crate::verdict::Revocation;
use crate::x509::{
    Certificate, PathRules, PublicKey, RevocationList, SignatureAlgorithm, Validity, X509Error,
    verify_issued, verify_path,
};

/// `cabundle` and `certificate` together.
const LONGEST: usize = 8;
const RULES: PathRules = PathRules {
    longest: LONGEST,
    judged: &[],
    end_entity: true,
};
const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1D, 0x1F];

/// A document whose signature and chain were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<'a> {
    /// What it says.
    pub document: &'a Document,
    /// Name of the pinned root.
    pub root: &'static str,
    /// SHA-256 of the root's DER.
    pub root_fingerprint: [u8; 32],
    /// When the whole chain is valid.
    pub validity: Validity,
    /// What is known of revocation.
    pub revocation: Revocation,
}

/// The authorities of one instance: made only by verifying a chain through them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBundle {
    /// DER, the root first.
    cabundle: Vec<Vec<u8>>,
    root: &'static str,
    root_fingerprint: [u8; 32],
    validity: Validity,
    /// Lists on which the authorities weren't.
    lists: Vec<RevocationList>,
    /// Lists of the instance's own authority, if it ever makes any.
    leaf_lists: Vec<RevocationList>,
    revocation: Revocation,
}

/// The certificate of one enclave, which lives three hours: made only by verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLeaf {
    bundle: Arc<VerifiedBundle>,
    certificate: Vec<u8>,
    /// Uncompressed P-384 point.
    key: [u8; 97],
    subject: String,
    validity: Validity,
}

/// Verifies a document from scratch at `now` (seconds since 1970): five P-384 signatures.
pub fn verify<'a>(
    signed: &'a SignedDocument,
    endorsements: &Endorsements,
    roots: &TrustAnchors,
    now: i64,
) -> Result<Verified<'a>, NitroError> {
    VerifiedLeaf::verify(signed.document(), endorsements, roots, now)?.verify_document(signed, now)
}

impl VerifiedLeaf {
    /// Verifies the chain of a document: four P-384 signatures. The document's own signature isn't checked yet.
    pub fn verify(
        document: &Document,
        endorsements: &Endorsements,
        roots: &TrustAnchors,
        now: i64,
    ) -> Result<Self, NitroError> {
        let pinned = pinned_root(document, roots)?;
        let chain = read_chain(document)?;
        let path =
            verify_path(&chain, core::slice::from_ref(pinned), RULES, now).map_err(NitroError::Chain)?;
        check_module(&document.module_id, &chain[0], &chain[1])?;
        let lists = revocation_lists(&chain, endorsements, now)?;
        let mut validity = pinned.validity();
        for certificate in &chain[1..] {
            validity = validity.and(dates(certificate));
        }
        let bundle = VerifiedBundle {
            cabundle: document.cabundle.clone(),
            root: path.root,
            root_fingerprint: path.root_fingerprint,
            validity,
            lists: lists.authorities,
            leaf_lists: lists.leaf,
            revocation: lists.revocation,
        };
        Self::new(Arc::new(bundle), document, &chain[0])
    }

    /// Verifies the certificate of another enclave of the same instance: one P-384 signature.
    pub fn verify_below(
        document: &Document,
        bundle: &Arc<VerifiedBundle>,
        now: i64,
    ) -> Result<Self, NitroError> {
        bundle.check(document, now)?;
        let leaf = read_certificate(&document.certificate)?;
        let issuer = read_certificate(bundle.instance_authority())?;
        verify_issued(&leaf, &issuer, RULES, now).map_err(NitroError::Chain)?;
        check_module(&document.module_id, &leaf, &issuer)?;
        for list in &bundle.leaf_lists {
            list.check(&leaf, now).map_err(NitroError::RevocationList)?;
        }
        Self::new(Arc::clone(bundle), document, &leaf)
    }

    /// Verifies a document that carries this very certificate: one P-384 signature. All dates are checked again.
    pub fn verify_document<'a>(
        &self,
        signed: &'a SignedDocument,
        now: i64,
    ) -> Result<Verified<'a>, NitroError> {
        let document = signed.document();
        self.bundle.check(document, now)?;
        if document.certificate != self.certificate {
            return Err(NitroError::OtherCertificate);
        }
        check_dates(&self.subject, self.validity, now)?;
        if !names_module(&self.subject, document.module_id.as_str()) {
            return Err(NitroError::ModuleCertificate {
                module: document.module_id.to_string(),
                subject: self.subject.clone(),
            });
        }
        let signature = EcdsaSignature::Fixed(signed.signature());
        primitives()
            .p384_sha384(&self.key, &signed.signed_bytes(), signature)
            .map_err(|_| NitroError::Signature)?;
        Ok(Verified {
            document,
            root: self.bundle.root,
            root_fingerprint: self.bundle.root_fingerprint,
            validity: self.bundle.validity.and(self.validity),
            revocation: self.bundle.revocation,
        })
    }

    /// The authorities above it.
    pub fn bundle(&self) -> &Arc<VerifiedBundle> {
        &self.bundle
    }

    fn new(
        bundle: Arc<VerifiedBundle>,
        document: &Document,
        leaf: &Certificate<'_>,
    ) -> Result<Self, NitroError> {
        let PublicKey::P384(key) = leaf.public_key().map_err(NitroError::Chain)? else {
            return Err(NitroError::CertificateAlgorithm(leaf.subject()));
        };
        Ok(Self {
            bundle,
            certificate: document.certificate.clone(),
            key,
            subject: leaf.subject(),
            validity: dates(leaf),
        })
    }
}

impl VerifiedBundle {
    /// When all its authorities are valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether a document names just these authorities, and whether they, and the lists that cleared them, are still in
    /// force.
    fn check(&self, document: &Document, now: i64) -> Result<(), NitroError> {
        if document.cabundle != self.cabundle {
            return Err(NitroError::OtherBundle);
        }
        check_dates("cabundle", self.validity, now)?;
        for list in self.lists.iter().chain(&self.leaf_lists) {
            list.check_current(now).map_err(NitroError::RevocationList)?;
        }
        Ok(())
    }

    fn instance_authority(&self) -> &[u8] {
        self.cabundle.last().map_or(&[], Vec::as_slice)
    }
}

/// `cabundle[0]` must be the root itself (§3.2.3), by all its bytes: a name proves nothing.
fn pinned_root<'a>(document: &Document, roots: &'a TrustAnchors) -> Result<&'a Root, NitroError> {
    let first = document.cabundle.first().map_or(&[][..], Vec::as_slice);
    roots
        .aws_nitro()
        .iter()
        .find(|root| root.der() == first)
        .ok_or_else(|| match Certificate::parse(first) {
            Ok(certificate) => NitroError::Root(certificate.subject()),
            Err(error) => NitroError::Chain(error),
        })
}

/// The end entity first, the root last.
fn read_chain(document: &Document) -> Result<Vec<Certificate<'_>>, NitroError> {
    let authorities = document.cabundle.iter().rev();
    core::iter::once(&document.certificate)
        .chain(authorities)
        .map(|der| read_certificate(der))
        .collect()
}

/// AWS uses P-384 with SHA-384 throughout; a weaker link would be no certificate of theirs.
fn read_certificate(der: &[u8]) -> Result<Certificate<'_>, NitroError> {
    let certificate = Certificate::parse(der).map_err(NitroError::Chain)?;
    let algorithm = certificate.signature_algorithm();
    let key = certificate.public_key();
    match (algorithm, key) {
        (Ok(SignatureAlgorithm::P384Sha384), Ok(PublicKey::P384(_))) => Ok(certificate),
        _ => Err(NitroError::CertificateAlgorithm(certificate.subject())),
    }
}

/// The certificate's name is `<module>.<region>.aws`, that of the authority above it
/// `<instance>.<region>.aws.nitro-enclaves`: one machine's keys can't speak for another's enclaves.
fn check_module(
    module: &ModuleId,
    leaf: &Certificate<'_>,
    authority: &Certificate<'_>,
) -> Result<(), NitroError> {
    let subject = leaf.subject();
    if !names_module(&subject, module.as_str()) {
        return Err(NitroError::ModuleCertificate {
            module: module.to_string(),
            subject,
        });
    }
    let subject = authority.subject();
    if !names_module(&subject, module.instance()) {
        return Err(NitroError::InstanceCertificate {
            module: module.to_string(),
            subject,
        });
    }
    Ok(())
}

fn names_module(subject: &str, name: &str) -> bool {
    subject
        .strip_prefix(name)
        .is_some_and(|region| region.starts_with('.'))
}

struct Lists {
    authorities: Vec<RevocationList>,
    leaf: Vec<RevocationList>,
    revocation: Revocation,
}

/// Looks each certificate up in the lists of its issuer. Lists of other issuers are other chains' business; one of this
/// chain's issuers that isn't good is an error, because nobody hands a bad list over by accident.
///
/// AWS publishes lists for the region's and the zone's certificates, which name a distribution point. Those of instance
/// and enclave name none: they live a day and three hours.
fn revocation_lists(
    chain: &[Certificate<'_>],
    endorsements: &Endorsements,
    now: i64,
) -> Result<Lists, NitroError> {
    let mut lists = Lists {
        authorities: Vec::new(),
        leaf: Vec::new(),
        revocation: Revocation::Unknown,
    };
    let (mut revocable, mut cleared) = (0, 0);
    for (index, pair) in chain.windows(2).enumerate() {
        let [certificate, issuer] = pair else { continue };
        let mut found = false;
        for der in &endorsements.revocation_lists {
            let Some(list) = list_of(der, issuer).map_err(NitroError::RevocationList)? else {
                continue;
            };
            list.check(certificate, now).map_err(NitroError::RevocationList)?;
            found = true;
            match index {
                0 => lists.leaf.push(list),
                _ => lists.authorities.push(list),
            }
        }
        let has_list = certificate
            .extension(CRL_DISTRIBUTION_POINTS)
            .map_err(NitroError::Chain)?
            .is_some();
        revocable += usize::from(has_list);
        cleared += usize::from(has_list && found);
    }
    if revocable > 0 && cleared == revocable {
        lists.revocation = Revocation::Good;
    }
    Ok(lists)
}

/// `None`: a list of another issuer.
fn list_of(der: &[u8], issuer: &Certificate<'_>) -> Result<Option<RevocationList>, X509Error> {
    match RevocationList::verify(der, issuer) {
        Ok(list) => Ok(Some(list)),
        Err(X509Error::CrlIssuer { .. }) => Ok(None),
        // An issuer that may not sign lists: whose list it is wasn't looked at yet.
        Err(error @ X509Error::KeyUsage(_)) => {
            match RevocationList::verify_by_key(der, issuer.subject_der(), &issuer.public_key()?) {
                Ok(_) => Err(error),
                Err(X509Error::CrlIssuer { .. }) => Ok(None),
                Err(other) => Err(other),
            }
        }
        Err(error) => Err(error),
    }
}

fn dates(certificate: &Certificate<'_>) -> Validity {
    Validity {
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
    }
}

fn check_dates(subject: &str, validity: Validity, now: i64) -> Result<(), NitroError> {
    let subject = subject.to_owned();
    let Validity {
        not_before,
        not_after,
    } = validity;
    if now < not_before {
        let error = X509Error::NotYetValid {
            subject,
            not_before,
            now,
        };
        return Err(NitroError::Chain(error));
    }
    if now > not_after {
        let error = X509Error::Expired {
            subject,
            not_after,
            now,
        };
        return Err(NitroError::Chain(error));
    }
    Ok(())
}
