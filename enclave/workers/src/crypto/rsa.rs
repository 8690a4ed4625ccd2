//! RSA (RFC 8017), with moduli of 2048 to 8192 bits.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384,
    OAEP_SHA512_MGF1SHA512, OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey, PublicKeyComponents,
};
use aws_lc_rs::signature::{self, RsaParameters, RsaPssSaltLength, RsaSignatureEncoding};
use zeroize::Zeroizing;

use crate::process::held;

use super::container::{self, Identifier};
use super::der::{self, Malformed, Reader, SEQUENCE};
use super::hash::Hash;
use super::refusal::Refusal;

/// `rsaEncryption` of RFC 8017: 1.2.840.113549.1.1.1, parameters NULL.
const RSA_ENCRYPTION: Identifier<'static> = Identifier {
    algorithm: &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01],
    parameters: &[der::NULL, 0],
};

/// Moduli that are taken, in bits.
const MODULUS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Longest `RSAPrivateKey`, in bytes: twice what the longest modulus needs.
const MAX_PKCS1: usize = 10 << 10;

/// How a message is padded before it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// RSASSA-PKCS1-v1_5.
    Pkcs1,
    /// RSASSA-PSS with a salt of so many bytes.
    Pss(u16),
}

/// A public key.
pub(super) struct RsaPublic {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    encrypting: PublicEncryptingKey,
}

impl RsaPublic {
    pub(super) fn from_components(modulus: &[u8], exponent: &[u8]) -> Result<Self, Refusal> {
        let (modulus, exponent) = (der::trimmed(modulus).to_vec(), der::trimmed(exponent).to_vec());
        if !MODULUS.contains(&bits(&modulus)) {
            return Err(Refusal::NotSupported("RSA keys have 2048 to 8192 bits here"));
        }
        let spki = spki(&modulus, &exponent);
        let encrypting = PublicEncryptingKey::from_der(&spki).map_err(|_| Refusal::Data("not an RSA key"))?;
        Ok(Self {
            modulus,
            exponent,
            encrypting,
        })
    }

    pub(super) fn from_spki(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = |_| Refusal::Data("not a SubjectPublicKeyInfo with an RSA key");
        let (identifier, key) = container::read_spki(bytes).map_err(malformed)?;
        if identifier != RSA_ENCRYPTION {
            return Err(Refusal::Data("not an RSA key"));
        }
        let mut reader = Reader::only(key, SEQUENCE).map_err(malformed)?;
        let modulus = reader.unsigned().map_err(malformed)?;
        let exponent = reader.unsigned().map_err(malformed)?;
        reader.end().map_err(malformed)?;
        Self::from_components(modulus, exponent)
    }

    pub(super) fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    pub(super) fn exponent(&self) -> &[u8] {
        &self.exponent
    }

    /// Length of the modulus, in bits.
    pub(super) fn bits(&self) -> usize {
        bits(&self.modulus)
    }

    pub(super) fn spki(&self) -> Zeroizing<Vec<u8>> {
        spki(&self.modulus, &self.exponent)
    }

    /// Whether `signature` is this key's.
    pub(super) fn verify(
        &self,
        padding: Padding,
        hash: Hash,
        signature: &[u8],
        message: &[u8],
    ) -> Result<bool, Refusal> {
        let parameters = verification(padding, hash)?;
        let key = PublicKeyComponents {
            n: &self.modulus,
            e: &self.exponent,
        };
        Ok(key.verify(&parameters, message, signature).is_ok())
    }

    /// RSAES-OAEP.
    pub(super) fn encrypt(&self, hash: Hash, label: &[u8], data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let failed = Refusal::Operation("the data is too long for the key");
        let key = OaepPublicEncryptingKey::new(self.encrypting.clone()).map_err(|_| failed)?;
        let mut out = vec![0; key.ciphertext_size()];
        let length = key
            .encrypt(oaep(hash), data, &mut out, Some(label))
            .map_err(|_| failed)?
            .len();
        out.truncate(length);
        Ok(out)
    }
}

/// A private key of two primes, and its public one.
pub(super) struct RsaPrivate {
    /// `RSAPrivateKey`.
    pkcs1: Zeroizing<Vec<u8>>,
    pub(super) public: RsaPublic,
    pair: KeyPair,
    decrypting: OnceCell<OaepPrivateDecryptingKey>,
}

/// The integers of an `RSAPrivateKey` after its version: n, e, d, p, q, dp, dq, qi.
pub(super) type Components<'a> = [&'a [u8]; 8];

impl RsaPrivate {
    /// Makes a key of 2048, 3072 or 4096 bits with the exponent 65537. Longer ones would take a CPU for too long.
    pub(super) fn generate(bits: u32) -> Result<Self, Refusal> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            _ => {
                return Err(Refusal::NotSupported(
                    "RSA keys of 2048, 3072 and 4096 bits can be made here",
                ));
            }
        };
        let failed = Refusal::Operation("no key could be made");
        // It takes long, and doesn't ask whether to go on.
        held::release();
        let key = PrivateDecryptingKey::generate(size).map_err(|_| failed)?;
        let pkcs8: Pkcs8V1Der<'_> = key.as_der().map_err(|_| failed)?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    pub(super) fn from_pkcs8(bytes: &[u8]) -> Result<Self, Refusal> {
        let info = container::read_pkcs8(bytes).map_err(|_| Refusal::Data("not a PrivateKeyInfo"))?;
        if info.identifier != RSA_ENCRYPTION {
            return Err(Refusal::Data("not an RSA key"));
        }
        Self::from_pkcs1(info.key)
    }

    pub(super) fn from_components(components: Components<'_>) -> Result<Self, Refusal> {
        let version = der::unsigned(&[]);
        let integers = components.map(der::unsigned);
        let contents: Vec<&[u8]> = std::iter::once(&version[..])
            .chain(integers.iter().map(|integer| &integer[..]))
            .collect();
        Self::from_pkcs1(&der::value(SEQUENCE, &contents))
    }

    fn from_pkcs1(bytes: &[u8]) -> Result<Self, Refusal> {
        let rejected = Refusal::Data("not an RSA private key of two primes");
        let [modulus, exponent, ..] = read_pkcs1(bytes).map_err(|_| rejected)?;
        let public = RsaPublic::from_components(modulus, exponent)?;
        let pair = KeyPair::from_der(bytes).map_err(|_| rejected)?;
        Ok(Self {
            pkcs1: Zeroizing::new(bytes.to_vec()),
            public,
            pair,
            decrypting: OnceCell::new(),
        })
    }

    pub(super) fn components(&self) -> Result<Components<'_>, Refusal> {
        read_pkcs1(&self.pkcs1).map_err(|_| Refusal::Operation("the key can't be written"))
    }

    pub(super) fn pkcs8(&self) -> Zeroizing<Vec<u8>> {
        container::write_pkcs8(RSA_ENCRYPTION, &self.pkcs1)
    }

    pub(super) fn sign(&self, padding: Padding, hash: Hash, message: &[u8]) -> Result<Vec<u8>, Refusal> {
        let encoding = signing(padding, hash, self.public.modulus.len())?;
        let mut out = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(encoding, &SystemRandom::new(), message, &mut out)
            .map_err(|_| Refusal::Operation("no signature could be made"))?;
        Ok(out)
    }

    /// RSAES-OAEP.
    pub(super) fn decrypt(
        &self,
        hash: Hash,
        label: &[u8],
        data: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let failed = Refusal::Operation("the data can't be decrypted with this key");
        if self.decrypting.get().is_none() {
            let key = PrivateDecryptingKey::from_pkcs8(&self.pkcs8()).map_err(|_| failed)?;
            let _ = self
                .decrypting
                .set(OaepPrivateDecryptingKey::new(key).map_err(|_| failed)?);
        }
        let key = self.decrypting.get().ok_or(failed)?;
        let mut out = Zeroizing::new(vec![0; key.min_output_size()]);
        let length = key
            .decrypt(oaep(hash), data, &mut out, Some(label))
            .map_err(|_| failed)?
            .len();
        out.truncate(length);
        Ok(out)
    }
}

fn bits(modulus: &[u8]) -> usize {
    modulus
        .first()
        .map_or(0, |first| 8 * modulus.len() - first.leading_zeros() as usize)
}

fn spki(modulus: &[u8], exponent: &[u8]) -> Zeroizing<Vec<u8>> {
    let key = der::value(SEQUENCE, &[&der::unsigned(modulus), &der::unsigned(exponent)]);
    container::write_spki(RSA_ENCRYPTION, &key)
}

fn read_pkcs1(bytes: &[u8]) -> Result<Components<'_>, Malformed> {
    if bytes.len() > MAX_PKCS1 {
        return Err(Malformed);
    }
    let mut reader = Reader::only(bytes, SEQUENCE)?;
    // Version 0; version 1 has more than two primes.
    if !reader.unsigned()?.is_empty() {
        return Err(Malformed);
    }
    let mut components = [&[][..]; 8];
    for component in &mut components {
        *component = reader.unsigned()?;
    }
    reader.end()?;
    Ok(components)
}

fn oaep(hash: Hash) -> &'static OaepAlgorithm {
    match hash {
        Hash::Sha1 => &OAEP_SHA1_MGF1SHA1,
        Hash::Sha256 => &OAEP_SHA256_MGF1SHA256,
        Hash::Sha384 => &OAEP_SHA384_MGF1SHA384,
        Hash::Sha512 => &OAEP_SHA512_MGF1SHA512,
    }
}

fn verification(padding: Padding, hash: Hash) -> Result<RsaParameters, Refusal> {
    let parameters = match (padding, hash) {
        (Padding::Pkcs1, Hash::Sha1) => signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (Padding::Pkcs1, Hash::Sha256) => signature::RSA_PKCS1_2048_8192_SHA256,
        (Padding::Pkcs1, Hash::Sha384) => signature::RSA_PKCS1_2048_8192_SHA384,
        (Padding::Pkcs1, Hash::Sha512) => signature::RSA_PKCS1_2048_8192_SHA512,
        (Padding::Pss(_), Hash::Sha1) => {
            return Err(Refusal::NotSupported("RSA-PSS with SHA-1 isn't offered"));
        }
        (Padding::Pss(_), Hash::Sha256) => signature::RSA_PSS_2048_8192_SHA256,
        (Padding::Pss(_), Hash::Sha384) => signature::RSA_PSS_2048_8192_SHA384,
        (Padding::Pss(_), Hash::Sha512) => signature::RSA_PSS_2048_8192_SHA512,
    };
    Ok(match padding {
        Padding::Pkcs1 => parameters,
        Padding::Pss(salt) => parameters.with_pss_salt_length(RsaPssSaltLength::Custom(salt)),
    })
}

/// How to sign with a modulus of `modulus` bytes.
fn signing(padding: Padding, hash: Hash, modulus: usize) -> Result<&'static RsaSignatureEncoding, Refusal> {
    let salt = match (padding, hash) {
        (_, Hash::Sha1) => return Err(Refusal::NotSupported("RSA signatures with SHA-1 aren't made")),
        (Padding::Pkcs1, Hash::Sha256) => return Ok(&signature::RSA_PKCS1_SHA256),
        (Padding::Pkcs1, Hash::Sha384) => return Ok(&signature::RSA_PKCS1_SHA384),
        (Padding::Pkcs1, Hash::Sha512) => return Ok(&signature::RSA_PKCS1_SHA512),
        (Padding::Pss(salt), _) => salt,
    };
    if usize::from(salt) + hash.length() + 2 > modulus {
        return Err(Refusal::Operation("the salt is too long for the key"));
    }
    Ok(pss(hash, salt))
}

/// PSS with this salt. The library wants a value that lives for ever: one is made per hash and length, of which
/// there are less than a thousand each.
fn pss(hash: Hash, salt: u16) -> &'static RsaSignatureEncoding {
    static MADE: Mutex<BTreeMap<(Hash, u16), &'static RsaSignatureEncoding>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry((hash, salt)).or_insert_with(|| {
        let encoding = match hash {
            Hash::Sha1 | Hash::Sha256 => signature::RSA_PSS_SHA256,
            Hash::Sha384 => signature::RSA_PSS_SHA384,
            Hash::Sha512 => signature::RSA_PSS_SHA512,
        };
        Box::leak(Box::new(
            encoding.with_pss_salt_length(RsaPssSaltLength::Custom(salt)),
        ))
    })
}
