//! The signature section of an EIF: who vouches for an image. The hypervisor checks it and puts the hash of the
//! certificate into PCR8 (AWS Nitro Enclaves user guide, "PCR8"; aws-nitro-enclaves-image-format, `PcrSignature`).
//!
//! CBOR: an array of one map with the certificate in PEM and a COSE_Sign1 message (RFC 9052) over index and value of PCR0.
//! AWS's serialiser writes byte strings inside the maps as arrays of numbers, and so must we.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use jeju_attestation::cbor::Encoder;
use jeju_attestation::primitives::{EcdsaSignature, primitives};
use jeju_attestation::x509::{Certificate, PublicKey, X509Error, pem_blocks, pem_certificates};
use thiserror::Error;

use crate::measure::nitro::signer_pcr;

/// Longest signature section, in bytes; AWS's have about 2 KiB.
pub const MAX_SIGNATURE: usize = 32 << 10;

/// Why a signature section can't be made, or isn't right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Longer than any.
    #[error("signature section has {0} bytes, more than {MAX_SIGNATURE}")]
    TooLong(usize),
    /// Not the CBOR that AWS's tools write.
    #[error("signature section has no {expected} at byte {at}")]
    Form {
        /// What belongs there.
        expected: &'static str,
        /// Offset.
        at: usize,
    },
    /// Not one certificate in PEM.
    #[error("signing certificate: {0}")]
    Certificate(X509Error),
    /// More certificates than one, or text around it.
    #[error("{0} signing certificates, expected one")]
    CertificateCount(usize),
    /// A key on another curve: the hypervisor takes it, we don't.
    #[error("signing certificate of {0:?} has no P-384 key")]
    CertificateKey(String),
    /// Certificate and private key don't belong together.
    #[error("signing certificate of {0:?} is of another key")]
    OtherKey(String),
    /// A private key that can't be used.
    #[error("not one P-384 private key in PEM")]
    Key,
    /// The system's random numbers.
    #[error("signing failed")]
    Sign,
    /// Another message than a plain ES384 signature over PCR0.
    #[error("signature is not a COSE_Sign1 message with ES384 over {0} bytes of PCR0")]
    Message(usize),
    /// It doesn't verify.
    #[error("signature over PCR0 does not verify under the certificate of {0:?}")]
    Signature(String),
}

/// A signature section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// PEM.
    certificate: Vec<u8>,
    /// COSE_Sign1.
    message: Vec<u8>,
}

/// A signature that verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    /// The signing certificate in DER. Who issued it and whether it is current, `nitro-cli` checks at launch; here it only
    /// stands for its key.
    pub certificate: Vec<u8>,
    /// PCR8 of an enclave from this image.
    pub pcr8: [u8; 48],
}

impl Signature {
    /// Signs an image by its PCR0, with a random nonce: each signature is another one.
    ///
    /// # Errors
    /// [`SignatureError::Sign`].
    pub fn new(key: &SigningKey, pcr0: &[u8; 48]) -> Result<Self, SignatureError> {
        let payload = payload(pcr0);
        let signature = key.pair.sign(&SystemRandom::new(), &to_be_signed(&payload));
        let signature = signature.map_err(|_| SignatureError::Sign)?;
        Ok(Self {
            certificate: key.certificate.clone(),
            message: message(&payload, signature.as_ref()),
        })
    }

    /// Checks that the certificate's key signed an image with this PCR0.
    ///
    /// # Errors
    /// Those of the certificate, [`SignatureError::Message`], [`SignatureError::Signature`].
    pub fn verify(&self, pcr0: &[u8; 48]) -> Result<VerifiedSignature, SignatureError> {
        let (certificate, key, subject) = read_certificate(&self.certificate)?;
        let payload = payload(pcr0);
        // A message differs from another one over the same PCR0 in its last bytes alone.
        let head = message(&payload, &[0; ES384]);
        let split = head.len() - ES384;
        let signature = match self.message.split_at_checked(split) {
            Some((start, signature)) if start == &head[..split] && signature.len() == ES384 => signature,
            _ => return Err(SignatureError::Message(payload.len())),
        };
        primitives()
            .p384_sha384(&key, &to_be_signed(&payload), EcdsaSignature::Fixed(signature))
            .map_err(|_| SignatureError::Signature(subject))?;
        Ok(VerifiedSignature {
            pcr8: signer_pcr(&certificate),
            certificate,
        })
    }

    /// The section's content.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut cbor = Encoder::new();
        cbor.array(1).map(2).text(CERTIFICATE);
        numbers(&mut cbor, &self.certificate);
        cbor.text(MESSAGE);
        numbers(&mut cbor, &self.message);
        cbor.finish()
    }

    /// Reads the content that [`to_bytes`](Self::to_bytes) writes, and no other.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        if bytes.len() > MAX_SIGNATURE {
            return Err(SignatureError::TooLong(bytes.len()));
        }
        let mut reader = Reader { bytes, at: 0 };
        reader.literal(
            Encoder::new().array(1).map(2).text(CERTIFICATE),
            "array of one map with a certificate",
        )?;
        let certificate = reader.numbers()?;
        reader.literal(Encoder::new().text(MESSAGE), "signature")?;
        let message = reader.numbers()?;
        if reader.at != bytes.len() {
            return Err(reader.wrong("end"));
        }
        Ok(Self { certificate, message })
    }
}

/// A P-384 key and the certificate that names it.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    certificate: Vec<u8>,
    subject: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// From PEM: a certificate, and its key in PKCS #8 or SEC 1 form.
    ///
    /// # Errors
    /// Those of the certificate, [`SignatureError::Key`], [`SignatureError::OtherKey`].
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, SignatureError> {
        let (_, public, subject) = read_certificate(certificate)?;
        let mut keys = Vec::new();
        for label in ["PRIVATE KEY", "EC PRIVATE KEY"] {
            keys.extend(pem_blocks(key, label).map_err(|_| SignatureError::Key)?);
        }
        let [der] = &keys[..] else {
            return Err(SignatureError::Key);
        };
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_FIXED_SIGNING, der);
        let pair = pair.map_err(|_| SignatureError::Key)?;
        if pair.public_key().as_ref() != public {
            return Err(SignatureError::OtherKey(subject));
        }
        Ok(Self {
            pair,
            certificate: certificate.to_vec(),
            subject,
        })
    }
}

const CERTIFICATE: &str = "signing_certificate";
const MESSAGE: &str = "signature";
/// r ‖ s.
const ES384: usize = 96;
/// `{1: -35}`: the algorithm is ES384 (RFC 9053 §2.1).
const PROTECTED: [u8; 4] = [0xA1, 0x01, 0x38, 0x22];

/// The DER of the certificate (PEM) that will sign an image.
///
/// # Errors
/// Those of the certificate.
pub fn signing_certificate(pem: &[u8]) -> Result<Vec<u8>, SignatureError> {
    read_certificate(pem).map(|(der, ..)| der)
}

/// DER, key and subject of the one certificate in a PEM text.
fn read_certificate(pem: &[u8]) -> Result<(Vec<u8>, [u8; 97], String), SignatureError> {
    let mut all = pem_certificates(pem).map_err(SignatureError::Certificate)?;
    if all.len() != 1 {
        return Err(SignatureError::CertificateCount(all.len()));
    }
    let der = all.remove(0);
    let certificate = Certificate::parse(&der).map_err(SignatureError::Certificate)?;
    let subject = certificate.subject();
    let key = certificate.public_key().map_err(SignatureError::Certificate)?;
    match key {
        PublicKey::P384(key) => Ok((der, key, subject)),
        PublicKey::P256(_) | PublicKey::Rsa(_) => Err(SignatureError::CertificateKey(subject)),
    }
}

/// What is signed: index and value of PCR0.
fn payload(pcr0: &[u8; 48]) -> Vec<u8> {
    let mut cbor = Encoder::new();
    cbor.map(2).text("register_index").uint(0).text("register_value");
    numbers(&mut cbor, pcr0);
    cbor.finish()
}

/// COSE_Sign1, without a tag.
fn message(payload: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut cbor = Encoder::new();
    cbor.array(4)
        .bytes(&PROTECTED)
        .map(0)
        .bytes(payload)
        .bytes(signature);
    cbor.finish()
}

/// Sig_structure (RFC 9052 §4.4).
fn to_be_signed(payload: &[u8]) -> Vec<u8> {
    let mut cbor = Encoder::new();
    cbor.array(4)
        .text("Signature1")
        .bytes(&PROTECTED)
        .bytes(b"")
        .bytes(payload);
    cbor.finish()
}

/// Bytes as an array of numbers.
fn numbers(cbor: &mut Encoder, bytes: &[u8]) {
    cbor.array(bytes.len() as u64);
    for byte in bytes {
        cbor.uint(u64::from(*byte));
    }
}

/// Reads what [`Encoder`] writes here.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn literal(&mut self, expected: &mut Encoder, name: &'static str) -> Result<(), SignatureError> {
        let expected = std::mem::take(expected).finish();
        if !self.bytes[self.at..].starts_with(&expected) {
            return Err(self.wrong(name));
        }
        self.at += expected.len();
        Ok(())
    }

    /// An array of numbers below 256, each and the length in the shortest form.
    fn numbers(&mut self) -> Result<Vec<u8>, SignatureError> {
        let start = self.at;
        let length = match self.bytes[self.at..] {
            [head @ 0x80..=0x97, ..] => (usize::from(head & 0x1F), 1),
            [0x98, length @ 24..=255, ..] => (usize::from(length), 2),
            [0x99, high @ 1..=255, low, ..] => (usize::from(u16::from_be_bytes([high, low])), 3),
            _ => return Err(self.wrong("array")),
        };
        self.at += length.1;
        // A number takes a byte at least: a length that lies costs no more than the section's own.
        if length.0 > self.bytes.len() - self.at {
            self.at = start;
            return Err(self.wrong("array of its length"));
        }
        let mut numbers = Vec::with_capacity(length.0);
        for _ in 0..length.0 {
            let (number, taken) = match self.bytes[self.at..] {
                [number @ 0..=23, ..] => (number, 1),
                [0x18, number @ 24..=255, ..] => (number, 2),
                _ => return Err(self.wrong("number below 256")),
            };
            numbers.push(number);
            self.at += taken;
        }
        Ok(numbers)
    }

    fn wrong(&self, expected: &'static str) -> SignatureError {
        SignatureError::Form {
            expected,
            at: self.at,
        }
    }
}
