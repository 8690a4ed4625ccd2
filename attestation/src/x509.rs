//! X.509 as vendors' endorsements use it: certificates in a fixed order, and revocation lists.
//!
//! Evidence names its own chain, leaf first, so there is no path to be searched for. What RFC 5280 asks of a path is
//! checked link by link, and each check has its own reason.

mod certificate;
mod crl;
mod path;
mod pem;

pub use certificate::{Certificate, MAX_LEN};
pub use crl::{MAX_CRL_LEN, RevocationList};
pub use path::{PathRules, Validity, VerifiedPath, verify_issued, verify_path};
pub use pem::{MAX_CERTIFICATES, pem_blocks, pem_certificates};

use crate::primitives::{BadSignature, EcdsaSignature, primitives};
use crate::reasons::reasons;

reasons! {
    /// Why a certificate, a path of them or a revocation list is refused.
    pub enum X509Error {
        own {
            #[error("certificate of {0} bytes is longer than {MAX_LEN}")]
            TooLong(usize) => Evidence "x509_too_long",
            #[error("not an X.509 v3 certificate in DER")]
            NotDer => Evidence "x509_not_der",
            #[error("not PEM of certificates")]
            NotPem => Evidence "x509_not_pem",
            #[error("{0} certificates are more than a chain can have")]
            TooMany(usize) => Evidence "x509_too_many",
            #[error("there is no certificate")]
            Empty => Evidence "x509_empty",
            #[error("certificate of {0:?} uses an algorithm that this chain doesn't")]
            Algorithm(String) => Evidence "x509_algorithm",
            #[error("certificate of {subject:?} is valid from {not_before}, which is after {now} (seconds since 1970)")]
            NotYetValid { subject: String, not_before: i64, now: i64 } => Stale "x509_not_yet_valid",
            #[error("certificate of {subject:?} was valid until {not_after}, which is before {now} (seconds since 1970)")]
            Expired { subject: String, not_after: i64, now: i64 } => Stale "x509_expired",
            #[error("certificate of {subject:?} names issuer {issuer:?}, the next one is of {found:?}")]
            Issuer { subject: String, issuer: String, found: String } => Evidence "x509_issuer",
            #[error("certificate of {0:?} is not signed by its issuer")]
            Signature(String) => Evidence "x509_signature",
            #[error("certificate of {0:?} signs another one without being a certification authority")]
            NotCa(String) => Evidence "x509_not_ca",
            #[error("certificate of {0:?} is an authority, and an end entity was expected")]
            LeafIsCa(String) => Evidence "x509_leaf_is_ca",
            #[error("certificate of {0:?} has more authorities below it than it allows")]
            PathLength(String) => Evidence "x509_path_length",
            #[error("certificate of {0:?} may not be used for this")]
            KeyUsage(String) => Evidence "x509_key_usage",
            #[error("certificate of {subject:?} has the critical extension {oid}, which is not known")]
            CriticalExtension { subject: String, oid: String } => Evidence "x509_critical_extension",
            #[error("certificate of {0:?} has an extension twice")]
            DuplicateExtension(String) => Evidence "x509_duplicate_extension",
            #[error("chain ends in {0:?}, which is not a pinned root")]
            UntrustedRoot(String) => Evidence "x509_untrusted_root",
            #[error("certificate of {subject:?} (serial {serial}) was revoked")]
            Revoked { subject: String, serial: String } => Evidence "x509_revoked",
            #[error("not a certificate revocation list in DER")]
            CrlNotDer => Evidence "crl_not_der",
            #[error("revocation list is of {found:?}, not of {issuer:?}")]
            CrlIssuer { issuer: String, found: String } => Evidence "crl_issuer",
            #[error("revocation list of {0:?} is not signed by its issuer")]
            CrlSignature(String) => Evidence "crl_signature",
            #[error("revocation list of {issuer:?} was made at {this_update}, which is after {now} (seconds since 1970)")]
            CrlNotYetValid { issuer: String, this_update: i64, now: i64 } => Stale "crl_not_yet_valid",
            #[error("revocation list of {issuer:?} was good until {next_update}, which is before {now} (seconds since 1970)")]
            CrlExpired { issuer: String, next_update: i64, now: i64 } => Stale "crl_expired",
            #[error("revocation list of {0:?} is partial, without an end, or has a critical extension that is not known")]
            CrlForm(String) => Evidence "crl_form",
        }
        of {}
    }
}

/// The algorithms that vendors sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// ECDSA P-256 with SHA-256 (Intel).
    P256Sha256,
    /// ECDSA P-384 with SHA-384 (AWS, NVIDIA).
    P384Sha384,
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes (AMD).
    RsaPssSha384,
}

/// A public key as a certificate carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// Uncompressed P-256 point, 65 bytes.
    P256([u8; 65]),
    /// Uncompressed P-384 point, 97 bytes.
    P384([u8; 97]),
    /// RSAPublicKey (RFC 8017 §A.1.1) in DER; the modulus has 2048 to 4096 bits.
    Rsa(Vec<u8>),
}

impl PublicKey {
    /// Checks a signature in X.509's encoding; another kind of key than the algorithm's is a bad signature.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        match (self, algorithm) {
            (PublicKey::P256(key), SignatureAlgorithm::P256Sha256) => {
                primitives().p256_sha256(key, message, EcdsaSignature::Der(signature))
            }
            (PublicKey::P384(key), SignatureAlgorithm::P384Sha384) => {
                primitives().p384_sha384(key, message, EcdsaSignature::Der(signature))
            }
            (PublicKey::Rsa(key), SignatureAlgorithm::RsaPssSha384) => {
                primitives().rsa_pss_sha384(key, message, signature)
            }
            _ => Err(BadSignature),
        }
    }
}
