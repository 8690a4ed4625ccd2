//! One certificate: read, and nothing checked.

use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo, X509Name, X509Version};

use super::{PublicKey, SignatureAlgorithm, X509Error};
use crate::der::Items;
use crate::hash::sha256;

/// Longest certificate that is read, in bytes.
pub const MAX_LEN: usize = 16 * 1024;

const ECDSA_WITH_SHA256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];
const ECDSA_WITH_SHA384: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03];
const RSASSA_PSS: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0A];
const RSA_ENCRYPTION: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
const EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
const PRIME256V1: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
const SECP384R1: &[u8] = &[0x2B, 0x81, 0x04, 0x00, 0x22];
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const MGF1: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x08];

/// An X.509 v3 certificate.
pub struct Certificate<'a> {
    pub(super) parsed: X509Certificate<'a>,
    der: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads DER with nothing behind it.
    pub fn parse(der: &'a [u8]) -> Result<Self, X509Error> {
        let (rest, certificate) = Self::parse_prefix(der)?;
        match rest {
            [] => Ok(certificate),
            _ => Err(X509Error::NotDer),
        }
    }

    /// Reads DER, and gives what is behind it back.
    pub fn parse_prefix(der: &'a [u8]) -> Result<(&'a [u8], Self), X509Error> {
        // The length comes first: in memory a certificate takes up to fifty times as much.
        let item = Items(der).next().ok_or(X509Error::NotDer)?;
        if item.raw.len() > MAX_LEN {
            return Err(X509Error::TooLong(item.raw.len()));
        }
        let (der, rest) = der.split_at(item.raw.len());
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| X509Error::NotDer)?;
        if parsed.version() != X509Version::V3 {
            return Err(X509Error::NotDer);
        }
        Ok((rest, Self { parsed, der }))
    }

    /// The bytes that were read.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// SHA-256 of the bytes that were read.
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(self.der)
    }

    /// Common name of the subject; the whole name where there is none.
    pub fn subject(&self) -> String {
        name(self.parsed.subject())
    }

    /// Common name of the issuer; the whole name where there is none.
    pub fn issuer(&self) -> String {
        name(self.parsed.issuer())
    }

    /// The subject's name as DER.
    pub fn subject_der(&self) -> &[u8] {
        self.parsed.subject().as_raw()
    }

    /// The issuer's name as DER.
    pub fn issuer_der(&self) -> &[u8] {
        self.parsed.issuer().as_raw()
    }

    /// Serial number: the content of the INTEGER, without leading zeros.
    pub fn serial(&self) -> &[u8] {
        trimmed(self.parsed.raw_serial())
    }

    /// Start of validity, in seconds since 1970.
    pub fn not_before(&self) -> i64 {
        self.parsed.validity().not_before.timestamp()
    }

    /// End of validity, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.parsed.validity().not_after.timestamp()
    }

    /// The key that the certificate is for.
    pub fn public_key(&self) -> Result<PublicKey, X509Error> {
        public_key(self.parsed.public_key()).ok_or_else(|| X509Error::Algorithm(self.subject()))
    }

    /// The algorithm of the signature on it; both places that name it must agree.
    pub fn signature_algorithm(&self) -> Result<SignatureAlgorithm, X509Error> {
        let (outer, inner) = (
            &self.parsed.signature_algorithm,
            &self.parsed.tbs_certificate.signature,
        );
        signature_algorithm(outer)
            .filter(|algorithm| signature_algorithm(inner) == Some(*algorithm))
            .ok_or_else(|| X509Error::Algorithm(self.subject()))
    }

    /// The bytes that are signed.
    pub fn signed_bytes(&self) -> &[u8] {
        self.parsed.tbs_certificate.as_ref()
    }

    /// The signature on them.
    pub fn signature(&self) -> &[u8] {
        &self.parsed.signature_value.data
    }

    /// Value of an extension, inside its OCTET STRING. `oid` as the content of the DER OBJECT IDENTIFIER.
    pub fn extension(&self, oid: &[u8]) -> Result<Option<&'a [u8]>, X509Error> {
        let mut found = self
            .parsed
            .extensions()
            .iter()
            .filter(|extension| extension.oid.as_bytes() == oid);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(X509Error::DuplicateExtension(self.subject())),
            (extension, _) => Ok(extension.map(|extension| extension.value)),
        }
    }

    /// Basic constraints: whether it is an authority, and how many others may be below it.
    pub(crate) fn basic_constraints(&self) -> (bool, Option<u32>) {
        self.parsed
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) => {
                    Some((constraints.ca, constraints.path_len_constraint))
                }
                _ => None,
            })
            .unwrap_or((false, None))
    }

    /// Whether the key usage allows a purpose; without the extension, all are allowed (RFC 5280 §4.2.1.3).
    pub(super) fn allows(&self, purpose: Purpose) -> bool {
        self.parsed
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::KeyUsage(usage) => Some(match purpose {
                    Purpose::Certificates => usage.key_cert_sign(),
                    Purpose::RevocationLists => usage.crl_sign(),
                    Purpose::Signatures => usage.digital_signature(),
                }),
                _ => None,
            })
            .unwrap_or(true)
    }
}

/// What a key is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Certificates,
    RevocationLists,
    Signatures,
}

pub(super) fn name(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|name| name.as_str().ok());
    let text = common.map_or_else(|| name.to_string(), str::to_owned);
    // Names are the sender's text: short, and of one line.
    text.chars().filter(|c| !c.is_control()).take(96).collect()
}

pub(super) fn trimmed(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    &integer[zeros..]
}

pub(super) fn signature_algorithm(algorithm: &AlgorithmIdentifier<'_>) -> Option<SignatureAlgorithm> {
    let none = algorithm.parameters.is_none();
    match algorithm.algorithm.as_bytes() {
        ECDSA_WITH_SHA256 if none => Some(SignatureAlgorithm::P256Sha256),
        ECDSA_WITH_SHA384 if none => Some(SignatureAlgorithm::P384Sha384),
        RSASSA_PSS => {
            let parameters = algorithm.parameters.as_ref()?;
            let parameters = x509_parser::signature_algorithm::RsaSsaPssParams::try_from(parameters).ok()?;
            let mask = parameters.mask_gen_algorithm().ok()?;
            let fits = parameters.hash_algorithm_oid().as_bytes() == SHA384
                && mask.mgf.as_bytes() == MGF1
                && mask.hash.as_bytes() == SHA384
                && parameters.salt_length() == 48
                && parameters.trailer_field() == 1;
            fits.then_some(SignatureAlgorithm::RsaPssSha384)
        }
        _ => None,
    }
}

fn public_key(key: &SubjectPublicKeyInfo<'_>) -> Option<PublicKey> {
    let bytes = key.subject_public_key.data.as_ref();
    if key.subject_public_key.unused_bits != 0 {
        return None;
    }
    match key.algorithm.algorithm.as_bytes() {
        EC_PUBLIC_KEY => {
            let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
            match curve.as_bytes() {
                PRIME256V1 => Some(PublicKey::P256(bytes.try_into().ok()?)),
                SECP384R1 => Some(PublicKey::P384(bytes.try_into().ok()?)),
                _ => None,
            }
        }
        RSA_ENCRYPTION => Some(PublicKey::Rsa(bytes.to_vec())),
        _ => None,
    }
}
