//! Ed25519 (RFC 8032) and X25519 (RFC 7748).

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey as PeerKey, X25519};
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::container::{self, Identifier};
use super::der::{self, OCTET_STRING, Reader};
use super::refusal::Refusal;

/// Bytes of a key, public or private.
const LENGTH: usize = 32;
const NOT_A_KEY: Refusal = Refusal::Data("a key has 32 bytes");

/// What the key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Okp {
    Ed25519,
    X25519,
}

impl Okp {
    /// RFC 8410, section 3: 1.3.101.112 and 1.3.101.110, without parameters.
    fn identifier(self) -> Identifier<'static> {
        let algorithm: &[u8] = match self {
            Self::Ed25519 => &[0x2b, 0x65, 0x70],
            Self::X25519 => &[0x2b, 0x65, 0x6e],
        };
        Identifier {
            algorithm,
            parameters: &[],
        }
    }
}

/// A public key.
pub(super) struct OkpPublic {
    pub(super) okp: Okp,
    key: [u8; LENGTH],
}

impl OkpPublic {
    pub(super) fn from_raw(okp: Okp, key: &[u8]) -> Result<Self, Refusal> {
        Ok(Self {
            okp,
            key: key.try_into().map_err(|_| NOT_A_KEY)?,
        })
    }

    pub(super) fn from_spki(okp: Okp, bytes: &[u8]) -> Result<Self, Refusal> {
        let (identifier, key) =
            container::read_spki(bytes).map_err(|_| Refusal::Data("not a SubjectPublicKeyInfo"))?;
        if identifier != okp.identifier() {
            return Err(Refusal::Data("not a public key of this algorithm"));
        }
        Self::from_raw(okp, key)
    }

    pub(super) fn raw(&self) -> &[u8] {
        &self.key
    }

    pub(super) fn spki(&self) -> Zeroizing<Vec<u8>> {
        container::write_spki(self.okp.identifier(), &self.key)
    }

    /// Whether `signature` is this key's. With a key or a commitment of small order, one signature would fit many
    /// messages: those never verify.
    pub(super) fn verify(&self, signature: &[u8], message: &[u8]) -> bool {
        let Some((commitment, _)) = signature.split_first_chunk::<LENGTH>() else {
            return false;
        };
        !small_order(&self.key)
            && !small_order(commitment)
            && UnparsedPublicKey::new(&ED25519, &self.key)
                .verify(message, signature)
                .is_ok()
    }
}

/// A private key and its public one.
pub(super) struct OkpPrivate {
    seed: Zeroizing<[u8; LENGTH]>,
    pub(super) public: OkpPublic,
    pair: Pair,
}

enum Pair {
    Signing(Ed25519KeyPair),
    Agreement(PrivateKey),
}

impl OkpPrivate {
    pub(super) fn generate(okp: Okp) -> Result<Self, Refusal> {
        let mut seed = Zeroizing::new([0; LENGTH]);
        rand::fill(&mut seed[..]).map_err(|_| Refusal::Operation("no key could be made"))?;
        Self::from_seed(okp, &seed[..])
    }

    pub(super) fn from_seed(okp: Okp, seed: &[u8]) -> Result<Self, Refusal> {
        let seed: Zeroizing<[u8; LENGTH]> = Zeroizing::new(seed.try_into().map_err(|_| NOT_A_KEY)?);
        let (pair, public) = match okp {
            Okp::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&seed[..]).map_err(|_| NOT_A_KEY)?;
                let public = OkpPublic::from_raw(okp, pair.public_key().as_ref())?;
                (Pair::Signing(pair), public)
            }
            Okp::X25519 => {
                let pair = PrivateKey::from_private_key(&X25519, &seed[..]).map_err(|_| NOT_A_KEY)?;
                let public = pair.compute_public_key().map_err(|_| NOT_A_KEY)?;
                (Pair::Agreement(pair), OkpPublic::from_raw(okp, public.as_ref())?)
            }
        };
        Ok(Self { seed, public, pair })
    }

    pub(super) fn from_pkcs8(okp: Okp, bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::Data("not a PrivateKeyInfo with a key of this algorithm");
        let info = container::read_pkcs8(bytes).map_err(|_| malformed)?;
        if info.identifier != okp.identifier() {
            return Err(Refusal::Data("not a private key of this algorithm"));
        }
        // RFC 8410, section 7: an octet string in the octet string.
        let mut inside = Reader::new(info.key);
        let seed = inside.take(OCTET_STRING).map_err(|_| malformed)?;
        inside.end().map_err(|_| malformed)?;
        let key = Self::from_seed(okp, seed)?;
        if info.public.is_some_and(|public| public != key.public.raw()) {
            return Err(Refusal::Data("the public key in it isn't the private key's"));
        }
        Ok(key)
    }

    pub(super) fn seed(&self) -> &[u8] {
        &self.seed[..]
    }

    pub(super) fn pkcs8(&self) -> Zeroizing<Vec<u8>> {
        container::write_pkcs8(
            self.public.okp.identifier(),
            &der::value(OCTET_STRING, &[&self.seed[..]]),
        )
    }

    /// Ed25519.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Refusal> {
        let failed = Refusal::Operation("no signature could be made");
        let Pair::Signing(pair) = &self.pair else {
            return Err(failed);
        };
        Ok(pair.try_sign(message).map_err(|_| failed)?.as_ref().to_vec())
    }

    /// X25519; a secret of all zeros is refused, as RFC 7748, section 6.1 says.
    pub(super) fn agree(&self, peer: &OkpPublic) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let failed = Refusal::Operation("the keys don't agree on a secret");
        let Pair::Agreement(pair) = &self.pair else {
            return Err(failed);
        };
        let peer = PeerKey::new(&X25519, &peer.key);
        agreement::agree(pair, peer, failed, |secret| Ok(Zeroizing::new(secret.to_vec())))
    }
}

/// Whether these are the y coordinate and sign of a point whose order divides 8, canonical or not.
fn small_order(point: &[u8; LENGTH]) -> bool {
    /// y of the points of order 8.
    const EIGHTH: [[u8; LENGTH]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let mut y = *point;
    y[LENGTH - 1] &= 0x7f;
    let high = y[1..LENGTH - 1].iter().all(|byte| *byte == 0xff) && y[LENGTH - 1] == 0x7f;
    let low = y[1..].iter().all(|byte| *byte == 0);
    // 0, 1, p - 1, p and p + 1, where p = 2^255 - 19.
    EIGHTH.contains(&y) || (low && y[0] <= 1) || (high && (0xec..=0xee).contains(&y[0]))
}
