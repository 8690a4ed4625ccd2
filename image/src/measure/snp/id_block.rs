//! The ID block: the guest owner's signed word on what may be launched (56860, tables "ID Block" and "ID Authentication
//! Information Structure").
//!
//! With one, the security processor refuses a guest whose launch digest or policy is another, and its reports carry
//! FAMILY_ID, IMAGE_ID, GUEST_SVN and the digests of the keys. It proves nothing that the launch digest doesn't: a
//! verifier compares MEASUREMENT anyway, and the host may leave the block out. The signature is ECDSA with a random nonce,
//! so that two blocks of one key differ, and neither is measured.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::hash::is_zero;
use jeju_attestation::primitives::{EcdsaSignature, primitives};
use jeju_attestation::sev_snp::GuestPolicy;
use jeju_attestation::x509::pem_blocks;
use sha2::{Digest, Sha384};
use thiserror::Error;

/// Length of an ID block, in bytes.
pub const BLOCK: usize = 96;
/// Length of the authentication information, in bytes.
pub const AUTH: usize = 4096;

/// Why an ID block can't be signed, or isn't one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdBlockError {
    /// Neither PKCS #8 nor RFC 5915, or of another curve.
    #[error("not a P-384 private key in PKCS #8 or SEC 1 form")]
    Key,
    /// A file with no key or more than one.
    #[error("{0} private keys in a file that should hold one")]
    KeyCount(usize),
    /// The system's random numbers.
    #[error("signing failed")]
    Sign,
    /// Another length.
    #[error("{what} has {actual} bytes, not {expected}")]
    Length {
        /// Which structure.
        what: &'static str,
        /// Its length.
        actual: usize,
        /// What it should be.
        expected: usize,
    },
    /// VERSION isn't 1.
    #[error("ID block is of version {0}, not 1")]
    Version(u32),
    /// An algorithm other than ECDSA P-384 with SHA-384.
    #[error("{key} names algorithm {actual}, not 1 (ECDSA P-384 with SHA-384)")]
    Algorithm {
        /// Which key.
        key: &'static str,
        /// What stands there.
        actual: u32,
    },
    /// A key on another curve than P-384.
    #[error("{key} is on curve {actual}, not 2 (P-384)")]
    Curve {
        /// Which key.
        key: &'static str,
        /// What stands there.
        actual: u32,
    },
    /// Bytes that must be zero.
    #[error("authentication information has other bytes than zeros where {0} are reserved")]
    Reserved(&'static str),
    /// A signature that doesn't verify.
    #[error("{0} doesn't verify")]
    Signature(&'static str),
}

/// What the guest's owner says of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdBlock {
    /// LD: what MEASUREMENT has to be.
    pub launch_digest: [u8; 48],
    /// FAMILY_ID: the owner's own name for a group of images.
    pub family_id: [u8; 16],
    /// IMAGE_ID: the owner's own name for the image.
    pub image_id: [u8; 16],
    /// GUEST_SVN: the owner's own security version.
    pub guest_svn: u32,
    /// POLICY: what the launch has to be started with.
    pub policy: GuestPolicy,
}

/// VERSION of the block.
const VERSION: u32 = 1;

impl IdBlock {
    /// As the security processor reads it.
    pub fn to_bytes(&self) -> [u8; BLOCK] {
        let mut bytes = [0; BLOCK];
        bytes[..0x30].copy_from_slice(&self.launch_digest);
        bytes[0x30..0x40].copy_from_slice(&self.family_id);
        bytes[0x40..0x50].copy_from_slice(&self.image_id);
        bytes[0x50..0x54].copy_from_slice(&VERSION.to_le_bytes());
        bytes[0x54..0x58].copy_from_slice(&self.guest_svn.to_le_bytes());
        bytes[0x58..].copy_from_slice(&self.policy.0.to_le_bytes());
        bytes
    }

    /// Reads 96 bytes.
    ///
    /// # Errors
    /// [`IdBlockError::Length`], [`IdBlockError::Version`].
    pub fn parse(bytes: &[u8]) -> Result<Self, IdBlockError> {
        let bytes: &[u8; BLOCK] = sized("ID block", bytes)?;
        let version = u32_at(bytes, 0x50);
        if version != VERSION {
            return Err(IdBlockError::Version(version));
        }
        Ok(Self {
            launch_digest: part(bytes, 0),
            family_id: part(bytes, 0x30),
            image_id: part(bytes, 0x40),
            guest_svn: u32_at(bytes, 0x54),
            policy: GuestPolicy(u64::from_le_bytes(part(bytes, 0x58))),
        })
    }

    /// Signs the block with the ID key, and the ID key with the author key, if there is one.
    ///
    /// # Errors
    /// [`IdBlockError::Sign`].
    pub fn sign(&self, id_key: &IdKey, author_key: Option<&IdKey>) -> Result<SignedIdBlock, IdBlockError> {
        let block = self.to_bytes();
        let mut auth = Box::new([0; AUTH]);
        let mut put = |at: usize, bytes: &[u8]| auth[at..at + bytes.len()].copy_from_slice(bytes);
        put(ID_KEY_ALGO, &ECDSA_P384_SHA384.to_le_bytes());
        put(ID_BLOCK_SIG, &id_key.sign(&block)?);
        let public = id_key.public().to_bytes();
        put(ID_KEY, &public);
        if let Some(author) = author_key {
            put(AUTHOR_KEY_ALGO, &ECDSA_P384_SHA384.to_le_bytes());
            put(ID_KEY_SIG, &author.sign(&public)?);
            put(AUTHOR_KEY, &author.public().to_bytes());
        }
        Ok(SignedIdBlock { block, auth })
    }
}

/// A block and what proves who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIdBlock {
    /// ID block.
    pub block: [u8; BLOCK],
    /// ID authentication information.
    pub auth: Box<[u8; AUTH]>,
}

impl SignedIdBlock {
    /// Properties for QEMU's `-object sev-snp-guest`.
    pub fn qemu_properties(&self) -> String {
        let author = u32_at(&self.auth[..], AUTHOR_KEY_ALGO) != 0;
        format!(
            "id-block={},id-auth={}{}",
            STANDARD.encode(self.block),
            STANDARD.encode(&self.auth[..]),
            if author { ",author-key-enabled=on" } else { "" }
        )
    }
}

/// A block whose signatures verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedIdBlock {
    /// What it says.
    pub block: IdBlock,
    /// ID_KEY_DIGEST of the reports.
    pub id_key_digest: [u8; 48],
    /// AUTHOR_KEY_DIGEST of the reports, where there is an author key.
    pub author_key_digest: Option<[u8; 48]>,
}

/// Checks a block as the security processor does at the end of a launch. Whether its keys are anybody's is up to the
/// caller.
///
/// # Errors
/// Any of [`IdBlockError`] but those of private keys.
pub fn verify(block: &[u8], auth: &[u8]) -> Result<VerifiedIdBlock, IdBlockError> {
    let parsed = IdBlock::parse(block)?;
    let auth: &[u8; AUTH] = sized("ID authentication information", auth)?;
    for (start, end) in [
        (8, ID_BLOCK_SIG),
        (ID_KEY + KEY, ID_KEY_SIG),
        (AUTHOR_KEY + KEY, AUTH),
    ] {
        zero(&auth[start..end], "bytes between the fields")?;
    }
    let id_key = public_key("ID key", auth, ID_KEY_ALGO, ID_KEY)?;
    check_signature("signature of the ID block", &id_key, block, auth, ID_BLOCK_SIG)?;
    let author_key_digest = if u32_at(auth, AUTHOR_KEY_ALGO) == 0 {
        zero(
            &auth[ID_KEY_SIG..ID_KEY_SIG + SIGNATURE],
            "all bytes of the author key's signature",
        )?;
        zero(&auth[AUTHOR_KEY..AUTHOR_KEY + KEY], "all bytes of the author key")?;
        None
    } else {
        let author = public_key("author key", auth, AUTHOR_KEY_ALGO, AUTHOR_KEY)?;
        let signed = &auth[ID_KEY..ID_KEY + KEY];
        check_signature("signature of the ID key", &author, signed, auth, ID_KEY_SIG)?;
        Some(author.digest())
    };
    Ok(VerifiedIdBlock {
        block: parsed,
        id_key_digest: id_key.digest(),
        author_key_digest,
    })
}

/// A P-384 private key: of the ID block, or of the author.
pub struct IdKey(EcdsaKeyPair);

impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdKey").field(&self.public()).finish()
    }
}

impl IdKey {
    /// From PEM, as `openssl ecparam -name secp384r1 -genkey -noout` and `openssl genpkey` write it.
    ///
    /// # Errors
    /// [`IdBlockError::Key`], [`IdBlockError::KeyCount`].
    pub fn from_pem(text: &[u8]) -> Result<Self, IdBlockError> {
        let mut keys = Vec::new();
        for label in ["PRIVATE KEY", "EC PRIVATE KEY"] {
            keys.extend(pem_blocks(text, label).map_err(|_| IdBlockError::Key)?);
        }
        match &keys[..] {
            [key] => Self::from_der(key),
            _ => Err(IdBlockError::KeyCount(keys.len())),
        }
    }

    /// From PKCS #8 (RFC 5208) or ECPrivateKey (RFC 5915) in DER.
    ///
    /// # Errors
    /// [`IdBlockError::Key`].
    pub fn from_der(der: &[u8]) -> Result<Self, IdBlockError> {
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_FIXED_SIGNING, der);
        pair.map(Self).map_err(|_| IdBlockError::Key)
    }

    /// The public half.
    pub fn public(&self) -> IdPublicKey {
        let point = self.0.public_key().as_ref();
        IdPublicKey(point.try_into().expect("a P-384 point has 97 bytes"))
    }

    /// A signature in the security processor's form.
    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE], IdBlockError> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        let signature = signature.map_err(|_| IdBlockError::Sign)?;
        let mut bytes = [0; SIGNATURE];
        for (at, number) in signature.as_ref().chunks_exact(NUMBER).enumerate() {
            put_number(&mut bytes[at * FIELD..], number);
        }
        Ok(bytes)
    }
}

/// A P-384 public key: an uncompressed point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdPublicKey([u8; 97]);

impl IdPublicKey {
    /// As the security processor reads it: curve, then Qx and Qy little-endian, zeros.
    pub fn to_bytes(&self) -> [u8; KEY] {
        let mut bytes = [0; KEY];
        bytes[..4].copy_from_slice(&P384.to_le_bytes());
        put_number(&mut bytes[4..], &self.0[1..1 + NUMBER]);
        put_number(&mut bytes[4 + FIELD..], &self.0[1 + NUMBER..]);
        bytes
    }

    /// ID_KEY_DIGEST or AUTHOR_KEY_DIGEST of a report.
    pub fn digest(&self) -> [u8; 48] {
        Sha384::digest(self.to_bytes()).into()
    }
}

/// Length of a public key (56860, "ECDSA P-384 Public Key").
pub const KEY: usize = 1028;
/// Length of a signature (56860, "ECDSA P-384 with SHA-384 Signature").
const SIGNATURE: usize = 512;
/// Bytes of a coordinate, of r and of s, big-endian elsewhere.
const NUMBER: usize = 48;
/// Bytes that one of them takes here, little-endian.
const FIELD: usize = 72;
const ECDSA_P384_SHA384: u32 = 1;
const P384: u32 = 2;

const ID_KEY_ALGO: usize = 0;
const AUTHOR_KEY_ALGO: usize = 4;
const ID_BLOCK_SIG: usize = 0x40;
const ID_KEY: usize = 0x240;
const ID_KEY_SIG: usize = 0x680;
const AUTHOR_KEY: usize = 0x880;

fn public_key(
    key: &'static str,
    auth: &[u8; AUTH],
    algorithm_at: usize,
    at: usize,
) -> Result<IdPublicKey, IdBlockError> {
    let actual = u32_at(auth, algorithm_at);
    if actual != ECDSA_P384_SHA384 {
        return Err(IdBlockError::Algorithm { key, actual });
    }
    let actual = u32_at(auth, at);
    if actual != P384 {
        return Err(IdBlockError::Curve { key, actual });
    }
    let [x, y] = numbers(&auth[at + 4..at + KEY])?;
    let mut point = [4; 97];
    point[1..1 + NUMBER].copy_from_slice(&x);
    point[1 + NUMBER..].copy_from_slice(&y);
    Ok(IdPublicKey(point))
}

fn check_signature(
    what: &'static str,
    key: &IdPublicKey,
    message: &[u8],
    auth: &[u8; AUTH],
    at: usize,
) -> Result<(), IdBlockError> {
    let fixed = numbers(&auth[at..at + SIGNATURE])?.concat();
    primitives()
        .p384_sha384(&key.0, message, EcdsaSignature::Fixed(&fixed))
        .map_err(|_| IdBlockError::Signature(what))
}

/// Two numbers, big-endian, from two fields that zeros follow.
fn numbers(bytes: &[u8]) -> Result<[[u8; NUMBER]; 2], IdBlockError> {
    zero(&bytes[2 * FIELD..], "bytes after a key or signature")?;
    let mut numbers = [[0; NUMBER]; 2];
    for (number, field) in numbers.iter_mut().zip(bytes.chunks_exact(FIELD)) {
        zero(&field[NUMBER..], "upper bytes of a number")?;
        number.copy_from_slice(&field[..NUMBER]);
        number.reverse();
    }
    Ok(numbers)
}

fn put_number(field: &mut [u8], big_endian: &[u8]) {
    for (place, byte) in field.iter_mut().zip(big_endian.iter().rev()) {
        *place = *byte;
    }
}

fn zero(bytes: &[u8], what: &'static str) -> Result<(), IdBlockError> {
    is_zero(bytes).then_some(()).ok_or(IdBlockError::Reserved(what))
}

fn sized<'a, const N: usize>(what: &'static str, bytes: &'a [u8]) -> Result<&'a [u8; N], IdBlockError> {
    bytes.try_into().map_err(|_| IdBlockError::Length {
        what,
        actual: bytes.len(),
        expected: N,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(part(bytes, at))
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N]
        .try_into()
        .expect("offsets are within the structures")
}

#[cfg(test)]
#[path = "id_block_tests.rs"]
mod tests;
