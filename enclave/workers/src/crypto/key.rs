//! Keys: native, wiped when nobody has them any more. JavaScript has only handles.

use std::cell::Cell;
use std::rc::Rc;

use rquickjs::class::{JsClass, Readable, Trace, Tracer};
use rquickjs::{Class, Constructor, Ctx, JsLifetime};
use zeroize::Zeroizing;

use super::ec::{Curve, EcPrivate, EcPublic};
use super::okp::{Okp, OkpPrivate, OkpPublic};
use super::refusal::Refusal;
use super::rsa::{RsaPrivate, RsaPublic};

/// Most memory of all keys of an isolate, in bytes, as [`Material::cost`] counts it. It comes on top of the limit of
/// the engine's own memory.
pub(super) const MAX_KEYS: usize = 8 << 20;

const UNSUITABLE: Refusal = Refusal::Operation("the key is of another kind");

/// What a key is.
pub(super) enum Material {
    /// Bytes: AES, HMAC, HKDF, PBKDF2.
    Secret(Zeroizing<Vec<u8>>),
    EcPrivate(EcPrivate),
    EcPublic(EcPublic),
    OkpPrivate(OkpPrivate),
    OkpPublic(OkpPublic),
    RsaPrivate(Box<RsaPrivate>),
    RsaPublic(RsaPublic),
}

/// What kind of key is to be read or made; JavaScript names it as Web Crypto does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Secret,
    Ec(Curve),
    Okp(Okp),
    Rsa,
}

impl<'js> rquickjs::FromJs<'js> for Kind {
    fn from_js(ctx: &Ctx<'js>, value: rquickjs::Value<'js>) -> rquickjs::Result<Self> {
        Ok(match &*String::from_js(ctx, value)? {
            "secret" => Self::Secret,
            "P-256" => Self::Ec(Curve::P256),
            "P-384" => Self::Ec(Curve::P384),
            "P-521" => Self::Ec(Curve::P521),
            "Ed25519" => Self::Okp(Okp::Ed25519),
            "X25519" => Self::Okp(Okp::X25519),
            "RSA" => Self::Rsa,
            _ => return Err(rquickjs::Error::new_from_js("string", "kind of key")),
        })
    }
}

impl Material {
    /// Reads a key in the formats `raw`, `spki` and `pkcs8`.
    pub(super) fn read(kind: Kind, format: &str, bytes: &[u8]) -> Result<Self, Refusal> {
        Ok(match (kind, format) {
            (Kind::Secret, "raw") => Self::Secret(Zeroizing::new(bytes.to_vec())),
            (Kind::Ec(curve), "raw") => Self::EcPublic(EcPublic::from_raw(curve, bytes)?),
            (Kind::Ec(curve), "spki") => Self::EcPublic(EcPublic::from_spki(curve, bytes)?),
            (Kind::Ec(curve), "pkcs8") => Self::EcPrivate(EcPrivate::from_pkcs8(curve, bytes)?),
            (Kind::Okp(okp), "raw") => Self::OkpPublic(OkpPublic::from_raw(okp, bytes)?),
            (Kind::Okp(okp), "spki") => Self::OkpPublic(OkpPublic::from_spki(okp, bytes)?),
            (Kind::Okp(okp), "pkcs8") => Self::OkpPrivate(OkpPrivate::from_pkcs8(okp, bytes)?),
            (Kind::Rsa, "spki") => Self::RsaPublic(RsaPublic::from_spki(bytes)?),
            (Kind::Rsa, "pkcs8") => Self::RsaPrivate(Box::new(RsaPrivate::from_pkcs8(bytes)?)),
            _ => return Err(Refusal::NotSupported("this kind of key has no such format")),
        })
    }

    /// Writes a key in the formats `raw`, `spki` and `pkcs8`.
    pub(super) fn write(&self, format: &str) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let copy = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
        Ok(match (self, format) {
            (Self::Secret(bytes), "raw") => copy(bytes),
            (Self::EcPublic(key), "raw") => copy(key.raw()),
            (Self::EcPublic(key), "spki") => key.spki(),
            (Self::EcPrivate(key), "pkcs8") => key.pkcs8(),
            (Self::OkpPublic(key), "raw") => copy(key.raw()),
            (Self::OkpPublic(key), "spki") => key.spki(),
            (Self::OkpPrivate(key), "pkcs8") => key.pkcs8(),
            (Self::RsaPublic(key), "spki") => key.spki(),
            (Self::RsaPrivate(key), "pkcs8") => key.pkcs8(),
            _ => return Err(Refusal::NotSupported("this kind of key has no such format")),
        })
    }

    /// The public key of a private one.
    pub(super) fn public(&self) -> Result<Self, Refusal> {
        match self {
            Self::EcPrivate(key) => {
                EcPublic::from_raw(key.public.curve, key.public.raw()).map(Self::EcPublic)
            }
            Self::OkpPrivate(key) => {
                OkpPublic::from_raw(key.public.okp, key.public.raw()).map(Self::OkpPublic)
            }
            Self::RsaPrivate(key) => {
                RsaPublic::from_components(key.public.modulus(), key.public.exponent()).map(Self::RsaPublic)
            }
            _ => Err(UNSUITABLE),
        }
    }

    pub(super) fn secret(&self) -> Result<&[u8], Refusal> {
        match self {
            Self::Secret(bytes) => Ok(bytes),
            _ => Err(UNSUITABLE),
        }
    }

    /// X25519, or ECDH: what both sides know, once each has the other's public key.
    pub(super) fn agree(&self, peer: &Self) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        match (self, peer) {
            (Self::EcPrivate(key), Self::EcPublic(peer)) => key.agree(peer),
            (Self::OkpPrivate(key), Self::OkpPublic(peer)) => key.agree(peer),
            _ => Err(UNSUITABLE),
        }
    }

    pub(super) fn rsa_public(&self) -> Result<&RsaPublic, Refusal> {
        match self {
            Self::RsaPublic(key) => Ok(key),
            Self::RsaPrivate(key) => Ok(&key.public),
            _ => Err(UNSUITABLE),
        }
    }

    pub(super) fn rsa_private(&self) -> Result<&RsaPrivate, Refusal> {
        match self {
            Self::RsaPrivate(key) => Ok(key),
            _ => Err(UNSUITABLE),
        }
    }

    /// About how much memory it takes, what the library keeps for it included.
    fn cost(&self) -> usize {
        match self {
            Self::Secret(bytes) => 128 + bytes.len(),
            Self::EcPublic(_) => 256,
            Self::EcPrivate(_) => 4 << 10,
            Self::OkpPublic(_) => 128,
            Self::OkpPrivate(_) => 1 << 10,
            Self::RsaPublic(key) => (1 << 10) + 8 * key.modulus().len(),
            Self::RsaPrivate(key) => (4 << 10) + 32 * key.public.modulus().len(),
        }
    }
}

/// What an isolate's keys take of [`MAX_KEYS`].
#[derive(Clone, Default)]
pub(super) struct Ledger(Rc<Cell<usize>>);

// SAFETY: it holds nothing of the engine.
unsafe impl<'js> JsLifetime<'js> for Ledger {
    type Changed<'to> = Ledger;
}

/// A key, as JavaScript holds it: an object without properties that no worker ever sees.
pub(super) struct Handle {
    pub(super) material: Material,
    ledger: Ledger,
}

impl Handle {
    /// Gives JavaScript a key, if there is room for it.
    pub(super) fn give<'js>(ctx: &Ctx<'js>, material: Material) -> rquickjs::Result<Class<'js, Self>> {
        let ledger = ctx
            .userdata::<Ledger>()
            .map(|ledger| ledger.clone())
            .unwrap_or_default();
        let cost = material.cost();
        if ledger.0.get().saturating_add(cost) > MAX_KEYS {
            // Keys in cycles are only given back by the collector, which knows nothing of what they hold.
            ctx.run_gc();
        }
        let total = ledger.0.get().saturating_add(cost);
        if total > MAX_KEYS {
            return Err(Refusal::Quota("the worker holds too many keys").throw(ctx));
        }
        ledger.0.set(total);
        Class::instance(ctx.clone(), Self { material, ledger })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.ledger
            .0
            .set(self.ledger.0.get().saturating_sub(self.material.cost()));
    }
}

// SAFETY: it holds nothing of the engine.
unsafe impl<'js> JsLifetime<'js> for Handle {
    type Changed<'to> = Handle;
}

impl<'js> Trace<'js> for Handle {
    fn trace<'a>(&self, _: Tracer<'a, 'js>) {}
}

impl<'js> JsClass<'js> for Handle {
    const NAME: &'static str = "Key";
    type Mutable = Readable;

    fn constructor(_: &Ctx<'js>) -> rquickjs::Result<Option<Constructor<'js>>> {
        Ok(None)
    }
}
