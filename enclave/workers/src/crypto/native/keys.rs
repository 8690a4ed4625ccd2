//! Keys: made, read, written.

use aws_lc_rs::rand;
use rquickjs::prelude::Func;
use rquickjs::{ArrayBuffer, Ctx, Object, Result};
use zeroize::Zeroizing;

use super::{Key, answer, give};
use crate::crypto::bytes::{Bytes, buffer, read};
use crate::crypto::key::{Handle, Kind, MAX_KEYS, Material};
use crate::crypto::refusal::Refusal;
use crate::crypto::rsa::RsaPrivate;
use crate::crypto::{ec, jwk, okp};

/// Puts them into the table.
pub(super) fn install(table: &Object<'_>) -> Result<()> {
    table.set("generate", Func::from(generate))?;
    table.set("generateRsa", Func::from(generate_rsa))?;
    table.set("generateSecret", Func::from(generate_secret))?;
    table.set("read", Func::from(read_key))?;
    table.set("write", Func::from(write_key))?;
    table.set("readJwk", Func::from(read_jwk))?;
    table.set("writeJwk", Func::from(write_jwk))?;
    table.set("rsa", Func::from(rsa))?;
    table.set("bytes", Func::from(bytes))?;
    Ok(())
}

/// A new private key and its public one.
fn generate<'js>(ctx: Ctx<'js>, kind: Kind) -> Result<Vec<Key<'js>>> {
    let private = match kind {
        Kind::Ec(curve) => ec::EcPrivate::generate(curve).map(Material::EcPrivate),
        Kind::Okp(okp) => okp::OkpPrivate::generate(okp).map(Material::OkpPrivate),
        Kind::Secret | Kind::Rsa => Err(Refusal::NotSupported("no length was given")),
    };
    pair(&ctx, private)
}

fn generate_rsa<'js>(ctx: Ctx<'js>, bits: u32) -> Result<Vec<Key<'js>>> {
    pair(
        &ctx,
        RsaPrivate::generate(bits).map(|key| Material::RsaPrivate(Box::new(key))),
    )
}

fn pair<'js>(ctx: &Ctx<'js>, private: std::result::Result<Material, Refusal>) -> Result<Vec<Key<'js>>> {
    let private = private.map_err(|refusal| refusal.throw(ctx))?;
    let public = private.public();
    Ok(vec![Handle::give(ctx, private)?, give(ctx, public)?])
}

/// A new secret of `bits` bits; those of the last byte that aren't asked for are zero.
fn generate_secret<'js>(ctx: Ctx<'js>, bits: u32) -> Result<Key<'js>> {
    let length = bits.div_ceil(8) as usize;
    if length > MAX_KEYS {
        return Err(Refusal::Quota("the worker holds too many keys").throw(&ctx));
    }
    let mut secret = Zeroizing::new(vec![0; length]);
    rand::fill(&mut secret).map_err(|_| Refusal::Operation("no key could be made").throw(&ctx))?;
    if !bits.is_multiple_of(8)
        && let Some(last) = secret.last_mut()
    {
        *last &= 0xff << (8 - bits % 8);
    }
    Handle::give(&ctx, Material::Secret(secret))
}

fn read_key<'js>(ctx: Ctx<'js>, kind: Kind, format: String, data: Bytes<'js>) -> Result<Key<'js>> {
    let material = read([&data], |[data]| Material::read(kind, &format, data));
    give(&ctx, material)
}

fn write_key<'js>(ctx: Ctx<'js>, key: Key<'js>, format: String) -> Result<ArrayBuffer<'js>> {
    answer(&ctx, key.borrow().material.write(&format))
}

/// Reads a key out of an object whose members are the base64url texts of a JSON Web Key.
fn read_jwk<'js>(ctx: Ctx<'js>, kind: Kind, members: Object<'js>) -> Result<Key<'js>> {
    let member = |name: &str| {
        let text = members.get::<_, Option<String>>(name);
        text.map(|text| text.map(Zeroizing::new))
            .map_err(|_| Refusal::Data("a member isn't text"))
    };
    give(&ctx, jwk::read(kind, member))
}

/// Writes those members to `members`.
fn write_jwk<'js>(ctx: Ctx<'js>, key: Key<'js>, members: Object<'js>) -> Result<()> {
    let written = jwk::write(&key.borrow().material).map_err(|refusal| refusal.throw(&ctx))?;
    written
        .iter()
        .try_for_each(|(name, text)| members.set(*name, text.as_str()))
}

/// Length of the modulus in bits, and the public exponent, of an RSA key.
fn rsa<'js>(ctx: Ctx<'js>, key: Key<'js>) -> Result<Object<'js>> {
    let key = key.borrow();
    let public = key.material.rsa_public().map_err(|refusal| refusal.throw(&ctx))?;
    let about = Object::new(ctx.clone())?;
    about.set("modulusLength", public.bits() as u32)?;
    about.set("publicExponent", buffer(&ctx, public.exponent())?)?;
    Ok(about)
}

/// Bytes of a secret.
fn bytes<'js>(ctx: Ctx<'js>, key: Key<'js>) -> Result<usize> {
    key.borrow()
        .material
        .secret()
        .map(<[u8]>::len)
        .map_err(|refusal| refusal.throw(&ctx))
}
