//! Collateral: what Intel says of a platform, chosen from the endorsements at hand and verified.

use super::pck::VerifiedPck;
use super::qe_identity::QeIdentity;
use super::tcb_info::TcbInfo;
use super::{DcapError, IntelTee};
use crate::endorsements::{Endorsements, SignedJson};
use crate::primitives::{EcdsaSignature, primitives};
use crate::roots::{Root, TrustAnchors};
use crate::x509::{Certificate, PathRules, PublicKey, RevocationList, Validity, X509Error, verify_path};

/// Common name of the certificate that signs TCB infos and QE identities.
const SIGNER_NAME: &str = "Intel SGX TCB Signing";

const SIGNER_PATH: PathRules = PathRules {
    longest: 2,
    judged: &[],
    end_entity: true,
};

/// TCB info, QE identity and revocation lists whose signatures were checked; made by verification only. Dates are
/// checked again whenever it is used.
///
/// It is for one kind of evidence and one FMSPC, below one PCK authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCollateral {
    tee: IntelTee,
    tcb_info: TcbInfo,
    qe_identity: QeIdentity,
    root_crl: RevocationList,
    pck_crl: RevocationList,
    root_fingerprint: [u8; 32],
    ca_subject_der: Vec<u8>,
    ca_key: PublicKey,
    signers: Validity,
}

impl VerifiedCollateral {
    /// Chooses what a platform's quotes need from `endorsements`, and verifies it at `now` (seconds since 1970): two
    /// revocation lists, the signer's certificate, TCB info and QE identity.
    ///
    /// Of several TCB infos (or QE identities) that fit, the one in force with the highest
    /// `tcbEvaluationDataNumber` is taken, so that old ones beside it can't hide an advisory.
    pub fn verify(
        endorsements: &Endorsements,
        pck: &VerifiedPck,
        tee: IntelTee,
        anchors: &TrustAnchors,
        now: i64,
    ) -> Result<Self, DcapError> {
        let root = pck.root_among(anchors)?;
        let (ca_subject_der, ca_key) = pck.ca_identity();
        let root_crl = revocation_list(endorsements, root.subject_der(), root.key(), now)
            .map_err(DcapError::RootCrl)?
            .ok_or_else(|| DcapError::RootCrlMissing(root.name().to_owned()))?;
        let pck_crl = revocation_list(endorsements, ca_subject_der, ca_key, now)
            .map_err(DcapError::PckCrl)?
            .ok_or_else(|| DcapError::PckCrlMissing(pck.ca().name().to_owned()))?;

        let mut signers = Signers::among(endorsements)?;
        let chosen = choose_tcb_info(&endorsements.tcb_infos, pck, tee, now)?;
        signers
            .verify(chosen, root, &root_crl, now)?
            .ok_or(DcapError::TcbInfoSignature)?;
        let tcb_info = TcbInfo::parse(&chosen.body)?;
        let chosen = choose_qe_identity(&endorsements.qe_identities, tee, now)?;
        signers
            .verify(chosen, root, &root_crl, now)?
            .ok_or(DcapError::QeIdentitySignature)?;
        let qe_identity = QeIdentity::parse(&chosen.body)?;

        tcb_info.check_kind(tee)?;
        qe_identity.check_kind(tee)?;
        let collateral = Self {
            tee,
            tcb_info,
            qe_identity,
            root_crl,
            pck_crl,
            root_fingerprint: root.fingerprint(),
            ca_subject_der: ca_subject_der.to_vec(),
            ca_key: ca_key.clone(),
            signers: signers.validity(root),
        };
        collateral.check_current(now)?;
        collateral.check_platform(pck)?;
        Ok(collateral)
    }

    /// Whether this collateral is in force at `now`, is for the platform of `pck`, and neither `pck` nor its authority
    /// was revoked.
    pub(crate) fn check(&self, tee: IntelTee, pck: &VerifiedPck, now: i64) -> Result<(), DcapError> {
        self.check_current(now)?;
        let same_ca = (self.ca_subject_der.as_slice(), &self.ca_key) == pck.ca_identity();
        if self.tee != tee || !same_ca || self.root_fingerprint != pck.root_fingerprint() {
            return Err(DcapError::OtherCollateral {
                collateral: format!(
                    "{} evidence below another authority or root",
                    self.tee.tcb_info_id()
                ),
                platform: format!("{} evidence below {}", tee.tcb_info_id(), pck.ca().name()),
            });
        }
        self.check_platform(pck)?;
        pck.check_revocation(&self.root_crl, &self.pck_crl)
    }

    fn check_current(&self, now: i64) -> Result<(), DcapError> {
        self.root_crl.check_current(now).map_err(DcapError::RootCrl)?;
        self.pck_crl.check_current(now).map_err(DcapError::PckCrl)?;
        self.tcb_info.check_current(now)?;
        self.qe_identity.check_current(now)?;
        let Validity {
            not_before,
            not_after,
        } = self.signers;
        let subject = SIGNER_NAME.to_owned();
        if now < not_before {
            return Err(DcapError::SigningChain(X509Error::NotYetValid {
                subject,
                not_before,
                now,
            }));
        }
        if now > not_after {
            return Err(DcapError::SigningChain(X509Error::Expired {
                subject,
                not_after,
                now,
            }));
        }
        Ok(())
    }

    fn check_platform(&self, pck: &VerifiedPck) -> Result<(), DcapError> {
        let platform = pck.extension();
        if self.tcb_info.fmspc != platform.fmspc {
            return Err(DcapError::Fmspc {
                platform: hex::encode(platform.fmspc),
                tcb_info: hex::encode(self.tcb_info.fmspc),
            });
        }
        if self.tcb_info.pce_id != platform.pce_id {
            return Err(DcapError::PceId {
                platform: hex::encode(platform.pce_id),
                tcb_info: hex::encode(self.tcb_info.pce_id),
            });
        }
        Ok(())
    }

    /// The TCB info.
    pub fn tcb_info(&self) -> &TcbInfo {
        &self.tcb_info
    }

    /// The QE identity.
    pub fn qe_identity(&self) -> &QeIdentity {
        &self.qe_identity
    }

    /// When all of it is in force.
    pub fn validity(&self) -> Validity {
        let windows = [
            (self.tcb_info.issue_date, self.tcb_info.next_update),
            (self.qe_identity.issue_date, self.qe_identity.next_update),
            (self.root_crl.this_update(), self.root_crl.next_update()),
            (self.pck_crl.this_update(), self.pck_crl.next_update()),
        ];
        windows
            .into_iter()
            .map(|(not_before, not_after)| Validity {
                not_before,
                not_after,
            })
            .fold(self.signers, Validity::and)
    }

    /// The lower `tcbEvaluationDataNumber` of TCB info and QE identity.
    pub(crate) fn evaluation_data_number(&self) -> u32 {
        self.tcb_info
            .evaluation_data_number
            .min(self.qe_identity.evaluation_data_number)
    }
}

/// The latest list of an issuer that is in force; `None` if there is no list of it. A list that isn't in force, or that
/// the issuer didn't sign, is an error only if there is none better.
fn revocation_list(
    endorsements: &Endorsements,
    issuer_der: &[u8],
    key: &PublicKey,
    now: i64,
) -> Result<Option<RevocationList>, X509Error> {
    let mut found: Option<RevocationList> = None;
    let mut refused = None;
    for der in &endorsements.revocation_lists {
        // Spares the reading of other issuers' lists, which can be long.
        if !contains(&der[..der.len().min(1024)], issuer_der) {
            continue;
        }
        let list = RevocationList::verify_by_key(der, issuer_der, key)
            .and_then(|list| list.check_current(now).map(|()| list));
        match list {
            Ok(list)
                if found
                    .as_ref()
                    .is_none_or(|of| list.this_update() > of.this_update()) =>
            {
                found = Some(list);
            }
            Ok(_) | Err(X509Error::CrlIssuer { .. }) => {}
            Err(error) => refused = Some(error),
        }
    }
    match (found, refused) {
        (None, Some(error)) => Err(error),
        (found, _) => Ok(found),
    }
}

/// Whether `needle`, which isn't empty, stands in `haystack`. Comparing its last byte first is what makes it quick.
fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let last = needle[needle.len() - 1];
    haystack
        .windows(needle.len())
        .any(|window| window[window.len() - 1] == last && window == needle)
}

/// The certificates that may have signed collateral, each verified at most once.
struct Signers<'a> {
    candidates: Vec<Signer<'a>>,
}

struct Signer<'a> {
    certificate: Certificate<'a>,
    key: Vec<u8>,
    /// Of the path, once it is verified.
    validity: Option<Validity>,
}

impl<'a> Signers<'a> {
    fn among(endorsements: &'a Endorsements) -> Result<Self, DcapError> {
        let mut candidates: Vec<Signer<'a>> = Vec::new();
        for der in &endorsements.certificates {
            // TCB info and QE identity usually bring the same certificate each.
            if !contains(der, SIGNER_NAME.as_bytes())
                || candidates.iter().any(|known| known.certificate.der() == der)
            {
                continue;
            }
            let certificate = Certificate::parse(der).map_err(DcapError::SigningChain)?;
            if certificate.subject() != SIGNER_NAME {
                continue;
            }
            if let PublicKey::P256(key) = certificate.public_key().map_err(DcapError::SigningChain)? {
                candidates.push(Signer {
                    certificate,
                    key: key.to_vec(),
                    validity: None,
                });
            }
        }
        match candidates.is_empty() {
            true => Err(DcapError::SigningCertificateMissing(SIGNER_NAME)),
            false => Ok(Self { candidates }),
        }
    }

    /// Whether one of the certificates signed the document (`None`: none did), and itself is Intel's and not revoked.
    fn verify(
        &mut self,
        document: &SignedJson,
        root: &Root,
        root_crl: &RevocationList,
        now: i64,
    ) -> Result<Option<()>, DcapError> {
        let signature = EcdsaSignature::Fixed(&document.signature);
        let signer = self.candidates.iter_mut().find(|signer| {
            primitives()
                .p256_sha256(&signer.key, &document.body, signature)
                .is_ok()
        });
        let Some(signer) = signer else {
            return Ok(None);
        };
        if signer.validity.is_none() {
            let chain = core::slice::from_ref(&signer.certificate);
            let path = verify_path(chain, core::slice::from_ref(root), SIGNER_PATH, now)
                .map_err(DcapError::SigningChain)?;
            root_crl
                .check(&signer.certificate, now)
                .map_err(DcapError::SigningChain)?;
            signer.validity = Some(path.validity);
        }
        Ok(Some(()))
    }

    /// When the paths of all that signed are valid.
    fn validity(&self, root: &Root) -> Validity {
        self.candidates
            .iter()
            .filter_map(|signer| signer.validity)
            .fold(root.validity(), Validity::and)
    }
}

/// The TCB info to verify. Where there is only one, it is taken as it is, so that what is wrong with it is the reason.
fn choose_tcb_info<'a>(
    documents: &'a [SignedJson],
    pck: &VerifiedPck,
    tee: IntelTee,
    now: i64,
) -> Result<&'a SignedJson, DcapError> {
    let platform = pck.extension();
    choose(documents, |body| {
        let found = TcbInfo::parse(body).ok()?;
        let fits =
            found.check_kind(tee).is_ok() && found.fmspc == platform.fmspc && found.pce_id == platform.pce_id;
        fits.then(|| {
            let current = found.check_current(now).is_ok();
            (current, found.evaluation_data_number, found.issue_date)
        })
    })
    .ok_or(DcapError::TcbInfoMissing)
}

/// The QE identity to verify, by the same rule.
fn choose_qe_identity(documents: &[SignedJson], tee: IntelTee, now: i64) -> Result<&SignedJson, DcapError> {
    choose(documents, |body| {
        let found = QeIdentity::parse(body).ok()?;
        found.check_kind(tee).is_ok().then(|| {
            let current = found.check_current(now).is_ok();
            (current, found.evaluation_data_number, found.issue_date)
        })
    })
    .ok_or(DcapError::QeIdentityMissing)
}

/// The document with the highest rank: in force first, then evaluation data number, then date. The first one if none
/// has a rank at all.
fn choose(documents: &[SignedJson], rank: impl Fn(&[u8]) -> Option<(bool, u32, i64)>) -> Option<&SignedJson> {
    match documents {
        [one] => Some(one),
        several => several
            .iter()
            .filter_map(|document| Some((rank(&document.body)?, document)))
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, document)| document)
            .or(several.first()),
    }
}
