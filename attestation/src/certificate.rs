//! The attested certificate: a self-signed P-256 leaf that carries a quote and claims in extension 2.23.133.5.4.9.
//!
//! The extension's value is CBOR: for TDX tag 60000 over `[quote, claims-buffer]` (CCC interoperable RA-TLS), for
//! other platforms the CMW record `[media type, bytes of [quote, claims-buffer]]`.

use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::cbor::{CborError, Decoder, Encoder};
use crate::hash::sha256;
use crate::primitives::{EcdsaSignature, primitives};
use crate::tee::Tee;

/// Arcs of the extension's object identifier, 2.23.133.5.4.9 (TCG DICE).
pub const EXTENSION_OID: [u64; 6] = [2, 23, 133, 5, 4, 9];
/// Longest certificate that is read, in bytes: the stripped quotes of all platforms are far smaller.
pub const MAX_LEN: usize = 32 * 1024;

const CCC_TAG: u64 = 60000;
const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";

/// Why a certificate isn't an attested one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// Longer than [`MAX_LEN`].
    #[error("certificate of {0} bytes is longer than {MAX_LEN}")]
    TooLong(usize),
    /// Not X.509 DER, or bytes follow it.
    #[error("certificate is not X.509 DER")]
    NotX509,
    /// Not an ECDSA P-256 key and signature.
    #[error("certificate does not use ECDSA P-256 with SHA-256")]
    Algorithm,
    /// Not signed by its own key.
    #[error("certificate is not signed by its own key")]
    SelfSignature,
    /// No attestation extension.
    #[error("certificate carries no evidence (extension 2.23.133.5.4.9)")]
    NoEvidence,
    /// The extension stands there twice, or is critical.
    #[error("certificate's evidence extension is duplicated or critical")]
    Extension,
    /// The extension's value isn't of the format.
    #[error("certificate's evidence: {0}")]
    Cbor(#[from] CborError),
    /// The media type names no platform.
    #[error("certificate's evidence has the unknown media type {0:?}")]
    MediaType(String),
}

/// Evidence as a certificate carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEvidence {
    /// Platform of the quote.
    pub tee: Tee,
    /// The quote, with certificate material cut out.
    pub quote: Vec<u8>,
    /// Exact bytes of the claims-buffer.
    pub claims: Vec<u8>,
}

impl CertificateEvidence {
    /// Value of the extension.
    pub fn encode(&self) -> Vec<u8> {
        let mut pair = Encoder::new();
        if self.tee == Tee::Tdx {
            pair.tag(CCC_TAG);
        }
        pair.array(2).bytes(&self.quote).bytes(&self.claims);
        if self.tee == Tee::Tdx {
            return pair.finish();
        }
        let mut record = Encoder::new();
        record.array(2).text(self.tee.media_type()).bytes(&pair.finish());
        record.finish()
    }

    /// Reads the extension's value.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        let mut cbor = Decoder::new(bytes);
        if cbor.is_tag() {
            match cbor.tag()? {
                CCC_TAG => {}
                _ => {
                    return Err(CborError::Unexpected {
                        expected: "tag 60000",
                        at: 0,
                    }
                    .into());
                }
            }
            return Self::parse_pair(Tee::Tdx, cbor);
        }
        cbor.array(2)?;
        let media_type = cbor.text()?;
        let tee = Tee::from_media_type(media_type)
            .filter(|tee| *tee != Tee::Tdx)
            .ok_or_else(|| CertificateError::MediaType(media_type.to_owned()))?;
        let pair = cbor.bytes()?;
        cbor.end()?;
        Self::parse_pair(tee, Decoder::new(pair))
    }

    fn parse_pair(tee: Tee, mut cbor: Decoder<'_>) -> Result<Self, CertificateError> {
        cbor.array(2)?;
        let quote = cbor.bytes()?.to_vec();
        let claims = cbor.bytes()?.to_vec();
        cbor.end()?;
        Ok(Self { tee, quote, claims })
    }
}

/// An attested certificate whose self-signature was checked; its evidence was only read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestedCertificate {
    /// What the extension holds.
    pub evidence: CertificateEvidence,
    /// SHA-256 of the SubjectPublicKeyInfo DER.
    pub spki_sha256: [u8; 32],
    /// Start of validity, in seconds since 1970.
    pub not_before: i64,
    /// End of validity, in seconds since 1970.
    pub not_after: i64,
}

impl AttestedCertificate {
    /// Reads a certificate and checks that its own key signed it.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_LEN {
            return Err(CertificateError::TooLong(der.len()));
        }
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::NotX509)?;
        if !rest.is_empty() {
            return Err(CertificateError::NotX509);
        }
        check_self_signature(&certificate)?;
        let validity = certificate.validity();
        Ok(Self {
            evidence: CertificateEvidence::parse(extension(&certificate)?)?,
            spki_sha256: sha256(certificate.public_key().raw),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    /// Whether `now` (seconds since 1970) lies in the validity period.
    pub fn is_valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

fn check_self_signature(certificate: &X509Certificate<'_>) -> Result<(), CertificateError> {
    let spki = certificate.public_key();
    let algorithms = [
        (&certificate.signature_algorithm, ECDSA_WITH_SHA256),
        (&certificate.tbs_certificate.signature, ECDSA_WITH_SHA256),
        (&spki.algorithm, EC_PUBLIC_KEY),
    ];
    if algorithms
        .iter()
        .any(|(algorithm, oid)| algorithm.algorithm.to_id_string() != *oid)
    {
        return Err(CertificateError::Algorithm);
    }
    let point = spki.subject_public_key.data.as_ref();
    // An uncompressed P-256 point has 65 bytes, and no other curve's has.
    if point.len() != 65 {
        return Err(CertificateError::Algorithm);
    }
    let signature = EcdsaSignature::Der(&certificate.signature_value.data);
    primitives()
        .p256_sha256(point, certificate.tbs_certificate.as_ref(), signature)
        .map_err(|_| CertificateError::SelfSignature)
}

fn extension<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a [u8], CertificateError> {
    let oid = x509_parser::der_parser::oid!(2.23.133.5.4.9);
    let mut found = certificate
        .extensions()
        .iter()
        .filter(|extension| extension.oid == oid);
    let extension = found.next().ok_or(CertificateError::NoEvidence)?;
    if found.next().is_some() || extension.critical {
        return Err(CertificateError::Extension);
    }
    Ok(extension.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_round_trip() {
        for tee in Tee::ALL {
            let evidence = CertificateEvidence {
                tee,
                quote: vec![1; 300],
                claims: vec![2; 500],
            };
            let bytes = evidence.encode();
            assert_eq!(CertificateEvidence::parse(&bytes), Ok(evidence));
            for len in 0..bytes.len() {
                assert!(CertificateEvidence::parse(&bytes[..len]).is_err());
            }
        }
    }

    #[test]
    fn extension_refusals() {
        let mut other_tag = Encoder::new();
        other_tag.tag(60001).array(2).bytes(b"q").bytes(b"c");
        assert!(matches!(
            CertificateEvidence::parse(&other_tag.finish()),
            Err(CertificateError::Cbor(_))
        ));
        for media_type in ["application/octet-stream", Tee::Tdx.media_type()] {
            let mut record = Encoder::new();
            record.array(2).text(media_type).bytes(&[0x82, 0x41, 1, 0x41, 2]);
            assert_eq!(
                CertificateEvidence::parse(&record.finish()),
                Err(CertificateError::MediaType(media_type.to_owned()))
            );
        }
    }

    #[test]
    fn refuses_what_is_no_certificate() {
        assert_eq!(
            AttestedCertificate::parse(&[0x30, 0]),
            Err(CertificateError::NotX509)
        );
        assert_eq!(
            AttestedCertificate::parse(&vec![0; MAX_LEN + 1]),
            Err(CertificateError::TooLong(MAX_LEN + 1))
        );
    }
}
