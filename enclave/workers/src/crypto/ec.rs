//! ECDSA and ECDH on the curves of NIST.

use std::cell::OnceCell;

use aws_lc_rs::agreement::{self, UnparsedPublicKey as PeerKey};
use aws_lc_rs::digest::{Digest, digest};
use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, ParsedPublicKey, UnparsedPublicKey,
};
use zeroize::Zeroizing;

use super::container::{self, Identifier};
use super::der::{self, CONTEXT_0, CONTEXT_1, Malformed, OCTET_STRING, Reader, SEQUENCE};
use super::hash::Hash;
use super::refusal::Refusal;

/// `id-ecPublicKey` of RFC 5480: 1.2.840.10045.2.1.
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const NOT_A_KEY: Refusal = Refusal::Data("the key isn't valid for its curve");

/// P-256, P-384 or P-521.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    /// Bytes of a coordinate, and of a private key.
    pub(super) fn length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The object identifier of the curve, as a value.
    fn parameters(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Self::P384 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
            Self::P521 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23],
        }
    }

    fn identifier(self) -> Identifier<'static> {
        Identifier {
            algorithm: EC_PUBLIC_KEY,
            parameters: self.parameters(),
        }
    }

    fn agreement(self) -> &'static agreement::Algorithm {
        match self {
            Self::P256 => &agreement::ECDH_P256,
            Self::P384 => &agreement::ECDH_P384,
            Self::P521 => &agreement::ECDH_P521,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            Self::P521 => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        }
    }

    fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::P521 => &signature::ECDSA_P521_SHA512_FIXED,
        }
    }

    /// The digest of the message as ECDSA on this curve takes it, whichever hash made it. FIPS 186-5, section 6.4.1:
    /// a number of as many leading bits as the order has, so longer ones are cut and shorter ones keep their value.
    fn digest(self, hash: Hash, message: &[u8]) -> Result<Digest, Unspecified> {
        let (algorithm, length) = match self {
            Self::P256 => (Hash::Sha256.digest(), 32),
            Self::P384 => (Hash::Sha384.digest(), 48),
            Self::P521 => (Hash::Sha512.digest(), 64),
        };
        let digest = digest(hash.digest(), message);
        let digest = digest.as_ref();
        let mut number = [0; 64];
        if digest.len() >= length {
            number[..length].copy_from_slice(&digest[..length]);
        } else {
            number[length - digest.len()..length].copy_from_slice(digest);
        }
        Digest::import_less_safe(&number[..length], algorithm)
    }
}

/// A public key.
pub(super) struct EcPublic {
    pub(super) curve: Curve,
    /// The point, uncompressed.
    point: Vec<u8>,
}

impl EcPublic {
    /// Takes a point, compressed or not.
    pub(super) fn from_raw(curve: Curve, point: &[u8]) -> Result<Self, Refusal> {
        let uncompressed = 1 + 2 * curve.length();
        let fits = match point.first() {
            Some(2 | 3) => point.len() == 1 + curve.length(),
            Some(4) => point.len() == uncompressed,
            _ => false,
        };
        if !fits {
            return Err(NOT_A_KEY);
        }
        let key = ParsedPublicKey::new(curve.verification(), point).map_err(|_| NOT_A_KEY)?;
        if point[0] == 4 {
            return Ok(Self {
                curve,
                point: point.to_vec(),
            });
        }
        let spki: PublicKeyX509Der<'_> = key.as_der().map_err(|_| NOT_A_KEY)?;
        let (_, point) = container::read_spki(spki.as_ref()).map_err(|_| NOT_A_KEY)?;
        if point.len() != uncompressed {
            return Err(NOT_A_KEY);
        }
        Ok(Self {
            curve,
            point: point.to_vec(),
        })
    }

    pub(super) fn from_spki(curve: Curve, bytes: &[u8]) -> Result<Self, Refusal> {
        let (identifier, point) =
            container::read_spki(bytes).map_err(|_| Refusal::Data("not a SubjectPublicKeyInfo"))?;
        if identifier != curve.identifier() {
            return Err(Refusal::Data("not a public key of this curve"));
        }
        Self::from_raw(curve, point)
    }

    /// Takes coordinates of exactly the curve's length.
    pub(super) fn from_coordinates(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, Refusal> {
        if x.len() != curve.length() || y.len() != curve.length() {
            return Err(Refusal::Data("a coordinate has the wrong length"));
        }
        Self::from_raw(curve, &[&[4], x, y].concat())
    }

    pub(super) fn raw(&self) -> &[u8] {
        &self.point
    }

    pub(super) fn coordinates(&self) -> (&[u8], &[u8]) {
        self.point[1..].split_at(self.curve.length())
    }

    pub(super) fn spki(&self) -> Zeroizing<Vec<u8>> {
        container::write_spki(self.curve.identifier(), &self.point)
    }

    /// Whether `signature`, r and s one after the other, is this key's.
    pub(super) fn verify(&self, hash: Hash, signature: &[u8], message: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(self.curve.verification(), &self.point);
        self.curve
            .digest(hash, message)
            .and_then(|digest| key.verify_digest(&digest, signature))
            .is_ok()
    }
}

/// A private key and its public one.
pub(super) struct EcPrivate {
    scalar: Zeroizing<Vec<u8>>,
    pub(super) public: EcPublic,
    agreement: agreement::PrivateKey,
    signing: OnceCell<EcdsaKeyPair>,
}

impl EcPrivate {
    pub(super) fn generate(curve: Curve) -> Result<Self, Refusal> {
        let failed = Refusal::Operation("no key could be made");
        let key = agreement::PrivateKey::generate(curve.agreement()).map_err(|_| failed)?;
        let scalar: EcPrivateKeyBin<'_> = key.as_be_bytes().map_err(|_| failed)?;
        Self::from_scalar(curve, scalar.as_ref())
    }

    /// Takes a private key of exactly the curve's length.
    pub(super) fn from_scalar(curve: Curve, scalar: &[u8]) -> Result<Self, Refusal> {
        let agreement =
            agreement::PrivateKey::from_private_key(curve.agreement(), scalar).map_err(|_| NOT_A_KEY)?;
        let public = agreement.compute_public_key().map_err(|_| NOT_A_KEY)?;
        let public = EcPublic::from_raw(curve, public.as_ref())?;
        Ok(Self {
            scalar: Zeroizing::new(scalar.to_vec()),
            public,
            agreement,
            signing: OnceCell::new(),
        })
    }

    pub(super) fn from_pkcs8(curve: Curve, bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = |_| Refusal::Data("not a PrivateKeyInfo with a key of this curve");
        let info = container::read_pkcs8(bytes).map_err(malformed)?;
        if info.identifier != curve.identifier() {
            return Err(Refusal::Data("not a private key of this curve"));
        }
        let (scalar, public) = read_sec1(curve, info.key).map_err(malformed)?;
        let key = Self::from_scalar(curve, scalar)?;
        if public.is_some_and(|public| public != key.public.raw()) {
            return Err(Refusal::Data("the public key in it isn't the private key's"));
        }
        Ok(key)
    }

    pub(super) fn scalar(&self) -> &[u8] {
        &self.scalar
    }

    pub(super) fn pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let public = der::value(CONTEXT_1, &[&der::bits(der::BIT_STRING, self.public.raw())]);
        let key = der::value(
            SEQUENCE,
            &[
                &der::unsigned(&[1]),
                &der::value(OCTET_STRING, &[&self.scalar]),
                &public,
            ],
        );
        container::write_pkcs8(self.public.curve.identifier(), &key)
    }

    /// r and s, one after the other.
    pub(super) fn sign(&self, hash: Hash, message: &[u8]) -> Result<Vec<u8>, Refusal> {
        let failed = Refusal::Operation("no signature could be made");
        let curve = self.public.curve;
        if self.signing.get().is_none() {
            let pair = EcdsaKeyPair::from_private_key_and_public_key(
                curve.signing(),
                &self.scalar,
                self.public.raw(),
            );
            let _ = self.signing.set(pair.map_err(|_| failed)?);
        }
        let pair = self.signing.get().ok_or(failed)?;
        let signature = curve
            .digest(hash, message)
            .and_then(|digest| pair.sign_digest(&digest));
        Ok(signature.map_err(|_| failed)?.as_ref().to_vec())
    }

    /// The first coordinate of the common point.
    pub(super) fn agree(&self, peer: &EcPublic) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let failed = Refusal::Operation("the keys don't agree on a secret");
        let peer = PeerKey::new(peer.curve.agreement(), peer.raw());
        agreement::agree(&self.agreement, peer, failed, |secret| {
            Ok(Zeroizing::new(secret.to_vec()))
        })
    }
}

/// Reads an `ECPrivateKey` (RFC 5915): the key, and the public key where it is given.
fn read_sec1(curve: Curve, bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), Malformed> {
    let mut reader = Reader::only(bytes, SEQUENCE)?;
    if reader.unsigned()? != [1] {
        return Err(Malformed);
    }
    let scalar = reader.take(OCTET_STRING)?;
    if let Some(parameters) = reader.optional(CONTEXT_0)?
        && parameters != curve.parameters()
    {
        return Err(Malformed);
    }
    let public = match reader.optional(CONTEXT_1)? {
        Some(public) => {
            let mut public = Reader::new(public);
            let bits = public.bits(der::BIT_STRING)?;
            public.end()?;
            Some(bits)
        }
        None => None,
    };
    reader.end()?;
    Ok((scalar, public))
}
